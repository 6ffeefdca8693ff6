//! The writer: batches become records, records become durable, and then everybody is told.
//!
//! One thread owns it. For each batch: decide what need not be written, encode, write, sync, tell those who wait, tell the catalog.
//! When the disk is full, what brings bytes is held back, and so are the commits that it is part of; what makes room goes on
//! into the rest of the segment. Where the disk runs out of room in the middle of a write, `setback` says how it goes on. After
//! any other error nothing more is written and no commit completes: what is on disk is known again only after a restart.
//! What takes so much that others would have to wait for it is written `aside`.

pub(in crate::store) mod aside;
mod setback;

use std::{collections::VecDeque, io, sync::Arc, time::Instant};

use parking_lot::MutexGuard;

use aside::Aside;
use setback::Setback;

use super::{
    cost::{brings, is_ordered, size_of},
    encode::{AppendPoint, Encoder},
    moving::Move,
    pending::{Batch, Load, Pending},
};
use crate::core::{change::Change, commit::Commit, message::Stage};
use crate::limits::{
    LOG_BUFFER_BYTES_MAX, LOG_RECORDS_KEPT_MAX, LOG_RECORDS_TOLD_AT_ONCE_MAX, SEGMENT_RESERVE_FRACTION,
    SEGMENT_SLOTS_MAX,
};
use crate::store::{
    catalog::Catalog,
    files::is_full,
    format::{Kind, record::RECORD_HEADER_BYTES},
    metrics::Metrics,
    position::LogPosition,
    recorded::{Encoded, Recorded},
    segment::{FIRST_RECORD_OFFSET, Segment},
    spares::Spares,
};

/// The one writer of the log.
pub(in crate::store) struct Writer {
    pending: Arc<Pending>,
    catalog: Arc<Catalog>,
    spares: Arc<Spares>,
    metrics: Arc<Metrics>,
    segment: Arc<Segment>,
    segment_bytes: u32,
    /// Where the encoder's buffer goes.
    offset: u32,
    /// What stands before it was synced.
    durable: u32,
    /// Placements in the segment, of records that are durable.
    slots: usize,
    setback: Setback,
    encoder: Encoder,
    held: Option<Held>,
    asides: VecDeque<Aside>,
    /// What was given up of them may still stand there, and would count.
    uncut: Vec<Arc<Segment>>,
    /// The last batch that was taken.
    last: Commit,
    /// What it takes in memory, if that is not on somebody else's account.
    load: Load,
    /// The commits of what was held back before.
    retried: Vec<Commit>,
    /// What is looked at was held back before.
    replays: bool,
    /// No batch came; what was held back is tried again.
    is_retry: bool,
}

/// What the disk has no room for.
#[derive(Default)]
struct Held {
    batch: Batch,
    /// The commits that are not complete for want of it.
    commits: Vec<Commit>,
    /// There are changes in it of which none may overtake another.
    has_ordered: bool,
}

impl Writer {
    /// A writer that goes on in an empty segment.
    pub(in crate::store) fn new(
        pending: Arc<Pending>,
        catalog: Arc<Catalog>,
        spares: Arc<Spares>,
        metrics: Arc<Metrics>,
        segment: Arc<Segment>,
    ) -> Self {
        let segment_bytes = capacity(&segment, &spares);
        Self {
            pending,
            catalog,
            spares,
            metrics,
            segment,
            segment_bytes,
            offset: FIRST_RECORD_OFFSET,
            durable: FIRST_RECORD_OFFSET,
            slots: 0,
            setback: Setback::default(),
            encoder: Encoder::default(),
            held: None,
            asides: VecDeque::new(),
            uncut: Vec::new(),
            last: Commit::default(),
            load: Load::default(),
            retried: Vec::new(),
            replays: false,
            is_retry: false,
        }
    }

    /// Whether the disk was full the last time.
    pub(in crate::store) fn is_held_up(&self) -> bool {
        self.held.is_some() || self.setback.is_torn || !self.uncut.is_empty()
    }

    /// Tries again what was held back.
    pub(in crate::store) fn retry(&mut self) -> io::Result<()> {
        self.is_retry = true;
        self.go_on(Batch::default(), self.last)
    }

    /// Makes a batch durable, and what was held back before it; then tells everybody.
    pub(in crate::store) fn commit(&mut self, batch: Batch, commit: Commit) -> io::Result<()> {
        self.is_retry = false;
        self.go_on(batch, commit)
    }

    fn go_on(&mut self, batch: Batch, commit: Commit) -> io::Result<()> {
        self.last = commit;
        if self.setback.mend(&self.segment, self.durable, &self.spares)? {
            self.segment_bytes = capacity(&self.segment, &self.spares);
        }
        self.cut_given_up()?;
        let Held { batch: held, commits, .. } = self.held.take().unwrap_or_default();
        (self.load, self.retried) = (batch.load, commits);
        let known = held.changes.len();
        self.write(held.and(batch), known)?;
        self.flush()?;
        if self.setback.is_torn || !self.uncut.is_empty() {
            self.hold_commit();
        }
        let retried = std::mem::take(&mut self.retried);
        match &mut self.held {
            Some(held) => held.commits.extend(retried),
            None if self.asides.is_empty() => self.spares.set_ran_out(false),
            None => {}
        }
        let load = std::mem::take(&mut self.load);
        self.tell_commits(load);
        self.publish_effects();
        self.pending.seen_to(commit);
        Ok(())
    }

    /// Ends the log in order: nothing comes after this.
    pub(in crate::store) fn finish(mut self) -> io::Result<()> {
        while self.has_asides() {
            self.write_aside()?;
        }
        let ends_in_order = !self.is_held_up()
            && self.pending.ends_in_order()
            && self.make_room(RECORD_HEADER_BYTES + 8, true)?;
        let shutdown = ends_in_order.then(|| self.encoder.empty_record(Kind::Shutdown, self.append_point()));
        let is_durable = self.flush()?;
        let mut catalog = self.catalog.lock();
        if let Some(offset) = shutdown.filter(|_| is_durable) {
            catalog.note_other(self.segment.id(), offset);
        }
        catalog.applied = self.end();
        catalog.close(self.segment.id(), self.offset);
        Ok(())
    }

    // ---- from batches to records ----

    /// The first `known` changes were held back before.
    fn write(&mut self, mut batch: Batch, known: usize) -> io::Result<()> {
        self.encoder.decide(&mut batch.changes, &batch.groups, known);
        for moved in std::mem::take(&mut batch.moves) {
            self.write_move(moved)?;
        }
        let mut groups = std::mem::take(&mut batch.groups).into_iter().peekable();
        let mut changes = std::mem::take(&mut batch.changes).into_iter().enumerate();
        let total = changes.len();
        while let Some((at, change)) = changes.next() {
            self.replays = at < known;
            if let Some((_, end)) = groups.next_if(|(begin, _)| *begin == at) {
                let rest = changes.by_ref().take(end - at - 1).map(|(_, change)| change);
                let group: Vec<Change> = std::iter::once(change).chain(rest).collect();
                self.write_group(group)?;
            } else {
                self.write_single(change)?;
            }
        }
        self.replays = total == known;
        self.encoder.note_early();
        let room = self.encoder.rest_bytes();
        if room == 0 || self.make_room(room, true)? {
            self.encoder.rest(self.append_point());
        } else {
            self.hold(Vec::new());
        }
        Ok(())
    }

    fn write_single(&mut self, change: Change) -> io::Result<()> {
        if let Change::Settle { .. } | Change::Return { .. } = change {
            self.encoder.single(change, self.append_point());
            return Ok(());
        }
        let bytes = size_of(&change);
        if self.goes_aside(std::slice::from_ref(&change), bytes) {
            return self.write_group(vec![change]);
        }
        if self.takes(&change) && self.make_room(bytes, !brings(&change))? {
            self.encoder.single(change, self.append_point());
            return Ok(());
        }
        undecide(&change);
        self.hold(vec![change]);
        Ok(())
    }

    fn write_group(&mut self, group: Vec<Change>) -> io::Result<()> {
        let size = group.iter().map(size_of).sum();
        let brings = group.iter().any(brings);
        let takes = group.iter().all(|change| self.takes(change));
        let group = if takes && self.goes_aside(&group, size) {
            match self.begin_aside(group, size)? {
                Ok(()) => return Ok(()),
                Err(group) => group,
            }
        } else if takes && self.make_room(size, !brings)? {
            self.wait_for_asides(&group);
            self.encoder.group(group, self.append_point());
            return Ok(());
        } else {
            group
        };
        group.iter().for_each(undecide);
        let (begin, end) = self.hold(group);
        self.held().batch.groups.push((begin, end));
        Ok(())
    }

    fn write_move(&mut self, mut moved: Move) -> io::Result<()> {
        moved.retain_live(&self.catalog.lock().index);
        let size = moved.message.size_bytes() + 64 + 16 * moved.placements.len();
        // Without room it stays where it is, or while somebody may be settling it aside; reclaiming will come to it again.
        let may_move = self.held.is_none() && self.asides.is_empty() && !self.setback.makes_room_only;
        if may_move && !moved.placements.is_empty() && self.make_room(size, false)? {
            self.encoder.moved(moved, self.append_point());
        }
        Ok(())
    }

    /// While something is held back, everything that brings bytes is, and what must not overtake it.
    fn takes(&self, change: &Change) -> bool {
        if self.setback.makes_room_only && brings(change) {
            return false;
        }
        let Some(held) = &self.held else { return true };
        !(brings(change) || held.has_ordered && is_ordered(change))
    }

    fn held(&mut self) -> &mut Held {
        self.held.get_or_insert_with(Held::default)
    }

    /// Gives where the changes are among those that are held back.
    fn hold(&mut self, changes: Vec<Change>) -> (usize, usize) {
        let commit = Some(self.last).filter(|_| !self.replays);
        let held = self.held();
        if held.commits.last() != commit.as_ref() {
            held.commits.extend(commit);
        }
        held.has_ordered |= changes.iter().any(is_ordered);
        let begin = held.batch.changes.len();
        held.batch.changes.extend(changes);
        (begin, held.batch.changes.len())
    }

    fn append_point(&self) -> AppendPoint {
        AppendPoint { salt: self.segment.salt(), offset: self.offset }
    }

    fn end(&self) -> LogPosition {
        LogPosition { segment: self.segment.id(), offset: self.offset }
    }

    // ---- room ----

    /// Sees that the next `bytes` fit into the segment, or goes on to the next one. False when the disk is full.
    ///
    /// `spares_none`: the last part of a segment is kept for what makes room.
    fn make_room(&mut self, bytes: usize, spares_none: bool) -> io::Result<bool> {
        if self.setback.is_torn || self.encoder.bytes.len() >= LOG_BUFFER_BYTES_MAX && !self.write_buffer()? {
            return Ok(false);
        }
        let used = self.offset as usize + self.encoder.bytes.len();
        let whole = self.segment_bytes as usize;
        let limit = if spares_none { whole } else { whole - whole / SEGMENT_RESERVE_FRACTION };
        let is_empty = used <= FIRST_RECORD_OFFSET as usize;
        let fits = used + bytes <= limit;
        if fits && (spares_none || !self.is_crowded()) {
            return Ok(true);
        }
        let has_rolled = is_empty || self.roll()?;
        if !has_rolled && fits && !self.setback.is_torn {
            // There is no room for another one: this one takes as many again.
            self.slots = 0;
            return Ok(true);
        }
        Ok(has_rolled && self.lengthen(bytes)?)
    }

    /// Whether the segment has as many placements as it should.
    fn is_crowded(&self) -> bool {
        self.slots + self.encoder.encoded.len() >= SEGMENT_SLOTS_MAX
    }

    /// Sees that `bytes` fit into an empty segment, however many they are. False when the disk is full.
    fn lengthen(&self, bytes: usize) -> io::Result<bool> {
        let end = u64::from(self.offset) + bytes as u64;
        if end <= u64::from(self.segment_bytes) {
            return Ok(true);
        }
        match self.segment.reserve(end) {
            Ok(()) => Ok(true),
            Err(error) if is_full(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Goes on in a new segment, with everything before it durable. False when there is no room for one.
    fn roll(&mut self) -> io::Result<bool> {
        if !self.spares.has_one()? || !self.flush()? {
            return Ok(false);
        }
        self.publish_effects();
        let Some(next) = self.spares.take()? else { return Ok(false) };
        self.go_on_in(Arc::new(next));
        Ok(true)
    }

    /// Closes the segment, in which everything is durable, and goes on in the next one.
    fn go_on_in(&mut self, next: Arc<Segment>) {
        let mut catalog = self.catalog.lock();
        catalog.close(self.segment.id(), self.offset);
        self.segment_bytes = capacity(&next, &self.spares);
        self.segment = next;
        catalog.open(self.segment.clone());
        drop(catalog);
        (self.offset, self.durable, self.slots) = (FIRST_RECORD_OFFSET, FIRST_RECORD_OFFSET, 0);
        self.spares.wanted();
    }

    // ---- from records to the disk ----

    /// False when the disk had no room: then nothing that was encoded since the last sync counts.
    fn write_buffer(&mut self) -> io::Result<bool> {
        let bytes = std::mem::take(&mut self.encoder.bytes);
        if bytes.is_empty() {
            return Ok(true);
        }
        if let Err(error) = self.segment.write(&bytes, self.offset) {
            return self.step_back(error);
        }
        self.offset += bytes.len() as u32;
        self.metrics.written(bytes.len());
        self.encoder.bytes = bytes;
        self.encoder.bytes.clear();
        if self.encoder.bytes.capacity() > 2 * LOG_BUFFER_BYTES_MAX {
            self.encoder.bytes = Vec::new();
        }
        Ok(true)
    }

    /// False when the disk had no room: see [`write_buffer`](Self::write_buffer).
    fn flush(&mut self) -> io::Result<bool> {
        if !self.write_buffer()? {
            return Ok(false);
        }
        if self.offset > self.durable {
            let began = Instant::now();
            if let Err(error) = self.segment.sync() {
                return self.step_back(error);
            }
            self.durable = self.offset;
            self.metrics.synced(began.elapsed());
        }
        Ok(true)
    }

    /// After an error of a write or a sync: false if it means that there is no room.
    fn step_back(&mut self, error: io::Error) -> io::Result<bool> {
        if !is_full(&error) {
            return Err(error);
        }
        self.setback.begin(&error);
        self.offset = self.durable;
        self.spares.set_ran_out(true);
        let given_up = self.encoder.take_back();
        let held = self.held();
        held.has_ordered |= given_up.changes.iter().any(is_ordered);
        // It was encoded before what is held back since, some of which must not overtake it.
        held.batch = given_up.and(std::mem::take(&mut held.batch));
        Ok(false)
    }

    /// The commit of this try is not complete, even if nothing of it needs to be written: until the segment is cut, a crash may
    /// bring back what it has settled.
    fn hold_commit(&mut self) {
        let commit = (!self.is_retry).then_some(self.last);
        self.held().commits.extend(commit);
    }

    /// Tells the catalog what is durable now, and lets go of messages.
    fn publish_effects(&mut self) {
        if self.encoder.encoded.is_empty() {
            return;
        }
        self.metrics.committed(self.encoder.encoded.len());
        let encoded = std::mem::take(&mut self.encoder.encoded);
        let mut catalog = self.catalog.lock();
        for (count, one) in encoded.iter().enumerate() {
            if count % LOG_RECORDS_TOLD_AT_ONCE_MAX == LOG_RECORDS_TOLD_AT_ONCE_MAX - 1 {
                MutexGuard::bump(&mut catalog);
            }
            catalog.apply(self.segment.id(), one);
        }
        catalog.applied = self.end();
        drop(catalog);
        self.slots += let_go(&self.metrics, encoded.iter());
        self.encoder.encoded = encoded;
        self.encoder.encoded.clear();
        self.encoder.groups.clear();
        self.encoder.encoded.shrink_to(LOG_RECORDS_KEPT_MAX);
    }
}

/// Messages of these records are on disk: queues may let go of them. Gives how many placements they have.
fn let_go<'a>(metrics: &Metrics, encoded: impl Iterator<Item = &'a Encoded>) -> usize {
    let (mut body_bytes, mut slots) = (0, 0);
    for one in encoded {
        match &one.recorded {
            Recorded::Place { message, placements, .. } => {
                message.set_stage(Stage::Written);
                body_bytes += u64::from(message.view().layout.body_bytes);
                slots += placements.len();
            }
            Recorded::Relocate { placements, .. } => slots += placements.len(),
            Recorded::Settle { .. }
            | Recorded::Return { .. }
            | Recorded::Topology { .. }
            | Recorded::Access(_) => {}
        }
    }
    metrics.payload(body_bytes);
    slots
}

/// How much goes into a segment: what its file has room for.
fn capacity(segment: &Segment, spares: &Spares) -> u32 {
    let configured = spares.segment_bytes();
    segment.len_bytes().map_or(configured, |bytes| configured.min(bytes as u32))
}

/// The message is not written in this batch: settlements that come now are early.
fn undecide(change: &Change) {
    if let Change::Publish { message, .. } = change
        && message.stage() == Stage::Writing
    {
        message.set_stage(Stage::Waiting);
    }
}
