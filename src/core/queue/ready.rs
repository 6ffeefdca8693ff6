//! The messages of a queue that wait for a consumer, in order.
//!
//! Fresh ones stand in blocks, so that a long queue grows and shrinks without ever moving what it holds, and so that what is far from
//! its turn can leave memory: of a block that the journal has on disk only a descriptor stays ([`Paged`]). Requeued ones
//! go back to their original position (RabbitMQ: "requeued to its original position when possible"): they are few and
//! out of order, so they stand in a sorted map before the blocks.

use std::collections::{BTreeMap, VecDeque};

use crate::core::{
    journal::{Attempts, Change, Changes, Page, Placement, QueueId, RestoredRange},
    message::{Message, Stage},
};
use crate::limits::{BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, SPILL_BYTES_MAX};

/// A message in a queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The message, shared with other queues that hold it.
    pub message: Message,
    /// Its place in this queue: strictly increasing as messages are published.
    pub position: u64,
    /// How often it was handed out and came back.
    pub attempts: Attempts,
    /// A delivery of it must say `redelivered`.
    pub redelivered: bool,
    /// The journal knows of it, and has to be told when it goes.
    pub journaled: bool,
}

impl Entry {
    /// The message has left `queue` for good.
    #[inline]
    pub fn settle(self, queue: QueueId, changes: &mut Changes) {
        if self.journaled {
            let placement = Placement { queue, position: self.position };
            let message = Some(self.message).filter(|message| message.stage() != Stage::Written);
            changes.push(Change::Settle { placement, message });
        }
    }
}

/// Messages in a row that are on disk alone; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paged {
    /// Lowest position.
    pub first: u64,
    /// Highest position.
    pub last: u64,
    count: usize,
    bytes: usize,
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
    bytes: usize,
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
pub struct Ready {
    requeued: BTreeMap<u64, Entry>,
    blocks: VecDeque<Block>,
    fresh_count: usize,
    resident_bytes: usize,
    paged_bytes: usize,
}

/// Blocks at the head that stay in memory when a queue grows.
const HEAD_BLOCKS: usize = 4;
/// Blocks near the end that are looked at in vain before the next message is waited for.
const PAGE_OUT_TRIES: usize = 16;

impl Ready {
    /// Messages that were there when the broker started.
    pub fn restored(ranges: &[RestoredRange]) -> Self {
        let mut ready = Self::default();
        for range in ranges {
            let RestoredRange { first, last, count, bytes } = *range;
            let paged = Paged { first, last, count: count as usize, bytes: bytes as usize };
            ready.fresh_count += paged.count;
            ready.paged_bytes += paged.bytes;
            ready.blocks.push_back(Block::Paged(paged));
        }
        ready
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.fresh_count + self.requeued.len()
    }

    /// Whether none waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.fresh_count == 0 && self.requeued.is_empty()
    }

    /// Bytes of those in memory.
    #[inline]
    pub fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.resident_bytes + self.paged_bytes
    }

    /// Appends a message that has a higher position than all before it. True when that began a new block.
    #[inline]
    pub fn push(&mut self, entry: Entry) -> bool {
        self.fresh_count += 1;
        let size = entry.message.size_bytes();
        self.resident_bytes += size;
        if let Some(Block::Resident(block)) = self.blocks.back_mut()
            && block.has_room()
        {
            block.bytes += size;
            block.entries.push_back(entry);
            return false;
        }
        // The first block of a queue starts small: most queues are short.
        let room = if self.blocks.is_empty() { 4 } else { BLOCK_ENTRIES_MAX };
        let mut entries = VecDeque::with_capacity(room);
        entries.push_back(entry);
        self.blocks.push_back(Block::Resident(Resident { entries, bytes: size }));
        true
    }

    /// Puts a message back to where it was.
    pub fn requeue(&mut self, entry: Entry) {
        self.resident_bytes += entry.message.size_bytes();
        self.requeued.insert(entry.position, entry);
    }

    /// The oldest message.
    pub fn front(&self) -> Option<Front<'_>> {
        let requeued = self.requeued.first_key_value().map(|(_, entry)| entry);
        let fresh_position = match self.blocks.front() {
            None => return requeued.map(Front::Entry),
            Some(Block::Paged(paged)) => paged.first,
            Some(Block::Resident(block)) => block.entries.front()?.position,
        };
        match (requeued, self.blocks.front()) {
            (Some(entry), _) if entry.position < fresh_position => Some(Front::Entry(entry)),
            (_, Some(Block::Paged(paged))) => Some(Front::Paged(*paged)),
            (_, Some(Block::Resident(block))) => block.entries.front().map(Front::Entry),
            (_, None) => None,
        }
    }

    /// Takes the oldest message, if it is in memory.
    pub fn pop(&mut self) -> Option<Entry> {
        let fresh = match self.blocks.front() {
            None => None,
            Some(Block::Paged(paged)) => Some(paged.first),
            Some(Block::Resident(block)) => block.entries.front().map(|entry| entry.position),
        };
        let entry = match self.requeued.first_key_value() {
            Some((position, _)) if fresh.is_none_or(|fresh| *position < fresh) => {
                self.requeued.pop_first().map(|(_, entry)| entry)
            }
            _ => self.pop_fresh(),
        }?;
        self.resident_bytes -= entry.message.size_bytes();
        Some(entry)
    }

    #[inline]
    fn pop_fresh(&mut self) -> Option<Entry> {
        let Some(Block::Resident(block)) = self.blocks.front_mut() else { return None };
        let entry = block.entries.pop_front()?;
        block.bytes -= entry.message.size_bytes();
        self.fresh_count -= 1;
        if block.entries.is_empty() {
            self.drop_front_block();
        }
        Some(entry)
    }

    fn drop_front_block(&mut self) {
        self.blocks.pop_front();
        if self.blocks.is_empty() {
            self.blocks = VecDeque::new();
        }
    }

    // ---- paging ----

    /// Replaces the first part of a paged front with what was read; ignored if somebody else did so meanwhile.
    ///
    /// Messages that could not be read are gone: the journal has set them aside and says so.
    pub fn loaded(&mut self, asked: Paged, page: Page) {
        let Some(Block::Paged(paged)) = self.blocks.front().filter(|block| block.is(&asked)) else { return };
        let paged = *paged;
        self.drop_front_block();
        self.fresh_count -= paged.count;
        self.paged_bytes -= paged.bytes;
        let mut block = Resident::default();
        for loaded in page.messages {
            block.bytes += loaded.message.size_bytes();
            block.entries.push_back(Entry {
                message: loaded.message,
                position: loaded.position,
                attempts: loaded.attempts,
                redelivered: loaded.redelivered || loaded.attempts.returned > 0,
                journaled: true,
            });
        }
        if let Some(first) = page.rest_from {
            self.push_front_rest(paged, first, &block);
        }
        if !block.entries.is_empty() {
            self.fresh_count += block.entries.len();
            self.resident_bytes += block.bytes;
            self.blocks.push_front(Block::Resident(block));
        }
    }

    fn push_front_rest(&mut self, whole: Paged, first: u64, taken: &Resident) {
        let count = whole.count.saturating_sub(taken.entries.len()).max(1);
        let bytes = whole.bytes.saturating_sub(taken.bytes);
        self.fresh_count += count;
        self.paged_bytes += bytes;
        self.blocks.push_front(Block::Paged(Paged { first, last: whole.last, count, bytes }));
    }

    /// Lets go of blocks that are on disk, last ones first, until no more than `bytes_max` are in memory; the head and the
    /// block that is being filled stay.
    pub fn page_out(&mut self, bytes_max: usize) {
        let mut tries = PAGE_OUT_TRIES;
        for at in (HEAD_BLOCKS..self.blocks.len().saturating_sub(1)).rev() {
            let done = self.resident_bytes <= bytes_max || matches!(self.blocks[at], Block::Paged(_));
            if done || tries == 0 {
                return;
            }
            tries -= usize::from(!self.page_out_block(at));
        }
    }

    /// Lets go of everything that is on disk but the first block and the one that is being filled. Of what is not there yet a
    /// part is given to the journal, for which it is copied; true when there is more of it.
    pub fn page_out_all(&mut self, queue: QueueId, changes: &mut Changes) -> bool {
        let mut spilled = 0;
        for at in (1..self.blocks.len().saturating_sub(1)).rev() {
            if !self.page_out_block(at)
                && let Block::Resident(block) = &mut self.blocks[at]
            {
                spilled += block.spill(queue, changes);
            }
            if spilled >= SPILL_BYTES_MAX {
                return true;
            }
        }
        false
    }

    /// True if the block is not in memory afterwards.
    fn page_out_block(&mut self, at: usize) -> bool {
        let Block::Resident(block) = &self.blocks[at] else { return true };
        let Some(paged) = block.paged() else { return false };
        self.resident_bytes -= paged.bytes;
        self.paged_bytes += paged.bytes;
        self.blocks[at] = Block::Paged(paged);
        true
    }

    /// Tells the journal that all of them have left `queue` for good.
    pub fn settle_all(self, queue: QueueId, changes: &mut Changes) {
        for entry in self.requeued.into_values() {
            entry.settle(queue, changes);
        }
        for block in self.blocks {
            match block {
                Block::Resident(block) => {
                    block.entries.into_iter().for_each(|entry| entry.settle(queue, changes));
                }
                Block::Paged(Paged { first, last, .. }) => {
                    changes.push(Change::SettleRange { queue, first, last });
                }
            }
        }
    }
}

impl Block {
    fn is(&self, asked: &Paged) -> bool {
        matches!(self, Self::Paged(paged) if paged == asked)
    }
}

impl Resident {
    fn has_room(&self) -> bool {
        self.entries.len() < BLOCK_ENTRIES_MAX && self.bytes < BLOCK_BYTES_MAX
    }

    /// What stays of it in memory, if all of it can be read back.
    fn paged(&self) -> Option<Paged> {
        // From the end: what came last is the least likely to be on disk.
        let on_disk = |entry: &Entry| entry.journaled && entry.message.stage() == Stage::Written;
        if !self.entries.iter().rev().all(on_disk) {
            return None;
        }
        let (first, last) = (self.entries.front()?.position, self.entries.back()?.position);
        Some(Paged { first, last, count: self.entries.len(), bytes: self.bytes })
    }

    /// Gives the journal what it does not know of; tells how many bytes that are.
    fn spill(&mut self, queue: QueueId, changes: &mut Changes) -> usize {
        let mut bytes = 0;
        for entry in self.entries.iter_mut().filter(|entry| !entry.journaled) {
            // The journal's notes in a message are about one place: a queue that spills has a copy of its own.
            entry.message = Message::new(entry.message.view(), entry.message.published_at());
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        journal::Loaded,
        message::{View, build_image},
    };

    const QUEUE: QueueId = QueueId(1);

    fn message() -> Message {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"x"], false);
        Message::new(View::new(layout, &image), 0)
    }

    fn entry(position: u64) -> Entry {
        Entry {
            message: message(),
            position,
            attempts: Attempts::default(),
            redelivered: false,
            journaled: false,
        }
    }

    fn on_disk(position: u64) -> Entry {
        let entry = Entry { journaled: true, ..entry(position) };
        entry.message.set_stage(Stage::Written);
        entry
    }

    fn drain(ready: &mut Ready) -> Vec<u64> {
        std::iter::from_fn(|| ready.pop()).map(|entry| entry.position).collect()
    }

    fn paged_front(ready: &Ready) -> Option<Paged> {
        match ready.front() {
            Some(Front::Paged(paged)) => Some(paged),
            _ => None,
        }
    }

    fn page(positions: impl IntoIterator<Item = u64>, rest_from: Option<u64>) -> Page {
        let loaded = |position| Loaded {
            position,
            attempts: Attempts::default(),
            due: 0,
            redelivered: false,
            message: message(),
        };
        Page { messages: positions.into_iter().map(loaded).collect(), rest_from }
    }

    #[test]
    fn requeued_messages_return_to_their_original_position() {
        let mut ready = Ready::default();
        for position in [0, 1, 4, 5] {
            ready.push(entry(position));
        }
        for position in [3, 2, 6] {
            ready.requeue(entry(position));
        }
        assert!(matches!(ready.front(), Some(Front::Entry(entry)) if entry.position == 0));
        assert_eq!(drain(&mut ready), [0, 1, 2, 3, 4, 5, 6]);
        assert!(ready.is_empty());
        assert_eq!(ready.bytes(), 0);
    }

    #[test]
    fn order_holds_over_many_blocks_and_the_memory_is_given_back() {
        let mut ready = Ready::default();
        for position in 0..5_000 {
            ready.push(entry(position));
        }
        assert_eq!(ready.len(), 5_000);
        assert!(drain(&mut ready).into_iter().eq(0..5_000));
        assert_eq!((ready.len(), ready.blocks.capacity(), ready.bytes()), (0, 0, 0));
    }

    #[test]
    fn a_long_queue_keeps_its_head_and_its_tail_in_memory() {
        let mut ready = Ready::default();
        for position in 0..10 * BLOCK_ENTRIES_MAX as u64 {
            if ready.push(on_disk(position)) {
                ready.page_out(0);
            }
        }
        let bytes = 10 * BLOCK_ENTRIES_MAX * message().size_bytes();
        assert_eq!(ready.bytes(), bytes);
        assert_eq!(ready.resident_bytes(), bytes / 10 * (HEAD_BLOCKS + 1));
        assert_eq!(ready.len(), 10 * BLOCK_ENTRIES_MAX);
        let head = HEAD_BLOCKS as u64 * BLOCK_ENTRIES_MAX as u64;
        assert!(drain(&mut ready).into_iter().eq(0..head));
        let asked = paged_front(&ready).unwrap();
        assert_eq!((asked.first, asked.last), (head, head + BLOCK_ENTRIES_MAX as u64 - 1));
    }

    #[test]
    fn what_is_not_on_disk_yet_stays_in_memory() {
        let mut ready = Ready::default();
        for position in 0..10 * BLOCK_ENTRIES_MAX as u64 {
            ready.push(Entry { journaled: true, ..entry(position) });
        }
        ready.page_out(0);
        assert_eq!(ready.resident_bytes(), ready.bytes());
    }

    #[test]
    fn a_page_takes_the_place_of_the_front_and_the_rest_stays_on_disk() {
        let range = RestoredRange { first: 10, last: 20, count: 6, bytes: 600 };
        let mut ready = Ready::restored(&[range]);
        let asked = paged_front(&ready).unwrap();
        assert!(ready.pop().is_none(), "it has to be read first");
        ready.loaded(asked, page([10, 12], Some(14)));
        ready.loaded(asked, page([10, 12], Some(14)));
        assert_eq!(ready.len(), 6);
        assert_eq!(drain(&mut ready), [10, 12]);
        let rest = paged_front(&ready).unwrap();
        assert_eq!((rest.first, rest.last), (14, 20));
        ready.loaded(rest, page([15], None));
        assert_eq!(ready.len(), 1, "what cannot be read is not waited for");
        assert_eq!(drain(&mut ready), [15]);
        assert_eq!(ready.bytes(), 0);
    }

    #[test]
    fn a_requeued_message_goes_before_a_paged_front() {
        let mut ready = Ready::restored(&[RestoredRange { first: 10, last: 20, count: 6, bytes: 600 }]);
        ready.requeue(entry(3));
        assert_eq!(drain(&mut ready), [3]);
        assert!(paged_front(&ready).is_some());
    }

    #[test]
    fn under_pressure_everything_but_the_first_block_and_the_last_goes_to_disk() {
        let mut ready = Ready::default();
        for position in 0..4 * BLOCK_ENTRIES_MAX as u64 {
            ready.push(entry(position));
        }
        let mut changes = Changes::new();
        assert!(!ready.page_out_all(QUEUE, &mut changes));
        assert_eq!(changes.len(), 2 * BLOCK_ENTRIES_MAX);
        assert_eq!(ready.resident_bytes(), ready.bytes(), "it is not there yet");
        for change in changes.drain(..) {
            let Change::Publish { message, transient: true, .. } = change else { panic!("{change:?}") };
            message.set_stage(Stage::Written);
        }
        ready.page_out_all(QUEUE, &mut changes);
        assert!(changes.is_empty());
        assert_eq!(ready.resident_bytes(), ready.bytes() / 2);
    }

    #[test]
    fn a_purge_settles_what_the_journal_knows() {
        let mut ready = Ready::restored(&[RestoredRange { first: 10, last: 20, count: 6, bytes: 600 }]);
        ready.push(on_disk(30));
        ready.push(entry(31));
        let mut changes = Changes::new();
        ready.settle_all(QUEUE, &mut changes);
        assert!(matches!(
            changes[..],
            [
                Change::SettleRange { queue: QUEUE, first: 10, last: 20 },
                Change::Settle { placement: Placement { queue: QUEUE, position: 30 }, .. }
            ]
        ));
    }
}
