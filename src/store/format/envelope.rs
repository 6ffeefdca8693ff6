//! The first and the last bytes of a segment's file.
//!
//! ```text
//! header                              trailer, the last bytes of a sealed segment
//!  0  8  "LEVERLOG"                    0  8  "LEVEREND"
//!  8  4  version, 1 to 3               8  4  offset of the footer record
//! 12  4  zero                         12  4  CRC-32C of salt (4) and bytes 0..12
//! 16  8  segment id
//! 24  4  salt
//! 28  4  CRC-32C of bytes 0..28
//! ```
//!
//! Without the salt no record can be told from garbage, so a header with a single wrong bit is mended.

use crate::store::position::SegmentId;

use super::bytes::{Bytes, Damage};

/// Bytes of a segment's header; its records follow.
pub const SEGMENT_HEADER_BYTES: usize = 32;
/// Bytes of a trailer.
pub const TRAILER_BYTES: usize = 16;
/// The format that this program writes. It reads all up to this one.
pub const VERSION: u32 = 3;
/// The first one.
const VERSION_MIN: u32 = 1;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Its name in the log.
    pub id: SegmentId,
    /// Drawn for it; part of each record's checksum.
    pub salt: u32,
}

/// Why the first bytes of a file are not a header that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentHeaderError {
    /// Zeros, or too few bytes to be anything: nothing was made durable in it.
    #[error("nothing was written to it")]
    Blank,
    /// Something else, or damaged beyond mending.
    #[error("it does not begin as a segment does")]
    NotASegment,
    /// Written by a later version of the program.
    #[error("unknown version {0}")]
    Version(u32),
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.salt.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the first bytes of a file.
    pub fn decode(bytes: &[u8]) -> Result<Self, SegmentHeaderError> {
        let Some(bytes) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
            return Err(SegmentHeaderError::Blank);
        };
        if *bytes == [0; SEGMENT_HEADER_BYTES] {
            return Err(SegmentHeaderError::Blank);
        }
        let sound = mended(*bytes).ok_or(SegmentHeaderError::NotASegment)?;
        Self::fields(&sound).unwrap_or(Err(SegmentHeaderError::NotASegment))
    }

    /// Whether these are a header's bytes and none of their bits is wrong, whatever its version.
    pub fn is_sound(bytes: &[u8]) -> bool {
        let checked = bytes.split_at_checked(SEGMENT_HEADER_BYTES - 4);
        checked.is_some_and(|(content, checksum)| {
            content.starts_with(MAGIC) && *checksum == crc32c::crc32c(content).to_le_bytes()
        })
    }

    fn fields(bytes: &[u8]) -> Result<Result<Self, SegmentHeaderError>, Damage> {
        let mut fields = Bytes(bytes);
        fields.take(MAGIC.len())?;
        let version = fields.u32()?;
        if !(VERSION_MIN..=VERSION).contains(&version) {
            return Ok(Err(SegmentHeaderError::Version(version)));
        }
        fields.u32()?;
        Ok(Ok(Self { id: SegmentId(fields.u64()?), salt: fields.u32()? }))
    }
}

/// The end of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Where the footer record stands.
    pub footer_offset: u32,
}

impl Trailer {
    /// The trailer's bytes.
    pub fn encode(self, salt: u32) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        bytes[..8].copy_from_slice(TRAILER_MAGIC);
        bytes[8..12].copy_from_slice(&self.footer_offset.to_le_bytes());
        let checksum = trailer_checksum(&bytes, salt);
        bytes[12..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The trailer in the last bytes of a file, if it has one.
    pub fn decode(bytes: [u8; TRAILER_BYTES], salt: u32) -> Option<Self> {
        let mut fields = Bytes(&bytes[8..]);
        let footer_offset = fields.u32().ok()?;
        let sound = bytes[..8] == *TRAILER_MAGIC && fields.u32().ok()? == trailer_checksum(&bytes, salt);
        sound.then_some(Self { footer_offset })
    }
}

fn trailer_checksum(bytes: &[u8; TRAILER_BYTES], salt: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &bytes[..12])
}

/// The header as it was before at most one of its bits was flipped.
fn mended(bytes: [u8; SEGMENT_HEADER_BYTES]) -> Option<[u8; SEGMENT_HEADER_BYTES]> {
    let flipped = (0..SEGMENT_HEADER_BYTES * 8).map(|bit| {
        let mut bytes = bytes;
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    std::iter::once(bytes).chain(flipped).find(|bytes| SegmentHeader::is_sound(bytes))
}

const MAGIC: &[u8; 8] = b"LEVERLOG";
const TRAILER_MAGIC: &[u8; 8] = b"LEVEREND";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_with_one_wrong_bit_is_mended_and_with_two_it_is_none() {
        let header = SegmentHeader { id: SegmentId(9), salt: 0x1234_5678 };
        for bit in 0..256 {
            let mut bytes = header.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
            assert!(!SegmentHeader::is_sound(&bytes) && SegmentHeader::is_sound(&header.encode()));
            bytes[(bit / 8 + 1) % 32] ^= 1;
            assert_eq!(SegmentHeader::decode(&bytes), Err(SegmentHeaderError::NotASegment));
        }
    }

    #[test]
    fn an_earlier_version_is_read_a_later_one_named_and_a_blank_file_told_apart() {
        let mut bytes = SegmentHeader { id: SegmentId(9), salt: 3 }.encode();
        let mut set_version = |version| {
            bytes[8] = version;
            let checksum = crc32c::crc32c(&bytes[..28]);
            bytes[28..].copy_from_slice(&checksum.to_le_bytes());
            SegmentHeader::decode(&bytes)
        };
        assert_eq!(set_version(1), set_version(3));
        assert_eq!(set_version(2), set_version(3));
        assert_eq!(set_version(0), Err(SegmentHeaderError::Version(0)));
        assert_eq!(set_version(4), Err(SegmentHeaderError::Version(4)));
        assert_eq!(SegmentHeader::decode(&[0; 64]), Err(SegmentHeaderError::Blank));
        assert_eq!(SegmentHeader::decode(&bytes[..31]), Err(SegmentHeaderError::Blank));
        assert_eq!(SegmentHeader::decode(&[b'x'; 64]), Err(SegmentHeaderError::NotASegment));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(id: u64, salt: u32, footer_offset: u32) {
            let header = SegmentHeader { id: SegmentId(id), salt };
            prop_assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
            let trailer = Trailer { footer_offset };
            prop_assert_eq!(Trailer::decode(trailer.encode(salt), salt), Some(trailer));
            prop_assert_eq!(Trailer::decode(trailer.encode(salt), salt ^ 1), None);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, trailer: [u8; 16], salt: u32) {
            let _ = SegmentHeader::decode(&bytes);
            prop_assert!(!SegmentHeader::is_sound(&bytes));
            prop_assert_eq!(Trailer::decode(trailer, salt), None);
        }
    }
}
