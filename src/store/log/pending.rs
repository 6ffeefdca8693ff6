//! What waits to be written: changes that sessions append, in batches that the writer takes whole.
//!
//! While one batch is written and synced the next one gathers; nobody adds a delay. The batch being gathered has the
//! number that its appenders wait for. What takes so much that the writer writes it aside is a batch of its own, so nobody else's
//! number waits for it. Knows nothing of files.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::sync::{Condvar, Mutex, MutexGuard};
use crate::core::{
    change::{Change, Changes},
    commit::{Commit, Done, Waiter},
    outgoing::Outgoing,
    wakes::wake_all,
};
use crate::limits::{JOURNAL_ASIDE_BYTES_MAX, JOURNAL_WAITING_BYTES_MAX};
use crate::store::log::moving::Move;

/// Changes that become durable together.
#[derive(Default)]
pub(in crate::store) struct Batch {
    /// In the order of their appending.
    pub(in crate::store) changes: Changes,
    /// Which of them are all or nothing, by where they begin and end, ascending.
    pub(in crate::store) groups: Vec<(usize, usize)>,
    /// Records that reclaiming writes again.
    pub(in crate::store) moves: Vec<Move>,
    /// What it takes in memory.
    pub(in crate::store) load: Load,
}

/// What changes take that wait.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::store) struct Load {
    message_bytes: usize,
    changes: usize,
    /// Of all this, what is written aside: bytes of messages and changes.
    aside_bytes: usize,
}

impl Load {
    fn of(changes: &Changes) -> Self {
        let message_bytes = |change: &Change| match change {
            Change::Publish { message, .. } => message.size_bytes(),
            _ => 0,
        };
        let message_bytes = changes.iter().map(message_bytes).sum();
        Self { message_bytes, changes: changes.len(), aside_bytes: 0 }
    }

    fn add(&mut self, other: Self) {
        self.message_bytes += other.message_bytes;
        self.changes += other.changes;
        self.aside_bytes += other.aside_bytes;
    }

    fn subtract(&mut self, other: Self) {
        self.message_bytes -= other.message_bytes;
        self.changes -= other.changes;
        self.aside_bytes -= other.aside_bytes;
    }

    /// Of the messages, and of the changes themselves: they take more than a small message.
    fn bytes(self) -> usize {
        self.message_bytes + self.changes * size_of::<Change>()
    }

    /// What is written aside is not in the others' way.
    fn is_much(self) -> bool {
        self.bytes() - self.aside_bytes > JOURNAL_WAITING_BYTES_MAX
            || self.aside_bytes > JOURNAL_ASIDE_BYTES_MAX
    }
}

impl Batch {
    /// Whether there is nothing in it.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.moves.is_empty()
    }

    /// This one and then another.
    pub(in crate::store) fn and(mut self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        let begin = self.changes.len();
        self.changes.extend(other.changes);
        self.groups.extend(other.groups.into_iter().map(|(from, to)| (from + begin, to + begin)));
        self.moves.extend(other.moves);
        self
    }
}

/// What is not durable.
pub(in crate::store) struct Unsynced {
    /// Changes that the writer has not even taken.
    gathered: usize,
    /// Bytes of messages, the writer's included.
    bytes: usize,
    /// Connections that wait for a commit.
    waiting: usize,
}

impl fmt::Display for Unsynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gathered, bytes, waiting } = self;
        write!(
            f,
            "{bytes} bytes of messages and {gathered} changes that {waiting} connections were not told of"
        )
    }
}

/// What the writer got.
pub(in crate::store) enum Taken {
    /// A batch and its number.
    Batch(Batch, Commit),
    /// Nothing came in the time given.
    Nothing,
    /// There will be no more.
    End,
}

/// Changes that wait for the writer.
pub(in crate::store) struct Pending {
    state: Mutex<State>,
    work: Condvar,
    /// What takes more is written aside.
    aside_bytes: usize,
}

struct State {
    /// Batches to which nothing is added: those before one that is written aside, and it.
    closed_batches: VecDeque<(Batch, Commit)>,
    gathering: Batch,
    /// The number of the batch being gathered.
    commit: Commit,
    done: Done,
    /// What was appended and is not written.
    waiting: Load,
    waiters: Vec<(Commit, Arc<dyn Waiter>)>,
    publishers: Vec<Waker>,
    /// The last commit that the writer has seen to, and who waits for that.
    seen_to: (Commit, Option<Waker>),
    writer_sleeps: bool,
    closed: bool,
    /// Not all sessions had ended when it was closed.
    cut_short: bool,
}

impl Pending {
    /// Nothing waits; the first batch has number 1. A group or a message that takes more than `aside_bytes` is a batch of its own.
    pub(in crate::store) fn new(aside_bytes: usize) -> Self {
        let state = State {
            closed_batches: VecDeque::new(),
            gathering: Batch::default(),
            commit: Commit(1),
            done: Done::default(),
            waiting: Load::default(),
            waiters: Vec::new(),
            publishers: Vec::new(),
            seen_to: (Commit::default(), None),
            writer_sleeps: false,
            closed: false,
            cut_short: false,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), aside_bytes }
    }

    /// Takes changes over, in order; gives the number of the batch that they are in. Nothing to take over is complete from the
    /// start.
    pub(in crate::store) fn append(&self, changes: &mut Changes, atomic: bool) -> Commit {
        if changes.is_empty() {
            return Commit::default();
        }
        let mut load = Load::of(changes);
        let is_one = atomic || changes.len() == 1;
        let is_aside = is_one && load.bytes() > self.aside_bytes;
        if is_aside {
            load.aside_bytes = load.bytes();
        }
        let mut state = self.state.lock();
        if is_aside {
            state.close_batch();
        }
        let batch = &mut state.gathering;
        let begin = batch.changes.len();
        batch.changes.append(changes);
        if atomic && batch.changes.len() > begin + 1 {
            batch.groups.push((begin, batch.changes.len()));
        }
        batch.load.add(load);
        state.waiting.add(load);
        let commit = state.commit;
        if is_aside {
            state.close_batch();
        }
        self.wake_writer(state);
        commit
    }

    /// Takes over what reclaiming writes again.
    pub(in crate::store) fn append_moves(&self, moves: Vec<Move>) -> Commit {
        let mut state = self.state.lock();
        state.gathering.moves.extend(moves);
        let commit = state.commit;
        self.wake_writer(state);
        commit
    }

    /// Without the lock: else the writer could be given it while it is not yet running, and whoever asks next would wait.
    fn wake_writer(&self, mut state: MutexGuard<'_, State>) {
        let sleeps = std::mem::take(&mut state.writer_sleeps);
        drop(state);
        if sleeps {
            self.work.notify_one();
        }
    }

    /// Whether a batch is complete.
    pub(in crate::store) fn is_done(&self, commit: Commit) -> bool {
        self.state.lock().done.contains(commit)
    }

    /// Tells a waiter when a commit is complete.
    pub(in crate::store) fn notify(&self, commit: Commit, waiter: Arc<dyn Waiter>) {
        let mut state = self.state.lock();
        if !state.done.contains(commit) {
            let known = |(its, other): &(Commit, Arc<dyn Waiter>)| *its == commit && is_same(other, &waiter);
            if !state.waiters.last().is_some_and(known) {
                state.waiters.push((commit, waiter));
            }
            return;
        }
        let done = state.done.clone();
        drop(state);
        let mut outgoing = Outgoing::default();
        waiter.committed(&done, &mut outgoing);
        // Whoever calls has more to do in its turn.
        outgoing.wake_writers();
    }

    /// Pending while publishers should wait.
    pub(in crate::store) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if !state.waiting.is_much() || state.closed {
            return Poll::Ready(());
        }
        if !state.publishers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.publishers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Pending until the writer has seen to a commit. One task at a time may wait.
    pub(in crate::store) fn poll_seen_to(&self, commit: Commit, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if commit <= state.seen_to.0 || state.closed {
            return Poll::Ready(());
        }
        state.seen_to.1 = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The writer's side: messages of this commit, and of those before it, are written, or held back.
    pub(in crate::store) fn seen_to(&self, commit: Commit) {
        let mut state = self.state.lock();
        let waiting = state.seen_to.1.take();
        state.seen_to.0 = commit;
        drop(state);
        wake_all(waiting);
    }

    /// What was taken over and is not durable.
    pub(in crate::store) fn unsynced(&self) -> Unsynced {
        let state = self.state.lock();
        let address = |(_, waiter): &(Commit, Arc<dyn Waiter>)| Arc::as_ptr(waiter).cast::<()>();
        let mut waiting: Vec<_> = state.waiters.iter().map(address).collect();
        waiting.sort_unstable();
        waiting.dedup();
        let closed: usize = state.closed_batches.iter().map(|(batch, _)| batch.changes.len()).sum();
        Unsynced {
            gathered: closed + state.gathering.changes.len(),
            bytes: state.waiting.message_bytes,
            waiting: waiting.len(),
        }
    }

    /// Which batches are complete.
    #[cfg(test)]
    pub(in crate::store) fn done(&self) -> Done {
        self.state.lock().done.clone()
    }

    /// Whether there is a batch for the writer.
    #[cfg(test)]
    pub(in crate::store) fn has_batches(&self) -> bool {
        !self.state.lock().is_empty()
    }

    /// The writer's side: waits for a batch, no longer than `at_most` if that is given.
    pub(in crate::store) fn take(&self, at_most: Option<Duration>) -> Taken {
        let mut state = self.state.lock();
        while state.is_empty() {
            if state.closed {
                return Taken::End;
            }
            state.writer_sleeps = true;
            match at_most {
                None => self.work.wait(&mut state),
                Some(time) if self.work.wait_for(&mut state, time).timed_out() => {
                    state.writer_sleeps = false;
                    if state.is_empty() {
                        return Taken::Nothing;
                    }
                }
                Some(_) => {}
            }
        }
        let (batch, commit) = state.next_batch();
        Taken::Batch(batch, commit)
    }

    /// The writer's side: these are durable; so much less waits.
    pub(in crate::store) fn complete(&self, done: &Done, load: Load) {
        let mut state = self.state.lock();
        state.done = done.clone();
        state.waiting.subtract(load);
        let mut due = Vec::new();
        state.waiters.retain(|(its, waiter)| {
            let is_due = done.contains(*its);
            if is_due {
                due.push(waiter.clone());
            }
            !is_due
        });
        let has_room = !state.waiting.is_much();
        let publishers = if has_room { std::mem::take(&mut state.publishers) } else { Vec::new() };
        drop(state);
        let mut outgoing = Outgoing::default();
        for waiter in due {
            waiter.committed(done, &mut outgoing);
        }
        outgoing.send();
        wake_all(publishers);
    }

    /// Not all sessions will have given back what they hold when this is closed.
    pub(in crate::store) fn cut_short(&self) {
        self.state.lock().cut_short = true;
    }

    /// Whether everything that sessions held was given back before the end.
    pub(in crate::store) fn ends_in_order(&self) -> bool {
        !self.state.lock().cut_short
    }

    /// No more comes: the writer ends when it has written everything.
    pub(in crate::store) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let publishers = std::mem::take(&mut state.publishers);
        let waiting = state.seen_to.1.take();
        self.wake_writer(state);
        wake_all(publishers.into_iter().chain(waiting));
    }
}

impl State {
    /// Whether there is nothing for the writer.
    fn is_empty(&self) -> bool {
        self.closed_batches.is_empty() && self.gathering.is_empty()
    }

    /// Nothing more is added to what was gathered, if there is anything.
    fn close_batch(&mut self) {
        if !self.gathering.is_empty() {
            let closed = self.gathered();
            self.closed_batches.push_back(closed);
        }
    }

    fn next_batch(&mut self) -> (Batch, Commit) {
        self.closed_batches.pop_front().unwrap_or_else(|| self.gathered())
    }

    fn gathered(&mut self) -> (Batch, Commit) {
        let commit = self.commit;
        self.commit = Commit(commit.0 + 1);
        (std::mem::take(&mut self.gathering), commit)
    }
}

/// Whether it is one waiter.
fn is_same(one: &Arc<dyn Waiter>, other: &Arc<dyn Waiter>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}
