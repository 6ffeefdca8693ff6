//! What is declared and set, as it stands after changes: one entity for each key.

use std::collections::BTreeMap;

use super::entity::Entity;
use crate::core::{
    access::{AccessChange, PermissionsSpec, TopicPermissionsSpec},
    change::TopologyChange,
};
use crate::protocol::ShortString;
use crate::store::kv::Key;

/// Exchanges, queues, bindings, policies, settings of virtual hosts, users, permissions, topic permissions, global parameters
/// and parameters of virtual hosts, in this order, each as the change that made it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entities(BTreeMap<Vec<u8>, Entity>);

/// What a change does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyChange {
    Put,
    Delete,
}

impl Entities {
    /// Takes a change over. What ends is not kept, and transient queues never are.
    pub fn apply(&mut self, change: Entity) {
        if let Some(implied) = implied(&change) {
            self.apply(implied);
        }
        let Some((key, key_change)) = key_of(&change) else { return };
        let key = key.to_bytes();
        match key_change {
            KeyChange::Put => self.0.insert(key, change),
            KeyChange::Delete => self.0.remove(&key),
        };
    }

    /// All of them, in the order in which they can be made again.
    pub fn iter(&self) -> impl Iterator<Item = &Entity> {
        self.0.values()
    }

    /// All of them, in the same order.
    pub fn into_vec(self) -> Vec<Entity> {
        self.0.into_values().collect()
    }
}

impl FromIterator<Entity> for Entities {
    fn from_iter<I: IntoIterator<Item = Entity>>(changes: I) -> Self {
        let mut entities = Self::default();
        changes.into_iter().for_each(|change| entities.apply(change));
        entities
    }
}

/// What a change says beside itself.
pub(super) fn implied(change: &Entity) -> Option<Entity> {
    matches!(change, Entity::Access(AccessChange::UserSet(_))).then_some(Entity::UsersSetUp)
}

/// The key of a change, and what becomes of it. None of transient queues.
pub(super) fn key_of(change: &Entity) -> Option<(Key<'_>, KeyChange)> {
    match change {
        Entity::Topology { vhost, change } => key_of_topology(vhost, change),
        Entity::Access(change) => Some(key_of_access(change)),
        Entity::UsersSetUp => Some((Key::UsersSetUp, KeyChange::Put)),
    }
}

fn key_of_topology<'a>(vhost: &'a ShortString, change: &'a TopologyChange) -> Option<(Key<'a>, KeyChange)> {
    use KeyChange::{Delete, Put};
    Some(match change {
        TopologyChange::ExchangeDeclared(spec) => (Key::ExchangeDeclared { vhost, name: &spec.name }, Put),
        TopologyChange::ExchangeDeleted(name) => (Key::ExchangeDeclared { vhost, name }, Delete),
        TopologyChange::QueueDeclared { id, .. } | TopologyChange::QueueDeleted { id, .. }
            if !id.is_durable() =>
        {
            return None;
        }
        TopologyChange::QueueDeclared { name, .. } => (Key::QueueDeclared { vhost, name }, Put),
        TopologyChange::QueueDeleted { name, .. } => (Key::QueueDeclared { vhost, name }, Delete),
        TopologyChange::Bound(binding) => (Key::Bound { vhost, binding }, Put),
        TopologyChange::Unbound(binding) => (Key::Bound { vhost, binding }, Delete),
        TopologyChange::PolicySet { kind, spec } => {
            (Key::PolicySet { vhost, kind: *kind, name: &spec.name }, Put)
        }
        TopologyChange::PolicyDeleted { kind, name } => (Key::PolicySet { vhost, kind: *kind, name }, Delete),
        // That it is to be cleared away takes the place of what is set for it.
        TopologyChange::VhostSet(_) | TopologyChange::VhostDeleted => (Key::VhostSet { vhost }, Put),
        TopologyChange::VhostCleared => (Key::VhostSet { vhost }, Delete),
        TopologyChange::ParameterSet { component, name, .. } => {
            (Key::ParameterSet { vhost, component, name }, Put)
        }
        TopologyChange::ParameterDeleted { component, name } => {
            (Key::ParameterSet { vhost, component, name }, Delete)
        }
    })
}

fn key_of_access(change: &AccessChange) -> (Key<'_>, KeyChange) {
    use KeyChange::{Delete, Put};
    match change {
        AccessChange::UserSet(spec) => (Key::UserSet { name: &spec.name }, Put),
        AccessChange::UserDeleted(name) => (Key::UserSet { name }, Delete),
        AccessChange::PermissionsSet(PermissionsSpec { user, vhost, .. }) => {
            (Key::PermissionsSet { user, vhost }, Put)
        }
        AccessChange::PermissionsDeleted { user, vhost } => (Key::PermissionsSet { user, vhost }, Delete),
        AccessChange::TopicPermissionsSet(TopicPermissionsSpec { user, vhost, exchange, .. }) => {
            (Key::TopicPermissionsSet { user, vhost, exchange }, Put)
        }
        AccessChange::TopicPermissionsDeleted { user, vhost, exchange } => {
            (Key::TopicPermissionsSet { user, vhost, exchange }, Delete)
        }
        AccessChange::GlobalParameterSet { name, .. } => (Key::GlobalParameterSet { name }, Put),
        AccessChange::GlobalParameterDeleted(name) => (Key::GlobalParameterSet { name }, Delete),
    }
}
