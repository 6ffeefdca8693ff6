//! What the API answers of virtual hosts, users, permissions and policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Bounds by their names.
pub type Bounds = BTreeMap<String, u64>;

/// A virtual host.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VirtualHost {
    /// Its name.
    pub name: String,
    /// What somebody says of it.
    pub description: String,
    /// Words for it.
    pub tags: Vec<String>,
    /// The type of queues that say none; `undefined` is classic.
    pub default_queue_type: String,
    /// Copies of all messages go to an exchange.
    pub tracing: bool,
    /// Messages that wait.
    pub messages_ready: u64,
    /// Messages that clients hold.
    pub messages_unacknowledged: u64,
    /// What RabbitMQ does not tell.
    pub leveret: VirtualHostMore,
}

/// What RabbitMQ does not tell of a virtual host.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VirtualHostMore {
    /// Its share of memory or disk is used up.
    pub publishers_blocked: bool,
}

/// Bounds of a user or a virtual host.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Limited {
    /// The virtual host.
    pub vhost: String,
    /// The user.
    pub user: String,
    /// What is set. Where nothing is, the API writes an empty list or nothing.
    #[serde(deserialize_with = "bounds")]
    pub value: Bounds,
}

/// A user.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The hash of its password; empty if it has none.
    pub password_hash: String,
    /// How it was made.
    pub hashing_algorithm: String,
    /// Its bounds.
    #[serde(deserialize_with = "bounds")]
    pub limits: Bounds,
}

/// What a user may do in a virtual host.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Permissions {
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// What it may declare and delete.
    pub configure: String,
    /// What it may put messages into.
    pub write: String,
    /// What it may take messages from.
    pub read: String,
}

/// Which keys a user may use with an exchange.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TopicPermissions {
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// The exchange.
    pub exchange: String,
    /// Keys that it may publish with.
    pub write: String,
    /// Keys that it may bind with.
    pub read: String,
}

/// A policy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Its virtual host.
    pub vhost: String,
    /// Of which names it is.
    pub pattern: String,
    /// Of which kinds of objects it is.
    pub apply_to: String,
    /// The highest one counts.
    pub priority: i64,
    /// What it says.
    pub definition: Map<String, Value>,
}

/// What a policy would hit.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Hits {
    /// For how many objects it would count.
    pub counts: u64,
    /// For how many another one comes first.
    pub behind: u64,
    /// For how many it would not count any more.
    pub leaves: u64,
    /// The first of them.
    pub objects: Vec<Hit>,
}

/// An object that a policy would hit.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Hit {
    /// `counts`, `behind` or `leaves`.
    pub effect: String,
    /// `queue` or `exchange`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The policy that counts now.
    pub policy: Option<String>,
}

/// What permissions say to a name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Verdicts {
    /// To make, change and delete it.
    pub configure: Verdict,
    /// To put messages into it.
    pub write: Verdict,
    /// To take messages from it.
    pub read: Verdict,
    /// To a key, if one was asked for.
    pub topic: Option<TopicVerdicts>,
}

/// What topic permissions say to a key.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TopicVerdicts {
    /// To publish with it.
    pub write: Verdict,
    /// To bind with it.
    pub read: Verdict,
}

/// A yes or no, and what says so.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// Yes.
    pub permitted: bool,
    /// By this pattern; by none if there is none.
    pub pattern: Option<String>,
}

/// Bounds, of which an empty list has none (RabbitMQ).
fn bounds<'de, D: Deserializer<'de>>(from: D) -> Result<Bounds, D::Error> {
    let value = Value::deserialize(from)?;
    let object = value.as_object().into_iter().flatten();
    Ok(object.filter_map(|(name, max)| Some((name.clone(), max.as_u64()?))).collect())
}
