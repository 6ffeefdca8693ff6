//! Many messages that a client settles at once.

use std::{collections::BTreeMap, sync::Arc};

use crate::connection::channel::Settlement;
use crate::core::{placement::QueueId, source::Source};

/// Messages that a client settles at once, too many for one turn.
pub(in crate::connection) struct Settling {
    pub number: u16,
    pub how: Settlement,
    /// The last delivery tag to settle.
    pub up_to: u64,
    /// Queues to which messages have returned. They are told to deliver them when all have.
    pub returned_to: BTreeMap<QueueId, Arc<dyn Source>>,
    /// Whether `basic.recover-ok` is due at the end.
    pub answer: bool,
}

impl Settling {
    pub(in crate::connection) fn new(number: u16, how: Settlement, up_to: u64) -> Self {
        Self { number, how, up_to, returned_to: BTreeMap::new(), answer: false }
    }
}
