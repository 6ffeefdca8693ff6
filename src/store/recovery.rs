//! From what a broker left behind to what the next one begins with.
//!
//! The key-value store says how things were at its stamp; the log is replayed from there, sealed segments by their footers and
//! without reading a message. A segment that is not sealed is scanned, cut at its last sound record and sealed. When the
//! store is lost, topology comes from the definitions file and everything else from the whole log: messages that may
//! have been settled come again, none is missing. What is damaged is set aside and counted; it never stops the broker.
//! [`Replay`] itself changes no file: what is done about what it meets is for its [`Repair`].

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
    io,
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use super::{
    catalog::{Known, Stage, State},
    checkpoint::{self, Entities, definitions::Definitions},
    files::is_out_of_handles,
    folders::{DEFINITIONS, Folders, read_definitions, write_definitions},
    format::{
        Flags, Footer, Kind, Publish, Return, Settle, Slot, TopologyRecord, record::RECORD_HEADER_BYTES,
    },
    kv::{KeyValue, KvError},
    opened::Restored,
    position::{LogPosition, SegmentId},
    reserve::{self, RESERVE},
    segment::{
        FIRST_RECORD_OFFSET, Scanned, Segment, SegmentError, quarantine,
        table::{Table, footer_of},
    },
};
use crate::core::{
    change::TopologyChange,
    placement::{Placement, QueueId},
};
use crate::limits::DISK_RESERVE_BYTES;

/// Where the first log of all begins.
const LOG_START: LogPosition = LogPosition { segment: SegmentId(1), offset: FIRST_RECORD_OFFSET };
/// Positions that are left out when nobody knows which were used: more than were used since the last checkpoint.
const POSITIONS_LEFT_OUT: u64 = 1 << 32;

/// Why the broker cannot start on a folder; one line for people.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A folder or file cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A segment of the log cannot be used.
    #[error("cannot use the log: {0}")]
    Segment(#[from] SegmentError),
    /// The store of derived state can neither be used nor made anew.
    #[error("{0}")]
    State(#[from] KvError),
}

/// What was found.
pub(super) struct Recovered {
    /// For the catalog.
    pub(super) state: State,
    /// The key-value store, as its stamp has it.
    pub(super) kv: Box<dyn KeyValue>,
    /// What it reflects.
    pub(super) stamp: LogPosition,
    /// For the broker.
    pub(super) restored: Restored,
    /// The number of the next segment.
    pub(super) next_segment: SegmentId,
    /// What was seen on the way.
    pub(super) report: Report,
}

/// What recovery saw.
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

/// Reads everything back.
pub(super) fn recover(folders: &Folders) -> Result<Recovered, RecoveryError> {
    let began = Instant::now();
    make_room(folders)?;
    let segments = open_segments(folders)?;
    let (kv, loaded) = open_state(folders, &segments)?;
    let is_new = loaded.is_none();
    let mut replay = if let Some(loaded) = loaded {
        renew_definitions(folders, &loaded);
        Replay::from_checkpoint(folders, loaded)
    } else {
        let definitions = definitions_or_none(folders)?;
        Replay::from_definitions(folders, definitions, !reaches(LOG_START, &segments))
    };
    let stamp = replay.from;
    replay.run(&segments)?;
    if !replay.report.clean {
        replay.state.index.mark_all_redelivered();
    }
    if replay.report.state_lost {
        replay.state.index.bump_positions(POSITIONS_LEFT_OUT);
    }
    if is_new {
        replay.state.index.forget_checkpoint();
        replay.state.topology = replay.entities.iter().cloned().collect();
    }
    replay.forget_undeclared();
    replay.forget_missing(&segments);
    let next_segment = segments.keys().next_back().map_or(SegmentId(1), |last| SegmentId(last.0 + 1));
    let next_segment = next_segment.max(stamp.segment);
    let recovered = replay.finish(kv, stamp, next_segment);
    let Report { clean, state_lost, replayed, damaged, damaged_bytes } = recovered.report;
    tracing::info!(
        segments = segments.len(),
        queues = recovered.restored.contents.len(),
        messages = recovered
            .restored
            .contents
            .values()
            .flat_map(|queue| &queue.ranges)
            .map(|range| u64::from(range.count))
            .sum::<u64>(),
        replayed,
        clean,
        state_lost,
        damaged,
        damaged_bytes,
        took_ms = began.elapsed().as_millis() as u64,
        "storage recovered"
    );
    Ok(recovered)
}

/// The key-value store cannot be opened on a disk without any room: the reserve is for that, too.
fn make_room(folders: &Folders) -> Result<(), RecoveryError> {
    let failed = |source| RecoveryError::Io { path: PathBuf::from(RESERVE), source };
    if folders.log.free_bytes().map_err(failed)? < DISK_RESERVE_BYTES / 2 {
        reserve::release(&*folders.root).map_err(failed)?;
    }
    Ok(())
}

/// All segments with a header, in order. Those that were never written to are removed.
fn open_segments(folders: &Folders) -> Result<BTreeMap<SegmentId, Arc<Segment>>, RecoveryError> {
    let failed = |source| RecoveryError::Io { path: PathBuf::from("log"), source };
    let mut segments = BTreeMap::new();
    for name in folders.log.list().map_err(failed)? {
        let Some(id) = SegmentId::from_file_name(&name) else { continue };
        match Segment::open(&*folders.log, id) {
            Ok(segment) => drop(segments.insert(id, Arc::new(segment))),
            Err(SegmentError::Blank(_)) => folders.log.remove(&name).map_err(failed)?,
            Err(error @ SegmentError::NotASegment(_)) => {
                tracing::error!(%error, "it is set aside whole");
                set_segment_aside(folders, &name).map_err(failed)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(segments)
}

/// Without its header nothing in a segment can be read; somebody may look at it.
fn set_segment_aside(folders: &Folders, name: &str) -> io::Result<()> {
    if let Some(bytes) = folders.log.read(name)? {
        folders.quarantine.replace(&format!("{name}.damaged"), &bytes)?;
    }
    folders.log.remove(name)
}

/// The key-value store and what it holds; empty, with an error in the log, when it cannot be used or is older than the log.
fn open_state(
    folders: &Folders,
    segments: &BTreeMap<SegmentId, Arc<Segment>>,
) -> Result<(Box<dyn KeyValue>, Option<checkpoint::Loaded>), RecoveryError> {
    let why = match folders.state.open() {
        Ok(kv) => match checkpoint::load(&*kv) {
            Ok(Some(loaded)) if reaches(loaded.stamp, segments) => return Ok((kv, Some(loaded))),
            Ok(Some(loaded)) => format!("the log does not go back to its stamp {:?}", loaded.stamp),
            Ok(None) if reaches(LOG_START, segments) => return Ok((kv, None)),
            Ok(None) => "it is empty".into(),
            Err(error) => error.to_string(),
        },
        // Nothing says that it is damaged: it may be whole when the cause is gone.
        Err(KvError::Io(error)) if is_passing(&error) => return Err(KvError::Io(error).into()),
        Err(error) => error.to_string(),
    };
    if reaches(LOG_START, segments) {
        tracing::error!(%why, "derived state is lost and made again from the log, which has everything");
    } else {
        tracing::error!(%why, "derived state is lost and made again from the log: messages may come twice");
    }
    Ok((folders.state.reset()?, None))
}

/// What each of a record's places counts for.
fn share(payload_bytes: u32, places: usize) -> u32 {
    payload_bytes / (places as u32).max(1)
}

/// Whether an error is about this moment, and not about the files.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kinds = [OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull];
    kinds.contains(&error.kind()) || is_out_of_handles(error)
}

fn definitions_or_none(folders: &Folders) -> Result<Definitions, RecoveryError> {
    let failed = |source| RecoveryError::Io { path: PathBuf::from(DEFINITIONS), source };
    Ok(match read_definitions(&*folders.root).map_err(failed)? {
        Some(Ok(definitions)) => definitions,
        Some(Err(error)) => {
            tracing::error!(%error, "the definitions file is lost too");
            Definitions::default()
        }
        None => Definitions::default(),
    })
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
fn last_begun(segments: &BTreeMap<SegmentId, Arc<Segment>>) -> Result<Option<SegmentId>, RecoveryError> {
    for (&id, segment) in segments.iter().rev() {
        if segment.is_begun().map_err(|source| SegmentError::Io { id, source })? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// A crash between a checkpoint and its definitions leaves these behind, and nothing but them would know the topology if the
/// key-value store were lost later.
fn renew_definitions(folders: &Folders, loaded: &checkpoint::Loaded) {
    let checkpoint::Loaded { stamp, ref index, ref topology } = *loaded;
    let last_queue = index.last_queue();
    let renewed = read_definitions(&*folders.root).and_then(|known| {
        let known = known.and_then(Result::ok);
        if known.is_some_and(|known| known.last_queue == last_queue && known.entities == *topology) {
            return Ok(());
        }
        let definitions = Definitions { stamp, last_queue, entities: topology.clone() };
        write_definitions(&*folders.root, &definitions)
    });
    if let Err(error) = renewed {
        tracing::warn!(%error, "the definitions file stays behind the last checkpoint");
    }
}

/// Whether the last thing in the log is that its broker was stopped, and the last checkpoint, of `stamp`, came after that: only
/// then does it know of all messages that may have been delivered.
fn ended_in_order(last: &Segment, stamp: LogPosition) -> Result<bool, RecoveryError> {
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

/// What is done about what is met on the way.
pub(super) trait Repair {
    /// Bytes of a segment that make no sense.
    fn damaged(&self, segment: &Segment, bytes: Range<u32>);

    /// A segment that was never sealed; this is the footer that it should have.
    fn unsealed(&self, segment: &Segment, footer: Footer) -> io::Result<()>;
}

impl Repair for Folders {
    fn damaged(&self, segment: &Segment, bytes: Range<u32>) {
        let Range { start: from, end: to } = bytes;
        let segment_id = segment.id();
        match quarantine::set_aside(&*self.quarantine, segment, bytes) {
            Ok(file) => {
                tracing::error!(segment = %segment_id, from, to, file, "damaged bytes in the log are set aside");
            }
            // It is there for people only.
            Err(error) => {
                tracing::error!(segment = %segment_id, from, to, %error, "damaged bytes in the log cannot be set aside");
            }
        }
    }

    fn unsealed(&self, segment: &Segment, footer: Footer) -> io::Result<()> {
        let Footer { slots, others, end } = footer;
        segment.cut(end)?;
        segment.seal(end, slots, others)?;
        Ok(())
    }
}

fn queue_of(change: &TopologyChange) -> Option<QueueId> {
    if let TopologyChange::QueueDeclared { id, .. } = change { Some(*id) } else { None }
}

/// The log on its way into memory.
pub(super) struct Replay<'a> {
    repair: &'a dyn Repair,
    /// For the catalog.
    pub(super) state: State,
    /// What is declared.
    pub(super) entities: Entities,
    from: LogPosition,
    /// Changes of topology before this are known already.
    topology_from: LogPosition,
    /// What was seen on the way.
    pub(super) report: Report,
    /// The segment that was written to last.
    last: Option<SegmentId>,
}

impl<'a> Replay<'a> {
    /// From what the key-value store has.
    pub(super) fn from_checkpoint(repair: &'a dyn Repair, loaded: checkpoint::Loaded) -> Self {
        let state = State { index: loaded.index, ..State::default() };
        let entities = loaded.topology.into_iter().collect();
        let from = loaded.stamp;
        let report = Report::default();
        Self { repair, state, entities, from, topology_from: from, report, last: None }
    }

    /// From the beginning of the log, without the key-value store.
    pub(super) fn from_definitions(
        repair: &'a dyn Repair,
        definitions: Definitions,
        state_lost: bool,
    ) -> Self {
        let mut state = State::default();
        state.index.restore_last_queue(definitions.last_queue);
        for (_, change) in &definitions.entities {
            if let TopologyChange::QueueDeclared { id, .. } = change {
                state.index.add_queue(*id);
            }
        }
        let entities = definitions.entities.into_iter().collect();
        let report = Report { state_lost, ..Report::default() };
        let from = LogPosition::default();
        Self { repair, state, entities, from, topology_from: definitions.stamp, report, last: None }
    }

    /// Replays all segments, in order.
    pub(super) fn run(&mut self, segments: &BTreeMap<SegmentId, Arc<Segment>>) -> Result<(), RecoveryError> {
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

    fn segment(&mut self, segment: &Arc<Segment>) -> Result<(), RecoveryError> {
        let id = segment.id();
        let failed = |source| SegmentError::Io { id, source };
        self.state.index.add_segment(id);
        // Of what the checkpoint knows nothing is read, not even a footer.
        if id >= self.from.segment || !segment.is_sealed().map_err(failed)? {
            self.replay(segment)?;
        }
        let bytes = segment.len_bytes().map_err(failed)?;
        self.state.segments.insert(id, Known { segment: segment.clone(), stage: Stage::Sealed { bytes } });
        Ok(())
    }

    fn replay(&mut self, segment: &Segment) -> Result<(), RecoveryError> {
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
        // Everything in a segment was durable before the next one was begun: only the last one can be torn.
        if Some(segment.id()) != self.last
            && let Some(written) = segment.written_end(footer.end)?
        {
            self.damaged(segment, footer.end, written);
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
        if at >= self.topology_from {
            self.state.apply_topology(&record.vhost, &record.change);
            self.entities.apply(record.vhost, record.change);
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

    /// Segments that are live by the last checkpoint, and whose files somebody has taken.
    fn forget_missing(&mut self, segments: &BTreeMap<SegmentId, Arc<Segment>>) {
        let used = self.state.index.segments().iter().filter(|(_, used)| used.live > 0);
        let missing: Vec<SegmentId> =
            used.map(|(id, _)| *id).filter(|id| !segments.contains_key(id)).collect();
        for segment in missing {
            let lost = self.state.index.settle_segment(segment).count;
            tracing::error!(%segment, messages = lost, "a segment of the log is missing; its messages are lost");
        }
    }

    /// Damage may have taken a queue's declaration, or its end before another one got its name.
    fn forget_undeclared(&mut self) {
        let declared: HashSet<QueueId> =
            self.entities.iter().filter_map(|(_, change)| queue_of(change)).collect();
        let known = self.state.index.queues().map(|queue| queue.id);
        let undeclared: Vec<QueueId> = known.filter(|id| !declared.contains(id)).collect();
        for queue in undeclared {
            tracing::error!(?queue, "a queue is not declared any more; its messages are lost");
            self.state.index.remove_queue(queue);
        }
    }

    fn finish(self, kv: Box<dyn KeyValue>, stamp: LogPosition, next_segment: SegmentId) -> Recovered {
        let Self { mut state, entities, report, .. } = self;
        state.applied = LogPosition { segment: next_segment, offset: FIRST_RECORD_OFFSET };
        let contents: HashMap<QueueId, _> = state
            .index
            .queues()
            .filter_map(|queue| Some((queue.id, state.index.restored(queue.id)?)))
            .collect();
        let mut restored = Restored { last_queue: state.index.last_queue(), contents, ..Restored::default() };
        for (vhost, change) in entities.into_vec() {
            restored.topology.entry(vhost).or_default().push(change);
        }
        Recovered { state, kv, stamp, restored, next_segment, report }
    }
}
