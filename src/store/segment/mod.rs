//! One segment: a file of records, open at its end until it is sealed with a footer.
//!
//! Owns the offsets in one file: where its header, records, footer and trailer go, and how each is found again. A
//! segment is sealed when its last bytes are a trailer; everything before that is a file with records and whatever a
//! crash left behind them, which [`Segment::scan`] sorts out.
//!
//! It does not know which records are still needed, nor where the log's other segments are. The writer keeps
//! records in their place: each at the end of the one before, the first at [`FIRST_RECORD_OFFSET`].

pub mod quarantine;
pub mod read;
mod read_ahead;
pub mod scan;
mod sums;
pub(super) mod table;
#[cfg(test)]
mod tests;

use std::{fmt, io, ops::Range, sync::Arc};

use super::{
    files::{File, Files},
    format::{
        Damage, Flags, Footer, Kind, SegmentHeader, SegmentHeaderError, Slot, Trailer,
        envelope::{SEGMENT_HEADER_BYTES, TRAILER_BYTES},
        record::{self, RECORD_HEADER_BYTES, RecordHeader},
    },
    position::SegmentId,
};
use crate::core::placement::Placement;

/// Bytes that are looked at in one go behind the last record.
const TAIL_STEP_BYTES: u32 = 1024 * 1024;

/// Where the first record stands.
pub const FIRST_RECORD_OFFSET: u32 = SEGMENT_HEADER_BYTES as u32;

/// One file of the log. Threads may share it for reading.
pub struct Segment {
    id: SegmentId,
    salt: u32,
    file: Arc<dyn File>,
}

/// Why a segment cannot be used; one line for people.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The disk.
    #[error("segment {id}: {source}")]
    Io {
        /// The segment.
        id: SegmentId,
        /// Why.
        source: io::Error,
    },
    /// Its header was never written, so nothing in it was ever confirmed.
    #[error("segment {0} is blank")]
    Blank(SegmentId),
    /// The file does not begin as this segment should.
    #[error("{name} is not segment {0} of a log", name = .0.file_name())]
    NotASegment(SegmentId),
    /// Another version of the program wrote it.
    #[error("segment {id} is of unknown version {found}: it was written by another version of leveret")]
    Version {
        /// The segment.
        id: SegmentId,
        /// What its header says.
        found: u32,
    },
    /// It is sealed, but where its records are cannot be told but by [`Segment::scan`].
    #[error("footer of segment {id} is damaged: {damage}")]
    FooterDamaged {
        /// The segment.
        id: SegmentId,
        /// What is wrong.
        damage: Damage,
    },
}

impl Segment {
    /// Makes the file and writes its header, durably: a segment is never there without one before it that is not, and a
    /// broker that ran leaves a trace even if it wrote nothing.
    pub fn create(files: &dyn Files, id: SegmentId, salt: u32, size_bytes: u64) -> io::Result<Self> {
        let size_bytes = size_bytes.clamp(SEGMENT_HEADER_BYTES as u64, FILE_BYTES_MAX);
        let file = files.create(&id.file_name(), size_bytes)?;
        let begun = file.write_at(&SegmentHeader { id, salt }.encode(), 0).and_then(|()| file.sync());
        if let Err(error) = begun {
            // Half a header would not pass for a segment that was never begun, and a power cut may undo the removal.
            let _emptied = file.truncate(0).and_then(|()| file.sync());
            let _gone = files.remove(&id.file_name());
            return Err(error);
        }
        Ok(Self { id, salt, file })
    }

    /// Opens a file that is there and checks its header.
    pub fn open(files: &dyn Files, id: SegmentId) -> Result<Self, SegmentError> {
        let failed = |source| SegmentError::Io { id, source };
        let file = files.open(&id.file_name()).map_err(failed)?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let present = file.len().map_err(failed)?.min(bytes.len() as u64) as usize;
        file.read_at(&mut bytes[..present], 0).map_err(failed)?;
        match SegmentHeader::decode(&bytes[..present]) {
            Ok(header) if header.id == id => Ok(Self { id, salt: header.salt, file }),
            Ok(_) | Err(SegmentHeaderError::NotASegment) => Err(SegmentError::NotASegment(id)),
            Err(SegmentHeaderError::Blank) => Err(SegmentError::Blank(id)),
            Err(SegmentHeaderError::Version(found)) => Err(SegmentError::Version { id, found }),
        }
    }

    /// The same one, by another handle of its file.
    #[must_use]
    pub fn with_file(&self, file: Arc<dyn File>) -> Self {
        Self { id: self.id, salt: self.salt, file }
    }

    /// Whether its header stands there as it was written; [`open`](Self::open) mends one with a wrong bit.
    pub fn has_sound_header(&self) -> io::Result<bool> {
        Ok(SegmentHeader::is_sound(&self.raw(0..FIRST_RECORD_OFFSET)?))
    }

    /// Its name in the log.
    pub fn id(&self) -> SegmentId {
        self.id
    }

    /// What [`record::finish`] needs.
    pub fn salt(&self) -> u32 {
        self.salt
    }

    /// Length of its file, reserved room included.
    pub fn len_bytes(&self) -> io::Result<u64> {
        self.file.len()
    }

    /// Writes whole records.
    pub fn write(&self, bytes: &[u8], offset: u32) -> io::Result<()> {
        debug_assert!(u64::from(offset) + bytes.len() as u64 <= FILE_BYTES_MAX);
        self.file.write_at(bytes, u64::from(offset))
    }

    /// Reserves room for records up to `end`, if the file has less. When the disk is full it is as before.
    pub fn reserve(&self, end: u64) -> io::Result<()> {
        if end > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.reserve(end)
    }

    /// Makes durable what was written. After an error nothing that was written since the last good sync counts, and it must
    /// be [cut](Self::cut) off before the segment is written to again.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Whether it has a trailer; the footer may be damaged even so.
    pub fn is_sealed(&self) -> io::Result<bool> {
        Ok(self.trailer()?.is_some())
    }

    /// Where the records of a sealed segment are; `None` if it is not sealed. A segment whose trailer is lost counts
    /// as not sealed: [`scan`](Self::scan) finds the same records.
    pub fn footer(&self) -> Result<Option<Footer>, SegmentError> {
        let failed = |source| SegmentError::Io { id: self.id, source };
        let Some((trailer, file_bytes)) = self.trailer().map_err(failed)? else { return Ok(None) };
        let footer_bytes = file_bytes
            .checked_sub(u64::from(trailer.footer_offset) + TRAILER_BYTES as u64)
            .ok_or(SegmentError::FooterDamaged { id: self.id, damage: Damage::Truncated })?;
        let mut bytes = vec![0; footer_bytes as usize];
        self.file.read_at(&mut bytes, u64::from(trailer.footer_offset)).map_err(failed)?;
        let footer = self.decode_footer(&bytes, trailer.footer_offset);
        footer.map(Some).map_err(|damage| SegmentError::FooterDamaged { id: self.id, damage })
    }

    /// Where a message is in a sealed segment, without reading the whole footer; see [`Footer::search`].
    pub fn search_footer(&self, placement: Placement) -> io::Result<Option<Slot>> {
        let Some((trailer, _)) = self.trailer()? else { return Ok(None) };
        let payload_at = u64::from(trailer.footer_offset) + RECORD_HEADER_BYTES as u64;
        Footer::search(placement, |at, count| {
            let mut bytes = vec![0; count];
            self.file.read_at(&mut bytes, payload_at + at)?;
            Ok(bytes)
        })
    }

    /// Forgets everything behind `end`, durably: what a crash left there must not look like records after another
    /// one. To be called before a segment of a crashed broker is sealed, and after a write or a sync that failed.
    pub fn cut(&self, end: u32) -> io::Result<()> {
        self.file.truncate(u64::from(end))?;
        self.file.sync()
    }

    /// Seals the segment, whose records end at `end`: `slots` by placement, `others` ascending.
    ///
    /// The trailer makes a sealed file only where the file ends, and the file is cut there when footer and trailer are
    /// safe. So whatever a crash interrupts, the file is sealed, or its records are all there for a scan.
    pub fn seal(&self, end: u32, slots: Vec<Slot>, others: Vec<u32>) -> io::Result<Footer> {
        debug_assert!(slots.is_sorted_by_key(|slot| slot.placement) && others.is_sorted());
        let footer = Footer { slots, others, end };
        let mut bytes = Vec::new();
        let begun = record::begin(&mut bytes, Kind::Footer, Flags::SINGLE);
        footer.encode(&mut bytes);
        record::finish(&mut bytes, begun, self.salt, end);
        bytes.extend_from_slice(&Trailer { footer_offset: end }.encode(self.salt));
        let sealed_bytes = u64::from(end) + bytes.len() as u64;
        if sealed_bytes > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.write_at(&bytes, u64::from(end))?;
        self.file.sync()?;
        self.file.truncate(sealed_bytes)?;
        self.file.sync()?;
        Ok(footer)
    }

    /// Whether its first record was ever written. Of a group that is written aside that is done when all else of it is durable: bytes
    /// behind the place of a first record that is not there are one that was never finished.
    pub fn is_begun(&self) -> io::Result<bool> {
        let first = self.raw(FIRST_RECORD_OFFSET..FIRST_RECORD_OFFSET + RECORD_HEADER_BYTES as u32)?;
        Ok(first.iter().any(|byte| *byte != 0))
    }

    /// Where the last byte that is no zero ends, if there is one behind `from`, where the last record ends; a footer
    /// that was not finished does not count.
    pub fn written_end(&self, from: u32) -> io::Result<Option<u32>> {
        let header = self.raw(from..from.saturating_add(RECORD_HEADER_BYTES as u32))?;
        if let Ok(Some(RecordHeader { kind: Kind::Footer, .. })) = RecordHeader::decode(&header) {
            return Ok(None);
        }
        let mut end = None;
        let mut at = from;
        loop {
            let bytes = self.raw(at..at.saturating_add(TAIL_STEP_BYTES))?;
            if bytes.is_empty() {
                return Ok(end);
            }
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                end = Some(at + last as u32 + 1);
            }
            at += bytes.len() as u32;
        }
    }

    /// Bytes of the file as they are, for [`quarantine`]; fewer if the file ends before.
    fn raw(&self, range: Range<u32>) -> io::Result<Vec<u8>> {
        let end = self.file.len()?.min(u64::from(range.end));
        let mut bytes = vec![0; end.saturating_sub(u64::from(range.start)) as usize];
        self.file.read_at(&mut bytes, u64::from(range.start))?;
        Ok(bytes)
    }

    /// The trailer and the file's length.
    fn trailer(&self) -> io::Result<Option<(Trailer, u64)>> {
        let file_bytes = self.file.len()?;
        let Some(at) = file_bytes.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        let mut bytes = [0; TRAILER_BYTES];
        self.file.read_at(&mut bytes, at)?;
        Ok(Trailer::decode(bytes, self.salt).map(|trailer| (trailer, file_bytes)))
    }

    fn decode_footer(&self, bytes: &[u8], offset: u32) -> Result<Footer, Damage> {
        match record::parse(bytes, self.salt, offset)? {
            Some(footer) if footer.kind == Kind::Footer => Footer::decode(footer.payload, offset),
            _ => Err(Damage::Malformed("no footer where the trailer says")),
        }
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("id", &self.id).field("salt", &self.salt).finish_non_exhaustive()
    }
}

/// Offsets are 32 bits wide.
const FILE_BYTES_MAX: u64 = u32::MAX as u64;
