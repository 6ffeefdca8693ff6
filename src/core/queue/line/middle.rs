//! What an operator does with a line: messages are looked at where they stand, and taken out before their turn.
//!
//! Neither moves any other message. Finding a place costs O(log n), taking a message out no more than a block is long.

use super::{Block, Entry, Line, Paged, Resident, Size};

/// What stands at a place of a line, or next after it.
pub enum Stand<'a> {
    /// A message that is in memory.
    Entry(&'a Entry),
    /// Messages that are on disk alone lie between these positions, both included.
    OnDisk(u64, u64),
}

impl Line {
    /// What stands at `from` or next after it.
    pub fn at_or_after(&self, from: u64) -> Option<Stand<'_>> {
        let requeued = self.requeued.range(from..).next().map(|(_, entry)| entry);
        let at = self.blocks.partition_point(|block| block.last() < from);
        match (self.blocks.get(at), requeued) {
            (None, requeued) => requeued.map(Stand::Entry),
            (Some(block), Some(entry)) if entry.position <= block.first().max(from) => {
                Some(Stand::Entry(entry))
            }
            (Some(Block::Paged(paged)), requeued) => {
                let before = requeued.map_or(u64::MAX, |entry| entry.position - 1);
                Some(Stand::OnDisk(paged.first.max(from), paged.last.min(before)))
            }
            (Some(Block::Resident(block)), requeued) => {
                let at = block.entries.partition_point(|entry| entry.position < from);
                let fresh = block.entries.get(at);
                let first = |one: &&Entry, other: &Entry| one.position < other.position;
                match (requeued, fresh) {
                    (Some(requeued), Some(fresh)) if first(&requeued, fresh) => Some(Stand::Entry(requeued)),
                    (requeued, fresh) => fresh.or(requeued).map(Stand::Entry),
                }
            }
        }
    }

    /// Whether a message that was seen here, in memory or on disk, still waits.
    pub fn holds(&self, position: u64) -> bool {
        if self.requeued.contains_key(&position) {
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

    /// Takes a message out that was seen here, if it still waits. What is on disk alone is given back as it was seen.
    pub fn take_out(&mut self, seen: &Entry) -> Option<Entry> {
        if !self.holds(seen.position) {
            return None;
        }
        let Some(entry) = self.requeued.remove(&seen.position) else { return self.take_out_fresh(seen) };
        self.resident -= entry.size();
        Some(entry)
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
        if entry.journaled {
            self.holes.insert(entry.position);
        }
        if is_empty {
            self.remove(at);
            self.front_moved();
        }
        Some(entry)
    }
}

impl Block {
    fn first(&self) -> u64 {
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
