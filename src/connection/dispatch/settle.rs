//! Class basic: acknowledging, rejecting, recovering (AMQP 1.8.3.13 to 1.8.3.16; RabbitMQ's basic.nack).

use crate::connection::{
    channel::{Mode, Settlement},
    session::Session,
};
use crate::core::{
    error::{AmqpError, not_implemented, unexpected_frame},
    queue::{Comeback, feed_by_channel, settle_by_queue},
    window::Unacked,
};
use crate::protocol::basic;

impl Session {
    /// `basic.ack`: noted, and settled with the other acks of this read.
    pub(in crate::connection) fn ack(
        &mut self,
        number: u16,
        tag: u64,
        multiple: bool,
    ) -> Result<(), AmqpError> {
        let Some(channel) = self.channel_slot(number) else {
            return Err(if number == 0 {
                crate::core::error::channel_error(super::UNEXPECTED_ON_ZERO)
            } else {
                crate::core::error::channel_error("expected 'channel.open'")
            });
        };
        if channel.closing {
            return Ok(());
        }
        channel.assembly.expect_method()?;
        if let Mode::Transaction(_) = channel.mode {
            return self.settle(number, tag, multiple, Settlement::Ack);
        }
        let outbox = self.outbox.clone();
        let mut outbox = outbox.lock();
        let window = outbox.window(number).ok_or_else(|| unexpected_frame("channel has no window"))?;
        window.settle(tag, multiple, self.acked(number))
    }

    pub(super) fn reject(&mut self, number: u16, reject: &basic::Reject) -> Result<(), AmqpError> {
        let how = if reject.requeue { Settlement::Requeue(Comeback::Failed) } else { Settlement::Drop };
        self.settle(number, reject.delivery_tag, false, how)
    }

    pub(super) fn nack(&mut self, number: u16, nack: &basic::Nack) -> Result<(), AmqpError> {
        let how = if nack.requeue { Settlement::Requeue(Comeback::Returned) } else { Settlement::Drop };
        self.settle(number, nack.delivery_tag, nack.multiple, how)
    }

    fn settle(&mut self, number: u16, tag: u64, multiple: bool, how: Settlement) -> Result<(), AmqpError> {
        self.settle_acked();
        let transactional = matches!(self.channel(number).mode, Mode::Transaction(_));
        let mut taken = Vec::new();
        if let Some(window) = self.outbox.lock().window(number) {
            window.settle(tag, multiple, &mut taken)?;
            if transactional {
                window.settled_in_transaction(&taken);
            }
        }
        if let Mode::Transaction(transaction) = &mut self.channel(number).mode {
            if !taken.is_empty() {
                transaction.settlements.push((how, taken));
            }
        } else {
            self.carry_out(number, how, taken);
        }
        Ok(())
    }

    /// Settles or gives back messages, each queue's in one go.
    pub(super) fn carry_out(&mut self, number: u16, how: Settlement, unacked: Vec<Unacked>) {
        let effects = &mut self.effects;
        settle_by_queue(unacked, |queue, unacked| match how {
            Settlement::Ack => queue.settle(unacked, effects),
            Settlement::Drop => queue.reject(unacked, effects),
            Settlement::Requeue(why) => queue.requeue(unacked, why, effects),
        });
        feed_by_channel(&self.outbox, number, effects);
    }

    pub(super) fn recover(&mut self, number: u16, requeue: bool, answer: bool) -> Result<(), AmqpError> {
        if !requeue {
            return Err(not_implemented("requeue=false"));
        }
        let unacked = self.outbox.lock().window(number).map(|window| window.take_all());
        self.carry_out(number, Settlement::Requeue(Comeback::Returned), unacked.unwrap_or_default());
        if answer {
            self.reply(number, &basic::RecoverOk {});
        }
        Ok(())
    }
}
