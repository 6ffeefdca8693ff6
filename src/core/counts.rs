//! What has happened to messages, counted: what RabbitMQ shows as `message_stats`.
//!
//! Counted where a lock is held anyway (queues, windows), and otherwise once for each run of messages. Whatever ends leaves its counts
//! to what it belonged to, so that a virtual host's counts never fall.

use std::{
    mem,
    ops::{AddAssign, RangeInclusive},
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

/// How often each thing has happened to a message. RabbitMQ's names, and its meaning of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// Published by clients.
    pub publish: u64,
    /// Those of them that were published on channels that confirm.
    pub publish_confirm: u64,
    /// Published to an exchange.
    pub publish_in: u64,
    /// Routed from an exchange to queues, once for each.
    pub publish_out: u64,
    /// Confirmed to publishers.
    pub confirm: u64,
    /// Returned to publishers, having no queue.
    pub return_unroutable: u64,
    /// Dropped, having no queue.
    pub drop_unroutable: u64,
    /// Delivered to consumers that acknowledge.
    pub deliver: u64,
    /// Delivered to consumers that do not.
    pub deliver_no_ack: u64,
    /// Handed out by `basic.get`, to be acknowledged.
    pub get: u64,
    /// Handed out by `basic.get`, not to be acknowledged.
    pub get_no_ack: u64,
    /// Times that `basic.get` has found nothing.
    pub get_empty: u64,
    /// Deliveries of both ways that said `redelivered`.
    pub redeliver: u64,
    /// Acknowledged.
    pub ack: u64,
}

impl MessageCounts {
    /// Deliveries of all ways (RabbitMQ's `deliver_get`).
    pub fn deliver_get(&self) -> u64 {
        self.deliver + self.deliver_no_ack + self.get + self.get_no_ack
    }

    /// What has come since `before`; nothing where counting has begun anew.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        self.zip(before, u64::saturating_sub)
    }

    /// The larger of two counts, of each thing.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        self.zip(other, u64::max)
    }

    fn zip(&self, other: &Self, by: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            publish: by(self.publish, other.publish),
            publish_confirm: by(self.publish_confirm, other.publish_confirm),
            publish_in: by(self.publish_in, other.publish_in),
            publish_out: by(self.publish_out, other.publish_out),
            confirm: by(self.confirm, other.confirm),
            return_unroutable: by(self.return_unroutable, other.return_unroutable),
            drop_unroutable: by(self.drop_unroutable, other.drop_unroutable),
            deliver: by(self.deliver, other.deliver),
            deliver_no_ack: by(self.deliver_no_ack, other.deliver_no_ack),
            get: by(self.get, other.get),
            get_no_ack: by(self.get_no_ack, other.get_no_ack),
            get_empty: by(self.get_empty, other.get_empty),
            redeliver: by(self.redeliver, other.redeliver),
            ack: by(self.ack, other.ack),
        }
    }
}

impl AddAssign for MessageCounts {
    fn add_assign(&mut self, other: Self) {
        *self = self.zip(&other, |one, other| one + other);
    }
}

/// How often queues came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueChurn {
    /// Declared, whether or not they were there.
    pub declared: u64,
    /// Made.
    pub created: u64,
    /// Deleted.
    pub deleted: u64,
}

impl AddAssign for QueueChurn {
    fn add_assign(&mut self, other: Self) {
        self.declared += other.declared;
        self.created += other.created;
        self.deleted += other.deleted;
    }
}

/// Bytes on a connection, and the system calls that moved them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Reads or writes.
    pub packets: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.packets += other.packets;
    }
}

/// What has come through an exchange. Many publishers count here, once for each run.
#[derive(Debug, Default)]
pub struct ExchangeTally {
    received: AtomicU64,
    routed: AtomicU64,
}

impl ExchangeTally {
    /// A run of messages went to so many queues.
    #[inline]
    pub fn count(&self, messages: usize, queues: usize) {
        self.received.fetch_add(messages as u64, Ordering::Relaxed);
        if queues > 0 {
            self.routed.fetch_add((messages * queues) as u64, Ordering::Relaxed);
        }
    }

    /// What was counted.
    pub fn counts(&self) -> MessageCounts {
        MessageCounts {
            publish_in: self.received.load(Ordering::Relaxed),
            publish_out: self.routed.load(Ordering::Relaxed),
            ..MessageCounts::default()
        }
    }
}

/// Upper bounds of the classes of sizes in which messages are counted, in bytes of their bodies; the last class has no bound
/// (RabbitMQ's `message_size_bytes`).
pub const SIZE_BOUNDS: [u32; 8] =
    [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 100_000_000];
const SIZES: usize = SIZE_BOUNDS.len() + 1;

/// How many messages of each class of sizes one client has published, since that was last given to what counts for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    counts: [u32; SIZES],
    bytes: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { counts: [0; SIZES], bytes: 0 }
    }
}

impl Sizes {
    /// Counts messages by the bytes of their bodies. Messages in a row are usually of one class.
    #[inline]
    pub fn note(&mut self, sizes: impl Iterator<Item = u32>) {
        let (mut class, mut range) = (0, 0..=SIZE_BOUNDS[0]);
        let (mut messages, mut bytes) = (0, 0);
        for size in sizes {
            if !range.contains(&size) {
                self.counts[class] += mem::take(&mut messages);
                (class, range) = class_of(size);
            }
            messages += 1;
            bytes += u64::from(size);
        }
        self.counts[class] += messages;
        self.bytes += bytes;
    }
}

fn class_of(size: u32) -> (usize, RangeInclusive<u32>) {
    let class = SIZE_BOUNDS.partition_point(|bound| *bound < size);
    let above = class.checked_sub(1).map_or(0, |below| SIZE_BOUNDS[below] + 1);
    (class, above..=SIZE_BOUNDS.get(class).copied().unwrap_or(u32::MAX))
}

/// How many messages of each class of sizes all clients have published.
#[derive(Debug, Default)]
pub struct SizeTally {
    counts: [AtomicU64; SIZES],
    bytes: AtomicU64,
}

impl SizeTally {
    /// Takes what one client has counted.
    #[inline]
    pub fn take(&self, sizes: &mut Sizes) {
        if sizes.counts == [0; SIZES] {
            return;
        }
        let Sizes { counts, bytes } = mem::take(sizes);
        for (counter, more) in self.counts.iter().zip(counts) {
            if more > 0 {
                counter.fetch_add(more.into(), Ordering::Relaxed);
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Messages of each class, and bytes of all.
    pub fn counts(&self) -> ([u64; SIZES], u64) {
        let counts = std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed));
        (counts, self.bytes.load(Ordering::Relaxed))
    }
}

/// What is to be shown of a channel and only its session knows. One thread writes, others read.
#[derive(Debug, Default)]
pub struct ChannelTally {
    confirms: AtomicBool,
    transactional: AtomicBool,
    prefetch: AtomicU32,
    published: AtomicU64,
    /// Those of them that came before confirm mode.
    unconfirmed: AtomicU64,
    returned: AtomicU64,
    dropped: AtomicU64,
}

impl ChannelTally {
    /// It is in confirm mode.
    pub fn set_confirms(&self) {
        if !self.confirms() {
            self.unconfirmed.store(self.published.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.confirms.store(true, Ordering::Relaxed);
    }

    /// Whether it is in confirm mode.
    pub fn confirms(&self) -> bool {
        self.confirms.load(Ordering::Relaxed)
    }

    /// It has transactions.
    pub fn set_transactional(&self) {
        self.transactional.store(true, Ordering::Relaxed);
    }

    /// Whether it has transactions.
    pub fn is_transactional(&self) -> bool {
        self.transactional.load(Ordering::Relaxed)
    }

    /// `basic.qos` with `global=false`: for consumers that come; zero is without limit.
    pub fn set_prefetch(&self, count: u32) {
        self.prefetch.store(count, Ordering::Relaxed);
    }

    /// See [`Self::set_prefetch`].
    pub fn prefetch(&self) -> u32 {
        self.prefetch.load(Ordering::Relaxed)
    }

    /// Messages were published.
    #[inline]
    pub fn published(&self, messages: usize) {
        add(&self.published, messages);
    }

    /// Messages had no queue: they were returned, or else dropped.
    pub fn unroutable(&self, messages: usize, are_returned: bool) {
        add(if are_returned { &self.returned } else { &self.dropped }, messages);
    }

    /// What was counted.
    pub fn counts(&self) -> MessageCounts {
        let publish = self.published.load(Ordering::Relaxed);
        let confirmed = publish.saturating_sub(self.unconfirmed.load(Ordering::Relaxed));
        MessageCounts {
            publish,
            publish_confirm: if self.confirms() { confirmed } else { 0 },
            return_unroutable: self.returned.load(Ordering::Relaxed),
            drop_unroutable: self.dropped.load(Ordering::Relaxed),
            ..MessageCounts::default()
        }
    }
}

/// Adds where nobody else does: cheaper than what several threads would need.
#[inline]
fn add(counter: &AtomicU64, more: usize) {
    counter.store(counter.load(Ordering::Relaxed) + more as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_a_difference_never_falls_below_zero() {
        let mut sum = MessageCounts { publish: 3, ack: 1, ..MessageCounts::default() };
        sum += MessageCounts { publish: 2, get: 4, deliver_no_ack: 1, ..MessageCounts::default() };
        assert_eq!((sum.publish, sum.ack, sum.get, sum.deliver_get()), (5, 1, 4, 5));
        let since = sum.since(&MessageCounts { publish: 1, ack: 7, ..MessageCounts::default() });
        assert_eq!((since.publish, since.ack, since.get), (4, 0, 4));
    }

    #[test]
    fn a_message_counts_in_the_class_whose_bounds_its_size_is_within() {
        for (size, class) in [
            (0, 0),
            (100, 0),
            (101, 1),
            (1_000, 1),
            (1_001, 2),
            (50_000_000, 6),
            (50_000_001, 7),
            (100_000_000, 7),
            (100_000_001, 8),
            (u32::MAX, 8),
        ] {
            assert_eq!(class_of(size).0, class, "{size}");
            assert!(class_of(size).1.contains(&size), "{size}");
        }
        let (mut sizes, tally) = (Sizes::default(), SizeTally::default());
        sizes.note([16, 16, 2_000, 16, 101].into_iter());
        tally.take(&mut sizes);
        tally.take(&mut sizes);
        assert_eq!(tally.counts(), ([3, 1, 1, 0, 0, 0, 0, 0, 0], 2_149));
    }

    #[test]
    fn what_was_published_before_confirm_mode_is_not_counted_as_to_be_confirmed() {
        let tally = ChannelTally::default();
        tally.published(3);
        assert_eq!((tally.counts().publish, tally.counts().publish_confirm), (3, 0));
        tally.set_confirms();
        tally.published(2);
        tally.set_confirms();
        assert_eq!((tally.counts().publish, tally.counts().publish_confirm), (5, 2));
    }

    #[test]
    fn an_exchange_counts_what_comes_in_and_each_queue_that_it_goes_to() {
        let tally = ExchangeTally::default();
        tally.count(10, 3);
        tally.count(1, 0);
        let counts = tally.counts();
        assert_eq!((counts.publish_in, counts.publish_out), (11, 30));
    }
}
