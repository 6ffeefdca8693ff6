//! What the index gives out for a checkpoint, and takes back when the broker starts.

use super::bitmap::{BLOCK_POSITIONS, Bitmap};
use crate::core::placement::QueueId;
use crate::store::{format::Returned, position::SegmentId};

/// What differs from the last checkpoint, to be applied in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexChanges {
    /// The highest id that a durable queue ever had; 0 if there was none.
    pub last_queue: u64,
    /// Puts and deletes.
    pub changes: Vec<IndexChange>,
}

/// One put or delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexChange {
    /// A queue is there, or has moved on.
    Queue(QueueState),
    /// A queue is gone; its blocks go with their own changes.
    QueueGone(QueueId),
    /// A block has live messages.
    Block {
        /// Its queue.
        queue: QueueId,
        /// Its first position, divided by [`BLOCK_POSITIONS`].
        number: u64,
        /// What is in it.
        image: BlockImage,
    },
    /// A block has no live message any more.
    BlockGone {
        /// Its queue.
        queue: QueueId,
        /// Its number.
        number: u64,
    },
}

/// What is known of a durable queue beside its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueState {
    /// The queue.
    pub id: QueueId,
    /// The counter that the next message's position gets.
    pub next_position: u64,
    /// Messages with lower counters may have been delivered before the broker was last started.
    pub redelivered_below: u64,
}

/// The durable messages of a block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockImage {
    /// By segment, at least one, none of them empty, without overlap.
    pub parts: Vec<Part>,
    /// Places of live messages that came back to the queue, or wait, ascending, and what is known of that.
    pub returned: Vec<(u16, Returned)>,
}

/// What one segment has of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The segment.
    pub segment: SegmentId,
    /// About how many bytes the messages take there.
    pub bytes: u64,
    /// Which ones are there.
    pub positions: Bitmap,
}

/// Why a queue or a block is not taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// A block of a queue that is not there, or a queue that is not durable.
    #[error("the queue is unknown or not durable")]
    Queue,
    /// The queue or the block is there already.
    #[error("it is there twice")]
    Twice,
    /// A message's counter is not below the next one of its queue, or that is none.
    #[error("a position lies behind the queue's last one")]
    Position,
    /// Parts overlap, are empty, or two are of the same segment; or there is none.
    #[error("its parts are empty or overlap")]
    Parts,
    /// Returns that say nothing, or are for a message that is not live, or out of order.
    #[error("it counts returns of what is not there")]
    Returned,
}

impl BlockImage {
    /// All of its places, if the image is one that the index gives out.
    pub(super) fn check(&self) -> Result<Bitmap, Inconsistent> {
        let mut live = Bitmap::default();
        for (at, part) in self.parts.iter().enumerate() {
            let twice = self.parts[..at].iter().any(|other| other.segment == part.segment);
            if twice
                || part.segment.0 == 0
                || part.positions.is_empty()
                || !(live & part.positions).is_empty()
            {
                return Err(Inconsistent::Parts);
            }
            live = live | part.positions;
        }
        if live.is_empty() {
            return Err(Inconsistent::Parts);
        }
        let ascending = self.returned.is_sorted_by(|left, right| left.0 < right.0);
        let of_live = self
            .returned
            .iter()
            .all(|&(at, it)| at < BLOCK_POSITIONS && live.contains(at) && it != Returned::default());
        if ascending && of_live { Ok(live) } else { Err(Inconsistent::Returned) }
    }
}
