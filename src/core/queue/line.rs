//! Messages of one priority that wait for a consumer, in order.
//!
//! Fresh ones stand in blocks, so that a long queue grows and shrinks without ever moving what it holds, and so that what is far from
//! its turn can leave memory: of a block that the journal has on disk only a descriptor stays ([`Paged`]). Requeued ones
//! go back to their original position, and stand in a list of their own ([`Requeued`]).

mod holes;
mod middle;
mod requeued;

use std::collections::VecDeque;

pub use middle::Stand;

use crate::core::{
    change::{Change, Changes},
    clock::Millis,
    entry::{Entry, Size, Total},
    message::{Message, Stage},
    pager::{Page, RestoredRange},
    placement::{Placement, QueueId},
    seldom::Seldom,
};
use crate::limits::{BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, PAGED_OUT_AT_ONCE_MAX, SPILL_BYTES_MAX};
use holes::Holes;
use requeued::Requeued;

/// Messages in a row that are on disk alone; both ends included.
#[derive(Debug, Clone, Copy)]
pub struct Paged {
    /// Lowest position.
    pub first: u64,
    /// Highest position.
    pub last: u64,
    count: usize,
    size: Size,
    /// They are not all that the journal has there.
    is_requeued: bool,
}

/// Messages in a row.
enum Block {
    Resident(Resident),
    Paged(Paged),
}

/// Messages in memory.
#[derive(Default)]
struct Resident {
    entries: VecDeque<Entry>,
    size: Size,
    /// The journal knows of all of them.
    journaled: bool,
}

/// The oldest of the messages that wait.
pub enum Front<'a> {
    /// It is in memory.
    Entry(&'a Entry),
    /// It has to be read first.
    Paged(Paged),
}

/// Waiting messages, oldest position first.
#[derive(Default)]
pub struct Line {
    requeued: Seldom<Requeued>,
    blocks: VecDeque<Block>,
    /// Messages of the blocks that were taken out before their turn.
    holes: Holes,
    fresh_count: usize,
    resident: Size,
    paged: Size,
    /// Room for so many messages in the blocks that are in memory.
    capacity: usize,
}

/// Room in the first block of a line: most are short.
const CAPACITY_MIN: usize = if cfg!(test) { 1 } else { 4 };
/// Blocks at the head that stay in memory when a queue grows.
const HEAD_BLOCKS: usize = 4;
/// So many blocks near the end are tried without finding one to page out; then it is tried again when the next message comes.
const PAGE_OUT_TRIES: usize = 16;
/// Chunks of requeued messages that stay in memory while it is not short: about as many messages as in a block.
const REQUEUED_CHUNKS_KEPT: usize = 8;

impl Line {
    /// Puts in messages that were there when the broker started.
    pub fn restore(&mut self, ranges: &[RestoredRange]) {
        for range in ranges {
            let RestoredRange { first, last, count, bytes } = *range;
            // The bodies are not much less than the records.
            let size = Size { bytes: bytes as usize, bodies: bytes as usize };
            let paged = Paged { first, last, count: count as usize, size, is_requeued: false };
            self.fresh_count += paged.count;
            self.paged += paged.size;
            self.push_back(Block::Paged(paged));
        }
    }

    fn push_back(&mut self, block: Block) {
        self.capacity += block.capacity();
        self.blocks.push_back(block);
    }

    fn push_front(&mut self, block: Block) {
        self.capacity += block.capacity();
        self.blocks.push_front(block);
    }

    /// Takes a block out.
    fn remove(&mut self, at: usize) -> Option<Block> {
        let block = self.blocks.remove(at)?;
        self.capacity -= block.capacity();
        Some(block)
    }

    /// Those in memory.
    #[cfg(test)]
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let fresh = self.blocks.iter().flat_map(|block| match block {
            Block::Resident(block) => block.entries.iter().collect(),
            Block::Paged(_) => Vec::new(),
        });
        self.requeued.entries().chain(fresh)
    }

    /// What [`Self::capacity_bytes`] says, found by looking at every part.
    #[cfg(test)]
    pub(super) fn walked_capacity_bytes(&self) -> usize {
        assert_eq!(self.capacity, self.blocks.iter().map(Block::capacity).sum::<usize>());
        self.capacity_bytes() - self.requeued.capacity_bytes() + self.requeued.walked_capacity_bytes()
    }

    /// Bytes that the room for entries takes, beside the messages.
    #[inline]
    pub(super) fn capacity_bytes(&self) -> usize {
        self.capacity * size_of::<Entry>()
            + self.blocks.capacity() * size_of::<Block>()
            + self.holes.memory_bytes()
            + self.requeued.capacity_bytes()
    }

    /// What stands in it.
    #[inline]
    pub(super) fn total(&self) -> Total {
        let (mut resident, mut paged) = self.requeued.sizes();
        resident += self.resident;
        paged += self.paged;
        let count = self.fresh_count + self.requeued.len();
        Total { count, resident, paged, capacity_bytes: self.capacity_bytes() }
    }

    /// Appends a message that has a higher position than all before it. True when that began a new block.
    #[inline]
    pub fn push(&mut self, entry: Entry) -> bool {
        self.fresh_count += 1;
        let size = entry.size();
        self.resident += size;
        if let Some(Block::Resident(block)) = self.blocks.back_mut()
            && block.has_room()
        {
            block.size += size;
            block.journaled &= entry.journaled;
            let capacity = block.entries.capacity();
            block.entries.push_back(entry);
            self.capacity += block.entries.capacity() - capacity;
            return false;
        }
        let (mut entries, journaled) = (VecDeque::with_capacity(self.next_capacity()), entry.journaled);
        entries.push_back(entry);
        self.push_back(Block::Resident(Resident { entries, size, journaled }));
        true
    }

    /// The capacity with which the next block begins: as many as the one before it has filled. Behind what had to leave memory it begins small
    /// once more, for there may be many such lines.
    fn next_capacity(&self) -> usize {
        match self.blocks.back() {
            Some(Block::Resident(filled)) => filled.entries.len().max(CAPACITY_MIN),
            Some(Block::Paged(_)) | None => CAPACITY_MIN,
        }
    }

    /// Puts a message back to where it was.
    pub fn requeue(&mut self, entry: Entry) {
        self.requeued.insert(entry);
    }

    /// The oldest message.
    pub fn front(&self) -> Option<Front<'_>> {
        let fresh_position = self.blocks.front().map_or(u64::MAX, Block::first);
        if !self.requeued.is_empty()
            && let Some(front) = self.requeued.front(fresh_position)
        {
            return Some(front);
        }
        match self.blocks.front()? {
            Block::Paged(paged) => Some(Front::Paged(*paged)),
            Block::Resident(block) => block.entries.front().map(Front::Entry),
        }
    }

    /// Takes the oldest message, if it is in memory.
    pub fn pop(&mut self) -> Option<Entry> {
        if !self.requeued.is_empty() {
            let fresh_position = self.blocks.front().map_or(u64::MAX, Block::first);
            if self.requeued.first_position().is_some_and(|position| position < fresh_position) {
                return self.requeued.pop();
            }
        }
        self.pop_fresh()
    }

    #[inline]
    fn pop_fresh(&mut self) -> Option<Entry> {
        let Some(Block::Resident(block)) = self.blocks.front_mut() else { return None };
        let entry = block.entries.pop_front()?;
        let size = entry.size();
        block.size -= size;
        self.resident -= size;
        self.fresh_count -= 1;
        if block.entries.is_empty() {
            self.remove(0);
            self.front_moved();
        }
        Some(entry)
    }

    /// A block has gone: gives memory back, and forgets the holes that no read can meet any more.
    fn front_moved(&mut self) {
        match self.blocks.front() {
            None => {
                self.blocks = VecDeque::new();
                self.holes.clear();
            }
            Some(Block::Resident(block)) => {
                self.holes.forget_below(block.entries.front().map_or(0, |entry| entry.position));
            }
            Some(Block::Paged(paged)) => self.holes.forget_below(paged.first),
        }
    }

    // ---- paging ----

    /// Replaces the first part of a paged front with what was read; ignored if another call did so meanwhile.
    ///
    /// Messages that could not be read are gone: the journal has set them aside and says so.
    /// Those that wait for a time after `now`, by `waits_until`, are not put there but given back with that time.
    pub fn loaded(
        &mut self,
        asked: Paged,
        page: Page,
        now: Millis,
        waits_until: impl Fn(&Entry, Millis) -> Millis,
    ) -> Vec<(Millis, Entry)> {
        if asked.is_requeued {
            let last = page.rest_from.map_or(asked.last, |rest| rest - 1);
            self.requeued.loaded(page.messages, asked.first, last);
            return Vec::new();
        }
        let front = self.blocks.front().filter(|block| block.is(&asked));
        let Some(Block::Paged(paged)) = front else { return Vec::new() };
        let paged = *paged;
        self.remove(0);
        self.fresh_count -= paged.count;
        self.paged -= paged.size;
        let entries = VecDeque::with_capacity(page.messages.len());
        let mut block = Resident { entries, size: Size::default(), journaled: true };
        let mut waiting = Vec::new();
        for loaded in page.messages {
            if self.holes.contains(loaded.position) {
                continue;
            }
            let due = loaded.due;
            let entry = Entry::from(loaded);
            let due = waits_until(&entry, due);
            if due > now {
                // Should the block go to disk once more, this one is not to come back with it.
                self.holes.insert(entry.position);
                waiting.push((due, entry));
            } else {
                block.size += entry.size();
                block.entries.push_back(entry);
            }
        }
        if let Some(first) = page.rest_from {
            self.push_front_rest(paged, first, &block, waiting.len());
        }
        if !block.entries.is_empty() {
            self.fresh_count += block.entries.len();
            self.resident += block.size;
            self.push_front(Block::Resident(block));
        }
        self.front_moved();
        waiting
    }

    fn push_front_rest(&mut self, whole: Paged, first: u64, taken: &Resident, waiting: usize) {
        let count = whole.count.saturating_sub(taken.entries.len() + waiting).max(1);
        let size = Size {
            bytes: whole.size.bytes.saturating_sub(taken.size.bytes),
            bodies: whole.size.bodies.saturating_sub(taken.size.bodies),
        };
        self.fresh_count += count;
        self.paged += size;
        self.push_front(Block::Paged(Paged { first, last: whole.last, count, size, is_requeued: false }));
    }

    /// Lets go of blocks that are on disk, last ones first, until no more than `bytes_max` are in memory; the head and the
    /// block that is being filled stay.
    pub fn page_out(&mut self, bytes_max: usize) {
        let mut tries = PAGE_OUT_TRIES;
        for at in (HEAD_BLOCKS..self.blocks.len().saturating_sub(1)).rev() {
            let done = self.resident.bytes <= bytes_max || matches!(self.blocks[at], Block::Paged(_));
            if done || tries == 0 {
                return;
            }
            tries -= usize::from(!self.page_out_block(at, &mut Vec::new()));
        }
    }

    /// Lets go of what is on disk: of everything, or but for what is next and the block that is being filled. It is `dropped`, to be given
    /// back when no lock is held. Of what is not on disk yet a part is given to the journal, lowest positions first: of those
    /// that come out of order it needs more memory. True when there is more to be done.
    pub fn page_out_all(
        &mut self,
        everything: bool,
        queue: QueueId,
        changes: &mut Changes,
        dropped: &mut Vec<Message>,
    ) -> bool {
        let kept = usize::from(!everything);
        let before = dropped.len();
        for at in (kept..self.blocks.len().saturating_sub(kept)).rev() {
            self.page_out_block(at, dropped);
            if dropped.len() - before >= PAGED_OUT_AT_ONCE_MAX {
                return true;
            }
        }
        let chunks_kept = if everything { 0 } else { REQUEUED_CHUNKS_KEPT };
        !self.requeued.is_empty() && self.requeued.page_out(chunks_kept, queue, changes, dropped)
            || self.spill_blocks(kept, queue, changes)
    }

    fn spill_blocks(&mut self, kept: usize, queue: QueueId, changes: &mut Changes) -> bool {
        let mut spilled = 0;
        let last = self.blocks.len().saturating_sub(kept);
        for block in self.blocks.iter_mut().take(last).skip(kept) {
            if let Block::Resident(block) = block
                && !std::mem::replace(&mut block.journaled, true)
            {
                spilled += spill(&mut block.entries, queue, changes);
            }
            if spilled >= SPILL_BYTES_MAX {
                return true;
            }
        }
        false
    }

    /// True if the block is not in memory afterwards. What was in it is `dropped`.
    fn page_out_block(&mut self, at: usize, dropped: &mut Vec<Message>) -> bool {
        let Block::Resident(block) = &mut self.blocks[at] else { return true };
        let Some(paged) = block.paged() else { return false };
        dropped.extend(block.entries.drain(..).map(|entry| entry.message));
        self.resident -= paged.size;
        self.paged += paged.size;
        self.capacity -= self.blocks[at].capacity();
        self.blocks[at] = Block::Paged(paged);
        self.join_with_next(at);
        true
    }

    /// Two neighbours on disk that are as small as one block become one: between them is nothing that did not stand here.
    fn join_with_next(&mut self, at: usize) {
        if let (Some(Block::Paged(one)), Some(Block::Paged(next))) =
            (self.blocks.get(at), self.blocks.get(at + 1))
            && one.count + next.count <= BLOCK_ENTRIES_MAX
            && one.size.bytes + next.size.bytes <= BLOCK_BYTES_MAX
        {
            let mut size = one.size;
            size += next.size;
            let joined = Paged { last: next.last, count: one.count + next.count, size, ..*one };
            self.remove(at + 1);
            self.blocks[at] = Block::Paged(joined);
        }
    }

    /// Tells the journal that some of them have left `queue` for good, as many as are `left` to be told; those that are on disk
    /// alone count as one for each row of them. Whether there are more.
    pub fn settle_some(&mut self, queue: QueueId, left: &mut usize, changes: &mut Changes) -> bool {
        while !self.requeued.is_empty() || !self.blocks.is_empty() {
            if *left == 0 {
                return true;
            }
            *left -= 1;
            if !self.requeued.is_empty() && self.requeued.settle_first(queue, changes) {
                continue;
            }
            match self.blocks.front_mut() {
                Some(Block::Resident(block)) if !block.entries.is_empty() => {
                    block.entries.pop_front().into_iter().for_each(|entry| entry.settle(queue, changes));
                    continue;
                }
                Some(Block::Paged(paged)) => {
                    if let Some((first, last)) = self.holes.rows_between(paged.first, paged.last).next() {
                        changes.push(Change::SettleRange { queue, first, last });
                        if last < paged.last {
                            paged.first = last + 1;
                            continue;
                        }
                    }
                }
                Some(Block::Resident(_)) | None => {}
            }
            self.blocks.pop_front();
        }
        false
    }
}

impl Block {
    /// Room for so many messages in memory.
    fn capacity(&self) -> usize {
        match self {
            Self::Resident(block) => block.entries.capacity(),
            Self::Paged(_) => 0,
        }
    }

    fn is(&self, asked: &Paged) -> bool {
        matches!(self, Self::Paged(paged) if (paged.first, paged.last) == (asked.first, asked.last))
    }
}

impl Resident {
    fn has_room(&self) -> bool {
        self.entries.len() < BLOCK_ENTRIES_MAX && self.size.bytes < BLOCK_BYTES_MAX
    }

    /// What stays of it in memory, if all of it can be read back.
    fn paged(&self) -> Option<Paged> {
        // From the end: what came last is the least likely to be on disk.
        let on_disk = |entry: &Entry| entry.journaled && entry.message.stage() == Stage::Written;
        if !self.entries.iter().rev().all(on_disk) {
            return None;
        }
        let (first, last) = (self.entries.front()?.position, self.entries.back()?.position);
        Some(Paged { first, last, count: self.entries.len(), size: self.size, is_requeued: false })
    }
}

/// Gives the journal what it does not know of; tells how many bytes that are.
fn spill(entries: &mut VecDeque<Entry>, queue: QueueId, changes: &mut Changes) -> usize {
    let mut bytes = 0;
    for entry in entries.iter_mut().filter(|entry| !entry.journaled) {
        // The journal's notes in a message are about one placement: a queue that spills has a message of its own.
        if !entry.message.is_pristine() {
            entry.message = entry.message.duplicated();
        }
        entry.journaled = true;
        changes.push(Change::Publish {
            message: entry.message.clone(),
            placements: [Placement { queue, position: entry.position }].into_iter().collect(),
            transient: true,
        });
        bytes += entry.message.size_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests;
