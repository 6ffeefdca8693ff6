//! Hashes that choose a destination, and what of a message they are taken of.
//!
//! Unlike the hashes of maps these have no key: the same message goes to the same place after a restart. A client that
//! knows them can choose where its messages go, which it could do by naming the queue as well.

use std::hash::{Hash, Hasher};

use super::{addressing::Addressing, errors::ArgumentError, header_value, stable_hash::Stable};
use crate::protocol::FieldTable;

/// What of a message a hashing exchange looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HashOn {
    /// The routing key.
    Key,
    /// The header of this name; integers are equal by value, as for the headers exchange.
    Header(Box<[u8]>),
    /// A property.
    Property(Property),
}

/// A property that can be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Property {
    MessageId,
    CorrelationId,
    Timestamp,
}

impl HashOn {
    /// What an exchange's arguments ask for: `hash-header` (LavinMQ calls it `x-hash-on`) or `hash-property`.
    pub(super) fn parse(arguments: &FieldTable) -> Result<Self, ArgumentError> {
        let header = match text(arguments, HASH_HEADER)? {
            None => text(arguments, HASH_ON)?,
            header => header,
        };
        match (header, text(arguments, HASH_PROPERTY)?) {
            (None, None) => Ok(Self::Key),
            (Some(name), None) => Ok(Self::Header(name.into())),
            (None, Some(name)) => Property::parse(name).map(Self::Property),
            (Some(_), Some(_)) => Err(ArgumentError::HeaderAndProperty),
        }
    }

    /// The hash of what a message has there; messages that have nothing there have one hash in common.
    pub(super) fn hash(&self, message: &Addressing<'_>) -> u64 {
        match self {
            Self::Key => hash_of(message.key()),
            Self::Header(name) => {
                let mut state = Stable::default();
                if let Some(value) = message.headers.and_then(|headers| headers.get(name)) {
                    header_value::hash(value, &mut state);
                }
                state.finish()
            }
            Self::Property(Property::MessageId) => hash_of(&message.message_id),
            Self::Property(Property::CorrelationId) => hash_of(&message.correlation_id),
            Self::Property(Property::Timestamp) => hash_of(&message.timestamp),
        }
    }
}

impl Property {
    fn parse(name: &[u8]) -> Result<Self, ArgumentError> {
        match name {
            b"message_id" => Ok(Self::MessageId),
            b"correlation_id" => Ok(Self::CorrelationId),
            b"timestamp" => Ok(Self::Timestamp),
            other => Err(ArgumentError::HashProperty { name: String::from_utf8_lossy(other).into_owned() }),
        }
    }
}

fn text<'a>(arguments: &'a FieldTable, name: &'static str) -> Result<Option<&'a [u8]>, ArgumentError> {
    let Some(value) = arguments.get(name) else { return Ok(None) };
    value.as_str_bytes().map(Some).ok_or(ArgumentError::NotText { name })
}

/// A hash that is the same in every process.
pub(super) fn hash_of(value: &(impl Hash + ?Sized)) -> u64 {
    let mut state = Stable::default();
    value.hash(&mut state);
    state.finish()
}

const HASH_HEADER: &str = "hash-header";
const HASH_ON: &str = "x-hash-on";
const HASH_PROPERTY: &str = "hash-property";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &'static str, value: &str) -> Result<HashOn, ArgumentError> {
        HashOn::parse(&FieldTable::new().with(name, value))
    }

    #[test]
    fn arguments_say_what_is_hashed() {
        assert_eq!(HashOn::parse(&FieldTable::new()), Ok(HashOn::Key));
        for name in [HASH_HEADER, HASH_ON] {
            assert_eq!(parsed(name, "user"), Ok(HashOn::Header(b"user".as_slice().into())));
            assert_eq!(HashOn::parse(&FieldTable::new().with(name, 1)), Err(ArgumentError::NotText { name }));
            let both = FieldTable::new().with(name, "user").with(HASH_PROPERTY, "message_id");
            assert_eq!(HashOn::parse(&both), Err(ArgumentError::HeaderAndProperty));
        }
        assert_eq!(parsed(HASH_PROPERTY, "timestamp"), Ok(HashOn::Property(Property::Timestamp)));
        assert_eq!(
            parsed(HASH_PROPERTY, "priority"),
            Err(ArgumentError::HashProperty { name: "priority".into() })
        );
    }

    #[test]
    fn only_what_is_hashed_makes_a_difference() {
        let keys: [&[&[u8]]; 2] = [&[b"a"], &[b"b"]];
        let headers = [FieldTable::new().with("user", 1), FieldTable::new().with("user", 2)];
        let ids: [&[u8]; 2] = [b"1", b"2"];
        let message = |bits: usize| Addressing {
            keys: keys[bits & 1],
            headers: Some(&headers[bits >> 1 & 1]),
            message_id: Some(ids[bits >> 2 & 1]),
            correlation_id: Some(ids[bits >> 3 & 1]),
            timestamp: Some((bits >> 4) as u64),
            lot: bits as u64,
        };
        for (bit, on) in [
            HashOn::Key,
            HashOn::Header(b"user".as_slice().into()),
            HashOn::Property(Property::MessageId),
            HashOn::Property(Property::CorrelationId),
            HashOn::Property(Property::Timestamp),
        ]
        .into_iter()
        .enumerate()
        {
            for bits in 0..32 {
                let same = on.hash(&message(bits)) == on.hash(&message(0));
                assert_eq!(same, bits >> bit & 1 == 0, "{on:?} of {bits:05b}");
            }
        }
    }

    #[test]
    fn a_header_is_the_same_whatever_width_its_integer_came_in() {
        let on = HashOn::Header(b"user".as_slice().into());
        let (narrow, wide) = (FieldTable::new().with("user", 7), FieldTable::new().with("user", 7_i64));
        let hash = |headers| on.hash(&Addressing { headers, ..Addressing::default() });
        assert_eq!(hash(Some(&narrow)), hash(Some(&wide)));
        assert_eq!(hash(Some(&FieldTable::new())), hash(None));
    }

    #[test]
    fn hashes_are_the_same_in_every_process() {
        assert_eq!(HashOn::Key.hash(&Addressing::by_keys(&[b"order.17"])), ORDER_17);
    }

    const ORDER_17: u64 = 15_319_012_704_265_474_907;
}
