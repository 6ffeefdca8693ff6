//! A queue behind its lock: each operation takes the lock once, and wakes writers when it has released it.

mod deleted;
mod guard;
mod looked_at;
mod status;
mod surroundings;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

pub use deleted::{Deleted, Purged};
pub use status::QueueStatus;
pub use surroundings::{Surroundings, Timetable, Uncalled};

use super::{
    ConsumerShown, ConsumerSpec, Dispatched, Origin, Paged, Queue, QueueTotals, Taken, Traits,
    allowance::Allowance, observed::Receiver, shown::shown,
};
use crate::core::{
    change::Changes,
    clock::{Millis, Moment},
    declared::QueueSpec,
    dedup::Deduplicator,
    delay::due_ms,
    effects::Effects,
    entry::{Entry, Shown},
    memory::{Held, Kind, entity_bytes},
    message::{Message, Publication, View},
    observing::{DropReason, What},
    outbox::StarvedBy,
    pager::RestoredQueue,
    placement::{Placement, QueueId},
    policy::{Overflow, QueueSettings},
    source::{Comeback, ConsumerId, Source, Unacked},
    wakes::wake_all,
};
use crate::limits::{BLOCK_BYTES_MAX, GET_TRIES_MAX};
use crate::protocol::{PropertiesView, TableView};
use guard::{Locked, State};

/// A queue as the broker shares it.
pub struct SharedQueue {
    /// What was declared.
    pub spec: QueueSpec,
    /// Its name in the journal.
    pub id: QueueId,
    /// It takes each message once.
    pub deduplicator: Option<Arc<Deduplicator>>,
    /// Changes when the queue is deleted: routes that were worked out before are stale then.
    pub stamp: Arc<AtomicU64>,
    /// The timeout of its settings in milliseconds, [`NO_TIMEOUT`] or [`DEFAULT_TIMEOUT`]: a copy that is read without the lock.
    consumer_timeout: AtomicU64,
    pub(super) surroundings: Arc<Surroundings>,
    /// Pages that are being read.
    reads: AtomicU32,
    pub(super) state: State,
    /// The memory that the queue takes beside its messages.
    _held: Held,
}

/// Its consumers may hold messages for ever.
const NO_TIMEOUT: u64 = u64::MAX;
/// They may do so as long as the broker's configuration says.
const DEFAULT_TIMEOUT: u64 = u64::MAX - 1;

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

/// What became of a run of messages, by their index in the run.
#[derive(Default)]
pub struct Enqueued {
    /// Placements of those that are for the journal.
    pub placed: Vec<(usize, Placement)>,
    /// Those that a queue had no room for.
    pub refused: Vec<usize>,
    /// Queues that were deleted meanwhile, and took nothing.
    pub gone: usize,
}

impl SharedQueue {
    /// An empty queue. What is due in it is asked for at its first [`Self::touch`].
    pub fn new(spec: QueueSpec, settings: Arc<QueueSettings>, surroundings: Arc<Surroundings>) -> Self {
        let state = Queue::new(Traits::of(&spec), settings, surroundings.clock.now());
        let id = surroundings.ids.draw(spec.durable);
        Self::assembled(spec, id, state, surroundings)
    }

    /// A queue as the journal remembers it.
    pub fn restored(
        spec: QueueSpec,
        settings: Arc<QueueSettings>,
        restored: &RestoredQueue,
        surroundings: Arc<Surroundings>,
    ) -> Self {
        let now = surroundings.clock.now();
        let state = Queue::restored(Traits::of(&spec), settings, now, restored);
        Self::assembled(spec, restored.id, state, surroundings)
    }

    fn assembled(spec: QueueSpec, id: QueueId, state: Queue, surroundings: Arc<Surroundings>) -> Self {
        let deduplicator = Deduplicator::of_queue(&spec, id).map(Arc::new);
        let consumer_timeout = AtomicU64::new(Self::consumer_timeout_of(&spec, &state.settings));
        let stamp = Arc::default();
        let held = Held::of(&surroundings.memory, Kind::Topology, entity_bytes(&spec.arguments));
        surroundings.memory.gauge().change_messages(state.capacity_bytes() as isize);
        let state = State::new(state);
        Self {
            spec,
            id,
            deduplicator,
            stamp,
            consumer_timeout,
            surroundings,
            reads: AtomicU32::new(0),
            state,
            _held: held,
        }
    }

    /// A message was not taken in because the queue has seen it.
    pub fn count_duplicate(self: &Arc<Self>, message: &View<'_>) {
        let mut queue = self.lock();
        queue.rare.duplicates += 1;
        self.note_dropped(&queue.looks, DropReason::Duplicate, message, None);
    }

    /// Locks it to change it.
    #[inline]
    pub(super) fn lock(self: &Arc<Self>) -> Locked<'_> {
        self.state.lock(self)
    }

    /// Takes in a run of messages, and tells in `enqueued` what became of them.
    ///
    /// True when the queue grows while its consumers wait for nothing but their sockets: the publisher should pause.
    pub fn publish(
        self: &Arc<Self>,
        run: &mut [Publication<'_>],
        origin: Origin,
        enqueued: &mut Enqueued,
        effects: &mut Effects,
    ) -> bool {
        let mut now = Moment::of(&*self.surroundings.clock);
        let mut locked = self.lock();
        if locked.deleted {
            enqueued.gone += 1;
            return false;
        }
        let (queue, round) = locked.parts();
        let refuses = origin == Origin::Client && queue.settings.overflow != Overflow::DropHead;
        for (index, publication) in run.iter_mut().enumerate() {
            if refuses && queue.would_overflow(&publication.view()) {
                enqueued.refused.push(index);
                queue.refuse(self, publication, effects);
                continue;
            }
            let placement = queue.publish(self, publication, round, &mut now, effects);
            enqueued.placed.extend(placement.map(|placement| (index, placement)));
        }
        let congested = queue.is_congested();
        if queue.may_expire {
            queue.expire(self, now.get(), &mut Allowance::of_a_call(), effects);
        }
        let mut allowance = Allowance::of_a_call();
        let unread = queue.trim(self, &mut allowance, effects);
        locked.finish(effects);
        self.trim_from_disk(unread, allowance, effects);
        congested
    }

    /// Drops the oldest messages until the rest is within the limits.
    pub(super) fn make_room(self: &Arc<Self>, effects: &mut Effects) {
        let mut allowance = Allowance::of_a_call();
        let unread = self.lock().trim(self, &mut allowance, effects);
        self.trim_from_disk(unread, allowance, effects);
    }

    /// Goes on with that where they must be read first.
    fn trim_from_disk(
        self: &Arc<Self>,
        unread: Option<Paged>,
        mut allowance: Allowance,
        effects: &mut Effects,
    ) {
        let Some(mut unread) = unread else { return };
        if effects.defers_reads() {
            let me = self.clone();
            return effects
                .defer(Box::new(move |effects| me.trim_from_disk(Some(unread), allowance, effects)));
        }
        effects.outgoing.wake_writers();
        while self.load(unread) {
            let next = self.lock().trim(self, &mut allowance, effects);
            let Some(next) = next else { return };
            unread = next;
        }
    }

    /// Pending while the queue has too much waiting for consumers that take it as fast as their sockets let them.
    pub fn poll_drained(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if !queue.is_congested() {
            return Poll::Ready(());
        }
        if !queue.paused.iter().any(|waker| waker.will_wake(cx.waker())) {
            queue.paused.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// A publisher has paused in vain: no publisher pauses again until a consumer takes a message.
    pub fn stalled(self: &Arc<Self>) {
        let mut queue = self.lock();
        queue.stalled = true;
        let paused = queue.paused.take();
        drop(queue);
        wake_all(paused);
    }

    /// Adds a consumer. `accepted` runs after it is in and before its first delivery: the place for `consume-ok`.
    pub fn consume(
        self: &Arc<Self>,
        spec: ConsumerSpec,
        effects: &mut Effects,
        accepted: impl FnOnce(ConsumerId),
    ) -> Result<(), ConsumeError> {
        let mut queue = self.lock();
        if queue.deleted {
            return Err(ConsumeError::Gone);
        }
        let alone = queue.consumers.is_empty() && !self.spec.single_active_consumer();
        if queue.consumers.has_exclusive() || (spec.exclusive && !alone) {
            return Err(ConsumeError::InExclusiveUse);
        }
        queue.had_consumer = true;
        queue.used_at = self.now();
        let id = queue.consumers.add(spec);
        accepted(id);
        drop(queue);
        self.dispatch(effects);
        Ok(())
    }

    /// Removes a consumer; what it holds unacknowledged stays with its channel. True when the queue was to go with
    /// its last consumer and this was it.
    pub fn cancel(self: &Arc<Self>, id: ConsumerId, effects: &mut Effects) -> bool {
        self.cancel_returning(id, Vec::new(), effects)
    }

    /// The same; `returned` goes back to where it was before other consumers get messages, and is no failure.
    pub fn cancel_returning(
        self: &Arc<Self>,
        id: ConsumerId,
        returned: Vec<Unacked>,
        effects: &mut Effects,
    ) -> bool {
        let mut queue = self.lock();
        let consumer = queue.consumers.remove(id);
        queue.requeue(self, returned, Comeback::Returned, effects);
        let mut allowance = Allowance::of_a_call();
        let unread = queue.trim(self, &mut allowance, effects);
        let Some(consumer) = consumer else {
            self.dispatch_from(queue, effects);
            self.trim_from_disk(unread, allowance, effects);
            return false;
        };
        queue.used_at = self.now();
        let finished = self.spec.auto_delete && queue.had_consumer && queue.consumers.is_empty();
        drop(queue);
        self.trim_from_disk(unread, allowance, effects);
        if let Some(starved_by) = consumer.starved_by() {
            let source: Arc<dyn Source> = self.clone();
            consumer.spec.outbox.lock().forget_starved(&source, id, consumer.spec.channel, starved_by);
        }
        if !finished {
            self.dispatch(effects);
        }
        finished
    }

    /// The oldest message for `basic.get`, as it is to be shown if not as it is, and how many remain. `taken` runs under the
    /// queue's lock; what it gives back is settled. None is found behind very many that have expired and are still to be dropped.
    pub fn get(
        self: &Arc<Self>,
        (channel, no_ack): (u16, bool),
        effects: &mut Effects,
        taken: impl FnOnce(Entry, Option<Shown>, usize) -> Option<Entry>,
    ) -> Result<(), GetError> {
        if self.spec.single_active_consumer() {
            return Err(GetError::SingleActiveConsumer);
        }
        for _ in 0..GET_TRIES_MAX {
            let mut queue = self.lock();
            match queue.take(self, no_ack, effects) {
                Taken::Nothing => {
                    queue.counters.got_nothing += 1;
                    drop(queue);
                    return Err(GetError::Empty);
                }
                Taken::Expired => drop(queue),
                Taken::Paged(paged) => {
                    drop(queue);
                    if !self.load(paged) {
                        return Err(GetError::Empty);
                    }
                }
                Taken::Entry(entry) => {
                    let (shown, remaining) =
                        (shown(queue.traits.shows_attempts, &queue.settings, &entry), queue.ready.len());
                    if queue.looks.is_any() {
                        let (by, at) = (effects.by.clone(), (Some(entry.position), entry.redelivered));
                        let to = Receiver::getting(by.as_ref(), channel, no_ack);
                        queue.looks.tell_delivered(&to, &entry.message, at, effects);
                    }
                    if let Some(entry) = taken(entry, shown, remaining) {
                        entry.settle(self.id, &mut effects.changes);
                    }
                    drop(queue);
                    return Ok(());
                }
            }
        }
        Err(GetError::Empty)
    }

    /// The client acknowledged these.
    pub fn settle(self: &Arc<Self>, unacked: Vec<Unacked>, effects: &mut Effects) {
        let mut queue = self.lock();
        let dropped = queue.settle(self, unacked, effects);
        self.dispatch_from(queue, effects);
        drop(dropped); // the messages' memory, outside the lock
    }

    /// The client rejected these for good: they are dead.
    pub fn reject(self: &Arc<Self>, unacked: Vec<Unacked>, effects: &mut Effects) {
        let mut queue = self.lock();
        queue.reject(self, unacked, effects);
        self.dispatch_from(queue, effects);
    }

    /// These come back to where they were, marked as redelivered; at once or later, as the queue's settings say.
    pub fn requeue(self: &Arc<Self>, unacked: Vec<Unacked>, why: Comeback, effects: &mut Effects) {
        let mut queue = self.lock();
        queue.requeue(self, unacked, why, effects);
        let mut allowance = Allowance::of_a_call();
        let unread = queue.trim(self, &mut allowance, effects);
        self.dispatch_from(queue, effects);
        self.trim_from_disk(unread, allowance, effects);
    }

    /// Like [`Self::requeue`], for one part of many messages: none of them is delivered again before [`Self::dispatch`].
    pub fn give_back(self: &Arc<Self>, unacked: Vec<Unacked>, why: Comeback, effects: &mut Effects) {
        let mut queue = self.lock();
        queue.requeue(self, unacked, why, effects);
        let mut allowance = Allowance::of_a_call();
        let unread = queue.trim(self, &mut allowance, effects);
        drop(queue);
        self.trim_from_disk(unread, allowance, effects);
    }

    /// What starved a consumer has room again: see [`Source::fed`](crate::core::source::Source::fed).
    pub fn fed(self: &Arc<Self>, id: ConsumerId, effects: &mut Effects) {
        let mut queue = self.lock();
        if matches!(queue.consumers.fed(id), Some(StarvedBy::Outbox(_))) {
            queue.stalled = false;
        }
        drop(queue);
        self.dispatch(effects);
    }

    /// Takes out what is ready and what waits to come again, to be settled by the caller.
    pub fn purge(self: &Arc<Self>) -> Purged {
        let mut queue = self.lock();
        let purged = Purged::new(self.id, queue.ready.take_all(), std::mem::take(&mut queue.delayed));
        queue.looks.tell_of_queue(None, || What::Purged(purged.message_count()));
        purged
    }

    /// Deletes the queue if `condition` allows it.
    pub fn delete(self: &Arc<Self>, condition: impl FnOnce(&QueueStatus) -> bool) -> Option<Deleted> {
        let mut queue = self.lock();
        if queue.deleted || !condition(&QueueStatus::of(&queue)) {
            return None;
        }
        queue.deleted = true;
        self.stamp.fetch_add(1, Ordering::Release);
        let purged = queue.ready.take_all();
        let delayed = std::mem::take(&mut queue.delayed);
        let consumers = std::mem::take(&mut queue.consumers);
        let messages = purged.len() + delayed.len() + queue.unacked_count;
        queue.looks.tell_of_queue(None, || What::QueueDeleted(messages));
        drop(queue);
        Some(Deleted::new(self.clone(), purged, delayed, consumers))
    }

    /// Makes room in memory: messages that are far from their turn, or all of them, are let go of if they are on disk and given
    /// to the journal if not. Does a part of it; true when there is more to be done once the journal has what it was given. While
    /// a page is read no ready message is let go of: the page could not tell those that left meanwhile from those that are lost.
    pub fn page_out(self: &Arc<Self>, everything: bool, changes: &mut Changes) -> bool {
        let mut dropped = Vec::new();
        let mut queue = self.lock();
        let before = changes.len();
        let is_read = self.reads.load(Ordering::SeqCst) > 0;
        let more = (!is_read && queue.ready.page_out_all(everything, self.id, changes, &mut dropped))
            | (queue.delayed.len() > 0 && queue.delayed.page_out_all(self.id, changes, &mut dropped));
        queue.spilled |= changes.len() > before;
        drop(queue);
        more
    }

    /// The settings that apply from now on. The timetable soon calls for messages that already wait, to which they apply as well.
    pub fn apply(self: &Arc<Self>, settings: Arc<QueueSettings>) {
        let mut queue = self.lock();
        queue.may_expire |= settings.message_ttl.is_some();
        let timeout = Self::consumer_timeout_of(&self.spec, &settings);
        self.consumer_timeout.store(timeout, Ordering::Relaxed);
        queue.settings = settings;
        queue.called_at = Some(0);
        drop(queue);
        self.surroundings.timetable.call(self, 0);
    }

    /// A client has used the queue: the time of `x-expires` begins anew.
    pub fn touch(self: &Arc<Self>) {
        let mut queue = self.lock();
        queue.used_at = self.now();
        drop(queue);
    }

    /// What counts now.
    pub fn settings(&self) -> Arc<QueueSettings> {
        self.state.read().settings.clone()
    }

    /// Whether messages leave it for other queues.
    pub fn departs(&self) -> bool {
        let queue = self.state.read();
        queue.traits.delays || queue.settings.dead_letter_exchange.is_some()
    }

    /// How long a consumer of it may hold a message, in milliseconds, if it asked for nothing itself: as the queue's settings
    /// say, else `default` for a quorum queue (RabbitMQ 4.3 has no timeout for classic ones).
    pub fn consumer_timeout(&self, default: Option<Millis>) -> Option<Millis> {
        match self.consumer_timeout.load(Ordering::Relaxed) {
            NO_TIMEOUT => None,
            DEFAULT_TIMEOUT => default,
            timeout => Some(timeout),
        }
    }

    fn consumer_timeout_of(spec: &QueueSpec, settings: &QueueSettings) -> u64 {
        let unsaid = if spec.is_quorum() { DEFAULT_TIMEOUT } else { NO_TIMEOUT };
        settings.consumer_timeout.unwrap_or(unsaid)
    }

    /// The time.
    pub fn now(&self) -> Millis {
        self.surroundings.clock.now()
    }

    /// The time, up to a second late.
    pub fn about_now(&self) -> Millis {
        self.surroundings.clock.about_now()
    }

    /// Its figures now.
    pub fn status(&self) -> QueueStatus {
        QueueStatus::of(&self.state.read())
    }

    /// What it has done.
    pub fn totals(&self) -> QueueTotals {
        self.status().totals()
    }

    /// Its consumers, to be shown.
    pub fn consumers_shown(&self) -> Vec<ConsumerShown> {
        self.state.read().consumers.shown()
    }

    /// Whether the journal knows of it: it is durable, or some of it had to make room in memory.
    pub fn is_journaled(&self) -> bool {
        self.spec.durable || self.state.read().spilled
    }

    /// Whether it was deleted.
    pub fn is_deleted(&self) -> bool {
        self.state.read().deleted
    }

    /// Gives waiting messages to consumers, letting go of the lock now and then. Many deliveries are made in several calls.
    pub fn dispatch(self: &Arc<Self>, effects: &mut Effects) {
        self.dispatch_from(self.lock(), effects);
    }

    fn dispatch_from<'a>(self: &'a Arc<Self>, mut locked: Locked<'a>, effects: &mut Effects) {
        let mut allowance = Allowance::of_a_call();
        loop {
            let (queue, round) = locked.parts();
            let dispatched = queue.dispatch(self, round, &mut allowance, effects);
            locked.finish(effects);
            match dispatched {
                Dispatched::Some => {}
                Dispatched::UpTo(first) => {
                    if effects.defers_reads() {
                        let me = self.clone();
                        return effects.defer(Box::new(move |effects| {
                            if me.load(first) {
                                me.dispatch(effects);
                            }
                        }));
                    }
                    effects.outgoing.wake_writers();
                    if !self.load(first) {
                        return;
                    }
                }
                Dispatched::All => return,
            }
            locked = self.lock();
        }
    }

    /// Reads the front back into memory. False when that is impossible, because the broker is about to stop.
    pub(super) fn load(self: &Arc<Self>, paged: Paged) -> bool {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let page = self.surroundings.load(self.id, paged.first, paged.last, BLOCK_BYTES_MAX);
        // Without an answer it stays marked as being read, so that no other call tries again.
        let Some(page) = page else { return false };
        let mut queue = self.lock();
        queue.loading = false;
        self.reads.fetch_sub(1, Ordering::SeqCst);
        // All that was published with a delay waits, what is due already with the others: it leaves in due order.
        let delays = queue.traits.delays;
        let now = if delays { 0 } else { self.now() };
        let waits_until = |entry: &Entry, due| if delays { due_of(&entry.message, due) } else { due };
        let waiting = queue.ready.loaded(paged, page, now, waits_until);
        for (due, entry) in waiting {
            queue.delayed.insert(due, entry);
        }
        drop(queue);
        true
    }
}

impl Drop for SharedQueue {
    fn drop(&mut self) {
        let queue = self.state.get_mut();
        let capacity_bytes = queue.capacity_bytes();
        self.surroundings.memory.gauge().change_messages(-(capacity_bytes as isize));
    }
}

/// When a message that was published with a delay is due; not zero. That is when it was `rescheduled` to, unless that is zero, else what its
/// headers say; at once if they say nothing of it.
pub(super) fn due_of(message: &Message, rescheduled: Millis) -> Millis {
    if rescheduled > 0 {
        return rescheduled;
    }
    let view = message.view();
    let headers = PropertiesView::parse(view.properties()).ok().and_then(|properties| properties.headers);
    let due = headers.and_then(|headers| due_ms(&TableView::new(headers), message.published_at()).ok()?);
    due.unwrap_or(1).max(1)
}
