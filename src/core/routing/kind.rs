//! The kinds of exchange by their names, and what each demands of arguments and bindings.

use super::{
    consistent_hash,
    errors::{ArgumentError, BindingError},
    header_value::ErlangTerm,
    headers,
};
use crate::limits::RECENT_HISTORY_LENGTH_DEFAULT;
use crate::protocol::FieldTable;

/// The kinds of exchange: AMQP's four (0-9-1, 3.1.3.1 to 3.1.3.4), then those of RabbitMQ and its plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// To the bindings whose key equals the message's.
    Direct,
    /// To every binding.
    Fanout,
    /// To the bindings whose pattern of words matches the message's key.
    Topic,
    /// To the bindings whose arguments match the message's headers.
    Headers,
    /// To one destination by a hash and by weights, which are the binding keys.
    ConsistentHash,
    /// To one binding, by the hash of the routing key modulo their number.
    ModulusHash,
    /// To one binding at random.
    Random,
    /// The same; in a cluster it would choose among the queues of the publisher's node.
    LocalRandom,
    /// To every binding; a queue that is bound gets the last messages.
    RecentHistory,
    /// As the kind that the argument `x-delayed-type` names, later.
    DelayedMessage,
}

impl ExchangeKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Direct,
        Self::Fanout,
        Self::Topic,
        Self::Headers,
        Self::ConsistentHash,
        Self::ModulusHash,
        Self::Random,
        Self::LocalRandom,
        Self::RecentHistory,
        Self::DelayedMessage,
    ];

    /// The kind of a name on the wire, the `type` of exchange.declare. Names are compared octet by octet.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().as_bytes() == name)
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::ModulusHash => "x-modulus-hash",
            Self::Random => "x-random",
            Self::LocalRandom => "x-local-random",
            Self::RecentHistory => "x-recent-history",
            Self::DelayedMessage => "x-delayed-message",
        }
    }

    /// The kind by which an exchange with these arguments routes: itself, but for a delayed message exchange, which routes as
    /// its `x-delayed-type`. Never [`Self::DelayedMessage`].
    #[must_use]
    pub fn routes_as(self, arguments: &FieldTable) -> Self {
        match self {
            Self::DelayedMessage => delayed_type(arguments).unwrap_or(Self::Direct),
            kind => kind,
        }
    }

    /// Whether an exchange that routes as this kind sends all messages the same way, whatever they say.
    pub fn looks_at_nothing(self) -> bool {
        matches!(self, Self::Fanout | Self::RecentHistory)
    }

    /// Whether an exchange of this kind may have these arguments (RabbitMQ answers 406 otherwise).
    pub fn validate(self, arguments: &FieldTable) -> Result<(), ArgumentError> {
        match self {
            Self::ConsistentHash => consistent_hash::validate_arguments(arguments),
            Self::RecentHistory => recent_history_length(arguments).map(drop),
            Self::DelayedMessage => {
                delayed_type(arguments).ok_or(ArgumentError::DelayedType)?.validate(arguments)
            }
            Self::Direct
            | Self::Fanout
            | Self::Topic
            | Self::Headers
            | Self::ModulusHash
            | Self::Random
            | Self::LocalRandom => Ok(()),
        }
    }

    /// Whether an exchange that routes as this kind takes a binding with this key and these arguments (RabbitMQ answers 406
    /// otherwise). Ask it of [`Self::routes_as`].
    pub fn validate_binding(self, key: &[u8], arguments: &FieldTable) -> Result<(), BindingError> {
        match self {
            Self::Headers => headers::validate_arguments(arguments),
            Self::ConsistentHash => consistent_hash::validate_key(key),
            Self::LocalRandom if !key.is_empty() => {
                Err(BindingError::KeyNotEmpty { key: String::from_utf8_lossy(key).into_owned() })
            }
            Self::Direct
            | Self::Fanout
            | Self::Topic
            | Self::ModulusHash
            | Self::Random
            | Self::LocalRandom
            | Self::RecentHistory
            | Self::DelayedMessage => Ok(()),
        }
    }
}

/// How many messages an exchange of kind [`ExchangeKind::RecentHistory`] keeps.
pub fn recent_history_length(arguments: &FieldTable) -> Result<usize, ArgumentError> {
    let Some(value) = arguments.get("x-recent-history-length") else {
        return Ok(RECENT_HISTORY_LENGTH_DEFAULT);
    };
    match value.as_i64() {
        Some(length @ 1..) => Ok(usize::try_from(length).unwrap_or(usize::MAX)),
        _ => Err(ArgumentError::HistoryLength { value: ErlangTerm(value).to_string() }),
    }
}

/// The kind that a delayed message exchange routes as: any but its own.
fn delayed_type(arguments: &FieldTable) -> Option<ExchangeKind> {
    let name = arguments.get("x-delayed-type")?.as_str_bytes()?;
    ExchangeKind::parse(name).filter(|kind| *kind != ExchangeKind::DelayedMessage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FieldValue;

    fn text_of<T>(result: Result<T, impl std::fmt::Display>) -> String {
        result.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn kinds_go_by_their_wire_names_and_no_other() {
        for kind in ExchangeKind::ALL {
            assert_eq!(ExchangeKind::parse(kind.name().as_bytes()), Some(kind));
        }
        for name in ["", "Direct", "direct ", "x-nothing", "match"] {
            assert_eq!(ExchangeKind::parse(name.as_bytes()), None);
        }
    }

    #[test]
    fn a_delayed_exchange_routes_as_any_other_kind_and_is_checked_as_that() {
        let delayed = ExchangeKind::DelayedMessage;
        for inner in ExchangeKind::ALL {
            let arguments = FieldTable::new().with("x-delayed-type", inner.name());
            let is_valid = inner != delayed;
            assert_eq!(delayed.validate(&arguments).is_ok(), is_valid, "{inner:?}");
            let routes_as = if is_valid { inner } else { ExchangeKind::Direct };
            assert_eq!(delayed.routes_as(&arguments), routes_as);
            assert_eq!(inner.routes_as(&FieldTable::new()) == inner, is_valid);
        }
        let text = "Invalid argument, 'x-delayed-type' must be an existing exchange type";
        for value in [FieldValue::from("x-nothing"), FieldValue::I32(1)] {
            assert_eq!(text_of(delayed.validate(&FieldTable::new().with("x-delayed-type", value))), text);
        }
        assert_eq!(text_of(delayed.validate(&FieldTable::new())), text);
        let both = FieldTable::new().with("x-delayed-type", "x-consistent-hash").with("hash-property", "?");
        assert_eq!(text_of(delayed.validate(&both)), "Unsupported property: ?");
    }

    #[test]
    fn the_length_of_a_history_is_a_positive_integer() {
        let length = |value: FieldValue| {
            recent_history_length(&FieldTable::new().with("x-recent-history-length", value))
        };
        assert_eq!(recent_history_length(&FieldTable::new()), Ok(20));
        assert_eq!(length(FieldValue::I32(3)), Ok(3));
        for (value, shown) in
            [(FieldValue::I32(0), "0"), (FieldValue::I64(-1), "-1"), (FieldValue::from("5"), "<<\"5\">>")]
        {
            let text =
                format!("Invalid argument {shown}, 'x-recent-history-length' must be a positive integer");
            assert_eq!(text_of(length(value)), text);
        }
    }

    #[test]
    fn each_kind_demands_of_bindings_what_it_reads() {
        let wrong_match = FieldTable::new().with("x-match", 1);
        for kind in ExchangeKind::ALL {
            let refused = |key: &[u8], arguments| kind.validate_binding(key, arguments).is_err();
            assert_eq!(
                refused(b"", &wrong_match),
                [ExchangeKind::Headers, ExchangeKind::ConsistentHash].contains(&kind)
            );
            assert_eq!(
                refused(b"1", &wrong_match),
                [ExchangeKind::Headers, ExchangeKind::LocalRandom].contains(&kind)
            );
        }
        let keyed = ExchangeKind::LocalRandom.validate_binding(b"k", &FieldTable::new());
        assert_eq!(text_of(keyed), "Non empty binding 'k' key not permitted");
    }
}
