//! The live messages of one queue, and what of it the last checkpoint does not know.
//!
//! `changed` has the numbers of exactly those blocks that may differ from the last checkpoint: a block that
//! came and went in between leaves nothing there, one that the checkpoint has and that is gone stays there
//! until the next.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    answers::{Live, RangeSettled, Settled},
    bitmap::{BLOCK_POSITIONS, Bitmap},
    block::Block,
    blocks::{Blocks, End},
    changes::{BlockImage, Inconsistent, IndexChange, QueueState},
    segments::Segments,
};
use crate::core::{
    pager::{RestoredQueue, RestoredRange},
    placement::{QueueId, counter_of},
    seldom::Seldom,
};
use crate::store::{format::Returned, position::SegmentId};

/// The live messages of a queue. One that has none takes little: there may be very many.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// A counter above those of all positions, whatever their lines.
    pub(super) next_position: u64,
    /// A counter, too.
    pub(super) redelivered_below: u64,
    blocks: Seldom<Blocks>,
    /// Of live messages that came back at least once, or wait until another time than was said when they came.
    returned: Seldom<BTreeMap<u64, Returned>>,
    changed: Seldom<BTreeSet<u64>>,
    /// The two positions differ from the last checkpoint.
    state_changed: bool,
    /// The last checkpoint has it.
    written: bool,
    /// The index has it on its list of changed queues.
    pub(super) listed: bool,
}

/// A record of a message in a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) segment: SegmentId,
    pub(super) bytes: u32,
    pub(super) transient: bool,
}

impl Queue {
    /// As the last checkpoint has it.
    pub(super) fn restored(state: &QueueState) -> Self {
        Self {
            next_position: state.next_position,
            redelivered_below: state.redelivered_below,
            written: true,
            ..Self::default()
        }
    }

    pub(super) fn state(&self, id: QueueId) -> QueueState {
        let Self { next_position, redelivered_below, .. } = *self;
        QueueState { id, next_position, redelivered_below }
    }

    pub(super) fn set_state(&mut self, next_position: u64, redelivered_below: u64) {
        self.next_position = next_position;
        self.redelivered_below = redelivered_below;
        self.state_changed = true;
    }

    pub(super) fn place(&mut self, position: u64, record: Record, segments: &mut Segments) {
        let counter = counter_of(position);
        if counter >= self.next_position {
            self.next_position = counter + 1;
            self.state_changed = true;
        }
        let (number, at) = split(position);
        let changed = &mut self.changed;
        let block = self.blocks.get_or_insert(number, || Block::new(changed.contains(&number)));
        let mut durable = !record.transient;
        if block.is_live(at) {
            let removed = block.remove(at);
            segments.release(&removed);
            durable |= !removed.transient;
        }
        block.insert(at, record.segment, record.bytes, record.transient);
        segments.add(record.segment, 1, record.bytes.into());
        if durable {
            note(block, number, changed);
        }
    }

    pub(super) fn settle(&mut self, position: u64, segments: &mut Segments) -> Option<Settled> {
        let (number, at) = split(position);
        let block = self.blocks.part()?.get_mut(number, End::Head).filter(|block| block.is_live(at))?;
        let removed = block.remove(at);
        segments.release(&removed);
        if !removed.transient {
            note(block, number, &mut self.changed);
        }
        if block.live().is_empty() {
            self.drop_block(number);
        }
        if !self.returned.is_empty() {
            self.returned.remove(&position);
        }
        Some(Settled { transient: removed.transient })
    }

    pub(super) fn settle_range(&mut self, first: u64, last: u64, segments: &mut Segments) -> RangeSettled {
        let mut settled = RangeSettled::default();
        if first > last {
            return settled;
        }
        let numbers: Vec<u64> = self.numbers(first, last).collect();
        for number in numbers {
            self.settle_places(number, places(number, first, last), segments, &mut settled);
        }
        settled
    }

    /// Settles everything that is in one segment.
    pub(super) fn settle_segment(&mut self, segment: SegmentId, segments: &mut Segments) -> RangeSettled {
        let mut settled = RangeSettled::default();
        let there: Vec<(u64, Bitmap)> =
            self.blocks.iter().map(|(number, block)| (number, block.live_in(segment))).collect();
        for (number, places) in there {
            self.settle_places(number, places, segments, &mut settled);
        }
        settled
    }

    /// Moves a live message; false if it is not in `from` any more.
    pub(super) fn relocate(
        &mut self,
        position: u64,
        from: SegmentId,
        to: (SegmentId, u32),
        segments: &mut Segments,
    ) -> bool {
        if self.segment_of(position) != Some(from) {
            return false;
        }
        let transient = self.is_transient(position) == Some(true);
        self.place(position, Record { segment: to.0, bytes: to.1, transient }, segments);
        true
    }

    /// Whether that is news. The count stays where it is when it is full, and when a message is rescheduled, so with an equal one the last
    /// word holds.
    pub(super) fn came_back(&mut self, position: u64, returned: Returned) -> bool {
        let (number, at) = split(position);
        let known = self.returned.get(&position).copied().unwrap_or_default();
        let is_news = returned.attempts.returned >= known.attempts.returned
            && returned != known
            && returned != Returned::default();
        let block = self.blocks.get_mut(number, End::Head).filter(|block| block.is_live(at));
        let Some(block) = block.filter(|_| is_news) else { return false };
        self.returned.insert(position, returned);
        if !block.is_transient(at) {
            note(block, number, &mut self.changed);
        }
        true
    }

    pub(super) fn segment_of(&self, position: u64) -> Option<SegmentId> {
        let (number, at) = split(position);
        self.blocks.get(number).filter(|block| block.is_live(at)).map(|block| block.segment_of(at))
    }

    pub(super) fn is_live(&self, position: u64) -> bool {
        let (number, at) = split(position);
        self.blocks.get(number).is_some_and(|block| block.is_live(at))
    }

    /// `None` if it is not live.
    pub(super) fn is_transient(&self, position: u64) -> Option<bool> {
        let (number, at) = split(position);
        self.blocks.get(number).filter(|block| block.is_live(at)).map(|block| block.is_transient(at))
    }

    /// Live messages from `first` to `last`, in order.
    pub(super) fn live_in(&self, first: u64, last: u64) -> impl Iterator<Item = Live> {
        let numbers = (first <= last).then(|| split(first).0..=split(last).0);
        let blocks = numbers.into_iter().flat_map(|numbers| self.blocks.range(numbers));
        blocks.flat_map(move |(number, block)| {
            let places = block.live() & places(number, first, last);
            places.iter().map(move |at| self.live(number, block, at))
        })
    }

    pub(super) fn as_restored(&self, id: QueueId) -> RestoredQueue {
        let range = |(number, block): (u64, &Block)| {
            let durable = block.durable();
            Some(RestoredRange {
                first: join(number, durable.first()?),
                last: join(number, durable.last()?),
                count: durable.len().into(),
                bytes: block.durable_bytes(),
            })
        };
        let ranges = self.blocks.iter().filter_map(range).collect();
        RestoredQueue { id, next_position: self.next_position, ranges }
    }

    /// Takes a block back from a checkpoint.
    pub(super) fn restore_block(
        &mut self,
        number: u64,
        image: &BlockImage,
        segments: &mut Segments,
    ) -> Result<(), Inconsistent> {
        let last = image.check()?.last().unwrap_or_default();
        if number > split(u64::MAX).0 || counter_of(join(number, last)) >= self.next_position {
            return Err(Inconsistent::Position);
        }
        if self.blocks.get(number).is_some() {
            return Err(Inconsistent::Twice);
        }
        self.blocks.get_or_insert(number, || Block::from_parts(&image.parts));
        for part in &image.parts {
            segments.add(part.segment, part.positions.len().into(), part.bytes);
        }
        self.returned.extend(image.returned.iter().map(|&(at, returned)| (join(number, at), returned)));
        Ok(())
    }

    /// Appends what differs from the last checkpoint; from then on that is the one.
    pub(super) fn take_changes(&mut self, id: QueueId, out: &mut Vec<IndexChange>) {
        self.listed = false;
        if std::mem::take(&mut self.state_changed) || !self.written {
            self.written = true;
            out.push(IndexChange::Queue(self.state(id)));
        }
        for number in self.changed.take() {
            out.extend(self.take_block(id, number));
        }
    }

    /// How much [`take_changes`](Self::take_changes) would append, at most.
    pub(super) fn changes(&self) -> usize {
        1 + self.changed.len()
    }

    /// Appends what takes it out of the last checkpoint.
    pub(super) fn take_removal(&self, id: QueueId, out: &mut Vec<IndexChange>) {
        let written = self.blocks.iter().filter(|(_, block)| block.written).map(|(number, _)| number);
        let gone = self.changed.iter().copied().filter(|&number| self.blocks.get(number).is_none());
        out.extend(written.chain(gone).map(|number| IndexChange::BlockGone { queue: id, number }));
        if self.written {
            out.push(IndexChange::QueueGone(id));
        }
    }

    /// The last checkpoint is an empty one.
    pub(super) fn forget_checkpoint(&mut self) {
        self.written = false;
        let all: BTreeSet<u64> = self.blocks.iter().map(|(number, _)| number).collect();
        for &number in &all {
            if let Some(block) = self.blocks.get_mut(number, End::Head) {
                (block.written, block.changed) = (false, true);
            }
        }
        self.changed = Seldom::of(all, BTreeSet::is_empty);
    }

    pub(super) fn release_all(&self, segments: &mut Segments) {
        self.blocks.iter().for_each(|(_, block)| segments.release_block(block));
    }

    /// Live placements and bytes by block and segment.
    #[cfg(test)]
    pub(super) fn uses(&self) -> impl Iterator<Item = (SegmentId, u64, u64)> {
        self.blocks.iter().flat_map(|(_, block)| block.uses())
    }

    fn live(&self, number: u64, block: &Block, at: u16) -> Live {
        let position = join(number, at);
        Live {
            position,
            segment: block.segment_of(at),
            returned: self.returned.get(&position).copied().unwrap_or_default(),
            redelivered: counter_of(position) < self.redelivered_below,
            transient: block.is_transient(at),
        }
    }

    fn numbers(&self, first: u64, last: u64) -> impl Iterator<Item = u64> {
        self.blocks.range(split(first).0..=split(last).0).map(|(number, _)| number)
    }

    /// Settles what is live among some places of a block.
    fn settle_places(
        &mut self,
        number: u64,
        places: Bitmap,
        segments: &mut Segments,
        settled: &mut RangeSettled,
    ) {
        let Some(block) = self.blocks.get_mut(number, End::Head) else { return };
        let doomed = block.live() & places;
        let durable = !(doomed & block.durable()).is_empty();
        settled.count += u64::from(doomed.len());
        settled.durable |= durable;
        if durable {
            note(block, number, &mut self.changed);
        }
        if doomed == block.live() {
            segments.release_block(block);
            self.drop_block(number);
        } else {
            doomed.iter().for_each(|at| segments.release(&block.remove(at)));
        }
        self.forget_returned(number, doomed);
    }

    fn forget_returned(&mut self, number: u64, places: Bitmap) {
        let all = join(number, 0)..=join(number, BLOCK_POSITIONS - 1);
        let gone: Vec<u64> = self
            .returned
            .range(all)
            .map(|(&position, _)| position)
            .filter(|&position| places.contains(split(position).1))
            .collect();
        for position in gone {
            self.returned.remove(&position);
        }
    }

    fn drop_block(&mut self, number: u64) {
        let Some(block) = self.blocks.remove(number) else { return };
        if block.written {
            self.changed.insert(number);
        } else {
            self.changed.remove(&number);
        }
    }

    fn take_block(&mut self, queue: QueueId, number: u64) -> Option<IndexChange> {
        let Some(block) = self.blocks.get_mut(number, End::Head) else {
            return Some(IndexChange::BlockGone { queue, number });
        };
        block.changed = false;
        let parts = block.parts();
        let was_written = std::mem::replace(&mut block.written, !parts.is_empty());
        if parts.is_empty() {
            return was_written.then_some(IndexChange::BlockGone { queue, number });
        }
        let returned = self.returned_in(number);
        Some(IndexChange::Block { queue, number, image: BlockImage { parts, returned } })
    }

    /// Of durable messages.
    fn returned_in(&self, number: u64) -> Vec<(u16, Returned)> {
        let Some(block) = self.blocks.get(number) else { return Vec::new() };
        let all = join(number, 0)..=join(number, BLOCK_POSITIONS - 1);
        let returned = self.returned.range(all).map(|(&position, &returned)| (split(position).1, returned));
        returned.filter(|&(at, _)| !block.is_transient(at)).collect()
    }
}

/// There may be very many queues without messages, in a table that is up to half empty.
const _: () = assert!(size_of::<Queue>() <= 48);

/// The block of a position, and its place there.
pub(super) fn split(position: u64) -> (u64, u16) {
    (position / u64::from(BLOCK_POSITIONS), (position % u64::from(BLOCK_POSITIONS)) as u16)
}

/// The position of a place in a block.
fn join(number: u64, at: u16) -> u64 {
    number * u64::from(BLOCK_POSITIONS) + u64::from(at)
}

/// The places of a block that lie between two positions.
fn places(number: u64, first: u64, last: u64) -> Bitmap {
    let low = if split(first).0 < number { 0 } else { split(first).1 };
    let high = if split(last).0 > number { BLOCK_POSITIONS - 1 } else { split(last).1 };
    Bitmap::range(low, high)
}

fn note(block: &mut Block, number: u64, changed: &mut BTreeSet<u64>) {
    if !block.changed {
        block.changed = true;
        changed.insert(number);
    }
}
