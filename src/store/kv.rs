//! The key-value store, and the only file that names the engine behind it.
//!
//! It holds nothing that the log does not hold too: state that is derived from it, applied in atomic batches.
//! So an engine that lost or garbled its files costs time, and no message; what matters is that it says so and
//! never takes the broker with it. sled 0.34 panics on some damaged files, so whatever is asked of it is asked
//! with a net below: a panic is an error, after which the handle refuses work. On others it opens with a
//! mixture of new and old values, so a sum over all of them is part of each batch and is checked on opening.
//! Its own flush does not reach the disk (it ends with `sync_file_range`), so its files are synced here.

pub mod key;
#[cfg(test)]
pub(crate) mod memory;

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use sha2::{Digest, Sha256};

use crate::containment::contained;
use crate::limits::{CHECKPOINT_CACHE_BYTES, STORE_LOCK_INTERVAL, STORE_LOCK_TIMEOUT};

pub use key::{Key, KeyKind, KeyName};

/// Keys and values of one kind, in the order of their keys.
pub type Pairs<'a> = Box<dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>), KvError>> + 'a>;

/// A store of keys and values.
pub trait KeyValue: Send {
    /// Writes all of a batch or nothing; it survives a crash of the machine after the next
    /// [`flush`](Self::flush), and may earlier.
    fn apply(&mut self, batch: Batch) -> Result<(), KvError>;

    /// Everything that was applied is on disk when it returns.
    fn flush(&mut self) -> Result<(), KvError>;

    /// The value of a key.
    fn get(&self, key: &Key<'_>) -> Result<Option<Vec<u8>>, KvError>;

    /// All keys of a kind, in order.
    fn scan(&self, kind: KeyKind) -> Pairs<'_>;
}

/// Where a store is kept.
pub trait Home: Send + Sync {
    /// Opens the store that is there; makes one if there is none. Its opener must be ready for one that
    /// is empty, or as an earlier batch left it: damage may have cost it the later ones. It never has a part of
    /// a batch.
    fn open(&self) -> Result<Box<dyn KeyValue>, KvError>;

    /// Sets a store aside that cannot be used; opens an empty one in its place.
    fn reset(&self) -> Result<Box<dyn KeyValue>, KvError>;
}

/// Puts and deletes that happen together. The last one of a key holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Why the store cannot be used. Its content is lost then, and must be made again from the log.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// A file cannot be read or written.
    #[error("cannot use the key-value store: {0}")]
    Io(#[from] io::Error),
    /// The engine finds its files damaged.
    #[error("the key-value store is damaged: {0}")]
    Damaged(String),
    /// The engine gave up before.
    #[error("the key-value store has failed before")]
    Failed,
}

impl Batch {
    /// Sets the value of a key.
    pub fn put(&mut self, key: &Key<'_>, value: Vec<u8>) {
        self.writes.push((key.to_bytes(), Some(value)));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: &Key<'_>) {
        self.writes.push((key.to_bytes(), None));
    }

    /// How many puts and deletes there are.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Keys and values in order; without a value it is a delete.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.writes.iter().map(|(key, value)| (&**key, value.as_deref()))
    }
}

/// The folder of a [`SledKv`].
#[derive(Debug)]
pub struct SledHome(pub PathBuf);

impl Home for SledHome {
    fn open(&self) -> Result<Box<dyn KeyValue>, KvError> {
        Ok(Box::new(SledKv::open(&self.0)?))
    }

    fn reset(&self) -> Result<Box<dyn KeyValue>, KvError> {
        Ok(Box::new(SledKv::reset(&self.0)?))
    }
}

/// Opens the engine. It lets go of its files some time after its last handle is dropped, on a thread of its own: an engine
/// that is still locked is waited for.
fn opened(config: &sled::Config) -> Result<sled::Db, KvError> {
    let deadline = Instant::now() + STORE_LOCK_TIMEOUT;
    loop {
        match caught(|| config.open()) {
            Err(error) if error.to_string().contains("acquire lock") && Instant::now() < deadline => {
                thread::sleep(STORE_LOCK_INTERVAL);
            }
            result => return result,
        }
    }
}

/// Whether a thread of that name is one that the key-value store's engine has made: the engine is given up if it fails.
pub fn is_engine_thread(name: &str) -> bool {
    name.starts_with("sled-")
}

/// A store in a folder of its own. Nothing is written outside of it.
#[derive(Debug)]
pub struct SledKv {
    /// Taken out after a failure, and when it is dropped.
    engine: Option<sled::Db>,
    /// See [`Key::Sum`].
    sum: u64,
    files: Files,
}

impl SledKv {
    /// Opens the store in a folder; makes both if they are missing. See [`Home::open`].
    pub fn open(folder: &Path) -> Result<Self, KvError> {
        fs::create_dir_all(folder)?;
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(CHECKPOINT_CACHE_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::LowSpace);
        let engine = opened(&config)?;
        let files = Files::open(folder)?;
        let mut store = Self { engine: Some(engine), sum: 0, files };
        store.sum = store.ask(checked_sum)?.ok_or_else(|| KvError::Damaged("its sum is wrong".into()))?;
        Ok(store)
    }

    /// Moves a damaged store aside, to `<folder>.damaged`, over one that is there from before; opens an empty
    /// one in its place.
    pub fn reset(folder: &Path) -> Result<Self, KvError> {
        let mut aside = folder.as_os_str().to_owned();
        aside.push(".damaged");
        let aside = PathBuf::from(aside);
        remove(&aside)?;
        match fs::rename(folder, &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        Self::open(folder)
    }

    /// Asks the engine. After an error it is never asked again.
    fn ask<T>(&mut self, question: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, KvError> {
        let engine = self.engine.as_ref().ok_or(KvError::Failed)?;
        let answer = caught(|| question(engine));
        if answer.is_err() {
            self.abandon();
        }
        answer
    }

    /// The engine writes what it has left when it goes, and may panic over it.
    fn abandon(&mut self) {
        let engine = self.engine.take();
        let _ = contained(|| drop(engine));
    }
}

impl KeyValue for SledKv {
    fn apply(&mut self, batch: Batch) -> Result<(), KvError> {
        let writes: BTreeMap<_, _> = batch.writes.into_iter().collect();
        let before = self.sum;
        let sum = self.ask(|engine| sum_after(engine, before, &writes))?;
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch.insert(Key::Sum.to_bytes(), &sum.to_le_bytes());
        self.ask(|engine| engine.apply_batch(batch))?;
        self.sum = sum;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), KvError> {
        self.ask(|engine| engine.flush())?;
        let synced = self.files.sync();
        if synced.is_err() {
            self.abandon();
        }
        Ok(synced?)
    }

    fn get(&self, key: &Key<'_>) -> Result<Option<Vec<u8>>, KvError> {
        let engine = self.engine.as_ref().ok_or(KvError::Failed)?;
        let value = caught(|| engine.get(key.to_bytes()))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, kind: KeyKind) -> Pairs<'_> {
        let Some(engine) = &self.engine else { return Box::new(std::iter::once(Err(KvError::Failed))) };
        let mut pairs = Some(engine.scan_prefix(kind.prefix()));
        Box::new(std::iter::from_fn(move || {
            let next = caught(|| pairs.as_mut().and_then(Iterator::next).transpose()).transpose()?;
            if next.is_err() {
                pairs = None;
            }
            Some(next.map(|(key, value)| (key.to_vec(), value.to_vec())))
        }))
    }
}

impl Drop for SledKv {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// The sum over everything, if it is the one that is stored.
fn checked_sum(engine: &sled::Db) -> sled::Result<Option<u64>> {
    let mut sum = 0_u64;
    let mut stored = 0_u64.to_le_bytes().to_vec();
    for pair in engine.iter() {
        let (key, value) = pair?;
        if *key == *Key::Sum.to_bytes() {
            stored = value.to_vec();
        } else {
            sum = sum.wrapping_add(share_of_sum(&key, &value));
        }
    }
    Ok((stored == sum.to_le_bytes()).then_some(sum))
}

fn sum_after(
    engine: &sled::Db,
    mut sum: u64,
    writes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
) -> sled::Result<u64> {
    for (key, value) in writes {
        if let Some(before) = engine.get(key)? {
            sum = sum.wrapping_sub(share_of_sum(key, &before));
        }
        if let Some(after) = value {
            sum = sum.wrapping_add(share_of_sum(key, after));
        }
    }
    Ok(sum)
}

/// What one key and its value add: the first 8 octets, little endian, of the SHA-256 of the key's length (u32, little
/// endian), the key and the value.
fn share_of_sum(key: &[u8], value: &[u8]) -> u64 {
    let size = (key.len() as u32).to_le_bytes();
    let digest = Sha256::new().chain_update(size).chain_update(key).chain_update(value).finalize();
    digest.iter().take(8).rfold(0, |sum, &octet| sum << 8 | u64::from(octet))
}

/// The engine's files: one that grows and is written in place, and others that are written once.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    database: File,
    /// Names below the folder that were synced.
    synced: HashSet<OsString>,
}

impl Files {
    fn open(folder: &Path) -> io::Result<Self> {
        let database = File::open(folder.join("db"))?;
        Ok(Self { folder: folder.into(), database, synced: HashSet::new() })
    }

    /// Syncs what was written since the last time, and the folders of files that are new.
    fn sync(&mut self) -> io::Result<()> {
        self.database.sync_data()?;
        let blobs = self.folder.join("blobs");
        let in_blobs = self.sync_new(&blobs)?;
        let in_folder = self.sync_new(&self.folder)?;
        self.synced = in_blobs.into_iter().chain(in_folder).collect();
        Ok(())
    }

    /// All names in a folder, whose files are synced.
    fn sync_new(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        let mut any_new = false;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.strip_prefix(&self.folder).unwrap_or(&path).as_os_str().to_owned();
            if !self.synced.contains(&name) {
                any_new = true;
                sync_if_there(&path)?;
            }
            names.push(name);
        }
        if any_new {
            File::open(folder)?.sync_all()?;
        }
        Ok(names)
    }
}

/// The engine may remove its files at any time.
fn sync_if_there(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The answer of the engine; an error if it panics. What it leaves behind then is not looked at again.
fn caught<T>(ask: impl FnOnce() -> sled::Result<T>) -> Result<T, KvError> {
    match contained(ask) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(sled::Error::Io(error))) => Err(KvError::Io(error)),
        Ok(Err(error)) => Err(KvError::Damaged(error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(KvError::Damaged(text.unwrap_or("the engine panicked").to_owned()))
        }
    }
}

#[cfg(test)]
mod tests;
