//! One message for more queues than a turn has steps for.

use std::sync::Arc;

use crate::core::{message::Message, queue::Published, topology::Route};

/// A message that some of its queues have.
pub(in crate::connection) struct FanOut {
    pub(in crate::connection) number: u16,
    pub(in crate::connection) route: Arc<Route>,
    /// The first of the queues that have not got it.
    pub(in crate::connection) next: usize,
    pub(in crate::connection) message: Message,
    pub(in crate::connection) published: Published,
}
