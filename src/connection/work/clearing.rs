//! A queue or an exchange that is deleted, and whose bindings are being taken out.

use crate::core::declared::Destination;
use crate::protocol::{exchange, queue};

/// A deletion under way.
pub(in crate::connection) struct Clearing {
    pub(in crate::connection) channel: u16,
    pub(in crate::connection) name: Destination,
    /// What the client waits for, if it does.
    pub(in crate::connection) answer: Option<Answer>,
}

/// What the client is told at the end.
pub(in crate::connection) enum Answer {
    Queue(queue::DeleteOk),
    Exchange(exchange::DeleteOk),
}
