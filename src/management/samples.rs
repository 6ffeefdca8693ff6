//! Rates: what happened between two samples, for things that something has happened to.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use crate::broker::{Broker, Vhost};
use crate::core::{
    ConnectionId,
    clock::Millis,
    counts::{MessageCounts, Traffic},
    placement::QueueId,
};
use crate::limits::{SAMPLE_INTERVAL, SAMPLED_AT_ONCE_MAX};
use crate::protocol::ShortString;

/// What is sampled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The broker as a whole.
    Broker,
    /// A virtual host.
    Vhost(ShortString),
    /// A queue.
    Queue(QueueId),
    /// An exchange of a virtual host.
    Exchange(ShortString, ShortString),
    /// A connection.
    Connection(ConnectionId),
    /// A channel of a connection.
    Channel(ConnectionId, u16),
}

/// What is counted of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages.
    pub counts: MessageCounts,
    /// Messages that are ready.
    pub ready: i64,
    /// Messages that clients hold.
    pub unacked: i64,
    /// What has come from clients.
    pub received: Traffic,
    /// What was sent to clients.
    pub sent: Traffic,
    /// Connections that were opened and closed, channels that were, queues that were declared, made and deleted.
    pub churn: [u64; 7],
}

/// What has changed in a span of time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change {
    from: Figures,
    to: Figures,
    span: Duration,
}

impl Change {
    /// What a counter has risen by in a second.
    pub fn rate(&self, of: impl Fn(&Figures) -> u64) -> f64 {
        self.per_second(of(&self.to).saturating_sub(of(&self.from)) as f64)
    }

    /// What a level has risen or fallen by in a second.
    pub fn slope(&self, of: impl Fn(&Figures) -> i64) -> f64 {
        self.per_second((of(&self.to) - of(&self.from)) as f64)
    }

    fn per_second(&self, change: f64) -> f64 {
        let seconds = self.span.as_secs_f64();
        if seconds > 0.0 { (change / seconds * 1_000.0).round() / 1_000.0 } else { 0.0 }
    }
}

struct Series {
    last: Figures,
    at: Millis,
    /// Since the sample before that; none if nothing has changed.
    change: Option<Box<Change>>,
}

/// The last two samples of what moves, and the last one of what has moved before.
#[derive(Default)]
pub struct Samples {
    series: RwLock<HashMap<Subject, Series>>,
}

impl Samples {
    /// Takes a sample each five seconds (RabbitMQ's `collect_statistics_interval`). Runs as long as the broker.
    pub async fn keep(self: Arc<Self>, broker: Arc<Broker>) {
        loop {
            self.take(&broker).await;
            tokio::time::sleep(SAMPLE_INTERVAL).await;
        }
    }

    /// Takes one sample of everything.
    pub async fn take(&self, broker: &Broker) {
        let now = broker.clock.now();
        let mut next = HashMap::new();
        let mut all = Figures::default();
        for vhost in broker.vhosts.all() {
            let mut figures = self.take_vhost(&vhost, now, &mut next).await;
            self.take_connections(broker, &vhost, now, &mut figures, &mut next).await;
            add(&mut all, &figures);
            self.put(Subject::Vhost(vhost.name.clone()), figures, now, &mut next);
        }
        all.counts += broker.counts_of_gone();
        all.churn = churn(broker);
        self.put(Subject::Broker, all, now, &mut next);
        *self.series.write() = next;
    }

    async fn take_vhost(&self, vhost: &Vhost, now: Millis, next: &mut HashMap<Subject, Series>) -> Figures {
        let (mut counts, queues, exchanges) = vhost.read(|topology| {
            let queues: Vec<_> = topology.queues().cloned().collect();
            let exchanges = topology
                .exchanges()
                .map(|spec| (spec.name.clone(), topology.counts_of_exchange(&spec.name).unwrap_or_default()));
            (topology.counts_without_queues(), queues, exchanges.collect::<Vec<_>>())
        });
        counts += vhost.past_counts();
        let mut figures = Figures { counts, ..Figures::default() };
        for (name, counts) in exchanges {
            let of = Figures { counts, ..Figures::default() };
            self.put(Subject::Exchange(vhost.name.clone(), name), of, now, next);
        }
        for (at, queue) in queues.iter().enumerate() {
            let of = Figures::of_queue(&queue.status());
            figures.counts += MessageCounts { publish: 0, ..of.counts };
            figures.ready += of.ready;
            figures.unacked += of.unacked;
            self.put(Subject::Queue(queue.id), of, now, next);
            if at % SAMPLED_AT_ONCE_MAX == SAMPLED_AT_ONCE_MAX - 1 {
                tokio::task::yield_now().await;
            }
        }
        figures
    }

    async fn take_connections(
        &self,
        broker: &Broker,
        vhost: &Vhost,
        now: Millis,
        of_vhost: &mut Figures,
        next: &mut HashMap<Subject, Series>,
    ) {
        for (at, id) in broker.connections.of_vhost(&vhost.name).into_iter().enumerate() {
            let Some(its) = broker.connections.figures_of(id) else { continue };
            let mut figures = Figures { received: its.received, sent: its.sent, ..Figures::default() };
            for (number, channel) in its.channels {
                figures.counts += channel.counts;
                let of =
                    Figures { counts: channel.counts, unacked: channel.unacked as i64, ..Figures::default() };
                self.put(Subject::Channel(id, number), of, now, next);
            }
            of_vhost.counts += crate::broker::of_channels(&figures.counts);
            of_vhost.received += figures.received;
            of_vhost.sent += figures.sent;
            self.put(Subject::Connection(id), figures, now, next);
            if at % SAMPLED_AT_ONCE_MAX == SAMPLED_AT_ONCE_MAX - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn put(&self, subject: Subject, figures: Figures, now: Millis, next: &mut HashMap<Subject, Series>) {
        let series = self.series.read();
        let before = series.get(&subject);
        if before.is_none() && figures == Figures::default() {
            return;
        }
        let (from, since) = before.map_or((figures, now), |before| (before.last, before.at));
        let change = (from != figures).then(|| {
            let span = Duration::from_millis(now.saturating_sub(since));
            Box::new(Change { from, to: figures, span })
        });
        next.insert(subject, Series { last: figures, at: now, change });
    }

    /// What has changed of something lately; nothing if it is not known.
    pub fn change(&self, of: &Subject) -> Change {
        let series = self.series.read();
        series.get(of).and_then(|series| series.change.as_deref().copied()).unwrap_or_default()
    }

    /// The last sample of something.
    pub fn last(&self, of: &Subject) -> Figures {
        self.series.read().get(of).map(|series| series.last).unwrap_or_default()
    }
}

impl Figures {
    /// A queue's.
    pub fn of_queue(status: &crate::core::queue::QueueStatus) -> Self {
        Self {
            counts: status.counters.into(),
            ready: (status.ready + status.delayed) as i64,
            unacked: status.unacked as i64,
            ..Self::default()
        }
    }
}

fn add(all: &mut Figures, figures: &Figures) {
    all.counts += figures.counts;
    all.ready += figures.ready;
    all.unacked += figures.unacked;
    all.received += figures.received;
    all.sent += figures.sent;
}

/// How often connections and channels were opened and closed, and queues declared, made and deleted.
pub fn churn(broker: &Broker) -> [u64; 7] {
    let churn = &broker.connections.churn;
    let ((opened, closed), (channels_opened, channels_closed)) = (churn.connections(), churn.channels());
    let queues = broker.queue_churn();
    [opened, closed, channels_opened, channels_closed, queues.declared, queues.created, queues.deleted]
}

/// A name, and what it counts.
type Counter = (&'static str, fn(&MessageCounts) -> u64);

/// Each thing that is counted, by RabbitMQ's name for it.
const COUNTED: [Counter; 12] = [
    ("ack", |counts| counts.ack),
    ("confirm", |counts| counts.confirm),
    ("deliver", |counts| counts.deliver),
    ("deliver_get", MessageCounts::deliver_get),
    ("deliver_no_ack", |counts| counts.deliver_no_ack),
    ("drop_unroutable", |counts| counts.drop_unroutable),
    ("get", |counts| counts.get),
    ("get_empty", |counts| counts.get_empty),
    ("get_no_ack", |counts| counts.get_no_ack),
    ("publish", |counts| counts.publish),
    ("redeliver", |counts| counts.redeliver),
    ("return_unroutable", |counts| counts.return_unroutable),
];

/// RabbitMQ's `message_stats`: everything that was counted, each with its rate. Of what nothing has happened to there is none.
pub fn message_stats(counts: &MessageCounts, change: &Change) -> Option<Value> {
    (*counts != MessageCounts::default()).then(|| stats(COUNTED.iter(), counts, change))
}

/// The same of an exchange, which counts other things.
pub fn exchange_stats(counts: &MessageCounts, change: &Change) -> Option<Value> {
    const COUNTED: [Counter; 2] =
        [("publish_in", |counts| counts.publish_in), ("publish_out", |counts| counts.publish_out)];
    (*counts != MessageCounts::default()).then(|| stats(COUNTED.iter(), counts, change))
}

fn stats<'a>(counted: impl Iterator<Item = &'a Counter>, counts: &MessageCounts, change: &Change) -> Value {
    let mut shown = Map::new();
    for (name, of) in counted {
        shown.insert((*name).into(), json!(of(counts)));
        shown.insert(format!("{name}_details"), details(change.rate(|figures| of(&figures.counts))));
    }
    Value::Object(shown)
}

/// RabbitMQ's form of a rate.
pub fn details(rate: f64) -> Value {
    json!({ "rate": rate })
}
