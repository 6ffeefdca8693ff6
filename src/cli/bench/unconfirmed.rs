//! Which publishes are unconfirmed, and since when: written by the thread that publishes, settled by the one that
//! reads confirms, without a lock between them.
//!
//! Invariant: tags `low..=published` lie in a ring of `slots.len()` times; a slot that holds 0 is settled. The
//! publisher never goes further ahead of `low` than the ring is long, so two tags never share a slot.

use std::sync::atomic::{AtomicU64, Ordering};

/// Publishes of one channel that wait for their confirms.
pub(super) struct Unconfirmed {
    limit: u64,
    slots: Box<[AtomicU64]>,
    published: AtomicU64,
    settled: AtomicU64,
    low: AtomicU64,
}

impl Unconfirmed {
    /// At most `limit` publishes may be unconfirmed.
    pub(super) fn new(limit: u32) -> Self {
        // Twice the limit: single confirms may come in any order, and should not hold up those behind them.
        let size = (u64::from(limit) * 2).next_power_of_two();
        Self {
            limit: u64::from(limit),
            slots: (0..size).map(|_| AtomicU64::new(0)).collect(),
            published: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            low: AtomicU64::new(1),
        }
    }

    /// How many may be published now.
    pub(super) fn room(&self) -> u64 {
        let published = self.published.load(Ordering::Relaxed);
        let ahead = published + 1 - self.low.load(Ordering::Acquire);
        (self.limit - self.unsettled()).min(self.slots.len() as u64 - ahead)
    }

    /// How many are unconfirmed.
    pub(super) fn unsettled(&self) -> u64 {
        self.published.load(Ordering::Relaxed) - self.settled.load(Ordering::Acquire)
    }

    /// Takes the next tags, before they are written to the socket. The times are not 0, and no more than
    /// [`room`](Self::room).
    pub(super) fn publish(&self, times_ns: impl Iterator<Item = u64>) {
        let mut tag = self.published.load(Ordering::Relaxed);
        for time_ns in times_ns {
            tag += 1;
            self.slot(tag).store(time_ns, Ordering::Relaxed);
        }
        self.published.store(tag, Ordering::Release);
    }

    /// Settles one tag, or with `multiple` all up to it (all there are for tag 0). `settle` gets each one's time.
    /// Tags that are not outstanding are ignored.
    pub(super) fn settle(&self, tag: u64, multiple: bool, mut settle: impl FnMut(u64)) {
        let published = self.published.load(Ordering::Acquire);
        let low = self.low.load(Ordering::Relaxed);
        let last = if multiple && tag == 0 { published } else { tag };
        let first = if multiple { low } else { tag };
        if last > published || first < low {
            return;
        }
        let mut count = 0;
        for tag in first..=last {
            let time_ns = self.slot(tag).swap(0, Ordering::Relaxed);
            if time_ns != 0 {
                settle(time_ns);
                count += 1;
            }
        }
        self.advance(low, published);
        self.settled.fetch_add(count, Ordering::Release);
    }

    fn advance(&self, mut low: u64, published: u64) {
        while low <= published && self.slot(low).load(Ordering::Relaxed) == 0 {
            low += 1;
        }
        self.low.store(low, Ordering::Release);
    }

    fn slot(&self, tag: u64) -> &AtomicU64 {
        &self.slots[(tag % self.slots.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(unconfirmed: &Unconfirmed, tag: u64, multiple: bool) -> Vec<u64> {
        let mut times = Vec::new();
        unconfirmed.settle(tag, multiple, |time| times.push(time));
        times
    }

    #[test]
    fn a_multiple_confirm_settles_what_single_ones_left() {
        let unconfirmed = Unconfirmed::new(4);
        unconfirmed.publish([10, 20, 30, 40].into_iter());
        assert_eq!(unconfirmed.room(), 0);
        assert_eq!(settled(&unconfirmed, 2, false), [20]);
        assert_eq!(settled(&unconfirmed, 3, true), [10, 30]);
        assert_eq!((unconfirmed.room(), unconfirmed.unsettled()), (3, 1));
        assert_eq!(settled(&unconfirmed, 0, true), [40]);
        assert_eq!(unconfirmed.room(), 4);
    }

    #[test]
    fn a_confirm_counts_once_and_only_for_what_was_published() {
        let unconfirmed = Unconfirmed::new(2);
        unconfirmed.publish([10].into_iter());
        assert!(settled(&unconfirmed, 2, false).is_empty());
        assert!(settled(&unconfirmed, 9, true).is_empty());
        assert_eq!(settled(&unconfirmed, 1, false), [10]);
        assert!(settled(&unconfirmed, 1, false).is_empty());
        assert!(settled(&unconfirmed, 0, false).is_empty());
        assert_eq!(unconfirmed.unsettled(), 0);
    }

    #[test]
    fn the_oldest_unconfirmed_publish_keeps_its_slot() {
        let unconfirmed = Unconfirmed::new(2);
        unconfirmed.publish([1].into_iter());
        let mut tag = 1;
        while unconfirmed.room() > 0 {
            unconfirmed.publish([7].into_iter());
            tag += 1;
            assert_eq!(settled(&unconfirmed, tag, false), [7]);
        }
        assert_eq!(tag, 4);
        assert_eq!(settled(&unconfirmed, 1, false), [1]);
        assert_eq!(unconfirmed.room(), 2);
    }
}
