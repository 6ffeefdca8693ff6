//! What a check finds declared and set, as values for people. Of a password only the algorithm of its hash is told, and of a
//! parameter only its name: both may hold secrets.

use std::collections::BTreeMap;

use crate::core::{
    access::{HashAlgorithm, Limits, PermissionsSpec, TopicPermissionsSpec},
    declared::VhostSettings,
};
use crate::protocol::ShortString;

/// Users, what they may do, and what is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Durable exchanges, without those that every virtual host has.
    pub exchanges: usize,
    /// Durable bindings.
    pub bindings: usize,
    /// Users by name.
    pub users: Vec<UserReport>,
    /// Permissions by user and virtual host.
    pub permissions: Vec<PermissionsSpec>,
    /// Topic permissions by user, virtual host and exchange.
    pub topic_permissions: Vec<TopicPermissionsSpec>,
    /// Virtual hosts by name, those included of which only the queues are known.
    pub vhosts: BTreeMap<ShortString, VhostReport>,
    /// Global parameters, and then those of virtual hosts.
    pub parameters: Vec<ParameterReport>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserReport {
    /// Its name.
    pub name: ShortString,
    /// Its tags.
    pub tags: Vec<ShortString>,
    /// How its password was hashed; `None` if it has none.
    pub algorithm: Option<HashAlgorithm>,
    /// Its limits.
    pub limits: Limits,
}

/// A virtual host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VhostReport {
    /// What is set for it.
    pub settings: VhostSettings,
    /// It was deleted, and what is listed of it is still to be cleared away.
    pub is_deleted: bool,
}

/// A parameter, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterReport {
    /// Its virtual host and its component; `None` if it is global.
    pub of: Option<(ShortString, ShortString)>,
    /// Its name.
    pub name: ShortString,
}
