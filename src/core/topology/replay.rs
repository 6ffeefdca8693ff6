//! A binding from an `x-recent-history` exchange brings its messages (RabbitMQ's plugin).

use std::sync::Arc;

use super::Topology;
use crate::core::{
    change::note_published,
    declared::Destination,
    effects::Effects,
    message::{Message, Publication},
    queue::{Enqueued, Origin, SharedQueue},
    routing::{Addressing, extra_keys},
};
use crate::protocol::{FieldTable, PropertiesView};

/// What a new binding has brought from a history.
#[derive(Default)]
pub struct Replayed {
    /// What is to be carried out for that.
    pub effects: Effects,
    /// How many messages came to a queue, once for each queue.
    pub deliveries: usize,
}

impl Topology {
    /// Publishes what `source` has kept to a destination that was bound to it just now: to the queue, or to where the exchange
    /// sends each message. Under the topology's lock, so that nothing that comes later overtakes it.
    pub(super) fn replay(&self, source: &[u8], destination: &Destination) -> Replayed {
        let (mut effects, mut deliveries) = (Effects::default(), 0);
        effects.defer_reads();
        let mut enqueued = Enqueued::default();
        let history = self.exchanges.get(source).and_then(|exchange| exchange.history());
        let messages = history.map(|history| history.messages()).unwrap_or_default();
        for (place, message) in messages.iter().enumerate() {
            for queue in self.targets(destination, message, place) {
                // A copy: each message is published to the journal at most once.
                let mut publication = [Publication::new(message.view())];
                queue.publish(&mut publication, Origin::Client, &mut enqueued, &mut effects);
                note_published(&mut publication, &mut enqueued.placed, &mut effects.changes);
                deliveries += 1;
            }
        }
        Replayed { effects, deliveries }
    }

    /// The queues that a kept message goes to. An exchange that draws lots draws by the message's place in the history.
    fn targets(&self, destination: &Destination, message: &Message, place: usize) -> Vec<Arc<SharedQueue>> {
        match destination {
            Destination::Queue(name) => self.queue(name).cloned().into_iter().collect(),
            Destination::Exchange(name) => {
                let Some(exchange) = self.exchanges.get(name) else { return Vec::new() };
                let view = message.view();
                // What was published once has been checked.
                let properties = PropertiesView::parse(view.properties()).unwrap_or_default();
                let headers = properties.headers.and_then(|headers| FieldTable::decode(headers).ok());
                let mut keys = vec![view.routing_key()];
                keys.extend(extra_keys(headers.as_ref()).unwrap_or_default());
                let addressing = Addressing::new(&keys, &properties, headers.as_ref()).at_hop(place);
                let route = self.route_from(exchange, &addressing);
                route.remember(&view, headers.as_ref());
                route.queues.into_vec()
            }
        }
    }
}
