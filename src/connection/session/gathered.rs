//! What a turn gathers and does at once: acks, confirms, deliveries, and what the journal is given.

use super::Session;
use crate::connection::channel::{Mode, Outcome};
use crate::core::{
    commit::Commit, error::AmqpError, queue::settle_by_queue, topology::Topology, window::Unacked,
};

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
        settle_by_queue(std::mem::take(acked), |queue, unacked| queue.settle(unacked, effects));
        while let Some(channel) = self.acked_on.pop() {
            self.feed(channel);
        }
    }

    /// A run of `count` messages was published on a channel: in confirm mode the client is told when their fate is sealed.
    pub(in crate::connection) fn note_outcome(&mut self, number: u16, count: usize, outcome: Outcome) {
        if let Some(channel) = self.channels.get_mut(number)
            && let Mode::Confirm(unconfirmed) = &mut channel.mode
        {
            unconfirmed.note(count, outcome);
            if self.confirms_due.last() != Some(&number) {
                self.confirms_due.push(number);
            }
        }
    }

    /// Sends deliveries, and does what [`Self::append_and_confirm`] does.
    pub(in crate::connection) fn flush(&mut self) {
        // Deliveries first: the log's thread is woken and takes the processor, and the disk takes longer than they do.
        self.effects.outgoing.send();
        self.append_and_confirm();
        self.effects.outgoing.send();
    }

    /// Gives the journal what changed, and confirms what was published: at once, or with the journal's commit. What is to be
    /// delivered waits for the end of the read.
    pub(in crate::connection) fn append_and_confirm(&mut self) {
        let commit = self.append(false);
        self.confirm(commit);
    }

    /// Confirms what was published: at once, or when its commits are complete. `commit` has what was journaled since this was
    /// last done.
    fn confirm(&mut self, commit: Commit) {
        while let Some(number) = self.confirms_due.pop() {
            let Self { channels, outbox, .. } = self;
            let Some(channel) = channels.get_mut(number) else { continue };
            if let Mode::Confirm(unconfirmed) = &mut channel.mode
                && !channel.closing
            {
                let awaited = outbox.lock().confirm(number, unconfirmed.due.drain(..), commit);
                for commit in awaited.iter() {
                    self.broker.journal.notify(commit, &self.outbox);
                }
            }
        }
    }

    /// Sends on what left its queue for another one, and gives the journal what changed.
    pub(in crate::connection) fn append(&mut self, atomic: bool) -> Commit {
        self.departed |= !self.effects.departures.is_empty();
        self.vhost.append(&mut self.effects, atomic)
    }

    /// Everything that is sent from now on waits for a commit.
    pub(in crate::connection) fn hold_back(&self, commit: Commit) {
        self.outbox.lock().hold_back(commit);
        self.broker.journal.notify(commit, &self.outbox);
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
        let (result, commit) = self.vhost.change(operation);
        if let Some(commit) = commit {
            self.hold_back(commit);
        }
        result
    }
}
