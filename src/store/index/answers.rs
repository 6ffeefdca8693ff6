//! What the index answers: what was settled, and which messages are live.
//!
//! Copies, true while the index is locked. They do not know the blocks that they were read from.

use crate::store::{format::Returned, position::SegmentId};

/// What was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// It would have ended with this run of the broker: its end need not be remembered.
    pub transient: bool,
}

/// What was settled in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RangeSettled {
    /// How many placements.
    pub count: u64,
    /// Whether there was any among them that is not transient.
    pub durable: bool,
}

/// A live message of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Its place in the queue.
    pub position: u64,
    /// Where its record is.
    pub segment: SegmentId,
    /// How it came back to the queue.
    pub returned: Returned,
    /// It may have been delivered before the broker was last started.
    pub redelivered: bool,
    /// It ends with this run of the broker.
    pub transient: bool,
}
