//! How many messages were lost on their way between queues, and why: never silently.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::observing::DropReason;

/// Why a message on its way from one queue to others was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// There is no such exchange.
    NoExchange,
    /// No queue is bound to it for this key.
    Unroutable,
    /// It would go round for ever without a client's doing (RabbitMQ's cycle rule).
    Cycle,
    /// Its history is longer than a frame.
    TooManyDeaths,
    /// It would have been copied more often than one message may be without a client's doing.
    TooManyCopies,
}

impl Lost {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::NoExchange, Self::Unroutable, Self::Cycle, Self::TooManyDeaths, Self::TooManyCopies];

    /// A word for it.
    pub fn name(self) -> &'static str {
        DropReason::from(self).name()
    }
}

impl From<Lost> for DropReason {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::NoExchange => Self::NoExchange,
            Lost::Unroutable => Self::Unroutable,
            Lost::Cycle => Self::Cycle,
            Lost::TooManyDeaths => Self::TooManyDeaths,
            Lost::TooManyCopies => Self::TooManyCopies,
        }
    }
}

/// Counts of them.
#[derive(Debug, Default)]
pub struct Drops([AtomicU64; 5]);

impl Drops {
    /// One more. True if it is to be told: the first, and each that doubles their number, so that no flood of messages becomes a
    /// flood of log lines.
    pub fn count(&self, why: Lost) -> bool {
        (self.0[why as usize].fetch_add(1, Ordering::Relaxed) + 1).is_power_of_two()
    }

    /// How many there were.
    pub fn of(&self, why: Lost) -> u64 {
        self.0[why as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_drops_are_told_ten_times_and_counted_each() {
        let drops = Drops::default();
        let told = (0..1_000).filter(|_| drops.count(Lost::Unroutable)).count();
        assert_eq!((told, drops.of(Lost::Unroutable), drops.of(Lost::Cycle)), (10, 1_000, 0));
    }
}
