//! What a record changes: the value that the log's writer makes of a change, and that the catalog applies once it is durable.
//!
//! It says what the record says, with the message itself, so that a change that found no room can be written again. It knows neither
//! the bytes of a record, nor what the index makes of it.

use std::ops::RangeInclusive;

use super::{format::Returned, position::SegmentId};
use crate::core::{
    access::AccessChange,
    change::TopologyChange,
    message::Message,
    placement::{Placements, QueueId},
};
use crate::protocol::ShortString;

/// A record that was encoded, at `offset` of its segment; 0 if there is no record of it.
pub(super) struct Encoded {
    /// Where it begins.
    pub(super) offset: u32,
    /// What it says.
    pub(super) recorded: Recorded,
}

/// What a record changes.
pub(super) enum Recorded {
    /// A message has placements.
    Place { message: Message, placements: Placements, payload_bytes: u32, transient: bool },
    /// A message has moved.
    Relocate { placements: Placements, payload_bytes: u32, transient: bool, from: SegmentId },
    /// Messages are settled.
    Settle { queue: QueueId, ranges: Vec<RangeInclusive<u64>> },
    /// Messages came back, or wait until another time.
    Return { queue: QueueId, returned: Vec<Back> },
    /// The topology changed.
    Topology { vhost: ShortString, change: TopologyChange },
    /// Users, permissions or global parameters changed.
    Access(Box<AccessChange>),
}

/// A message that came back to its queue.
pub(super) struct Back {
    /// Its position.
    pub(super) position: u64,
    /// How often it came back.
    pub(super) returned: Returned,
    /// It, as long as it may have to be written again; `None` if it is on disk already.
    pub(super) message: Option<Message>,
}

impl Recorded {
    /// Whether there is a record of it. Of transient queues there is none but of their messages.
    pub(super) fn is_written(&self) -> bool {
        match self {
            Self::Settle { queue, .. } | Self::Return { queue, .. } => queue.is_durable(),
            Self::Topology { change: TopologyChange::QueueDeleted { id, .. }, .. } => id.is_durable(),
            Self::Place { .. } | Self::Relocate { .. } | Self::Topology { .. } | Self::Access(_) => true,
        }
    }
}
