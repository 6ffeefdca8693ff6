//! Arguments of `queue.declare`: which ones a queue type knows, and what their values must be. Rules and texts are
//! RabbitMQ's (`rabbit_amqqueue.erl`, and `capabilities` of its queue types).

use crate::core::{
    declared::QueueType,
    error::{AmqpError, Named, not_implemented, precondition_failed},
    numbers,
    policy::{
        Overflow,
        keys::{is_locator, is_multiplier, is_share},
        retry::{Backoff, RetryWhen},
    },
};
use crate::limits::ARGUMENT_MS_MAX;
use crate::protocol::{FieldTable, FieldValue, ShortString};

use super::equivalence;

const PRIORITY_MAX: i64 = 255;

/// The type that `x-queue-type` asks for.
pub(super) fn queue_type(named: &Named<'_>, arguments: &FieldTable) -> Result<QueueType, AmqpError> {
    let Some(value) = arguments.get("x-queue-type") else { return Ok(QueueType::Classic) };
    let invalid = |why| precondition_failed(format!("invalid arg 'x-queue-type' for {named}: {why}"));
    match value.as_str_bytes() {
        None => Err(invalid(unacceptable(value))),
        Some(b"stream") => Err(not_implemented(format!("argument 'x-queue-type' of {named}"))),
        Some(name) => {
            QueueType::parse(name).ok_or_else(|| invalid(format!("\"unsupported queue type '{value}'\"")))
        }
    }
}

/// Their names; `x-queue-type` is none of them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.name)
}

/// Checks the arguments of a new queue. Those that no type knows are kept and shown.
pub(super) fn check(
    named: &Named<'_>,
    queue_type: QueueType,
    arguments: &FieldTable,
) -> Result<(), AmqpError> {
    let given = || RULES.iter().filter_map(|rule| Some((rule, arguments.get(rule.name)?)));
    if let Some((rule, _)) = given().find(|(rule, _)| !rule.types.contains(&queue_type)) {
        let (name, module) = (rule.name, queue_type.module_name());
        return Err(precondition_failed(format!("invalid arg '{name}' for {named} of queue type {module}")));
    }
    for (Rule { name, check, .. }, value) in given() {
        if let (Check::Exchange, None) = (check, value.as_str_bytes()) {
            let kind = value.type_name();
            return Err(precondition_failed(format!("invalid type '{kind}' for arg '{name}' in {named}")));
        }
        if let Some(complaint) = check.complaint(value, arguments) {
            return Err(precondition_failed(format!("invalid arg '{name}' for {named}: {complaint}")));
        }
    }
    Ok(())
}

/// Checks that a queue has the arguments that it is declared with again: those that its type knows.
pub(super) fn check_same(
    named: &Named<'_>,
    received: &FieldTable,
    current: &FieldTable,
) -> Result<(), AmqpError> {
    let queue_type = QueueType::of(current);
    for rule in RULES.iter().filter(|rule| rule.types.contains(&queue_type)) {
        equivalence::check_argument(rule.name, named, received, current)?;
    }
    if names_type(received).is_some() && names_type(received) == names_type(current) {
        return Ok(());
    }
    equivalence::check_argument("x-queue-type", named, received, current)
}

/// No type means classic.
fn names_type(arguments: &FieldTable) -> Option<&[u8]> {
    arguments.get("x-queue-type").map_or(Some(b"classic"), FieldValue::as_str_bytes)
}

struct Rule {
    name: &'static str,
    /// The types that know it.
    types: &'static [QueueType],
    check: Check,
}

const BOTH: &[QueueType] = &[QueueType::Classic, QueueType::Quorum];
const CLASSIC: &[QueueType] = &[QueueType::Classic];
const QUORUM: &[QueueType] = &[QueueType::Quorum];
/// Streams know it.
const NEITHER: &[QueueType] = &[];

const fn rule(name: &'static str, types: &'static [QueueType], check: Check) -> Rule {
    Rule { name, types, check }
}

/// In RabbitMQ's order, which is the one in which complaints come. `x-queue-type` is looked at before.
#[rustfmt::skip] // a table
const RULES: &[Rule] = &[
    rule("x-expires", BOTH, Check::Milliseconds { min: 1 }),
    rule("x-message-ttl", BOTH, Check::Milliseconds { min: 0 }),
    rule("x-dead-letter-exchange", BOTH, Check::Exchange),
    rule("x-dead-letter-routing-key", BOTH, Check::DeadLetterKey),
    rule("x-dead-letter-strategy", QUORUM, Check::Word(is_strategy, "invalid_dlx_strategy")),
    rule("x-max-length", BOTH, Check::Integer { min: 0 }),
    rule("x-max-length-bytes", BOTH, Check::Integer { min: 0 }),
    rule("x-max-in-memory-length", QUORUM, Check::Integer { min: 0 }),
    rule("x-max-in-memory-bytes", QUORUM, Check::Integer { min: 0 }),
    rule("x-max-priority", CLASSIC, Check::Priority),
    rule("x-overflow", BOTH, Check::Word(|word| Overflow::parse(word).is_some(), "invalid_overflow")),
    rule("x-queue-mode", CLASSIC, Check::Mode),
    rule("x-queue-version", CLASSIC, Check::Version),
    rule("x-single-active-consumer", BOTH, Check::Bool),
    rule("x-quorum-initial-group-size", QUORUM, Check::Integer { min: 1 }),
    rule("x-member-placement-tag", QUORUM, Check::Text),
    rule("x-max-age", NEITHER, Check::Any),
    rule("x-stream-max-segment-size-bytes", NEITHER, Check::Any),
    rule("x-stream-filter-size-bytes", NEITHER, Check::Any),
    rule("x-initial-cluster-size", NEITHER, Check::Any),
    rule("x-queue-leader-locator", BOTH, Check::Locator),
    rule("x-queue-master-locator", CLASSIC, Check::Any),
    rule("x-delivery-limit", BOTH, Check::Integer { min: i64::MIN }),
    rule("x-consumer-timeout", BOTH, Check::Milliseconds { min: 0 }),
    rule("x-consumer-disconnected-timeout", QUORUM, Check::Milliseconds { min: 0 }),
    rule("x-delayed-retry-type", BOTH, Check::RetryWhen),
    rule("x-delayed-retry-min", BOTH, Check::Milliseconds { min: 0 }),
    rule("x-delayed-retry-max", BOTH, Check::Milliseconds { min: 0 }),
    // Ours:
    rule("x-delayed-retry-backoff", BOTH, Check::Word(|word| Backoff::parse(word).is_some(), "invalid_delayed_retry_backoff")),
    rule("x-delayed-retry-multiplier", BOTH, Check::Number(is_multiplier)),
    rule("x-delayed-retry-jitter", BOTH, Check::Number(is_share)),
    rule("x-message-deduplication", BOTH, Check::Bool),
    rule("x-deduplication-header", BOTH, Check::Text),
    rule("x-cache-size", BOTH, Check::Integer { min: 1 }),
    rule("x-cache-ttl", BOTH, Check::Milliseconds { min: 1 }),
];

/// What a value of an argument must be.
enum Check {
    Any,
    Bool,
    Text,
    Integer {
        min: i64,
    },
    /// No longer than ten years.
    Milliseconds {
        min: i64,
    },
    /// 0 to 255.
    Priority,
    /// 1 or 2.
    Version,
    Mode,
    Locator,
    /// A word that something knows, and the complaint if it does not.
    Word(fn(&[u8]) -> bool, &'static str),
    /// A number in the range that something knows.
    Number(fn(&FieldValue) -> bool),
    /// The name of an exchange.
    Exchange,
    /// A routing key, and only beside `x-dead-letter-exchange`.
    DeadLetterKey,
    /// A word, and only beside the first wait unless it means none.
    RetryWhen,
}

impl Check {
    /// Erlang's term for what is wrong, as RabbitMQ's texts show it.
    fn complaint(&self, value: &FieldValue, all: &FieldTable) -> Option<String> {
        let word = value.as_str_bytes();
        match *self {
            Self::Any => None,
            Self::Bool => value.as_bool().is_none().then(|| unacceptable(value)),
            Self::Integer { min } => not_from(value, min),
            Self::Milliseconds { min } => {
                not_from(value, min).or_else(|| beyond(value, ARGUMENT_MS_MAX, "value_too_large"))
            }
            Self::Priority => {
                not_from(value, 0).or_else(|| beyond(value, PRIORITY_MAX, "max_value_exceeded"))
            }
            Self::Version => not_from(value, 0).or_else(|| {
                let known = matches!(value.as_i64(), Some(1 | 2));
                (!known).then(|| format!("\"unsupported queue version '{value}'\""))
            }),
            Self::Number(accepts) if accepts(value) => None,
            Self::Number(_) => Some(match numbers::number(value) {
                Some(number) => format!("{{value_out_of_range,{number}}}"),
                None => unacceptable(value),
            }),
            _ if word.is_none() => Some(unacceptable(value)),
            Self::Text => None,
            Self::Mode if matches!(word, Some(b"default" | b"lazy")) => None,
            Self::Mode => Some(format!("\"unsupported queue mode '{value}'\"")),
            Self::Locator => (!is_locator(value)).then(|| "invalid_queue_locator_arg".into()),
            Self::Word(knows, complaint) => (!word.is_some_and(knows)).then(|| complaint.into()),
            Self::DeadLetterKey if all.get("x-dead-letter-exchange").is_none() => {
                Some("routing_key_but_no_dlx_defined".into())
            }
            Self::Exchange | Self::DeadLetterKey => too_long(word),
            Self::RetryWhen => match word.and_then(RetryWhen::parse) {
                None => Some("invalid_delayed_retry_type".into()),
                Some(RetryWhen::Disabled) => None,
                Some(_) if all.get("x-delayed-retry-min").is_some() => None,
                Some(_) => Some("delayed_retry_type_but_no_min_defined".into()),
            },
        }
    }
}

fn unacceptable(value: &FieldValue) -> String {
    format!("{{unacceptable_type,{}}}", value.type_name())
}

/// What is wrong with a value that should be an integer, and at least `min`, which is no more than 1.
fn not_from(value: &FieldValue, min: i64) -> Option<String> {
    match value.as_i64() {
        None => Some(format!("\"expected integer, got {}\"", value.type_name())),
        Some(number) if number >= min => None,
        Some(0) => Some("{value_zero,0}".into()),
        Some(number) => Some(format!("{{value_negative,{number}}}")),
    }
}

fn beyond(value: &FieldValue, max: i64, complaint: &str) -> Option<String> {
    let number = value.as_i64().filter(|number| *number > max)?;
    Some(format!("{{{complaint},{number}}}"))
}

/// RabbitMQ takes such names, and no message can go there.
fn too_long(name: Option<&[u8]>) -> Option<String> {
    let name = name.filter(|name| ShortString::try_from(*name).is_err())?;
    Some(format!("{{value_too_long,{}}}", name.len()))
}

fn is_strategy(word: &[u8]) -> bool {
    matches!(word, b"at-most-once" | b"at-least-once")
}
