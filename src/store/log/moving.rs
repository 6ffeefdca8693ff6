//! A record that reclaiming writes again, so that the segment that it is in can go.
//!
//! Between its reading and its writing some of its places may be settled: the writer forgets these first. This file does not know
//! why the segment is to go.

use crate::core::{
    message::Message,
    placement::{Placement, Placements},
};
use crate::store::{index::Index, position::SegmentId};

/// A record that is written again.
pub(in crate::store) struct Move {
    /// The message.
    pub(in crate::store) message: Message,
    /// Its places that were live when it was read.
    pub(in crate::store) placements: Placements,
    /// Whether it ends with this run of the broker.
    pub(in crate::store) transient: bool,
    /// Where it is.
    pub(in crate::store) from: SegmentId,
}

impl Move {
    /// Forgets the places that have been settled meanwhile, or that moved elsewhere.
    pub(in crate::store) fn retain_live(&mut self, index: &Index) {
        let from = self.from;
        self.placements.retain(|placement: &mut Placement| index.is_live_in(*placement, from));
    }
}
