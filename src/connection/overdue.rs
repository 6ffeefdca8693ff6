//! Consumers that hold messages longer than they may (RabbitMQ's `consumer_timeout`).
//!
//! What they hold goes back to its queue, and the consumer is cancelled; a client that does not understand `basic.cancel` from
//! the server loses the channel (RabbitMQ 4.3).

use super::session::{MethodIds, Session};
use crate::core::{
    error::{AmqpError, precondition_failed},
    queue::{Comeback, settle_by_queue},
    window::{Overdue, Unacked},
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
        self.commit();
        self.wake_writer();
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
        let mut returned: Vec<Unacked> = Vec::new();
        for (overdue, _) in late {
            tracing::warn!(
                connection = self.id.0,
                channel = number,
                queue = %overdue.queue.spec.name,
                held_ms = overdue.held_ms,
                "consumer cancelled: it holds a message for too long"
            );
            if let Some(window) = self.outbox.lock().window(number) {
                // It may have been settled meanwhile.
                let _gone = window.settle(overdue.tag, false, &mut returned);
            }
            self.cancel_late(number, &overdue);
        }
        settle_by_queue(returned, |queue, unacked| {
            queue.requeue(unacked, Comeback::Returned, &mut self.effects);
        });
        Ok(())
    }

    fn cancel_late(&mut self, number: u16, overdue: &Overdue) {
        let Some(id) = overdue.consumer else { return };
        let tag =
            self.outbox.lock().window(number).and_then(|window| window.consumer_tag(id, &overdue.queue));
        let Some(consumer_tag) = tag else { return };
        self.outbox.lock().cancel_consumer(number, &consumer_tag);
        if overdue.queue.cancel(id, &mut self.effects) {
            self.last_consumer_left(&overdue.queue);
        }
    }
}
