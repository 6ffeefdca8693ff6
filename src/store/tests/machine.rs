//! A machine for the store: one disk with its three folders, the key-value store, and power that goes off for all of them
//! at once. And the store's parts on it, which take a step when a test says so.

use std::{io, sync::Arc, time::Duration};

use crate::{
    config::StoreConfig,
    core::{
        change::{Change, Changes},
        commit::Commit,
        pager::{Loaded, Pager},
        placement::QueueId,
    },
    store::{
        Metrics, RecoveryError, Restored, SegmentId,
        assembly::Parts,
        files::{File, Files, handles::Handles, sim::SimDisk},
        folders::Folders,
        kv::memory::{MemoryHome, MemoryKv},
        log::pending::Taken,
        recovery,
        replay::Report,
    },
};

/// Sealed segments that are open at once.
pub(super) const HANDLES_MAX: usize = 2;
pub(super) const LOG: &str = "log/";
const ROOT: &str = "root/";
const QUARANTINE: &str = "quarantine/";

/// A disk whose power can fail.
pub(super) struct Machine {
    pub(super) disk: SimDisk,
    pub(super) kv: MemoryHome,
    pub(super) segment_bytes: u32,
}

impl Machine {
    pub(super) fn new(segment_bytes: u32) -> Self {
        let disk = SimDisk::new();
        Self { kv: MemoryHome::new(disk.clone()), disk, segment_bytes }
    }

    /// What a power cut leaves.
    pub(super) fn power_cut(&self, seed: u64) -> Self {
        let disk = self.disk.crash(seed);
        let kv = self.kv.crash((seed % 3) as usize, disk.clone());
        Self { disk, kv, segment_bytes: self.segment_bytes }
    }

    /// What is there after the process was killed.
    pub(super) fn kill(&self) -> Self {
        let disk = self.disk.kill();
        let kv = self.kv.crash(usize::MAX, disk.clone());
        Self { disk, kv, segment_bytes: self.segment_bytes }
    }

    pub(super) fn folders(&self) -> Folders {
        self.folders_with(self.log())
    }

    /// Few of its files are open at once.
    fn log(&self) -> Arc<dyn Files> {
        let log = Folder { disk: self.disk.clone(), prefix: LOG };
        Arc::new(Handles::new(Arc::new(log), HANDLES_MAX))
    }

    fn folders_with(&self, log: Arc<dyn Files>) -> Folders {
        let folder = |prefix| Arc::new(Folder { disk: self.disk.clone(), prefix });
        Folders { log, root: folder(ROOT), quarantine: folder(QUARANTINE), state: Box::new(self.kv.clone()) }
    }

    /// Recovers what is there and starts to work on it.
    pub(super) fn start(&self) -> Result<(Running, Restored, Report), RecoveryError> {
        let log = self.log();
        let recovered = recovery::recover(&self.folders_with(log.clone()))?;
        let report = recovered.report;
        let config = StoreConfig { segment_bytes: self.segment_bytes, disk_free_limit: 0 };
        let started =
            Parts::assemble(self.folders_with(log), recovered, &config, Arc::new(Metrics::default()));
        let (parts, restored) = started.map_err(|source| RecoveryError::Io { path: "log".into(), source })?;
        Ok((Running { parts }, restored, report))
    }

    /// The key-value store is empty from now on.
    pub(super) fn lose_state(&self) {
        *self.kv.store.lock() = MemoryKv::default();
    }

    /// Names of the log's files.
    pub(super) fn segments(&self) -> Vec<SegmentId> {
        let names = self.folders().log.list().unwrap();
        names.iter().filter_map(|name| SegmentId::from_file_name(name)).collect()
    }
}

/// A store at work.
pub(super) struct Running {
    pub(super) parts: Parts,
}

impl Running {
    pub(super) fn append(&self, changes: Changes, atomic: bool) -> Commit {
        let mut changes = changes;
        self.parts.pending.append(&mut changes, atomic)
    }

    pub(super) fn append_one(&self, change: Change) -> Commit {
        self.append(vec![change], false)
    }

    /// Whether everybody was told that a commit is complete.
    pub(super) fn is_done(&self, commit: Commit) -> bool {
        self.parts.pending.is_done(commit)
    }

    /// The last commit that everybody was told of.
    pub(super) fn done(&self) -> Commit {
        let mut done = Commit(0);
        while self.is_done(Commit(done.0 + 1)) {
            done.0 += 1;
        }
        done
    }

    /// All that was appended, and what is written aside of it; or what was held back once more.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.write_batch()?;
        while self.parts.pending.has_batches() || self.parts.writer.has_asides() {
            self.write_some()?;
        }
        Ok(())
    }

    /// One batch, and a slice of what is written aside.
    pub(super) fn write_some(&mut self) -> io::Result<()> {
        self.write_batch()?;
        self.parts.writer.write_aside()
    }

    fn write_batch(&mut self) -> io::Result<()> {
        match self.parts.pending.take(Some(Duration::ZERO)) {
            Taken::Batch(batch, commit) => self.parts.writer.commit(batch, commit),
            Taken::Nothing if self.parts.writer.has_asides() => Ok(()),
            Taken::Nothing if self.parts.writer.is_held_up() => self.parts.writer.retry(),
            Taken::Nothing | Taken::End => Ok(()),
        }
    }

    /// One of the keeper's steps.
    pub(super) fn keep(&mut self, what: Keep) {
        let keeper = &mut self.parts.keeper;
        match what {
            Keep::Provide => keeper.spares.provide().unwrap_or_else(|_| keeper.failure.report("no segment")),
            Keep::Seal => keeper.seal_closed(),
            Keep::Checkpoint => keeper.checkpoint(),
            Keep::Delete => keeper.delete_dead(),
            Keep::Reclaim => {
                keeper.reclaim.allowance = None;
                keeper.reclaim.step(keeper.stamp);
            }
        }
    }

    /// All of them.
    pub(super) fn keep_all(&mut self) {
        for what in Keep::ALL {
            self.keep(what);
        }
    }

    /// Ends in order.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.write()?;
        self.parts.pending.close();
        self.parts.writer.finish()?;
        self.parts.keeper.finish();
        Ok(())
    }

    /// Everything that a queue has on disk.
    pub(super) fn load(&self, queue: QueueId, bytes_max: usize) -> Vec<Loaded> {
        self.load_between(queue, 0, u64::MAX - 1, bytes_max)
    }

    pub(super) fn load_between(
        &self,
        queue: QueueId,
        first: u64,
        last: u64,
        bytes_max: usize,
    ) -> Vec<Loaded> {
        let mut all = Vec::new();
        let mut from = Some(first);
        while let Some(first) = from {
            let page = self.parts.pager.load(queue, first, last, bytes_max).unwrap();
            all.extend(page.messages);
            from = page.rest_from;
        }
        all
    }
}

/// What the keeper does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keep {
    Provide,
    Seal,
    Checkpoint,
    Delete,
    Reclaim,
}

impl Keep {
    pub(super) const ALL: [Self; 5] =
        [Self::Provide, Self::Seal, Self::Checkpoint, Self::Delete, Self::Reclaim];
}

/// One folder of the disk.
struct Folder {
    disk: SimDisk,
    prefix: &'static str,
}

impl Folder {
    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl Files for Folder {
    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Arc<dyn File>> {
        self.disk.create(&self.path(name), size_bytes)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.disk.open(&self.path(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = self.disk.list()?;
        Ok(names.iter().filter_map(|name| name.strip_prefix(self.prefix)).map(str::to_owned).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.path(name))
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(&self.path(name))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.disk.replace(&self.path(name), bytes)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}
