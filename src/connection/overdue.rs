//! Consumers that hold messages longer than they may (RabbitMQ's `consumer_timeout`).
//!
//! What they hold goes back to its queue, and the consumer is cancelled; a client that does not understand `basic.cancel` from
//! the server loses the channel (RabbitMQ 4.3).

use super::session::{MethodIds, Session};
use crate::core::{
    error::{AmqpError, precondition_failed},
    queue::ConsumerId,
    window::Overdue,
};

const NO_METHOD: MethodIds = (0, 0);

impl Session {
    /// Looks for overdue messages on all channels, and takes them from their consumers.
    pub(super) fn return_overdue(&mut self) {
        self.settle_acked();
        let old = self.outbox.lock().held_since(self.broker.clock.now());
        let mut failed = Vec::new();
        for (number, held) in old {
            if let Err(error) = self.return_from(number, held) {
                failed.push((number, error));
            }
        }
        for (number, error) in failed {
            self.fail(number, &error, NO_METHOD);
        }
        self.finish();
    }

    fn return_from(&mut self, number: u16, held: Vec<Overdue>) -> Result<(), AmqpError> {
        let mut late: Vec<(Overdue, u64)> = Vec::new();
        for overdue in held {
            let timeout =
                overdue.queue.consumer_timeout(overdue.consumer, self.broker.config.consumer_timeout);
            late.extend(
                timeout.filter(|timeout| overdue.held_ms >= *timeout).map(|timeout| (overdue, timeout)),
            );
        }
        let Some((_, timeout)) = late.first() else { return Ok(()) };
        if late.iter().any(|(overdue, _)| overdue.consumer.is_none())
            || !self.outbox.lock().cancels_consumers()
        {
            return Err(precondition_failed(format!(
                "delivery acknowledgement on channel {number} timed out. Timeout value used: {timeout} ms. This \
                 timeout value can be configured, see consumers doc guide to learn more"
            )));
        }
        for (overdue, _) in late {
            if let Some(id) = overdue.consumer {
                self.cancel_late(number, &overdue, id);
            }
        }
        self.feed(number);
        Ok(())
    }

    fn cancel_late(&mut self, number: u16, overdue: &Overdue, id: ConsumerId) {
        let Overdue { queue, held_ms, .. } = overdue;
        let mut outbox = self.outbox.lock();
        let Some(window) = outbox.window(number) else { return };
        let returned = window.take_held_by(id, queue);
        if let Some(consumer_tag) = window.consumer_tag(id, queue) {
            outbox.cancel_consumer(number, &consumer_tag, &(queue.clone(), id));
        }
        drop(outbox);
        if returned.is_empty() {
            return; // the consumer had several that were late
        }
        tracing::warn!(
            parent: &self.span(),
            channel = number,
            queue = %queue.spec.name,
            held_ms,
            "consumer cancelled: it holds a message for too long"
        );
        if queue.cancel_returning(id, returned, &mut self.effects) {
            self.last_consumer_left(queue);
        }
    }
}
