//! What a broker would find in a data folder, and what is damaged there.
//!
//! Replays the log as recovery does, then reads every record of it. The folder is only read: segments are neither cut nor
//! sealed, and the key-value store, whose engine writes when it is opened, is opened as a copy elsewhere. A report is a
//! value; it is printed by `cli`. What a crash leaves behind (a torn tail, an unfinished group) is no flaw.

mod counting;
mod declared;
mod report;
mod segment;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use declared::{Declared, ParameterReport, UserReport, VhostReport};
pub use report::{Checkpoint, Flaw, QueueReport, Records, Report, Sizes};

use super::{
    checkpoint::{
        self, Entities, LoadError, Loaded,
        definitions::{Definitions, DefinitionsError},
    },
    data_dir::DataDir,
    files::{Files, handles::Handles, read_only::ReadOnlyFiles},
    folders::{DEFINITIONS, read_definitions},
    format::Footer,
    kv::{KvError, SledKv},
    position::SegmentId,
    recovery::{RecoveryError, check_types},
    replay::{Repair, Replay, reaches},
    segment::{FIRST_RECORD_OFFSET, Segment, SegmentError},
};
use crate::limits::SEGMENT_HANDLES_MAX;
use segment::Check;

/// Why a folder cannot be checked; one line for people.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// A file or folder cannot be read, or the copy not be made.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log cannot be read, or is of another version.
    #[error(transparent)]
    Log(#[from] RecoveryError),
    /// The definitions file is of another version.
    #[error(transparent)]
    Definitions(DefinitionsError),
}

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the log that were checked.
    pub done_bytes: u64,
    /// Bytes of the log.
    pub total_bytes: u64,
}

/// Checks a folder that no broker uses, and tells `progress` now and then how far it is.
pub fn check(folder: &DataDir, mut progress: impl FnMut(Progress)) -> Result<Report, FsckError> {
    let root = folder.path();
    let mut report = Report::default();
    let segments = open_segments(&root.join("log"), &mut report)?;
    report.quarantined = quarantined(&root.join("quarantine"))?;
    let definitions = definitions(root, &mut report)?;
    let loaded = load_state(&root.join("state"), &segments, definitions.as_ref(), &mut report)?;
    if let (Some(loaded), Some(definitions)) = (&loaded, &definitions) {
        compare(loaded, definitions, &mut report);
    }
    let mut replay = match loaded {
        Some(loaded) => Replay::from_checkpoint(&NoRepair, loaded),
        None => Replay::from_definitions(&NoRepair, definitions.unwrap_or_default(), segments.is_empty()),
    };
    replay.run(&segments).map_err(RecoveryError::from)?;
    check_types(&replay.entities)?;
    report.clean = replay.report.clean;
    let mut check = Check::new(&replay.state.index, report);
    check_segments(&mut check, &segments, &mut progress)?;
    let mut report = check.finish();
    report.count_declared(&replay.entities);
    report.queues.sort_by(|one, other| {
        other
            .messages
            .cmp(&one.messages)
            .then_with(|| (&one.vhost, &one.name).cmp(&(&other.vhost, &other.name)))
    });
    Ok(report)
}

fn check_segments(
    check: &mut Check<'_>,
    segments: &Segments,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), FsckError> {
    let last = last_used(segments)?;
    let total_bytes = segments.values().map(|segment| segment.len_bytes().unwrap_or(0)).sum();
    let mut before = 0;
    for (&id, segment) in segments {
        let failed = |source| RecoveryError::from(SegmentError::Io { id, source });
        let mut at = |offset: u32| progress(Progress { done_bytes: before + u64::from(offset), total_bytes });
        check.segment(segment, id >= last, &mut at).map_err(failed)?;
        before += segment.len_bytes().map_err(failed)?;
    }
    Ok(())
}

/// Leaves everything as it is. What is damaged is told by the check of each segment.
struct NoRepair;

impl Repair for NoRepair {
    fn damaged(&self, _segment: &Segment, _bytes: Range<u32>) {}

    fn unfinished(&self, _segment: &Segment, _bytes: Range<u32>) {}

    fn unsealed(&self, _segment: &Segment, _footer: Footer) -> io::Result<()> {
        Ok(())
    }
}

type Segments = BTreeMap<SegmentId, Arc<Segment>>;

/// All segments with a header, in order.
fn open_segments(folder: &Path, report: &mut Report) -> Result<Segments, FsckError> {
    let files = Handles::new(Arc::new(ReadOnlyFiles::new(folder.into())), SEGMENT_HANDLES_MAX);
    let mut segments = Segments::new();
    for name in files.list().map_err(|source| unreadable(folder, source))? {
        let Some(id) = SegmentId::from_file_name(&name) else { continue };
        match Segment::open(&files, id) {
            Ok(segment) => drop(segments.insert(id, Arc::new(segment))),
            Err(SegmentError::Blank(_)) => report.sizes.blank += 1,
            Err(SegmentError::NotASegment(_)) => report.flaws.push(Flaw::NotASegment { segment: id }),
            Err(error) => return Err(RecoveryError::from(error).into()),
        }
    }
    Ok(segments)
}

/// The last segment with a record; what stands behind it is empty.
fn last_used(segments: &Segments) -> Result<SegmentId, FsckError> {
    for (&id, segment) in segments.iter().rev() {
        let failed = |source| RecoveryError::from(SegmentError::Io { id, source });
        let mut scan = segment.scan(FIRST_RECORD_OFFSET).map_err(failed)?;
        if scan.advance().map_err(failed)?.is_some() {
            return Ok(id);
        }
    }
    Ok(SegmentId::default())
}

fn quarantined(folder: &Path) -> Result<Vec<String>, FsckError> {
    match ReadOnlyFiles::new(folder.into()).list() {
        Ok(names) => Ok(names),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(unreadable(folder, source)),
    }
}

fn definitions(root: &Path, report: &mut Report) -> Result<Option<Definitions>, FsckError> {
    let found = read_definitions(&ReadOnlyFiles::new(root.into()));
    match found.map_err(|source| unreadable(&root.join(DEFINITIONS), source))? {
        Some(Ok(definitions)) => {
            report.definitions = Some(definitions.entities.len());
            Ok(Some(definitions))
        }
        Some(Err(error @ DefinitionsError::Version(_))) => Err(FsckError::Definitions(error)),
        Some(Err(error)) => {
            report.flaws.push(Flaw::Definitions(error));
            Ok(None)
        }
        None => Ok(None),
    }
}

/// What the key-value store has, unless it is lost, or none was written yet.
fn load_state(
    folder: &Path,
    segments: &Segments,
    definitions: Option<&Definitions>,
    report: &mut Report,
) -> Result<Option<Loaded>, FsckError> {
    let copy = tempfile::tempdir().map_err(|source| unreadable(&std::env::temp_dir(), source))?;
    copy_folder(folder, copy.path())?;
    let loaded = match SledKv::open(copy.path()) {
        Ok(kv) => match checkpoint::load(&kv) {
            Err(error @ LoadError::Version { .. }) => return Err(RecoveryError::LaterState(error).into()),
            loaded => loaded.map_err(|error| error.to_string()),
        },
        Err(error @ KvError::Version(_)) => return Err(RecoveryError::State(error).into()),
        Err(error) => Err(error.to_string()),
    };
    let is_whole = |loaded: &Loaded| reaches(loaded.stamp, segments);
    let why = match loaded {
        Ok(Some(loaded)) if is_whole(&loaded) => {
            report.checkpoint = Checkpoint::Whole(loaded.stamp);
            return Ok(Some(loaded));
        }
        Ok(Some(loaded)) => format!(
            "the log does not go back to segment {}, offset {}, which it reflects",
            loaded.stamp.segment, loaded.stamp.offset
        ),
        // Nothing is missing: a checkpoint comes soon after the first change, but not at once.
        Ok(None) if definitions.is_none() && is_whole_from_first(segments) => return Ok(None),
        Ok(None) => "it is empty".to_owned(),
        Err(why) => why,
    };
    report.checkpoint = Checkpoint::Lost;
    report.flaws.push(Flaw::State { why });
    Ok(None)
}

fn is_whole_from_first(segments: &Segments) -> bool {
    segments.keys().zip(1..).all(|(id, expected)| id.0 == expected)
}

/// Definitions of the same moment say the same.
fn compare(loaded: &Loaded, definitions: &Definitions, report: &mut Report) {
    let entities = |changes: &[_]| changes.iter().cloned().collect::<Entities>();
    if loaded.stamp == definitions.stamp && entities(&loaded.entities) != entities(&definitions.entities) {
        report.flaws.push(Flaw::DefinitionsDiffer);
    }
}

/// Files and folders below `from`, if there is any.
fn copy_folder(from: &Path, to: &Path) -> Result<(), FsckError> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|source| unreadable(from, source))?,
    };
    for entry in entries {
        let entry = entry.map_err(|source| unreadable(from, source))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let failed = |error| unreadable(&source, error);
        if entry.file_type().map_err(failed)?.is_dir() {
            fs::create_dir(&target).map_err(failed)?;
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(failed)?;
        }
    }
    Ok(())
}

fn unreadable(path: &Path, source: io::Error) -> FsckError {
    FsckError::Io { path: path.into(), source }
}
