//! Durable state: the data folder, the log of everything that must outlive the process, and what is derived from it.
//!
//! The log is the only truth. `format` has its bytes and `segment` its files, `log` writes and `pager` reads, `keeper` keeps the
//! folder in order, `recovery` brings everything back and `fsck` only looks. `index` says what is live, `kv` and `checkpoint` keep that where the
//! log can be replayed from. `files` is the disk. docs/format.md has the format byte by byte.

mod bell;
mod catalog;
pub mod checkpoint;
mod data_dir;
mod failure;
pub mod files;
pub mod format;
pub mod fsck;
pub mod index;
mod keeper;
pub mod kv;
mod log;
mod metrics;
mod pager;
mod position;
mod recovery;
pub mod segment;
mod spares;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

pub use data_dir::{DataDir, DataDirError};
pub use failure::Failure;
pub use metrics::{Metrics, Snapshot};
pub use position::{LogPosition, SegmentId};
pub use recovery::RecoveryError;

use crate::config::StoreConfig;
use crate::core::{
    change::TopologyChange,
    journal::{Forgetful, Journal},
    pager::{Pager, RestoredQueue},
    placement::QueueId,
};
use crate::limits::SEGMENT_HANDLES_MAX;
use crate::protocol::ShortString;
use bell::Bell;
use catalog::Catalog;
use files::{DiskFiles, Files, Handles};
use keeper::Keeper;
use kv::SledHome;
use log::{pending::Pending, writer::Writer};
use pager::LogPager;
use recovery::{Folders, Recovered};
use segment::Segment;
use spares::{KEPT_BYTES, Spares};
use worker::Worker;

/// A journal that is ready, and what it remembers.
pub struct Opened {
    /// Where changes go.
    pub journal: Arc<dyn Journal>,
    /// Where messages come back from.
    pub pager: Arc<dyn Pager>,
    /// What was there before.
    pub restored: Restored,
}

/// What outlived the process before this one.
#[derive(Debug, Default)]
pub struct Restored {
    /// The largest number that a durable queue ever had.
    pub last_queue: u64,
    /// What is declared in each virtual host.
    pub topology: HashMap<ShortString, Vec<TopologyChange>>,
    /// What the queues hold.
    pub contents: HashMap<QueueId, RestoredQueue>,
}

impl Opened {
    /// A journal without a disk.
    pub fn forgetful() -> Self {
        let restored = Restored::default();
        Self { journal: Arc::new(Forgetful), pager: Arc::new(Forgetful), restored }
    }
}

/// The store at work: two threads, and the ways to them.
pub struct Store {
    pending: Arc<Pending>,
    bell: Arc<Bell>,
    log: Worker,
    keeper: Worker,
    failure: Arc<Failure>,
    metrics: Arc<Metrics>,
    disk_low: watch::Receiver<bool>,
}

impl Store {
    /// Recovers what is in `folder` and starts to work on it.
    pub fn open(folder: &Path, config: &StoreConfig) -> Result<(Self, Opened), RecoveryError> {
        let began = Instant::now();
        let folders = folders(folder)?;
        let recovered = recovery::recover(&folders)?;
        let metrics = Arc::new(Metrics::default());
        metrics.recovered(began.elapsed());
        metrics.quarantined(recovered.report.damaged);
        Self::start(folders, recovered, config, metrics)
            .map_err(|source| RecoveryError::Io { path: folder.into(), source })
    }

    fn start(
        folders: Folders,
        recovered: Recovered,
        config: &StoreConfig,
        metrics: Arc<Metrics>,
    ) -> io::Result<(Self, Opened)> {
        let (parts, restored) = Parts::assemble(folders, recovered, config, metrics)?;
        let Parts { writer, keeper, pager, pending, bell, metrics, failure, disk_low } = parts;
        let log = Worker::start("log", log::work(writer, pending.clone(), failure.clone()))?;
        let keeper = Worker::start("keeper", keeper.work(bell.clone()))?;
        let opened = Opened { journal: pending.clone(), pager: Arc::new(pager), restored };
        Ok((Self { pending, bell, log, keeper, failure, metrics, disk_low }, opened))
    }

    /// Whether the disk has less room than it should.
    pub fn disk_low(&self) -> watch::Receiver<bool> {
        self.disk_low.clone()
    }

    /// The error that it cannot go on after, when there is one.
    pub fn failure(&self) -> Arc<Failure> {
        self.failure.clone()
    }

    /// What it has done.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Not all sessions have ended: what their clients hold says redelivered at the next start, as after a crash.
    pub fn cut_short(&self) {
        self.pending.cut_short();
    }

    /// Writes everything that was appended, makes a last checkpoint and ends; blocks for that long, or `at_most`. Nothing may be
    /// appended afterwards. The failure that it cannot go on after, if there was one, or what was not written in that time.
    pub fn close(self, at_most: Duration) -> Result<(), String> {
        let deadline = Instant::now() + at_most;
        self.pending.close();
        if !self.log.ends_by(deadline, &self.failure) {
            let unsynced = self.pending.unsynced();
            tracing::error!(%unsynced, "the disk has not taken everything in time");
            return Err(format!("the disk has not taken everything in time: {unsynced} may be lost"));
        }
        self.bell.end();
        if !self.keeper.ends_by(deadline, &self.failure) {
            // Everything is in the log.
            tracing::warn!("the last checkpoint is not finished: the next start takes longer");
        }
        self.failure.reason().map_or(Ok(()), Err)
    }
}

/// Everything that works on the folder, before it has threads.
struct Parts {
    writer: Writer,
    keeper: Keeper,
    pager: LogPager,
    pending: Arc<Pending>,
    bell: Arc<Bell>,
    metrics: Arc<Metrics>,
    failure: Arc<Failure>,
    disk_low: watch::Receiver<bool>,
}

impl Parts {
    fn assemble(
        folders: Folders,
        recovered: Recovered,
        config: &StoreConfig,
        metrics: Arc<Metrics>,
    ) -> io::Result<(Self, Restored)> {
        let Recovered { state, kv, stamp, restored, next_segment, .. } = recovered;
        let bell = Arc::new(Bell::default());
        let spares =
            Arc::new(Spares::new(folders.log.clone(), config.segment_bytes, next_segment, bell.clone()));
        let first = Arc::new(first_segment(&folders, &spares)?);
        let catalog = Arc::new(Catalog::new(state));
        catalog.lock().open(first.clone());
        let pending = Arc::new(Pending::new());
        let failure = Arc::new(Failure::default());
        let (disk_low, disk_is_low) = watch::channel(false);
        let pager = LogPager {
            catalog: catalog.clone(),
            pending: pending.clone(),
            quarantine: folders.quarantine.clone(),
            metrics: metrics.clone(),
            failure: failure.clone(),
            footers: pager::Footers::default(),
        };
        let writer = Writer::new(pending.clone(), catalog.clone(), spares.clone(), metrics.clone(), first);
        let keeper = Keeper {
            folders,
            catalog,
            spares,
            pending: pending.clone(),
            metrics: metrics.clone(),
            failure: failure.clone(),
            disk_low,
            disk_free_limit: config.disk_free_limit,
            kv: Some(kv),
            stamp,
            checkpointed_at: keeper::long_ago(),
            checkpoint_changes_max: config.checkpoint_changes_max,
            checkpoints_fail: false,
            reclaim: keeper::Reclaim::default(),
            has_reserve: false,
            reported: (Instant::now(), 0),
        };
        let parts = Self { writer, keeper, pager, pending, bell, metrics, failure, disk_low: disk_is_low };
        Ok((parts, restored))
    }
}

/// The segment to begin with. On a full disk it is a small one, in the room that was kept for that.
fn first_segment(folders: &Folders, spares: &Spares) -> io::Result<Segment> {
    let room = u64::from(spares.segment_bytes()) + KEPT_BYTES;
    let has_reserve = folders.root.list()?.iter().any(|name| name == keeper::RESERVE);
    spares.set_reserve_is_gone(!has_reserve && folders.log.free_bytes()? < room);
    if let Some(segment) = spares.take()? {
        return Ok(segment);
    }
    tracing::warn!("the disk is full");
    keeper::release_reserve(folders)?;
    spares.set_reserve_is_gone(true);
    Ok(spares.take_small()?.ok_or(io::ErrorKind::StorageFull)?)
}

/// Whether a thread of that name is one that the key-value store's engine has made: the engine is given up if it fails.
pub fn is_engine_thread(name: &str) -> bool {
    name.starts_with("sled-")
}

fn folders(root: &Path) -> Result<Folders, RecoveryError> {
    let open = |path: PathBuf| -> Result<Arc<dyn Files>, RecoveryError> {
        match DiskFiles::open(path.clone()) {
            Ok(files) => Ok(Arc::new(files)),
            Err(source) => Err(RecoveryError::Io { path, source }),
        }
    };
    Ok(Folders {
        log: Arc::new(Handles::new(open(root.join("log"))?, SEGMENT_HANDLES_MAX)),
        root: open(root.into())?,
        quarantine: open(root.join("quarantine"))?,
        state: Box::new(SledHome(root.join("state"))),
    })
}
