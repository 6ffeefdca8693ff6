//! A queue: what waits, who consumes, and the rules between them.
//!
//! [`Queue`] is the state and its rules; it knows no lock, socket or clock. [`SharedQueue`] is a queue behind its
//! short lock, with the operations that the broker calls. A message is in exactly one of three places: ready, in
//! the window of the channel that it was delivered to, or gone.

mod consumers;
mod feed;
mod ready;
mod shared;

use std::{sync::Arc, task::Waker};

pub use consumers::{Consumer, ConsumerId, ConsumerSpec};
pub use feed::Feed;
pub use ready::Entry;
pub use shared::{
    ConsumeError, Deleted, GetError, QueueStatus, SharedQueue, feed_by_channel, feed_by_outbox,
    settle_by_queue,
};

use crate::core::{ConnectionId, message::Publication, window::Unacked};
use crate::limits::{DISPATCH_BYTES_MAX, FLOW_BYTES_MAX, FLOW_BYTES_RESUME};
use crate::protocol::{FieldTable, FieldValue, ShortString};
use consumers::Consumers;
use ready::Ready;

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
pub struct Queue {
    ready: Ready,
    consumers: Consumers,
    next_position: u64,
    ready_bytes: usize,
    unacked_count: usize,
    unacked_bytes: usize,
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
            ready: Ready::default(),
            consumers: Consumers::new(single_active_consumer),
            next_position: 0,
            ready_bytes: 0,
            unacked_count: 0,
            unacked_bytes: 0,
            had_consumer: false,
            deleted: false,
            paused: Vec::new(),
            stalled: false,
            counters: QueueCounters::default(),
        }
    }

    /// Takes a message in: straight to a consumer that can have it, else to the end of the queue.
    #[inline]
    fn publish(&mut self, me: &Arc<SharedQueue>, publication: &mut Publication<'_>, feed: &mut Feed) {
        self.counters.published += 1;
        if self.ready.is_empty() {
            while let Some((id, consumer)) = self.consumers.next() {
                let outbox = feed.outbox(&consumer.spec.outbox);
                if let Err(why) = outbox.admit(me, id, consumer) {
                    self.consumers.starved(id, why);
                    continue;
                }
                let tag = outbox.deliver(consumer, &publication.view(), false);
                if !consumer.spec.no_ack {
                    let entry = Entry {
                        message: publication.keep(),
                        position: self.next_position,
                        returned_count: 0,
                    };
                    self.next_position += 1;
                    self.unacked_count += 1;
                    self.unacked_bytes += entry.message.size_bytes();
                    if let Some(window) = outbox.window(consumer.spec.channel) {
                        window.hold(Unacked { tag, queue: me.clone(), consumer: Some(id), entry });
                    }
                }
                self.counters.delivered += 1;
                self.consumers.delivered(id);
                return;
            }
        }
        let message = publication.keep();
        self.ready_bytes += message.size_bytes();
        self.ready.push(Entry { message, position: self.next_position, returned_count: 0 });
        self.next_position += 1;
    }

    /// Gives waiting messages to consumers; true when it stopped only to let others have the lock.
    fn dispatch(&mut self, me: &Arc<SharedQueue>, feed: &mut Feed) -> bool {
        let mut bytes = 0;
        while let Some(front) = self.ready.front() {
            let Some((id, consumer)) = self.consumers.next() else { return false };
            let outbox = feed.outbox(&consumer.spec.outbox);
            if let Err(why) = outbox.admit(me, id, consumer) {
                self.consumers.starved(id, why);
                continue;
            }
            if bytes >= DISPATCH_BYTES_MAX {
                return true;
            }
            let redelivered = front.redelivered();
            let tag = outbox.deliver(consumer, &front.message.view(), redelivered);
            let size = front.message.size_bytes();
            bytes += size;
            self.ready_bytes -= size;
            if let Some(entry) = self.ready.pop()
                && !consumer.spec.no_ack
            {
                self.unacked_count += 1;
                self.unacked_bytes += size;
                if let Some(window) = outbox.window(consumer.spec.channel) {
                    window.hold(Unacked { tag, queue: me.clone(), consumer: Some(id), entry });
                }
            }
            self.counters.delivered += 1;
            self.counters.redelivered += u64::from(redelivered);
            self.consumers.delivered(id);
        }
        false
    }

    /// Books messages out of the unacknowledged ones; `back` puts them where they were, marked as redelivered.
    fn settle(&mut self, unacked: Vec<Unacked>, back: bool, dropped: &mut Vec<Unacked>) {
        for mut unacked in unacked {
            let size = unacked.entry.message.size_bytes();
            self.unacked_count -= 1;
            self.unacked_bytes -= size;
            if let Some(id) = unacked.consumer {
                self.consumers.settled(id, 1);
            }
            if back && !self.deleted {
                unacked.entry.returned_count = unacked.entry.returned_count.saturating_add(1);
                self.ready_bytes += size;
                self.ready.requeue(unacked.entry);
            } else {
                self.counters.acknowledged += u64::from(!back);
                dropped.push(unacked);
            }
        }
    }

    /// Takes the oldest message out for `basic.get`.
    fn take(&mut self, no_ack: bool) -> Option<Entry> {
        let entry = self.ready.pop()?;
        let size = entry.message.size_bytes();
        self.ready_bytes -= size;
        if !no_ack {
            self.unacked_count += 1;
            self.unacked_bytes += size;
        }
        self.counters.got += 1;
        self.counters.redelivered += u64::from(entry.redelivered());
        Some(entry)
    }

    /// Whether it grows although its consumers wait for nothing but their sockets.
    fn is_congested(&self) -> bool {
        self.ready_bytes > FLOW_BYTES_MAX && !self.stalled && self.consumers.held_back_by_outboxes()
    }

    /// The publishers that may go on now.
    fn resumed(&mut self) -> Vec<Waker> {
        let drained = self.ready_bytes <= FLOW_BYTES_RESUME || self.deleted;
        if drained { std::mem::take(&mut self.paused) } else { Vec::new() }
    }

    /// Bytes of all messages that the queue answers for.
    fn held_bytes(&self) -> usize {
        self.ready_bytes + self.unacked_bytes
    }
}

#[cfg(test)]
mod tests;
