//! What the broker gets when its store is open: where changes go, where messages come from, and what was there before.
//!
//! Without a disk it is the same three things, and nothing was there before. This file knows neither the log nor the folder.

use std::{collections::HashMap, sync::Arc};

use crate::core::{
    change::TopologyChange,
    journal::{Forgetful, Journal},
    pager::{Pager, RestoredQueue},
    placement::QueueId,
};
use crate::protocol::ShortString;

/// A journal that is ready, and what it remembers.
pub struct Opened {
    /// Where changes go.
    pub journal: Arc<dyn Journal>,
    /// Where messages come back from.
    pub pager: Arc<dyn Pager>,
    /// What was there before.
    pub restored: Restored,
}

/// What outlived the process before this one.
#[derive(Debug, Default)]
pub struct Restored {
    /// The largest number that a durable queue ever had.
    pub last_queue: u64,
    /// What is declared in each virtual host.
    pub topology: HashMap<ShortString, Vec<TopologyChange>>,
    /// What the queues hold.
    pub contents: HashMap<QueueId, RestoredQueue>,
}

impl Opened {
    /// A journal without a disk.
    pub fn forgetful() -> Self {
        let restored = Restored::default();
        Self { journal: Arc::new(Forgetful), pager: Arc::new(Forgetful), restored }
    }
}
