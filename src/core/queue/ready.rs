//! The messages of a queue that wait for a consumer: a line for each priority, the highest first.
//!
//! A message's position tells its line, and positions are in the order of delivery: the lines are one sequence, and
//! choosing costs the same for one line as for 256. A line is made when the first message comes for it.

use std::ops::Range;

use smallvec::SmallVec;

use super::line::{Front, Line, Paged, Stand};
use crate::core::{
    change::Changes,
    clock::Millis,
    entry::{Entry, Total},
    message::Message,
    pager::{Page, RestoredRange},
    placement::{QueueId, line_of},
};

/// The ready messages of a queue, a line for each priority.
pub struct Ready {
    /// Messages in all lines.
    count: usize,
    lines: SmallVec<[Line; 1]>,
    /// The number of each line, ascending.
    numbers: SmallVec<[u8; 8]>,
    /// The highest number that a line may have.
    number_max: u8,
    /// Of several lines; most queues have one.
    several: Option<Box<Several>>,
}

/// The books of several lines.
#[derive(Default)]
struct Several {
    /// Which of them have messages, a bit for each.
    occupied: [u64; 4],
    total: Total,
}

impl Ready {
    /// Nothing, in so many lines (1 to 256).
    pub fn new(lines: usize) -> Self {
        Self {
            count: 0,
            lines: SmallVec::new(),
            numbers: SmallVec::new(),
            number_max: (lines - 1) as u8,
            several: None,
        }
    }

    /// Messages that were there when the broker started.
    pub fn restored(lines: usize, ranges: &[RestoredRange]) -> Self {
        let mut ready = Self::new(lines);
        for its in ranges.chunk_by(|one, other| line_of(one.first) == line_of(other.first)) {
            let at = ready.line(its[0].first);
            ready.with(at, |line| line.restore(its));
        }
        ready
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.total().count
    }

    /// Whether none waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of those in memory.
    #[inline]
    pub fn resident_bytes(&self) -> usize {
        self.total().resident.bytes
    }

    /// Bytes that the room for entries takes, beside the messages.
    #[inline]
    pub fn capacity_bytes(&self) -> usize {
        self.total().capacity_bytes + self.lines_bytes()
    }

    /// Bytes that the lines take themselves, but for the one that most queues have.
    #[inline]
    fn lines_bytes(&self) -> usize {
        if self.lines.spilled() { self.lines.capacity() * size_of::<Line>() } else { 0 }
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        let Total { resident, paged, .. } = self.total();
        resident.bytes + paged.bytes
    }

    /// Bytes of the bodies of all of them.
    pub fn body_bytes(&self) -> usize {
        let Total { resident, paged, .. } = self.total();
        resident.bodies + paged.bodies
    }

    /// Appends a message to its line: it has a higher position than all before it there. True when that began a new block.
    #[inline]
    pub fn push(&mut self, entry: Entry) -> bool {
        let at = self.line(entry.position);
        self.with(at, |line| line.push(entry))
    }

    /// Puts a message back to where it was.
    pub fn requeue(&mut self, entry: Entry) {
        let at = self.line(entry.position);
        self.with(at, |line| line.requeue(entry));
    }

    /// The oldest message of the highest priority.
    pub fn front(&self) -> Option<Front<'_>> {
        self.lines[self.first()?].front()
    }

    /// Takes it, if it is in memory.
    #[inline]
    pub fn pop(&mut self) -> Option<Entry> {
        let at = self.first()?;
        self.with(at, Line::pop)
    }

    /// See [`Line::at_or_after`].
    pub fn at_or_after(&self, from: u64) -> Option<Stand<'_>> {
        let first = self.numbers.partition_point(|number| *number < self.number(from));
        self.lines[first..].iter().find_map(|line| line.at_or_after(from))
    }

    /// See [`Line::holds`].
    pub fn holds(&self, position: u64) -> bool {
        self.find(position).is_some_and(|at| self.lines[at].holds(position))
    }

    /// See [`Line::recall`].
    pub fn recall(&self, entry: &mut Entry) {
        if let Some(at) = self.find(entry.position) {
            self.lines[at].recall(entry);
        }
    }

    /// See [`Line::take_out`].
    pub fn take_out(&mut self, seen: &Entry) -> Option<Entry> {
        let at = self.find(seen.position)?;
        self.with(at, |line| line.take_out(seen))
    }

    /// See [`Line::loaded`].
    pub fn loaded(
        &mut self,
        asked: Paged,
        page: Page,
        now: Millis,
        waits_until: impl Fn(&Entry, Millis) -> Millis,
    ) -> Vec<(Millis, Entry)> {
        let at = self.line(asked.first);
        self.with(at, |line| line.loaded(asked, page, now, waits_until))
    }

    /// See [`Line::page_out`].
    pub fn page_out(&mut self, bytes_max: usize) {
        for at in self.all() {
            self.with(at, |line| line.page_out(bytes_max));
        }
    }

    /// See [`Line::page_out_all`]. Of several lines only the one that comes next keeps its ends: there may be very many short ones.
    pub fn page_out_all(
        &mut self,
        everything: bool,
        queue: QueueId,
        changes: &mut Changes,
        dropped: &mut Vec<Message>,
    ) -> bool {
        let next = self.first();
        self.all().any(|at| {
            let whole = everything || next != Some(at);
            self.with(at, |line| line.page_out_all(whole, queue, changes, dropped))
        })
    }

    /// Those in memory.
    #[cfg(test)]
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().flat_map(Line::entries)
    }

    /// What [`Self::capacity_bytes`] says, found by looking at every part.
    #[cfg(test)]
    pub(super) fn walked_capacity_bytes(&self) -> usize {
        self.lines_bytes() + self.lines.iter().map(Line::walked_capacity_bytes).sum::<usize>()
    }

    /// Takes everything out.
    pub fn take_all(&mut self) -> Self {
        let empty = Self::new(usize::from(self.number_max) + 1);
        std::mem::replace(self, empty)
    }

    /// Of what [`Self::take_all`] gave: tells the journal that some of them have left `queue` for good, `max` at most. Whether
    /// there are more. Books are not kept any more.
    pub fn settle_some(&mut self, queue: QueueId, max: usize, changes: &mut Changes) -> bool {
        let mut left = max;
        self.lines.iter_mut().any(|line| line.settle_some(queue, &mut left, changes))
    }

    /// The number of a position's line: the last one, should the queue have had more of them once.
    #[inline]
    fn number(&self, position: u64) -> u8 {
        line_of(position).min(self.number_max)
    }

    /// The line of a position, if there is one.
    fn find(&self, position: u64) -> Option<usize> {
        self.numbers.binary_search(&self.number(position)).ok()
    }

    /// The line of a position.
    #[inline]
    fn line(&mut self, position: u64) -> usize {
        let number = self.number(position);
        match self.numbers.binary_search(&number) {
            Ok(at) => at,
            Err(at) => self.insert(at, number),
        }
    }

    #[cold]
    fn insert(&mut self, at: usize, number: u8) -> usize {
        let mut several = Several { total: self.total(), ..Several::default() };
        self.lines.insert(at, Line::default());
        self.numbers.insert(at, number);
        for (at, line) in self.lines.iter().enumerate() {
            several.occupied[at / 64] |= u64::from(line.total().count > 0) << (at % 64);
        }
        if self.lines.len() > 1 {
            **self.several.get_or_insert_default() = several;
        }
        at
    }

    fn all(&self) -> Range<usize> {
        0..self.lines.len()
    }

    /// The first line that has messages.
    #[inline]
    fn first(&self) -> Option<usize> {
        if self.lines.len() == 1 {
            return Some(0);
        }
        let Several { occupied, .. } = self.several.as_deref()?;
        let word = occupied.iter().position(|word| *word != 0)?;
        Some(word * 64 + occupied[word].trailing_zeros() as usize)
    }

    #[inline]
    fn total(&self) -> Total {
        match self.lines.as_slice() {
            [only] => only.total(),
            _ => self.several.as_ref().map_or_else(Total::default, |several| several.total),
        }
    }

    /// Does something with a line, and keeps the books.
    #[inline]
    fn with<T>(&mut self, at: usize, operation: impl FnOnce(&mut Line) -> T) -> T {
        if let [only] = self.lines.as_mut_slice() {
            let result = operation(only);
            self.count = only.total().count;
            return result;
        }
        let before = self.lines[at].total();
        let result = operation(&mut self.lines[at]);
        let after = self.lines[at].total();
        let Several { occupied, total } = &mut **self.several.get_or_insert_default();
        total.count = total.count - before.count + after.count;
        self.count = total.count;
        total.resident -= before.resident;
        total.resident += after.resident;
        total.paged -= before.paged;
        total.paged += after.paged;
        total.capacity_bytes = total.capacity_bytes - before.capacity_bytes + after.capacity_bytes;
        let bit = 1 << (at % 64);
        match after.count {
            0 => occupied[at / 64] &= !bit,
            _ => occupied[at / 64] |= bit,
        }
        result
    }
}
