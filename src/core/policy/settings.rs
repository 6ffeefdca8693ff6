//! What may change while a queue lives: its arguments, merged with the policies that apply to it.

use super::merge::{lower_limit, merged};
use super::retry::{Backoff, Retry, RetryWhen};
use crate::core::{
    clock::Millis,
    declared::{Definition, QueueType},
    message::View,
    numbers,
};
use crate::protocol::{
    FieldTable, FieldValue, PropertiesView, ShortString, TableView, properties::FLAG_HEADERS, property_flags,
};

/// The factor of [`Backoff::Exponential`] where none is given.
const RETRY_MULTIPLIER: f64 = 2.0;

/// What a queue does with a message for which it has no room (`x-overflow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// It makes room by dropping its oldest messages.
    #[default]
    DropHead,
    /// It refuses the message; a publisher in confirm mode gets `basic.nack`.
    RejectPublish,
    /// The same, and the refused message is dead-lettered.
    RejectPublishDlx,
}

impl Overflow {
    /// By the word of `x-overflow`.
    pub fn parse(word: &[u8]) -> Option<Self> {
        match word {
            b"drop-head" => Some(Self::DropHead),
            b"reject-publish" => Some(Self::RejectPublish),
            b"reject-publish-dlx" => Some(Self::RejectPublishDlx),
            _ => None,
        }
    }
}

/// What counts for a queue now. Times in milliseconds, sizes in bytes of bodies.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueueSettings {
    /// How long a message waits at most.
    pub message_ttl: Option<Millis>,
    /// How long the queue lives without being used.
    pub expires: Option<Millis>,
    /// Where dead messages go.
    pub dead_letter_exchange: Option<ShortString>,
    /// The routing key of dead messages, if not their own.
    pub dead_letter_routing_key: Option<ShortString>,
    /// Ready messages at most.
    pub max_length: Option<u64>,
    /// Bytes of the bodies of ready messages at most.
    pub max_length_bytes: Option<u64>,
    /// What happens beyond either.
    pub overflow: Overflow,
    /// Failed deliveries of a message at most; more than that, and it is dead.
    pub delivery_limit: Option<u32>,
    /// How long a consumer may hold a message; the broker's own setting counts if there is none.
    pub consumer_timeout: Option<Millis>,
    /// When returned messages come again.
    pub retry: Retry,
}

impl QueueSettings {
    /// When a message comes again: as the queue says, or its own headers.
    pub fn retry_of(&self, view: &View<'_>) -> Retry {
        let headers = property_flags(view.properties())
            .filter(|flags| flags & FLAG_HEADERS != 0)
            .and_then(|_| PropertiesView::parse(view.properties()).ok()?.headers);
        headers.map_or(self.retry, |headers| self.retry.overridden(&TableView::new(headers)))
    }

    /// What counts for a queue of these arguments under a policy and an operator policy (RabbitMQ's rules: of numbers
    /// the lowest, names and words by argument before policy; how returned messages wait by policy before argument).
    ///
    /// The values were checked when they were declared: what is not of its type counts as not given.
    pub fn of(arguments: &FieldTable, policy: Option<&Definition>, operator: Option<&Definition>) -> Self {
        let given = Given { arguments, policy: &merged(policy, operator) };
        Self {
            message_ttl: given.lowest("message-ttl"),
            expires: given.lowest("expires"),
            dead_letter_exchange: given.name("dead-letter-exchange"),
            dead_letter_routing_key: given.name("dead-letter-routing-key"),
            max_length: given.lowest("max-length"),
            max_length_bytes: given.lowest("max-length-bytes"),
            overflow: given.argument_first("overflow", Overflow::parse).unwrap_or_default(),
            delivery_limit: given.delivery_limit(QueueType::of(arguments)),
            consumer_timeout: given.lowest("consumer-timeout"),
            retry: given.retry().unwrap_or_default(),
        }
    }
}

/// A queue's arguments, and what its policies say together.
struct Given<'a> {
    arguments: &'a FieldTable,
    policy: &'a FieldTable,
}

impl Given<'_> {
    /// An argument has the name of its policy key behind `x-`.
    fn argument(&self, key: &str) -> Option<&FieldValue> {
        self.arguments.get(format!("x-{key}"))
    }

    /// The value in the argument and the one in the policy.
    fn both<T>(&self, key: &str, read: impl Fn(&FieldValue) -> Option<T>) -> (Option<T>, Option<T>) {
        (self.argument(key).and_then(&read), self.policy.get(key).and_then(&read))
    }

    fn lowest(&self, key: &str) -> Option<u64> {
        let (argument, policy) = self.both(key, |value| value.as_i64()?.try_into().ok());
        argument.into_iter().chain(policy).min()
    }

    fn argument_first<T>(&self, key: &str, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let (argument, policy) = self.both(key, |value| parse(value.as_str_bytes()?));
        argument.or(policy)
    }

    fn policy_first<T>(&self, key: &str, read: impl Fn(&FieldValue) -> Option<T>) -> Option<T> {
        let (argument, policy) = self.both(key, read);
        policy.or(argument)
    }

    fn name(&self, key: &str) -> Option<ShortString> {
        self.argument_first(key, |bytes| ShortString::try_from(bytes).ok())
    }

    /// A negative limit is none.
    fn delivery_limit(&self, queue_type: QueueType) -> Option<u32> {
        let limit = match self.both("delivery-limit", FieldValue::as_i64) {
            (None, None) => return queue_type.delivery_limit(),
            (Some(one), Some(other)) => lower_limit(one, other),
            (argument, policy) => argument.or(policy)?,
        };
        (limit >= 0).then(|| u32::try_from(limit).unwrap_or(u32::MAX))
    }

    /// None unless it is wanted and the first wait is known.
    fn retry(&self) -> Option<Retry> {
        let when = self
            .policy_first("delayed-retry-type", |value| RetryWhen::parse(value.as_str_bytes()?))
            .filter(|when| *when != RetryWhen::Disabled)?;
        let backoff =
            self.policy_first("delayed-retry-backoff", |value| Backoff::parse(value.as_str_bytes()?));
        Some(Retry {
            when,
            min_ms: self.lowest("delayed-retry-min")?,
            max_ms: self.lowest("delayed-retry-max"),
            backoff: backoff.unwrap_or_default(),
            multiplier: self
                .policy_first("delayed-retry-multiplier", numbers::number)
                .unwrap_or(RETRY_MULTIPLIER),
            jitter: self.policy_first("delayed-retry-jitter", numbers::number).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table() -> FieldTable {
        FieldTable::new()
    }

    fn quorum() -> FieldTable {
        table().with("x-queue-type", "quorum")
    }

    #[test]
    fn a_queue_of_which_nothing_is_said_has_the_defaults() {
        assert_eq!(QueueSettings::of(&table(), None, None), QueueSettings::default());
        let quorum = QueueSettings::of(&quorum(), None, None);
        assert_eq!(quorum, QueueSettings { delivery_limit: Some(20), ..QueueSettings::default() });
    }

    #[test]
    fn of_numbers_the_lowest_counts() {
        let arguments = table().with("x-max-length", 5).with("x-expires", 60_000).with("x-message-ttl", 0);
        let policy = table().with("max-length", 7).with("expires", 50_000_i64).with("consumer-timeout", 9);
        let operator = table().with("max-length", 6).with("max-length-bytes", 100).with("expires", 40_000);
        let settings = QueueSettings::of(&arguments, Some(&policy), Some(&operator));
        assert_eq!((settings.max_length, settings.max_length_bytes), (Some(5), Some(100)));
        assert_eq!((settings.expires, settings.message_ttl), (Some(40_000), Some(0)));
        assert_eq!(settings.consumer_timeout, Some(9));
    }

    #[test]
    fn names_and_words_count_by_argument_before_policy() {
        let policy = table()
            .with("dead-letter-exchange", "policy")
            .with("dead-letter-routing-key", "key")
            .with("overflow", "reject-publish");
        let operator = table().with("overflow", "reject-publish-dlx");
        let by_policy = QueueSettings::of(&table(), Some(&policy), None);
        assert_eq!(by_policy.dead_letter_exchange, Some(ShortString::from_static("policy")));
        assert_eq!(by_policy.overflow, Overflow::RejectPublish);
        let by_both = QueueSettings::of(&table(), Some(&policy), Some(&operator));
        assert_eq!(by_both.overflow, Overflow::RejectPublishDlx, "the operator's wins over the policy's");
        let arguments = table().with("x-dead-letter-exchange", "").with("x-overflow", "drop-head");
        let by_argument = QueueSettings::of(&arguments, Some(&policy), Some(&operator));
        assert_eq!(by_argument.dead_letter_exchange, Some(ShortString::new()), "the default exchange");
        assert_eq!(by_argument.dead_letter_routing_key, Some(ShortString::from_static("key")));
        assert_eq!(by_argument.overflow, Overflow::DropHead);
    }

    #[test]
    fn a_negative_delivery_limit_is_none_and_gives_way_to_a_limit() {
        let limit = |argument: Option<i32>, policy: Option<i32>| {
            let arguments = argument.map_or_else(quorum, |limit| quorum().with("x-delivery-limit", limit));
            let policy = policy.map(|limit| table().with("delivery-limit", limit));
            QueueSettings::of(&arguments, policy.as_ref(), None).delivery_limit
        };
        assert_eq!((limit(None, None), limit(Some(-1), None), limit(None, Some(-1))), (Some(20), None, None));
        assert_eq!((limit(Some(3), Some(5)), limit(Some(30), None)), (Some(3), Some(30)));
        assert_eq!((limit(Some(-1), Some(5)), limit(Some(5), Some(-1))), (Some(5), Some(5)));
        assert_eq!(limit(Some(-1), Some(-2)), None);
        let huge = table().with("x-delivery-limit", i64::MAX);
        assert_eq!(QueueSettings::of(&huge, None, None).delivery_limit, Some(u32::MAX));
    }

    #[test]
    fn how_returned_messages_wait_is_the_policys_to_say() {
        let arguments = table()
            .with("x-delayed-retry-type", "failed")
            .with("x-delayed-retry-min", 100)
            .with("x-delayed-retry-max", 5_000)
            .with("x-delayed-retry-jitter", FieldValue::F64(0.25));
        let by_argument = QueueSettings::of(&arguments, None, None).retry;
        let expected = Retry {
            when: RetryWhen::Failed,
            min_ms: 100,
            max_ms: Some(5_000),
            backoff: Backoff::Linear,
            multiplier: 2.0,
            jitter: 0.25,
        };
        assert_eq!(by_argument, expected);
        let decimal = table()
            .with("x-delayed-retry-type", "failed")
            .with("x-delayed-retry-min", 100)
            .with("x-delayed-retry-jitter", FieldValue::Decimal { scale: 2, value: 25 });
        assert_eq!(QueueSettings::of(&decimal, None, None).retry.jitter.to_bits(), 0.25_f64.to_bits());
        let policy = table()
            .with("delayed-retry-type", "all")
            .with("delayed-retry-min", 50)
            .with("delayed-retry-max", 9_000)
            .with("delayed-retry-backoff", "exponential")
            .with("delayed-retry-multiplier", 3);
        let by_both = QueueSettings::of(&arguments, Some(&policy), None).retry;
        let (when, backoff) = (RetryWhen::All, Backoff::Exponential);
        assert_eq!(by_both, Retry { when, min_ms: 50, backoff, multiplier: 3.0, ..expected });
        let off = table().with("delayed-retry-type", "disabled");
        assert_eq!(QueueSettings::of(&arguments, Some(&off), None).retry, Retry::default());
        let incomplete = table().with("delayed-retry-type", "all");
        assert_eq!(QueueSettings::of(&table(), Some(&incomplete), None).retry, Retry::default());
    }

    #[test]
    fn an_operator_makes_the_first_wait_longer_and_the_longest_shorter() {
        let policy = table().with("delayed-retry-type", "all").with("delayed-retry-min", 5);
        let policy = policy.with("delayed-retry-max", 500);
        let operator = table().with("delayed-retry-min", 50).with("delayed-retry-max", 400);
        let retry = QueueSettings::of(&table(), Some(&policy), Some(&operator)).retry;
        assert_eq!((retry.min_ms, retry.max_ms), (50, Some(400)));
    }

    proptest! {
        #[test]
        fn no_values_panic(values in prop::collection::vec(crate::protocol::arbitrary::value(), 3)) {
            let mut tables = [table(), table(), table()];
            for key in ["max-length", "delivery-limit", "delayed-retry-type", "delayed-retry-min", "overflow"] {
                for (table, value) in tables.iter_mut().zip(&values) {
                    table.insert(ShortString::try_from(format!("x-{key}")).unwrap(), value.clone());
                    table.insert(ShortString::from_static(key), value.clone());
                }
            }
            let [arguments, policy, operator] = tables;
            let _ = QueueSettings::of(&arguments, Some(&policy), Some(&operator));
        }
    }
}
