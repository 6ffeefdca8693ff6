//! The log on its way into memory: what its records do to the index and the topology, from a place in it on.
//!
//! Sealed segments are read by their footers, and no message is read; the others record by record. A replay is the same for a
//! broker that starts and for one that only looks: it changes no file, and what is done about what it meets is for its
//! [`Repair`]. It does not know what becomes of queues and segments that something else says are missing.

use std::{cmp::Ordering, collections::BTreeMap, io, ops::Range, sync::Arc};

use super::{
    catalog::{Known, SegmentStage, State, share},
    checkpoint::{self, Entities, Entity, definitions::Definitions},
    format::{
        Flags, Footer, Kind, Publish, Return, Settle, Slot, TopologyRecord, access,
        record::RECORD_HEADER_BYTES,
    },
    position::{LogPosition, SegmentId},
    segment::{
        FIRST_RECORD_OFFSET, Segment, SegmentError,
        scan::Scanned,
        table::{Table, footer_of},
    },
};
use crate::core::{access::AccessChange, change::TopologyChange, placement::Placement};

/// What is done about what is met on the way.
pub(super) trait Repair {
    /// Bytes of a segment that make no sense.
    fn damaged(&self, segment: &Segment, bytes: Range<u32>);

    /// Bytes of a group that was written aside and never finished.
    fn unfinished(&self, segment: &Segment, bytes: Range<u32>);

    /// A segment that was never sealed; this is the footer that it should have.
    fn unsealed(&self, segment: &Segment, footer: Footer) -> io::Result<()>;
}

/// What was seen on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// The broker before this one was stopped in order.
    pub(super) clean: bool,
    /// The key-value store was lost.
    pub(super) state_lost: bool,
    /// Records that were replayed.
    pub(super) replayed: u64,
    /// Bytes that were set aside.
    pub(super) damaged_bytes: u64,
    /// Places that were set aside.
    pub(super) damaged: u64,
}

impl Report {
    /// Whether there was nothing at all.
    pub(super) fn is_blank(&self) -> bool {
        *self == Self { clean: self.clean, ..Self::default() }
    }
}

/// The log on its way into memory.
pub(super) struct Replay<'a> {
    repair: &'a dyn Repair,
    /// For the catalog.
    pub(super) state: State,
    /// What is declared.
    pub(super) entities: Entities,
    /// Everything before it is known already.
    pub(super) from: LogPosition,
    /// Changes of what is declared and set are known already before this.
    entities_from: LogPosition,
    /// What was seen on the way.
    pub(super) report: Report,
    /// The segment that was written to last.
    last: Option<SegmentId>,
}

impl<'a> Replay<'a> {
    /// From what the key-value store has.
    pub(super) fn from_checkpoint(repair: &'a dyn Repair, loaded: checkpoint::Loaded) -> Self {
        let state = State { index: loaded.index, ..State::default() };
        let entities = loaded.entities.into_iter().collect();
        let from = loaded.stamp;
        let report = Report::default();
        Self { repair, state, entities, from, entities_from: from, report, last: None }
    }

    /// From the beginning of the log, without the key-value store.
    pub(super) fn from_definitions(
        repair: &'a dyn Repair,
        definitions: Definitions,
        state_lost: bool,
    ) -> Self {
        let mut state = State::default();
        state.index.restore_last_queue(definitions.last_queue);
        for entity in &definitions.entities {
            if let Entity::Topology { change: TopologyChange::QueueDeclared { id, .. }, .. } = entity {
                state.index.add_queue(*id);
            }
        }
        let entities = definitions.entities.into_iter().collect();
        let report = Report { state_lost, ..Report::default() };
        let from = LogPosition::default();
        Self { repair, state, entities, from, entities_from: definitions.stamp, report, last: None }
    }

    /// Replays all segments, in order.
    pub(super) fn run(&mut self, segments: &BTreeMap<SegmentId, Arc<Segment>>) -> Result<(), SegmentError> {
        self.last = last_begun(segments)?;
        for segment in segments.values() {
            self.segment(segment)?;
        }
        self.report.clean = match segments.values().next_back() {
            Some(last) => ended_in_order(last, self.from)?,
            None => true,
        };
        Ok(())
    }

    fn segment(&mut self, segment: &Arc<Segment>) -> Result<(), SegmentError> {
        let id = segment.id();
        let failed = |source| SegmentError::Io { id, source };
        self.state.index.add_segment(id);
        // Of what the checkpoint knows nothing is read, not even a footer.
        if id >= self.from.segment || !segment.is_sealed().map_err(failed)? {
            self.replay(segment)?;
        }
        let bytes = segment.len_bytes().map_err(failed)?;
        self.state
            .segments
            .insert(id, Known { segment: segment.clone(), stage: SegmentStage::Sealed { bytes } });
        Ok(())
    }

    fn replay(&mut self, segment: &Segment) -> Result<(), SegmentError> {
        let id = segment.id();
        let failed = |source| SegmentError::Io { id, source };
        let footer = match segment.footer() {
            Err(SegmentError::FooterDamaged { .. }) => Some(footer_of(segment).map_err(failed)?),
            footer => footer?,
        };
        let from = match id.cmp(&self.from.segment) {
            Ordering::Less => u32::MAX,
            Ordering::Equal => self.from.offset.max(FIRST_RECORD_OFFSET),
            Ordering::Greater => FIRST_RECORD_OFFSET,
        };
        match footer {
            Some(footer) if from < footer.end => self.sealed(segment, &footer, from).map_err(failed)?,
            Some(_) => {}
            None => self.unsealed(segment, from).map_err(failed)?,
        }
        Ok(())
    }

    /// By the footer, in the order in which things were written.
    fn sealed(&mut self, segment: &Segment, footer: &Footer, from: u32) -> io::Result<()> {
        let mut slots: Vec<Slot> = footer.slots.iter().copied().filter(|slot| slot.offset >= from).collect();
        slots.sort_by_key(|slot| slot.offset);
        let shares = slots.chunk_by(|one, other| one.offset == other.offset);
        let shares =
            shares.flat_map(|same| same.iter().map(|slot| (*slot, share(slot.payload_bytes, same.len()))));
        let mut slots = shares.peekable();
        let mut others = segment.scan_sealed(footer)?;
        while let Some(scanned) = others.advance()? {
            let at = scanned.offset();
            while let Some((slot, bytes)) = slots.next_if(|(slot, _)| slot.offset < at) {
                self.place(segment.id(), slot, bytes);
            }
            if at >= from {
                self.scanned(segment, &scanned);
            }
        }
        for (slot, bytes) in slots {
            self.place(segment.id(), slot, bytes);
        }
        Ok(())
    }

    /// Record by record.
    fn unsealed(&mut self, segment: &Segment, from: u32) -> io::Result<()> {
        let footer = Table::scan(segment, |scanned| {
            if scanned.offset() >= from {
                self.scanned(segment, scanned);
            }
        })?;
        // Everything in a segment was durable before the next one was begun, but for a group that was written aside: only the last
        // one can be torn.
        if Some(segment.id()) != self.last
            && let Some(written) = segment.written_end(footer.end)?
        {
            if segment.is_begun()? {
                self.damaged(segment, footer.end, written);
            } else {
                self.repair.unfinished(segment, footer.end..written);
            }
        }
        self.repair.unsealed(segment, footer)
    }

    fn scanned(&mut self, segment: &Segment, scanned: &Scanned<'_>) {
        match *scanned {
            Scanned::Record { offset, kind, payload, flags } => {
                let at = LogPosition { segment: segment.id(), offset };
                if self.record(at, kind, flags, payload).is_none() {
                    let end = offset + (RECORD_HEADER_BYTES + payload.len()) as u32;
                    self.damaged(segment, offset, end);
                }
            }
            Scanned::Damaged { from, to } => self.damaged(segment, from, to),
        }
    }

    /// `None` if the payload makes no sense.
    fn record(&mut self, at: LogPosition, kind: Kind, flags: Flags, payload: &[u8]) -> Option<()> {
        self.report.replayed += 1;
        match kind {
            Kind::Publish => {
                let publish = Publish::decode(payload).ok()?;
                let transient = flags.contains(Flags::TRANSIENT);
                let (offset, payload_bytes) = (at.offset, payload.len() as u32);
                let bytes = share(payload_bytes, publish.placements().len());
                for placement in publish.placements() {
                    self.place(at.segment, Slot { placement, offset, payload_bytes, transient }, bytes);
                }
            }
            Kind::Settle => {
                let settle = Settle::decode(payload).ok()?;
                for range in settle.ranges() {
                    self.state.settle(settle.queue, *range.start(), *range.end());
                }
            }
            Kind::Return => self.returned(Return::decode(payload).ok()?),
            Kind::ReturnV1 => self.returned(Return::decode_v1(payload).ok()?),
            Kind::Topology => self.topology(at, TopologyRecord::decode(payload).ok()?),
            Kind::Access => self.access(at, access::decode(payload).ok()?),
            Kind::Shutdown | Kind::Footer => {}
        }
        Some(())
    }

    fn returned(&mut self, record: Return<'_>) {
        for (position, returned) in record.entries() {
            self.state.index.returned(Placement { queue: record.queue, position }, returned);
        }
    }

    fn topology(&mut self, at: LogPosition, record: TopologyRecord) {
        if at >= self.entities_from {
            let TopologyRecord { vhost, change } = record;
            self.state.apply_topology(&vhost, &change);
            self.entities.apply(Entity::Topology { vhost, change });
        }
    }

    fn access(&mut self, at: LogPosition, change: AccessChange) {
        if at >= self.entities_from {
            self.state.entities.push(Entity::Access(change.clone()));
            self.entities.apply(Entity::Access(change));
        }
    }

    fn place(&mut self, segment: SegmentId, slot: Slot, bytes: u32) {
        if !slot.transient {
            self.state.index.place(slot.placement, segment, bytes, false);
        }
    }

    fn damaged(&mut self, segment: &Segment, from: u32, to: u32) {
        self.report.damaged += 1;
        self.report.damaged_bytes += u64::from(to - from);
        self.repair.damaged(segment, from..to);
    }
}

/// Whether the log is whole from `stamp` on.
pub(super) fn reaches(stamp: LogPosition, segments: &BTreeMap<SegmentId, Arc<Segment>>) -> bool {
    let later = segments.range(stamp.segment..).map(|(id, _)| *id);
    let contiguous = later.zip(stamp.segment.0..).all(|(id, expected)| id.0 == expected);
    // A segment that was begun and never written to may be missing.
    let begins = segments.contains_key(&stamp.segment) || stamp.offset <= FIRST_RECORD_OFFSET;
    contiguous && begins
}

/// The segment that was written to last; what comes behind it was only kept ready.
fn last_begun(segments: &BTreeMap<SegmentId, Arc<Segment>>) -> Result<Option<SegmentId>, SegmentError> {
    for (&id, segment) in segments.iter().rev() {
        if segment.is_begun().map_err(|source| SegmentError::Io { id, source })? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Whether the last thing in the log is that its broker was stopped, and the last checkpoint, of `stamp`, came after that: only
/// then does it know of all messages that may have been delivered.
fn ended_in_order(last: &Segment, stamp: LogPosition) -> Result<bool, SegmentError> {
    let failed = |source| SegmentError::Io { id: last.id(), source };
    let footer = footer_of(last).map_err(failed)?;
    let Some(offset) = footer.others.last().copied() else { return Ok(false) };
    let is_last = footer.slots.iter().all(|slot| slot.offset < offset);
    if !is_last || stamp <= (LogPosition { segment: last.id(), offset }) {
        return Ok(false);
    }
    let only = Footer { slots: Vec::new(), others: vec![offset], end: footer.end };
    let mut others = last.scan_sealed(&only).map_err(failed)?;
    let record = others.advance().map_err(failed)?;
    Ok(matches!(record, Some(Scanned::Record { kind: Kind::Shutdown, .. })))
}
