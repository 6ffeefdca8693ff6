//! What becomes of consumers that hold messages longer than they may (RabbitMQ's `consumer_timeout`).
//!
//! What they hold goes back to its queue, and the consumer is cancelled; a client that does not understand `basic.cancel` from
//! the server loses the channel (RabbitMQ 4.3).

use std::collections::HashMap;

use super::session::{MethodIds, Session};
use crate::core::{
    error::{AmqpError, precondition_failed},
    overdue::Overdue,
    placement::QueueId,
    source::ConsumerId,
};
use crate::protocol::ShortString;

const NO_METHOD: MethodIds = (0, 0);

impl Session {
    /// Takes the messages that are overdue from their consumers.
    pub(super) fn return_overdue(&mut self) {
        self.settle_acked();
        let now = self.broker.clock.now();
        let overdue = self.outbox.lock().take_overdue(now, self.broker.config.consumer_timeout);
        let mut failed = Vec::new();
        for (number, overdue) in overdue {
            if let Err(error) = self.return_from(number, overdue) {
                failed.push((number, error));
            }
        }
        for (number, error) in failed {
            self.fail(number, &error, NO_METHOD);
        }
        self.finish();
    }

    fn return_from(&mut self, number: u16, late: Vec<Overdue>) -> Result<(), AmqpError> {
        let Some(Overdue { timeout_ms, .. }) = late.first() else { return Ok(()) };
        if late.iter().any(|overdue| overdue.consumer.is_none()) || !self.outbox.lock().cancels_consumers() {
            return Err(precondition_failed(format!(
                "delivery acknowledgement on channel {number} timed out. Timeout value used: {timeout_ms} ms. This \
                 timeout value can be configured, see consumers doc guide to learn more"
            )));
        }
        let tags = self.consumer_tags(number);
        for overdue in late {
            if let Some(id) = overdue.consumer {
                let tag = tags.get(&(overdue.source.id(), id));
                self.cancel_late(number, &overdue, id, tag);
            }
        }
        self.feed(number);
        Ok(())
    }

    /// The tags of a channel's consumers.
    fn consumer_tags(&self, number: u16) -> HashMap<(QueueId, ConsumerId), ShortString> {
        let mut outbox = self.outbox.lock();
        let Some(window) = outbox.window(number) else { return HashMap::new() };
        window.consumers().map(|(tag, (source, id))| ((source.id(), *id), tag.clone())).collect()
    }

    fn cancel_late(&mut self, number: u16, overdue: &Overdue, id: ConsumerId, tag: Option<&ShortString>) {
        let Overdue { source, held_ms, .. } = overdue;
        let mut outbox = self.outbox.lock();
        let Some(window) = outbox.window(number) else { return };
        let returned = window.take_held_by(id, source);
        if let Some(consumer_tag) = tag {
            outbox.cancel_consumer(number, consumer_tag, &(source.clone(), id));
        }
        drop(outbox);
        tracing::warn!(
            parent: &self.span(),
            channel = number,
            queue = %source.name(),
            held_ms,
            "consumer cancelled: it holds a message for too long"
        );
        if source.clone().cancel_returning(id, returned, &mut self.effects) {
            self.last_consumer_left(source);
        }
    }
}
