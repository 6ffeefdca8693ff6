//! The bytes of the log, version 2: slices in, values out.
//!
//! A segment is a [header](envelope), [records](record) and, when it is sealed, a [footer] and a trailer. Every
//! decoder checks each length against the bytes that are there before it uses it or allocates by it, so no bytes make
//! it panic. All integers are little endian, except inside field tables and message images, which are AMQP's.
//!
//! What is written here is a contract: `tests/fixtures` holds files of each version that every later one must open. Of
//! version 1 are publish records that do not say when, and [`Kind::ReturnV1`]; a record says by itself which one it is.
//! Nothing here knows a file.

pub mod envelope;
pub mod footer;
pub mod publish;
pub mod record;
pub mod settle;
pub mod topology;

pub use envelope::{SegmentHeader, SegmentHeaderError, Trailer};
pub use footer::{Footer, Slot};
pub use publish::Publish;
pub use record::{Flags, Kind, Record};
pub use settle::{Return, Returned, Settle};
pub use topology::TopologyRecord;

/// Why bytes are not what should stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A length reaches beyond the bytes that are there.
    #[error("ends inside a value")]
    Truncated,
    /// The checksum is that of other bytes, or of another place.
    #[error("checksum does not match")]
    Checksum,
    /// Whole, but it makes no sense.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Takes values off the front of a slice.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Damage::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Damage::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, Damage> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16, Damage> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Damage> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Nothing may follow.
    fn end(&self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage::Malformed("bytes follow the last value")) }
    }
}

fn require(holds: bool, otherwise: &'static str) -> Result<(), Damage> {
    if holds { Ok(()) } else { Err(Damage::Malformed(otherwise)) }
}
