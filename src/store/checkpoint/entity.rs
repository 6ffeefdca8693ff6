//! Bytes of one entity of the topology as a value: a version and then the change that made it, as in the log. Written with
//! version 2, read with version 1 too.

use crate::core::change::TopologyChange;
use crate::protocol::ShortString;
use crate::store::format::TopologyRecord;

const VERSION: u8 = 2;
const VERSION_1: u8 = 1;

/// The bytes are not those of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a change of a topology")]
pub struct NotAChange;

/// Bytes of a change.
pub fn encode(vhost: &ShortString, change: &TopologyChange) -> Vec<u8> {
    let mut out = vec![VERSION];
    TopologyRecord::encode(&mut out, vhost, change);
    out
}

/// The change that the bytes are of; all of them must belong to it.
pub fn decode(bytes: &[u8]) -> Result<(ShortString, TopologyChange), NotAChange> {
    let Some((&(VERSION_1..=VERSION), payload)) = bytes.split_first() else { return Err(NotAChange) };
    let TopologyRecord { vhost, change } = TopologyRecord::decode(payload).map_err(|_| NotAChange)?;
    Ok((vhost, change))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::placement::QueueId;
    use crate::protocol::arbitrary;
    use crate::store::tests::topology::change;

    #[test]
    fn the_bytes_of_a_change_are_stable() {
        let vhost = ShortString::from_static("/");
        let (id, name) = (QueueId(258), ShortString::from_static("q"));
        let deleted = TopologyChange::QueueDeleted { id, name };
        let bytes = b"\x02\x04\x01/\x02\x01\0\0\0\0\0\0\x01q";
        assert_eq!(encode(&vhost, &deleted), bytes);
        let with_version = |version| decode(&[&[version], &bytes[1..]].concat());
        assert_eq!((with_version(1), with_version(3)), (Ok((vhost, deleted)), Err(NotAChange)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(vhost in arbitrary::short_string(), change in change()) {
            prop_assert_eq!(decode(&encode(&vhost, &change)), Ok((vhost, change)));
        }

        #[test]
        fn cut_and_lengthened_bytes_are_refused(change in change(), cut in any::<prop::sample::Index>()) {
            let mut bytes = encode(&ShortString::from_static("/"), &change);
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
