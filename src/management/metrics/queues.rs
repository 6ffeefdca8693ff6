//! Metrics of queues: of each, or of all together.

use std::ops::AddAssign;

use super::sheet::{Metric, counter, gauge};
use crate::core::{
    dead_letter::Reason,
    queue::{QueueStatus, QueueTotals},
};

/// A queue's figures, or those of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueueFigures {
    /// Messages that wait, those that wait for their time too.
    pub ready: u64,
    /// Those of them that wait for their time.
    pub waiting: u64,
    /// Messages that clients hold.
    pub unacked: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Those of them that clients hold.
    pub unacked_bytes: u64,
    /// Those of them that are in memory.
    pub resident_bytes: u64,
    /// Messages in durable queues.
    pub persistent: u64,
    /// Bytes of these.
    pub persistent_bytes: u64,
    /// Consumers.
    pub consumers: u64,
    /// Queues whose consumers leave nothing waiting.
    pub keep_up: u64,
    /// What was done.
    pub totals: QueueTotals,
}

impl QueueFigures {
    /// Those of a queue.
    pub fn of(status: &QueueStatus, is_durable: bool) -> Self {
        let (ready, waiting) = ((status.ready + status.delayed) as u64, status.delayed as u64);
        let (unacked, bytes) = (status.unacked as u64, status.bytes as u64);
        Self {
            ready,
            waiting,
            unacked,
            bytes,
            unacked_bytes: status.unacked_bytes as u64,
            resident_bytes: status.resident_bytes as u64,
            persistent: if is_durable { ready + unacked } else { 0 },
            persistent_bytes: if is_durable { bytes } else { 0 },
            consumers: status.consumers as u64,
            keep_up: u64::from(status.consumers > 0 && status.ready == 0),
            totals: status.totals(),
        }
    }
}

impl AddAssign for QueueFigures {
    fn add_assign(&mut self, other: Self) {
        self.ready += other.ready;
        self.waiting += other.waiting;
        self.unacked += other.unacked;
        self.bytes += other.bytes;
        self.unacked_bytes += other.unacked_bytes;
        self.resident_bytes += other.resident_bytes;
        self.persistent += other.persistent;
        self.persistent_bytes += other.persistent_bytes;
        self.consumers += other.consumers;
        self.keep_up += other.keep_up;
        self.totals += other.totals;
    }
}

/// RabbitMQ's family `queue_coarse_metrics`.
pub const COARSE: &[Metric<QueueFigures>] = &[
    gauge("queue_messages_ready", "Messages that can be delivered", |it| it.ready.into()),
    gauge("queue_messages_unacked", "Messages that clients hold unacknowledged", |it| it.unacked.into()),
    gauge("queue_messages", "Messages that can be delivered or are held unacknowledged", |it| {
        (it.ready + it.unacked).into()
    }),
];

/// `queue_consumer_count`.
pub const CONSUMERS: &[Metric<QueueFigures>] =
    &[gauge("queue_consumers", "Consumers of queues", |it| it.consumers.into())];

/// `queue_metrics` without what is in [`CONSUMERS`].
pub const DETAILS: &[Metric<QueueFigures>] = &[
    gauge("queue_consumer_capacity", "Queues whose consumers leave no message waiting", |it| {
        it.keep_up.into()
    }),
    gauge("queue_consumer_utilisation", "The same as rabbitmq_queue_consumer_capacity", |it| {
        it.keep_up.into()
    }),
    gauge("queue_process_memory_bytes", "Memory that messages of queues take", |it| it.resident_bytes.into()),
    gauge("queue_messages_ram_bytes", "Bytes of messages in memory", |it| it.resident_bytes.into()),
    gauge(
        "queue_messages_unacked_ram",
        "Messages that clients hold unacknowledged; all are in memory",
        |it| it.unacked.into(),
    ),
    gauge("queue_messages_persistent", "Messages in durable queues", |it| it.persistent.into()),
    gauge("queue_messages_persistent_bytes", "Bytes of messages in durable queues", |it| {
        it.persistent_bytes.into()
    }),
    gauge("queue_messages_bytes", "Bytes of all messages", |it| it.bytes.into()),
    gauge("queue_messages_ready_bytes", "Bytes of messages that can be delivered", |it| {
        it.bytes.saturating_sub(it.unacked_bytes).into()
    }),
    gauge("queue_messages_unacked_bytes", "Bytes of messages that clients hold unacknowledged", |it| {
        it.unacked_bytes.into()
    }),
    gauge("queue_messages_paged_out_bytes", "Bytes of messages that are on disk alone", |it| {
        it.bytes.saturating_sub(it.resident_bytes).into()
    }),
];

/// `queue_delivery_metrics`.
pub const DELIVERIES: &[Metric<QueueFigures>] = &[
    counter("queue_get_ack_total", "Messages got by basic.get, to be acknowledged", |it| {
        it.totals.counts.get.into()
    }),
    counter("queue_get_total", "Messages got by basic.get that need no acknowledgement", |it| {
        it.totals.counts.get_no_ack.into()
    }),
    counter("queue_messages_delivered_ack_total", "Deliveries to consumers that acknowledge", |it| {
        it.totals.counts.deliver.into()
    }),
    counter("queue_messages_delivered_total", "Deliveries to consumers that need not acknowledge", |it| {
        it.totals.counts.deliver_no_ack.into()
    }),
    counter("queue_messages_redelivered_total", "Deliveries of messages that were delivered before", |it| {
        it.totals.counts.redeliver.into()
    }),
    counter("queue_messages_acked_total", "Messages that were acknowledged", |it| {
        it.totals.counts.ack.into()
    }),
    counter("queue_get_empty_total", "Times that basic.get has found nothing", |it| {
        it.totals.counts.get_empty.into()
    }),
];

/// `queue_exchange_metrics`, which is not told apart by exchanges here.
pub const ROUTED: &[Metric<QueueFigures>] =
    &[counter("queue_exchange_messages_published_total", "Messages that came to queues", |it| {
        it.totals.counts.publish.into()
    })];

/// `channel_queue_exchange_metrics`, which is told apart by queues alone here.
pub const PUBLISHED: &[Metric<QueueFigures>] =
    &[counter("queue_messages_published_total", "Messages that came to queues", |it| {
        it.totals.counts.publish.into()
    })];

/// What RabbitMQ does not have.
pub const OWN: &[Metric<QueueFigures>] = &[
    gauge(
        "queue_messages_waiting",
        "Messages that wait for their time before they are delivered again",
        |it| it.waiting.into(),
    ),
    counter(
        "queue_messages_retried_total",
        "Messages that came back and wait before the next delivery",
        |it| it.totals.rare.retried.into(),
    ),
    counter("queue_messages_expired_total", "Messages whose time to live was over", |it| expired(&it.totals)),
    counter("queue_messages_dropped_total", "Messages that died and had no dead-letter exchange", |it| {
        it.totals.rare.dropped.iter().sum::<u64>().into()
    }),
    counter("queue_messages_dead_lettered_total", "Messages that went to a dead-letter exchange", |it| {
        it.totals.rare.dead_lettered.iter().sum::<u64>().into()
    }),
    counter("queue_messages_refused_total", "Messages that were refused because the queue was full", |it| {
        it.totals.rare.refused.into()
    }),
    counter("queue_messages_duplicate_total", "Messages that the queue had seen and did not take", |it| {
        it.totals.rare.duplicates.into()
    }),
    counter("queue_messages_redriven_total", "Messages that an operator moved elsewhere", |it| {
        it.totals.rare.redriven.into()
    }),
];

/// Messages whose time to live was over, wherever they went.
pub fn expired(totals: &QueueTotals) -> super::sheet::Number {
    let at = Reason::Expired as usize;
    (totals.rare.dropped[at] + totals.rare.dead_lettered[at]).into()
}
