//! Class tx (AMQP 1.9): publishes and settlements of a channel wait for commit or rollback.

use super::publish::has_rules;
use crate::connection::{
    channel::{Mode, Transaction},
    session::Session,
};
use crate::core::{
    confirms::Fate,
    dedup::Seen,
    error::{AmqpError, precondition_failed},
    journal::Commits,
    message::{Message, Publication},
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
        let publishes = std::mem::take(&mut transaction.publishes);
        let vhost = self.vhost.clone();
        // A message without headers is nobody's duplicate.
        let may_be_seen = publishes.iter().any(|(message, _)| has_rules(&message.view()));
        let mut seen = may_be_seen.then(|| vhost.seen.lock());
        let outcome = self.publish_all(number, publishes, seen.as_deref_mut());
        let settlements = std::mem::take(&mut transaction.settlements);
        if outcome.is_ok() {
            for (how, unacked) in settlements {
                self.carry_out(number, how, unacked);
            }
        } else {
            // What it settled goes back with everything else that the channel holds.
            transaction.settlements = settlements;
            self.unsettle(number, transaction);
        }
        let commit = self.append(true);
        if let Some(seen) = &mut seen {
            seen.committed(commit);
        }
        drop(seen);
        let Some(mut commits) = outcome? else { return Err(precondition_failed("partial tx completion")) };
        commits.add(commit);
        commits.iter().for_each(|commit| self.hold_back(commit));
        self.reply(number, &tx::CommitOk {});
        Ok(())
    }

    /// Delivers what a transaction published. Gives the commits of the first ones that its messages are duplicates of, or nothing if
    /// a queue had no room for one of them.
    fn publish_all(
        &mut self,
        number: u16,
        publishes: Vec<(Message, bool)>,
        mut seen: Option<&mut Seen>,
    ) -> Result<Option<Commits>, AmqpError> {
        let mut firsts = Some(Commits::default());
        let now = self.broker.clock.now();
        for (message, mandatory) in publishes {
            // Its time to live begins now, as in RabbitMQ.
            let mut run = [Publication::kept(message.published(now))];
            let way = self.way(number, &run);
            let outcome =
                way.and_then(|way| self.hand_on(&way, number, mandatory, &mut run, seen.as_deref_mut()));
            match outcome {
                // The exchange went between publish and commit: there is no route (RabbitMQ commits, too).
                Err(error) if error.code == ReplyCode::NotFound => {
                    self.return_if(mandatory, number, &run[0].view());
                }
                Ok(outcome) => match outcome.fate {
                    Fate::Refused => firsts = None,
                    _ if !outcome.refused.is_empty() => firsts = None,
                    Fate::After(commits) => firsts = firsts.map(|firsts| firsts.and(&commits)),
                    Fate::Taken | Fate::Journaled => {}
                },
                Err(error) => return Err(error),
            }
        }
        Ok(firsts)
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
