//! The store on a disk, and the only file that names the engine behind it.
//!
//! sled 0.34 panics on some damaged files, so whatever is asked of it is asked
//! with a net below: a panic is an error, after which the handle refuses work. On others it opens with a
//! mixture of new and old values, so a sum over all of them is part of each batch and is checked on opening.
//! Its own flush does not reach the disk (it ends with `sync_file_range`), so its files are synced here.
//! It keeps a page of its tree for each key of a batch until the batch is applied, so a large batch is applied in pieces.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use sha2::{Digest, Sha256};

use super::{
    Batch, Home, Key, KeyKind, KeyValue, KvError, Pairs, Writes,
    files::{EngineFiles, remove, remove_unfinished_snapshots},
    redo::{HALF_APPLIED, Redo, discard},
};
use crate::containment::contained;
use crate::limits::{
    CHECKPOINT_BATCH_KEYS_MAX, CHECKPOINT_CACHE_BYTES, CHECKPOINT_PIECE_KEYS, STORE_LOCK_INTERVAL,
    STORE_LOCK_TIMEOUT,
};
use crate::store::files::is_full;

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
    /// Something may be in the engine that is not on disk.
    is_unsynced: bool,
    /// There may be a redo file, of a batch that is applied or that failed.
    has_redo: bool,
    files: EngineFiles,
}

impl SledKv {
    /// Opens the store in a folder; makes both if they are missing. See [`Home::open`].
    pub fn open(folder: &Path) -> Result<Self, KvError> {
        fs::create_dir_all(folder)?;
        remove_unfinished_snapshots(folder)?;
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(CHECKPOINT_CACHE_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::LowSpace);
        let engine = opened(&config)?;
        let files = EngineFiles::open(folder)?;
        let mut store = Self { engine: Some(engine), sum: 0, is_unsynced: true, has_redo: false, files };
        store.sum = store.ask(checked_sum)?.ok_or_else(|| KvError::Damaged("its sum is wrong".into()))?;
        store.redo()?;
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

    /// Applies a batch that a crash may have left half applied. What does not go with what the engine has is not
    /// applied: either the engine has lost batches before that one, or a program that knows of no redo file came in between.
    fn redo(&mut self) -> Result<(), KvError> {
        let redo = Redo::read(self.files.folder())?;
        let is_half = self.get(&Key::Meta)?.as_deref() == Some(HALF_APPLIED);
        let Some(redo) = redo else {
            let damaged = || KvError::Damaged("a batch is half applied, and its redo file is gone".into());
            return if is_half { Err(damaged()) } else { Ok(()) };
        };
        self.has_redo = true;
        let before = self.sum;
        let sums = self.ask(|engine| sums_of_pieces(engine, before, &redo))?;
        if sums.last() == Some(&redo.sum) {
            self.apply_pieces(redo, sums)?;
        } else if is_half {
            return Err(KvError::Damaged(
                "a batch is half applied, and its redo file is that of another".into(),
            ));
        } else {
            tracing::warn!("the key-value store has a redo file of another time, which is removed");
        }
        self.flush()
    }

    /// Applies a batch at once.
    fn apply_whole(&mut self, writes: Writes) -> Result<(), KvError> {
        let before = self.sum;
        let sum = self.ask(|engine| sum_after(engine, before, &writes))?;
        self.write(writes, sum)
    }

    /// Applies a large batch in pieces.
    fn apply_large(&mut self, writes: Writes) -> Result<(), KvError> {
        let (redo, sums) = self.prepared(writes)?;
        self.has_redo = true;
        match redo.place(self.files.folder()) {
            Ok(()) => self.apply_pieces(redo, sums),
            // There may be room for the batch itself, and segments can be deleted only when it is applied.
            Err(error) if is_full(&error) => {
                let Redo { mut writes, stamp, .. } = redo;
                writes.insert(Key::Meta.to_bytes(), stamp);
                self.apply_whole(writes)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A large batch, and the sums of its pieces. What was applied before it is on disk then: a crash could leave
    /// the pieces without it otherwise.
    fn prepared(&mut self, mut writes: Writes) -> Result<(Redo, Vec<u64>), KvError> {
        self.sync()?;
        let stamp = match writes.remove(&Key::Meta.to_bytes()) {
            Some(stamp) => stamp,
            None => self.get(&Key::Meta)?,
        };
        let before = self.sum;
        let mut redo = Redo { sum: before, stamp, writes };
        let sums = self.ask(|engine| sums_of_pieces(engine, before, &redo))?;
        redo.sum = sums.last().copied().unwrap_or(before);
        Ok((redo, sums))
    }

    /// The engine writes over what a piece has replaced. So the piece has to be on disk by then, or a crash could cost both.
    fn apply_pieces(&mut self, redo: Redo, sums: Vec<u64>) -> Result<(), KvError> {
        redo.pieces(sums).try_for_each(|(piece, sum)| {
            self.sync()?;
            self.write(piece, sum)
        })
    }

    /// What is in the engine is on disk when it returns.
    fn sync(&mut self) -> Result<(), KvError> {
        if !self.is_unsynced && self.engine.is_some() {
            return Ok(());
        }
        self.ask(|engine| engine.flush())?;
        if let Err(error) = self.files.sync() {
            self.abandon();
            return Err(error.into());
        }
        self.is_unsynced = false;
        Ok(())
    }

    fn write(&mut self, writes: Writes, sum: u64) -> Result<(), KvError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch.insert(Key::Sum.to_bytes(), &sum.to_le_bytes());
        self.is_unsynced = true;
        self.ask(|engine| engine.apply_batch(batch))?;
        self.sum = sum;
        Ok(())
    }
}

impl KeyValue for SledKv {
    fn apply(&mut self, batch: Batch) -> Result<(), KvError> {
        let writes: Writes = batch.writes.into_iter().collect();
        if self.has_redo {
            self.flush()?;
        }
        if writes.len() > CHECKPOINT_BATCH_KEYS_MAX {
            self.apply_large(writes)
        } else {
            self.apply_whole(writes)
        }
    }

    fn flush(&mut self) -> Result<(), KvError> {
        self.sync()?;
        if self.has_redo {
            discard(self.files.folder())?;
            self.has_redo = false;
        }
        Ok(())
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

fn sum_after<'a>(
    engine: &sled::Db,
    mut sum: u64,
    writes: impl IntoIterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>,
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

/// The sum after each piece; the mark counts in all but the last.
fn sums_of_pieces(engine: &sled::Db, sum: u64, redo: &Redo) -> sled::Result<Vec<u64>> {
    let meta = Key::Meta.to_bytes();
    let mut sum = sum_after(engine, sum, [(&meta, &None)])?;
    let marked = share_of_sum(&meta, HALF_APPLIED);
    let mut sums = Vec::new();
    let mut rest = redo.writes.iter();
    while rest.len() > 0 {
        sum = sum_after(engine, sum, rest.by_ref().take(CHECKPOINT_PIECE_KEYS))?;
        sums.push(sum.wrapping_add(marked));
    }
    if let Some(last) = sums.last_mut() {
        *last = sum.wrapping_add(redo.stamp.as_ref().map_or(0, |stamp| share_of_sum(&meta, stamp)));
    }
    Ok(sums)
}

/// What one key and its value add: the first 8 octets, little endian, of the SHA-256 of the key's length (u32, little
/// endian), the key and the value.
fn share_of_sum(key: &[u8], value: &[u8]) -> u64 {
    let size = (key.len() as u32).to_le_bytes();
    let digest = Sha256::new().chain_update(size).chain_update(key).chain_update(value).finalize();
    digest.iter().take(8).rfold(0, |sum, &octet| sum << 8 | u64::from(octet))
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
