//! Where messages stand: numbers of queues, and positions in them. Both are never used again, so the log and the index can name a
//! message by them for ever.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use smallvec::SmallVec;

/// Names a queue in the journal; never used again for another one.
///
/// Those of durable queues count from 1. Those of all others have the highest bit set: nothing of them is found again
/// after a restart, and they begin anew.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(pub u64);

impl QueueId {
    /// The bit that tells transient queues.
    const TRANSIENT: u64 = 1 << 63;

    /// The `number`-th transient queue of this run.
    pub fn transient(number: u64) -> Self {
        Self(number | Self::TRANSIENT)
    }

    /// Whether the queue survives a restart.
    pub fn is_durable(self) -> bool {
        self.0 & Self::TRANSIENT == 0
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_durable() { "queue" } else { "transient queue" };
        write!(f, "{kind} {}", self.0 & !Self::TRANSIENT)
    }
}

/// Where a message stands: in which queue, and at which *position* of it. Positions are never used again.
///
/// The highest octet of a position is the *line* of the queue that the message is in; a queue has one, or one for each
/// priority. The rest is the *counter*, one for all lines of the queue, which increases as messages are published to it.
/// So positions are in order within a line, and counters in the order of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Placement {
    /// The queue.
    pub queue: QueueId,
    /// The position in it.
    pub position: u64,
}

/// Bits of a position that are its counter; those above are its line.
pub const COUNTER_BITS: u32 = 56;

/// The highest counter of a position.
pub const COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;

/// The line that a position is in.
#[inline]
pub fn line_of(position: u64) -> u8 {
    (position >> COUNTER_BITS) as u8
}

/// When a position was drawn, among those of its queue.
#[inline]
pub fn counter_of(position: u64) -> u64 {
    position & COUNTER_MAX
}

/// A position in a line. The counter must not be higher than [`COUNTER_MAX`].
#[inline]
pub fn position_of(line: u8, counter: u64) -> u64 {
    debug_assert!(counter <= COUNTER_MAX, "a queue has no more than 2^56 positions");
    (u64::from(line) << COUNTER_BITS) | (counter & COUNTER_MAX)
}

/// The placements of one message: one for each queue that it is in.
pub type Placements = SmallVec<[Placement; 1]>;

/// Draws [`QueueId`]s.
#[derive(Debug, Default)]
pub struct QueueIds {
    durable: AtomicU64,
    transient: AtomicU64,
}

impl QueueIds {
    /// Durable ones go on after `last`.
    pub fn after(last: u64) -> Self {
        Self { durable: last.into(), ..Self::default() }
    }

    /// A number that no other queue has had.
    pub fn draw(&self, durable: bool) -> QueueId {
        let next = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed) + 1;
        if durable { QueueId(next(&self.durable)) } else { QueueId::transient(next(&self.transient)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_line_and_a_counter_and_in_order_within_its_line() {
        for (line, counter) in [(0, 0), (0, COUNTER_MAX), (1, 0), (7, 513), (255, COUNTER_MAX)] {
            let position = position_of(line, counter);
            assert_eq!((line_of(position), counter_of(position)), (line, counter));
        }
        assert_eq!(position_of(0, 9), 9);
        assert_eq!(position_of(0, COUNTER_MAX) + 1, position_of(1, 0));
        assert_eq!(position_of(255, COUNTER_MAX), u64::MAX);
    }
}
