//! The redo file: a large batch as a whole, beside an engine that takes it in pieces.
//!
//! It is durable before the first piece and goes when the last one is; until then each start applies all of it again,
//! which does no harm to a key that has its value. So the batch is still all or nothing. While some pieces are in, a
//! mark stands in the stamp's place that every program refuses which knows of no redo file. Little endian:
//!
//! ```text
//!  0  8  magic "LEVEREDO"
//!  8  4  version = 1
//! 12  8  the sum of the store with all of the batch, see `Key::Sum`
//! 20  4  count of the keys
//! 24  .. the stamp's value; then, ascending, each key and its value. A value: u32 length, bytes; a length of all ones is a
//!        delete. A key: u32 length, bytes
//!     4  CRC-32C of everything before, in every version
//! ```

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use super::{
    Key, KvError, Writes,
    files::{remove, sync_folder},
};
use crate::limits::CHECKPOINT_PIECE_KEYS;

/// The stamp's value while a batch is half applied. Its first octet is its version (docs/format.md, "The key-value store"):
/// one that no stamp will ever have, so that other programs refuse it as a later one.
pub(super) const HALF_APPLIED: &[u8] = &[255];

const NAME: &str = "redo";
const TEMPORARY: &str = "redo.tmp";
const MAGIC: &[u8; 8] = b"LEVEREDO";
const VERSION: u32 = 1;
const CRC_BYTES: usize = 4;
/// The length of no value.
const DELETED: u32 = u32::MAX;

/// A batch that is applied in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redo {
    /// The sum of the store with all of it.
    pub(super) sum: u64,
    /// The stamp's value, which is part of the last piece.
    pub(super) stamp: Option<Vec<u8>>,
    /// All but the stamp.
    pub(super) writes: Writes,
}

impl Redo {
    /// Makes it the redo file of a folder. It is durable when this has returned; after an error there is none,
    /// or one that is whole, which `discard` removes.
    pub(super) fn place(&self, folder: &Path) -> io::Result<()> {
        let (temporary, path) = (folder.join(TEMPORARY), folder.join(NAME));
        let placed = self
            .write(&temporary)
            .and_then(|()| fs::rename(&temporary, &path))
            .and_then(|()| sync_folder(folder));
        if placed.is_err() {
            // What is left of them is looked at again before anything else is applied.
            let _ = remove(&temporary).and(remove(&path));
        }
        placed
    }

    /// The redo file of a folder; one that is not finished is removed.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, KvError> {
        remove(&folder.join(TEMPORARY))?;
        match fs::read(folder.join(NAME)) {
            Ok(bytes) => Self::decode(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Its pieces: what to write, and the sum of the store then.
    pub(super) fn pieces(self, sums: Vec<u64>) -> impl Iterator<Item = (Writes, u64)> {
        let (mut writes, mut stamp) = (self.writes.into_iter(), Some(self.stamp));
        sums.into_iter().map(move |sum| {
            let mut piece: Writes = writes.by_ref().take(CHECKPOINT_PIECE_KEYS).collect();
            let is_last = writes.len() == 0;
            let stamp = if is_last { stamp.take().flatten() } else { Some(HALF_APPLIED.to_vec()) };
            piece.insert(Key::Meta.to_bytes(), stamp);
            (piece, sum)
        })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut out = Summed { out: BufWriter::new(File::create(path)?), crc: 0 };
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&self.sum.to_le_bytes())?;
        out.write_all(&length(self.writes.len())?.to_le_bytes())?;
        put_value(&mut out, self.stamp.as_deref())?;
        for (key, value) in &self.writes {
            put_value(&mut out, Some(key))?;
            put_value(&mut out, value.as_deref())?;
        }
        let Summed { mut out, crc } = out;
        out.write_all(&crc.to_le_bytes())?;
        out.into_inner()?.sync_all()
    }

    fn decode(bytes: &[u8]) -> Result<Self, KvError> {
        let at_crc = bytes.len().checked_sub(CRC_BYTES).ok_or_else(damaged)?;
        let (mut content, crc) = bytes.split_at(at_crc);
        if crc != crc32c::crc32c(content).to_le_bytes() || content.split_off(..8) != Some(MAGIC) {
            return Err(damaged());
        }
        match take_u32(&mut content)? {
            VERSION => Self::decode_rest(content),
            version => Err(KvError::Version(version)),
        }
    }

    fn decode_rest(rest: &[u8]) -> Result<Self, KvError> {
        let (sum, mut rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let count = take_u32(&mut rest)?;
        let stamp = take_value(&mut rest)?;
        let mut writes = Writes::new();
        for _ in 0..count {
            let key = take_value(&mut rest)?.ok_or_else(damaged)?;
            writes.insert(key, take_value(&mut rest)?);
        }
        if !rest.is_empty() {
            return Err(damaged());
        }
        Ok(Self { sum: u64::from_le_bytes(*sum), stamp, writes })
    }
}

fn damaged() -> KvError {
    KvError::Damaged("its redo file is damaged".into())
}

/// Removes the redo file of a folder, if there is one. It is gone for good when this has returned.
pub(super) fn discard(folder: &Path) -> io::Result<()> {
    remove(&folder.join(TEMPORARY))?;
    remove(&folder.join(NAME))?;
    sync_folder(folder)
}

/// Knows the CRC-32C of what was written.
struct Summed<W> {
    out: W,
    crc: u32,
}

impl<W: Write> Summed<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.out.write_all(bytes)
    }
}

fn put_value(out: &mut Summed<impl Write>, value: Option<&[u8]>) -> io::Result<()> {
    let Some(value) = value else { return out.write_all(&DELETED.to_le_bytes()) };
    out.write_all(&length(value.len())?.to_le_bytes())?;
    out.write_all(value)
}

fn take_value(bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, KvError> {
    match take_u32(bytes)? {
        DELETED => Ok(None),
        size => Ok(Some(bytes.split_off(..size as usize).ok_or_else(damaged)?.to_vec())),
    }
}

fn take_u32(bytes: &mut &[u8]) -> Result<u32, KvError> {
    let (number, rest) = bytes.split_first_chunk().ok_or_else(damaged)?;
    *bytes = rest;
    Ok(u32::from_le_bytes(*number))
}

/// A length as it is written; all ones is none.
fn length(size: usize) -> io::Result<u32> {
    u32::try_from(size).ok().filter(|&size| size != DELETED).ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

#[cfg(test)]
mod tests;
