//! The figures of one scrape, gathered before anything of them is written: each lock is held for a moment, and none for long.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    clients::{OfChannel, OfConnection, OfExchange},
    queues::QueueFigures,
    sheet::{Labels, Row},
};
use crate::broker::{Broker, ConnectionInfo, ConnectionTotals, Totals, Vhost};
use crate::core::{
    ConnectionId,
    counts::{MessageCounts, Traffic},
    declared::{ExchangeSpec, QueueType},
    pattern::Pattern,
    queue::SharedQueue,
};
use crate::protocol::ShortString;

/// What is gathered.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Each thing by itself.
    pub each: bool,
    /// Virtual hosts; all if there are none.
    pub vhosts: Vec<String>,
    /// Queues.
    pub queue: Option<Pattern>,
}

impl Wanted {
    fn has_vhost(&self, name: &str) -> bool {
        self.vhosts.is_empty() || self.vhosts.iter().any(|wanted| wanted == name)
    }

    fn has_queue(&self, name: &ShortString) -> bool {
        self.queue.as_ref().is_none_or(|pattern| pattern.is_match(name))
    }
}

/// The figures.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Virtual hosts.
    pub vhosts: Vec<Row<()>>,
    /// Queues, with their virtual hosts and names; by these.
    pub queues: Vec<Row<QueueFigures>>,
    /// What queues are: RabbitMQ's `queue_info`.
    pub queue_kinds: Vec<Row<()>>,
    /// Exchanges, with their virtual hosts and names.
    pub exchanges: Vec<Row<OfExchange>>,
    /// The same with their types.
    pub exchange_kinds: Vec<Row<OfExchange>>,
    /// Connections.
    pub connections: Vec<Row<OfConnection>>,
    /// Channels.
    pub channels: Vec<Row<OfChannel>>,
    /// How many there are of each: connections, channels, queues, consumers.
    pub there: [u64; 4],
    /// All queues together that are there.
    pub all_queues: QueueFigures,
    /// All connections together, those that are closed too in what they did.
    pub all_connections: OfConnection,
    /// All channels together; what has happened there counts those that have ended, too.
    pub all_channels: OfChannel,
    /// All that was counted.
    pub totals: Totals,
    /// All that has happened to messages.
    pub counts: MessageCounts,
    /// Messages that were published with a delay and are not due yet.
    pub delayed: u64,
    /// Virtual hosts that have more messages than they may.
    pub vhosts_exceeded: u64,
}

/// The highest of what a scrape has said: a counter that falls would be taken for one that began anew. What happens between two
/// looks, on a channel that ends meanwhile, is missed once and found again by the next scrape.
#[derive(Debug, Default)]
pub struct Highest(Mutex<(MessageCounts, MessageCounts, ConnectionTotals)>);

impl Highest {
    fn keep(&self, gathered: &mut Gathered) {
        let mut highest = self.0.lock();
        let (counts, channels, did) = &mut *highest;
        let of = |one: Traffic, other: Traffic| Traffic {
            bytes: one.bytes.max(other.bytes),
            packets: one.packets.max(other.packets),
        };
        let now = gathered.all_connections.did;
        *counts = counts.max(&gathered.counts);
        *channels = channels.max(&gathered.all_channels.counts);
        *did = ConnectionTotals {
            received: of(did.received, now.received),
            sent: of(did.sent, now.sent),
            slowed_ms: did.slowed_ms.max(now.slowed_ms),
        };
        (gathered.counts, gathered.all_channels.counts, gathered.all_connections.did) =
            (*counts, *channels, *did);
    }
}

impl Gathered {
    /// Looks at everything.
    pub fn of(broker: &Broker, wanted: &Wanted, highest: &Highest) -> Self {
        let mut all = Self::default();
        let (gone, mut vhosts) = broker.vhosts.counted();
        vhosts.sort_by(|one, other| one.name.cmp(&other.name));
        all.totals = gone;
        // Before the connections that are open: see `Highest`.
        all.all_connections.did = broker.connections.past();
        for vhost in vhosts {
            all.add_vhost(&vhost, wanted);
        }
        let mut connections = broker.connections.all();
        connections.sort_unstable_by_key(|(id, _)| *id);
        all.there[0] = connections.len() as u64;
        let mut open = MessageCounts::default();
        for (id, info) in connections {
            open += all.add_connection(broker, id, &info, wanted);
        }
        all.there[1] = all.all_connections.channels;
        all.there[3] = all.all_queues.consumers;
        all.counts = all.totals.counts();
        all.counts += crate::broker::of_channels(&open);
        // Channels that have ended are not told apart from those that are open.
        all.all_channels.counts = all.counts;
        highest.keep(&mut all);
        all
    }

    fn add_vhost(&mut self, vhost: &Arc<Vhost>, wanted: &Wanted) {
        let mut counted = vhost.counted();
        self.totals += counted.others;
        let delays = counted.delays.as_ref().map(|queue| queue.status());
        self.totals.delayed += delays.map_or(0, |status| status.counters.published);
        self.delayed += delays.map_or(0, |status| (status.ready + status.delayed) as u64);
        let name: Arc<str> = vhost.name.as_str_lossy().into();
        let is_there = !vhost.is_leaving();
        self.vhosts_exceeded += u64::from(is_there && vhost.share.is_exceeded());
        let is_wanted = wanted.each && is_there && wanted.has_vhost(&name);
        if is_wanted {
            self.vhosts.push(Row { labels: Labels::of([("vhost", name.clone())]), of: () });
            counted.queues.sort_unstable_by(|one, other| one.spec.name.cmp(&other.spec.name));
            self.add_exchanges(vhost, &name);
        }
        for queue in &counted.queues {
            let figures = QueueFigures::of(&queue.status(), queue.spec.durable);
            self.totals.queues[queue.spec.queue_type() as usize] += figures.totals;
            if is_there {
                self.all_queues += figures;
                self.there[2] += 1;
            }
            if is_wanted && wanted.has_queue(&queue.spec.name) {
                self.add_queue(queue, &name, &figures);
            }
        }
    }

    fn add_queue(&mut self, queue: &SharedQueue, vhost: &Arc<str>, figures: &QueueFigures) {
        let name: Arc<str> = queue.spec.name.as_str_lossy().into();
        let kind = queue.spec.queue_type().module_name().into();
        let labels = Labels::of([
            ("vhost", vhost.clone()),
            ("queue", name.clone()),
            ("queue_type", kind),
            ("membership", "leader".into()),
        ]);
        self.queue_kinds.push(Row { labels, of: () });
        let labels = Labels::of([("vhost", vhost.clone()), ("queue", name)]);
        self.queues.push(Row { labels, of: *figures });
    }

    /// Exchanges that clients can name and publish to.
    fn add_exchanges(&mut self, vhost: &Vhost, name: &Arc<str>) {
        let mut exchanges: Vec<_> = vhost.read(|topology| {
            let figures = |spec: &ExchangeSpec| OfExchange {
                counts: topology.counts_of_exchange(&spec.name).unwrap_or_default(),
                bindings: topology.count_of_bindings(&spec.name) as u64,
            };
            let all = topology.exchanges().filter(|spec| !spec.internal);
            all.map(|spec| (spec.name.clone(), spec.kind.name(), figures(spec))).collect()
        });
        exchanges.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        for (exchange, kind, of) in exchanges {
            let exchange: Arc<str> = exchange.as_str_lossy().into();
            let labels = Labels::of([("vhost", name.clone()), ("exchange", exchange.clone())]);
            self.exchanges.push(Row { labels, of });
            let labels = Labels::of([("vhost", name.clone()), ("exchange", exchange), ("type", kind.into())]);
            self.exchange_kinds.push(Row { labels, of });
        }
    }

    /// Gives what has happened on its channels.
    fn add_connection(
        &mut self,
        broker: &Broker,
        id: ConnectionId,
        info: &ConnectionInfo,
        wanted: &Wanted,
    ) -> MessageCounts {
        let mut counts = MessageCounts::default();
        let Some(its) = broker.connections.figures_of(id) else { return counts };
        let is_wanted = wanted.each && wanted.has_vhost(&info.vhost.as_str_lossy());
        let (name, vhost) = if is_wanted {
            (info.name(), info.vhost.as_str_lossy().into())
        } else {
            (String::new(), Arc::<str>::from(""))
        };
        for (number, channel) in &its.channels {
            let of = OfChannel::from(channel);
            counts += of.counts;
            self.all_channels += of;
            if is_wanted {
                let channel = format!("{name} ({number})").into();
                let labels = Labels::of([("channel", channel), ("vhost", vhost.clone())]);
                self.channels.push(Row { labels, of });
            }
        }
        let of = OfConnection::from(&its);
        self.all_connections += of;
        if is_wanted {
            let labels = Labels::of([("channel", name.into()), ("vhost", vhost)]);
            self.connections.push(Row { labels, of });
        }
        counts
    }

    /// What queues of each type have done, with RabbitMQ's names of protocol and type.
    pub fn by_type(&self) -> Vec<Row<crate::core::queue::QueueTotals>> {
        let row = |kind: QueueType| Row {
            labels: Labels::known([("protocol", "amqp091"), ("queue_type", kind.module_name())]),
            of: self.totals.queues[kind as usize],
        };
        QueueType::ALL.map(row).into()
    }
}
