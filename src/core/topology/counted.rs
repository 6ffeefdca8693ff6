//! What the exchanges and queues of a virtual host have counted.

use super::{Exchange, Topology};
use crate::core::{
    counts::{MessageCounts, QueueChurn},
    declared::QueueType,
    queue::{QueueTotals, SharedQueue},
};

/// What exchanges and queues counted that are gone.
#[derive(Default)]
pub(super) struct Past {
    exchanges: MessageCounts,
    /// By the type of the queue.
    queues: [QueueTotals; QueueType::ALL.len()],
}

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

    /// What all exchanges have counted, those that are gone too.
    pub fn counts_of_exchanges(&self) -> MessageCounts {
        let mut all = self.past.as_ref().map(|past| past.exchanges).unwrap_or_default();
        for exchange in self.exchanges.values() {
            all += exchange.counts();
        }
        all
    }

    /// What all exchanges have counted, and everything that is gone; what was published is what came to exchanges. The queues that
    /// there are count for themselves, which takes a lock for each.
    pub fn counts_without_queues(&self) -> MessageCounts {
        let mut all = self.counts_of_exchanges();
        for gone in self.totals_of_gone_queues() {
            all += gone.counts;
        }
        MessageCounts { publish: all.publish_in, ..all }
    }

    /// What queues have done that are gone, by [`QueueType`].
    pub fn totals_of_gone_queues(&self) -> [QueueTotals; QueueType::ALL.len()] {
        self.past.as_ref().map(|past| past.queues).unwrap_or_default()
    }

    /// How often queues came and went.
    pub fn queue_churn(&self) -> QueueChurn {
        self.churn
    }

    /// Keeps what a queue has done that goes.
    pub(super) fn keep_queue_totals(&mut self, queue: &SharedQueue) {
        self.past.get_or_insert_default().queues[queue.spec.queue_type() as usize] += queue.totals();
    }

    /// Keeps the counts of an exchange that goes.
    pub(super) fn keep_exchange_counts(&mut self, of: MessageCounts) {
        self.past.get_or_insert_default().exchanges += of;
    }
}
