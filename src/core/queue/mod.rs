//! A queue: what waits, who consumes, and the rules between them.
//!
//! [`Queue`] is the state and its rules; it knows no lock, socket or clock. [`SharedQueue`] is a queue behind its
//! short lock, with the operations that the broker calls. A message is in exactly one of three places: ready, in
//! the window of the channel that it was delivered to, or gone.

mod consumers;
mod feed;
mod ready;
pub mod retry;
mod settings;
mod shared;
mod spec;

use std::{sync::Arc, task::Waker};

pub use consumers::{Consumer, ConsumerId, ConsumerSpec};
pub use feed::Feed;
pub use ready::Entry;
pub use settings::{Overflow, QueueSettings};
pub use shared::{
    ConsumeError, Deleted, GetError, QueueStatus, SharedQueue, feed_by_channel, feed_by_outbox,
    settle_by_queue,
};
pub use spec::QueueType;

use crate::core::{
    ConnectionId,
    journal::{Attempts, Change, Changes, Placement, RestoredQueue},
    message::Publication,
    window::Unacked,
};
use crate::limits::{
    DISPATCH_BYTES_MAX, FLOW_BYTES_DEEP, FLOW_BYTES_MAX, FLOW_BYTES_RESUME, QUEUE_RESIDENT_BYTES_MAX,
};
use crate::protocol::{FieldTable, FieldValue, ShortString};
use consumers::Consumers;
use ready::{Front, Paged, Ready};

/// What `queue.declare` fixed for good.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSpec {
    /// Unique in its virtual host.
    pub name: ShortString,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// The one connection that may use it, and with which it goes.
    pub owner: Option<ConnectionId>,
    /// Arguments as declared.
    pub arguments: FieldTable,
}

impl QueueSpec {
    /// `x-single-active-consumer`.
    pub fn single_active_consumer(&self) -> bool {
        matches!(self.arguments.get("x-single-active-consumer"), Some(FieldValue::Bool(true)))
    }
}

/// What a queue has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// Messages that routing brought.
    pub published: u64,
    /// Deliveries to consumers, redeliveries included.
    pub delivered: u64,
    /// Messages handed out by `basic.get`.
    pub got: u64,
    /// Deliveries that said `redelivered`.
    pub redelivered: u64,
    /// Messages that were acknowledged.
    pub acknowledged: u64,
}

/// See the module's text.
#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Queue {
    settings: Arc<QueueSettings>,
    ready: Ready,
    consumers: Consumers,
    next_position: u64,
    unacked_count: usize,
    unacked_bytes: usize,
    /// Somebody reads the front from disk, and will go on delivering.
    loading: bool,
    /// Messages were given to the journal only to make room in memory.
    spilled: bool,
    had_consumer: bool,
    deleted: bool,
    /// Publishers that wait for the queue to drain.
    paused: Vec<Waker>,
    /// Waiting did not help the last time: nobody took anything.
    stalled: bool,
    counters: QueueCounters,
}

impl Queue {
    /// An empty queue.
    pub fn new(single_active_consumer: bool) -> Self {
        Self {
            settings: Arc::default(),
            ready: Ready::default(),
            consumers: Consumers::new(single_active_consumer),
            next_position: 0,
            unacked_count: 0,
            unacked_bytes: 0,
            loading: false,
            spilled: false,
            had_consumer: false,
            deleted: false,
            paused: Vec::new(),
            stalled: false,
            counters: QueueCounters::default(),
        }
    }

    /// A queue as the journal remembers it.
    fn restored(single_active_consumer: bool, restored: &RestoredQueue) -> Self {
        Self {
            ready: Ready::restored(&restored.ranges),
            next_position: restored.next_position,
            ..Self::new(single_active_consumer)
        }
    }

    /// Takes a message in: straight to a consumer that can have it, else to the end of the queue. Gives its place if it is
    /// for the journal.
    #[inline]
    fn publish(
        &mut self,
        me: &Arc<SharedQueue>,
        publication: &mut Publication<'_>,
        feed: &mut Feed,
    ) -> Option<Placement> {
        self.counters.published += 1;
        if self.ready.is_empty() {
            while let Some((id, consumer)) = self.consumers.next() {
                let outbox = feed.outbox(&consumer.spec.outbox);
                if let Err(why) = outbox.admit(me, id, consumer) {
                    self.consumers.starved(id, why);
                    continue;
                }
                let tag = outbox.deliver(consumer, &publication.view(), false);
                let mut placement = None;
                if !consumer.spec.no_ack {
                    let entry = Self::entry(&mut self.next_position, me, publication);
                    placement =
                        entry.journaled.then_some(Placement { queue: me.id, position: entry.position });
                    self.unacked_count += 1;
                    self.unacked_bytes += entry.message.size_bytes();
                    if let Some(window) = outbox.window(consumer.spec.channel) {
                        window.hold(Unacked { tag, queue: me.clone(), consumer: Some(id), entry });
                    }
                }
                self.counters.delivered += 1;
                self.consumers.delivered(id);
                return placement;
            }
        }
        let entry = Self::entry(&mut self.next_position, me, publication);
        let placement = entry.journaled.then_some(Placement { queue: me.id, position: entry.position });
        if self.ready.push(entry) && self.ready.resident_bytes() > QUEUE_RESIDENT_BYTES_MAX {
            self.ready.page_out(QUEUE_RESIDENT_BYTES_MAX);
        }
        placement
    }

    #[inline]
    fn entry(next_position: &mut u64, me: &SharedQueue, publication: &mut Publication<'_>) -> Entry {
        let position = *next_position;
        *next_position += 1;
        let journaled = me.spec.durable && publication.view().layout.persistent;
        let message = publication.keep(|| me.surroundings.clock.now());
        Entry { message, position, attempts: Attempts::default(), redelivered: false, journaled }
    }

    /// Gives waiting messages to consumers, as far as they are in memory.
    fn dispatch(&mut self, me: &Arc<SharedQueue>, feed: &mut Feed, changes: &mut Changes) -> Dispatched {
        let mut bytes = 0;
        while let Some(front) = self.ready.front() {
            let Some((id, consumer)) = self.consumers.next() else { return Dispatched::All };
            let outbox = feed.outbox(&consumer.spec.outbox);
            if let Err(why) = outbox.admit(me, id, consumer) {
                self.consumers.starved(id, why);
                continue;
            }
            let front = match front {
                Front::Entry(entry) => entry,
                Front::Paged(_) if self.loading => return Dispatched::All,
                Front::Paged(paged) => {
                    self.loading = true;
                    return Dispatched::UpTo(paged);
                }
            };
            if bytes >= DISPATCH_BYTES_MAX {
                return Dispatched::Some;
            }
            let redelivered = front.redelivered;
            let tag = outbox.deliver(consumer, &front.message.view(), redelivered);
            if let Some(entry) = self.ready.pop() {
                let size = entry.message.size_bytes();
                bytes += size;
                if consumer.spec.no_ack {
                    entry.settle(me.id, changes);
                } else {
                    self.unacked_count += 1;
                    self.unacked_bytes += size;
                    if let Some(window) = outbox.window(consumer.spec.channel) {
                        window.hold(Unacked { tag, queue: me.clone(), consumer: Some(id), entry });
                    }
                }
            }
            self.counters.delivered += 1;
            self.counters.redelivered += u64::from(redelivered);
            self.consumers.delivered(id);
        }
        Dispatched::All
    }

    /// Books messages out of the unacknowledged ones for good. Those that the journal does not know of are dropped by the
    /// caller, when no lock is held.
    fn settle(&mut self, me: &SharedQueue, unacked: Vec<Unacked>, changes: &mut Changes) -> Vec<Unacked> {
        let mut dropped = Vec::new();
        for unacked in unacked {
            self.book_out(&unacked);
            self.counters.acknowledged += 1;
            if unacked.entry.journaled {
                unacked.entry.settle(me.id, changes);
            } else {
                dropped.push(unacked);
            }
        }
        dropped
    }

    /// Puts unacknowledged messages back to where they were, marked as redelivered.
    fn requeue(&mut self, me: &SharedQueue, unacked: Vec<Unacked>, changes: &mut Changes) {
        for mut unacked in unacked {
            self.book_out(&unacked);
            if self.deleted {
                continue;
            }
            let entry = &mut unacked.entry;
            entry.attempts = entry.attempts.after_return(true);
            entry.redelivered = true;
            if entry.journaled {
                changes.push(Change::Return {
                    placement: Placement { queue: me.id, position: entry.position },
                    attempts: entry.attempts,
                    due: 0,
                    message: entry.message.clone(),
                });
            }
            self.ready.requeue(unacked.entry);
        }
    }

    fn book_out(&mut self, unacked: &Unacked) {
        self.unacked_count -= 1;
        self.unacked_bytes -= unacked.entry.message.size_bytes();
        if let Some(id) = unacked.consumer {
            self.consumers.settled(id, 1);
        }
    }

    /// Takes the oldest message out for `basic.get`, if it is in memory.
    fn take(&mut self, no_ack: bool) -> Taken {
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
        if drained { std::mem::take(&mut self.paused) } else { Vec::new() }
    }

    /// Bytes in memory that the queue answers for.
    fn held_bytes(&self) -> usize {
        self.ready.resident_bytes() + self.unacked_bytes
    }
}

/// How far a queue came in giving out what waits.
enum Dispatched {
    /// Nothing waits, or nobody can take it.
    All,
    /// It stopped only to let others have the lock.
    Some,
    /// The next ones must be read first; the caller does that.
    UpTo(Paged),
}

/// What `basic.get` finds.
enum Taken {
    Nothing,
    /// It must be read first.
    Paged(Paged),
    Entry(Entry),
}

#[cfg(test)]
mod tests;
