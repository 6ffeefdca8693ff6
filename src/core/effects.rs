//! What an operation on a queue leads to beyond the queue: its caller carries that out.

use std::sync::Arc;

use crate::core::{
    change::Changes, client::Client, dead_letter::Reason, entry::Entry, observing::Tap, outgoing::Outgoing,
    placement::QueueId, policy::QueueSettings,
};
use crate::protocol::ShortString;

/// What is still to be done after an operation.
#[derive(Default)]
pub struct Effects {
    /// For the journal.
    pub changes: Changes,
    /// Messages that have left their queue and go elsewhere, in the order in which they left. The journal is told of neither
    /// until that is done: then of both in one group, so that a crash leaves a message in one place.
    pub departures: Vec<Departure>,
    /// Deliveries that are to be sent: before anything that takes longer than they do.
    pub outgoing: Outgoing,
    /// Who does what is done, if it is a client.
    pub by: Option<Arc<Client>>,
    /// What is to be published to `amq.rabbitmq.trace`, in order. Nothing is told of these messages in turn.
    pub taps: Vec<Tap>,
    /// What queues must read before they go on, and leave for later because the caller holds a lock that others need.
    unread: Vec<Unread>,
    defers_reads: bool,
}

/// What a queue must read before it goes on, and the rest of what it was about to do.
pub type Unread = Box<dyn FnOnce(&mut Effects) + Send>;

/// A message that has left its queue and goes elsewhere, with the name and rules of the queue as they were at that moment: they
/// decide where it goes.
pub struct Departure {
    /// Where it was.
    pub queue: QueueId,
    /// What that queue is called.
    pub name: ShortString,
    /// The rules of that queue.
    pub settings: Arc<QueueSettings>,
    /// The message.
    pub entry: Entry,
    /// Why.
    pub cause: Cause,
}

/// Why a message leaves its queue for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It is dead.
    Dead(Reason),
    /// It was published with a delay, which is over.
    Due,
}

impl Effects {
    /// None yet, of what a client does.
    pub fn by(client: Option<Arc<Client>>) -> Self {
        Self { by: client, ..Self::default() }
    }

    /// From now on nothing is read from the disk, because a lock is held, until [`Self::read_deferred`].
    pub fn defer_reads(&mut self) {
        self.defers_reads = true;
    }

    /// Whether a queue that has something to read must leave it for later, by [`Self::defer`].
    pub fn defers_reads(&self) -> bool {
        self.defers_reads
    }

    /// Leaves something for later.
    pub fn defer(&mut self, unread: Unread) {
        self.unread.push(unread);
    }

    /// Lets queues go on that had something to read. To be called when no lock is held.
    pub fn read_deferred(&mut self) {
        self.defers_reads = false;
        for unread in std::mem::take(&mut self.unread) {
            unread(self);
        }
    }

    /// Takes over what another operation led to.
    pub fn append(&mut self, mut later: Self) {
        self.unread.append(&mut later.unread);
        self.changes.append(&mut later.changes);
        self.departures.append(&mut later.departures);
        self.taps.append(&mut later.taps);
        self.outgoing.append(later.outgoing);
    }

    /// How much is to be done: grows with each change and departure.
    #[inline]
    pub fn len(&self) -> usize {
        self.changes.len() + self.departures.len()
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.departures.is_empty()
    }
}
