//! All that is declared and set as the bytes of one file, which stands in for the key-value store when that is lost. Little endian:
//!
//! ```text
//!  0  8  magic "LEVERDEF"
//!  8  4  version = 3; versions 1 and 2 are laid out in the same way, with entities of their time
//! 12  8  stamp: segment
//! 20  4  stamp: offset
//! 24  8  highest id that a durable queue ever had
//! 32  4  count of entities
//! 36  .. each: u32 length, bytes of the change that made it
//!     4  CRC-32C of everything before
//! ```

use super::{
    entities::{KeyChange, key_of},
    entity::{self, Entity},
    reader::Reader,
};
use crate::store::position::{LogPosition, SegmentId};

const MAGIC: &[u8; 8] = b"LEVERDEF";
const VERSION: u32 = 3;
const VERSION_1: u32 = 1;
const CRC_BYTES: usize = 4;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definitions {
    /// The place in the log up to which it knows of changes.
    pub stamp: LogPosition,
    /// The highest id that a durable queue ever had: none up to it is drawn again.
    pub last_queue: u64,
    /// What is declared and set, in an order in which it can be made again.
    pub entities: Vec<Entity>,
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
        for entity in &self.entities {
            let bytes = entity::encode(entity);
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

fn read_entity(reader: &mut Reader<'_>) -> Option<Entity> {
    let size = reader.u32()?;
    let entity = entity::decode(reader.take(size as usize)?).ok()?;
    is_there(&entity).then_some(entity)
}

/// It is no end, and not transient.
fn is_there(entity: &Entity) -> bool {
    matches!(key_of(entity), Some((_, KeyChange::Put)))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::core::{
        access::AccessChange,
        change::TopologyChange,
        declared::{QueueType, VhostSettings},
    };
    use crate::protocol::ShortString;
    use crate::store::tests::entity;

    fn definitions() -> impl Strategy<Value = Definitions> {
        let entities = vec(entity().prop_filter("an end", is_there), 0..6);
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
        assert_eq!(content, b"LEVERDEF\x03\0\0\0\x02\x01\0\0\0\0\0\0\x07\0\0\0\x09\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(crc, crc32c::crc32c(content).to_le_bytes());
    }

    #[test]
    fn another_file_and_another_version_are_told_apart_from_damage() {
        let mut bytes = Definitions::default().encode();
        assert_eq!(Definitions::decode(b"something"), Err(DefinitionsError::Magic));
        assert_eq!(Definitions::decode(&bytes[..8]), Err(DefinitionsError::Damaged));
        bytes[8] = 4;
        assert_eq!(Definitions::decode(&bytes), Err(DefinitionsError::Version(4)));
    }

    #[test]
    fn files_of_versions_1_and_2_are_read() {
        let name = ShortString::from_static;
        let change = TopologyChange::VhostSet(VhostSettings {
            default_queue_type: Some(QueueType::Quorum),
            ..VhostSettings::default()
        });
        let stamp = LogPosition { segment: SegmentId(258), offset: 7 };
        let entities = vec![Entity::Topology { vhost: name("/"), change }];
        let definitions = Definitions { stamp, last_queue: 9, entities };
        for version in [1, 2] {
            let rest = b"\0\0\0\x02\x01\0\0\0\0\0\0\x07\0\0\0\x09\0\0\0\0\0\0\0\x01\0\0\0";
            let entity = [5, 0, 0, 0, version, 9, 1, b'/', 2];
            let bytes = [&b"LEVERDEF"[..], &[version], rest, &entity].concat();
            let bytes = [&bytes[..], &crc32c::crc32c(&bytes).to_le_bytes()].concat();
            assert_eq!(Definitions::decode(&bytes).as_ref(), Ok(&definitions));
        }
    }

    #[test]
    fn what_ends_is_no_definition() {
        let name = ShortString::from_static("e");
        let deleted = TopologyChange::ExchangeDeleted(name.clone());
        for end in [
            Entity::Topology { vhost: ShortString::new(), change: deleted },
            Entity::Access(AccessChange::UserDeleted(name)),
        ] {
            let bytes = Definitions { entities: vec![end], ..Definitions::default() }.encode();
            assert_eq!(Definitions::decode(&bytes), Err(DefinitionsError::Damaged));
        }
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
