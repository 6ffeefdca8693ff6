//! What must outlive the process: changes that queues and topology give out as values, and the journal that takes them.
//!
//! The core says what changed; it knows no file. Whoever runs an operation hands its [`Changes`] to a [`Journal`] afterwards, and
//! gets the [`Commit`] that they are part of. Whatever must not be told to anybody before it is safe (confirms,
//! `declare-ok`, `commit-ok`) waits in the connection's outbox for that commit.
//!
//! Two sessions may append in another order than their queue took the messages: a settlement can come before the
//! publish that it settles. Changes of topology come in the order in which they happened.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use smallvec::SmallVec;

use crate::core::{
    clock::{Clock, ManualClock, Millis},
    memory::Holder,
    message::{Message, Publication},
    outbox::{SharedOutbox, wake_writer},
    policy::{PolicyKind, PolicySpec},
    queue::SharedQueue,
    topology::{Binding, ExchangeSpec, VhostSettings},
};
use crate::protocol::{FieldTable, ShortString};

/// Names a queue in the journal; never used again for another one.
///
/// Those of durable queues count from 1. Those of all others have the highest bit set: nothing of them is found again
/// after a restart, and they begin anew.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub u64);

impl QueueId {
    /// The bit that tells transient queues.
    const TRANSIENT: u64 = 1 << 63;

    /// The `number`-th transient queue of this run.
    pub fn transient(number: u64) -> Self {
        Self(number | Self::TRANSIENT)
    }

    /// Whether the queue survives a restart.
    pub fn is_durable(self) -> bool {
        self.0 & Self::TRANSIENT == 0
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_durable() { "queue" } else { "transient queue" };
        write!(f, "{kind} {}", self.0 & !Self::TRANSIENT)
    }
}

/// A message's place in one queue. Positions are never used again.
///
/// The highest octet of a position is the *line* of the queue that the message is in; a queue has one, or one for each
/// priority. The rest is the *counter*, one for all lines of the queue, which increases as messages are published to it.
/// So positions are in order within a line, and counters in the order of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Placement {
    /// The queue.
    pub queue: QueueId,
    /// The place in it.
    pub position: u64,
}

/// Bits of a position that are its counter; those above are its line.
pub const COUNTER_BITS: u32 = 56;

/// The highest counter of a position.
pub const COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;

/// The line that a position is in.
#[inline]
pub fn line_of(position: u64) -> u8 {
    (position >> COUNTER_BITS) as u8
}

/// When a position was drawn, among those of its queue.
#[inline]
pub fn counter_of(position: u64) -> u64 {
    position & COUNTER_MAX
}

/// A position in a line. The counter must not be higher than [`COUNTER_MAX`].
#[inline]
pub fn position_of(line: u8, counter: u64) -> u64 {
    debug_assert!(counter <= COUNTER_MAX, "a queue has no more than 2^56 positions");
    (u64::from(line) << COUNTER_BITS) | (counter & COUNTER_MAX)
}

/// The places of one message.
pub type Placements = SmallVec<[Placement; 1]>;

/// How often a message was handed out and came back to its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Attempts {
    /// All of them (RabbitMQ's `x-acquired-count`).
    pub returned: u16,
    /// Those that count against the delivery limit (RabbitMQ's `x-delivery-count`).
    pub failed: u16,
}

impl Attempts {
    /// One more; both numbers stay where they are when they are full.
    #[must_use]
    pub fn after_return(self, failed: bool) -> Self {
        Self {
            returned: self.returned.saturating_add(1),
            failed: self.failed.saturating_add(u16::from(failed)),
        }
    }
}

/// Something that must be remembered.
///
/// Settlements of messages that were in memory carry the message, so that one that is settled before it was written need not be
/// written at all: see [`Message::stage`].
#[derive(Debug)]
pub enum Change {
    /// A message entered queues. A message is in at most one such change.
    Publish {
        /// Its image.
        message: Message,
        /// Where it went.
        placements: Placements,
        /// Written only to make room in memory: it need not survive, and nobody waits for it.
        transient: bool,
    },
    /// A message left a queue for good.
    Settle {
        /// Where it was.
        placement: Placement,
        /// The message, unless it is on disk already.
        message: Option<Message>,
    },
    /// Messages that are on disk alone left a queue for good: all that are there between two positions, both included.
    SettleRange {
        /// The queue.
        queue: QueueId,
        /// First position.
        first: u64,
        /// Last position.
        last: u64,
    },
    /// A message came back to its queue.
    Return {
        /// Where it is.
        placement: Placement,
        /// How often that has happened to it.
        attempts: Attempts,
        /// It waits until then before it is delivered again; zero: it does not wait.
        due: Millis,
        /// The message.
        message: Message,
    },
    /// Exchanges, queues or bindings changed.
    Topology {
        /// The virtual host.
        vhost: ShortString,
        /// What changed.
        change: TopologyChange,
    },
}

/// A durable change of a virtual host's topology; or the end of a transient queue, which may have had messages on disk.
#[derive(Debug, Clone, PartialEq)]
pub enum TopologyChange {
    /// An exchange was made.
    ExchangeDeclared(ExchangeSpec),
    /// An exchange is gone. Its bindings went before, each with its own change.
    ExchangeDeleted(ShortString),
    /// A queue was made.
    QueueDeclared {
        /// Its name in the journal.
        id: QueueId,
        /// What was declared.
        name: ShortString,
        /// Goes with its last consumer.
        auto_delete: bool,
        /// Arguments as declared.
        arguments: FieldTable,
    },
    /// A queue is gone with all its messages. Its bindings went before, each with its own change.
    QueueDeleted {
        /// Its name in the journal.
        id: QueueId,
        /// Its name.
        name: ShortString,
    },
    /// A binding was made.
    Bound(Binding),
    /// A binding is gone.
    Unbound(Binding),
    /// A policy was set, perhaps in the place of another one.
    PolicySet {
        /// Whose it is.
        kind: PolicyKind,
        /// What was set.
        spec: PolicySpec,
    },
    /// A policy is gone.
    PolicyDeleted {
        /// Whose it was.
        kind: PolicyKind,
        /// Its name.
        name: ShortString,
    },
    /// Something was set for the virtual host as a whole.
    VhostSet(VhostSettings),
}

/// Changes in the order in which one task made them.
pub type Changes = Vec<Change>;

/// Notes that the messages of a run entered queues: `placed` has their places by their index in the run, and is emptied.
pub fn note_published(
    run: &mut [Publication<'_>],
    placed: &mut Vec<(usize, Placement)>,
    changes: &mut Changes,
) {
    if placed.is_empty() {
        return;
    }
    if !placed.is_sorted_by_key(|(index, _)| *index) {
        placed.sort_by_key(|(index, _)| *index);
    }
    for same in placed.chunk_by(|one, other| one.0 == other.0) {
        // A message that has a place in a queue is kept.
        let Publication::Kept(message) = &run[same[0].0] else { continue };
        changes.push(Change::Publish {
            message: message.clone(),
            placements: same.iter().map(|(_, placement)| *placement).collect(),
            transient: false,
        });
    }
    placed.clear();
}

/// Changes that become durable together. The zeroth is complete from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Commit(pub u64);

/// Several commits: complete when the last of them is, in whatever order they become so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commits(SmallVec<[Commit; 2]>);

impl Commits {
    /// One more; the zeroth, which is complete from the start, is left out.
    pub fn add(&mut self, commit: Commit) {
        if commit != Commit::default()
            && let Err(at) = self.0.binary_search(&commit)
        {
            self.0.insert(at, commit);
        }
    }

    /// These and some others.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        for commit in others.iter() {
            self.add(commit);
        }
        self
    }

    /// Each once.
    pub fn iter(&self) -> impl Iterator<Item = Commit> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none: then all of them are complete.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets those that are complete; true if all were.
    pub fn forget_done(&mut self, done: &Done) -> bool {
        self.0.retain(|commit| !done.contains(*commit));
        self.0.is_empty()
    }
}

impl From<Commit> for Commits {
    fn from(commit: Commit) -> Self {
        let mut commits = Self::default();
        commits.add(commit);
        commits
    }
}

/// Which commits are complete: all up to one, with exceptions while a full disk holds some of them back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    last: Commit,
    held_back: Arc<[Commit]>,
}

impl Done {
    /// All up to and with `last`.
    pub fn up_to(last: Commit) -> Self {
        Self { last, held_back: Arc::default() }
    }

    /// All up to and with `last`, but for those in `held_back`.
    pub fn except(last: Commit, held_back: &[Commit]) -> Self {
        Self { last, held_back: held_back.into() }
    }

    /// Whether a commit is complete.
    #[inline]
    pub fn contains(&self, commit: Commit) -> bool {
        commit <= self.last && !self.held_back.contains(&commit)
    }
}

/// Keeps changes.
pub trait Journal: Send + Sync {
    /// Takes changes over, in order; gives the commit after which they are safe: the zeroth if there are none. Does not wait
    /// for it.
    ///
    /// With `atomic`, a crash leaves all of them or none.
    fn append(&self, changes: &mut Changes, atomic: bool) -> Commit;

    /// Calls [`Outbox::committed`](super::outbox::Outbox::committed) when the commit is complete; at once if it is already.
    fn notify(&self, commit: Commit, outbox: &SharedOutbox);

    /// Pending while so much waits to be written that publishers should not bring more.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Pending until a commit was seen to: messages that it has brought to the disk are [written](super::message::Stage) then.
    /// For one task at a time.
    fn poll_seen_to(&self, _commit: Commit, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// A message that a pager has read.
#[derive(Debug)]
pub struct Loaded {
    /// Its place in the queue.
    pub position: u64,
    /// How often it came back to the queue.
    pub attempts: Attempts,
    /// It waits until then before it is delivered again; zero: it does not wait.
    pub due: Millis,
    /// It may have been delivered before the broker was last started.
    pub redelivered: bool,
    /// The message.
    pub message: Message,
}

/// What a pager gave for a range of positions.
#[derive(Debug, Default)]
pub struct Page {
    /// Messages that are there, in order.
    pub messages: Vec<Loaded>,
    /// Where to go on, when there were more than one page holds.
    pub rest_from: Option<u64>,
}

/// Reads back messages that only the journal has.
pub trait Pager: Send + Sync {
    /// The messages of a queue from `first` to `last`, both included: at least one, if there is one, and no more than
    /// `bytes_max` if that is more than one. `None` when they cannot be read now: the broker is about to stop.
    fn load(&self, queue: QueueId, first: u64, last: u64, bytes_max: usize) -> Option<Page>;
}

/// A journal that forgets: for brokers without a disk, in tests.
#[derive(Debug, Default, Clone, Copy)]
pub struct Forgetful;

impl Journal for Forgetful {
    fn append(&self, changes: &mut Changes, _atomic: bool) -> Commit {
        changes.clear();
        Commit::default()
    }

    fn notify(&self, commit: Commit, outbox: &SharedOutbox) {
        outbox.lock().committed(&Done::up_to(commit));
        wake_writer(outbox);
    }

    fn poll_room(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Pager for Forgetful {
    fn load(&self, _queue: QueueId, _first: u64, _last: u64, _bytes_max: usize) -> Option<Page> {
        Some(Page::default())
    }
}

/// Calls queues when something is due in them.
pub trait Timetable: Send + Sync {
    /// [`SharedQueue::tick`] is to be called at that time.
    fn call(&self, queue: &Arc<SharedQueue>, at: Millis);
}

/// A timetable that calls nobody.
#[derive(Debug, Default, Clone, Copy)]
pub struct Uncalled;

impl Timetable for Uncalled {
    fn call(&self, _queue: &Arc<SharedQueue>, _at: Millis) {}
}

/// What all queues of a virtual host share.
pub struct Surroundings {
    /// Where memory counts; of what connections leave here, the broker itself is the holder.
    pub memory: Arc<Holder>,
    /// Where messages come back from.
    pub pager: Arc<dyn Pager>,
    /// Numbers for queues.
    pub ids: Arc<QueueIds>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who calls queues when it is time.
    pub timetable: Arc<dyn Timetable>,
}

/// Draws [`QueueId`]s.
#[derive(Debug, Default)]
pub struct QueueIds {
    durable: AtomicU64,
    transient: AtomicU64,
}

impl Surroundings {
    /// Reads messages back, which count as memory then; see [`Pager::load`].
    pub fn load(&self, queue: QueueId, first: u64, last: u64, bytes_max: usize) -> Option<Page> {
        let mut page = self.pager.load(queue, first, last, bytes_max)?;
        page.messages.iter_mut().for_each(|loaded| loaded.message.count_on(self.memory.gauge()));
        Some(page)
    }

    /// For queues whose messages nobody keeps.
    pub fn forgetful(memory: Arc<Holder>) -> Arc<Self> {
        Arc::new(Self {
            memory,
            pager: Arc::new(Forgetful),
            ids: Arc::default(),
            clock: Arc::new(ManualClock::default()),
            timetable: Arc::new(Uncalled),
        })
    }
}

impl QueueIds {
    /// Durable ones go on after `last`.
    pub fn after(last: u64) -> Self {
        Self { durable: last.into(), ..Self::default() }
    }

    /// A number that nobody else has.
    pub fn draw(&self, durable: bool) -> QueueId {
        let next = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed) + 1;
        if durable { QueueId(next(&self.durable)) } else { QueueId::transient(next(&self.transient)) }
    }
}

/// What a journal remembers of a durable queue when the broker starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredQueue {
    /// Its name in the journal.
    pub id: QueueId,
    /// The counter that the next message's position gets: higher than those of all lines.
    pub next_position: u64,
    /// Where messages are, in the order of their positions and without overlap. None spans two lines.
    pub ranges: Vec<RestoredRange>,
}

/// Messages of a queue that are on disk: how many lie between two positions, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoredRange {
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
    /// How many messages there are; at least one.
    pub count: u32,
    /// About how many bytes they take.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_line_and_a_counter_and_in_order_within_its_line() {
        for (line, counter) in [(0, 0), (0, COUNTER_MAX), (1, 0), (7, 513), (255, COUNTER_MAX)] {
            let position = position_of(line, counter);
            assert_eq!((line_of(position), counter_of(position)), (line, counter));
        }
        assert_eq!(position_of(0, 9), 9);
        assert_eq!(position_of(0, COUNTER_MAX) + 1, position_of(1, 0));
        assert_eq!(position_of(255, COUNTER_MAX), u64::MAX);
    }
}
