//! A queue: what waits, who consumes, and the rules between them.
//!
//! [`Queue`] is the state and its rules; it knows no lock, socket or clock. [`SharedQueue`] is a queue behind its
//! short lock, with the operations that the broker calls. A message is in exactly one of four places: ready, waiting for its time, in
//! the window of the channel that it was delivered to, or gone.

mod allowance;
mod by_priority;
mod changed;
mod consumers;
mod counters;
mod delayed;
mod dispatch_round;
mod expiry;
mod leaving;
mod line;
mod moved_in;
mod observed;
mod peek;
mod ready;
mod shared;
mod shown;
mod source;
#[cfg(feature = "opentelemetry")]
mod spans;
mod timing;

use std::{sync::Arc, task::Waker};

pub use changed::Foreseen;
pub use consumers::{Consumer, ConsumerShown, ConsumerSpec};
pub use counters::{QueueCounters, QueueTotals, RareCounters};
pub use dispatch_round::DispatchRound;
pub use peek::{Cursor, Holding, Peek, Peeked};
pub use shared::{
    ConsumeError, Deleted, Enqueued, GetError, Purged, QueueStatus, SharedQueue, Surroundings, Timetable,
    Uncalled,
};
pub use timing::Tick;

use crate::core::{
    change::Attempts,
    clock::{Millis, Moment},
    declared::{Keeps, QueueSpec},
    effects::Effects,
    entry::Entry,
    message::{Publication, View},
    observing::What,
    pager::RestoredQueue,
    placement::{Placement, counter_of, position_of},
    policy::QueueSettings,
    seldom::Seldom,
};
use crate::limits::{
    DISPATCH_BYTES_MAX, FLOW_BYTES_DEEP, FLOW_BYTES_MAX, FLOW_BYTES_RESUME, QUEUE_RESIDENT_BYTES_MAX,
};
use allowance::Allowance;
use changed::ChangedArguments;
use consumers::Consumers;
use delayed::Delayed;
use line::{Front, Paged};
use observed::{Looks, Receiver};
use ready::Ready;
use shown::shown;

/// Where a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client has published it, and can be told that there is no room.
    Client,
    /// It has left another queue for this one: refusing it would lose it.
    Broker,
}

/// What a queue is for good, as far as its rules ask.
#[derive(Debug, Clone, Copy)]
struct Traits {
    single_active_consumer: bool,
    /// How it tells its messages' priorities apart, if it does.
    priorities: Option<Priorities>,
    /// Deliveries say how often there were others (RabbitMQ: quorum queues).
    shows_attempts: bool,
    /// Which messages survive a restart.
    keeps: Keeps,
    /// It holds what was published with a delay, and has no consumers.
    delays: bool,
}

impl Traits {
    fn of(spec: &QueueSpec) -> Self {
        Self {
            single_active_consumer: spec.single_active_consumer(),
            priorities: Priorities::of(spec),
            shows_attempts: spec.is_quorum(),
            keeps: spec.keeps(),
            delays: spec.is_delay_queue(),
        }
    }

    fn lines(self) -> usize {
        self.priorities.map_or(1, |its| usize::from(its.max) + 1)
    }

    /// The line of a message: positions are in the order of delivery, so the highest priority is in the first.
    #[inline]
    fn line(self, publication: &Publication<'_>) -> u8 {
        let Some(Priorities { max, unsaid }) = self.priorities else { return 0 };
        max - expiry::priority(&publication.view()).unwrap_or(unsaid).min(max)
    }
}

/// Priorities of a queue's messages.
#[derive(Debug, Clone, Copy)]
struct Priorities {
    /// The highest that is told apart.
    max: u8,
    /// The priority of a message without one.
    unsaid: u8,
}

impl Priorities {
    /// Of a quorum queue: 32, without an argument (RabbitMQ 4.3).
    const QUORUM: Self = Self { max: 31, unsaid: 4 };

    fn of(spec: &QueueSpec) -> Option<Self> {
        if spec.is_quorum() {
            return Some(Self::QUORUM);
        }
        spec.max_priority().map(|max| Self { max, unsaid: 0 })
    }
}

/// The state of a queue: its messages, its consumers, its counters.
#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Queue {
    traits: Traits,
    settings: Arc<QueueSettings>,
    /// Its arguments, if they are no longer those of its declaration.
    changed: Option<Box<ChangedArguments>>,
    ready: Ready,
    delayed: Seldom<Delayed>,
    consumers: Consumers,
    next_counter: u64,
    unacked_count: usize,
    unacked_bytes: usize,
    /// A call is reading the front from disk, and will go on delivering.
    loading: bool,
    /// A call stopped before it was done, so that others get their turn: the timetable calls for the rest.
    unfinished: bool,
    /// Messages were given to the journal only to make room in memory.
    spilled: bool,
    had_consumer: bool,
    deleted: bool,
    /// Some of its messages may have a deadline.
    may_expire: bool,
    /// When the timetable calls.
    called_at: Option<Millis>,
    /// When a client last consumed, got or declared.
    used_at: Millis,
    /// Publishers that wait for the queue to drain.
    paused: Seldom<Vec<Waker>>,
    /// A publisher has paused in vain: no consumer took a message meanwhile.
    stalled: bool,
    counters: QueueCounters,
    rare: Seldom<RareCounters>,
    /// Who looks, as long as it is locked.
    looks: Looks,
}

impl Queue {
    /// An empty queue.
    fn new(traits: Traits, settings: Arc<QueueSettings>, now: Millis) -> Self {
        Self {
            may_expire: settings.message_ttl.is_some(),
            settings,
            changed: None,
            ready: Ready::new(traits.lines()),
            delayed: Seldom::default(),
            consumers: Consumers::new(traits.single_active_consumer),
            traits,
            next_counter: 0,
            unacked_count: 0,
            unacked_bytes: 0,
            loading: false,
            unfinished: false,
            spilled: false,
            had_consumer: false,
            deleted: false,
            called_at: None,
            used_at: now,
            paused: Seldom::default(),
            stalled: false,
            counters: QueueCounters::default(),
            rare: Seldom::default(),
            looks: Looks::default(),
        }
    }

    /// A queue as the journal remembers it.
    fn restored(traits: Traits, settings: Arc<QueueSettings>, now: Millis, restored: &RestoredQueue) -> Self {
        Self {
            ready: Ready::restored(traits.lines(), &restored.ranges),
            next_counter: counter_of(restored.next_position),
            may_expire: !restored.ranges.is_empty() || settings.message_ttl.is_some(),
            ..Self::new(traits, settings, now)
        }
    }

    /// Takes a message in: straight to a consumer that can have it, else to the end of its line. Gives its placement if that is for
    /// the journal.
    #[inline]
    fn publish(
        &mut self,
        me: &Arc<SharedQueue>,
        publication: &mut Publication<'_>,
        round: &mut DispatchRound,
        now: &mut Moment<'_>,
        effects: &mut Effects,
    ) -> Option<Placement> {
        self.counters.published += 1;
        if self.ready.is_empty() {
            while let Some((id, consumer)) = self.consumers.next() {
                let outbox = round.outbox(&consumer.spec.outbox);
                if let Err(why) = outbox.admit(me, id, consumer.recipient()) {
                    self.consumers.starved(id, why);
                    continue;
                }
                let tag = outbox.deliver(consumer.recipient(), &publication.view(), false);
                let (mut placement, mut position) = (None, None);
                if consumer.spec.no_ack {
                    self.counters.delivered_no_ack += 1;
                } else {
                    let line = self.traits.line(publication);
                    let entry =
                        Self::entry((&mut self.next_counter, self.traits.keeps), line, me, publication, now);
                    (placement, position) = (entry.placement(me.id), Some(entry.position));
                    self.unacked_count += 1;
                    self.unacked_bytes += entry.message.size_bytes();
                    if let Some(window) = outbox.window(consumer.spec.channel) {
                        window.hold(me.handed_out(tag, Some(id), entry));
                    }
                }
                if self.looks.want(&publication.view()) {
                    let message = publication.keep(me.surroundings.memory.gauge(), || now.get());
                    self.looks.tell_enqueued(&message, position);
                    let to = Receiver::of(&consumer.spec, outbox);
                    self.looks.tell_delivered(&to, &message, (position, false), effects);
                }
                self.counters.delivered += 1;
                self.consumers.delivered(id);
                return placement;
            }
        }
        self.enqueue(me, publication, now)
    }

    /// Appends a message to its line; gives its placement if that is for the journal.
    fn enqueue(
        &mut self,
        me: &SharedQueue,
        publication: &mut Publication<'_>,
        now: &mut Moment<'_>,
    ) -> Option<Placement> {
        let line = self.traits.line(publication);
        let entry = Self::entry((&mut self.next_counter, self.traits.keeps), line, me, publication, now);
        let placement = entry.placement(me.id);
        self.looks.tell_enqueued(&entry.message, Some(entry.position));
        self.may_expire = self.may_expire || expiry::expiration(&entry.message.view()).is_some();
        if self.ready.push(entry) && self.ready.resident_bytes() > QUEUE_RESIDENT_BYTES_MAX {
            self.ready.page_out(QUEUE_RESIDENT_BYTES_MAX);
        }
        placement
    }

    #[inline]
    fn entry(
        (next, keeps): (&mut u64, Keeps),
        line: u8,
        me: &SharedQueue,
        publication: &mut Publication<'_>,
        now: &mut Moment<'_>,
    ) -> Entry {
        let position = position_of(line, *next);
        *next += 1;
        let journaled = keeps.has(publication.view().layout.persistent);
        let message = publication.keep(me.surroundings.memory.gauge(), || now.get());
        Entry { message, position, attempts: Attempts::default(), redelivered: false, journaled }
    }

    /// Takes in a message that waits until `due`.
    fn hold_until(
        &mut self,
        me: &SharedQueue,
        publication: &mut Publication<'_>,
        due: Millis,
    ) -> Option<Placement> {
        self.counters.published += 1;
        let entry = Self::entry(
            (&mut self.next_counter, self.traits.keeps),
            0,
            me,
            publication,
            &mut Moment::of(&*me.surroundings.clock),
        );
        let placement = entry.placement(me.id);
        self.looks.tell(&entry, None, || What::Delayed { until: due });
        self.delayed.insert(due, entry);
        placement
    }

    /// Gives waiting messages to consumers, as far as they are in memory and are allowed.
    fn dispatch(
        &mut self,
        me: &Arc<SharedQueue>,
        round: &mut DispatchRound,
        allowance: &mut Allowance,
        effects: &mut Effects,
    ) -> Dispatched {
        let now = if self.may_expire { me.now() } else { 0 };
        if self.may_expire && !self.expire(me, now, allowance, effects) {
            return Dispatched::All; // the timetable calls for the rest
        }
        let mut bytes = 0;
        while let Some(front) = self.ready.front() {
            let Some((id, consumer)) = self.consumers.next() else { return Dispatched::All };
            let outbox = round.outbox(&consumer.spec.outbox);
            if let Err(why) = outbox.admit(me, id, consumer.recipient()) {
                self.consumers.starved(id, why);
                continue;
            }
            let front = match front {
                Front::Entry(entry) => entry,
                Front::Paged(_) if self.loading => return Dispatched::All,
                Front::Paged(_) if !allowance.read_page() => {
                    self.unfinished = true;
                    return Dispatched::All;
                }
                Front::Paged(paged) => {
                    self.loading = true;
                    return Dispatched::UpTo(paged);
                }
            };
            if !allowance.may_deliver() {
                self.unfinished = true;
                return Dispatched::All;
            }
            if bytes >= DISPATCH_BYTES_MAX {
                return Dispatched::Some;
            }
            let redelivered = front.redelivered;
            let tag = match shown(self.traits.shows_attempts, &self.settings, front) {
                None => outbox.deliver(consumer.recipient(), &front.message.view(), redelivered),
                Some((layout, image)) => {
                    outbox.deliver(consumer.recipient(), &View::new(layout, &image), redelivered)
                }
            };
            if let Some(entry) = self.ready.pop() {
                if self.looks.is_any() {
                    let (to, at) =
                        (Receiver::of(&consumer.spec, outbox), (Some(entry.position), redelivered));
                    self.looks.tell_delivered(&to, &entry.message, at, effects);
                }
                let size = entry.message.size_bytes();
                bytes += size;
                allowance.delivered(size);
                if consumer.spec.no_ack {
                    self.counters.delivered_no_ack += 1;
                    entry.settle(me.id, &mut effects.changes);
                } else {
                    self.unacked_count += 1;
                    self.unacked_bytes += size;
                    if let Some(window) = outbox.window(consumer.spec.channel) {
                        window.hold(me.handed_out(tag, Some(id), entry));
                    }
                }
            }
            self.counters.delivered += 1;
            self.counters.redelivered += u64::from(redelivered);
            self.consumers.delivered(id);
            if self.may_expire && !self.expire(me, now, allowance, effects) {
                return Dispatched::All;
            }
        }
        Dispatched::All
    }

    /// Takes the oldest message out for `basic.get`, if it is in memory.
    fn take(&mut self, me: &Arc<SharedQueue>, no_ack: bool, effects: &mut Effects) -> Taken {
        self.used_at = me.now();
        if self.may_expire && !self.expire(me, self.used_at, &mut Allowance::of_a_call(), effects) {
            return Taken::Expired;
        }
        match self.ready.front() {
            None => return Taken::Nothing,
            Some(Front::Paged(paged)) => return Taken::Paged(paged),
            Some(Front::Entry(_)) => {}
        }
        let Some(entry) = self.ready.pop() else { return Taken::Nothing };
        if !no_ack {
            self.unacked_count += 1;
            self.unacked_bytes += entry.message.size_bytes();
        }
        self.counters.got += 1;
        self.counters.got_no_ack += u64::from(no_ack);
        self.counters.redelivered += u64::from(entry.redelivered);
        Taken::Entry(entry)
    }

    /// Whether it grows although its consumers wait for nothing but their sockets.
    fn is_congested(&self) -> bool {
        (FLOW_BYTES_MAX..FLOW_BYTES_DEEP).contains(&self.ready.bytes())
            && !self.stalled
            && self.consumers.held_back_by_outboxes()
    }

    /// The publishers that may go on now.
    fn resumed(&mut self) -> Vec<Waker> {
        let drained = !(FLOW_BYTES_RESUME..FLOW_BYTES_DEEP).contains(&self.ready.bytes()) || self.deleted;
        if drained { self.paused.take() } else { Vec::new() }
    }

    /// Its messages in memory.
    #[cfg(test)]
    fn messages(&self) -> impl Iterator<Item = &crate::core::message::Message> {
        self.ready.entries().map(|entry| &entry.message).chain(self.delayed.messages())
    }

    /// What [`Self::capacity_bytes`] says, found by looking at every part.
    #[cfg(test)]
    fn walked_capacity_bytes(&self) -> usize {
        self.ready.walked_capacity_bytes() + self.delayed.capacity_bytes()
    }

    /// Bytes that it takes to hold its messages, beside these: they count themselves.
    #[inline]
    fn capacity_bytes(&self) -> usize {
        self.ready.capacity_bytes() + self.delayed.capacity_bytes()
    }
}

/// How far a queue came in giving out what waits.
enum Dispatched {
    /// No message is ready, or no consumer can take one.
    All,
    /// It stopped only to let others have the lock.
    Some,
    /// The next ones must be read first; the caller does that.
    UpTo(Paged),
}

/// What `basic.get` finds.
enum Taken {
    Nothing,
    /// Many messages that had expired, and perhaps there are more.
    Expired,
    /// It must be read first.
    Paged(Paged),
    Entry(Entry),
}

#[cfg(test)]
mod tests;
