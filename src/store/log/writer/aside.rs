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
    message::{Message, Stage},
    placement::{Placement, Placements, QueueId},
};
use crate::limits::{LOG_ASIDE_BYTES, LOG_RECORDS_TOLD_AT_ONCE_MAX, LOG_SLICE_BYTES};
use crate::store::{
    catalog::{Catalog, State},
    files::is_full,
    format::{
        Flags, Publish, Returned,
        record::{RECORD_ALIGNMENT_BYTES, RECORD_HEADER_BYTES},
    },
    log::{
        cost::brings,
        encode::{self, AppendPoint, Unwritten, encode_record, flagged},
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
        let is_simple = |change: &Change| match change {
            // Whoever makes room in memory waits until it is written.
            Change::Publish { transient, .. } => !transient,
            Change::Settle { .. } | Change::Return { .. } => true,
            Change::SettleRange { .. } | Change::Topology { .. } | Change::Access(_) => false,
        };
        bytes > aside_bytes(self.spares.segment_bytes())
            && group.iter().all(is_simple)
            && group.iter().any(brings)
            && !self.catalog.lock().checkpoint_waits
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
        if !self.spares.have_room_aside(bytes)? {
            self.spares.set_ran_out(true);
            return Ok(None);
        }
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
        catalog.unfinished.insert(own.id());
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
                // Later ones may settle what earlier ones bring.
                while let Some(aside) = self.asides.pop_back() {
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
        let mut catalog = self.catalog.lock();
        catalog.close(segment.id(), end);
        catalog.unfinished.remove(&segment.id());
        catalog.applied = self.end();
        drop(catalog);
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
        self.uncut.push(segment.clone());
        self.cut_given_up()?;
        let settled = self.settled_meanwhile();
        let mut changes = Changes::new();
        let mut catalog = self.catalog.lock();
        for (count, (one, _)) in records.into_iter().enumerate() {
            if count % LOG_RECORDS_TOLD_AT_ONCE_MAX == LOG_RECORDS_TOLD_AT_ONCE_MAX - 1 {
                MutexGuard::bump(&mut catalog);
            }
            take_back(&mut catalog, segment.id(), one.recorded, &settled, &mut changes);
        }
        catalog.abandon(segment.id());
        catalog.unfinished.remove(&segment.id());
        drop(catalog);
        self.encoder.return_later();
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

    /// Takes away what was given up, as far as the disk lets it.
    pub(super) fn cut_given_up(&mut self) -> io::Result<()> {
        while let Some(segment) = self.uncut.last() {
            match segment.cut(FIRST_RECORD_OFFSET) {
                Ok(()) => _ = self.uncut.pop(),
                Err(error) if is_full(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Settlements that are held back and may be written before anything that brings bytes is.
    fn settled_meanwhile(&self) -> Settled {
        let mut settled = Settled { one: self.encoder.noted_settlements().collect(), ranges: Vec::new() };
        let Some(Held { batch, .. }) = &self.held else { return settled };
        let brings_some = |&&(begin, end): &&(usize, usize)| batch.changes[begin..end].iter().any(brings);
        let mut later = batch.groups.iter().filter(brings_some).peekable();
        for (at, change) in batch.changes.iter().enumerate() {
            while later.next_if(|(_, end)| *end <= at).is_some() {}
            if later.peek().is_some_and(|(begin, _)| *begin <= at) {
                continue;
            }
            match *change {
                Change::Settle { placement, .. } => _ = settled.one.insert(placement),
                Change::SettleRange { queue, first, last } => settled.ranges.push((queue, first..=last)),
                _ => {}
            }
        }
        settled
    }

    /// Everybody that waits for what is complete now; so much less waits.
    pub(super) fn tell_commits(&self, load: Load) {
        let held = self.held.iter().flat_map(|held| &held.commits);
        let aside = self.asides.iter().flat_map(|aside| &aside.commits);
        let incomplete: Vec<Commit> = held.chain(aside).copied().collect();
        self.pending.complete(&Done::except(self.last, &incomplete), load);
    }

    /// Whoever settles in a group what is written aside is not told before that is whole: nobody acts on what may not have happened.
    pub(super) fn wait_for_asides(&mut self, group: &[Change]) {
        let Some(last) = self.asides.back_mut() else { return };
        let catalog = self.catalog.lock();
        let is_aside = |change: &Change| match change {
            Change::Settle { placement, message: Some(message) } if message.stage() == Stage::Writing => {
                catalog.unfinished.iter().any(|segment| catalog.index.is_live_in(*placement, *segment))
            }
            _ => false,
        };
        if group.iter().any(is_aside) {
            if self.replays {
                last.commits.extend(&self.retried);
            } else {
                last.commits.push(self.last);
            }
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

/// The changes that a record which was given up says; the index forgets its placements.
fn take_back(
    catalog: &mut State,
    segment: SegmentId,
    recorded: Recorded,
    settled: &Settled,
    changes: &mut Changes,
) {
    match recorded {
        Recorded::Place { message, placements, transient, .. } => {
            message.set_stage(Stage::Waiting);
            let (left, returned) = taken_back(catalog, segment, &message, placements, settled);
            if left.is_empty() {
                message.set_stage(Stage::Skipped);
                return;
            }
            changes.push(Change::Publish { message, placements: left, transient });
            changes.extend(returned);
        }
        Recorded::Settle { queue, ranges } => {
            let positions = ranges.into_iter().flatten();
            let settle =
                |position| Change::Settle { placement: Placement { queue, position }, message: None };
            changes.extend(positions.map(settle));
        }
        other => encode::take_back(other, &Unwritten::new(), changes),
    }
}

/// The placements of a message that are still needed, and how it came back to them.
fn taken_back(
    catalog: &mut State,
    segment: SegmentId,
    message: &Message,
    placements: Placements,
    settled: &Settled,
) -> (Placements, Changes) {
    let (mut left, mut returned) = (Placements::new(), Changes::new());
    for placement in placements {
        let Placement { queue, position } = placement;
        let live = catalog.index.live_in(queue, position, position, 1).pop();
        let Some(live) = live.filter(|live| live.segment == segment) else { continue };
        catalog.index.settle(placement);
        if settled.contain(placement) {
            continue;
        }
        left.push(placement);
        if live.returned != Returned::default() {
            let (Returned { attempts, due }, message) = (live.returned, Some(message.clone()));
            returned.push(Change::Return { placement, attempts, due, message });
        }
    }
    (left, returned)
}
