//! The durable topology as it stands after changes: one entity for each key.

use std::collections::BTreeMap;

use crate::core::change::TopologyChange;
use crate::protocol::ShortString;
use crate::store::kv::Key;

/// Exchanges, queues, bindings, policies and settings of virtual hosts, in this order, each as the change that made it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entities(BTreeMap<Vec<u8>, (ShortString, TopologyChange)>);

/// What a change does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyChange {
    Put,
    Delete,
}

impl Entities {
    /// Takes a change over. What ends is not kept, and transient queues never are.
    pub fn apply(&mut self, vhost: ShortString, change: TopologyChange) {
        let Some((key, key_change)) = key_of(&vhost, &change) else { return };
        let key = key.to_bytes();
        match key_change {
            KeyChange::Put => self.0.insert(key, (vhost, change)),
            KeyChange::Delete => self.0.remove(&key),
        };
    }

    /// All of them, in the order in which they can be made again.
    pub fn iter(&self) -> impl Iterator<Item = &(ShortString, TopologyChange)> {
        self.0.values()
    }

    /// All of them, in the same order.
    pub fn into_vec(self) -> Vec<(ShortString, TopologyChange)> {
        self.0.into_values().collect()
    }
}

impl FromIterator<(ShortString, TopologyChange)> for Entities {
    fn from_iter<I: IntoIterator<Item = (ShortString, TopologyChange)>>(changes: I) -> Self {
        let mut entities = Self::default();
        changes.into_iter().for_each(|(vhost, change)| entities.apply(vhost, change));
        entities
    }
}

/// The key of a change, and what becomes of it. None of transient queues.
pub(super) fn key_of<'a>(vhost: &'a ShortString, change: &'a TopologyChange) -> Option<(Key<'a>, KeyChange)> {
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
        TopologyChange::VhostSet(_) => (Key::VhostSet { vhost }, Put),
    })
}
