//! What has happened to messages in the broker as a whole.

use super::{Broker, Vhost, of_channels};
use crate::core::counts::{MessageCounts, QueueChurn};

impl Broker {
    /// What has happened to messages in a virtual host so far.
    pub fn counts_of(&self, vhost: &Vhost) -> MessageCounts {
        let mut all = vhost.counts();
        for id in self.connections.of_vhost(&vhost.name) {
            for (_, channel) in self.connections.figures_of(id).into_iter().flat_map(|its| its.channels) {
                all += of_channels(&channel.counts);
            }
        }
        all
    }

    /// What has happened to messages in all of them, those that are gone too.
    pub fn counts(&self) -> MessageCounts {
        let mut all = self.counts_of_gone();
        for vhost in self.vhosts.all() {
            all += self.counts_of(&vhost);
        }
        all
    }

    /// What happened in virtual hosts that are gone.
    pub fn counts_of_gone(&self) -> MessageCounts {
        self.vhosts.past().0
    }

    /// How often queues came and went.
    pub fn queue_churn(&self) -> QueueChurn {
        let (_, mut all) = self.vhosts.past();
        for vhost in self.vhosts.all() {
            all += vhost.read(|topology| topology.queue_churn());
        }
        all
    }
}
