//! What the API answers of the program's log, and of what has happened to single messages.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Lines of the log.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Lines {
    /// The latest first.
    pub lines: Vec<Line>,
    /// How many are kept.
    pub kept: u64,
    /// How many are not kept any more.
    pub forgotten: u64,
}

/// A line of the log.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Line {
    /// Its number, from one on.
    pub number: u64,
    /// When, as ISO 8601 writes it.
    pub timestamp: String,
    /// How bad it is: `ERROR`, `WARN`, `INFO`, `DEBUG`, `TRACE`.
    pub level: String,
    /// The part of the program.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Its values.
    pub fields: Map<String, Value>,
    /// The connection that it is about.
    pub connection: Map<String, Value>,
}

/// Of what a history is kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Traces {
    /// Of these.
    pub traces: Vec<Traced>,
    /// How many events there are.
    pub events: u64,
    /// How many are not kept any more.
    pub forgotten: u64,
}

/// Something of which a history is kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Traced {
    /// `queue`, `exchange` or `message`.
    pub kind: String,
    /// Its name, or the `message-id`.
    pub name: String,
}

/// Something that has happened to a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Its number.
    pub number: u64,
    /// When, in milliseconds.
    pub at: u64,
    /// What.
    pub event: String,
    /// The queue.
    pub queue: Option<String>,
    /// Where the message stands in it.
    pub position: Option<String>,
    /// The exchange through which the message came.
    pub exchange: Option<String>,
    /// Its key.
    pub routing_key: Option<String>,
    /// By what its publisher knows it.
    pub message_id: Option<String>,
    /// Bytes of its body.
    pub payload_bytes: Option<u64>,
    /// Who has done it.
    pub user: Option<String>,
    /// On which connection.
    pub connection: Option<String>,
    /// On which channel.
    pub channel: Option<u64>,
    /// What else is known of it.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}
