//! All users and permissions.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Grant, PermissionsSpec, TopicPermissionsSpec, UserSpec};
use crate::core::pattern::BadPattern;
use crate::protocol::ShortString;

/// A durable change of users and permissions.
#[derive(Debug, Clone, PartialEq)]
pub enum AccessChange {
    /// A user was set, perhaps in the place of the one of that name.
    UserSet(UserSpec),
    /// A user is gone. What it was permitted goes first, each with its own change.
    UserDeleted(ShortString),
    /// What a user may do in a virtual host was set.
    PermissionsSet(PermissionsSpec),
    /// A user may do nothing in a virtual host any more.
    PermissionsDeleted {
        /// The user.
        user: ShortString,
        /// The virtual host.
        vhost: ShortString,
    },
    /// Which keys a user may use with a topic exchange was set.
    TopicPermissionsSet(TopicPermissionsSpec),
    /// A user may use all keys with a topic exchange.
    TopicPermissionsDeleted {
        /// The user.
        user: ShortString,
        /// The virtual host.
        vhost: ShortString,
        /// The exchange.
        exchange: ShortString,
    },
    /// Something was set for the whole broker (RabbitMQ's global parameters).
    GlobalParameterSet {
        /// Its name.
        name: ShortString,
        /// What was set, as JSON.
        value: String,
    },
    /// It is not set any more.
    GlobalParameterDeleted(ShortString),
}

type UserAndVhost = (ShortString, ShortString);

/// Users, permissions and global parameters, by name.
#[derive(Debug, Default)]
pub struct Registry {
    users: BTreeMap<ShortString, Arc<UserSpec>>,
    permissions: BTreeMap<UserAndVhost, PermissionsSpec>,
    topic_permissions: BTreeMap<UserAndVhost, BTreeMap<ShortString, TopicPermissionsSpec>>,
    global_parameters: BTreeMap<ShortString, String>,
    /// What follows from the permissions, made when they are set.
    grants: HashMap<UserAndVhost, Arc<Grant>>,
}

impl Registry {
    /// Carries a change out. An error, and nothing changed, if one of its expressions cannot be read.
    pub fn apply(&mut self, change: AccessChange) -> Result<(), BadPattern> {
        match change {
            AccessChange::UserSet(spec) => {
                self.users.insert(spec.name.clone(), Arc::new(spec));
            }
            AccessChange::UserDeleted(name) => {
                self.users.remove(&name);
            }
            AccessChange::PermissionsSet(spec) => {
                let key = (spec.user.clone(), spec.vhost.clone());
                let grant = grant_of(&spec, self.topic_permissions.get(&key))?;
                self.grants.insert(key.clone(), Arc::new(grant));
                self.permissions.insert(key, spec);
            }
            AccessChange::PermissionsDeleted { user, vhost } => {
                let key = (user, vhost);
                self.permissions.remove(&key);
                self.grants.remove(&key);
            }
            AccessChange::TopicPermissionsSet(spec) => {
                let key = (spec.user.clone(), spec.vhost.clone());
                let mut topics = self.topic_permissions.get(&key).cloned().unwrap_or_default();
                topics.insert(spec.exchange.clone(), spec);
                self.set_topics(key, topics)?;
            }
            AccessChange::TopicPermissionsDeleted { user, vhost, exchange } => {
                let key = (user, vhost);
                let mut topics = self.topic_permissions.get(&key).cloned().unwrap_or_default();
                topics.remove(&exchange);
                self.set_topics(key, topics)?;
            }
            AccessChange::GlobalParameterSet { name, value } => {
                self.global_parameters.insert(name, value);
            }
            AccessChange::GlobalParameterDeleted(name) => {
                self.global_parameters.remove(&name);
            }
        }
        Ok(())
    }

    /// A user by name.
    pub fn user(&self, name: &[u8]) -> Option<&Arc<UserSpec>> {
        self.users.get(name)
    }

    /// All users by name.
    pub fn users(&self) -> impl Iterator<Item = &Arc<UserSpec>> {
        self.users.values()
    }

    /// What a user may do in a virtual host. `None` if it may not even open it.
    pub fn grant(&self, user: &ShortString, vhost: &ShortString) -> Option<&Arc<Grant>> {
        self.grants.get(&(user.clone(), vhost.clone()))
    }

    /// What was set for a user in a virtual host.
    pub fn permissions_of(&self, user: &ShortString, vhost: &ShortString) -> Option<&PermissionsSpec> {
        self.permissions.get(&(user.clone(), vhost.clone()))
    }

    /// What was set for a user and the topic exchanges of a virtual host, by exchange.
    pub fn topic_permissions_of(
        &self,
        user: &ShortString,
        vhost: &ShortString,
    ) -> impl Iterator<Item = &TopicPermissionsSpec> {
        let topics = self.topic_permissions.get(&(user.clone(), vhost.clone()));
        topics.into_iter().flat_map(BTreeMap::values)
    }

    /// The JSON of a global parameter.
    pub fn global_parameter(&self, name: &[u8]) -> Option<&str> {
        self.global_parameters.get(name).map(String::as_str)
    }

    /// All permissions, by user and virtual host.
    pub fn permissions(&self) -> impl Iterator<Item = &PermissionsSpec> {
        self.permissions.values()
    }

    /// All topic permissions, by user, virtual host and exchange.
    pub fn topic_permissions(&self) -> impl Iterator<Item = &TopicPermissionsSpec> {
        self.topic_permissions.values().flat_map(BTreeMap::values)
    }

    /// All global parameters by name: their JSON.
    pub fn global_parameters(&self) -> impl Iterator<Item = (&ShortString, &str)> {
        self.global_parameters.iter().map(|(name, value)| (name, &**value))
    }

    /// The changes by which a user goes, with what it was permitted. Empty if there is none of this name.
    pub fn deletion_of_user(&self, name: &ShortString) -> Vec<AccessChange> {
        if !self.users.contains_key(name) {
            return Vec::new();
        }
        let mut changes = self.deletion_of_permissions(|user, _| user == name);
        changes.push(AccessChange::UserDeleted(name.clone()));
        changes
    }

    /// The changes by which all permissions in a virtual host go.
    pub fn deletion_of_vhost(&self, name: &ShortString) -> Vec<AccessChange> {
        self.deletion_of_permissions(|_, vhost| vhost == name)
    }

    fn deletion_of_permissions(&self, of: impl Fn(&ShortString, &ShortString) -> bool) -> Vec<AccessChange> {
        let permissions = self.permissions.keys().filter(|(user, vhost)| of(user, vhost));
        let permissions = permissions.map(|(user, vhost)| AccessChange::PermissionsDeleted {
            user: user.clone(),
            vhost: vhost.clone(),
        });
        let topics = self.topic_permissions().filter(|spec| of(&spec.user, &spec.vhost));
        let topics = topics.map(|spec| AccessChange::TopicPermissionsDeleted {
            user: spec.user.clone(),
            vhost: spec.vhost.clone(),
            exchange: spec.exchange.clone(),
        });
        permissions.chain(topics).collect()
    }

    fn set_topics(
        &mut self,
        key: UserAndVhost,
        topics: BTreeMap<ShortString, TopicPermissionsSpec>,
    ) -> Result<(), BadPattern> {
        // They count only beside permissions, but an expression that cannot be read is refused in any case.
        let spec = self.permissions.get(&key).cloned();
        let is_permitted = spec.is_some();
        let spec = spec.unwrap_or_else(|| PermissionsSpec {
            user: key.0.clone(),
            vhost: key.1.clone(),
            configure: String::new(),
            write: String::new(),
            read: String::new(),
        });
        let grant = grant_of(&spec, Some(&topics))?;
        if is_permitted {
            self.grants.insert(key.clone(), Arc::new(grant));
        }
        if topics.is_empty() {
            self.topic_permissions.remove(&key);
        } else {
            self.topic_permissions.insert(key, topics);
        }
        Ok(())
    }
}

fn grant_of(
    spec: &PermissionsSpec,
    topics: Option<&BTreeMap<ShortString, TopicPermissionsSpec>>,
) -> Result<Grant, BadPattern> {
    let topics: Vec<_> = topics.into_iter().flat_map(BTreeMap::values).collect();
    Grant::new(spec, &topics)
}
