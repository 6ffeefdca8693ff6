//! What the broker gets when its store is open: where changes go, where messages come from, and what was there before.
//!
//! Without a disk it is the same three things, and nothing was there before. This file knows neither the log nor the folder.

use std::{collections::HashMap, sync::Arc};

use crate::core::{
    access::AccessChange,
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
    /// What is declared in each virtual host. One that was deleted and has not been cleared away has
    /// [`VhostDeleted`](TopologyChange::VhostDeleted) among its changes, in the place of its settings: what is left of it is to be
    /// cleared away, and then [`VhostCleared`](TopologyChange::VhostCleared) to be appended.
    pub topology: HashMap<ShortString, Vec<TopologyChange>>,
    /// Users, permissions, topic permissions and global parameters, in an order in which they can be applied.
    pub access: Vec<AccessChange>,
    /// Nothing was ever stored.
    pub is_new: bool,
    /// There was a user once, if there is none now; or nobody knows, because everything that would say so is lost.
    pub had_users: bool,
    /// What the queues hold.
    pub contents: HashMap<QueueId, RestoredQueue>,
}

impl Restored {
    /// Whether the user, the permissions and the virtual host are to be made that a new broker begins with. So it is until a user
    /// was set: on an empty store, and on one of a time when users were not stored, whatever else that has. They are to be
    /// appended as one group; where users are deleted later, nobody comes in their place.
    pub fn needs_defaults(&self) -> bool {
        !self.had_users
    }
}

impl Opened {
    /// A journal without a disk.
    pub fn forgetful() -> Self {
        let restored = Restored { is_new: true, ..Restored::default() };
        Self { journal: Arc::new(Forgetful), pager: Arc::new(Forgetful), restored }
    }
}
