//! One block of a queue: which of 512 positions are live, and in which segments.
//!
//! A block that was filled in order lies in one segment, or in a few that follow each other, so where positions
//! are is kept as runs: "from here on in that segment". Runs say nothing of positions that are not live, which
//! is why they may grow over those. Bytes are kept for each segment and not for each message: what is settled
//! takes the average with it, the last one the rest.

use smallvec::SmallVec;

use super::{
    bitmap::{BLOCK_POSITIONS, Bitmap},
    changes::Part,
};
use crate::store::position::SegmentId;

/// 512 positions of one queue. It does not know its number, nor its queue.
#[derive(Debug, Default)]
pub(super) struct Block {
    live: Bitmap,
    /// Those of `live` that end with this run of the broker; missing if there never was one.
    transient: Option<Box<Bitmap>>,
    /// What each segment has of it. One without live positions is free for another segment.
    shares: SmallVec<[Share; 1]>,
    /// By their starts, the first of which is 0.
    runs: SmallVec<[ShareRun; 4]>,
    /// The last checkpoint has it.
    pub(super) written: bool,
    /// It is noted as different from the last checkpoint.
    pub(super) changed: bool,
}

/// A position that was taken out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Removed {
    pub(super) segment: SegmentId,
    pub(super) bytes: u64,
    pub(super) transient: bool,
}

/// What one segment has of a block.
#[derive(Debug, Default, Clone, Copy)]
struct Share {
    segment: SegmentId,
    durable: Tally,
    transient: Tally,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    bytes: u64,
    live: u16,
}

/// Live positions from `start` up to the next run are in that share.
#[derive(Debug, Clone, Copy)]
struct ShareRun {
    start: u16,
    share: u16,
}

impl Block {
    /// A block without messages. One whose number is still noted as changed was written before it went.
    pub(super) fn new(was_written: bool) -> Self {
        Self { written: was_written, changed: was_written, ..Self::default() }
    }

    /// A block with these positions, all of them durable. Parts must not overlap.
    pub(super) fn from_parts(parts: &[Part]) -> Self {
        let mut block = Self { written: true, ..Self::default() };
        for part in parts {
            let share = block.shares.len() as u16;
            let durable = Tally { bytes: part.bytes, live: part.positions.len() };
            block.shares.push(Share { segment: part.segment, durable, transient: Tally::default() });
            if share == 0 {
                block.runs.push(ShareRun { start: 0, share });
                block.live = part.positions;
            } else {
                block.add_all(part.positions, share);
            }
        }
        block
    }

    pub(super) fn live(&self) -> Bitmap {
        self.live
    }

    pub(super) fn is_live(&self, at: u16) -> bool {
        self.live.contains(at)
    }

    /// Of a live position.
    pub(super) fn is_transient(&self, at: u16) -> bool {
        self.transient.as_ref().is_some_and(|transient| transient.contains(at))
    }

    /// Of a live position.
    pub(super) fn segment_of(&self, at: u16) -> SegmentId {
        self.shares[usize::from(self.share_of(at))].segment
    }

    pub(super) fn durable(&self) -> Bitmap {
        self.transient.as_ref().map_or(self.live, |transient| self.live & !**transient)
    }

    pub(super) fn durable_bytes(&self) -> u64 {
        self.shares.iter().map(|share| share.durable.bytes).sum()
    }

    /// Adds a position that is not live.
    pub(super) fn insert(&mut self, at: u16, segment: SegmentId, bytes: u32, transient: bool) {
        let share = self.share_for(at, segment);
        self.assign(at, share);
        self.shares[usize::from(share)].tally(transient).add(bytes);
        self.live.insert(at);
        if transient {
            self.transient.get_or_insert_default().insert(at);
        }
    }

    /// Takes out a live position.
    pub(super) fn remove(&mut self, at: u16) -> Removed {
        let transient = self.is_transient(at);
        if let Some(places) = self.transient.as_mut().filter(|_| transient) {
            places.remove(at);
        }
        self.live.remove(at);
        let share = self.share_of(at);
        let share = &mut self.shares[usize::from(share)];
        Removed { segment: share.segment, bytes: share.tally(transient).take_one(), transient }
    }

    /// Segments that have live positions of it: how many, and their bytes.
    pub(super) fn uses(&self) -> impl Iterator<Item = (SegmentId, u64, u64)> {
        self.shares.iter().filter(|share| share.live() > 0).map(|share| {
            (share.segment, u64::from(share.live()), share.durable.bytes + share.transient.bytes)
        })
    }

    /// Live positions in one segment.
    pub(super) fn live_in(&self, segment: SegmentId) -> Bitmap {
        let share = self.shares.iter().position(|share| share.segment == segment && share.live() > 0);
        share.map_or_else(Bitmap::default, |share| self.live & self.covered_by(share as u16))
    }

    /// Its durable positions by segment.
    pub(super) fn parts(&self) -> Vec<Part> {
        let durable = self.durable();
        let shares = self.shares.iter().zip(0..).filter(|(share, _)| share.durable.live > 0);
        shares
            .map(|(share, number)| Part {
                segment: share.segment,
                bytes: share.durable.bytes,
                positions: durable & self.covered_by(number),
            })
            .collect()
    }

    fn add_all(&mut self, positions: Bitmap, share: u16) {
        for at in positions.iter() {
            self.assign(at, share);
            self.live.insert(at);
        }
    }

    fn run_of(&self, at: u16) -> usize {
        self.runs.partition_point(|run| run.start <= at) - 1
    }

    fn share_of(&self, at: u16) -> u16 {
        self.runs[self.run_of(at)].share
    }

    /// The share of a segment, which is most likely the one whose run `at` lies in; made if it is missing.
    fn share_for(&mut self, at: u16, segment: SegmentId) -> u16 {
        if self.runs.is_empty() {
            self.runs.push(ShareRun { start: 0, share: 0 });
            self.shares.push(Share { segment, ..Share::default() });
        }
        let likely = self.share_of(at);
        if self.shares[usize::from(likely)].segment == segment {
            return likely;
        }
        if let Some(known) = self.shares.iter().position(|share| share.segment == segment) {
            return known as u16;
        }
        let free = self.shares.iter().position(|share| share.live() == 0).unwrap_or(self.shares.len());
        let share = Share { segment, ..Share::default() };
        match self.shares.get_mut(free) {
            Some(slot) => *slot = share,
            None => self.shares.push(share),
        }
        free as u16
    }

    /// Has a position that is not live lie in a share. The run around it keeps only what is live there.
    fn assign(&mut self, at: u16, share: u16) {
        let index = self.run_of(at);
        let ShareRun { start, share: before } = self.runs[index];
        if before == share {
            return;
        }
        let end = self.runs.get(index + 1).map_or(BLOCK_POSITIONS, |run| run.start);
        let has_head = start < at && self.has_live(start, at - 1);
        let has_tail = at + 1 < end && self.has_live(at + 1, end - 1);
        let head = has_head.then_some(ShareRun { start, share: before });
        let middle = Some(ShareRun { start: if has_head { at } else { start }, share });
        let tail = has_tail.then_some(ShareRun { start: at + 1, share: before });
        self.runs.remove(index);
        self.runs.insert_many(index, [head, middle, tail].into_iter().flatten());
        self.runs.dedup_by_key(|run| run.share);
    }

    fn has_live(&self, first: u16, last: u16) -> bool {
        !(self.live & Bitmap::range(first, last)).is_empty()
    }

    /// All positions of a share's runs, live or not.
    fn covered_by(&self, share: u16) -> Bitmap {
        let ends = self.runs.iter().skip(1).map(|run| run.start).chain([BLOCK_POSITIONS]);
        let runs = self.runs.iter().zip(ends).filter(|(run, _)| run.share == share);
        runs.fold(Bitmap::default(), |all, (run, end)| all | Bitmap::range(run.start, end - 1))
    }
}

impl Share {
    fn tally(&mut self, transient: bool) -> &mut Tally {
        if transient { &mut self.transient } else { &mut self.durable }
    }

    fn live(&self) -> u16 {
        self.durable.live + self.transient.live
    }
}

impl Tally {
    fn add(&mut self, bytes: u32) {
        self.bytes += u64::from(bytes);
        self.live += 1;
    }

    /// The bytes that one of them is taken to have.
    fn take_one(&mut self) -> u64 {
        let bytes = self.bytes / u64::from(self.live);
        self.bytes -= bytes;
        self.live -= 1;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: SegmentId = SegmentId(1);
    const NEW: SegmentId = SegmentId(9);

    fn full() -> Block {
        let mut block = Block::default();
        (0..512).for_each(|at| block.insert(at, OLD, 10, false));
        block
    }

    #[test]
    fn a_block_filled_in_order_has_a_run_for_each_segment() {
        let mut block = Block::default();
        for at in 0..512 {
            block.insert(at, SegmentId(1 + u64::from(at) / 200), 10, false);
        }
        assert_eq!((block.runs.len(), block.shares.len()), (3, 3));
        assert_eq!(block.segment_of(199), SegmentId(1));
        assert_eq!(block.segment_of(200), SegmentId(2));
        assert_eq!(block.live_in(SegmentId(3)), Bitmap::range(400, 511));
    }

    #[test]
    fn a_block_that_moves_in_order_has_two_runs_on_its_way() {
        let mut block = full();
        for at in (0..512).filter(|at| at % 7 != 0) {
            block.remove(at);
        }
        for at in (0..512).step_by(7) {
            block.remove(at);
            block.insert(at, NEW, 10, false);
            assert!(block.runs.len() <= 2);
        }
        assert_eq!(block.uses().collect::<Vec<_>>(), [(NEW, 74, 740)]);
    }

    #[test]
    fn every_position_may_be_in_its_own_segment() {
        let mut block = Block::default();
        for at in (0..512).rev() {
            block.insert(at, SegmentId(1000 - u64::from(at)), 10, at % 2 == 0);
        }
        for at in 0..512 {
            assert_eq!(block.segment_of(at), SegmentId(1000 - u64::from(at)));
        }
        assert_eq!((block.uses().count(), block.parts().len()), (512, 256));
    }

    #[test]
    fn the_share_of_a_segment_that_is_left_serves_another_one() {
        let mut block = full();
        for round in 2..100 {
            block.remove(7);
            block.insert(7, SegmentId(round), 10, false);
        }
        assert_eq!((block.runs.len(), block.shares.len()), (3, 2));
    }

    #[test]
    fn the_last_position_of_a_segment_takes_the_rest_of_the_bytes() {
        let mut block = Block::default();
        for (at, bytes) in [(0, 10), (1, 11), (2, 0)] {
            block.insert(at, OLD, bytes, false);
        }
        let taken: Vec<u64> = [1, 0, 2].into_iter().map(|at| block.remove(at).bytes).collect();
        assert_eq!((taken.iter().sum::<u64>(), &taken[..2]), (21, &[7, 7][..]));
        assert!(block.live.is_empty() && block.durable_bytes() == 0);
    }

    #[test]
    fn transient_positions_are_live_and_in_no_part() {
        let mut block = Block::default();
        block.insert(3, OLD, 10, true);
        assert!(block.is_live(3) && block.is_transient(3) && block.parts().is_empty());
        block.insert(4, OLD, 20, false);
        let parts = block.parts();
        assert_eq!(parts, [Part { segment: OLD, bytes: 20, positions: Bitmap::range(4, 4) }]);
        assert!(block.remove(3).transient && !block.remove(4).transient);
    }

    #[test]
    fn a_block_is_made_again_of_its_parts() {
        let mut block = Block::default();
        for at in (0..512).filter(|at| at % 3 > 0) {
            block.insert(at, SegmentId(1 + u64::from(at % 5)), u32::from(at), false);
        }
        let parts = block.parts();
        let again = Block::from_parts(&parts);
        assert_eq!((again.parts(), again.live()), (parts, block.live()));
        assert!(block.live().iter().all(|at| again.segment_of(at) == block.segment_of(at)));
    }
}
