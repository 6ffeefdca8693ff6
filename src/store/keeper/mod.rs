//! Keeps the folder in order, on a thread of its own: seals full segments, has the next one ready, watches the room on the
//! disk, makes checkpoints, deletes segments that nobody needs and rewrites sparse ones.
//!
//! Nothing that was confirmed depends on it: without it the log only grows. It never holds up the writer but for the
//! catalog's short lock.

mod reclaim;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) use reclaim::Reclaim;
use tokio::sync::watch;

use super::{
    bell::Bell,
    catalog::{Catalog, SegmentStage, State},
    checkpoint::{self, Entity, definitions::Definitions},
    failure::Failure,
    files::is_full,
    folders::{Folders, read_definitions, write_definitions},
    index::IndexChanges,
    kv::{KeyValue, KvError},
    metrics::Metrics,
    position::{LogPosition, SegmentId},
    reserve,
    spares::Spares,
};
use crate::audit;
use crate::limits::{
    CHECKPOINT_CHANGES_MAX, CHECKPOINT_INTERVAL, CHECKPOINT_INTERVAL_MIN, CHECKPOINT_LOG_BYTES,
    DISK_RESERVE_BYTES, KEEPER_INTERVAL, STORAGE_REPORT_INTERVAL,
};

/// What the keeper works with.
pub(super) struct Keeper {
    pub(super) folders: Folders,
    pub(super) catalog: Arc<Catalog>,
    pub(super) spares: Arc<Spares>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) failure: Arc<Failure>,
    pub(super) disk_low: watch::Sender<bool>,
    pub(super) disk_free_limit: u64,
    /// `None` after it failed: it is made again from the definitions file and the index.
    pub(super) kv: Option<Box<dyn KeyValue>>,
    /// What the last checkpoint reflects.
    pub(super) stamp: LogPosition,
    pub(super) checkpointed_at: Instant,
    /// The last checkpoint was not made; that is told once, not each second.
    pub(super) checkpoints_fail: bool,
    pub(super) reclaim: Reclaim,
    pub(super) has_reserve: bool,
    pub(super) reported: (Instant, u64),
}

/// Why a checkpoint was not made.
#[derive(Debug, thiserror::Error)]
enum CheckpointError {
    #[error(transparent)]
    State(#[from] KvError),
    #[error(transparent)]
    Load(#[from] checkpoint::LoadError),
    #[error("definitions file: {0}")]
    Definitions(#[from] io::Error),
}

impl Keeper {
    /// What the keeper's thread does. It ends with the bell, after a last checkpoint.
    pub(super) fn work(mut self, bell: Arc<Bell>) -> impl FnOnce() + Send + 'static {
        let failure = self.failure.clone();
        move || {
            failure.guard(|| {
                while bell.wait(KEEPER_INTERVAL) && self.failure.reason().is_none() {
                    self.tick();
                }
                self.finish();
            });
        }
    }

    fn tick(&mut self) {
        if let Err(error) = self.spares.provide() {
            self.failure.report(&format!("cannot make a segment of the log: {error}"));
        }
        self.watch_disk();
        self.seal_closed();
        if self.is_checkpoint_due() {
            self.checkpoint();
        }
        self.delete_dead();
        self.reclaim.step(self.stamp);
        let segments = self.catalog.lock().segments.len();
        self.metrics.has_segments(segments);
        self.report();
    }

    /// The writer has ended: everything is sealed, checkpointed, and what nobody needs deleted.
    pub(super) fn finish(&mut self) {
        self.seal_closed();
        if self.failure.reason().is_none() {
            self.checkpoint();
            self.delete_dead();
        }
        self.spares.discard();
        tracing::info!("storage: {}", self.metrics.snapshot());
    }

    // ---- segments ----

    pub(super) fn seal_closed(&mut self) {
        let closed: Vec<_> = {
            let catalog = self.catalog.lock();
            let closed = catalog.segments.values().filter_map(|known| match &known.stage {
                SegmentStage::Closed { table, end } => Some((known.segment.clone(), table.clone(), *end)),
                SegmentStage::Open(_) | SegmentStage::Sealed { .. } => None,
            });
            closed.collect()
        };
        for (segment, table, end) in closed {
            let footer = table.footer(end);
            let sealed = segment.seal(end, footer.slots, footer.others).and_then(|_| {
                // The writer's handle is given back.
                let read = segment.with_file(self.folders.log.open(&segment.id().file_name())?);
                Ok((read, segment.len_bytes()?))
            });
            match sealed {
                Ok((read, bytes)) => {
                    self.metrics.written((bytes - u64::from(end)) as usize);
                    self.catalog.lock().sealed(read, bytes);
                }
                // Its records are durable without a footer; there is room for one later.
                Err(error) if is_full(&error) => return,
                Err(error) => {
                    self.failure.report(&format!("cannot seal segment {}: {error}", segment.id()));
                    return;
                }
            }
        }
    }

    /// Deletes segments of which nothing is live, and that the last checkpoint has passed.
    pub(super) fn delete_dead(&mut self) {
        let dead: Vec<(SegmentId, u64)> = {
            let catalog = self.catalog.lock();
            let before = catalog.segments.range(..self.stamp.segment);
            let dead = before.filter_map(|(id, known)| match known.stage {
                SegmentStage::Sealed { bytes }
                    if catalog.index.segments().get(id).is_none_or(|it| it.live == 0) =>
                {
                    Some((*id, bytes))
                }
                _ => None,
            });
            dead.collect()
        };
        for (id, bytes) in dead {
            if let Err(error) = self.folders.log.remove(&id.file_name()) {
                tracing::warn!(segment = %id, %error, "a segment that nobody needs cannot be deleted");
                return;
            }
            let mut catalog = self.catalog.lock();
            catalog.segments.remove(&id);
            catalog.index.forget_segment(id);
            drop(catalog);
            self.metrics.deleted(bytes);
            tracing::debug!(segment = %id, bytes, "segment deleted");
        }
    }

    // ---- the disk ----

    pub(super) fn watch_disk(&mut self) {
        let free = match self.folders.log.free_bytes() {
            Ok(free) => free,
            Err(error) => {
                tracing::warn!(%error, "cannot tell how much room the disk has");
                return;
            }
        };
        let full = self.spares.disk_is_full();
        let low = full || free < self.disk_free_limit;
        let changed = self.disk_low.send_if_modified(|before| std::mem::replace(before, low) != low);
        if changed && low {
            let limit = self.disk_free_limit;
            audit::disk_alarm_raised(free, limit, full);
        } else if changed {
            audit::disk_alarm_cleared(free);
        }
        self.keep_reserve(full, low);
    }

    fn keep_reserve(&mut self, full: bool, low: bool) {
        if full && std::mem::take(&mut self.has_reserve) {
            self.spares.set_reserve_is_gone(true);
            if let Err(error) = reserve::release(&*self.folders.root) {
                tracing::warn!(%error, "the reserve cannot be set free");
            }
        } else if !low && !self.has_reserve {
            match reserve::make(&*self.folders.root) {
                Ok(()) => {
                    self.has_reserve = true;
                    self.spares.set_reserve_is_gone(false);
                }
                // It is tried again; without room for it the next segment will not fit either, and that is told.
                Err(error) => tracing::debug!(%error, "no reserve"),
            }
        }
    }

    // ---- checkpoints ----

    pub(super) fn is_checkpoint_due(&self) -> bool {
        let mut catalog = self.catalog.lock();
        let is_due = self.would_be_due(&catalog);
        let is_late = self.checkpointed_at.elapsed() >= CHECKPOINT_INTERVAL;
        catalog.checkpoint_waits = is_due && is_late && !catalog.unfinished.is_empty();
        is_due && catalog.unfinished.is_empty()
    }

    fn would_be_due(&self, catalog: &State) -> bool {
        let since = self.checkpointed_at.elapsed();
        if !self.checkpoints_fail && catalog.index.has_changes(CHECKPOINT_CHANGES_MAX) {
            return true;
        }
        if since < CHECKPOINT_INTERVAL_MIN {
            return false;
        }
        if catalog.applied == self.stamp && catalog.entities.is_empty() {
            return false;
        }
        let newer = catalog.segments.range(self.stamp.segment..);
        let (mut log_bytes, mut has_dead) = (0, false);
        for (id, known) in newer {
            if let SegmentStage::Sealed { bytes } = known.stage {
                log_bytes += bytes;
                has_dead |= catalog.index.segments().get(id).is_none_or(|it| it.live == 0);
            }
        }
        has_dead || log_bytes >= CHECKPOINT_LOG_BYTES || since >= CHECKPOINT_INTERVAL
    }

    pub(super) fn checkpoint(&mut self) {
        let began = Instant::now();
        let before = std::mem::replace(&mut self.checkpointed_at, began);
        match self.try_checkpoint() {
            // It is as late as it was.
            Ok(None) => self.checkpointed_at = before,
            Ok(Some(keys)) => {
                self.metrics.checkpointed();
                let took_ms = began.elapsed().as_millis() as u64;
                tracing::debug!(segment = %self.stamp.segment, keys, took_ms, "checkpoint");
                if std::mem::take(&mut self.checkpoints_fail) {
                    tracing::info!("checkpoints are made again");
                }
            }
            Err(error) => {
                if std::mem::replace(&mut self.checkpoints_fail, true) {
                    tracing::debug!(%error, "still no checkpoint");
                } else {
                    tracing::error!(%error, "no checkpoint: the log grows until there is one");
                }
                // The store itself is in order when the file beside it was not written.
                if !matches!(error, CheckpointError::Definitions(_)) {
                    self.kv = None;
                }
            }
        }
    }

    /// Gives how many keys changed; `None` if it is not the time for one.
    fn try_checkpoint(&mut self) -> Result<Option<usize>, CheckpointError> {
        if !self.catalog.lock().unfinished.is_empty() {
            return Ok(None);
        }
        let revived = self.revive()?;
        let mut catalog = self.catalog.lock();
        if !catalog.unfinished.is_empty() {
            if revived.is_some() {
                self.kv = None;
            }
            return Ok(None);
        }
        if revived.is_some() {
            catalog.index.forget_checkpoint();
        }
        let stamp = catalog.applied;
        let index = catalog.index.take_changes();
        let pending = std::mem::take(&mut catalog.entities);
        drop(catalog);
        let mut entities = revived.unwrap_or_default();
        let known = entities.len();
        entities.extend(pending);
        let result = self.write_checkpoint(stamp, &index, &entities);
        if result.is_ok() {
            self.stamp = stamp;
        } else {
            let mut catalog = self.catalog.lock();
            let newer = std::mem::take(&mut catalog.entities);
            catalog.entities = entities.split_off(known);
            catalog.entities.extend(newer);
        }
        result.map(Some)
    }

    fn write_checkpoint(
        &mut self,
        stamp: LogPosition,
        index: &IndexChanges,
        entities: &[Entity],
    ) -> Result<usize, CheckpointError> {
        let batch = checkpoint::batch(stamp, index, entities);
        let keys = batch.len();
        let Some(kv) = &mut self.kv else { return Err(KvError::Failed.into()) };
        kv.apply(batch)?;
        kv.flush()?;
        if !entities.is_empty() {
            let entities = checkpoint::entities(&**kv)?;
            let definitions = Definitions { stamp, last_queue: index.last_queue, entities };
            write_definitions(&*self.folders.root, &definitions)?;
        }
        Ok(keys)
    }

    /// After the store failed: an empty one, and what was declared and set as the last checkpoint had it.
    fn revive(&mut self) -> Result<Option<Vec<Entity>>, CheckpointError> {
        if self.kv.is_some() {
            return Ok(None);
        }
        // The old one is good until there is room for a whole new one.
        if self.spares.disk_is_full() || self.folders.log.free_bytes()? < DISK_RESERVE_BYTES {
            return Err(KvError::Io(io::ErrorKind::StorageFull.into()).into());
        }
        let definitions = read_definitions(&*self.folders.root)?.transpose().map_err(io::Error::other)?;
        self.kv = Some(self.folders.state.reset()?);
        Ok(Some(definitions.unwrap_or_default().entities))
    }

    fn report(&mut self) {
        let (at, commits) = self.reported;
        if at.elapsed() < STORAGE_REPORT_INTERVAL {
            return;
        }
        let now = self.metrics.snapshot();
        if now.commits > commits {
            tracing::info!("storage: {now}");
        }
        self.reported = (Instant::now(), now.commits);
    }
}

/// A moment long enough ago for everything to be due.
pub(super) fn long_ago() -> Instant {
    Instant::now().checked_sub(Duration::from_hours(1)).unwrap_or_else(Instant::now)
}
