//! What queues have done, counted under their locks.

use std::ops::AddAssign;

use crate::core::{counts::MessageCounts, seldom::Empty};

/// What a queue has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// Messages that routing brought.
    pub published: u64,
    /// Deliveries to consumers, redeliveries included.
    pub delivered: u64,
    /// Those of them that need no acknowledgement.
    pub delivered_no_ack: u64,
    /// Messages handed out by `basic.get`.
    pub got: u64,
    /// Those of them that need no acknowledgement.
    pub got_no_ack: u64,
    /// Times that `basic.get` has found nothing.
    pub got_nothing: u64,
    /// Deliveries that said `redelivered`.
    pub redelivered: u64,
    /// Messages that were acknowledged.
    pub acknowledged: u64,
}

impl From<QueueCounters> for MessageCounts {
    fn from(counters: QueueCounters) -> Self {
        Self {
            publish: counters.published,
            deliver: counters.delivered - counters.delivered_no_ack,
            deliver_no_ack: counters.delivered_no_ack,
            get: counters.got - counters.got_no_ack,
            get_no_ack: counters.got_no_ack,
            get_empty: counters.got_nothing,
            redeliver: counters.redelivered,
            ack: counters.acknowledged,
            ..Self::default()
        }
    }
}

/// What most queues have never done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RareCounters {
    /// Messages that were dropped, having no dead-letter exchange, by why they were dead:
    /// see [`Reason`](crate::core::dead_letter::Reason).
    pub dropped: [u64; 4],
    /// Messages that went to the dead-letter exchange, by the same.
    pub dead_lettered: [u64; 4],
    /// Messages that came back and wait before they are delivered again.
    pub retried: u64,
    /// Messages that were refused because the queue was full.
    pub refused: u64,
    /// Messages that an operator moved elsewhere.
    pub redriven: u64,
    /// Messages that were not taken in because the queue had seen them.
    pub duplicates: u64,
}

impl RareCounters {
    /// Nothing was done.
    pub const NONE: Self =
        Self { dropped: [0; 4], dead_lettered: [0; 4], retried: 0, refused: 0, redriven: 0, duplicates: 0 };
}

impl Empty for RareCounters {
    const EMPTY: &'static Self = &Self::NONE;
}

impl AddAssign for RareCounters {
    fn add_assign(&mut self, other: Self) {
        let Self { dropped, dead_lettered, retried, refused, redriven, duplicates } = other;
        for (sum, more) in self.dropped.iter_mut().zip(dropped) {
            *sum += more;
        }
        for (sum, more) in self.dead_lettered.iter_mut().zip(dead_lettered) {
            *sum += more;
        }
        self.retried += retried;
        self.refused += refused;
        self.redriven += redriven;
        self.duplicates += duplicates;
    }
}

/// What several queues have done together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueTotals {
    /// What has happened to messages in them; `publish` is what routing brought.
    pub counts: MessageCounts,
    /// What seldom happens.
    pub rare: RareCounters,
}

impl AddAssign for QueueTotals {
    fn add_assign(&mut self, other: Self) {
        self.counts += other.counts;
        self.rare += other.rare;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_every_counter_up() {
        let rare = RareCounters {
            dropped: [1, 2, 3, 4],
            dead_lettered: [5, 6, 7, 8],
            retried: 9,
            refused: 10,
            redriven: 11,
            duplicates: 12,
        };
        let counts = QueueCounters { published: 3, got: 2, got_no_ack: 1, ..QueueCounters::default() }.into();
        let mut sum = QueueTotals { counts, rare };
        sum += sum;
        let twice = RareCounters {
            dropped: [2, 4, 6, 8],
            dead_lettered: [10, 12, 14, 16],
            retried: 18,
            refused: 20,
            redriven: 22,
            duplicates: 24,
        };
        assert_eq!(sum.rare, twice);
        assert_eq!((sum.counts.publish, sum.counts.get, sum.counts.get_no_ack), (6, 2, 2));
        assert_eq!(RareCounters::NONE, RareCounters::default());
    }
}
