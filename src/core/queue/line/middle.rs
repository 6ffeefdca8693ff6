//! What an operator does with a line: messages are looked at where they stand, and taken out before their turn.
//!
//! Neither moves any other message. Finding a position costs O(log n), taking a message out no more than a block is long.

use super::{Block, Entry, Line, Paged, Resident, Size};

/// What stands at a position of a line, or next after it.
pub enum Stand<'a> {
    /// A message that is in memory.
    Entry(&'a Entry),
    /// Messages that are on disk alone lie between these positions, both included.
    OnDisk(u64, u64),
}

impl Stand<'_> {
    fn first(&self) -> u64 {
        match self {
            Self::Entry(entry) => entry.position,
            Self::OnDisk(first, _) => *first,
        }
    }

    /// Without what stands at another position or after it.
    fn up_to(self, other: &Self) -> Self {
        match self {
            Self::OnDisk(first, last) if other.first() > first => {
                Self::OnDisk(first, last.min(other.first() - 1))
            }
            whole => whole,
        }
    }
}

impl Line {
    /// What stands at `from` or next after it.
    pub fn at_or_after(&self, from: u64) -> Option<Stand<'_>> {
        let (requeued, fresh) = (self.requeued.at_or_after(from), self.fresh_at_or_after(from));
        match (requeued, fresh) {
            (Some(one), Some(other)) if one.first() <= other.first() => Some(one.up_to(&other)),
            (Some(one), Some(other)) => Some(other.up_to(&one)),
            (requeued, fresh) => requeued.or(fresh),
        }
    }

    fn fresh_at_or_after(&self, from: u64) -> Option<Stand<'_>> {
        let at = self.blocks.partition_point(|block| block.last() < from);
        match self.blocks.get(at)? {
            Block::Paged(paged) => Some(Stand::OnDisk(paged.first.max(from), paged.last)),
            Block::Resident(block) => {
                let at = block.entries.partition_point(|entry| entry.position < from);
                block.entries.get(at).map(Stand::Entry)
            }
        }
    }

    /// Whether a message that was seen here, in memory or on disk, still waits.
    pub fn holds(&self, position: u64) -> bool {
        if self.requeued.holds(position) {
            return true;
        }
        let at = self.blocks.partition_point(|block| block.last() < position);
        match self.blocks.get(at) {
            None => false,
            Some(Block::Resident(block)) => block.find(position).is_some(),
            // What stands in such a block leaves it by being read back, or taken out of it, and in no other way.
            Some(Block::Paged(paged)) => paged.first <= position && !self.holes.contains(position),
        }
    }

    /// Adds what is known here of a message that was read from disk.
    pub fn recall(&self, entry: &mut Entry) {
        self.requeued.recall(entry);
    }

    /// Takes a message out that was seen here, if it still waits. What is on disk alone is given back as it was seen.
    pub fn take_out(&mut self, seen: &Entry) -> Option<Entry> {
        if !self.holds(seen.position) {
            return None;
        }
        if self.requeued.holds(seen.position) {
            return self.requeued.take_out(seen);
        }
        self.take_out_fresh(seen)
    }

    fn take_out_fresh(&mut self, seen: &Entry) -> Option<Entry> {
        let at = self.blocks.partition_point(|block| block.last() < seen.position);
        let (entry, is_empty) = match self.blocks.get_mut(at)? {
            Block::Resident(block) => {
                let entry = block.entries.remove(block.find(seen.position)?)?;
                let size = entry.size();
                block.size -= size;
                self.resident -= size;
                (entry, block.entries.is_empty())
            }
            Block::Paged(paged) => {
                self.paged -= paged.lose(seen);
                let rest = paged.size;
                let is_empty = paged.count == 0;
                if is_empty {
                    self.paged -= rest;
                }
                (seen.clone(), is_empty)
            }
        };
        self.fresh_count -= 1;
        // Should it come back and go to disk by itself, its block is not to bring it a second time.
        self.holes.insert(entry.position);
        if is_empty {
            self.remove(at);
            self.front_moved();
        }
        Some(entry)
    }
}

impl Block {
    pub(super) fn first(&self) -> u64 {
        match self {
            Self::Resident(block) => block.entries.front().map_or(0, |entry| entry.position),
            Self::Paged(paged) => paged.first,
        }
    }

    /// The highest position of its messages: no block is empty.
    fn last(&self) -> u64 {
        match self {
            Self::Resident(block) => block.entries.back().map_or(0, |entry| entry.position),
            Self::Paged(paged) => paged.last,
        }
    }
}

impl Resident {
    fn find(&self, position: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&position, |entry| entry.position).ok()
    }
}

impl Paged {
    /// One message less. Gives what is to be taken off the books: sizes of messages from before the last start are
    /// guesses.
    fn lose(&mut self, entry: &Entry) -> Size {
        let size = entry.size();
        let lost = Size { bytes: size.bytes.min(self.size.bytes), bodies: size.bodies.min(self.size.bodies) };
        self.size -= lost;
        self.count = self.count.saturating_sub(1);
        lost
    }
}
