//! What an exchange may look at to find out where a message goes.

use super::stable_hash::mix;
use crate::protocol::{FieldTable, PropertiesView};

/// The parts of a message that routing knows of, borrowed. Most kinds of exchange look at `keys` alone; a router tells by
/// [`Router::looks_beyond_key`](super::Router::looks_beyond_key) whether it needs the others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addressing<'a> {
    /// The routing key first, then those of `CC` and `BCC` (RabbitMQ).
    pub keys: &'a [&'a [u8]],
    /// Property `headers`, decoded.
    pub headers: Option<&'a FieldTable>,
    /// Property `message-id`.
    pub message_id: Option<&'a [u8]>,
    /// Property `correlation-id`.
    pub correlation_id: Option<&'a [u8]>,
    /// Property `timestamp`, in seconds.
    pub timestamp: Option<u64>,
    /// Any number, another one for each message: exchanges that choose at random choose by it.
    pub lot: u64,
}

impl<'a> Addressing<'a> {
    /// A message by its keys, its properties and its decoded headers; its lot is not drawn yet.
    pub fn new(
        keys: &'a [&'a [u8]],
        properties: &PropertiesView<'a>,
        headers: Option<&'a FieldTable>,
    ) -> Self {
        let PropertiesView { message_id, correlation_id, timestamp, .. } = *properties;
        Self { keys, headers, message_id, correlation_id, timestamp, lot: 0 }
    }

    /// A message of which only routing keys are known.
    pub fn by_keys(keys: &'a [&'a [u8]]) -> Self {
        Self { keys, ..Self::default() }
    }

    /// The routing key.
    pub fn key(&self) -> &'a [u8] {
        self.keys.first().copied().unwrap_or_default()
    }

    /// The same with a lot of its own for the `hop`-th exchange on the way: what one exchange draws says nothing about what
    /// the next one does.
    #[must_use]
    pub fn at_hop(self, hop: usize) -> Self {
        Self { lot: mix(self.lot.wrapping_add(hop as u64)), ..self }
    }
}

/// A `CC` or `BCC` header that is no array. The text is RabbitMQ's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{{unacceptable_type_in_header,{type_name},<<\"{name}\">>}}")]
pub struct UnacceptableHeader {
    name: &'static str,
    /// RabbitMQ's name of the type.
    type_name: &'static str,
}

/// Further routing keys from `CC` and `BCC` (RabbitMQ's sender-selected distribution): arrays of long strings.
pub fn extra_keys(headers: Option<&FieldTable>) -> Result<Vec<&[u8]>, UnacceptableHeader> {
    let Some(headers) = headers else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    for name in ["CC", "BCC"] {
        let Some(value) = headers.get(name) else { continue };
        let unacceptable = UnacceptableHeader { name, type_name: value.type_name() };
        keys.extend(value.as_array().ok_or(unacceptable)?.iter().filter_map(|key| key.as_str_bytes()));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FieldValue;

    #[test]
    fn copies_go_by_further_keys() {
        let keys =
            |names: &[&str]| FieldValue::Array(names.iter().map(|name| FieldValue::from(*name)).collect());
        let headers = FieldTable::new().with("BCC", keys(&["c"])).with("CC", keys(&["a", "b"]));
        assert_eq!(extra_keys(Some(&headers)).unwrap(), [b"a", b"b", b"c"]);
        assert_eq!(extra_keys(None).unwrap().len(), 0);
        let text = extra_keys(Some(&FieldTable::new().with("CC", "a"))).unwrap_err().to_string();
        assert_eq!(text, "{unacceptable_type_in_header,longstr,<<\"CC\">>}");
    }

    #[test]
    fn each_hop_has_a_lot_of_its_own() {
        let message = Addressing { lot: 7, ..Addressing::default() };
        assert_ne!(message.at_hop(0).lot, message.at_hop(1).lot);
        assert_eq!(message.at_hop(1).lot, message.at_hop(1).lot);
    }
}
