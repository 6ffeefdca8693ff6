//! From what is declared and set to the report of it. Neither a hash nor the value of a parameter gets there.

use super::{
    declared::{Declared, ParameterReport, UserReport},
    report::Report,
};
use crate::core::{
    access::{AccessChange, UserSpec},
    change::TopologyChange,
};
use crate::protocol::ShortString;
use crate::store::checkpoint::{Entities, Entity};

impl Report {
    pub(super) fn count_declared(&mut self, entities: &Entities) {
        for entity in entities.iter() {
            match entity {
                Entity::Topology { vhost, change } => self.count_topology(vhost, change),
                Entity::Access(change) => self.declared.count_access(change),
                Entity::UsersSetUp => {}
            }
        }
    }

    fn count_topology(&mut self, vhost: &ShortString, change: &TopologyChange) {
        let host = self.declared.vhosts.entry(vhost.clone()).or_default();
        match change {
            TopologyChange::ExchangeDeclared(_) => self.declared.exchanges += 1,
            TopologyChange::Bound(_) => self.declared.bindings += 1,
            TopologyChange::QueueDeclared { id, name, .. } => self.name_queue(*id, vhost, name),
            TopologyChange::VhostSet(settings) => host.settings = settings.clone(),
            TopologyChange::VhostDeleted => host.is_deleted = true,
            TopologyChange::ParameterSet { component, name, .. } => {
                let of = Some((vhost.clone(), component.clone()));
                self.declared.parameters.push(ParameterReport { of, name: name.clone() });
            }
            // Only counted with the others; the rest is no entity.
            TopologyChange::PolicySet { .. }
            | TopologyChange::ExchangeDeleted(_)
            | TopologyChange::QueueDeleted { .. }
            | TopologyChange::Unbound(_)
            | TopologyChange::PolicyDeleted { .. }
            | TopologyChange::VhostCleared
            | TopologyChange::ParameterDeleted { .. } => {}
        }
    }
}

impl Declared {
    fn count_access(&mut self, change: &AccessChange) {
        match change {
            AccessChange::UserSet(UserSpec { name, password, tags, limits }) => {
                let algorithm = (!password.bytes.is_empty()).then_some(password.algorithm);
                let (name, tags, limits) = (name.clone(), tags.clone(), limits.clone());
                self.users.push(UserReport { name, tags, algorithm, limits });
            }
            AccessChange::PermissionsSet(spec) => self.permissions.push(spec.clone()),
            AccessChange::TopicPermissionsSet(spec) => self.topic_permissions.push(spec.clone()),
            AccessChange::GlobalParameterSet { name, .. } => {
                self.parameters.push(ParameterReport { of: None, name: name.clone() });
            }
            AccessChange::UserDeleted(_)
            | AccessChange::PermissionsDeleted { .. }
            | AccessChange::TopicPermissionsDeleted { .. }
            | AccessChange::GlobalParameterDeleted(_) => {}
        }
    }
}
