//! Durable state: the data folder, the log of everything that must outlive the process, and what is derived from it.

mod data_dir;
mod position;

use std::{collections::HashMap, sync::Arc};

pub use data_dir::{DataDir, DataDirError};
pub use position::{LogPosition, SegmentId};

use crate::core::journal::{Forgetful, Journal, Pager, QueueId, RestoredQueue, TopologyChange};
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
