//! What somebody looks at.

use crate::protocol::ShortString;

/// What somebody looks at in a virtual host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A queue, by its name.
    Queue(ShortString),
    /// What is published to an exchange, by its name.
    Exchange(ShortString),
    /// Messages, by their property `message-id`.
    Message(ShortString),
}

impl Subject {
    /// A word for the kind, and the name.
    pub fn parts(&self) -> (&'static str, &ShortString) {
        match self {
            Self::Queue(name) => ("queue", name),
            Self::Exchange(name) => ("exchange", name),
            Self::Message(id) => ("message", id),
        }
    }
}
