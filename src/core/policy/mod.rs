//! Policies: settings that operators give to queues and exchanges by name, while these live.
//!
//! Of each kind the one of the highest priority counts for an object, and only that one. What it says is merged with
//! what the other kind says ([`merged`]) and with the object's arguments ([`crate::core::queue::QueueSettings::of`]).

pub(in crate::core) mod keys;
mod merge;
mod pattern;

use std::{collections::BTreeMap, sync::Arc};

pub use merge::{lower_limit, merged};

use crate::core::queue::QueueType;
use crate::protocol::{FieldTable, ShortString};
use pattern::Pattern;

/// What a policy says, by its keys: RabbitMQ's names, and the values of JSON as those of field tables.
pub type Definition = FieldTable;

/// Whose policies. An object has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyKind {
    /// Those of a virtual host's users (`rabbitmqctl set_policy`).
    User,
    /// Those of the broker's operator, which limit what users ask for (`rabbitmqctl set_operator_policy`).
    Operator,
}

/// What a policy may apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApplyTo {
    /// Queues and exchanges.
    All,
    /// Exchanges.
    Exchanges,
    /// Queues of any type.
    Queues,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Streams, of which there are none.
    Streams,
}

/// What a policy is looked up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// An exchange.
    Exchange,
    /// A queue.
    Queue(QueueType),
}

/// A policy as it is set and shown.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySpec {
    /// Unique among those of its kind in its virtual host.
    pub name: ShortString,
    /// A regular expression that is looked for anywhere in an object's name.
    pub pattern: String,
    /// The objects that it may apply to.
    pub apply_to: ApplyTo,
    /// The highest one wins.
    pub priority: i64,
    /// What it says.
    pub definition: Definition,
}

/// A policy that can be matched.
#[derive(Debug)]
pub struct Policy {
    /// As it was set.
    pub spec: PolicySpec,
    pattern: Pattern,
}

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
            Self::Pattern(why) => format!("its pattern is no regular expression: {why}"),
        }
    }
}

impl ApplyTo {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::All, Self::Exchanges, Self::Queues, Self::ClassicQueues, Self::QuorumQueues, Self::Streams];

    /// By the word of `apply-to`.
    pub fn parse(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name().as_bytes() == word)
    }

    /// The word of `apply-to`.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
        }
    }

    fn covers(self, subject: Subject) -> bool {
        match self {
            Self::All => true,
            Self::Exchanges => subject == Subject::Exchange,
            Self::Queues => matches!(subject, Subject::Queue(_)),
            Self::ClassicQueues => subject == Subject::Queue(QueueType::Classic),
            Self::QuorumQueues => subject == Subject::Queue(QueueType::Quorum),
            Self::Streams => false,
        }
    }
}

impl Policy {
    /// A policy of that kind, if all that it says can be meant.
    pub fn new(kind: PolicyKind, spec: PolicySpec) -> Result<Self, PolicyError> {
        keys::validate(kind, &spec.definition)?;
        Self::restored(spec)
    }

    /// A policy that was accepted before. An error only if its pattern cannot be read any more.
    pub fn restored(spec: PolicySpec) -> Result<Self, PolicyError> {
        let pattern = Pattern::new(&spec.pattern).map_err(|error| PolicyError::Pattern(error.to_string()))?;
        Ok(Self { spec, pattern })
    }

    fn matches(&self, subject: Subject, name: &[u8]) -> bool {
        let suits = match subject {
            Subject::Exchange => true,
            Subject::Queue(queue_type) => keys::suit(&self.spec.definition, queue_type),
        };
        self.spec.apply_to.covers(subject) && suits && self.pattern.is_match(name)
    }
}

/// The policies of a virtual host.
#[derive(Debug, Default)]
pub struct Policies {
    user: BTreeMap<ShortString, Arc<Policy>>,
    operator: BTreeMap<ShortString, Arc<Policy>>,
}

impl Policies {
    /// Adds a policy, in the place of the one of its kind and name.
    pub fn set(&mut self, kind: PolicyKind, policy: Policy) {
        self.of_mut(kind).insert(policy.spec.name.clone(), Arc::new(policy));
    }

    /// Removes a policy, if it is there.
    pub fn delete(&mut self, kind: PolicyKind, name: &[u8]) -> Option<Arc<Policy>> {
        self.of_mut(kind).remove(name)
    }

    /// Those of a kind, by name.
    pub fn of(&self, kind: PolicyKind) -> &BTreeMap<ShortString, Arc<Policy>> {
        match kind {
            PolicyKind::User => &self.user,
            PolicyKind::Operator => &self.operator,
        }
    }

    /// The one that counts: of the highest priority, and of several such the first by name.
    pub fn matching(&self, kind: PolicyKind, subject: Subject, name: &[u8]) -> Option<&Arc<Policy>> {
        let matching = self.of(kind).values().rev().filter(|policy| policy.matches(subject, name));
        matching.max_by_key(|policy| policy.spec.priority)
    }

    fn of_mut(&mut self, kind: PolicyKind) -> &mut BTreeMap<ShortString, Arc<Policy>> {
        match kind {
            PolicyKind::User => &mut self.user,
            PolicyKind::Operator => &mut self.operator,
        }
    }
}

#[cfg(test)]
mod tests;
