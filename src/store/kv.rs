//! The key-value store.
//!
//! It holds nothing that the log does not hold too: state that is derived from it, applied in atomic batches.
//! So an engine that lost or garbled its files costs time, and no message; what matters is that it says so and
//! never takes the broker with it. `engine` is the store on a disk, `redo` how a large batch is applied there in pieces.

mod engine;
mod files;
pub mod key;
#[cfg(test)]
pub(crate) mod memory;
mod redo;

use std::{collections::BTreeMap, io};

pub use engine::{SledHome, SledKv, is_engine_thread};
pub use key::{Key, KeyKind, KeyName};

/// The puts and deletes of a batch, one for each key; without a value it is a delete.
type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

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

/// Why the store cannot be used. Its content is lost then, and must be made again from the log, unless a later version wrote it.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// A file cannot be read or written.
    #[error("cannot use the key-value store: {0}")]
    Io(#[from] io::Error),
    /// The engine finds its files damaged.
    #[error("the key-value store is damaged: {0}")]
    Damaged(String),
    /// A later Leveret has left a batch half applied.
    #[error("the key-value store has a redo file of version {0}, which this version cannot read")]
    Version(u32),
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
