//! The document as it is written. What RabbitMQ writes besides is left out.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A definitions document (RabbitMQ's `definitions.json`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Document {
    pub(super) users: Vec<User>,
    pub(super) vhosts: Vec<Vhost>,
    pub(super) permissions: Vec<Permissions>,
    pub(super) topic_permissions: Vec<TopicPermissions>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) global_parameters: Vec<GlobalParameter>,
    pub(super) policies: Vec<Policy>,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) queues: Vec<Queue>,
    pub(super) bindings: Vec<Binding>,
}

impl Document {
    /// Reads a document. An error names the line and the column.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        if json.trim_ascii_start().first() != Some(&b'{') {
            // It would take a list for the fields without their names.
            serde_json::from_slice::<Map<String, Value>>(json)?;
        }
        serde_json::from_slice(json)
    }
}

/// A password has no text form but its hash.
#[derive(Deserialize)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password_hash: Option<String>,
    pub(super) hashing_algorithm: Option<String>,
    #[serde(default, deserialize_with = "words")]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) limits: Limits,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("tags", &self.tags).finish_non_exhaustive()
    }
}

/// RabbitMQ writes an empty list where there are none.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Limits {
    Some(Map<String, Value>),
    #[default]
    #[serde(skip)]
    None,
    Empty([Value; 0]),
}

#[derive(Debug, Deserialize)]
pub(super) struct Vhost {
    pub(super) name: String,
    pub(super) description: Option<String>,
    #[serde(default, deserialize_with = "words")]
    pub(super) tags: Vec<String>,
    pub(super) default_queue_type: Option<String>,
    #[serde(default)]
    pub(super) tracing: bool,
    #[serde(default)]
    pub(super) metadata: Metadata,
}

/// RabbitMQ's `metadata`, which says again what stands beside it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    pub(super) description: Option<String>,
    #[serde(deserialize_with = "words")]
    pub(super) tags: Vec<String>,
    pub(super) default_queue_type: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Permissions {
    pub(super) user: String,
    pub(super) vhost: String,
    pub(super) configure: String,
    pub(super) write: String,
    pub(super) read: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct TopicPermissions {
    pub(super) user: String,
    pub(super) vhost: String,
    pub(super) exchange: String,
    pub(super) write: String,
    pub(super) read: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    pub(super) vhost: String,
    pub(super) component: String,
    pub(super) name: String,
    pub(super) value: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct GlobalParameter {
    pub(super) name: String,
    pub(super) value: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct Policy {
    pub(super) vhost: String,
    pub(super) name: String,
    pub(super) pattern: String,
    #[serde(rename = "apply-to", default = "everything")]
    pub(super) apply_to: String,
    #[serde(default)]
    pub(super) priority: i64,
    pub(super) definition: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) vhost: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default = "yes")]
    pub(super) durable: bool,
    #[serde(default)]
    pub(super) auto_delete: bool,
    #[serde(default)]
    pub(super) internal: bool,
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) vhost: String,
    /// Newer ones say the type here, and not always in the arguments.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default = "yes")]
    pub(super) durable: bool,
    #[serde(default)]
    pub(super) auto_delete: bool,
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Binding {
    pub(super) source: String,
    pub(super) vhost: String,
    pub(super) destination: String,
    pub(super) destination_type: DestinationType,
    #[serde(default)]
    pub(super) routing_key: String,
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DestinationType {
    Queue,
    Exchange,
}

fn everything() -> String {
    "all".into()
}

fn yes() -> bool {
    true
}

/// Tags: a list, or as older versions write them, a text with commas.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a list of texts, or a text with commas")]
    enum Words {
        List(Vec<String>),
        Text(String),
    }
    let words = match Words::deserialize(deserializer)? {
        Words::List(words) => words,
        Words::Text(text) => text.split(',').map(|word| word.trim().to_owned()).collect(),
    };
    Ok(words.into_iter().filter(|word| !word.is_empty()).collect())
}
