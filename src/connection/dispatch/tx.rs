//! Class tx (AMQP 1.9): publishes and settlements of a channel wait for commit or rollback.

use crate::connection::{
    channel::{Mode, Transaction},
    session::Session,
};
use crate::core::{
    error::{AmqpError, precondition_failed},
    message::Publication,
};
use crate::protocol::{ReplyCode, tx};

impl Session {
    pub(super) fn tx_select(&mut self, number: u16) -> Result<(), AmqpError> {
        let empty = Transaction::new(self.broker.gauge.clone());
        let channel = self.channel(number);
        match &channel.mode {
            Mode::Plain => channel.mode = Mode::Transaction(empty),
            Mode::Transaction(_) => {}
            Mode::Confirm(_) => return Err(precondition_failed("cannot switch from confirm to tx mode")),
        }
        self.reply(number, &tx::SelectOk {});
        Ok(())
    }

    /// Publishes first, then settlements, as RabbitMQ does; all of them are one group for the journal. If a queue had no room
    /// for one of the messages, the client is told by 406, and the rest is done (RabbitMQ).
    pub(super) fn tx_commit(&mut self, number: u16) -> Result<(), AmqpError> {
        self.commit();
        let mut transaction = self.take_transaction(number)?;
        self.published_run.refused.clear();
        for (message, mandatory) in std::mem::take(&mut transaction.publishes) {
            let mut run = [Publication::kept(message)];
            match self.route_and_deliver(number, mandatory, &mut run) {
                // The exchange went between publish and commit: there is no route (RabbitMQ commits, too).
                Err(error) if error.code == ReplyCode::NotFound => {
                    self.return_if(mandatory, number, &run[0].view());
                }
                Err(error) => {
                    // What it settled goes back with everything else that the channel holds.
                    self.unsettle(number, transaction);
                    return Err(error);
                }
                Ok(()) => {}
            }
        }
        for (how, unacked) in transaction.settlements {
            self.carry_out(number, how, unacked);
        }
        let commit = self.append(true);
        if !self.published_run.refused.is_empty() {
            return Err(precondition_failed("partial tx completion"));
        }
        self.hold_back(commit);
        self.reply(number, &tx::CommitOk {});
        Ok(())
    }

    pub(super) fn tx_rollback(&mut self, number: u16) -> Result<(), AmqpError> {
        let transaction = self.take_transaction(number)?;
        self.unsettle(number, transaction);
        self.reply(number, &tx::RollbackOk {});
        Ok(())
    }

    /// What a transaction had settled is unacknowledged again.
    fn unsettle(&self, number: u16, transaction: Transaction) {
        if let Some(window) = self.outbox.lock().window(number) {
            window.restore(transaction.into_unsettled());
        }
    }

    fn take_transaction(&mut self, number: u16) -> Result<Transaction, AmqpError> {
        let empty = Transaction::new(self.broker.gauge.clone());
        if let Some(window) = self.outbox.lock().window(number) {
            window.transaction_ended();
        }
        match &mut self.channel(number).mode {
            Mode::Transaction(transaction) => Ok(std::mem::replace(transaction, empty)),
            Mode::Plain | Mode::Confirm(_) => Err(precondition_failed("channel is not transactional")),
        }
    }
}
