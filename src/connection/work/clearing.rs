//! A queue or an exchange that is deleted, and whose bindings are being taken out.

use crate::core::declared::Destination;
use crate::protocol::{exchange, queue};

/// A deletion under way.
pub(in crate::connection) struct Clearing {
    pub channel: u16,
    pub name: Destination,
    /// The answer that the client waits for, unless it said `no-wait`.
    pub answer: Option<Answer>,
}

/// What the client is told at the end.
pub(in crate::connection) enum Answer {
    Queue(queue::DeleteOk),
    Exchange(exchange::DeleteOk),
}
