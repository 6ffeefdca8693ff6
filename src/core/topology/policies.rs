//! Policies of a virtual host, and what they make of its queues and exchanges.

use std::sync::{Arc, LazyLock, atomic::Ordering};

use super::{Exchange, Topology};
use crate::core::{
    change::TopologyChange,
    declared::{Definition, ExchangeSpec, PolicyKind, QueueSpec, Subject, VhostSettings},
    policy::{
        self, Policy, QueueSettings,
        origin::{Counting, counting},
    },
    queue::SharedQueue,
};
use crate::protocol::{FieldTable, FieldValue, ShortString};

/// Settings that most queues have: they share them, in all virtual hosts.
static COMMON_SETTINGS: LazyLock<[Arc<QueueSettings>; 2]> = LazyLock::new(|| {
    let of = |arguments| Arc::new(QueueSettings::of(&arguments, None, None));
    [of(FieldTable::new()), of(FieldTable::new().with("x-queue-type", "quorum"))]
});

fn shared(settings: QueueSettings) -> Arc<QueueSettings> {
    let common = COMMON_SETTINGS.iter().find(|common| ***common == settings);
    common.cloned().unwrap_or_else(|| Arc::new(settings))
}

impl Topology {
    /// What is set.
    pub fn settings(&self) -> &VhostSettings {
        &self.settings
    }

    /// Sets it. Queues that are there stay what they are.
    pub fn set_settings(&mut self, settings: VhostSettings) {
        self.settings = settings.clone();
        self.surroundings.observers.set_taps(settings.tracing);
        self.changes.push(TopologyChange::VhostSet(settings));
    }

    /// Sets a policy, in the place of the one of its kind and name. What it says counts at once.
    pub fn set_policy(&mut self, kind: PolicyKind, policy: Policy) {
        self.changes.push(TopologyChange::PolicySet { kind, spec: policy.spec.clone() });
        self.policies.set(kind, policy);
        self.apply_policies();
    }

    /// Removes a policy. False if there is none of this name.
    pub fn delete_policy(&mut self, kind: PolicyKind, name: &[u8]) -> bool {
        let Some(policy) = self.policies.delete(kind, name) else { return false };
        self.changes.push(TopologyChange::PolicyDeleted { kind, name: policy.spec.name.clone() });
        self.apply_policies();
        true
    }

    /// How many there are of all kinds: a new queue or exchange is matched with each of them.
    pub fn policies_count(&self) -> usize {
        self.policies(PolicyKind::User).len() + self.policies(PolicyKind::Operator).len()
    }

    /// The policies of a kind, by name.
    pub fn policies(&self, kind: PolicyKind) -> impl ExactSizeIterator<Item = &Arc<Policy>> {
        self.policies.of(kind).values()
    }

    /// The policy of a kind that counts for a queue.
    pub fn policy_of_queue(&self, kind: PolicyKind, queue: &QueueSpec) -> Option<&Arc<Policy>> {
        self.policies.matching(kind, Subject::Queue(queue.queue_type()), &queue.name)
    }

    /// The policy of a kind that counts for an exchange.
    pub fn policy_of_exchange(&self, kind: PolicyKind, exchange: &ExchangeSpec) -> Option<&Arc<Policy>> {
        self.policies.matching(kind, Subject::Exchange, &exchange.name)
    }

    /// The policy of a kind that counts for an object.
    pub fn policy_for(&self, kind: PolicyKind, subject: Subject, name: &[u8]) -> Option<&Arc<Policy>> {
        self.policies.matching(kind, subject, name)
    }

    /// What it would mean for an object if a policy were set; none if nothing.
    pub fn effect_of(
        &self,
        kind: PolicyKind,
        policy: &Policy,
        subject: Subject,
        name: &[u8],
    ) -> Option<policy::Effect> {
        self.policies.effect(kind, policy, subject, name)
    }

    /// What a queue's policies say together (RabbitMQ's `effective_policy_definition`).
    pub fn policy_definition_of_queue(&self, queue: &QueueSpec) -> Definition {
        let definition = |kind| self.policy_of_queue(kind, queue).map(|policy| &policy.spec.definition);
        policy::merged(definition(PolicyKind::User), definition(PolicyKind::Operator))
    }

    /// What counts for a queue of these arguments, and what says so.
    pub(super) fn counting_with(&self, queue: &QueueSpec, arguments: &FieldTable) -> Vec<Counting> {
        let definition = |kind| self.policy_of_queue(kind, queue).map(|policy| &policy.spec.definition);
        counting(arguments, definition(PolicyKind::User), definition(PolicyKind::Operator))
    }

    /// What counts for a queue now, and what says so.
    pub fn counting_for_queue(&self, queue: &SharedQueue) -> Vec<Counting> {
        self.counting_with(&queue.spec, &queue.arguments())
    }

    /// What counts for a queue of these arguments.
    pub(super) fn settings_of(&self, queue: &QueueSpec, arguments: &FieldTable) -> Arc<QueueSettings> {
        let definition = |kind| self.policy_of_queue(kind, queue).map(|policy| &policy.spec.definition);
        let (user, operator) = (definition(PolicyKind::User), definition(PolicyKind::Operator));
        shared(QueueSettings::of(arguments, user, operator))
    }

    /// The alternate exchange that a policy gives to an exchange.
    pub(super) fn policy_alternate_of(&self, exchange: &ExchangeSpec) -> Option<ShortString> {
        let policy = self.policy_of_exchange(PolicyKind::User, exchange)?;
        let name = policy.spec.definition.get("alternate-exchange").and_then(FieldValue::as_str_bytes)?;
        ShortString::try_from(name).ok()
    }

    /// Gives everything the settings that it has now.
    pub(super) fn apply_policies(&mut self) {
        for queue in self.queues.values() {
            let settings = self.settings_of(&queue.spec, &queue.arguments());
            if queue.settings() != settings {
                queue.apply(settings);
            }
        }
        let alternates: Vec<_> =
            self.exchanges.values().map(|exchange| self.policy_alternate_of(&exchange.spec)).collect();
        for (exchange, alternate) in self.exchanges.values_mut().zip(alternates) {
            exchange.change_policy_alternate(alternate);
        }
        self.stamp.fetch_add(1, Ordering::Release);
    }
}

impl Exchange {
    /// Where messages go that match no binding: by argument, else by policy.
    pub(super) fn alternate(&self) -> Option<&[u8]> {
        self.spec.alternate().or(self.policy_alternate().map(|name| &**name))
    }

    /// Routes that went the other way are stale afterwards.
    fn change_policy_alternate(&mut self, alternate: Option<ShortString>) {
        if self.policy_alternate() != alternate.as_ref() {
            self.set_policy_alternate(alternate);
            if self.spec.alternate().is_none() {
                self.changed();
            }
        }
    }
}
