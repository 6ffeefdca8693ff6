//! Policies: settings that operators give to queues and exchanges by name, while these live.
//!
//! Of each kind the one of the highest priority counts for an object, and only that one. What it says is merged with
//! what the other kind says ([`merged`]) and with the object's arguments ([`QueueSettings::of`]).

pub(in crate::core) mod keys;
mod merge;
pub mod origin;
pub mod retry;
mod settings;

use std::{collections::BTreeMap, sync::Arc};

pub use keys::PolicyError;
pub use merge::{lower_limit, merged};
pub use settings::{Overflow, QueueSettings};

use crate::core::{
    declared::{PolicyKind, PolicySpec, Subject},
    pattern::Pattern,
};
use crate::protocol::ShortString;

/// A policy that can be matched.
#[derive(Debug)]
pub struct Policy {
    /// As it was set.
    pub spec: PolicySpec,
    pattern: Pattern,
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

/// What setting a policy would mean for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It would count for it.
    Counts,
    /// It matches, but another one of its kind comes first.
    Behind,
    /// The policy of the same name counts for it now, and would not any more.
    Leaves,
}

impl Effect {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Behind => "behind",
            Self::Leaves => "leaves",
        }
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

    /// What it would mean for an object if a policy were set, in the place of the one of its kind and name; none if nothing.
    pub fn effect(&self, kind: PolicyKind, policy: &Policy, subject: Subject, name: &[u8]) -> Option<Effect> {
        if !policy.matches(subject, name) {
            let now =
                self.of(kind).contains_key(&policy.spec.name).then(|| self.matching(kind, subject, name));
            let is_it = now.flatten().is_some_and(|now| now.spec.name == policy.spec.name);
            return is_it.then_some(Effect::Leaves);
        }
        let comes_first = |other: &Policy| {
            let (its, ours) = (&other.spec, &policy.spec);
            its.priority > ours.priority || (its.priority == ours.priority && its.name < ours.name)
        };
        let mut others = self.of(kind).values().filter(|other| other.spec.name != policy.spec.name);
        let is_behind = others.any(|other| comes_first(other) && other.matches(subject, name));
        Some(if is_behind { Effect::Behind } else { Effect::Counts })
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
