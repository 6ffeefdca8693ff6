//! The blocks of one queue by their numbers. Runs of consecutive positions find theirs without a search.
//!
//! Each number has one block at most. Which of its positions are live, only the block knows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::block::Block;
use crate::core::seldom::Empty;

/// No block has this number.
const NONE: u64 = u64::MAX;

/// Slots kept when the last block goes.
const SLOTS_KEPT: usize = 4;

/// Who looks for a block. Messages come at one end of a queue and go at the other, and each remembers its block.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// Where messages come.
    Tail = 0,
    /// Where they go.
    Head = 1,
}

/// The blocks of one queue.
#[derive(Debug)]
pub(super) struct Blocks {
    slots: Vec<Block>,
    /// Slots without a block.
    free: Vec<u32>,
    by_number: BTreeMap<u64, u32>,
    /// The last block, and its slot, that each [`End`] looked for.
    recent: [(u64, u32); 2],
}

impl Default for Blocks {
    fn default() -> Self {
        Self::new()
    }
}

impl Empty for Blocks {
    const EMPTY: &'static Self = &Self::new();
}

impl Blocks {
    const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), by_number: BTreeMap::new(), recent: [(NONE, 0); 2] }
    }

    pub(super) fn get(&self, number: u64) -> Option<&Block> {
        Some(&self.slots[self.slot(number)? as usize])
    }

    pub(super) fn get_mut(&mut self, number: u64, end: End) -> Option<&mut Block> {
        let slot = self.slot(number)?;
        self.recent[end as usize] = (number, slot);
        Some(&mut self.slots[slot as usize])
    }

    /// The block, which `make` makes if it is missing.
    pub(super) fn get_or_insert(&mut self, number: u64, make: impl FnOnce() -> Block) -> &mut Block {
        let slot = self.slot(number).unwrap_or_else(|| self.insert(number, make()));
        self.recent[End::Tail as usize] = (number, slot);
        &mut self.slots[slot as usize]
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Block> {
        let slot = self.by_number.remove(&number)?;
        for recent in self.recent.iter_mut().filter(|recent| recent.0 == number) {
            recent.0 = NONE;
        }
        let block = std::mem::take(&mut self.slots[slot as usize]);
        if self.by_number.is_empty() {
            self.slots.clear();
            self.slots.shrink_to(SLOTS_KEPT);
            self.free = Vec::new();
        } else {
            self.free.push(slot);
        }
        Some(block)
    }

    /// Those with numbers in a range, in order.
    pub(super) fn range(&self, numbers: RangeInclusive<u64>) -> impl Iterator<Item = (u64, &Block)> {
        self.by_number.range(numbers).map(|(&number, &slot)| (number, &self.slots[slot as usize]))
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Block)> {
        self.range(0..=NONE)
    }

    fn slot(&self, number: u64) -> Option<u32> {
        let recent = self.recent.iter().find(|recent| recent.0 == number);
        recent.map(|recent| recent.1).or_else(|| self.by_number.get(&number).copied())
    }

    fn insert(&mut self, number: u64, block: Block) -> u32 {
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(slot as usize) {
            Some(empty) => *empty = block,
            None => self.slots.push(block),
        }
        self.by_number.insert(number, slot);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::position::SegmentId;

    fn block(segment: u64) -> Block {
        let mut block = Block::default();
        block.insert(0, SegmentId(segment), 1, false);
        block
    }

    #[test]
    fn blocks_are_found_by_number_and_listed_in_order() {
        let mut blocks = Blocks::default();
        for number in [7, 3, 900, 4] {
            blocks.get_or_insert(number, || block(number));
        }
        assert!(blocks.iter().map(|(number, _)| number).eq([3, 4, 7, 900]));
        assert!(blocks.range(4..=7).map(|(number, _)| number).eq([4, 7]));
        assert!(blocks.iter().all(|(number, block)| block.segment_of(0) == SegmentId(number)));
        assert!(blocks.get(5).is_none() && blocks.get_mut(5, End::Head).is_none());
    }

    #[test]
    fn a_block_that_is_gone_is_not_remembered() {
        let mut blocks = Blocks::default();
        blocks.get_or_insert(1, || block(1));
        blocks.get_or_insert(2, || block(2));
        assert!(blocks.get_mut(2, End::Head).is_some());
        assert!(blocks.remove(2).is_some() && blocks.remove(2).is_none());
        assert!(blocks.get(2).is_none() && blocks.get_mut(2, End::Head).is_none());
        blocks.get_or_insert(3, || block(3));
        assert_eq!(blocks.slots.len(), 2);
    }

    #[test]
    fn an_empty_queue_gives_its_memory_back() {
        let mut blocks = Blocks::default();
        for number in 0..1000 {
            blocks.get_or_insert(number, || block(1));
        }
        for number in 0..1000 {
            blocks.remove(number);
        }
        assert!(blocks.slots.capacity() <= SLOTS_KEPT && blocks.free.capacity() == 0);
    }
}
