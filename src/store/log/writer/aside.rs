//! A group that takes much is written aside: into a segment of its own, a slice at a time, while the log goes on in the segment behind it.
//! Whoever waits for something else waits for no more than a slice.
//!
//! The header of the first record is written last, when everything else is durable. Until then zeros stand in its place, and a restart
//! takes the segment for an empty one: the group is there whole or not at all.
//!
//! In the log the group stands where it was begun, before all that is said of its messages meanwhile. So the index has its placements
//! from the beginning, which is ahead of what is durable: until the group is whole no checkpoint is made. What the group settles is
//! settled when it is whole. If the disk runs out of room, its placements are taken back, and it waits with what is held back.

use std::{collections::HashSet, io, ops::RangeInclusive, sync::Arc, time::Instant};

use parking_lot::MutexGuard;

use super::{Held, Writer, let_go};
use crate::core::{
    change::{Change, Changes},
    commit::{Commit, Done},
    message::Stage,
    placement::{Placement, Placements, QueueId},
};
use crate::limits::{LOG_ASIDE_BYTES, LOG_RECORDS_TOLD_AT_ONCE_MAX, LOG_SLICE_BYTES};
use crate::store::{
    catalog::{Catalog, State},
    files::is_full,
    format::{
        Flags, Publish,
        record::{RECORD_ALIGNMENT_BYTES, RECORD_HEADER_BYTES},
    },
    log::{
        cost::brings,
        encode::{AppendPoint, Unwritten, encode_record, flagged, take_back},
        pending::{Batch, Load},
    },
    position::SegmentId,
    recorded::{Encoded, Recorded},
    segment::{FIRST_RECORD_OFFSET, Segment},
};

/// What takes more than so many bytes is written aside, where segments are this long.
pub(in crate::store) fn aside_bytes(segment_bytes: u32) -> usize {
    LOG_ASIDE_BYTES.min(segment_bytes as usize / 2)
}

fn slice_bytes(segment_bytes: u32) -> usize {
    LOG_SLICE_BYTES.min(segment_bytes as usize / 16)
}

/// A group on its way to the disk.
pub(super) struct Aside {
    segment: Arc<Segment>,
    /// Where its records go, and what they say.
    records: Vec<(Encoded, Flags)>,
    /// How many of them were encoded.
    encoded: usize,
    /// Records, the first of which goes to `offset`.
    buffer: Vec<u8>,
    /// How many bytes of the buffer are on disk.
    written: usize,
    offset: u32,
    slice_bytes: usize,
    first_header: [u8; RECORD_HEADER_BYTES],
    end: u32,
    /// Who waits for it.
    commits: Vec<Commit>,
    load: Load,
}

/// What was made durable in one go.
struct Slice {
    bytes: usize,
    is_last: bool,
}

impl Aside {
    fn new(segment: Arc<Segment>, records: Vec<Recorded>, slice_bytes: usize) -> Self {
        let mut end = FIRST_RECORD_OFFSET;
        let records =
            flagged(records).map(|(recorded, flags)| (planned(recorded, &mut end), flags)).collect();
        Self {
            segment,
            records,
            encoded: 0,
            buffer: Vec::new(),
            written: 0,
            offset: FIRST_RECORD_OFFSET,
            slice_bytes,
            first_header: [0; RECORD_HEADER_BYTES],
            end,
            commits: Vec::new(),
            load: Load::default(),
        }
    }

    /// Makes the next slice durable. The last one is the header that makes the group count.
    fn write_slice(&mut self) -> io::Result<Slice> {
        if self.written == self.buffer.len() {
            self.fill()?;
        }
        if self.buffer.is_empty() {
            self.segment.write(&self.first_header, FIRST_RECORD_OFFSET)?;
            self.segment.sync()?;
            return Ok(Slice { bytes: self.first_header.len(), is_last: true });
        }
        let slice = &self.buffer[self.written..];
        let slice = &slice[..slice.len().min(self.slice_bytes)];
        self.segment.write(slice, self.offset + self.written as u32)?;
        self.segment.sync()?;
        let bytes = slice.len();
        self.written += bytes;
        Ok(Slice { bytes, is_last: false })
    }

    /// Encodes the records of the next slice.
    fn fill(&mut self) -> io::Result<()> {
        self.offset += self.buffer.len() as u32;
        self.buffer.clear();
        self.written = 0;
        let point = AppendPoint { salt: self.segment.salt(), offset: self.offset };
        while self.buffer.len() < self.slice_bytes
            && let Some((Encoded { offset, recorded }, flags)) = self.records.get(self.encoded)
        {
            if let Some((at, _)) = encode_record(&mut self.buffer, recorded, *flags, point)
                && at != *offset
            {
                return Err(io::Error::other("a record is of another length than was said"));
            }
            self.encoded += 1;
        }
        if self.offset == FIRST_RECORD_OFFSET
            && let Some(header) = self.buffer.first_chunk_mut()
        {
            self.first_header = std::mem::take(header);
        }
        Ok(())
    }
}

impl Writer {
    /// Whether a group is written aside that is not whole.
    pub(in crate::store) fn has_asides(&self) -> bool {
        !self.asides.is_empty()
    }

    /// Whether a group that takes `bytes` is to be written aside. A range that it settles, or a change of what is declared, would have to be in its place
    /// among what comes meanwhile.
    pub(super) fn goes_aside(&self, group: &[Change], bytes: usize) -> bool {
        let is_simple = |change: &Change| {
            matches!(change, Change::Publish { .. } | Change::Settle { .. } | Change::Return { .. })
        };
        bytes > aside_bytes(self.spares.segment_bytes()) && group.iter().all(is_simple)
    }

    /// Begins to write a group aside, which takes no more than `bytes`. Gives it back when the disk is full.
    pub(super) fn begin_aside(
        &mut self,
        group: Vec<Change>,
        bytes: usize,
    ) -> io::Result<Result<(), Vec<Change>>> {
        let Some(segment) = self.part_ways(bytes)? else { return Ok(Err(group)) };
        let records = self.encoder.records_of(group);
        let mut aside = Aside::new(segment, records, slice_bytes(self.spares.segment_bytes()));
        (aside.commits, aside.load) = if self.replays {
            (self.retried.clone(), Load::default())
        } else {
            (vec![self.last], std::mem::take(&mut self.load))
        };
        tell(&self.catalog, aside.segment.id(), &aside.records, |recorded| !is_settled_last(recorded));
        self.asides.push_back(aside);
        Ok(Ok(()))
    }

    /// A segment for a group of its own, and the next one for the log. `None` when the disk is full.
    fn part_ways(&mut self, bytes: usize) -> io::Result<Option<Arc<Segment>>> {
        if self.setback.is_torn || !self.spares.has_one()? || !self.flush()? {
            return Ok(None);
        }
        self.publish_effects();
        let Some(own) = self.spares.take()?.map(Arc::new) else { return Ok(None) };
        let next = match own.reserve(u64::from(FIRST_RECORD_OFFSET) + bytes as u64) {
            Ok(()) => self.spares.take()?,
            Err(error) if is_full(&error) => None,
            Err(error) => return Err(error),
        };
        let Some(next) = next else {
            self.go_on_in(own);
            return Ok(None);
        };
        let mut catalog = self.catalog.lock();
        catalog.open(own.clone());
        catalog.unfinished += 1;
        drop(catalog);
        self.go_on_in(Arc::new(next));
        Ok(Some(own))
    }

    /// Writes one slice of what is written aside, if there is anything; when it is whole, tells everybody.
    pub(in crate::store) fn write_aside(&mut self) -> io::Result<()> {
        let Some(aside) = self.asides.front_mut() else { return Ok(()) };
        let began = Instant::now();
        match aside.write_slice() {
            Ok(Slice { bytes, is_last }) => {
                self.metrics.written(bytes);
                self.metrics.synced(began.elapsed());
                if is_last && let Some(whole) = self.asides.pop_front() {
                    self.finish_aside(whole);
                }
                Ok(())
            }
            Err(error) if is_full(&error) => {
                if !self.spares.disk_is_full() {
                    tracing::warn!(%error, "the disk has no room for what is written: it is held back");
                }
                if let Some(aside) = self.asides.pop_front() {
                    self.give_up_aside(aside)?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn finish_aside(&mut self, aside: Aside) {
        let Aside { segment, records, end, load, .. } = aside;
        tell(&self.catalog, segment.id(), &records, is_settled_last);
        self.close_aside(&segment, end);
        self.metrics.committed(records.len());
        let_go(&self.metrics, records.iter().map(|(one, _)| one));
        if self.held.is_none() && self.asides.is_empty() {
            self.spares.set_ran_out(false);
        }
        self.tell_commits(load);
    }

    /// What of it is still needed waits for room, and is no longer in the log.
    fn give_up_aside(&mut self, aside: Aside) -> io::Result<()> {
        let Aside { segment, records, commits, load, .. } = aside;
        match segment.cut(FIRST_RECORD_OFFSET) {
            Err(error) if !is_full(&error) => return Err(error),
            _ => {}
        }
        let settled = self.settled_meanwhile();
        let mut changes = Changes::new();
        let mut catalog = self.catalog.lock();
        for (Encoded { recorded, .. }, _) in records {
            let recorded = match recorded {
                Recorded::Place { message, placements, payload_bytes, transient } => {
                    let mut placements = taken_back(&mut catalog, segment.id(), placements);
                    placements.retain(|placement| !settled.contain(*placement));
                    if placements.is_empty() {
                        message.set_stage(Stage::Skipped);
                        continue;
                    }
                    Recorded::Place { message, placements, payload_bytes, transient }
                }
                other => other,
            };
            take_back(recorded, &Unwritten::new(), &mut changes);
        }
        drop(catalog);
        self.close_aside(&segment, FIRST_RECORD_OFFSET);
        self.spares.set_ran_out(true);
        let groups = if changes.is_empty() { Vec::new() } else { vec![(0, changes.len())] };
        let given_up = Batch { changes, groups, ..Batch::default() };
        let held = self.held();
        // What settles its messages in a group of its own comes behind it.
        held.batch = given_up.and(std::mem::take(&mut held.batch));
        held.commits.extend(commits);
        self.tell_commits(load);
        Ok(())
    }

    /// Settlements that are held back and may be written before anything that brings bytes is.
    fn settled_meanwhile(&self) -> Settled {
        let mut settled = Settled { one: self.encoder.noted_settlements().collect(), ranges: Vec::new() };
        let Some(Held { batch, .. }) = &self.held else { return settled };
        let is_later = |at: usize| {
            let its = batch.groups.iter().find(|(begin, end)| (*begin..*end).contains(&at));
            its.is_some_and(|&(begin, end)| batch.changes[begin..end].iter().any(brings))
        };
        for (at, change) in batch.changes.iter().enumerate() {
            match *change {
                Change::Settle { placement, .. } if !is_later(at) => _ = settled.one.insert(placement),
                Change::SettleRange { queue, first, last } if !is_later(at) => {
                    settled.ranges.push((queue, first..=last));
                }
                _ => {}
            }
        }
        settled
    }

    fn close_aside(&self, segment: &Segment, end: u32) {
        let mut catalog = self.catalog.lock();
        catalog.close(segment.id(), end);
        catalog.unfinished -= 1;
    }

    /// Everybody that waits for what is complete now; so much less waits.
    pub(super) fn tell_commits(&self, load: Load) {
        let held = self.held.iter().flat_map(|held| &held.commits);
        let aside = self.asides.iter().flat_map(|aside| &aside.commits);
        let incomplete: Vec<Commit> = held.chain(aside).copied().collect();
        self.pending.complete(&Done::except(self.last, &incomplete), load);
    }

    /// Whoever settles in a group what is written aside is not told before that is whole: nobody acts on what may not have happened.
    /// To be asked before it is decided what of a batch is written, whose first `known` changes were held back before.
    pub(super) fn wait_for_asides(&mut self, batch: &Batch, known: usize) {
        let Some(last) = self.asides.back_mut() else { return };
        let is_aside = |change: &Change| matches!(change, Change::Settle { message: Some(message), .. } if message.stage() == Stage::Writing);
        let new = batch.groups.iter().filter(|(begin, _)| *begin >= known);
        if new.flat_map(|&(begin, end)| &batch.changes[begin..end]).any(is_aside) {
            last.commits.push(self.last);
        }
    }
}

/// Placements that are settled.
struct Settled {
    one: HashSet<Placement>,
    ranges: Vec<(QueueId, RangeInclusive<u64>)>,
}

impl Settled {
    fn contain(&self, placement: Placement) -> bool {
        let in_range = |(queue, range): &(QueueId, RangeInclusive<u64>)| {
            *queue == placement.queue && range.contains(&placement.position)
        };
        self.one.contains(&placement) || self.ranges.iter().any(in_range)
    }
}

/// A record that goes to `end`, which comes to lie behind it.
fn planned(mut recorded: Recorded, end: &mut u32) -> Encoded {
    if !recorded.is_written() {
        return Encoded { offset: 0, recorded };
    }
    let payload = match &mut recorded {
        Recorded::Place { message, placements, payload_bytes, .. } => {
            let bytes = Publish::encoded_bytes(message.view(), placements.len());
            *payload_bytes = bytes as u32;
            bytes
        }
        other => {
            let mut scratch = Vec::new();
            let point = AppendPoint { salt: 0, offset: 0 };
            encode_record(&mut scratch, other, Flags::NONE, point).map_or(0, |(_, bytes)| bytes as usize)
        }
    };
    let offset = *end;
    *end += (RECORD_HEADER_BYTES + payload).next_multiple_of(RECORD_ALIGNMENT_BYTES) as u32;
    Encoded { offset, recorded }
}

/// What it says holds when the group is whole, and not before.
fn is_settled_last(recorded: &Recorded) -> bool {
    matches!(recorded, Recorded::Settle { .. })
}

fn tell(
    catalog: &Catalog,
    segment: SegmentId,
    records: &[(Encoded, Flags)],
    which: impl Fn(&Recorded) -> bool,
) {
    let mut catalog = catalog.lock();
    for (count, (one, _)) in records.iter().enumerate() {
        if count % LOG_RECORDS_TOLD_AT_ONCE_MAX == LOG_RECORDS_TOLD_AT_ONCE_MAX - 1 {
            MutexGuard::bump(&mut catalog);
        }
        if which(&one.recorded) {
            catalog.apply(segment, one);
        }
    }
}

/// The placements of a message that are still needed, which the index forgets.
fn taken_back(catalog: &mut State, segment: SegmentId, placements: Placements) -> Placements {
    let is_live = |placement: &_| catalog.index.is_live_in(*placement, segment);
    let left: Placements = placements.iter().copied().filter(is_live).collect();
    for placement in &left {
        catalog.index.settle(*placement);
    }
    left
}
