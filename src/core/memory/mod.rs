//! How many bytes everything takes that clients can make grow, against one limit.
//!
//! A [`Gauge`] counts by [`Kind`]. A message counts by itself, once: when it is made, and until its last reference is
//! dropped, wherever that is. Messages can be paged out. All else cannot, so each of the other kinds has a share of the limit;
//! who wants more than that is refused, or waits, and the alarm, which is for messages, is not held up by it. Only what clients
//! have not acknowledged may exceed its share while memory is plentiful. What one client
//! has of a kind is known by its [`Holder`]: the last part of a share is for those who hold little.
//!
//! Messages are made and dropped at the rate of the traffic, by all threads. So each thread adds to a counter of its own
//! cache line (a *shard*), and only a whole *grain* of bytes goes on to the sum that all see.

mod holder;
mod kind;
mod numbers;
mod shards;

use std::{
    sync::atomic::{AtomicUsize, Ordering, fence},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

pub use holder::{Exceeded, Held, Holder};
pub use kind::Kind;
pub use numbers::Number;

use crate::core::wakes::wake_all;
use crate::limits::{ENTITY_BYTES, MEMORY_PLENTY_PERCENT, MEMORY_PRESSED_PERCENT, MEMORY_RESUME_PERCENT};
use crate::protocol::FieldTable;
use kind::KINDS;
use shards::Shards;

/// Bytes of all kinds, against a limit. It lives as long as the process, for a message may outlive everything else: so
/// that a message can name it by a number, and need not count its references.
#[derive(Debug)]
pub struct Gauge {
    number: Number,
    limit_bytes: usize,
    messages: Shards,
    /// What is used of the other kinds, and by how many.
    others: [Other; KINDS],
    /// To be told when half of the limit is passed.
    watcher: Mutex<Option<Waker>>,
}

#[derive(Debug, Default)]
struct Other {
    used_bytes: AtomicUsize,
    holders: AtomicUsize,
}

impl Gauge {
    /// A gauge whose alarm is due above `limit_bytes`. A process makes few of them: they stay.
    pub fn new(limit_bytes: usize) -> &'static Self {
        numbers::give(|number| Self {
            number,
            limit_bytes,
            messages: Shards::of(limit_bytes),
            others: Default::default(),
            watcher: Mutex::default(),
        })
    }

    /// A gauge without a limit, the same for all that one thread asks for: for tests that make thousands of brokers.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn of_thread() -> &'static Self {
        thread_local! {
            static GAUGE: &'static Gauge = Gauge::new(usize::MAX);
        }
        GAUGE.with(|gauge| *gauge)
    }

    /// By what a message names it.
    #[inline]
    pub(in crate::core) fn number(&self) -> Number {
        self.number
    }

    /// So many bytes of messages more, or less.
    #[inline]
    pub(in crate::core) fn change_messages(&self, bytes: isize) {
        if let Some(passed) = self.messages.add(bytes) {
            self.passed(passed.before, passed.after);
        }
    }

    fn change(&self, kind: Kind, before: usize, after: usize) {
        if kind == Kind::Messages {
            return self.change_messages(after as isize - before as isize);
        }
        let other = &self.others[kind as usize];
        if after > before {
            other.used_bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            other.used_bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
        if kind.is_counted_elsewhere() {
            return;
        }
        let passed = self.messages.add_to_sum(after as isize - before as isize);
        self.passed(passed.before, passed.after);
    }

    #[inline]
    fn passed(&self, before: usize, after: usize) {
        if before < self.half() && after >= self.half() {
            self.wake_watcher();
        }
    }

    /// Bytes in use, of all kinds.
    pub fn used_bytes(&self) -> usize {
        self.messages.exact_sum()
    }

    /// Bytes in use of one kind.
    pub fn used_bytes_of(&self, kind: Kind) -> usize {
        if kind == Kind::Messages {
            let others = Kind::ALL.into_iter().filter(|kind| !kind.is_counted_elsewhere());
            return self.used_bytes().saturating_sub(others.map(|kind| self.used_bytes_of(kind)).sum());
        }
        self.others[kind as usize].used_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that may be used.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Bytes that may be used of a kind: its share.
    pub fn share_bytes(&self, kind: Kind) -> usize {
        self.limit_bytes / 100 * kind.share_percent()
    }

    /// Whether a holder that uses some bytes of a kind already may use so many.
    fn admits(&self, kind: Kind, before: usize, after: usize) -> bool {
        if after <= before.max(kind.floor_bytes()) {
            return true;
        }
        if kind.may_exceed_share() && self.is_plentiful(after - before) {
            return true;
        }
        let share = self.share_bytes(kind);
        let other = &self.others[kind as usize];
        let used = other.used_bytes.load(Ordering::Relaxed).saturating_add(after - before);
        let reserved = share / 4;
        let holders = other.holders.load(Ordering::Relaxed).max(1);
        used <= share - reserved || (used <= share && after <= reserved / holders)
    }

    /// Whether so many bytes more leave what is not used yet large.
    fn is_plentiful(&self, more: usize) -> bool {
        self.messages.sum().saturating_add(more) <= self.limit_bytes / 100 * MEMORY_PLENTY_PERCENT
    }

    fn half(&self) -> usize {
        self.limit_bytes / 2
    }

    #[cold]
    fn wake_watcher(&self) {
        // Either this finds the watcher, or the watcher what is in use now.
        fence(Ordering::SeqCst);
        let watcher = self.watcher.lock().take();
        wake_all(watcher);
    }

    /// Pending while less than half of the limit is in use. For one task.
    pub fn poll_half(&self, cx: &mut Context<'_>) -> Poll<()> {
        *self.watcher.lock() = Some(cx.waker().clone());
        fence(Ordering::SeqCst);
        if self.messages.sum() < self.half() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Whether so much is in use that everything has to be paged out that can be.
    pub fn is_pressed(&self) -> bool {
        self.messages.sum() > self.limit_bytes / 100 * MEMORY_PRESSED_PERCENT
    }

    /// Whether publishers must be held up. One load, which may be a grain for each thread behind.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.messages.sum() > self.limit_bytes
    }

    /// Whether they may go on: use has fallen to nine tenths of the limit.
    pub fn has_recovered(&self) -> bool {
        self.used_bytes() <= self.limit_bytes / 100 * MEMORY_RESUME_PERCENT
    }
}

/// What an exchange, a queue, a binding or a consumer takes with these arguments.
pub fn entity_bytes(arguments: &FieldTable) -> usize {
    ENTITY_BYTES + arguments.memory_bytes()
}

/// What an allocation of so many bytes takes: the sizes that jemalloc gives, a fourth of a power of two apart; of a large
/// one the pages that are written to.
#[inline]
pub fn allocated_bytes(bytes: usize) -> usize {
    const PAGE: usize = 4096;
    let step = match bytes {
        0..=128 => 16,
        129..=16_384 => bytes.next_power_of_two() / 8,
        _ => PAGE,
    };
    // A step is a power of two, which the compiler does not know: it would divide.
    (bytes + step - 1) & !(step - 1)
}

#[cfg(test)]
mod tests;
