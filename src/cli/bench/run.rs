//! A run of messages: sets up the topology, starts consumers, then producers, prints a line for each interval, decides
//! when it is over, and sums up.
//!
//! Who ends it: time (-z), Ctrl-C, the first error, or all limited workers being done; if only the producers are
//! limited, the consumers first empty the queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::clock::{Clock, seconds};
use super::consumer::Consumer;
use super::figures::{Columns, Durations, Interval, Summary, Totals};
use super::interrupt;
use super::plan::Plan;
use super::producer::Producer;
use super::report::Report;
use super::stats::{ConsumerStats, Meter, ProducerStats, histogram};
use super::topology::Topology;
use super::worker::{Context, Event, Role};
use crate::cli::amqp::client::Client;
use crate::cli::amqp::error::Error;

/// Runs the plan to its end and prints the summary.
pub(super) fn run(plan: &Plan) -> Result<(), Error> {
    let (sender, events) = mpsc::channel();
    interrupt::watch(sender.clone())?;
    let context = Context {
        clock: Clock::start(),
        run_id: rand::random(),
        stop: Arc::new(AtomicBool::new(false)),
        events: sender,
    };
    let mut run = BenchRun::start(plan, context, events)?;
    let report = Report::new(plan);
    let ended = run.supervise(&report);
    let end_ns = run.context.clock.now_ns();
    let totals = run.totals();
    run.stop();
    if let Err(error) = ended {
        report.abandon();
        // The first error is the one to tell.
        let _ = run.topology.remove();
        return Err(error);
    }
    run.collect();
    let summary = Summary::new(&plan.id, totals, run.durations(end_ns), run.columns())
        .with_latencies(&run.consumer_latency.whole, &run.confirm_latency.whole);
    report.summary(&summary);
    run.topology.remove()
}

struct BenchRun<'a> {
    plan: &'a Plan,
    context: Context,
    events: Receiver<Event>,
    topology: Topology,
    producers: Vec<Arc<ProducerStats>>,
    consumers: Vec<Arc<ConsumerStats>>,
    threads: Vec<JoinHandle<()>>,
    start_ns: u64,
    finished_producers: usize,
    finished_consumers: usize,
    consumer_latency: Latency,
    confirm_latency: Latency,
}

/// Of the current interval and of the whole run.
struct Latency {
    interval: Histogram<u64>,
    whole: Histogram<u64>,
}

impl<'a> BenchRun<'a> {
    /// Everything connects before anything is published.
    fn start(plan: &'a Plan, context: Context, events: Receiver<Event>) -> Result<Self, Error> {
        let mut run = Self {
            plan,
            events,
            topology: Topology::declare(plan)?,
            producers: (0..plan.producers).map(|_| Arc::new(ProducerStats::new())).collect(),
            consumers: (0..plan.consumers).map(|_| Arc::new(ConsumerStats::new())).collect(),
            threads: Vec::new(),
            start_ns: 0,
            finished_producers: 0,
            finished_consumers: 0,
            consumer_latency: Latency { interval: histogram(), whole: histogram() },
            confirm_latency: Latency { interval: histogram(), whole: histogram() },
            context,
        };
        let consumers = (0..run.consumers.len()).map(|at| run.consumer(at)).collect::<Result<Vec<_>, _>>()?;
        let producers = (0..run.producers.len()).map(|at| run.producer(at)).collect::<Result<Vec<_>, _>>()?;
        run.start_ns = run.context.clock.now_ns();
        for consumer in consumers {
            run.threads.push(run.context.spawn(Role::Consumer, || consumer.run())?);
        }
        for producer in producers {
            run.threads.push(run.context.spawn(Role::Producer, || producer.run())?);
        }
        Ok(run)
    }

    fn consumer(&self, at: usize) -> Result<Consumer, Error> {
        let client = self.connect("consumer", at)?;
        let stats = Arc::clone(&self.consumers[at]);
        Consumer::new(client, self.context.clone(), &self.plan.consuming, self.topology.queue(at), stats)
    }

    fn producer(&self, at: usize) -> Result<Producer, Error> {
        let client = self.connect("producer", at)?;
        let (exchange, key) = (self.topology.exchange.clone(), self.topology.routing_key(at));
        let stats = Arc::clone(&self.producers[at]);
        Producer::new(client, self.context.clone(), &self.plan.publishing, exchange, key, stats)
    }

    fn connect(&self, role: &str, at: usize) -> Result<Client, Error> {
        if self.events.try_recv().is_ok() {
            return Err(Error::Interrupted);
        }
        Client::connect(&self.plan.uri, &format!("{} {role} {at}", self.plan.id))
    }

    /// Until the end, however it comes.
    fn supervise(&mut self, report: &Report) -> Result<(), Error> {
        let clock = self.context.clock;
        let interval_ns = self.plan.interval.as_nanos() as u64;
        let end_ns = self.plan.time.map_or(u64::MAX, |time| self.start_ns + time.as_nanos() as u64);
        let (mut last_ns, mut last) = (self.start_ns, Totals::default());
        loop {
            let now_ns = clock.now_ns();
            let totals = self.totals();
            report.progress(Duration::from_nanos(now_ns - self.start_ns), totals.sent, self.plan);
            if now_ns - last_ns >= interval_ns {
                self.report_interval(report, (last_ns, &last), (now_ns, &totals));
                (last_ns, last) = (last_ns + (now_ns - last_ns) / interval_ns * interval_ns, totals);
            }
            if now_ns >= end_ns || self.is_complete(now_ns, &totals) {
                return Ok(());
            }
            let wake_ns = (last_ns + interval_ns).min(end_ns).min(now_ns + self.patience_ns());
            match self.events.recv_timeout(Duration::from_nanos(wake_ns - now_ns)) {
                Ok(Event::Finished(Role::Producer)) => self.finished_producers += 1,
                Ok(Event::Finished(Role::Consumer)) => self.finished_consumers += 1,
                Ok(Event::Notice(text)) => report.notice(&text),
                Ok(Event::Failed(error)) => return Err(error),
                Ok(Event::Interrupted) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn report_interval(&mut self, report: &Report, before: (u64, &Totals), after: (u64, &Totals)) {
        self.collect();
        let length = seconds(after.0 - before.0);
        let time = seconds(after.0 - self.start_ns);
        let interval = Interval::between(before.1, after.1, length, time, self.columns());
        report
            .line(&interval.with_latencies(&self.consumer_latency.interval, &self.confirm_latency.interval));
    }

    /// Gathers the latencies since the last time, which become those of the interval.
    fn collect(&mut self) {
        let Self { producers, consumers, consumer_latency, confirm_latency, .. } = self;
        consumer_latency.renew(|into| consumers.iter().for_each(|stats| stats.latency.collect(into)));
        confirm_latency.renew(|into| producers.iter().for_each(|stats| stats.confirm_latency.collect(into)));
    }

    fn totals(&self) -> Totals {
        let of = |meter: fn(&ProducerStats) -> &Meter| {
            self.producers.iter().map(|stats| meter(stats).count()).sum()
        };
        // Deliveries first: a message is never seen received and not sent.
        let received = self.consumers.iter().map(|stats| stats.received.count()).sum();
        Totals {
            received,
            confirmed: of(|stats| &stats.confirmed),
            nacked: of(|stats| &stats.nacked),
            returned: of(|stats| &stats.returned),
            sent: of(|stats| &stats.sent),
        }
    }

    fn is_complete(&self, now_ns: u64, totals: &Totals) -> bool {
        let producers = self.plan.publishing.messages.map(|_| self.producers_finished());
        let consumers = self.plan.consuming.messages.map(|_| self.consumers_finished());
        match (producers, consumers) {
            (None, None) => false,
            (None, Some(finished)) => finished,
            (Some(finished), None) => finished && self.is_drained(now_ns, totals),
            (Some(producers), Some(consumers)) => producers && consumers,
        }
    }

    fn producers_finished(&self) -> bool {
        self.finished_producers == self.producers.len()
    }

    fn consumers_finished(&self) -> bool {
        self.finished_consumers == self.consumers.len()
    }

    /// Everything that was sent has been received, or nothing has come for a while.
    fn is_drained(&self, now_ns: u64, totals: &Totals) -> bool {
        let last_ns = self.last_received_ns().max(self.last_sent_ns());
        let routed = totals.sent - totals.returned;
        self.consumers.is_empty()
            || self.topology.copies().is_some_and(|copies| totals.received >= routed * copies)
            || now_ns.saturating_sub(last_ns) > QUIET_NS
    }

    /// How long nothing need be looked at: less when the end may come without an event.
    fn patience_ns(&self) -> u64 {
        let is_draining = self.plan.publishing.messages.is_some() && self.producers_finished();
        if is_draining { DRAINING_POLL_NS } else { POLL_NS }
    }

    /// Work that came to its end is measured to its last event, other work to the end of the run.
    fn durations(&self, end_ns: u64) -> Durations {
        let since_start = |until_ns: u64| seconds(until_ns.saturating_sub(self.start_ns));
        let until = |is_done: bool, last_ns: u64| since_start(if is_done { last_ns } else { end_ns });
        let are_sent = self.plan.publishing.messages.is_some() && self.producers_finished();
        let are_received = are_sent || (self.plan.consuming.messages.is_some() && self.consumers_finished());
        let confirmed_ns = self.producers.iter().map(|stats| stats.confirmed.last_ns()).max();
        Durations {
            run: since_start(end_ns),
            sending: until(are_sent, self.last_sent_ns()),
            confirming: until(are_sent, confirmed_ns.unwrap_or_default()),
            receiving: until(are_received, self.last_received_ns()),
        }
    }

    fn last_sent_ns(&self) -> u64 {
        self.producers.iter().map(|stats| stats.sent.last_ns()).max().unwrap_or_default()
    }

    fn last_received_ns(&self) -> u64 {
        self.consumers.iter().map(|stats| stats.received.last_ns()).max().unwrap_or_default()
    }

    fn columns(&self) -> Columns {
        Columns {
            sent: self.plan.producers > 0,
            received: self.plan.consumers > 0,
            confirmed: self.plan.producers > 0 && self.plan.publishing.window.is_some(),
            returned: self.plan.producers > 0 && self.plan.publishing.mandatory,
        }
    }

    /// Ends all workers and waits for them; each looks at the flag several times a second.
    fn stop(&mut self) {
        self.context.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}

impl Latency {
    fn renew(&mut self, collect: impl FnOnce(&mut Histogram<u64>)) {
        self.interval.reset();
        collect(&mut self.interval);
        self.whole.add(&self.interval).expect("all histograms have the same bounds");
    }
}

/// Consumers that have received nothing for so long have nothing left to receive.
const QUIET_NS: u64 = 2_000_000_000;
const POLL_NS: u64 = 100_000_000;
const DRAINING_POLL_NS: u64 = 5_000_000;
