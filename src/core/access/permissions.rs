//! Permissions as they are set and shown: regular expressions that are looked for anywhere in a name. An empty one permits
//! nothing (RabbitMQ reads it as `^$`).

use crate::protocol::ShortString;

/// What a user may do in a virtual host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionsSpec {
    /// The user.
    pub user: ShortString,
    /// The virtual host.
    pub vhost: ShortString,
    /// Names of queues and exchanges that it may declare and delete.
    pub configure: String,
    /// Names that it may put messages into.
    pub write: String,
    /// Names that it may take messages from.
    pub read: String,
}

/// Which routing keys a user may use with a topic exchange. Without one it may use all.
///
/// `{username}` and `{vhost}` in the expressions stand for the user's and the virtual host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPermissionsSpec {
    /// The user.
    pub user: ShortString,
    /// The virtual host.
    pub vhost: ShortString,
    /// The topic exchange.
    pub exchange: ShortString,
    /// Keys that it may publish with.
    pub write: String,
    /// Keys that it may bind with.
    pub read: String,
}
