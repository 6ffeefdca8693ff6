//! From what a broker left behind to what the next one begins with.
//!
//! The key-value store says how things were at its stamp; the log is replayed from there, sealed segments by their footers and
//! without reading a message. A segment that is not sealed is scanned, cut at its last sound record and sealed. When the
//! store is lost, what is declared and set comes from the definitions file and everything else from the whole log: messages that may
//! have been settled come again, none is missing. What is damaged is set aside and counted; it never stops the broker.
//! How the log is read is for [`Replay`]; here is decided from where, and what is mended on the way and afterwards.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use super::{
    catalog::State,
    checkpoint::{
        self, Entities, Entity, LoadError,
        definitions::{Definitions, DefinitionsError},
    },
    files::is_out_of_handles,
    folders::{DEFINITIONS, Folders, Found, read_definitions, write_definitions},
    format::Footer,
    index::Index,
    kv::{KeyValue, KvError},
    opened::Restored,
    position::{LogPosition, SegmentId},
    replay::{Repair, Replay, Report, reaches},
    reserve::{self, RESERVE},
    segment::{FIRST_RECORD_OFFSET, Segment, SegmentError, quarantine},
};
use crate::core::{change::TopologyChange, declared::QueueType, placement::QueueId};
use crate::limits::DISK_RESERVE_BYTES;
use crate::protocol::ShortString;

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
    /// The store of derived state can neither be used nor made anew, or a later version has left it half written.
    #[error("{0}")]
    State(#[from] KvError),
    /// A later version wrote to the store of derived state.
    #[error("{0}")]
    LaterState(LoadError),
    /// A later version wrote the definitions file.
    #[error("cannot use the definitions file: {0}")]
    LaterDefinitions(DefinitionsError),
    /// A queue is of a type that this version does not know: to take it for another one would change what it promises.
    #[error("queue '{name}' in vhost '{vhost}' is of a type that this version does not know")]
    QueueType {
        /// Its virtual host.
        vhost: ShortString,
        /// Its name.
        name: ShortString,
    },
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

/// Reads everything back.
pub(super) fn recover(folders: &Folders) -> Result<Recovered, RecoveryError> {
    let began = Instant::now();
    make_room(folders)?;
    let definitions = definitions(folders)?;
    let segments = open_segments(folders)?;
    let (kv, loaded) = open_state(folders, &segments)?;
    let begins_anew = loaded.is_none();
    let is_blank = begins_anew && matches!(definitions, Ok(None));
    let has_definitions = matches!(definitions, Ok(Some(Ok(_))));
    let mut replay = if let Some(loaded) = loaded {
        renew_definitions(folders, &loaded, definitions);
        Replay::from_checkpoint(folders, loaded)
    } else {
        let definitions = definitions_or_none(definitions)?;
        Replay::from_definitions(folders, definitions, !reaches(LOG_START, &segments))
    };
    let stamp = replay.from;
    replay.run(&segments)?;
    check_types(&replay.entities)?;
    if !replay.report.clean {
        replay.state.index.mark_all_redelivered();
    }
    if replay.report.state_lost {
        replay.state.index.bump_positions(POSITIONS_LEFT_OUT);
    }
    if replay.report.state_lost && !has_definitions {
        lose_users(&mut replay.entities);
    }
    if begins_anew {
        replay.state.index.forget_checkpoint();
        replay.state.entities = replay.entities.iter().cloned().collect();
    }
    forget_undeclared(&mut replay.state.index, &replay.entities);
    forget_missing(&mut replay.state.index, &segments);
    let next_segment = segments.keys().next_back().map_or(SegmentId(1), |last| SegmentId(last.0 + 1));
    let next_segment = next_segment.max(stamp.segment);
    let mut recovered = finish(replay, kv, stamp, next_segment);
    recovered.restored.is_new = is_blank && recovered.report.is_blank();
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
            Err(error @ LoadError::Version { .. }) => return Err(RecoveryError::LaterState(error)),
            Err(error) => error.to_string(),
        },
        // Nothing says that it is damaged: it may be whole when the cause is gone.
        Err(KvError::Io(error)) if is_passing(&error) => return Err(KvError::Io(error).into()),
        Err(error @ KvError::Version(_)) => return Err(error.into()),
        Err(error) => error.to_string(),
    };
    if reaches(LOG_START, segments) {
        tracing::error!(%why, "derived state is lost and made again from the log, which has everything");
    } else {
        tracing::error!(%why, "derived state is lost and made again from the log: messages may come twice");
    }
    Ok((folders.state.reset()?, None))
}

/// Whether an error is about this moment, and not about the files.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kinds = [OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull];
    kinds.contains(&error.kind()) || is_out_of_handles(error)
}

/// The definitions file, which need not be one that can be used; but one of a later version is refused.
fn definitions(folders: &Folders) -> Result<io::Result<Found>, RecoveryError> {
    match read_definitions(&*folders.root) {
        Ok(Some(Err(error @ DefinitionsError::Version(_)))) => Err(RecoveryError::LaterDefinitions(error)),
        found => Ok(found),
    }
}

fn definitions_or_none(found: io::Result<Found>) -> Result<Definitions, RecoveryError> {
    let failed = |source| RecoveryError::Io { path: PathBuf::from(DEFINITIONS), source };
    Ok(match found.map_err(failed)? {
        Some(Ok(definitions)) => definitions,
        Some(Err(error)) => {
            tracing::error!(%error, "the definitions file is lost too");
            Definitions::default()
        }
        None => Definitions::default(),
    })
}

/// A crash between a checkpoint and its definitions leaves these behind, and nothing but them would know the topology if the
/// key-value store were lost later.
fn renew_definitions(folders: &Folders, loaded: &checkpoint::Loaded, found: io::Result<Found>) {
    let checkpoint::Loaded { stamp, ref index, ref entities } = *loaded;
    let last_queue = index.last_queue();
    let renewed = found.and_then(|known| {
        let known = known.and_then(Result::ok);
        if known.is_some_and(|known| known.last_queue == last_queue && known.entities == *entities) {
            return Ok(());
        }
        let definitions = Definitions { stamp, last_queue, entities: entities.clone() };
        write_definitions(&*folders.root, &definitions)
    });
    if let Err(error) = renewed {
        tracing::warn!(%error, "the definitions file stays behind the last checkpoint");
    }
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

    fn unfinished(&self, segment: &Segment, bytes: Range<u32>) {
        let (segment, bytes) = (segment.id(), bytes.len());
        tracing::warn!(%segment, bytes, "a transaction or a large message that was being written is not whole: it is left out");
    }

    fn unsealed(&self, segment: &Segment, footer: Footer) -> io::Result<()> {
        let Footer { slots, others, end } = footer;
        segment.cut(end)?;
        segment.seal(end, slots, others)?;
        Ok(())
    }
}

/// All queues that are declared are of a type that is known.
pub(super) fn check_types(entities: &Entities) -> Result<(), RecoveryError> {
    for entity in entities.iter() {
        if let Entity::Topology { vhost, change: TopologyChange::QueueDeclared { name, arguments, .. } } =
            entity
            && !QueueType::is_known(arguments)
        {
            return Err(RecoveryError::QueueType { vhost: vhost.clone(), name: name.clone() });
        }
    }
    Ok(())
}

/// Nobody knows whether there were users. The one that a new broker begins with might be one that somebody has deleted.
fn lose_users(entities: &mut Entities) {
    if !entities.iter().any(|entity| *entity == Entity::UsersSetUp) {
        tracing::error!("users are lost, if there were any: no default user is made, load definitions");
        entities.apply(Entity::UsersSetUp);
    }
}

fn queue_of(entity: &Entity) -> Option<QueueId> {
    match entity {
        Entity::Topology { change: TopologyChange::QueueDeclared { id, .. }, .. } => Some(*id),
        _ => None,
    }
}

/// Segments that are live by the last checkpoint, and whose files somebody has taken.
fn forget_missing(index: &mut Index, segments: &BTreeMap<SegmentId, Arc<Segment>>) {
    let used = index.segments().iter().filter(|(_, used)| used.live > 0);
    let missing: Vec<SegmentId> = used.map(|(id, _)| *id).filter(|id| !segments.contains_key(id)).collect();
    for segment in missing {
        let lost = index.settle_segment(segment).count;
        tracing::error!(%segment, messages = lost, "a segment of the log is missing; its messages are lost");
    }
}

/// Damage may have taken a queue's declaration, or its end before another one got its name.
fn forget_undeclared(index: &mut Index, entities: &Entities) {
    let declared: HashSet<QueueId> = entities.iter().filter_map(queue_of).collect();
    let known = index.queues().map(|queue| queue.id);
    let undeclared: Vec<QueueId> = known.filter(|id| !declared.contains(id)).collect();
    for queue in undeclared {
        tracing::error!(?queue, "a queue is not declared any more; its messages are lost");
        index.remove_queue(queue);
    }
}

fn finish(
    replay: Replay<'_>,
    kv: Box<dyn KeyValue>,
    stamp: LogPosition,
    next_segment: SegmentId,
) -> Recovered {
    let Replay { mut state, entities, report, .. } = replay;
    state.applied = LogPosition { segment: next_segment, offset: FIRST_RECORD_OFFSET };
    let contents: HashMap<QueueId, _> =
        state.index.queues().filter_map(|queue| Some((queue.id, state.index.restored(queue.id)?))).collect();
    let mut restored = Restored { last_queue: state.index.last_queue(), contents, ..Restored::default() };
    for entity in entities.into_vec() {
        match entity {
            Entity::Topology { vhost, change } => restored.topology.entry(vhost).or_default().push(change),
            Entity::Access(change) => restored.access.push(change),
            Entity::UsersSetUp => restored.had_users = true,
        }
    }
    Recovered { state, kv, stamp, restored, next_segment, report }
}
