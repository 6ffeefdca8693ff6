//! RabbitMQ's firehose: what was published and delivered is published to `amq.rabbitmq.trace`, by whoever did that, as soon as it holds no
//! lock.

use super::Vhost;
use crate::broker::node_name;
use crate::core::{
    effects::Effects,
    message::View,
    observing::{TRACE_EXCHANGE, Tap},
    queue::Enqueued,
    routing::Addressing,
};

impl Vhost {
    /// Publishes what is told of messages, to the queues that want it. Nothing is told of that.
    pub(super) fn publish_taps(&self, effects: &mut Effects) {
        if effects.taps.is_empty() {
            return;
        }
        let mut enqueued = Enqueued::default();
        for tap in std::mem::take(&mut effects.taps) {
            self.publish_tap(&tap, &mut enqueued, effects);
        }
    }

    fn publish_tap(&self, tap: &Tap, enqueued: &mut Enqueued, effects: &mut Effects) {
        let key = tap.routing_key();
        let keys: [&[u8]; 1] = [&key];
        let addressing = Addressing::by_keys(&keys);
        let wanting = self.read(|topology| {
            topology
                .route_within(TRACE_EXCHANGE.as_bytes(), &addressing)
                .is_ok_and(|route| route.needs_message() || !route.queues.is_empty())
        });
        // It is made for somebody who wants it.
        if !wanting {
            return;
        }
        let (layout, image) = tap.image(&self.name, node_name());
        let no_other_keys: [&[u8]; 0] = [];
        let targets = self.targets(&View::new(layout, &image), &no_other_keys).unwrap_or_default();
        self.deliver(&targets, layout, &image, enqueued, effects);
    }
}
