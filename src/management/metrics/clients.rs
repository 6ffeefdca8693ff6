//! Metrics of connections, channels and exchanges: of each, or of all together.

use std::ops::AddAssign;

use super::sheet::{Metric, counter, gauge};
use crate::broker::{ConnectionFigures, ConnectionTotals};
use crate::core::{counts::MessageCounts, window::ChannelFigures};

/// A connection's figures, or those of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfConnection {
    /// What it did.
    pub did: ConnectionTotals,
    /// Bytes that wait to be sent.
    pub pending_bytes: u64,
    /// Channels that are open.
    pub channels: u64,
    /// Those that are held up because memory or disk are short.
    pub blocked: u64,
}

impl From<&ConnectionFigures> for OfConnection {
    fn from(its: &ConnectionFigures) -> Self {
        let ConnectionFigures { channels, pending_bytes, slowed_ms, received, sent, is_blocked } = its;
        Self {
            did: ConnectionTotals { received: *received, sent: *sent, slowed_ms: *slowed_ms },
            pending_bytes: *pending_bytes as u64,
            channels: channels.len() as u64,
            blocked: (*is_blocked).into(),
        }
    }
}

impl AddAssign for OfConnection {
    fn add_assign(&mut self, other: Self) {
        self.did += other.did;
        self.pending_bytes += other.pending_bytes;
        self.channels += other.channels;
        self.blocked += other.blocked;
    }
}

/// RabbitMQ's family `connection_coarse_metrics`.
pub const CONNECTION_COARSE: &[Metric<OfConnection>] = &[
    counter("connection_incoming_bytes_total", "Bytes that came from clients", |it| {
        it.did.received.bytes.into()
    }),
    counter("connection_outgoing_bytes_total", "Bytes that were sent to clients", |it| {
        it.did.sent.bytes.into()
    }),
];

/// `connection_metrics`.
pub const CONNECTION: &[Metric<OfConnection>] = &[
    counter("connection_incoming_packets_total", "Reads from clients' sockets", |it| {
        it.did.received.packets.into()
    }),
    counter("connection_outgoing_packets_total", "Writes to clients' sockets", |it| {
        it.did.sent.packets.into()
    }),
    gauge("connection_pending_packets", "Connections whose clients have something left to read", |it| {
        u64::from(it.pending_bytes > 0).into()
    }),
    gauge("connection_channels", "Channels of connections", |it| it.channels.into()),
];

/// A channel's figures, or those of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfChannel {
    consumers: u64,
    unacked: u64,
    unconfirmed: u64,
    uncommitted_acks: u64,
    prefetch: u64,
    prefetch_global: u64,
    /// How many have published.
    pub publishers: u64,
    /// What has happened there.
    pub counts: MessageCounts,
}

impl From<&ChannelFigures> for OfChannel {
    fn from(its: &ChannelFigures) -> Self {
        Self {
            consumers: its.consumers as u64,
            unacked: its.unacked as u64,
            unconfirmed: its.unconfirmed as u64,
            uncommitted_acks: its.uncommitted_acks.into(),
            prefetch: its.prefetch.into(),
            prefetch_global: its.prefetch_global.into(),
            publishers: u64::from(its.counts.publish > 0),
            counts: its.counts,
        }
    }
}

impl AddAssign for OfChannel {
    fn add_assign(&mut self, other: Self) {
        self.consumers += other.consumers;
        self.unacked += other.unacked;
        self.unconfirmed += other.unconfirmed;
        self.uncommitted_acks += other.uncommitted_acks;
        self.prefetch += other.prefetch;
        self.prefetch_global += other.prefetch_global;
        self.publishers += other.publishers;
        self.counts += other.counts;
    }
}

/// `channel_metrics`.
pub const CHANNEL: &[Metric<OfChannel>] = &[
    gauge("channel_consumers", "Consumers of channels", |it| it.consumers.into()),
    gauge("channel_messages_unacked", "Messages that were delivered and not acknowledged", |it| {
        it.unacked.into()
    }),
    gauge("channel_messages_unconfirmed", "Messages that were published and not confirmed", |it| {
        it.unconfirmed.into()
    }),
    gauge("channel_acks_uncommitted", "Acknowledgements of transactions that are not committed", |it| {
        it.uncommitted_acks.into()
    }),
    gauge("consumer_prefetch", "Messages that each consumer may hold; zero is without limit", |it| {
        it.prefetch.into()
    }),
    gauge("channel_prefetch", "Messages that consumers of a channel may hold; zero is without limit", |it| {
        it.prefetch_global.into()
    }),
];

/// `channel_exchange_metrics`, which is not told apart by exchanges here.
pub const CHANNEL_PUBLISHES: &[Metric<OfChannel>] = &[
    counter("channel_messages_published_total", "Messages that clients have published", |it| {
        it.counts.publish.into()
    }),
    counter("channel_messages_confirmed_total", "Messages that were confirmed", |it| {
        it.counts.confirm.into()
    }),
    counter("channel_messages_unroutable_returned_total", "Messages without a queue that went back", |it| {
        it.counts.return_unroutable.into()
    }),
    counter(
        "channel_messages_unroutable_dropped_total",
        "Messages without a queue that were dropped",
        |it| it.counts.drop_unroutable.into(),
    ),
];

/// `channel_queue_metrics`, which is not told apart by queues here.
pub const CHANNEL_DELIVERIES: &[Metric<OfChannel>] = &[
    counter("channel_get_ack_total", "Messages got by basic.get, to be acknowledged", |it| {
        it.counts.get.into()
    }),
    counter("channel_get_total", "Messages got by basic.get that need no acknowledgement", |it| {
        it.counts.get_no_ack.into()
    }),
    counter("channel_messages_delivered_ack_total", "Deliveries to consumers that acknowledge", |it| {
        it.counts.deliver.into()
    }),
    counter("channel_messages_delivered_total", "Deliveries to consumers that need not acknowledge", |it| {
        it.counts.deliver_no_ack.into()
    }),
    counter(
        "channel_messages_redelivered_total",
        "Deliveries of messages that were delivered before",
        |it| it.counts.redeliver.into(),
    ),
    counter("channel_messages_acked_total", "Messages that were acknowledged", |it| it.counts.ack.into()),
    counter("channel_get_empty_total", "Times that basic.get has found nothing", |it| {
        it.counts.get_empty.into()
    }),
];

/// An exchange's figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfExchange {
    /// What came through it.
    pub counts: MessageCounts,
    /// Bindings that begin at it.
    pub bindings: u64,
}

/// `exchange_metrics`, as far as exchanges count.
pub const EXCHANGE: &[Metric<OfExchange>] =
    &[counter("exchange_messages_published_total", "Messages that were published to exchanges", |it| {
        it.counts.publish_in.into()
    })];

/// What RabbitMQ does not have of it.
pub const OWN_EXCHANGE: &[Metric<OfExchange>] = &[counter(
    "exchange_messages_routed_total",
    "Messages that exchanges gave to queues, once for each",
    |it| it.counts.publish_out.into(),
)];

/// `exchange_names`.
pub const EXCHANGE_NAMES: &[Metric<OfExchange>] =
    &[gauge("exchange_name", "The exchanges that there are", |_| 1_u64.into())];

/// `exchange_bindings`.
pub const EXCHANGE_BINDINGS: &[Metric<OfExchange>] =
    &[gauge("exchange_bindings", "Bindings that begin at exchanges", |it| it.bindings.into())];
