//! Rates: what happened between two samples, for things that something has happened to.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use crate::broker::{Broker, Vhost};
use crate::core::{
    ConnectionId,
    clock::Millis,
    counts::{MessageCounts, Traffic},
    placement::QueueId,
};
use crate::limits::{
    COARSE_SAMPLE_INTERVAL, COARSE_SAMPLES_MAX, SAMPLE_INTERVAL, SAMPLED_AT_ONCE_MAX, SAMPLES_MAX,
    SAMPLES_SHOWN_MAX, SERIES_WITH_PAST_MAX,
};
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

/// For which of the past samples are wanted, and how far apart, in seconds: RabbitMQ's `lengths_age`, `lengths_incr` and the like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ages {
    /// Of the numbers of messages in queues.
    pub lengths: Option<Age>,
    /// Of what happened to messages.
    pub msg_rates: Option<Age>,
    /// Of bytes of connections.
    pub data_rates: Option<Age>,
}

/// A span of the past, and the distance of samples in it, in seconds; neither is zero.
#[derive(Debug, Clone, Copy)]
pub struct Age {
    span: u64,
    step: u64,
}

impl Age {
    /// `None` if it makes no sense. No more than is kept and shown.
    pub fn new(span: u64, step: u64) -> Option<Self> {
        let kept = COARSE_SAMPLE_INTERVAL.as_secs() * COARSE_SAMPLES_MAX as u64;
        let span = span.min(kept).min(step.saturating_mul(SAMPLES_SHOWN_MAX));
        (step > 0 && span >= step).then_some(Self { span, step })
    }
}

/// What has changed lately, and samples of the past if they are wanted.
#[derive(Default)]
pub struct Change {
    from: Figures,
    to: Figures,
    between: Duration,
    at: Millis,
    past: Vec<(Millis, Figures)>,
    ages: Ages,
}

impl Change {
    /// How fast a counter of messages rises.
    pub fn count(&self, of: impl Fn(&Figures) -> u64) -> Value {
        self.details(self.ages.msg_rates, |figures| of(figures) as i64)
    }

    /// How fast a number of messages rises or falls.
    pub fn level(&self, of: impl Fn(&Figures) -> i64) -> Value {
        self.details(self.ages.lengths, of)
    }

    /// How fast bytes come or go.
    pub fn flow(&self, of: impl Fn(&Figures) -> u64) -> Value {
        self.details(self.ages.data_rates, |figures| of(figures) as i64)
    }

    /// What it was at a time. Samples are not taken on the second: between two of them it is taken to have gone evenly, or else a step
    /// without a sample would look like a halt.
    fn value_at(&self, time: Millis, of: impl Fn(&Figures) -> i64) -> i64 {
        let later = self.past.partition_point(|(taken, _)| *taken <= time);
        let before = later.checked_sub(1).and_then(|at| self.past.get(at));
        match (before, self.past.get(later)) {
            (Some((from, before)), Some((to, after))) => {
                let (before, after) = (of(before), of(after));
                let part = (time - from) as f64 / (to - from) as f64;
                before + ((after - before) as f64 * part).round() as i64
            }
            // What is not kept was what it is now, or had not begun.
            (Some((_, only)), None) | (None, Some((_, only))) => of(only),
            (None, None) => of(&self.to),
        }
    }

    fn rate(&self, of: impl Fn(&Figures) -> i64) -> f64 {
        per_second(of(&self.to) - of(&self.from), self.between.as_secs_f64())
    }

    /// RabbitMQ's form: the rate, and samples with the newest first, if they are wanted.
    fn details(&self, age: Option<Age>, of: impl Fn(&Figures) -> i64) -> Value {
        let rate = self.rate(&of);
        let Some(Age { span, step }) = age else { return json!({ "rate": rate }) };
        let newest = self.at - self.at % (step * 1_000);
        let at = |back: u64| newest.saturating_sub(back * step * 1_000);
        let value = |time: Millis| self.value_at(time, &of);
        let samples: Vec<(i64, Millis)> = (0..=span / step).map(at).map(|time| (value(time), time)).collect();
        let (last, first) = (samples[0].0, samples[samples.len() - 1].0);
        let sum: i64 = samples.iter().map(|(sample, _)| sample).sum();
        let shown: Vec<_> = samples
            .iter()
            .map(|(sample, timestamp)| json!({ "sample": sample, "timestamp": timestamp }))
            .collect();
        json!({
            "rate": rate,
            "samples": shown,
            "avg_rate": per_second(last - first, span as f64),
            "avg": sum as f64 / samples.len() as f64,
        })
    }
}

fn per_second(change: i64, seconds: f64) -> f64 {
    if seconds > 0.0 { (change as f64 / seconds * 1_000.0).round() / 1_000.0 } else { 0.0 }
}

struct Series {
    last: Figures,
    at: Millis,
    /// The sample before that and when it was taken; none if nothing has changed.
    before: Option<Box<(Figures, Millis)>>,
    /// Those of the last minutes, the oldest first, of what has moved in them.
    past: VecDeque<(Millis, Figures)>,
    /// Of the broker as a whole: those of the last hour, further apart.
    coarse: VecDeque<(Millis, Figures)>,
}

impl Series {
    /// All samples of the past, the oldest first.
    fn all_past(&self) -> Vec<(Millis, Figures)> {
        let first = self.past.front().map_or(Millis::MAX, |(taken, _)| *taken);
        let coarse = self.coarse.iter().filter(|(taken, _)| *taken < first);
        coarse.chain(&self.past).copied().collect()
    }
}

/// Adds to the samples that are further apart, if the last one is of an interval before this one.
fn remember_coarsely(coarse: &mut VecDeque<(Millis, Figures)>, figures: Figures, now: Millis) {
    let interval = |at: Millis| at / COARSE_SAMPLE_INTERVAL.as_millis() as Millis;
    if coarse.back().is_some_and(|(taken, _)| interval(*taken) == interval(now)) {
        return;
    }
    if coarse.len() >= COARSE_SAMPLES_MAX {
        coarse.pop_front();
    }
    coarse.push_back((now, figures));
}

/// The last samples of what moves, and the last one of what has moved before.
#[derive(Default)]
pub struct Samples {
    series: RwLock<HashMap<Subject, Series>>,
    /// How many things have a past.
    with_past: AtomicUsize,
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
        let connections = broker.connections.by_vhost();
        for vhost in broker.vhosts.all() {
            let mut figures = self.take_vhost(&vhost, now, &mut next).await;
            let there = connections.get(&vhost.name).map_or(&[][..], Vec::as_slice);
            self.take_connections(broker, there, now, &mut figures, &mut next).await;
            add(&mut all, &figures);
            self.put(Subject::Vhost(vhost.name.clone()), figures, now, &mut next);
        }
        all.counts += broker.counts_of_gone();
        all.churn = churn(broker);
        self.put(Subject::Broker, all, now, &mut next);
        let gone = std::mem::replace(&mut *self.series.write(), next);
        let with_past = gone.values().filter(|series| !series.past.is_empty()).count();
        self.with_past.fetch_sub(with_past, Ordering::Relaxed);
    }

    async fn take_vhost(&self, vhost: &Vhost, now: Millis, next: &mut HashMap<Subject, Series>) -> Figures {
        let (mut counts, queues, exchanges) = vhost.read(|topology| {
            let queues: Vec<_> = topology.named_queues().cloned().collect();
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
        connections: &[ConnectionId],
        now: Millis,
        of_vhost: &mut Figures,
        next: &mut HashMap<Subject, Series>,
    ) {
        for (at, &id) in connections.iter().enumerate() {
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
        let mut all = self.series.write();
        let series = all.get_mut(&subject);
        if series.is_none() && figures == Figures::default() {
            return;
        }
        let (mut last, mut at) = (Figures::default(), now);
        let (mut past, mut coarse) = (VecDeque::new(), VecDeque::new());
        if let Some(series) = series {
            (last, at) = (series.last, series.at);
            (past, coarse) = (std::mem::take(&mut series.past), std::mem::take(&mut series.coarse));
        }
        if subject == Subject::Broker {
            remember_coarsely(&mut coarse, figures, now);
        }
        let has_moved = last != figures;
        self.remember(&mut past, figures, now, has_moved);
        let before = has_moved.then(|| Box::new((last, at)));
        next.insert(subject, Series { last: figures, at: now, before, past, coarse });
    }

    /// Adds to the past of what moves, as long as not too many things have one, and forgets it when nothing in it moves.
    fn remember(
        &self,
        past: &mut VecDeque<(Millis, Figures)>,
        figures: Figures,
        now: Millis,
        has_moved: bool,
    ) {
        if past.is_empty() {
            if !has_moved || self.with_past.load(Ordering::Relaxed) >= SERIES_WITH_PAST_MAX {
                return;
            }
            self.with_past.fetch_add(1, Ordering::Relaxed);
        }
        if past.len() >= SAMPLES_MAX {
            past.pop_front();
        }
        past.push_back((now, figures));
        if past.iter().all(|(_, then)| *then == figures) && past.len() >= SAMPLES_MAX {
            *past = VecDeque::new();
            self.with_past.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// What has changed of something lately; nothing if it is not known.
    pub fn change(&self, of: &Subject, ages: Ages) -> Change {
        let all = self.series.read();
        let Some(series) = all.get(of) else { return Change { ages, ..Change::default() } };
        let (from, since) = series.before.as_deref().map_or((series.last, series.at), |before| *before);
        let wants_past = ages.lengths.or(ages.msg_rates).or(ages.data_rates).is_some();
        Change {
            from,
            to: series.last,
            between: Duration::from_millis(series.at.saturating_sub(since)),
            at: series.at,
            past: if wants_past { series.all_past() } else { Vec::new() },
            ages,
        }
    }

    /// Figures of something at the last sample and about `span` before it, and the milliseconds between the two: fewer than asked for if it
    /// has begun later, or has no past.
    pub fn over(&self, of: &Subject, span: Duration) -> Option<(Figures, Figures, Millis)> {
        let all = self.series.read();
        let series = all.get(of)?;
        let since = series.at.saturating_sub(span.as_millis() as Millis);
        let later = series.past.partition_point(|(taken, _)| *taken <= since);
        let (from, at) = match (series.past.get(later.saturating_sub(1)), series.before.as_deref()) {
            (Some((at, from)), _) => (*from, *at),
            (None, Some(before)) => *before,
            (None, None) => (series.last, series.at.saturating_sub(SAMPLE_INTERVAL.as_millis() as Millis)),
        };
        Some((from, series.last, series.at.saturating_sub(at)))
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

/// The rate of one thing that is counted, by its path in RabbitMQ's form (`message_stats.publish_details.rate`), as [`message_stats`] has it.
/// `None` if the path is another one.
pub fn rate_at(path: &str, change: &Change) -> Option<f64> {
    let name = path.strip_prefix("message_stats.")?.strip_suffix("_details.rate")?;
    let (_, of) = COUNTED.iter().find(|(counted, _)| *counted == name)?;
    Some(change.rate(|figures| of(&figures.counts) as i64))
}

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
        shown.insert(format!("{name}_details"), change.count(|figures| of(&figures.counts)));
    }
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(ready: i64) -> Figures {
        Figures { ready, ..Figures::default() }
    }

    /// Takes samples of one thing, five seconds apart.
    fn taken(samples: &Samples, levels: impl IntoIterator<Item = i64>) {
        for (at, level) in levels.into_iter().enumerate() {
            let mut next = HashMap::new();
            samples.put(Subject::Broker, ready(level), (at as Millis + 1) * 5_000, &mut next);
            *samples.series.write() = next;
        }
    }

    fn shown(samples: &Samples, age: Option<Age>) -> Value {
        let ages = Ages { lengths: age, ..Ages::default() };
        samples.change(&Subject::Broker, ages).level(|figures| figures.ready)
    }

    #[test]
    fn a_rate_is_what_has_changed_between_the_last_two_samples() {
        let samples = Samples::default();
        taken(&samples, [10, 20, 45]);
        assert_eq!(shown(&samples, None), json!({ "rate": 5.0 }));
        taken(&samples, [45, 45]);
        assert_eq!(shown(&samples, None), json!({ "rate": 0.0 }));
    }

    #[test]
    fn samples_of_the_past_are_shown_as_far_apart_as_is_asked_for() {
        let samples = Samples::default();
        taken(&samples, [10, 20, 45, 45]);
        let wanted = json!({
            "rate": 0.0,
            "samples": [
                { "sample": 45, "timestamp": 20_000 },
                { "sample": 20, "timestamp": 10_000 },
                { "sample": 10, "timestamp": 0 },
            ],
            "avg_rate": 1.75,
            "avg": 25.0,
        });
        assert_eq!(shown(&samples, Age::new(20, 10)), wanted);
        for (span, step) in [(10, 0), (0, 5), (5, 10), (1_000_000, 0)] {
            assert!(Age::new(span, step).is_none(), "{span} {step}");
        }
        assert!(Age::new(u64::MAX, 1).is_some(), "no more than is kept");
    }

    /// What it was at each time that is shown, the newest first.
    fn levels(change: &Value) -> Vec<i64> {
        let samples = change["samples"].as_array().unwrap();
        samples.iter().map(|sample| sample["sample"].as_i64().unwrap()).collect()
    }

    #[test]
    fn what_goes_evenly_looks_even_whenever_samples_were_taken() {
        let samples = Samples::default();
        for at in 1..=60 {
            let mut next = HashMap::new();
            samples.put(Subject::Broker, ready(at as i64 * 510), at * 5_100, &mut next);
            *samples.series.write() = next;
        }
        let change = shown(&samples, Age::new(60, 5));
        let levels = levels(&change);
        assert!(levels.windows(2).all(|pair| pair[0] - pair[1] == 500), "{levels:?}");
    }

    #[test]
    fn of_the_broker_an_hour_is_kept_in_steps_of_half_a_minute() {
        let samples = Samples::default();
        taken(&samples, 1..=1_000);
        let change = shown(&samples, Age::new(3_600, 600));
        let levels = levels(&change);
        // Every five seconds one more: at 600 s it was the 120th.
        assert_eq!(
            levels,
            [960, 840, 720, 600, 480, 360, 282],
            "what is not kept any more is as the oldest that is"
        );
        assert_eq!(samples.series.read()[&Subject::Broker].coarse.len(), COARSE_SAMPLES_MAX);
    }

    #[test]
    fn what_has_changed_over_a_span_is_told_with_the_time_that_it_took() {
        let samples = Samples::default();
        let over = |span| {
            samples
                .over(&Subject::Broker, Duration::from_secs(span))
                .map(|(from, to, took)| (from.ready, to.ready, took))
        };
        assert_eq!(over(60), None);
        taken(&samples, [5]);
        assert_eq!(over(60), Some((5, 5, 0)), "it has just begun");
        taken(&samples, [10, 20, 30, 40]);
        assert_eq!((over(10), over(60)), (Some((20, 40, 10_000)), Some((5, 40, 15_000))));
        taken(&samples, [40; SAMPLES_MAX + 2]);
        assert_eq!(over(60), Some((40, 40, 5_000)), "its past is forgotten");
    }

    #[test]
    fn what_does_not_move_any_more_forgets_its_past_and_what_never_did_has_none() {
        let samples = Samples::default();
        taken(&samples, [0, 0]);
        assert!(samples.series.read().is_empty());
        taken(&samples, [1, 2]);
        assert_eq!(samples.with_past.load(Ordering::Relaxed), 1);
        taken(&samples, [2; SAMPLES_MAX + 1]);
        assert_eq!(
            (samples.with_past.load(Ordering::Relaxed), samples.last(&Subject::Broker)),
            (0, ready(2))
        );
    }
}
