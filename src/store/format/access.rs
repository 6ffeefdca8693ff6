//! The payload of an access record: one change of users, permissions, or what is set for the whole broker.
//!
//! Names, texts, lists and limits are laid out as `fields.rs` says.
//!
//! ```text
//! u8 tag, then by tag:
//!  1 user set                    name, u8 algorithm of the hash (1 SHA-256, 2 SHA-512, 3 MD5, 4 argon2id), u32 length of the
//!                                hash, the hash (RabbitMQ's four octets of salt and the digest; of argon2id a PHC string), names of
//!                                tags, limits
//!  2 user deleted                name
//!  3 permissions set             user, virtual host, texts: configure, write, read
//!  4 permissions deleted         user, virtual host
//!  5 topic permissions set       user, virtual host, exchange, texts: write, read
//!  6 topic permissions deleted   user, virtual host, exchange
//!  7 global parameter set        name, text (JSON)
//!  8 global parameter deleted    name
//! ```

use super::{
    bytes::{Bytes, Damage},
    fields::{
        put_bytes, put_limits, put_name, put_names, put_text, take_bytes, take_limits, take_name, take_names,
        take_text,
    },
};
use crate::core::access::{
    AccessChange, HashAlgorithm, PasswordHash, PermissionsSpec, TopicPermissionsSpec, UserSpec,
};

/// Appends the payload of the record of a change.
pub fn encode(out: &mut Vec<u8>, change: &AccessChange) {
    out.push(tag(change));
    match change {
        AccessChange::UserSet(spec) => put_user(out, spec),
        AccessChange::UserDeleted(name) | AccessChange::GlobalParameterDeleted(name) => put_name(out, name),
        AccessChange::PermissionsSet(spec) => {
            put_name(out, &spec.user);
            put_name(out, &spec.vhost);
            for text in [&spec.configure, &spec.write, &spec.read] {
                put_text(out, text);
            }
        }
        AccessChange::PermissionsDeleted { user, vhost } => {
            put_name(out, user);
            put_name(out, vhost);
        }
        AccessChange::TopicPermissionsSet(spec) => {
            for name in [&spec.user, &spec.vhost, &spec.exchange] {
                put_name(out, name);
            }
            for text in [&spec.write, &spec.read] {
                put_text(out, text);
            }
        }
        AccessChange::TopicPermissionsDeleted { user, vhost, exchange } => {
            for name in [user, vhost, exchange] {
                put_name(out, name);
            }
        }
        AccessChange::GlobalParameterSet { name, value } => {
            put_name(out, name);
            put_text(out, value);
        }
    }
}

/// Reads the payload of a record.
pub fn decode(payload: &[u8]) -> Result<AccessChange, Damage> {
    let mut fields = Bytes(payload);
    let change = take_change(&mut fields)?;
    fields.end()?;
    Ok(change)
}

fn take_change(fields: &mut Bytes<'_>) -> Result<AccessChange, Damage> {
    Ok(match fields.u8()? {
        USER_SET => AccessChange::UserSet(take_user(fields)?),
        USER_DELETED => AccessChange::UserDeleted(take_name(fields)?),
        PERMISSIONS_SET => AccessChange::PermissionsSet(PermissionsSpec {
            user: take_name(fields)?,
            vhost: take_name(fields)?,
            configure: take_text(fields)?,
            write: take_text(fields)?,
            read: take_text(fields)?,
        }),
        PERMISSIONS_DELETED => {
            AccessChange::PermissionsDeleted { user: take_name(fields)?, vhost: take_name(fields)? }
        }
        TOPIC_PERMISSIONS_SET => AccessChange::TopicPermissionsSet(TopicPermissionsSpec {
            user: take_name(fields)?,
            vhost: take_name(fields)?,
            exchange: take_name(fields)?,
            write: take_text(fields)?,
            read: take_text(fields)?,
        }),
        TOPIC_PERMISSIONS_DELETED => AccessChange::TopicPermissionsDeleted {
            user: take_name(fields)?,
            vhost: take_name(fields)?,
            exchange: take_name(fields)?,
        },
        GLOBAL_PARAMETER_SET => {
            AccessChange::GlobalParameterSet { name: take_name(fields)?, value: take_text(fields)? }
        }
        GLOBAL_PARAMETER_DELETED => AccessChange::GlobalParameterDeleted(take_name(fields)?),
        _ => return Err(Damage::Malformed("unknown change of access")),
    })
}

fn tag(change: &AccessChange) -> u8 {
    match change {
        AccessChange::UserSet(_) => USER_SET,
        AccessChange::UserDeleted(_) => USER_DELETED,
        AccessChange::PermissionsSet(_) => PERMISSIONS_SET,
        AccessChange::PermissionsDeleted { .. } => PERMISSIONS_DELETED,
        AccessChange::TopicPermissionsSet(_) => TOPIC_PERMISSIONS_SET,
        AccessChange::TopicPermissionsDeleted { .. } => TOPIC_PERMISSIONS_DELETED,
        AccessChange::GlobalParameterSet { .. } => GLOBAL_PARAMETER_SET,
        AccessChange::GlobalParameterDeleted(_) => GLOBAL_PARAMETER_DELETED,
    }
}

fn put_user(out: &mut Vec<u8>, spec: &UserSpec) {
    let UserSpec { name, password, tags, limits } = spec;
    put_name(out, name);
    out.push(algorithm_number(password.algorithm));
    put_bytes(out, &password.bytes);
    put_names(out, tags);
    put_limits(out, limits);
}

fn take_user(fields: &mut Bytes<'_>) -> Result<UserSpec, Damage> {
    let name = take_name(fields)?;
    let number = fields.u8()?;
    let algorithm = HashAlgorithm::ALL.into_iter().find(|known| algorithm_number(*known) == number);
    let algorithm = algorithm.ok_or(Damage::Malformed("unknown algorithm of a hash"))?;
    let password = PasswordHash { algorithm, bytes: take_bytes(fields)?.into() };
    Ok(UserSpec { name, password, tags: take_names(fields)?, limits: take_limits(fields)? })
}

fn algorithm_number(algorithm: HashAlgorithm) -> u8 {
    match algorithm {
        HashAlgorithm::Sha256 => 1,
        HashAlgorithm::Sha512 => 2,
        HashAlgorithm::Md5 => 3,
        HashAlgorithm::Argon2id => 4,
    }
}

const USER_SET: u8 = 1;
const USER_DELETED: u8 = 2;
const PERMISSIONS_SET: u8 = 3;
const PERMISSIONS_DELETED: u8 = 4;
const TOPIC_PERMISSIONS_SET: u8 = 5;
const TOPIC_PERMISSIONS_DELETED: u8 = 6;
const GLOBAL_PARAMETER_SET: u8 = 7;
const GLOBAL_PARAMETER_DELETED: u8 = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::access::Limit;
    use crate::protocol::ShortString;
    use crate::store::tests::access::change;

    fn encoded(change: &AccessChange) -> Vec<u8> {
        let mut out = vec![];
        encode(&mut out, change);
        out
    }

    #[test]
    fn changes_are_laid_out_as_documented() {
        let name = ShortString::from_static;
        let (user, vhost, exchange) = (name("u"), name("/"), name("x"));
        let (configure, write, read) = ("^é".to_owned(), String::new(), ".*".to_owned());
        let set = UserSpec {
            name: user.clone(),
            password: PasswordHash { algorithm: HashAlgorithm::Sha512, bytes: Box::from(*b"hash") },
            tags: vec![name("monitoring"), name("t")],
            limits: [(Limit::MaxChannels, 258)].into_iter().collect(),
        };
        let permissions = PermissionsSpec {
            user: user.clone(),
            vhost: vhost.clone(),
            configure,
            write: write.clone(),
            read: read.clone(),
        };
        let topics = TopicPermissionsSpec {
            user: user.clone(),
            vhost: vhost.clone(),
            exchange: exchange.clone(),
            write,
            read,
        };
        let expected: [(_, &[u8]); 8] = [
            (
                AccessChange::UserSet(set),
                b"\x01\x01u\x02\x04\0\0\0hash\x02\0\0\0\x0Amonitoring\x01t\x01\x02\x02\x01\0\0\0\0\0\0",
            ),
            (AccessChange::UserDeleted(user.clone()), b"\x02\x01u"),
            (
                AccessChange::PermissionsSet(permissions),
                b"\x03\x01u\x01/\x03\0\0\0^\xC3\xA9\0\0\0\0\x02\0\0\0.*",
            ),
            (
                AccessChange::PermissionsDeleted { user: user.clone(), vhost: vhost.clone() },
                b"\x04\x01u\x01/",
            ),
            (AccessChange::TopicPermissionsSet(topics), b"\x05\x01u\x01/\x01x\0\0\0\0\x02\0\0\0.*"),
            (AccessChange::TopicPermissionsDeleted { user, vhost, exchange }, b"\x06\x01u\x01/\x01x"),
            (
                AccessChange::GlobalParameterSet { name: name("g"), value: "{}".into() },
                b"\x07\x01g\x02\0\0\0{}",
            ),
            (AccessChange::GlobalParameterDeleted(name("g")), b"\x08\x01g"),
        ];
        for (change, bytes) in expected {
            assert_eq!(encoded(&change), bytes);
            assert_eq!(decode(bytes), Ok(change));
        }
    }

    #[test]
    fn algorithms_keep_their_numbers() {
        assert_eq!(HashAlgorithm::ALL.map(algorithm_number), [1, 2, 3, 4]);
        for number in [0, 5] {
            let bytes = [&b"\x01\x01u"[..], &[number], b"\0\0\0\0\0\0\0\0\0"].concat();
            assert_eq!(decode(&bytes), Err(Damage::Malformed("unknown algorithm of a hash")));
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(change in change()) {
            let mut bytes = encoded(&change);
            prop_assert_eq!(decode(&bytes), Ok(change));
            bytes.push(0);
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn no_bytes_panic(change in change(), at in any::<prop::sample::Index>(), octet: u8, noise: Vec<u8>) {
            let mut bytes = encoded(&change);
            let at = at.index(bytes.len());
            bytes[at] = octet;
            let _ = decode(&bytes);
            let _ = decode(&bytes[..at]);
            let _ = decode(&noise);
        }
    }
}
