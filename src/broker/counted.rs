//! What has happened to messages in the broker as a whole.

use std::sync::Arc;

use super::{Broker, Vhost, of_channels};
use crate::core::{
    ConnectionId,
    counts::{MessageCounts, QueueChurn},
};

impl Broker {
    /// What has happened to messages in a virtual host so far.
    pub fn counts_of(&self, vhost: &Vhost) -> MessageCounts {
        self.counts_with(vhost, &self.connections.of_vhost(&vhost.name))
    }

    /// The same for several of them, added up.
    pub fn counts_of_all<'a>(&self, vhosts: impl IntoIterator<Item = &'a Arc<Vhost>>) -> MessageCounts {
        let connections = self.connections.by_vhost();
        let mut all = MessageCounts::default();
        for vhost in vhosts {
            all += self.counts_with(vhost, connections.get(&vhost.name).map_or(&[], Vec::as_slice));
        }
        all
    }

    fn counts_with(&self, vhost: &Vhost, connections: &[ConnectionId]) -> MessageCounts {
        let mut all = MessageCounts::default();
        // Before those that have ended: one that ends meanwhile counts twice for a moment, and never not at all.
        for id in connections {
            for (_, channel) in self.connections.figures_of(*id).into_iter().flat_map(|its| its.channels) {
                all += of_channels(&channel.counts);
            }
        }
        all += vhost.counted().totals().counts();
        all
    }

    /// What has happened to messages in all of them, those that are gone too.
    pub fn counts(&self) -> MessageCounts {
        let (gone, vhosts) = self.vhosts.counted();
        let mut all = self.counts_of_all(&vhosts);
        all += gone.counts();
        all
    }

    /// What happened in virtual hosts that are gone.
    pub fn counts_of_gone(&self) -> MessageCounts {
        self.vhosts.past().counts()
    }

    /// How often queues came and went.
    pub fn queue_churn(&self) -> QueueChurn {
        let (gone, vhosts) = self.vhosts.counted();
        let mut all = gone.churn;
        for vhost in vhosts {
            all += vhost.read(|topology| topology.queue_churn());
        }
        all
    }
}
