//! What is declared or set, and its bytes as a value: a version, the kind of the record of the log, and the payload of that
//! record; or kind 0 alone, which says that users were set up. Written with version 3. Versions 1 and 2 are read too:
//! they have the payload of a topology record and no kind.

use crate::core::{access::AccessChange, change::TopologyChange};
use crate::protocol::ShortString;
use crate::store::format::{Kind, TopologyRecord, access};

/// The version of what is written.
pub(super) const VERSION: u8 = 3;
const VERSION_1: u8 = 1;
const VERSION_2: u8 = 2;

const USERS_SET_UP: u8 = 0;
const TOPOLOGY: u8 = Kind::Topology as u8;
const ACCESS: u8 = Kind::Access as u8;

/// Something that is declared or set, as the change that made it. The change by which it goes has the same type.
#[derive(Debug, Clone, PartialEq)]
pub enum Entity {
    /// Something of a virtual host.
    Topology {
        /// The virtual host.
        vhost: ShortString,
        /// The change.
        change: TopologyChange,
    },
    /// A user, what it is permitted, or a global parameter.
    Access(AccessChange),
    /// There was a user once: those that a new broker begins with are not made any more. No record of the log says so, each
    /// [`AccessChange::UserSet`] does.
    UsersSetUp,
}

/// The bytes are not those of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a change of what is declared")]
pub struct NotAChange;

/// Bytes of a change.
pub fn encode(entity: &Entity) -> Vec<u8> {
    match entity {
        Entity::Topology { vhost, change } => {
            let mut out = vec![VERSION, TOPOLOGY];
            TopologyRecord::encode(&mut out, vhost, change);
            out
        }
        Entity::Access(change) => {
            let mut out = vec![VERSION, ACCESS];
            access::encode(&mut out, change);
            out
        }
        Entity::UsersSetUp => vec![VERSION, USERS_SET_UP],
    }
}

/// The change that the bytes are of; all of them must belong to it.
pub fn decode(bytes: &[u8]) -> Result<Entity, NotAChange> {
    match bytes {
        [VERSION_1 | VERSION_2, payload @ ..] | [VERSION, TOPOLOGY, payload @ ..] => {
            let TopologyRecord { vhost, change } = TopologyRecord::decode(payload).map_err(|_| NotAChange)?;
            Ok(Entity::Topology { vhost, change })
        }
        [VERSION, ACCESS, payload @ ..] => {
            access::decode(payload).map(Entity::Access).map_err(|_| NotAChange)
        }
        [VERSION, USERS_SET_UP] => Ok(Entity::UsersSetUp),
        _ => Err(NotAChange),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::placement::QueueId;
    use crate::store::tests::entity;

    #[test]
    fn the_bytes_of_a_change_are_stable() {
        let name = ShortString::from_static;
        let deleted = TopologyChange::QueueDeleted { id: QueueId(258), name: name("q") };
        let deleted = Entity::Topology { vhost: name("/"), change: deleted };
        let user = Entity::Access(AccessChange::UserDeleted(name("u")));
        for (entity, bytes) in [
            (deleted, &b"\x03\x04\x04\x01/\x02\x01\0\0\0\0\0\0\x01q"[..]),
            (user, b"\x03\x08\x02\x01u"),
            (Entity::UsersSetUp, b"\x03\0"),
        ] {
            assert_eq!((&*encode(&entity), decode(bytes)), (bytes, Ok(entity.clone())));
            for version in [0, 4] {
                assert_eq!(decode(&[&[version], &bytes[1..]].concat()), Err(NotAChange));
            }
        }
        assert_eq!(decode(b"\x03\x07\x02\x01u"), Err(NotAChange));
    }

    #[test]
    fn a_change_of_versions_1_and_2_is_read() {
        let name = ShortString::from_static;
        let deleted = TopologyChange::QueueDeleted { id: QueueId(258), name: name("q") };
        let deleted = Entity::Topology { vhost: name("/"), change: deleted };
        for version in [1, 2] {
            let bytes = [&[version], &b"\x04\x01/\x02\x01\0\0\0\0\0\0\x01q"[..]].concat();
            assert_eq!(decode(&bytes), Ok(deleted.clone()));
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(entity in entity()) {
            prop_assert_eq!(decode(&encode(&entity)), Ok(entity));
        }

        #[test]
        fn cut_and_lengthened_bytes_are_refused(entity in entity(), cut in any::<prop::sample::Index>()) {
            let mut bytes = encode(&entity);
            prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), Err(NotAChange));
            bytes.push(0);
            prop_assert_eq!(decode(&bytes), Err(NotAChange));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
