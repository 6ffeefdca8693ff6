//! What the exchanges and queues of a virtual host have counted.

use super::{Exchange, Topology};
use crate::core::counts::{MessageCounts, QueueChurn};

impl Exchange {
    pub(super) fn counts(&self) -> MessageCounts {
        self.tally.get().map(|tally| tally.counts()).unwrap_or_default()
    }
}

impl Topology {
    /// What has come through an exchange, if it is there.
    pub fn counts_of_exchange(&self, name: &[u8]) -> Option<MessageCounts> {
        self.exchanges.get(name).map(Exchange::counts)
    }

    /// What all exchanges have counted, and everything that is gone; what was published is what came to exchanges. The queues that
    /// there are count for themselves, which takes a lock for each.
    pub fn counts_without_queues(&self) -> MessageCounts {
        let mut all = self.past;
        for exchange in self.exchanges.values() {
            all += exchange.counts();
        }
        MessageCounts { publish: all.publish_in, ..all }
    }

    /// How often queues came and went.
    pub fn queue_churn(&self) -> QueueChurn {
        self.churn
    }

    /// Keeps the counts of what goes.
    pub(super) fn keep_counts(&mut self, of: impl Into<MessageCounts>) {
        self.past += MessageCounts { publish: 0, ..of.into() };
    }
}
