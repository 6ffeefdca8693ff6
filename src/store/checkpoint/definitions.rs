//! All topology as the bytes of one file, which stands in for the key-value store when that is lost. Little endian:
//!
//! ```text
//!  0  8  magic "LEVERDEF"
//!  8  4  version = 2; version 1 is laid out in the same way
//! 12  8  stamp: segment
//! 20  4  stamp: offset
//! 24  8  highest id that a durable queue ever had
//! 32  4  count of entities
//! 36  .. each: u32 length, bytes of the change that made it
//!     4  CRC-32C of everything before
//! ```

use super::{entity, reader::Reader};
use crate::core::change::TopologyChange;
use crate::protocol::ShortString;
use crate::store::position::{LogPosition, SegmentId};

const MAGIC: &[u8; 8] = b"LEVERDEF";
const VERSION: u32 = 2;
const VERSION_1: u32 = 1;
const CRC_BYTES: usize = 4;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definitions {
    /// The place in the log up to which it knows of changes.
    pub stamp: LogPosition,
    /// The highest id that a durable queue ever had: none up to it is drawn again.
    pub last_queue: u64,
    /// Declarations and bindings, in an order in which they can be made again.
    pub entities: Vec<(ShortString, TopologyChange)>,
}

/// Why a file of definitions cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionsError {
    /// It begins with something else.
    #[error("not a file of definitions")]
    Magic,
    /// A later Leveret wrote it.
    #[error("definitions of version {0}, which this version cannot read")]
    Version(u32),
    /// Its bytes are not those that were written.
    #[error("the definitions are damaged")]
    Damaged,
}

impl Definitions {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.stamp.segment.0.to_le_bytes());
        out.extend_from_slice(&self.stamp.offset.to_le_bytes());
        out.extend_from_slice(&self.last_queue.to_le_bytes());
        out.extend_from_slice(&(self.entities.len() as u32).to_le_bytes());
        for (vhost, change) in &self.entities {
            let bytes = entity::encode(vhost, change);
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&bytes);
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// What the file's bytes say.
    pub fn decode(bytes: &[u8]) -> Result<Self, DefinitionsError> {
        let mut reader = Reader(bytes);
        if reader.take(MAGIC.len()) != Some(MAGIC) {
            return Err(DefinitionsError::Magic);
        }
        match reader.u32() {
            Some(VERSION_1..=VERSION) => Self::decode_rest(bytes).ok_or(DefinitionsError::Damaged),
            Some(version) => Err(DefinitionsError::Version(version)),
            None => Err(DefinitionsError::Damaged),
        }
    }

    fn decode_rest(bytes: &[u8]) -> Option<Self> {
        let (content, crc) = bytes.split_at_checked(bytes.len().checked_sub(CRC_BYTES)?)?;
        if crc != crc32c::crc32c(content).to_le_bytes() {
            return None;
        }
        let mut reader = Reader(content.get(MAGIC.len() + 4..)?);
        let stamp = LogPosition { segment: SegmentId(reader.u64()?), offset: reader.u32()? };
        let last_queue = reader.u64()?;
        let count = reader.u32()?;
        let entities: Option<Vec<_>> = (0..count).map(|_| read_entity(&mut reader)).collect();
        let entities = entities?;
        reader.end(Self { stamp, last_queue, entities })
    }
}

fn read_entity(reader: &mut Reader<'_>) -> Option<(ShortString, TopologyChange)> {
    let size = reader.u32()?;
    let (vhost, change) = entity::decode(reader.take(size as usize)?).ok()?;
    is_entity(&change).then_some((vhost, change))
}

fn is_entity(change: &TopologyChange) -> bool {
    match change {
        TopologyChange::ExchangeDeclared(_)
        | TopologyChange::Bound(_)
        | TopologyChange::PolicySet { .. }
        | TopologyChange::VhostSet(_) => true,
        TopologyChange::QueueDeclared { id, .. } => id.is_durable(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::protocol::arbitrary;
    use crate::store::tests::topology::change;

    fn definitions() -> impl Strategy<Value = Definitions> {
        let entities = vec((arbitrary::short_string(), change().prop_filter("an end", is_entity)), 0..6);
        (any::<(u64, u32, u64)>(), entities).prop_map(|((segment, offset, last_queue), entities)| {
            let stamp = LogPosition { segment: SegmentId(segment), offset };
            Definitions { stamp, last_queue, entities }
        })
    }

    #[test]
    fn the_bytes_of_a_file_without_entities_are_stable() {
        let stamp = LogPosition { segment: SegmentId(258), offset: 7 };
        let bytes = Definitions { stamp, last_queue: 9, entities: Vec::new() }.encode();
        let (content, crc) = bytes.split_at(36);
        assert_eq!(content, b"LEVERDEF\x02\0\0\0\x02\x01\0\0\0\0\0\0\x07\0\0\0\x09\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(crc, crc32c::crc32c(content).to_le_bytes());
    }

    #[test]
    fn another_file_and_another_version_are_told_apart_from_damage() {
        let mut bytes = Definitions::default().encode();
        assert_eq!(Definitions::decode(b"something"), Err(DefinitionsError::Magic));
        assert_eq!(Definitions::decode(&bytes[..8]), Err(DefinitionsError::Damaged));
        bytes[8] = 3;
        assert_eq!(Definitions::decode(&bytes), Err(DefinitionsError::Version(3)));
    }

    #[test]
    fn a_file_of_version_1_is_read() {
        let bytes = b"LEVERDEF\x01\0\0\0\x02\x01\0\0\0\0\0\0\x07\0\0\0\x09\0\0\0\0\0\0\0\0\0\0\0";
        let bytes = [&bytes[..], &crc32c::crc32c(bytes).to_le_bytes()].concat();
        let stamp = LogPosition { segment: SegmentId(258), offset: 7 };
        let definitions = Definitions { stamp, last_queue: 9, entities: Vec::new() };
        assert_eq!(Definitions::decode(&bytes), Ok(definitions));
    }

    #[test]
    fn what_ends_is_no_definition() {
        let deleted = TopologyChange::ExchangeDeleted(ShortString::from_static("e"));
        let entities = vec![(ShortString::new(), deleted)];
        let bytes = Definitions { entities, ..Definitions::default() }.encode();
        assert_eq!(Definitions::decode(&bytes), Err(DefinitionsError::Damaged));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(definitions in definitions()) {
            prop_assert_eq!(Definitions::decode(&definitions.encode()), Ok(definitions));
        }

        #[test]
        fn any_changed_or_missing_octet_is_noticed(
            definitions in definitions(), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
        ) {
            let mut bytes = definitions.encode();
            let at = at.index(bytes.len());
            prop_assert!(Definitions::decode(&bytes[..at]).is_err());
            bytes[at] ^= flip;
            prop_assert!(Definitions::decode(&bytes).is_err());
        }
    }
}
