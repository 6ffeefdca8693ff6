//! What the API answers of where a message would go.

use serde::Deserialize;

use super::Binding;

/// Where a message would go.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Routed {
    /// The queues that would get it, whatever the way.
    pub queues: Vec<String>,
    /// The exchange draws lots: the next message may go elsewhere.
    pub by_chance: bool,
    /// The bindings that begin at the exchange.
    pub bindings: Vec<Tried>,
}

/// A binding that was tried.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tried {
    /// The binding.
    #[serde(flatten)]
    pub binding: Binding,
    /// Whether it lets the message through; none where the exchange chooses one of all.
    pub matches: Option<bool>,
}
