//! Records: what the log is made of. Each begins at a multiple of 8 bytes of its file:
//!
//! ```text
//!  0  4  CRC-32C over salt (4), offset of the record in its file (4), and bytes 4.. to the end of the payload
//!  4  4  length of the payload
//!  8  1  kind
//!  9  1  flags
//! 10  2  zero
//! 12     payload, then zeros up to a multiple of 8
//! ```
//!
//! Salt and offset are in the checksum, so bytes of an older file or of a message's body never pass for a record.

use super::bytes::{Bytes, Damage, require};

/// Bytes in front of a payload.
pub const RECORD_HEADER_BYTES: usize = 12;
/// Records begin at multiples of it.
pub const RECORD_ALIGNMENT_BYTES: usize = 8;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A message entered queues: [`Publish`](super::Publish).
    Publish = 1,
    /// Messages left a queue: [`Settle`](super::Settle).
    Settle = 2,
    /// Messages came back to their queue, as version 1 has it: [`Return`](super::Return). Not written any more.
    ReturnV1 = 3,
    /// [`TopologyRecord`](super::TopologyRecord).
    Topology = 4,
    /// The log was closed in order; without a payload.
    Shutdown = 5,
    /// Where the records of a sealed segment are: [`Footer`](super::Footer).
    Footer = 6,
    /// Messages came back to their queue: [`Return`](super::Return).
    Return = 7,
    /// A change of users, permissions or global parameters: [`access`](super::access).
    Access = 8,
}

impl Kind {
    fn from_octet(kind: u8) -> Option<Self> {
        use Kind::{Access, Footer, Publish, Return, ReturnV1, Settle, Shutdown, Topology};
        let all = [Publish, Settle, ReturnV1, Topology, Shutdown, Footer, Return, Access];
        all.into_iter().find(|known| *known as u8 == kind)
    }
}

/// Flags of a record; combined with `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u8);

impl Flags {
    /// None.
    pub const NONE: Self = Self(0);
    /// The first record of a group.
    pub const FIRST: Self = Self(1);
    /// The last record of a group.
    pub const LAST: Self = Self(2);
    /// A group of one record.
    pub const SINGLE: Self = Self(3);
    /// A message that was written to make room in memory only, and that no restart brings back.
    pub const TRANSIENT: Self = Self(4);
    /// A message that reclaiming wrote anew.
    pub const MOVED: Self = Self(8);

    /// Whether all of `flags` are set.
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The fields in front of a payload. The checksum is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// Length of the payload.
    pub payload_bytes: u32,
    /// What the record says.
    pub kind: Kind,
    /// Its flags.
    pub flags: Flags,
}

impl RecordHeader {
    /// The header at the front of `bytes`; `None` where no record was written: zeros, or no bytes at all.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Damage> {
        let shown = &bytes[..bytes.len().min(RECORD_HEADER_BYTES)];
        if shown.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let mut fields = Bytes(shown);
        fields.u32()?;
        let payload_bytes = fields.u32()?;
        let kind = Kind::from_octet(fields.u8()?).ok_or(Damage::Malformed("unknown kind of record"))?;
        let flags = fields.u8()?;
        require(flags <= FLAGS_ALL && fields.u16()? == 0, "unknown flags")?;
        Ok(Some(Self { payload_bytes, kind, flags: Flags(flags) }))
    }

    /// Bytes from the start of the record to the end of its payload.
    pub fn record_bytes(&self) -> u64 {
        RECORD_HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }

    /// Bytes from the start of the record to the next one.
    pub fn padded_bytes(&self) -> u64 {
        self.record_bytes().next_multiple_of(RECORD_ALIGNMENT_BYTES as u64)
    }
}

/// A record that checks out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it says.
    pub kind: Kind,
    /// Its flags.
    pub flags: Flags,
    /// The bytes that `kind` explains.
    pub payload: &'a [u8],
}

/// Begins a record at the end of `out`: the payload is to be appended, then [`finish`] called with the answer.
pub fn begin(out: &mut Vec<u8>, kind: Kind, flags: Flags) -> usize {
    let begun = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, kind as u8, flags.0, 0, 0]);
    begun
}

/// Ends the record that began at `begun` in `out` and that goes to `offset`, a multiple of 8, of its file.
pub fn finish(out: &mut Vec<u8>, begun: usize, salt: u32, offset: u32) {
    debug_assert!(offset.is_multiple_of(RECORD_ALIGNMENT_BYTES as u32));
    let payload_bytes = (out.len() - begun - RECORD_HEADER_BYTES) as u32;
    out[begun + 4..begun + 8].copy_from_slice(&payload_bytes.to_le_bytes());
    let checksum = checksum(&out[begun + 4..], salt, offset);
    out[begun..begun + 4].copy_from_slice(&checksum.to_le_bytes());
    let size = (out.len() - begun).next_multiple_of(RECORD_ALIGNMENT_BYTES);
    out.resize(begun + size, 0);
}

/// The record at the front of `bytes`, which were read at `offset`; `None` where none was written.
pub fn parse(bytes: &[u8], salt: u32, offset: u32) -> Result<Option<Record<'_>>, Damage> {
    let Some(header) = RecordHeader::decode(bytes)? else { return Ok(None) };
    let end = usize::try_from(header.record_bytes()).map_err(|_| Damage::Truncated)?;
    let record = bytes.get(..end).ok_or(Damage::Truncated)?;
    let expected = Bytes(record).u32()?;
    if checksum(&record[4..], salt, offset) != expected {
        return Err(Damage::Checksum);
    }
    Ok(Some(Record { kind: header.kind, flags: header.flags, payload: &record[RECORD_HEADER_BYTES..] }))
}

fn checksum(rest: &[u8], salt: u32, offset: u32) -> u32 {
    crc32c::crc32c_append(place_sum(salt, offset), rest)
}

/// The part of a record's checksum that comes before its own bytes.
pub fn place_sum(salt: u32, offset: u32) -> u32 {
    let mut place = [0; 8];
    place[..4].copy_from_slice(&salt.to_le_bytes());
    place[4..].copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c(&place)
}

const FLAGS_ALL: u8 = 15;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(payload: &[u8], salt: u32, offset: u32) -> Vec<u8> {
        let mut out = vec![];
        let begun = begin(&mut out, Kind::Settle, Flags::SINGLE | Flags::MOVED);
        out.extend_from_slice(payload);
        finish(&mut out, begun, salt, offset);
        out
    }

    #[test]
    fn a_record_is_laid_out_as_documented() {
        let bytes = record(b"hello", 1, 32);
        assert_eq!(bytes[4..], *b"\x05\0\0\0\x02\x0B\0\0hello\0\0\0\0\0\0\0");
        let mut covered = vec![1, 0, 0, 0, 32, 0, 0, 0];
        covered.extend_from_slice(&bytes[4..17]);
        assert_eq!(bytes[..4], crc32c::crc32c(&covered).to_le_bytes());
    }

    #[test]
    fn a_record_at_another_offset_or_with_another_salt_does_not_check_out() {
        let bytes = record(b"hello", 7, 64);
        assert!(matches!(parse(&bytes, 7, 64), Ok(Some(_))));
        assert_eq!(parse(&bytes, 7, 72), Err(Damage::Checksum));
        assert_eq!(parse(&bytes, 8, 64), Err(Damage::Checksum));
    }

    #[test]
    fn zeros_and_the_end_of_the_bytes_are_no_record() {
        assert_eq!(parse(&[0; 40], 7, 64), Ok(None));
        assert_eq!(parse(&[], 7, 64), Ok(None));
        assert_eq!(parse(&[1, 0, 0], 7, 64), Err(Damage::Truncated));
    }

    #[test]
    fn a_flipped_bit_anywhere_but_in_the_padding_is_damage() {
        let whole = record(b"hello", 7, 64);
        for bit in 0..17 * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bytes, 7, 64).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed_again(payload: Vec<u8>, salt: u32, place in 0_u32..1 << 28, behind: Vec<u8>) {
            let offset = place * 8;
            let mut bytes = record(&payload, salt, offset);
            prop_assert_eq!(bytes.len() % 8, 0);
            bytes.extend_from_slice(&behind);
            let flags = Flags::SINGLE | Flags::MOVED;
            let expected = Record { kind: Kind::Settle, flags, payload: &payload };
            prop_assert_eq!(parse(&bytes, salt, offset), Ok(Some(expected)));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, salt: u32, offset: u32) {
            let _ = parse(&bytes, salt, offset);
        }
    }
}
