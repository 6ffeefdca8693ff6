//! A virtual host: its topology behind its lock.

mod bell;
mod departures;
mod share;
mod taps;
mod timekeeper;

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::Notify;

pub use share::Share;
pub use timekeeper::Calls;

use super::{Drops, Quiet, Rates};
use crate::audit;
use crate::core::{
    ConnectionId,
    access::Limits,
    change::{Change, Changes, TopologyChange},
    clock::Clock,
    commit::Commit,
    counts::MessageCounts,
    declared::{Binding, Destination, PolicyKind, PolicySpec, VhostSettings},
    dedup::{Cut, Owner, Seen},
    error::AmqpError,
    journal::Journal,
    memory::Gauge,
    message::View,
    observing::{DropReason, Event, Observers, What},
    pager::{Pager, RestoredQueue, RestoredRange},
    placement::counter_of,
    policy::{Policy, PolicyError},
    queue::{Deleted, SharedQueue},
    routing::Addressing,
    topology::{ArgumentChanges, DeduplicatorChange, Emptied, Route, SettingsChange, Topology, Unchangeable},
};
use crate::limits::{
    BINDINGS_CLEARED_AT_ONCE_MAX, BINDINGS_READ_AT_ONCE_MAX, BLOCK_BYTES_MAX,
    DEDUPLICATION_CLEARED_AT_ONCE_MAX, DELETED_MESSAGES_AT_ONCE_MAX, EMPTIED_AT_ONCE_MAX,
};
use crate::protocol::ShortString;
use departures::Departures;

/// A virtual host: its topology, what deduplication has seen, and the departures on their way.
pub struct Vhost {
    /// Its name.
    pub name: ShortString,
    /// Where messages count that the broker itself makes.
    pub(super) gauge: &'static Gauge,
    topology: RwLock<Topology>,
    /// The values that queues and exchanges with deduplication have seen. Taken before the topology's lock, and held until the
    /// journal has what was remembered: see [`Seen`].
    seen: Mutex<Seen>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) calls: Arc<Calls>,
    pub(super) departures: Departures,
    /// Messages that were lost on their way between queues.
    pub drops: Drops,
    policies_changed: AtomicU64,
    last_change: AtomicU64,
    /// Bindings or seen values of deleted queues and exchanges are left to be taken out.
    remains: Notify,
    /// What is observed of single messages.
    pub observers: Arc<Observers>,
    /// How fast its clients may publish.
    pub rates: Rates,
    /// It has more messages than it may.
    pub share: Share,
    /// What was counted on channels that have ended.
    past: Mutex<MessageCounts>,
    /// It was deleted.
    leaving: AtomicBool,
    /// Its task is to end.
    closed: Notify,
}

impl Vhost {
    /// A virtual host whose changes go to `journal`.
    pub fn new(
        name: ShortString,
        topology: Topology,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        calls: Arc<Calls>,
    ) -> Self {
        let gauge = topology.memory().gauge();
        let seen = Mutex::new(Seen::new(gauge));
        let departures = Departures::new(calls.bell.clone());
        let observers = topology.observers().clone();
        let topology = RwLock::new(topology);
        Self {
            name,
            gauge,
            topology,
            seen,
            journal,
            clock,
            calls,
            departures,
            drops: Drops::default(),
            observers,
            policies_changed: AtomicU64::default(),
            last_change: AtomicU64::default(),
            remains: Notify::new(),
            rates: Rates::default(),
            share: Share::default(),
            past: Mutex::default(),
            leaving: AtomicBool::new(false),
            closed: Notify::new(),
        }
    }

    /// Whether it was deleted: nobody may come any more.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// The virtual host is deleted, durably: a start would go on where this ends. Gives the commit to wait for.
    pub(super) fn leave(&self) -> Option<Commit> {
        self.leaving.store(true, Ordering::SeqCst);
        self.append_change(TopologyChange::VhostDeleted)
    }

    fn append_change(&self, change: TopologyChange) -> Option<Commit> {
        let mut topology = self.write();
        topology.note(change);
        self.append_topology(&mut topology, Changes::new())
    }

    /// Takes out everything that is in it, in pieces, when its connections are gone.
    pub(super) async fn empty(&self) {
        loop {
            let (emptied, _) = self.change(|topology| topology.empty_some(EMPTIED_AT_ONCE_MAX));
            let Emptied::Some(deleted) = emptied else { break };
            for mut deleted in deleted {
                while deleted.let_go(DELETED_MESSAGES_AT_ONCE_MAX) {
                    tokio::task::yield_now().await;
                }
            }
            poll_fn(|cx| self.journal.poll_room(cx)).await;
            tokio::task::yield_now().await;
        }
        while self.clear_away() {
            poll_fn(|cx| self.journal.poll_room(cx)).await;
            tokio::task::yield_now().await;
        }
        self.append_change(TopologyChange::VhostCleared);
    }

    /// Its task ends.
    pub(super) fn close(&self) {
        self.closed.notify_one();
    }

    /// Keeps what was counted on a channel that ends.
    pub fn keep_counts(&self, of_channel: &MessageCounts) {
        *self.past.lock() += of_channels(of_channel);
    }

    /// A message is dropped that was in `queue`, or came to none.
    pub fn note_dropped(&self, reason: DropReason, queue: Option<&ShortString>, message: &View<'_>) {
        self.observers.drops.note(reason, &*self.clock, queue, message);
        self.tell(|| Event { queue, ..Event::of(What::Dropped(reason), *message) });
    }

    /// Something happens to a message that is in no queue: tells who looks, if anybody does.
    #[inline]
    pub fn tell<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(lookouts) = self.observers.looks() {
            self.observers.tell(&lookouts, self.clock.now(), &event());
        }
    }

    /// What was counted on channels that have ended.
    pub fn past_counts(&self) -> MessageCounts {
        *self.past.lock()
    }

    /// Messages that are ready or wait for their time, and messages that clients hold.
    pub fn message_totals(&self) -> (usize, usize) {
        let queues: Vec<_> = self.read(|topology| topology.named_queues().cloned().collect());
        queues.iter().map(|queue| queue.status()).fold((0, 0), |(ready, unacked), status| {
            (ready + status.ready + status.delayed, unacked + status.unacked)
        })
    }

    /// Waits until it is closed. For its task alone.
    pub async fn closed(&self) {
        self.closed.notified().await;
    }

    /// Reads the topology.
    pub fn read<T>(&self, operation: impl FnOnce(&Topology) -> T) -> T {
        operation(&self.read_lock())
    }

    /// All bindings, in no order. They are read in pieces: whoever publishes or declares meanwhile does not wait for all of them.
    pub fn bindings(&self) -> Vec<Binding> {
        let destinations = self.read(Topology::destinations);
        let mut all = Vec::new();
        let mut rest = &*destinations;
        while !rest.is_empty() {
            let before = all.len();
            rest = self.read(|topology| {
                let mut at = 0;
                while at < rest.len().min(BINDINGS_READ_AT_ONCE_MAX)
                    && all.len() - before < BINDINGS_READ_AT_ONCE_MAX
                {
                    all.extend(topology.bindings_to(&rest[at]));
                    at += 1;
                }
                &rest[at..]
            });
        }
        all
    }

    /// The values that deduplication has seen, locked. See [`Effects::defer_reads`](crate::core::effects::Effects::defer_reads).
    pub fn seen(&self) -> Quiet<MutexGuard<'_, Seen>> {
        Quiet::new(self.seen.lock())
    }

    /// Unlocks them; then the log hears of owners that have had to forget early.
    pub fn release_seen(&self, mut seen: Quiet<MutexGuard<'_, Seen>>) {
        let cut = seen.take_cut();
        drop(seen);
        for Cut { deduplicator, remembered, exceeded } in cut {
            let kind = if matches!(deduplicator.owner, Owner::Queue(_)) { "queue" } else { "exchange" };
            tracing::warn!(
                vhost = %self.name, kind, name = %deduplicator.name, remembered, size = deduplicator.rule.size,
                "the oldest values are forgotten early: {exceeded}"
            );
        }
    }

    fn read_lock(&self) -> Quiet<RwLockReadGuard<'_, Topology>> {
        Quiet::new(self.topology.read())
    }

    fn write(&self) -> Quiet<RwLockWriteGuard<'_, Topology>> {
        Quiet::new(self.topology.write())
    }

    /// Changes the topology. Gives the commit to wait for, if something durable changed.
    pub fn change<T>(&self, operation: impl FnOnce(&mut Topology) -> T) -> (T, Option<Commit>) {
        self.change_all(|topology, _, _| operation(topology))
    }

    /// Changes the topology for somebody who has no connection here. `None`, and nothing is changed, once the virtual host was deleted:
    /// its end waits for its connections alone, and what came after it was emptied would be there again after a restart.
    pub(super) fn change_unless_left<T>(
        &self,
        operation: impl FnOnce(&mut Topology) -> T,
    ) -> Option<(T, Option<Commit>)> {
        // Under the lock: whoever deletes it takes that too, to tell the journal.
        let (result, commit) = self.change(|topology| (!self.is_leaving()).then(|| operation(topology)));
        result.map(|result| (result, commit))
    }

    fn change_all<T>(
        &self,
        operation: impl FnOnce(&mut Topology, &mut Seen, &mut Changes) -> T,
    ) -> (T, Option<Commit>) {
        let mut seen = self.seen();
        let mut topology = self.write();
        let mut forgotten = Changes::new();
        let result = operation(&mut topology, &mut seen, &mut forgotten);
        follow(&mut seen, &mut topology, &mut forgotten);
        let commit = self.append_topology(&mut topology, forgotten);
        let has_remains = topology.has_remains() || seen.has_remains();
        let routers = topology.take_routers();
        drop((topology, seen));
        drop(routers);
        if has_remains {
            self.remains.notify_one();
            self.calls.bell.ring();
        }
        (result, commit)
    }

    /// Takes out some of the bindings that deleted queues and exchanges have left, and of the values that they have seen.
    /// True if there are more.
    pub fn clear_away(&self) -> bool {
        let (more, _) = self.change_all(|topology, seen, forgotten| {
            let bindings = topology.clear_away(BINDINGS_CLEARED_AT_ONCE_MAX);
            seen.clear_away(DEDUPLICATION_CLEARED_AT_ONCE_MAX, forgotten) || bindings
        });
        more
    }

    /// Whether bindings are left of a deleted queue or exchange of this name, or values that the exchange had seen: the name stays
    /// taken until they are gone. What a deleted queue had seen does not count, for a new queue has another number.
    pub fn is_clearing(&self, name: &Destination) -> bool {
        let has_values = matches!(name, Destination::Exchange(name) if self.seen.lock().is_clearing(name));
        has_values || self.topology.read().is_clearing(name)
    }

    /// Makes a name free for a declaration: takes out what is left of the queue or exchange that had it.
    pub fn make_free(&self, name: &Destination) {
        while self.is_clearing(name) {
            self.clear_away();
        }
    }

    /// Takes out what deleted queues and exchanges leave, as long as the broker runs.
    pub async fn keep_clear(&self) {
        loop {
            self.remains.notified().await;
            while self.clear_away() {
                poll_fn(|cx| self.journal.poll_room(cx)).await;
                tokio::task::yield_now().await;
            }
        }
    }

    /// The commit of the last durable change of the topology: an answer that says that something durable is there waits for
    /// it, even if its client has changed nothing.
    pub fn last_change(&self) -> Option<Commit> {
        let last = Commit(self.last_change.load(Ordering::Acquire));
        (last != Commit::default()).then_some(last)
    }

    /// Gives the journal the changes of the topology, and the other changes that belong to them.
    fn append_topology(&self, topology: &mut Topology, forgotten: Changes) -> Option<Commit> {
        let changes = topology.take_changes();
        let transient =
            |change: &_| matches!(change, TopologyChange::QueueDeleted { id, .. } if !id.is_durable());
        let waits = !changes.iter().all(transient);
        let named = |change| Change::Topology { vhost: self.name.clone(), change };
        // Under the lock: the journal gets changes of topology in the order in which they happened.
        let mut changes = changes.into_iter().map(named).chain(forgotten).collect();
        let commit = self.journal.append(&mut changes, true);
        if waits {
            self.last_change.store(commit.0, Ordering::Release);
        }
        waits.then_some(commit)
    }

    /// Sets a policy; see [`Topology::set_policy`]. Gives the commit to wait for. In a virtual host that was deleted nothing is set.
    pub fn set_policy(&self, kind: PolicyKind, spec: PolicySpec) -> Result<Option<Commit>, PolicyError> {
        let policy = Policy::new(kind, spec)?;
        let set = self.change_unless_left(|topology| topology.set_policy(kind, policy));
        self.policies_changed.fetch_add(1, Ordering::Relaxed);
        Ok(set.and_then(|((), commit)| commit))
    }

    /// Removes a policy: whether it was there, and the commit to wait for.
    pub fn delete_policy(&self, kind: PolicyKind, name: &[u8]) -> (bool, Option<Commit>) {
        let result = self.change(|topology| topology.delete_policy(kind, name));
        self.policies_changed.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// Changes arguments of a queue; see [`Topology::change_arguments`]. Gives what it comes to, and the commit to wait for.
    pub fn change_arguments(
        &self,
        queue: &[u8],
        changes: &ArgumentChanges,
    ) -> Result<(SettingsChange, Option<Commit>), Unchangeable> {
        let done = self.change_unless_left(|topology| topology.change_arguments(queue, changes));
        // What consumers hold is looked at anew, as after a change of policies.
        self.policies_changed.fetch_add(1, Ordering::Relaxed);
        let (change, commit) = done.ok_or(Unchangeable::NoQueue)?;
        let change = change?;
        tracing::info!(vhost = %self.name, queue = %String::from_utf8_lossy(queue), "arguments of a queue have changed");
        Ok((change, commit))
    }

    /// How often policies were set or removed.
    pub(super) fn policies_changed(&self) -> u64 {
        self.policies_changed.load(Ordering::Relaxed)
    }

    /// Sets what counts for the virtual host as a whole, when it is made; the journal gets `others` in the same group. Gives the commit
    /// to wait for.
    pub(super) fn begin(&self, settings: VhostSettings, others: Changes) -> Option<Commit> {
        self.rates.set(&settings.limits);
        let begin = |topology: &mut Topology, _: &mut Seen, changes: &mut Changes| {
            topology.set_settings(settings);
            changes.extend(others);
        };
        self.change_all(begin).1
    }

    /// Changes what is set for the virtual host as a whole, durably. Whether it is other than before; not if it was deleted.
    pub fn change_settings(&self, change: impl FnOnce(&VhostSettings) -> VhostSettings) -> bool {
        let operation = |topology: &mut Topology| {
            let settings = change(topology.settings());
            let is_other = settings != *topology.settings();
            is_other.then(|| {
                self.rates.set(&settings.limits);
                topology.set_settings(settings.clone());
                settings
            })
        };
        let changed = self.change_unless_left(operation).and_then(|(changed, _)| changed);
        if let Some(settings) = &changed {
            audit::vhost_changed(&self.name, settings);
        }
        changed.is_some()
    }

    /// Its limits.
    pub fn limits(&self) -> Limits {
        self.read(|topology| topology.settings().limits.clone())
    }

    /// The queue that holds what is published here with a delay.
    pub fn delay_queue(&self) -> Arc<SharedQueue> {
        if let Some(queue) = self.read(|topology| topology.delay_queue().cloned()) {
            return queue;
        }
        // What is delayed is appended after this, and waits for its own commit.
        // Not by `change`: a session that delays a message may hold the lock of what was seen.
        let mut topology = self.write();
        let queue = topology.make_delay_queue();
        self.append_topology(&mut topology, Changes::new());
        queue
    }

    /// Reads back the values that durable queues and exchanges had seen when the broker was last stopped; to be called before the first
    /// publish.
    pub fn restore_seen(&self, pager: &dyn Pager) {
        let mut changes = Changes::new();
        follow(&mut self.seen(), &mut self.write(), &mut changes);
        self.append_topology(&mut self.write(), std::mem::take(&mut changes));
        if let Some(RestoredQueue { id, ranges, .. }) = self.read(|topology| topology.seen_queue().cloned()) {
            let now = self.clock.now();
            for RestoredRange { first, last, .. } in ranges {
                let mut next = Some(first);
                while let Some(first) = next {
                    let page = pager.load(id, first, last, BLOCK_BYTES_MAX).unwrap_or_default();
                    let mut seen = self.seen();
                    for loaded in &page.messages {
                        seen.restore(loaded, now, &mut changes);
                    }
                    self.release_seen(seen);
                    self.journal.append(&mut changes, false);
                    next = page.rest_from;
                }
            }
        }
    }

    /// Where all messages with this exchange and key go, unless [`Route::needs_message`].
    pub fn route_by_key(&self, exchange: &[u8], key: &[u8]) -> Result<Arc<Route>, AmqpError> {
        self.read_lock().route_by_key(exchange, key)
    }

    /// Where a message goes. The exchanges that keep messages have it then.
    pub fn route(&self, message: &View<'_>, addressing: &Addressing<'_>) -> Result<Route, AmqpError> {
        let topology = self.read_lock();
        let route = topology.route(message.exchange(), addressing)?;
        route.remember(message, addressing.headers);
        Ok(route)
    }

    /// The same for a message that the broker itself sends on: internal exchanges are open to it.
    pub(super) fn route_within(
        &self,
        message: &View<'_>,
        addressing: &Addressing<'_>,
    ) -> Result<Route, AmqpError> {
        let topology = self.read_lock();
        let route = topology.route_within(message.exchange(), addressing)?;
        route.remember(message, addressing.headers);
        Ok(route)
    }

    /// A queue that the connection may use: 404 if missing, 405 if exclusive to another connection.
    pub fn accessible_queue(
        &self,
        name: &[u8],
        connection: ConnectionId,
    ) -> Result<Arc<SharedQueue>, AmqpError> {
        self.read_lock().accessible_queue(name, connection).cloned()
    }

    /// Deletes a queue that no client has used for long, unless one has declared it or got from it meanwhile.
    pub(super) fn unused_for_long(&self, queue: &Arc<SharedQueue>) {
        let (deleted, _) = self.change(|topology| {
            // Declaring takes the same lock.
            queue.is_unused().then(|| topology.expire_queue(queue, |consumers| consumers == 0))
        });
        if deleted.is_some() && queue.is_deleted() {
            tracing::info!(vhost = %self.name, queue = %queue.spec.name, "queue expired");
        }
    }

    /// Deletes a queue that went with its last consumer, unless it has got another one meanwhile.
    pub fn last_consumer_left(&self, queue: &Arc<SharedQueue>) -> Deleted {
        self.change(|topology| topology.expire_queue(queue, |consumers| consumers == 0)).0
    }

    /// Deletes an exclusive queue of a connection that ended.
    pub fn owner_left(&self, queue: &Arc<SharedQueue>) -> Deleted {
        self.change(|topology| topology.expire_queue(queue, |_| true)).0
    }
}

/// What only channels count; queues and exchanges count the rest for their virtual host.
pub fn of_channels(counts: &MessageCounts) -> MessageCounts {
    MessageCounts {
        publish_confirm: counts.publish_confirm,
        confirm: counts.confirm,
        return_unroutable: counts.return_unroutable,
        drop_unroutable: counts.drop_unroutable,
        ..MessageCounts::default()
    }
}

/// Remembers for owners that have come, and forgets what owners that are gone had seen; `changes` gets what is settled by that.
fn follow(seen: &mut Seen, topology: &mut Topology, changes: &mut Changes) {
    let mut has_closed = false;
    for change in topology.take_deduplicators() {
        match change {
            DeduplicatorChange::Opened(deduplicator) => seen.open(&deduplicator, changes),
            DeduplicatorChange::Closed(owner) => {
                seen.close(&owner);
                has_closed = true;
            }
        }
    }
    if has_closed {
        seen.clear_away(DEDUPLICATION_CLEARED_AT_ONCE_MAX, changes);
    }
    if let Some(queue) = topology.seen_queue() {
        seen.keep_in(queue.id, counter_of(queue.next_position));
    }
}
