//! What RabbitMQ calls global counters: of all clients of a protocol, and of all queues of a type.

use std::fmt;

use super::{
    gathered::Gathered,
    sheet::{Labels, Metric, Row, Sheet, counter, gauge},
};
use crate::core::{
    counts::{SIZE_BOUNDS, SizeTally},
    dead_letter::Reason,
    declared::QueueType,
    queue::QueueTotals,
};

const CLIENTS: &[Metric<Gathered>] = &[
    gauge("consumers", "Consumers that are there", |it| it.all_queues.consumers.into()),
    gauge("publishers", "Channels that have published and are open", |it| it.all_channels.publishers.into()),
    counter("messages_received_total", "Messages that clients have published", |it| it.counts.publish.into()),
    counter(
        "messages_received_confirm_total",
        "Messages that clients have published to be confirmed",
        |it| it.counts.publish_confirm.into(),
    ),
    counter("messages_routed_total", "Messages that exchanges gave to queues, once for each", |it| {
        it.counts.publish_out.into()
    }),
    counter("messages_confirmed_total", "Messages that were confirmed", |it| it.counts.confirm.into()),
    counter("messages_unroutable_dropped_total", "Messages without a queue that were dropped", |it| {
        it.counts.drop_unroutable.into()
    }),
    counter("messages_unroutable_returned_total", "Messages without a queue that went back", |it| {
        it.counts.return_unroutable.into()
    }),
];

const QUEUES: &[Metric<QueueTotals>] = &[
    counter("messages_delivered_total", "Deliveries of all ways", |it| it.counts.deliver_get().into()),
    counter(
        "messages_delivered_consume_auto_ack_total",
        "Deliveries to consumers that need not acknowledge",
        |it| it.counts.deliver_no_ack.into(),
    ),
    counter(
        "messages_delivered_consume_manual_ack_total",
        "Deliveries to consumers that acknowledge",
        |it| it.counts.deliver.into(),
    ),
    counter(
        "messages_delivered_get_auto_ack_total",
        "Messages got by basic.get that need no acknowledgement",
        |it| it.counts.get_no_ack.into(),
    ),
    counter(
        "messages_delivered_get_manual_ack_total",
        "Messages got by basic.get, to be acknowledged",
        |it| it.counts.get.into(),
    ),
    counter("messages_get_empty_total", "Times that basic.get has found nothing", |it| {
        it.counts.get_empty.into()
    }),
    counter("messages_redelivered_total", "Deliveries of messages that were delivered before", |it| {
        it.counts.redeliver.into()
    }),
    counter("messages_acknowledged_total", "Messages that were acknowledged", |it| it.counts.ack.into()),
];

/// Messages that have died, each metric for one reason.
const DEAD: &[Metric<[u64; 4]>] = &[
    counter("messages_dead_lettered_rejected_total", "Messages that consumers refused for good", |it| {
        it[Reason::Rejected as usize].into()
    }),
    counter("messages_dead_lettered_expired_total", "Messages whose time to live was over", |it| {
        it[Reason::Expired as usize].into()
    }),
    counter("messages_dead_lettered_maxlen_total", "Messages that a full queue has given up", |it| {
        it[Reason::MaxLen as usize].into()
    }),
    counter(
        "messages_dead_lettered_delivery_limit_total",
        "Messages that failed more often than their queue allows",
        |it| it[Reason::DeliveryLimit as usize].into(),
    ),
];

/// Writes them. The strategies are RabbitMQ's: `disabled` is for messages of queues without a dead-letter exchange, `at_most_once` for
/// those with one, for a letter without a route is dropped.
pub fn write(sheet: &mut Sheet<'_>, gathered: &Gathered) -> fmt::Result {
    sheet.begin("rabbitmq_global_");
    let labels = Labels::known([("protocol", "amqp091")]);
    for metric in CLIENTS {
        let number = metric.value(gathered);
        sheet.one(metric, &labels, number)?;
    }
    sheet.table(QUEUES, &gathered.by_type())?;
    let mut dead = Vec::new();
    for kind in QueueType::ALL {
        let rare = gathered.totals.queues[kind as usize].rare;
        for (strategy, of) in [("at_most_once", rare.dead_lettered), ("disabled", rare.dropped)] {
            let labels = [("queue_type", kind.module_name()), ("dead_letter_strategy", strategy)];
            dead.push(Row { labels: Labels::known(labels), of });
        }
    }
    sheet.table(DEAD, &dead)
}

/// Writes how many messages were of which sizes.
pub fn write_sizes(sheet: &mut Sheet<'_>, sizes: &SizeTally) -> fmt::Result {
    let (counts, bytes) = sizes.counts();
    let bounds = SIZE_BOUNDS.iter().map(|bound| f64::from(*bound)).chain([f64::INFINITY]);
    let classes: Vec<_> = bounds.zip(counts).collect();
    let help = "Bytes of the bodies of messages that clients have published";
    sheet.begin("rabbitmq_").histogram("message_size_bytes", help, bytes as f64, &classes)
}
