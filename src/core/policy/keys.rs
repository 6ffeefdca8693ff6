//! What policies can say (`rabbit_policies.erl`), and what its values must be.

use crate::core::{
    declared::{Definition, PolicyKind, QueueType},
    numbers,
    policy::{
        retry::{Backoff, RetryWhen},
        settings::Overflow,
    },
};
use crate::protocol::{FieldValue, ShortString};

/// Why a policy is refused. The texts are RabbitMQ's, which puts `Validation failed` and an empty line before them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It says nothing.
    #[error("no policy")]
    Empty,
    /// It has keys that policies of its kind do not have.
    #[error("{terms} are not recognised policy settings")]
    Unknown {
        /// Keys and values, as Erlang would write them.
        terms: String,
        /// The keys, for people.
        keys: String,
    },
    /// The value of a key is of the wrong type, or out of range.
    #[error("{value} is not a valid {what}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value, as Erlang would write it.
        value: String,
        /// The value, for people.
        shown: String,
        /// What it should be.
        what: &'static str,
    },
    /// The pattern cannot be read.
    #[error("pattern should be regular expression but is invalid: {0}")]
    Pattern(String),
}

impl PolicyError {
    /// The same for people who have not written it in Erlang.
    pub fn in_plain_words(&self) -> String {
        match self {
            Self::Empty => "its definition says nothing".into(),
            Self::Unknown { keys, .. } => format!("its definition has what such policies cannot set: {keys}"),
            Self::Value { key, shown, what, .. } => format!("{key} = {shown} is not a valid {what}"),
            Self::Pattern(why) => format!("its pattern cannot be used: {why}"),
        }
    }
}

/// Checks keys and values.
pub(super) fn validate(kind: PolicyKind, definition: &Definition) -> Result<(), PolicyError> {
    if definition.is_empty() {
        return Err(PolicyError::Empty);
    }
    let mut unknown = Vec::new();
    for (name, value) in definition.iter() {
        match key(kind, name) {
            Some(key) if (key.accepts)(value) => {}
            Some(key) => {
                let (value, shown) = (term(value), shown(value));
                return Err(PolicyError::Value { key: key.name, value, shown, what: key.what });
            }
            None => unknown.push((name, value)),
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let terms: Vec<_> =
        unknown.iter().map(|(name, value)| format!("{{<<\"{name}\">>,{}}}", term(value))).collect();
    let keys: Vec<_> = unknown.iter().map(|(name, _)| name.to_string()).collect();
    Err(PolicyError::Unknown { terms: format!("[{}]", terms.join(",")), keys: keys.join(", ") })
}

/// Whether a policy counts for queues of a type: none does that has a key which they do not know (RabbitMQ's
/// `unsupported_policies`; a delivery limit suits both types here).
pub(super) fn suit(definition: &Definition, queue_type: QueueType) -> bool {
    let foreign: &[&str] = match queue_type {
        QueueType::Classic => &FOREIGN_TO_CLASSIC,
        QueueType::Quorum => &FOREIGN_TO_QUORUM,
    };
    !foreign.iter().any(|key| definition.get(key).is_some())
}

const FOREIGN_TO_CLASSIC: [&str; 4] =
    ["max-age", "stream-max-segment-size-bytes", "initial-cluster-size", "dead-letter-strategy"];

const FOREIGN_TO_QUORUM: [&str; 10] = [
    "queue-mode",
    "queue-master-locator",
    "max-age",
    "stream-max-segment-size-bytes",
    "initial-cluster-size",
    "ha-mode",
    "ha-params",
    "ha-sync-mode",
    "ha-promote-on-shutdown",
    "ha-promote-on-failure",
];

struct Key {
    name: &'static str,
    /// Operator policies have it too.
    for_operators: bool,
    accepts: fn(&FieldValue) -> bool,
    /// RabbitMQ's name for what the value should be.
    what: &'static str,
}

fn key(kind: PolicyKind, name: &[u8]) -> Option<&'static Key> {
    let allowed = |key: &&Key| kind == PolicyKind::User || key.for_operators;
    KEYS.iter().find(|key| key.name.as_bytes() == name).filter(allowed)
}

const fn user(name: &'static str, accepts: fn(&FieldValue) -> bool, what: &'static str) -> Key {
    Key { name, for_operators: false, accepts, what }
}

const fn both(name: &'static str, accepts: fn(&FieldValue) -> bool, what: &'static str) -> Key {
    Key { name, for_operators: true, accepts, what }
}

#[rustfmt::skip] // a table
const KEYS: &[Key] = &[
    user("alternate-exchange", is_name, "alternate exchange name"),
    user("dead-letter-exchange", is_name, "dead letter exchange name"),
    user("dead-letter-routing-key", is_name, "dead letter routing key"),
    both("message-ttl", is_natural, "message TTL"),
    both("expires", is_positive, "queue expiry"),
    both("max-length", is_natural, "maximum length"),
    both("max-length-bytes", is_natural, "maximum length in bytes"),
    both("overflow", |value| is_word(value, |word| Overflow::parse(word).is_some()), "overflow value"),
    both("delivery-limit", is_integer, "delivery limit"),
    user("consumer-timeout", is_natural, "consumer timeout"),
    both("delayed-retry-type", |value| is_word(value, |word| RetryWhen::parse(word).is_some()), "delayed retry type"),
    both("delayed-retry-min", is_natural, "delayed retry min"),
    both("delayed-retry-max", is_natural, "delayed retry max"),
    // Ours:
    both("delayed-retry-backoff", |value| is_word(value, |word| Backoff::parse(word).is_some()), "delayed retry backoff"),
    both("delayed-retry-multiplier", is_multiplier, "delayed retry multiplier"),
    both("delayed-retry-jitter", is_share, "delayed retry jitter"),
    // RabbitMQ's, without effect here:
    user("dead-letter-strategy", |value| is_one_of(value, &["at-most-once", "at-least-once"]), "dead letter strategy"),
    both("max-in-memory-length", is_natural, "maximum memory in bytes"),
    both("max-in-memory-bytes", is_natural, "maximum memory in bytes"),
    user("queue-mode", |value| is_one_of(value, &["default", "lazy"]), "queue-mode value"),
    both("queue-version", |value| matches!(value.as_i64(), Some(1 | 2)), "queue-version value"),
    user("queue-master-locator", is_text, "queue master locator value"),
    user("queue-leader-locator", is_locator, "queue leader locator value"),
    user("initial-cluster-size", is_natural, "cluster size"),
    both("target-group-size", is_natural, "target group size"),
    user("member-placement-tag", is_text, "member placement tag"),
    user("consumer-disconnected-timeout", is_natural, "consumer disconnected timeout"),
    user("max-age", is_text, "max age"),
    user("stream-max-segment-size-bytes", is_natural, "segment size"),
    user("stream-filter-size-bytes", |value| matches!(value.as_i64(), Some(16..=255)), "filter size"),
    user("ha-mode", is_text, "ha-mode value"),
    user("ha-params", |_| true, "ha-params value"),
    user("ha-sync-mode", is_text, "ha-sync-mode value"),
    user("ha-sync-batch-size", is_positive, "ha-sync-batch-size value"),
    user("ha-promote-on-shutdown", is_text, "ha-promote-on-shutdown value"),
    user("ha-promote-on-failure", is_text, "ha-promote-on-failure value"),
];

fn is_integer(value: &FieldValue) -> bool {
    value.as_i64().is_some()
}

fn is_natural(value: &FieldValue) -> bool {
    value.as_i64().is_some_and(|number| number >= 0)
}

fn is_positive(value: &FieldValue) -> bool {
    value.as_i64().is_some_and(|number| number > 0)
}

fn is_text(value: &FieldValue) -> bool {
    value.as_str_bytes().is_some()
}

/// A name of an exchange or a routing key.
fn is_name(value: &FieldValue) -> bool {
    is_word(value, |word| ShortString::try_from(word).is_ok())
}

fn is_word(value: &FieldValue, is_known: impl Fn(&[u8]) -> bool) -> bool {
    value.as_str_bytes().is_some_and(is_known)
}

fn is_one_of(value: &FieldValue, words: &[&str]) -> bool {
    is_word(value, |word| words.iter().any(|known| known.as_bytes() == word))
}

/// Where a queue's leader would be, if there were nodes to choose from.
pub(in crate::core) fn is_locator(value: &FieldValue) -> bool {
    is_one_of(value, &["client-local", "balanced", "random", "least-leaders"])
}

/// A factor by which waits grow.
pub(in crate::core) fn is_multiplier(value: &FieldValue) -> bool {
    numbers::number(value).is_some_and(|factor| factor.is_finite() && factor >= 1.0)
}

/// A share of a whole.
pub(in crate::core) fn is_share(value: &FieldValue) -> bool {
    numbers::number(value).is_some_and(|share| (0.0..=1.0).contains(&share))
}

/// The value as people write it.
fn shown(value: &FieldValue) -> String {
    if is_text(value) { format!("\"{value}\"") } else { value.to_string() }
}

/// The value as Erlang writes a term.
fn term(value: &FieldValue) -> String {
    match value {
        FieldValue::LongString(_) => format!("<<\"{value}\">>"),
        FieldValue::Array(values) => format!("[{}]", values.iter().map(term).collect::<Vec<_>>().join(",")),
        _ => value.to_string(),
    }
}
