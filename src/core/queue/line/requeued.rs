//! Messages of a line that came back to where they were (RabbitMQ: "requeued to its original position when possible").
//!
//! They are out of order, and may be millions: a client without prefetch may hold a whole queue and go. So they stand in chunks
//! of neighbouring positions. Of those that are on disk only positions stay in memory when it is short: what was not here is on disk
//! between them as well, with other clients, so each is named, with what the journal may not have heard of it yet.

use std::collections::{BTreeMap, VecDeque};

use super::{Entry, Front, Paged, Size, Stand, spill};
use crate::core::{
    change::{Attempts, Change, Changes},
    message::{Message, Stage},
    pager::Loaded,
    placement::QueueId,
    seldom::Empty,
};
use crate::limits::{BLOCK_ENTRIES_MAX, PAGED_OUT_AT_ONCE_MAX, SPILL_BYTES_MAX};

/// Positions of one chunk.
const CHUNK_POSITIONS: u64 = 64;
/// What a chunk takes itself, with its part of the map's nodes.
const CHUNK_BYTES: usize = 128;

/// The messages of a line that came back to it.
#[derive(Default)]
pub(super) struct Requeued {
    /// By their positions, divided by those of a chunk. None is empty.
    chunks: BTreeMap<u64, Chunk>,
    count: usize,
    resident: Size,
    stored: Size,
    capacity_bytes: usize,
}

impl Empty for Requeued {
    const EMPTY: &'static Self = &Self {
        chunks: BTreeMap::new(),
        count: 0,
        resident: Size { bytes: 0, bodies: 0 },
        stored: Size { bytes: 0, bodies: 0 },
        capacity_bytes: 0,
    };
}

#[derive(Default)]
struct Chunk {
    /// In memory, in order.
    entries: VecDeque<Entry>,
    /// On disk alone, in order.
    stored: Vec<OnDisk>,
    stored_size: Size,
}

/// A message that is on disk alone, by its offset in the chunk.
#[derive(Clone, Copy)]
struct OnDisk {
    offset: u8,
    redelivered: bool,
    attempts: Attempts,
}

impl Chunk {
    fn capacity_bytes(&self) -> usize {
        CHUNK_BYTES
            + self.entries.capacity() * size_of::<Entry>()
            + self.stored.capacity() * size_of::<OnDisk>()
    }

    /// What is left of the size when nothing is on disk alone any more: the sizes of lost messages are not known.
    fn rest_of_size(&mut self) -> Size {
        if self.stored.is_empty() { std::mem::take(&mut self.stored_size) } else { Size::default() }
    }

    /// Gives memory back that nothing stands in.
    fn give_back(&mut self) {
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
        if self.stored.is_empty() {
            self.stored = Vec::new();
        }
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.stored.is_empty()
    }

    /// Where in `stored` a position is, or would be.
    fn stored_at(&self, position: u64) -> Result<usize, usize> {
        self.stored.binary_search_by_key(&offset(position), |one| one.offset)
    }

    fn entry_at(&self, position: u64) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&position, |entry| entry.position)
    }

    /// What stands at a position or next after it: an entry, or a row of positions that are on disk.
    fn at_or_after(&self, key: u64, from: u64) -> Option<Stand<'_>> {
        let from = from.max(key * CHUNK_POSITIONS);
        let entry = self.entries.get(self.entry_at(from).unwrap_or_else(|at| at));
        let stored = &self.stored[self.stored_at(from).unwrap_or_else(|at| at)..];
        let position = |one: &OnDisk| key * CHUNK_POSITIONS + u64::from(one.offset);
        let before = entry.map_or(u64::MAX, |entry| entry.position);
        let row = stored.iter().map(position).take_while(|position| *position < before);
        let (first, last) = (row.clone().next(), row.last());
        match (first, last) {
            (Some(first), Some(last)) => Some(Stand::OnDisk(first, last)),
            _ => entry.map(Stand::Entry),
        }
    }

    /// Lets go of what is on disk.
    fn page_out(&mut self, dropped: &mut Vec<Message>) -> Size {
        let mut size = Size::default();
        let on_disk = |entry: &Entry| entry.journaled && entry.message.stage() == Stage::Written;
        if !self.entries.iter().any(on_disk) {
            return size;
        }
        for entry in std::mem::take(&mut self.entries) {
            if !on_disk(&entry) {
                self.entries.push_back(entry);
                continue;
            }
            size += entry.size();
            let Entry { message, attempts, redelivered, position, .. } = entry;
            let at = self.stored_at(position).unwrap_or_else(|at| at);
            self.stored.insert(at, OnDisk { offset: offset(position), redelivered, attempts });
            dropped.push(message);
        }
        self.stored_size += size;
        size
    }
}

impl Requeued {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of those in memory, and of those on disk.
    pub(super) fn sizes(&self) -> (Size, Size) {
        (self.resident, self.stored)
    }

    pub(super) fn capacity_bytes(&self) -> usize {
        self.capacity_bytes
    }

    #[cfg(test)]
    pub(super) fn walked_capacity_bytes(&self) -> usize {
        self.chunks.values().map(Chunk::capacity_bytes).sum()
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.values().flat_map(|chunk| &chunk.entries)
    }

    /// Does something with the chunk of a key, and keeps the books.
    fn with<T>(&mut self, key: u64, operation: impl FnOnce(&mut Chunk) -> T) -> T {
        let chunk = self.chunks.entry(key).or_default();
        let before = if chunk.is_empty() { 0 } else { chunk.capacity_bytes() };
        let result = operation(chunk);
        chunk.give_back();
        let is_empty = chunk.is_empty();
        let after = if is_empty { 0 } else { chunk.capacity_bytes() };
        if is_empty {
            self.chunks.remove(&key);
        }
        self.capacity_bytes = self.capacity_bytes - before + after;
        result
    }

    /// Puts a message back.
    pub(super) fn insert(&mut self, entry: Entry) {
        self.count += 1;
        self.resident += entry.size();
        self.with(entry.position / CHUNK_POSITIONS, |chunk| {
            let at = chunk.entry_at(entry.position).unwrap_or_else(|at| at);
            chunk.entries.insert(at, entry);
        });
    }

    /// The position of the first one.
    pub(super) fn first_position(&self) -> Option<u64> {
        let (key, chunk) = self.chunks.first_key_value()?;
        let entry = chunk.entries.front().map(|entry| entry.position);
        let stored = chunk.stored.first().map(|one| key * CHUNK_POSITIONS + u64::from(one.offset));
        entry.into_iter().chain(stored).min()
    }

    /// The first one, if it is before `limit`; of those that are on disk as many in a row as are read at once.
    pub(super) fn front(&self, limit: u64) -> Option<Front<'_>> {
        let (key, chunk) = self.chunks.first_key_value()?;
        match chunk.at_or_after(*key, 0)? {
            Stand::Entry(entry) => (entry.position < limit).then_some(Front::Entry(entry)),
            Stand::OnDisk(first, last) => (first < limit).then(|| Front::Paged(self.paged(first, last))),
        }
    }

    fn paged(&self, first: u64, mut last: u64) -> Paged {
        let mut count = 0;
        for (key, chunk) in &self.chunks {
            if count > 0 && (!chunk.entries.is_empty() || count + chunk.stored.len() > BLOCK_ENTRIES_MAX) {
                break;
            }
            count += chunk.stored.len();
            if chunk.entries.is_empty()
                && let Some(one) = chunk.stored.last()
            {
                last = key * CHUNK_POSITIONS + u64::from(one.offset);
            } else {
                break;
            }
        }
        Paged { first, last, count, size: Size::default(), is_requeued: true }
    }

    /// Takes the first one, if it is in memory.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let (&key, chunk) = self.chunks.first_key_value()?;
        let Some(Stand::Entry(_)) = chunk.at_or_after(key, 0) else { return None };
        let entry = self.with(key, |chunk| chunk.entries.pop_front())?;
        self.count -= 1;
        self.resident -= entry.size();
        Some(entry)
    }

    /// What stands at a position or next after it.
    pub(super) fn at_or_after(&self, from: u64) -> Option<Stand<'_>> {
        let mut chunks = self.chunks.range(from / CHUNK_POSITIONS..);
        chunks.find_map(|(key, chunk)| chunk.at_or_after(*key, from))
    }

    pub(super) fn holds(&self, position: u64) -> bool {
        let chunk = self.chunks.get(&(position / CHUNK_POSITIONS));
        chunk.is_some_and(|chunk| chunk.entry_at(position).is_ok() || chunk.stored_at(position).is_ok())
    }

    /// What is known here of one that was read from disk, and what the journal may not have heard of.
    pub(super) fn recall(&self, entry: &mut Entry) {
        let chunk = self.chunks.get(&(entry.position / CHUNK_POSITIONS));
        if let Some(chunk) = chunk
            && let Ok(at) = chunk.stored_at(entry.position)
        {
            let OnDisk { attempts, redelivered, .. } = chunk.stored[at];
            (entry.attempts, entry.redelivered) = (attempts, redelivered);
        }
    }

    /// Takes one out that was seen here. What is on disk alone is given back as it was seen.
    pub(super) fn take_out(&mut self, seen: &Entry) -> Option<Entry> {
        let position = seen.position;
        let (chunk, size) = (self.chunks.get(&(position / CHUNK_POSITIONS))?, seen.size());
        let (is_resident, is_stored) = (chunk.entry_at(position).ok(), chunk.stored_at(position).ok());
        let mut rest = Size::default();
        let taken = self.with(position / CHUNK_POSITIONS, |chunk| match (is_resident, is_stored) {
            (Some(at), _) => chunk.entries.remove(at),
            (None, Some(at)) => {
                let OnDisk { attempts, redelivered, .. } = chunk.stored.remove(at);
                chunk.stored_size -= size;
                rest = chunk.rest_of_size();
                Some(Entry { attempts, redelivered, ..seen.clone() })
            }
            (None, None) => None,
        })?;
        self.stored -= rest;
        self.count -= 1;
        if is_resident.is_some() {
            self.resident -= taken.size();
        } else {
            self.stored -= size;
        }
        Some(taken)
    }

    /// Messages up to `last` were read: those that are missed here are put in their places. Those that should have been among them, and
    /// were not, are gone: the journal has set them aside and says so.
    pub(super) fn loaded(&mut self, messages: Vec<Loaded>, first: u64, last: u64) {
        for loaded in messages {
            let key = loaded.position / CHUNK_POSITIONS;
            if self.chunks.get(&key).is_none_or(|chunk| chunk.stored_at(loaded.position).is_err()) {
                continue;
            }
            let entry = Entry::from(loaded);
            let size = entry.size();
            self.resident += size;
            self.stored -= size;
            let rest = self.with(key, |chunk| {
                let Ok(at) = chunk.stored_at(entry.position) else { return Size::default() };
                let OnDisk { attempts, redelivered, .. } = chunk.stored.remove(at);
                chunk.stored_size -= size;
                let at = chunk.entry_at(entry.position).unwrap_or_else(|at| at);
                chunk.entries.insert(at, Entry { attempts, redelivered, ..entry });
                chunk.rest_of_size()
            });
            self.stored -= rest;
        }
        self.forget(first, last);
    }

    /// Forgets what is on disk alone between two positions.
    fn forget(&mut self, first: u64, last: u64) {
        let keys: Vec<u64> = self
            .chunks
            .range(first / CHUNK_POSITIONS..=last / CHUNK_POSITIONS)
            .filter(|(_, chunk)| !chunk.stored.is_empty())
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            let (gone, size) = self.with(key, |chunk| {
                let before = chunk.stored.len();
                let base = key * CHUNK_POSITIONS;
                chunk.stored.retain(|one| !(first..=last).contains(&(base + u64::from(one.offset))));
                (before - chunk.stored.len(), chunk.rest_of_size())
            });
            self.count -= gone;
            self.stored -= size;
        }
    }

    /// Lets go of what is on disk in all chunks but the first `kept`; what is not there yet is given to the journal, a part of it. True when
    /// there is more to be done.
    pub(super) fn page_out(
        &mut self,
        kept: usize,
        queue: QueueId,
        changes: &mut Changes,
        dropped: &mut Vec<Message>,
    ) -> bool {
        let (before, mut spilled) = (dropped.len(), 0);
        for chunk in self.chunks.values_mut().skip(kept).filter(|chunk| !chunk.entries.is_empty()) {
            let capacity = chunk.capacity_bytes();
            let size = chunk.page_out(dropped);
            self.resident -= size;
            self.stored += size;
            spilled += spill(&mut chunk.entries, queue, changes);
            chunk.give_back();
            self.capacity_bytes = self.capacity_bytes - capacity + chunk.capacity_bytes();
            if spilled >= SPILL_BYTES_MAX || dropped.len() - before >= PAGED_OUT_AT_ONCE_MAX {
                return true;
            }
        }
        false
    }

    /// Tells the journal that the first one has left `queue` for good, or a row of them that are on disk alone. False if there is none.
    pub(super) fn settle_first(&mut self, queue: QueueId, changes: &mut Changes) -> bool {
        let Some((&key, chunk)) = self.chunks.first_key_value() else { return false };
        if chunk.entries.is_empty() {
            let position = |one: &OnDisk| key * CHUNK_POSITIONS + u64::from(one.offset);
            let in_a_row = |one: &OnDisk, next: &OnDisk| one.offset + 1 == next.offset;
            changes.extend(chunk.stored.chunk_by(in_a_row).map(|row| Change::SettleRange {
                queue,
                first: position(&row[0]),
                last: position(&row[row.len() - 1]),
            }));
            self.forget(key * CHUNK_POSITIONS, key * CHUNK_POSITIONS + (CHUNK_POSITIONS - 1));
        } else if let Some(entry) = self.with(key, |chunk| chunk.entries.pop_front()) {
            self.count -= 1;
            self.resident -= entry.size();
            entry.settle(queue, changes);
        }
        true
    }
}

fn offset(position: u64) -> u8 {
    (position % CHUNK_POSITIONS) as u8
}
