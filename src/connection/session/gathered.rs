//! What a turn gathers and does at once.
//!
//! A session's verbs, each with one meaning here and wherever the session is worked on:
//!
//! - *settle*: what the client has acked is given to the queues that it came from;
//! - *append*: the journal gets what changed as one group, and gives the [`Commit`] after which that is durable;
//! - *confirm*: publishers are told what became of their messages, at once or when the commits that these need are complete;
//! - *flush*: deliveries are sent, and what has gathered is appended and confirmed; each turn ends with it;
//! - *hold back*: answers wait until a commit is complete.
//!
//! Only a client commits: `tx.commit`.

use super::Session;
use crate::connection::channel::{Mode, RunOutcome};
use crate::core::{
    commit::Commit,
    error::AmqpError,
    source::{Unacked, settle_by_source},
    topology::Topology,
};
use crate::limits::{PATTERN_STEPS, TAP_STEPS, TOPOLOGY_STEPS};

impl Session {
    /// Notes that acks settled something on a channel; [`Self::settle_acked`] carries it out.
    pub(in crate::connection) fn acked(&mut self, channel: u16) -> &mut Vec<Unacked> {
        if self.acked_on.last() != Some(&channel) {
            self.acked_on.push(channel);
        }
        &mut self.acked
    }

    /// Settles what the acks of this read named, each queue's in one go.
    pub(in crate::connection) fn settle_acked(&mut self) {
        if self.acked_on.is_empty() {
            return;
        }
        let Self { acked, effects, .. } = self;
        settle_by_source(std::mem::take(acked), |source, unacked| source.settle(unacked, effects));
        while let Some(channel) = self.acked_on.pop() {
            self.feed(channel);
        }
    }

    /// Notes what became of a run of `count` messages on a channel. In confirm mode [`Self::confirm`] tells the client.
    pub(in crate::connection) fn note_outcome(&mut self, number: u16, count: usize, outcome: RunOutcome) {
        if let Some(channel) = self.channels.get_mut(number)
            && let Mode::Confirm(unconfirmed) = &mut channel.mode
        {
            unconfirmed.note(count, outcome);
            if self.confirms_due.last() != Some(&number) {
                self.confirms_due.push(number);
            }
        }
    }

    /// Sends deliveries, then appends and confirms what has gathered.
    pub(in crate::connection) fn flush(&mut self) {
        self.broker.sizes.take(&mut self.sizes);
        // Deliveries first: the log's thread is woken and takes the processor, and the disk takes longer than they do.
        self.effects.outgoing.send();
        self.append_and_confirm();
        self.effects.outgoing.send();
    }

    /// Appends what changed, and confirms what was published until now. Deliveries wait for [`Self::flush`].
    pub(in crate::connection) fn append_and_confirm(&mut self) {
        let commit = self.append(false);
        self.confirm(commit);
    }

    /// Confirms what was published: at once, or when the commits that it needs are complete. `commit` has what was appended since
    /// this was last done.
    fn confirm(&mut self, commit: Commit) {
        while let Some(number) = self.confirms_due.pop() {
            let Self { channels, outbox, .. } = self;
            let Some(channel) = channels.get_mut(number) else { continue };
            if let Mode::Confirm(unconfirmed) = &mut channel.mode
                && !channel.closing
            {
                let awaited = outbox.lock().confirm(number, unconfirmed.due.drain(..), commit);
                for commit in awaited.iter() {
                    self.broker.journal.notify(commit, self.outbox.clone());
                }
            }
        }
    }

    /// Lets messages that have left their queue depart, and gives the journal what changed: as one group that a crash keeps or loses
    /// as a whole, if it is `atomic`.
    pub(in crate::connection) fn append(&mut self, atomic: bool) -> Commit {
        self.departed |= !self.effects.departures.is_empty();
        self.turn.spend(self.effects.taps.len() * TAP_STEPS);
        self.vhost.append(&mut self.effects, atomic)
    }

    /// Everything that is sent from now on waits for a commit.
    pub(in crate::connection) fn hold_back(&self, commit: Commit) {
        self.outbox.lock().hold_back(commit);
        self.broker.journal.notify(commit, self.outbox.clone());
    }

    /// What is answered from now on waits until what it says of the topology is durable.
    pub(in crate::connection) fn hold_back_for_topology(&self) {
        if let Some(commit) = self.vhost.last_change() {
            self.hold_back(commit);
        }
    }

    /// Changes the topology; what is answered from now on waits until it is durable.
    pub(in crate::connection) fn change_topology<T>(
        &mut self,
        operation: impl FnOnce(&mut Topology) -> Result<T, AmqpError>,
    ) -> Result<T, AmqpError> {
        let change = |topology: &mut Topology| (operation(topology), topology.policies_count());
        let ((result, policies), commit) = self.vhost.change(change);
        self.turn.spend(TOPOLOGY_STEPS + policies * PATTERN_STEPS);
        if let Some(commit) = commit {
            self.hold_back(commit);
        }
        result
    }
}
