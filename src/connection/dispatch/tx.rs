//! Class tx (AMQP 1.9): publishes and settlements of a channel wait for commit or rollback.

use crate::connection::{
    channel::{Mode, Transaction},
    session::Session,
};
use crate::core::{
    error::{AmqpError, precondition_failed},
    message::Publication,
};
use crate::protocol::tx;

impl Session {
    pub(super) fn tx_select(&mut self, number: u16) -> Result<(), AmqpError> {
        let channel = self.channel(number);
        match &channel.mode {
            Mode::Plain => channel.mode = Mode::Transaction(Transaction::default()),
            Mode::Transaction(_) => {}
            Mode::Confirm(_) => return Err(precondition_failed("cannot switch from confirm to tx mode")),
        }
        self.reply(number, &tx::SelectOk {});
        Ok(())
    }

    /// Publishes first, then settlements, as RabbitMQ does.
    pub(super) fn tx_commit(&mut self, number: u16) -> Result<(), AmqpError> {
        let mut transaction = self.take_transaction(number)?;
        for (message, mandatory) in std::mem::take(&mut transaction.publishes) {
            let mut run = [Publication::kept(message)];
            if let Err(error) = self.route_and_deliver(number, mandatory, &mut run) {
                // What it settled goes back with everything else that the channel holds.
                self.unsettle(number, transaction);
                return Err(error);
            }
        }
        for (how, unacked) in transaction.settlements {
            self.carry_out(how, unacked);
        }
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
        match &mut self.channel(number).mode {
            Mode::Transaction(transaction) => Ok(std::mem::take(transaction)),
            Mode::Plain | Mode::Confirm(_) => Err(precondition_failed("channel is not transactional")),
        }
    }
}
