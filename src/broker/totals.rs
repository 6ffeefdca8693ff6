//! What virtual hosts have counted, those that are gone too.

use std::{ops::AddAssign, sync::Arc};

use super::{Lost, Vhost};
use crate::core::{
    counts::{MessageCounts, QueueChurn},
    declared::QueueType,
    queue::{QueueTotals, SharedQueue},
};

/// What virtual hosts have counted, apart from channels that are open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// On channels that have ended: see [`of_channels`](super::of_channels).
    pub channels: MessageCounts,
    /// In exchanges: `publish_in` and `publish_out`.
    pub exchanges: MessageCounts,
    /// In queues that clients can name, by [`QueueType`].
    pub queues: [QueueTotals; QueueType::ALL.len()],
    /// Messages that were published with a delay.
    pub delayed: u64,
    /// Messages that were lost on their way between queues, by [`Lost`].
    pub lost: [u64; Lost::ALL.len()],
    /// How often queues came and went.
    pub churn: QueueChurn,
}

impl Totals {
    /// All that has happened to messages; what was published is what came to exchanges.
    pub fn counts(&self) -> MessageCounts {
        let mut all = self.channels;
        all += self.exchanges;
        for queues in &self.queues {
            all += MessageCounts { publish: 0, ..queues.counts };
        }
        MessageCounts { publish: self.exchanges.publish_in, ..all }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.channels += other.channels;
        self.exchanges += other.exchanges;
        for (sum, more) in self.queues.iter_mut().zip(other.queues) {
            *sum += more;
        }
        self.delayed += other.delayed;
        for (sum, more) in self.lost.iter_mut().zip(other.lost) {
            *sum += more;
        }
        self.churn += other.churn;
    }
}

/// What counts in a virtual host, at one moment: a queue is either among those that are there, or in the totals.
pub struct Counted {
    /// The queues that clients can name.
    pub queues: Vec<Arc<SharedQueue>>,
    /// The one that holds what was published with a delay.
    pub delays: Option<Arc<SharedQueue>>,
    /// All but these.
    pub others: Totals,
}

impl Counted {
    /// All of it.
    pub fn totals(&self) -> Totals {
        let mut all = self.others;
        for queue in &self.queues {
            all.queues[queue.spec.queue_type() as usize] += queue.totals();
        }
        all.delayed += self.delays.as_ref().map_or(0, |queue| queue.status().counters.published);
        all
    }
}

impl Vhost {
    /// What is counted here, apart from channels that are open.
    pub fn counted(&self) -> Counted {
        let channels = self.past_counts();
        let lost = Lost::ALL.map(|why| self.drops.of(why));
        self.read(|topology| Counted {
            queues: topology.named_queues().cloned().collect(),
            delays: topology.delay_queue().cloned(),
            others: Totals {
                channels,
                exchanges: topology.counts_of_exchanges(),
                queues: topology.totals_of_gone_queues(),
                delayed: 0,
                lost,
                churn: topology.queue_churn(),
            },
        })
    }
}
