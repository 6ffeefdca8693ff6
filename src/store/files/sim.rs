//! A disk in memory for tests: it loses power, fills up, fails and rots when a test says so.
//!
//! For each file it keeps the image that a reader sees and what of it is durable: the bytes at the last good `sync`,
//! and the changes since then, of which a power cut keeps any part in sectors of 512 bytes. All that chance decides
//! comes from a seed, so a failure can be seen again. It is a harsher disk than real ones: two writes into one sector
//! may survive in any combination.

use std::{collections::BTreeMap, io, ops::Range, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::io::Errno;

use super::{File, Files};

/// The disk; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

/// Something that was done to the disk and succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Create { name: String, size_bytes: u64 },
    Write { name: String, offset: u64, len: u64 },
    Truncate { name: String, len: u64 },
    Reserve { name: String, len: u64 },
    Sync { name: String },
    Replace { name: String },
    Remove { name: String },
}

impl SimDisk {
    /// An empty disk.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What a power cut leaves now. This disk goes on as if nothing had happened.
    pub(crate) fn crash(&self, seed: u64) -> Self {
        let state = self.0.lock();
        let mut chance = StdRng::seed_from_u64(seed);
        let mut names = state.names.clone();
        for (name, before) in state.unsettled_names.iter().rev() {
            if chance.random() {
                set_name(&mut names, name, *before);
            }
        }
        Self::holding(names, |inode| state.inodes[inode].after_power_cut(&mut chance)).like(state.is_sparse)
    }

    /// What is there after the process was killed: everything that was written.
    pub(crate) fn kill(&self) -> Self {
        let state = self.0.lock();
        Self::holding(state.names.clone(), |inode| state.inodes[inode].written.clone()).like(state.is_sparse)
    }

    /// The `n`-th operation from now fails, the next one being the first.
    pub(crate) fn fail_at(&self, n: u64, kind: io::ErrorKind) {
        self.plan(n, Fault { kind, for_ever: false });
    }

    /// The `n`-th operation from now and all after it fail.
    pub(crate) fn fail_from(&self, n: u64, kind: io::ErrorKind) {
        self.plan(n, Fault { kind, for_ever: true });
    }

    /// The power goes during the `n`-th operation from now: it and everything after it fails, reads too.
    /// [`crash`](Self::crash) gives what is left.
    pub(crate) fn crash_at(&self, n: u64) {
        let mut state = self.0.lock();
        state.dark_at = Some(state.operations + n);
    }

    /// No more than this fits on the disk.
    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.0.lock().capacity = Some(bytes);
    }

    /// No more than what is there fits on the disk.
    pub(crate) fn fill(&self) {
        self.leave(0);
    }

    /// No more than so much fits on the disk besides what is there.
    pub(crate) fn leave(&self, bytes: u64) {
        let mut state = self.0.lock();
        state.capacity = Some(state.used_bytes() + bytes);
    }

    /// Reads of these bytes of a file fail, until it is healed; they are not lost.
    pub(crate) fn fail_reads(&self, name: &str, bytes: Range<u64>) {
        let mut state = self.0.lock();
        let inode = state.names[name];
        state.unreadable.push((inode, bytes));
    }

    /// Flips a bit, as a disk that rots.
    pub(crate) fn corrupt(&self, name: &str, offset: u64) {
        let mut state = self.0.lock();
        let inode = state.names[name];
        state.inodes[inode].flip(offset as usize);
    }

    /// Whether the power has gone.
    pub(crate) fn is_dark(&self) -> bool {
        self.0.lock().is_dark
    }

    /// Room is taken when something is written and not when it is reserved, as on some file systems.
    pub(crate) fn reserve_nothing(&self) {
        self.0.lock().is_sparse = true;
    }

    /// No file can be made or opened: there are too many.
    pub(crate) fn deny_files(&self, errno: Option<Errno>) {
        self.0.lock().denied = errno;
    }

    /// Syncs do not return, until it is healed.
    pub(crate) fn stall(&self) {
        self.0.lock().is_stalled = true;
    }

    /// Nothing more is planned.
    pub(crate) fn heal(&self) {
        let mut state = self.0.lock();
        (state.fault, state.dark_at) = (None, None);
        state.capacity = None;
        state.unreadable.clear();
        state.is_stalled = false;
    }

    /// How many writes, truncations, syncs, creates, replacements and removals there were, failed ones too.
    pub(crate) fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// The operations that succeeded, in order.
    pub(crate) fn journal(&self) -> Vec<Operation> {
        self.0.lock().journal.clone()
    }

    /// Something that is no file and loses power with the disk: counts as an operation.
    pub(crate) fn other_operation(&self) -> io::Result<()> {
        self.0.lock().begin()
    }

    fn plan(&self, n: u64, fault: Fault) {
        let mut state = self.0.lock();
        state.fault = Some((state.operations + n, fault));
    }

    fn holding(mut names: BTreeMap<String, usize>, mut content: impl FnMut(usize) -> Vec<u8>) -> Self {
        let mut inodes = Vec::new();
        for inode in names.values_mut() {
            inodes.push(Inode::durable(content(*inode)));
            *inode = inodes.len() - 1;
        }
        Self(Arc::new(Mutex::new(State { inodes, names, ..State::default() })))
    }

    /// The disk as it is asks for it.
    fn like(self, is_sparse: bool) -> Self {
        self.0.lock().is_sparse = is_sparse;
        self
    }

    /// For looking at names and lengths, which only a power cut stops.
    fn look(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.0.lock();
        if state.is_dark { Err(power_is_gone()) } else { Ok(state) }
    }

    fn handle(&self, state: &State, name: &str) -> Arc<dyn File> {
        let (inode, name) = (state.names[name], name.to_owned());
        Arc::new(SimFile { disk: self.clone(), inode, name, _handle: state.handles.clone() })
    }

    /// How many handles of files there are.
    pub(crate) fn open_files(&self) -> usize {
        Arc::strong_count(&self.0.lock().handles) - 1
    }
}

impl Files for SimDisk {
    fn create(&self, name: &str, size_bytes: u64) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.lock();
        if let Some(errno) = state.denied {
            return Err(errno.into());
        }
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let outcome = state.begin().and_then(|()| state.room_to_reserve(size_bytes));
        if outcome.is_ok() || state.is_dark {
            state.place(name, vec![0; size_bytes as usize]);
        }
        outcome?;
        state.unsettled_names.clear();
        state.journal.push(Operation::Create { name: name.to_owned(), size_bytes });
        Ok(self.handle(&state, name))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let state = self.look()?;
        if let Some(errno) = state.denied {
            return Err(errno.into());
        }
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(self.handle(&state, name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.look()?.names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let inode = state.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        let outcome = state.begin();
        if outcome.is_ok() || state.is_dark {
            state.names.remove(name);
            state.unsettled_names.push((name.to_owned(), Some(inode)));
        }
        outcome?;
        state.journal.push(Operation::Remove { name: name.to_owned() });
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let state = self.look()?;
        let Some(&inode) = state.names.get(name) else { return Ok(None) };
        let written = &state.inodes[inode].written;
        state.check_readable(inode, 0..written.len() as u64)?;
        Ok(Some(written.clone()))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        let outcome = state.begin().and_then(|()| state.room_for(bytes.len() as u64));
        if outcome.is_ok() || state.is_dark {
            state.place(name, bytes.to_vec());
        }
        outcome?;
        state.unsettled_names.clear();
        state.journal.push(Operation::Replace { name: name.to_owned() });
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.look()?;
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used_bytes())))
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
    name: String,
    /// For counting them.
    _handle: Arc<()>,
}

impl File for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let end = offset + bytes.len() as u64;
        let growth = end.saturating_sub(state.taken_bytes(&state.inodes[self.inode]));
        let outcome = state.begin().and_then(|()| state.room_for(growth));
        // A write that fails has done a part of its work; how much the power lets through is for the crash to say.
        let done = if outcome.is_ok() || state.is_dark { bytes.len() } else { bytes.len() / 2 };
        if outcome.is_ok() || growth == 0 || state.is_sparse || state.is_dark {
            let written = Change::Write { offset: offset as usize, bytes: bytes[..done].to_vec() };
            state.inodes[self.inode].change(written);
        }
        outcome?;
        let name = self.name.clone();
        state.journal.push(Operation::Write { name, offset, len: bytes.len() as u64 });
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.look()?;
        state.check_readable(self.inode, offset..offset + buffer.len() as u64)?;
        let written = &state.inodes[self.inode].written;
        let bytes = written.get(offset as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        while self.disk.0.lock().is_stalled {
            std::thread::yield_now();
        }
        let mut state = self.disk.0.lock();
        let outcome = state.begin();
        state.inodes[self.inode].sync(outcome.is_ok());
        if outcome.as_ref().is_err_and(is_full) {
            state.inodes[self.inode].forget_unsynced();
        }
        outcome?;
        state.journal.push(Operation::Sync { name: self.name.clone() });
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.look()?.inodes[self.inode].written.len() as u64)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let growth = len.saturating_sub(state.inodes[self.inode].written.len() as u64);
        if growth == 0 {
            return Ok(());
        }
        let outcome = state.begin().and_then(|()| state.room_to_reserve(growth));
        if outcome.is_ok() || state.is_dark {
            state.inodes[self.inode].change(Change::Truncate { len: len as usize });
        }
        outcome?;
        state.journal.push(Operation::Reserve { name: self.name.clone(), len });
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let outcome = state.begin();
        if outcome.is_ok() || state.is_dark {
            state.inodes[self.inode].change(Change::Truncate { len: len as usize });
        }
        outcome?;
        state.journal.push(Operation::Truncate { name: self.name.clone(), len });
        Ok(())
    }
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    /// Names that a power cut may set back to what they were.
    unsettled_names: Vec<(String, Option<usize>)>,
    handles: Arc<()>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    dark_at: Option<u64>,
    is_dark: bool,
    is_stalled: bool,
    is_sparse: bool,
    denied: Option<Errno>,
    capacity: Option<u64>,
    /// Bytes of files that cannot be read now.
    unreadable: Vec<(usize, Range<u64>)>,
    journal: Vec<Operation>,
}

#[derive(Clone, Copy)]
struct Fault {
    kind: io::ErrorKind,
    for_ever: bool,
}

impl State {
    /// Counts an operation; fails if its time has come.
    fn begin(&mut self) -> io::Result<()> {
        self.operations += 1;
        self.is_dark |= self.dark_at.is_some_and(|at| self.operations >= at);
        if self.is_dark {
            return Err(power_is_gone());
        }
        match self.fault {
            Some((at, Fault { kind, for_ever }))
                if self.operations == at || (for_ever && self.operations > at) =>
            {
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().map(|inode| self.taken_bytes(&self.inodes[*inode])).sum()
    }

    /// Room that a file takes: if none is reserved, up to the last byte that is no zero.
    fn taken_bytes(&self, inode: &Inode) -> u64 {
        if !self.is_sparse {
            return inode.written.len() as u64;
        }
        inode.written.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
    }

    fn room_to_reserve(&self, bytes: u64) -> io::Result<()> {
        if self.is_sparse { Ok(()) } else { self.room_for(bytes) }
    }

    fn room_for(&self, bytes: u64) -> io::Result<()> {
        let fits = bytes == 0 || self.capacity.is_none_or(|capacity| self.used_bytes() + bytes <= capacity);
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn check_readable(&self, inode: usize, bytes: Range<u64>) -> io::Result<()> {
        let overlaps = |bad: &Range<u64>| bad.start < bytes.end && bytes.start < bad.end;
        let is_bad = self.unreadable.iter().any(|(its, bad)| *its == inode && overlaps(bad));
        if is_bad { Err(Errno::IO.into()) } else { Ok(()) }
    }

    fn place(&mut self, name: &str, content: Vec<u8>) {
        self.inodes.push(Inode::durable(content));
        let before = self.names.insert(name.to_owned(), self.inodes.len() - 1);
        self.unsettled_names.push((name.to_owned(), before));
    }
}

/// A file without its name.
struct Inode {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// What happened since `durable`, in order.
    changes: Vec<(Change, Durability)>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

#[derive(Clone, Copy, PartialEq)]
enum Durability {
    /// Not synced.
    Open,
    /// A sync failed on it; no later one makes it durable.
    Doubtful,
    /// Synced, but after something doubtful.
    Sure,
}

impl Inode {
    fn durable(content: Vec<u8>) -> Self {
        Self { written: content.clone(), durable: content, changes: Vec::new() }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.written, |_| true);
        self.changes.push((change, Durability::Open));
    }

    fn sync(&mut self, succeeds: bool) {
        for (_, durability) in
            self.changes.iter_mut().filter(|(_, durability)| *durability == Durability::Open)
        {
            *durability = if succeeds { Durability::Sure } else { Durability::Doubtful };
        }
        let sure = self.changes.iter().take_while(|(_, durability)| *durability == Durability::Sure).count();
        for (change, _) in self.changes.drain(..sure) {
            change.apply(&mut self.durable, |_| true);
        }
    }

    /// A reader does not see what no sync made durable: the system has let go of it.
    fn forget_unsynced(&mut self) {
        self.written.clone_from(&self.durable);
        for (change, durability) in &self.changes {
            let is_kept = *durability == Durability::Sure || matches!(change, Change::Truncate { .. });
            change.apply(&mut self.written, |_| is_kept);
        }
    }

    fn after_power_cut(&self, chance: &mut StdRng) -> Vec<u8> {
        let mut content = self.durable.clone();
        for (change, durability) in &self.changes {
            match if *durability == Durability::Sure { 1 } else { chance.random_range(0..3) } {
                0 => {}
                1 => change.apply(&mut content, |_| true),
                _ => change.apply(&mut content, |_| chance.random()),
            }
        }
        content
    }

    fn flip(&mut self, offset: usize) {
        let writes = self.changes.iter_mut().filter_map(|(change, _)| change.byte_at(offset));
        let images = [&mut self.written, &mut self.durable].into_iter();
        for byte in images.filter_map(|image| image.get_mut(offset)).chain(writes) {
            *byte ^= 0x10;
        }
    }
}

impl Change {
    /// Does it to `image`, as far as `keep` lets each sector through.
    fn apply(&self, image: &mut Vec<u8>, mut keep: impl FnMut(usize) -> bool) {
        match self {
            Self::Truncate { len } => {
                if keep(0) {
                    image.resize(*len, 0);
                }
            }
            Self::Write { offset, bytes } => {
                let mut from = 0;
                while from < bytes.len() {
                    let at = offset + from;
                    let to = bytes.len().min(from + SECTOR_BYTES - at % SECTOR_BYTES);
                    if keep(at / SECTOR_BYTES) {
                        image.resize(image.len().max(offset + to), 0);
                        image[at..offset + to].copy_from_slice(&bytes[from..to]);
                    }
                    from = to;
                }
            }
        }
    }

    fn byte_at(&mut self, at: usize) -> Option<&mut u8> {
        match self {
            Self::Write { offset, bytes } => bytes.get_mut(at.checked_sub(*offset)?),
            Self::Truncate { .. } => None,
        }
    }
}

fn set_name(names: &mut BTreeMap<String, usize>, name: &str, inode: Option<usize>) {
    match inode {
        Some(inode) => names.insert(name.to_owned(), inode),
        None => names.remove(name),
    };
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn power_is_gone() -> io::Error {
    io::Error::other("the power is gone")
}

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[cfg(test)]
mod tests;
