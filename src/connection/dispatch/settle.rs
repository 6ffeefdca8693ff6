//! Class basic: acknowledging, rejecting, recovering (AMQP 1.8.3.13 to 1.8.3.16; RabbitMQ's basic.nack).

use super::connection::UNEXPECTED_ON_ZERO;
use crate::connection::{
    channel::{Mode, Settlement},
    session::Session,
    work::{Settling, Work},
};
use crate::core::{
    error::{AmqpError, channel_error, not_implemented, unexpected_frame},
    source::{Comeback, Unacked, settle_by_source},
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
                channel_error(UNEXPECTED_ON_ZERO)
            } else {
                channel_error("expected 'channel.open'")
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
        let max = self.turn.share(usize::MAX, 1);
        let acked = self.acked(number);
        let before = acked.len();
        let more = window.settle(tag, multiple, max, acked)?;
        // One of them is paid for with the frame.
        let count = acked.len() - before;
        window.count_acknowledged(count);
        let others = count.saturating_sub(1);
        self.turn.spend(others);
        if let Some(up_to) = more {
            self.begin(Work::Settle(Settling::new(number, Settlement::Ack, up_to)));
        }
        Ok(())
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
        let mut taken = Vec::new();
        let max = self.turn.share(usize::MAX, how.steps());
        let more = match self.outbox.lock().window(number) {
            Some(window) => window.settle(tag, multiple, max, &mut taken)?,
            None => None,
        };
        let transactional = matches!(self.channel(number).mode, Mode::Transaction(_));
        match more {
            Some(up_to) => {
                let mut settling = Settling::new(number, how, up_to);
                self.settle_part(&mut settling, taken);
                self.begin(Work::Settle(settling));
            }
            None if transactional => self.settle_in_transaction(number, how, taken),
            None => {
                self.turn.spend(taken.len() * how.steps());
                self.settle_now(number, how, taken);
            }
        }
        Ok(())
    }

    /// Settles or gives back messages, each queue's in one go.
    fn settle_now(&mut self, number: u16, how: Settlement, unacked: Vec<Unacked>) {
        self.count_settled(number, how, unacked.len());
        let effects = &mut self.effects;
        settle_by_source(unacked, |source, unacked| match how {
            Settlement::Ack => source.settle(unacked, effects),
            Settlement::Drop => source.reject(unacked, effects),
            Settlement::Requeue(why) => source.requeue(unacked, why, effects),
        });
        self.feed(number);
    }

    fn count_settled(&self, number: u16, how: Settlement, messages: usize) {
        if how == Settlement::Ack
            && let Some(window) = self.outbox.lock().window(number)
        {
            window.count_acknowledged(messages);
        }
    }

    pub(super) fn recover(&mut self, number: u16, requeue: bool, answer: bool) -> Result<(), AmqpError> {
        if !requeue {
            return Err(not_implemented("requeue=false"));
        }
        let Some(last) = self.outbox.lock().window(number).map(|window| window.last_tag()) else {
            return Ok(());
        };
        let how = Settlement::Requeue(Comeback::Returned);
        self.begin(Work::Settle(Settling { answer, ..Settling::new(number, how, last) }));
        Ok(())
    }

    /// Gives what is left when the turn is over.
    pub(in crate::connection) fn resume_settling(&mut self, mut settling: Settling) -> Option<Settling> {
        self.settle_acked();
        let Settling { number, how, up_to, answer, .. } = settling;
        while !self.turn.is_over() {
            let mut taken = Vec::new();
            let max = self.turn.share(usize::MAX, how.steps());
            let more = match self.outbox.lock().window(number) {
                Some(window) => window.take_up_to(up_to, max, &mut taken),
                None => false,
            };
            self.settle_part(&mut settling, taken);
            if more {
                continue;
            }
            while let Some((_, source)) = settling.returned_to.pop_first() {
                source.dispatch(&mut self.effects);
            }
            self.feed(number);
            if answer {
                self.reply(number, &basic::RecoverOk {});
            }
            return None;
        }
        Some(settling)
    }

    /// Settles some of many messages. Those that return to a queue are delivered again when all of them are there, so that they
    /// keep their order.
    fn settle_part(&mut self, settling: &mut Settling, taken: Vec<Unacked>) {
        let (number, how) = (settling.number, settling.how);
        if let Some(Mode::Transaction(_)) = self.channel_slot(number).map(|channel| &channel.mode) {
            return self.settle_in_transaction(number, how, taken);
        }
        self.turn.spend(taken.len() * how.steps());
        self.count_settled(settling.number, settling.how, taken.len());
        let Settling { how, returned_to, .. } = settling;
        let effects = &mut self.effects;
        settle_by_source(taken, |source, unacked| match how {
            Settlement::Ack => source.settle(unacked, effects),
            Settlement::Drop => source.reject(unacked, effects),
            Settlement::Requeue(why) => {
                source.clone().give_back(unacked, *why, effects);
                returned_to.entry(source.id()).or_insert(source);
            }
        });
    }

    /// Keeps settlements for the commit.
    fn settle_in_transaction(&mut self, number: u16, how: Settlement, taken: Vec<Unacked>) {
        self.turn.spend(taken.len());
        if let Some(window) = self.outbox.lock().window(number) {
            window.settled_in_transaction(&taken);
        }
        if let Some(Mode::Transaction(transaction)) =
            self.channel_slot(number).map(|channel| &mut channel.mode)
            && !taken.is_empty()
        {
            transaction.settle(how, taken);
        }
    }

    /// Settles one piece of what a transaction had settled.
    pub(super) fn settle_committed(&mut self, number: u16, how: Settlement, unacked: Vec<Unacked>) {
        self.turn.spend(unacked.len() * how.steps());
        self.settle_now(number, how, unacked);
    }
}
