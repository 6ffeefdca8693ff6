//! The store put together: recovery, the writer of the log, the keeper and the pager on one data folder, and their threads.
//!
//! This file alone knows all the parts and chooses their disk. The parts share the catalog and what waits for the log; none of
//! them knows how it was made, and [`Parts`] can be moved step by step without a thread.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    bell::Bell,
    catalog::Catalog,
    failure::Failure,
    files::{Files, disk::DiskFiles, handles::Handles},
    folders::Folders,
    keeper::{self, Keeper},
    kv::SledHome,
    log::{
        self,
        pending::Pending,
        writer::{Writer, aside::aside_bytes},
    },
    metrics::Metrics,
    opened::{Opened, Restored},
    pager::{self, LogPager},
    recovery::{self, Recovered, RecoveryError},
    reserve,
    segment::Segment,
    spares::{KEPT_BYTES, Spares},
    worker::Worker,
};
use crate::config::StoreConfig;
use crate::limits::SEGMENT_HANDLES_MAX;

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

    pub(super) fn start(
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
pub(super) struct Parts {
    pub(super) writer: Writer,
    pub(super) keeper: Keeper,
    pub(super) pager: LogPager,
    pub(super) pending: Arc<Pending>,
    pub(super) bell: Arc<Bell>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) failure: Arc<Failure>,
    pub(super) disk_low: watch::Receiver<bool>,
}

impl Parts {
    pub(super) fn assemble(
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
        metrics.has_segments(catalog.lock().segments.len());
        let pending = Arc::new(Pending::new(aside_bytes(config.segment_bytes)));
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
        let reclaim = keeper::Reclaim::new(
            catalog.clone(),
            spares.clone(),
            pending.clone(),
            folders.quarantine.clone(),
            metrics.clone(),
        );
        let keeper = Keeper {
            folders,
            catalog,
            spares,
            metrics: metrics.clone(),
            failure: failure.clone(),
            disk_low,
            disk_free_limit: config.disk_free_limit,
            kv: Some(kv),
            stamp,
            checkpointed_at: keeper::long_ago(),
            checkpoints_fail: false,
            reclaim,
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
    let has_reserve = reserve::is_there(&*folders.root)?;
    spares.set_reserve_is_gone(!has_reserve && folders.log.free_bytes()? < room);
    if let Some(segment) = spares.take()? {
        return Ok(segment);
    }
    tracing::warn!("the disk is full");
    reserve::release(&*folders.root)?;
    spares.set_reserve_is_gone(true);
    Ok(spares.take_small()?.ok_or(io::ErrorKind::StorageFull)?)
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
