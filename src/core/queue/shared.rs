//! A queue behind its lock: each operation takes the lock once, and wakes writers when it has released it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::{Mutex, MutexGuard};

use super::{
    ConsumerId, ConsumerSpec, Dispatched, Entry, Feed, Paged, Queue, QueueCounters, QueueSettings, QueueSpec,
    Ready, Taken,
};
use crate::core::{
    journal::{Changes, Placement, QueueId, RestoredQueue, Surroundings},
    message::Publication,
    outbox::{Refusal, SharedOutbox},
    window::{ConsumerRef, Unacked},
};
use crate::limits::BLOCK_BYTES_MAX;

/// A queue as the broker shares it.
pub struct SharedQueue {
    /// What was declared.
    pub spec: QueueSpec,
    /// Its name in the journal.
    pub id: QueueId,
    /// Changes when the queue is deleted: routes that were worked out before are stale then.
    pub stamp: Arc<AtomicU64>,
    pub(super) surroundings: Arc<Surroundings>,
    state: Mutex<Queue>,
}

/// Why a consumer was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum ConsumeError {
    /// The queue was deleted meanwhile.
    Gone,
    /// An exclusive consumer is there, or this one wants to be it and is not alone.
    InExclusiveUse,
}

/// Why `basic.get` gave nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum GetError {
    /// No message is ready.
    Empty,
    /// The queue serves a single active consumer.
    SingleActiveConsumer,
}

/// What a deleted queue leaves behind: its messages, to be dropped when no lock is held.
#[derive(Default)]
pub struct Deleted(Ready);

impl Deleted {
    /// Ready messages that went with the queue.
    pub fn message_count(&self) -> usize {
        self.0.len()
    }
}

/// A queue's figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueStatus {
    /// Messages that wait.
    pub ready: usize,
    /// Messages that clients hold.
    pub unacked: usize,
    /// Bytes of both.
    pub bytes: usize,
    /// Consumers.
    pub consumers: usize,
    /// What it has done.
    pub counters: QueueCounters,
}

impl SharedQueue {
    /// An empty queue.
    pub fn new(spec: QueueSpec, surroundings: Arc<Surroundings>) -> Self {
        let state = Queue::new(spec.single_active_consumer());
        let id = surroundings.ids.draw(spec.durable);
        Self { spec, id, stamp: Arc::default(), surroundings, state: Mutex::new(state) }
    }

    /// A queue as the journal remembers it.
    pub fn restored(spec: QueueSpec, restored: &RestoredQueue, surroundings: Arc<Surroundings>) -> Self {
        let state = Queue::restored(spec.single_active_consumer(), restored);
        Self { spec, id: restored.id, stamp: Arc::default(), surroundings, state: Mutex::new(state) }
    }

    /// Takes in a run of messages; `placed` gets the places of those that are for the journal, by their index in the run.
    ///
    /// True when the queue grows while its consumers wait for nothing but their sockets: the publisher should pause.
    pub fn publish(
        self: &Arc<Self>,
        run: &mut [Publication<'_>],
        placed: &mut Vec<(usize, Placement)>,
    ) -> bool {
        let mut feed = Feed::default();
        let mut queue = self.state.lock();
        if queue.deleted {
            return false;
        }
        let held = queue.held_bytes();
        for (index, publication) in run.iter_mut().enumerate() {
            let placement = queue.publish(self, publication, &mut feed);
            placed.extend(placement.map(|placement| (index, placement)));
        }
        let congested = queue.is_congested();
        self.release(queue, held, feed);
        congested
    }

    /// Pending while the queue has too much waiting for consumers that take it as fast as their sockets let them.
    pub fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.state.lock();
        if !queue.is_congested() {
            return Poll::Ready(());
        }
        if !queue.paused.iter().any(|waker| waker.will_wake(cx.waker())) {
            queue.paused.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// A publisher has waited in vain: nobody is to wait again until a consumer takes something.
    pub fn stalled(&self) {
        let mut queue = self.state.lock();
        queue.stalled = true;
        let paused = std::mem::take(&mut queue.paused);
        drop(queue);
        wake_all(paused);
    }

    /// Adds a consumer. `accepted` runs after it is in and before its first delivery: the place for `consume-ok`.
    pub fn consume(
        self: &Arc<Self>,
        spec: ConsumerSpec,
        changes: &mut Changes,
        accepted: impl FnOnce(ConsumerId),
    ) -> Result<(), ConsumeError> {
        let mut queue = self.state.lock();
        if queue.deleted {
            return Err(ConsumeError::Gone);
        }
        let alone = queue.consumers.is_empty() && !self.spec.single_active_consumer();
        if queue.consumers.has_exclusive() || (spec.exclusive && !alone) {
            return Err(ConsumeError::InExclusiveUse);
        }
        queue.had_consumer = true;
        let id = queue.consumers.add(spec);
        accepted(id);
        drop(queue);
        self.dispatch(changes);
        Ok(())
    }

    /// Removes a consumer; what it holds unacknowledged stays with its channel. True when the queue was to go with
    /// its last consumer and this was it.
    pub fn cancel(self: &Arc<Self>, id: ConsumerId, changes: &mut Changes) -> bool {
        let mut queue = self.state.lock();
        let Some(consumer) = queue.consumers.remove(id) else { return false };
        let finished = self.spec.auto_delete && queue.had_consumer && queue.consumers.is_empty();
        drop(queue);
        if consumer.is_starved() {
            let its = |(queue, other): &ConsumerRef| *other == id && Arc::ptr_eq(queue, self);
            consumer.spec.outbox.lock().forget_starved(consumer.spec.channel, its);
        }
        if !finished {
            self.dispatch(changes);
        }
        finished
    }

    /// The oldest message for `basic.get`, and how many remain. `taken` runs under the queue's lock; what it gives back is
    /// settled.
    pub fn get(
        self: &Arc<Self>,
        no_ack: bool,
        changes: &mut Changes,
        taken: impl FnOnce(Entry, usize) -> Option<Entry>,
    ) -> Result<(), GetError> {
        if self.spec.single_active_consumer() {
            return Err(GetError::SingleActiveConsumer);
        }
        loop {
            let mut queue = self.state.lock();
            let held = queue.held_bytes();
            match queue.take(no_ack) {
                Taken::Nothing => return Err(GetError::Empty),
                Taken::Paged(paged) => {
                    drop(queue);
                    if !self.load(paged) {
                        return Err(GetError::Empty);
                    }
                }
                Taken::Entry(entry) => {
                    let remaining = queue.ready.len();
                    if let Some(entry) = taken(entry, remaining) {
                        entry.settle(self.id, changes);
                    }
                    self.release(queue, held, Feed::default());
                    return Ok(());
                }
            }
        }
    }

    /// The client acknowledged or rejected these for good.
    pub fn settle(self: &Arc<Self>, unacked: Vec<Unacked>, changes: &mut Changes) {
        let mut queue = self.state.lock();
        let held = queue.held_bytes();
        let dropped = queue.settle(self, unacked, changes);
        self.dispatch_from(queue, held, changes);
        drop(dropped); // the messages' memory, outside the lock
    }

    /// These come back to where they were, marked as redelivered.
    pub fn requeue(self: &Arc<Self>, unacked: Vec<Unacked>, changes: &mut Changes) {
        let mut queue = self.state.lock();
        let held = queue.held_bytes();
        queue.requeue(self, unacked, changes);
        self.dispatch_from(queue, held, changes);
    }

    /// The outbox of a consumer that was turned away has room.
    pub fn fed(self: &Arc<Self>, id: ConsumerId, changes: &mut Changes) {
        let mut queue = self.state.lock();
        if queue.consumers.fed(id) == Some(Refusal::Outbox) {
            queue.stalled = false;
        }
        drop(queue);
        self.dispatch(changes);
    }

    /// Drops what is ready; gives how many.
    pub fn purge(&self, changes: &mut Changes) -> usize {
        let mut queue = self.state.lock();
        let held = queue.held_bytes();
        let purged = std::mem::take(&mut queue.ready);
        self.release(queue, held, Feed::default());
        let count = purged.len();
        purged.settle_all(self.id, changes);
        count
    }

    /// Deletes the queue if `condition` allows it. Consumers are told by `basic.cancel`.
    pub fn delete(&self, condition: impl FnOnce(&QueueStatus) -> bool) -> Option<Deleted> {
        let mut queue = self.state.lock();
        if queue.deleted || !condition(&status(&queue)) {
            return None;
        }
        queue.deleted = true;
        self.stamp.fetch_add(1, Ordering::Release);
        let held = queue.held_bytes();
        let purged = std::mem::take(&mut queue.ready);
        let consumers = queue.consumers.clear();
        let mut feed = Feed::default();
        for consumer in &consumers {
            let outbox = feed.outbox(&consumer.spec.outbox);
            outbox.cancel_consumer(consumer.spec.channel, &consumer.spec.tag);
            if consumer.is_starved() {
                let its = |(queue, _): &ConsumerRef| std::ptr::eq(Arc::as_ptr(queue), self);
                outbox.forget_starved(consumer.spec.channel, its);
            }
        }
        self.release(queue, held, feed);
        Some(Deleted(purged))
    }

    /// Makes room in memory: what is far from its turn stays on disk, or goes there. True when there is more to be
    /// done once the journal has what it was given.
    pub fn page_out(&self, changes: &mut Changes) -> bool {
        let mut queue = self.state.lock();
        let held = queue.held_bytes();
        let before = changes.len();
        let more = queue.ready.page_out_all(self.id, changes);
        queue.spilled |= changes.len() > before;
        self.release(queue, held, Feed::default());
        more
    }

    /// What counts from now on.
    pub fn apply(&self, settings: Arc<QueueSettings>) {
        self.state.lock().settings = settings;
    }

    /// What counts now.
    pub fn settings(&self) -> Arc<QueueSettings> {
        self.state.lock().settings.clone()
    }

    /// Its figures now.
    pub fn status(&self) -> QueueStatus {
        status(&self.state.lock())
    }

    /// Whether the journal knows of it: it is durable, or some of it had to make room in memory.
    pub fn is_journaled(&self) -> bool {
        self.spec.durable || self.state.lock().spilled
    }

    /// Whether it was deleted.
    pub fn is_deleted(&self) -> bool {
        self.state.lock().deleted
    }

    /// Gives waiting messages to consumers, letting go of the lock now and then.
    fn dispatch(self: &Arc<Self>, changes: &mut Changes) {
        let queue = self.state.lock();
        let held = queue.held_bytes();
        self.dispatch_from(queue, held, changes);
    }

    fn dispatch_from<'a>(
        self: &'a Arc<Self>,
        mut queue: MutexGuard<'a, Queue>,
        mut held: usize,
        changes: &mut Changes,
    ) {
        loop {
            let mut feed = Feed::default();
            let dispatched = queue.dispatch(self, &mut feed, changes);
            self.release(queue, held, feed);
            match dispatched {
                Dispatched::Some => {}
                Dispatched::UpTo(paged) if self.load(paged) => {}
                Dispatched::All | Dispatched::UpTo(_) => return,
            }
            queue = self.state.lock();
            held = queue.held_bytes();
        }
    }

    /// Reads the front back into memory. False when that is impossible, because the broker is about to stop.
    fn load(&self, paged: Paged) -> bool {
        let page = self.surroundings.pager.load(self.id, paged.first, paged.last, BLOCK_BYTES_MAX);
        let mut queue = self.state.lock();
        queue.loading = false;
        let Some(page) = page else { return false };
        let held = queue.held_bytes();
        queue.ready.loaded(paged, page);
        self.release(queue, held, Feed::default());
        true
    }

    /// Accounts for the change in bytes, releases the lock, then wakes.
    fn release(&self, mut queue: MutexGuard<'_, Queue>, held_before: usize, feed: Feed) {
        let mut wakes = feed.finish();
        if !queue.paused.is_empty() {
            wakes.extend(queue.resumed());
        }
        self.surroundings.gauge.change(held_before, queue.held_bytes());
        drop(queue);
        wake_all(wakes);
    }
}

impl Drop for SharedQueue {
    fn drop(&mut self) {
        let queue = self.state.get_mut();
        self.surroundings.gauge.change(queue.held_bytes(), 0);
    }
}

/// Wakes tasks; no lock may be held.
pub fn wake_all(wakes: impl IntoIterator<Item = Waker>) {
    for waker in wakes {
        waker.wake();
    }
}

/// Feeds the consumers that an outbox had turned away, first come first served, while it has room.
pub fn feed_by_outbox(outbox: &SharedOutbox, changes: &mut Changes) {
    loop {
        // The outbox's lock must be released before the queue's is taken.
        let next = outbox.lock().next_starved();
        let Some((queue, id)) = next else { return };
        queue.fed(id, changes);
    }
}

/// Feeds the consumers that a channel's prefetch had turned away, while it has room.
pub fn feed_by_channel(outbox: &SharedOutbox, channel: u16, changes: &mut Changes) {
    loop {
        let next = outbox.lock().window(channel).and_then(|window| window.next_starved());
        let Some((queue, id)) = next else { return };
        queue.fed(id, changes);
    }
}

/// Gives messages of any queues back or settles them, each queue's in one go, in order.
pub fn settle_by_queue(
    mut unacked: Vec<Unacked>,
    mut operation: impl FnMut(&Arc<SharedQueue>, Vec<Unacked>),
) {
    let Some(queue) = unacked.first().map(|first| first.queue.clone()) else { return };
    if unacked.iter().all(|other| Arc::ptr_eq(&other.queue, &queue)) {
        operation(&queue, unacked);
        return;
    }
    // A stable sort: each queue's messages keep their order.
    unacked.sort_by_key(|unacked| Arc::as_ptr(&unacked.queue) as usize);
    let mut rest = unacked.into_iter().peekable();
    while let Some(first) = rest.next() {
        let queue = first.queue.clone();
        let mut its = vec![first];
        while let Some(next) = rest.next_if(|next| Arc::ptr_eq(&next.queue, &queue)) {
            its.push(next);
        }
        operation(&queue, its);
    }
}

fn status(queue: &Queue) -> QueueStatus {
    QueueStatus {
        ready: queue.ready.len(),
        unacked: queue.unacked_count,
        bytes: queue.ready.bytes() + queue.unacked_bytes,
        consumers: queue.consumers.len(),
        counters: queue.counters,
    }
}
