//! Class tx (AMQP 1.9): publishes and settlements of a channel wait for commit or rollback.

use super::{routing::Asked, rules::has_rules};
use crate::connection::{
    channel::{Mode, Transaction},
    session::Session,
    work::{Committing, Work},
};
use crate::core::{
    commit::{Commit, Commits},
    dedup::Seen,
    effects::Effects,
    error::{AmqpError, precondition_failed},
    message::Publication,
};
use crate::protocol::{ReplyCode, tx};

impl Session {
    pub(super) fn tx_select(&mut self, number: u16) -> Result<(), AmqpError> {
        let empty = Transaction::new(&self.memory);
        let channel = self.channel(number);
        match &channel.mode {
            Mode::Plain => {
                channel.tally.set_transactional();
                channel.mode = Mode::Transaction(Box::new(empty));
            }
            Mode::Transaction(_) => {}
            Mode::Confirm(_) => return Err(precondition_failed("cannot switch from confirm to tx mode")),
        }
        self.reply(number, &tx::SelectOk {});
        Ok(())
    }

    /// Publishes first, then settlements, as RabbitMQ does; all of them are one group for the journal. If a queue had no room
    /// for one of the messages, the client is told by 406, and the rest is done (RabbitMQ).
    pub(super) fn tx_commit(&mut self, number: u16) -> Result<(), AmqpError> {
        self.flush();
        let mut transaction = self.take_transaction(number)?;
        let publishes = std::mem::take(&mut transaction.publishes).into_iter();
        let settlements = std::mem::take(&mut transaction.settlements).into();
        // A message without headers cannot be a duplicate.
        let may_be_seen = publishes.as_slice().iter().any(|(message, _)| has_rules(&message.view()));
        self.begin(Work::Commit(Box::new(Committing {
            number,
            now: self.broker.clock.now(),
            publishes,
            settlements,
            firsts: Some(Commits::default()),
            effects: Effects::by(self.effects.by.clone()),
            may_be_seen,
            transaction,
        })));
        Ok(())
    }

    /// Gives what is left when the turn is over. A commit with messages that may be duplicates is carried out in one turn, under
    /// the lock of what was seen: no other connection finds an entry there that the journal does not have yet.
    pub(in crate::connection) fn resume_committing(
        &mut self,
        mut committing: Box<Committing>,
    ) -> Option<Box<Committing>> {
        let vhost = self.vhost.clone();
        let mut seen = committing.may_be_seen.then(|| vhost.seen());
        // The commit's changes are kept apart from all others until they are complete.
        std::mem::swap(&mut self.effects, &mut committing.effects);
        if seen.is_some() {
            self.effects.defer_reads();
        }
        let done = self.publish_some(&mut committing, seen.as_deref_mut());
        let done = done.map(|published| published && self.settle_some(&mut committing));
        if let Ok(false) = done {
            self.effects.outgoing.send();
            std::mem::swap(&mut self.effects, &mut committing.effects);
            return Some(committing);
        }
        let commit = self.append(true);
        if let Some(mut seen) = seen {
            seen.committed(commit);
            vhost.release_seen(seen);
        }
        self.effects.outgoing.send();
        std::mem::swap(&mut self.effects, &mut committing.effects);
        self.effects.append(std::mem::take(&mut committing.effects));
        self.effects.read_deferred();
        self.end_commit(*committing, commit, done.map(drop));
        None
    }

    fn end_commit(&mut self, committing: Committing, commit: Commit, outcome: Result<(), AmqpError>) {
        let Committing { number, firsts, mut transaction, settlements, .. } = committing;
        if let Some(window) = self.outbox.lock().window(number) {
            window.transaction_ended();
        }
        let answer =
            outcome.and_then(|()| firsts.ok_or_else(|| precondition_failed("partial tx completion")));
        // After an error, what it settled returns with everything else that the channel holds.
        transaction.settlements = settlements.into();
        self.unsettle(number, transaction);
        match answer {
            Ok(mut commits) => {
                commits.add(commit);
                commits.iter().for_each(|commit| self.hold_back(commit));
                self.reply(number, &tx::CommitOk {});
                self.feed(number);
            }
            Err(error) => self.fail(number, &error, (tx::CLASS_ID, tx::Commit::METHOD_ID)),
        }
    }

    /// Routes and enqueues what a transaction published: all of it if the record of what was seen is locked, otherwise as far as
    /// this turn allows. Whether that was all.
    fn publish_some(
        &mut self,
        committing: &mut Committing,
        mut seen: Option<&mut Seen>,
    ) -> Result<bool, AmqpError> {
        let number = committing.number;
        while seen.is_some() || !self.turn.is_over() {
            let Some((message, mandatory)) = committing.publishes.next() else { return Ok(true) };
            // Its time to live begins now, as in RabbitMQ.
            let mut message = message.published(committing.now);
            message.count_on(self.broker.gauge);
            let mut run = [Publication::kept(message)];
            let way = self.way(number, &run, Asked::Before);
            let outcome =
                way.and_then(|way| self.follow(&way, number, mandatory, &mut run, seen.as_deref_mut()));
            match outcome {
                // The exchange was deleted between publish and commit. The message has no route; the commit goes on (RabbitMQ).
                Err(error) if error.code == ReplyCode::NotFound => {
                    self.return_or_drop(mandatory, number, &run[0].view());
                }
                Ok(outcome) => committing.note(outcome),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Settles what a transaction settled, in the same way.
    fn settle_some(&mut self, committing: &mut Committing) -> bool {
        while committing.may_be_seen || !self.turn.is_over() {
            let Some((how, unacked)) = committing.settlements.pop_front() else { return true };
            self.settle_committed(committing.number, how, unacked);
        }
        false
    }

    pub(super) fn tx_rollback(&mut self, number: u16) -> Result<(), AmqpError> {
        let transaction = self.take_transaction(number)?;
        if let Some(window) = self.outbox.lock().window(number) {
            window.transaction_ended();
        }
        self.unsettle(number, transaction);
        self.reply(number, &tx::RollbackOk {});
        Ok(())
    }

    /// Makes what a transaction had settled unacknowledged again.
    fn unsettle(&self, number: u16, transaction: Transaction) {
        if let Some(window) = self.outbox.lock().window(number) {
            window.restore(transaction.into_unsettled());
        }
    }

    fn take_transaction(&mut self, number: u16) -> Result<Transaction, AmqpError> {
        let empty = Transaction::new(&self.memory);
        match &mut self.channel(number).mode {
            Mode::Transaction(transaction) => Ok(std::mem::replace(&mut **transaction, empty)),
            Mode::Plain | Mode::Confirm(_) => Err(precondition_failed("channel is not transactional")),
        }
    }
}
