//! How much of each segment is live. Sums over the blocks of all queues, kept as these change.
//!
//! A segment without live messages is kept here until it is forgotten: its file may still be there. How large the file is, is not
//! known here.

use std::collections::BTreeMap;

use super::block::{Block, Removed};
use crate::store::position::SegmentId;

/// What is live in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentUse {
    /// Live placements, transient ones included.
    pub live: u64,
    /// About how many bytes they take; exactly zero when none is live.
    pub bytes: u64,
}

/// Every segment that was named, and its use.
#[derive(Debug, Default)]
pub(super) struct Segments(BTreeMap<SegmentId, SegmentUse>);

impl Segments {
    pub(super) fn uses(&self) -> &BTreeMap<SegmentId, SegmentUse> {
        &self.0
    }

    pub(super) fn add(&mut self, segment: SegmentId, live: u64, bytes: u64) {
        let used = self.0.entry(segment).or_default();
        used.live += live;
        used.bytes += bytes;
    }

    /// A placement is dead or has moved.
    pub(super) fn release(&mut self, removed: &Removed) {
        self.subtract(removed.segment, 1, removed.bytes);
    }

    /// All of a block is dead.
    pub(super) fn release_block(&mut self, block: &Block) {
        for (segment, live, bytes) in block.uses() {
            self.subtract(segment, live, bytes);
        }
    }

    pub(super) fn forget(&mut self, segment: SegmentId) -> bool {
        let unused = self.0.get(&segment).is_none_or(|used| used.live == 0);
        if unused {
            self.0.remove(&segment);
        }
        unused
    }

    fn subtract(&mut self, segment: SegmentId, live: u64, bytes: u64) {
        let used = self.0.get_mut(&segment).expect("a segment with live placements is never forgotten");
        used.live -= live;
        used.bytes -= bytes;
    }
}
