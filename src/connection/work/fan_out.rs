//! One message for more queues than a turn has steps for.

use std::sync::Arc;

use crate::core::{message::Message, queue::Published, topology::Route};

/// A message that some of its queues have.
pub(in crate::connection) struct FanOut {
    pub number: u16,
    pub route: Arc<Route>,
    /// The first of the queues that have not got it.
    pub next: usize,
    pub message: Message,
    pub published: Published,
}
