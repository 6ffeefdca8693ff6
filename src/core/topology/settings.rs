//! What is set for a virtual host as a whole.

use super::Topology;
use crate::core::{journal::TopologyChange, queue::QueueType};

/// See the module's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VhostSettings {
    /// The type of queues that are declared without one, as far as their other properties allow it (RabbitMQ's metadata
    /// `default_queue_type`).
    pub default_queue_type: Option<QueueType>,
}

impl Topology {
    /// What is set.
    pub fn settings(&self) -> VhostSettings {
        self.settings
    }

    /// Sets it. Queues that are there stay what they are.
    pub fn set_settings(&mut self, settings: VhostSettings) {
        self.settings = settings;
        self.changes.push(TopologyChange::VhostSet(settings));
    }
}
