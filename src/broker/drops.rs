//! How many messages were lost on their way between queues, and why: never silently.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a message on its way from one queue to others was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// There is no such exchange.
    NoExchange,
    /// No queue is bound to it for this key.
    Unroutable,
    /// It would go round for ever without anybody's doing (RabbitMQ's cycle rule).
    Cycle,
    /// Its history is longer than a frame.
    TooManyDeaths,
}

impl Lost {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::NoExchange, Self::Unroutable, Self::Cycle, Self::TooManyDeaths];
}

/// Counts of them.
#[derive(Debug, Default)]
pub struct Drops([AtomicU64; 4]);

impl Drops {
    /// One more.
    pub fn count(&self, why: Lost) {
        self.0[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn of(&self, why: Lost) -> u64 {
        self.0[why as usize].load(Ordering::Relaxed)
    }
}
