//! One message for more queues than a turn has steps for.

use std::sync::Arc;

use crate::core::{message::Message, queue::Enqueued, topology::Route};

/// A message on its way: some of its queues have it.
pub(in crate::connection) struct FanOut {
    pub number: u16,
    pub route: Arc<Route>,
    /// The index of the first queue that does not have it yet.
    pub next: usize,
    pub message: Message,
    pub enqueued: Enqueued,
}
