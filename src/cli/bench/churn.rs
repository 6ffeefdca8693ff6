//! Churn: how fast connections, channels, queues, consumers or bindings come and go. Each thread repeats one cycle of
//! two steps on a connection of its own and times each step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::args::Churn;
use super::clock::{Clock, seconds};
use super::interrupt;
use super::plan::Plan;
use super::report::{Record, Report, Spread, rate};
use super::stats::{Latencies, Meter, histogram};
use super::worker::{Context, Event, Role};
use crate::cli::amqp::client::Client;
use crate::cli::amqp::error::Error;
use crate::cli::amqp::uri::Uri;
use crate::protocol::{FieldTable, Method, ShortString, basic, queue};

/// Runs the plan's churn to its end and prints the summary.
pub(super) fn run(plan: &Plan, what: Churn) -> Result<(), Error> {
    let (sender, events) = mpsc::channel();
    interrupt::watch(sender.clone())?;
    let stop = Arc::new(AtomicBool::new(false));
    let context = Context { clock: Clock::start(), run_id: rand::random(), stop, events: sender };
    let stats: Vec<_> = (0..plan.producers).map(|_| Arc::new(Stats::new())).collect();
    let mut threads = Vec::new();
    for (at, stats) in stats.iter().enumerate() {
        let churner =
            Churner::new(plan, what, format!("{}-{at}", plan.id), context.clone(), Arc::clone(stats))?;
        threads.push(context.spawn(Role::Producer, || churner.run())?);
    }
    let mut board = Board {
        stats,
        names: names(what),
        steps: [histogram(), histogram()],
        start_ns: context.clock.now_ns(),
    };
    let report = Report::new(plan);
    let ended = board.supervise(plan, context.clock, &events, &report);
    let took = seconds(context.clock.now_ns() - board.start_ns);
    let (cycles, _) = board.collect();
    context.stop.store(true, Ordering::Relaxed);
    for thread in threads {
        // A worker that panicked has said so on stderr.
        let _ = thread.join();
    }
    report.abandon();
    ended?;
    report.summary(&board.figures("summary", took, (cycles, took), &board.steps));
    Ok(())
}

/// Of one thread.
struct Stats {
    cycles: Meter,
    steps: [Latencies; 2],
}

impl Stats {
    fn new() -> Self {
        Self { cycles: Meter::default(), steps: [Latencies::new(), Latencies::new()] }
    }
}

/// One thread's work.
struct Churner {
    what: Churn,
    uri: Uri,
    name: String,
    queue: ShortString,
    /// The connection on which things come and go; none where connections do.
    client: Option<Client>,
    cycles: Option<u64>,
    context: Context,
    stats: Arc<Stats>,
}

impl Churner {
    fn new(
        plan: &Plan,
        what: Churn,
        name: String,
        context: Context,
        stats: Arc<Stats>,
    ) -> Result<Self, Error> {
        let mut churner = Self {
            what,
            uri: plan.uri.clone(),
            queue: ShortString::try_from(format!("leveret-bench-{:016x}-{name}", context.run_id))
                .map_err(|_| Error::Options("the id is too long".to_owned()))?,
            name,
            client: None,
            cycles: plan.publishing.messages,
            context,
            stats,
        };
        if what != Churn::Connection {
            let mut client = Client::connect(&churner.uri, &churner.name)?;
            if what != Churn::Channel {
                client.open_channel()?;
            }
            if matches!(what, Churn::Consumer | Churn::Binding) {
                churner.declare_queue(&mut client)?;
            }
            churner.client = Some(client);
        }
        Ok(churner)
    }

    fn run(mut self) -> Result<(), Error> {
        let mut client = self.client.take();
        let mut done = 0;
        while !self.context.stopped() && self.cycles.is_none_or(|cycles| done < cycles) {
            match &mut client {
                Some(client) => self.cycle(client)?,
                None => self.cycle_connection()?,
            }
            done += 1;
            self.stats.cycles.add(1, self.context.clock.now_ns());
        }
        client.map_or(Ok(()), Client::close)
    }

    fn cycle_connection(&self) -> Result<(), Error> {
        let client = self.timed(0, || Client::connect(&self.uri, &self.name))?;
        self.timed(1, || client.close())
    }

    fn cycle(&self, client: &mut Client) -> Result<(), Error> {
        match self.what {
            // Has no client, and never comes here.
            Churn::Connection => Ok(()),
            Churn::Channel => {
                self.timed(0, || client.open_channel())?;
                self.timed(1, || client.close_channel())
            }
            Churn::Queue => {
                self.timed(0, || self.declare_queue(client))?;
                let delete = queue::Delete { queue: self.queue.clone(), ..Default::default() };
                self.timed(1, || client.call(&delete, "queue.delete").map(drop))
            }
            Churn::Consumer => {
                let consume =
                    basic::Consume { queue: self.queue.clone(), no_ack: true, ..Default::default() };
                let Method::BasicConsumeOk(ok) = self.timed(0, || client.call(&consume, "basic.consume"))?
                else {
                    return Err(Error::Unexpected("no basic.consume-ok"));
                };
                let cancel = basic::Cancel { consumer_tag: ok.consumer_tag, no_wait: false };
                self.timed(1, || client.call(&cancel, "basic.cancel").map(drop))
            }
            Churn::Binding => {
                let (bind, unbind) = bind_and_unbind(&self.queue);
                self.timed(0, || client.call(&bind, "queue.bind"))?;
                self.timed(1, || client.call(&unbind, "queue.unbind").map(drop))
            }
        }
    }

    fn declare_queue(&self, client: &mut Client) -> Result<(), Error> {
        let declare = queue::Declare { queue: self.queue.clone(), exclusive: true, ..Default::default() };
        client.call(&declare, "queue.declare").map(drop)
    }

    fn timed<T>(&self, step: usize, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let start_ns = self.context.clock.now_ns();
        let done = work()?;
        let took_ns = self.context.clock.now_ns() - start_ns;
        self.stats.steps[step].record_one(took_ns);
        Ok(done)
    }
}

/// Adds up what the threads count.
struct Board {
    stats: Vec<Arc<Stats>>,
    names: [&'static str; 2],
    steps: [Histogram<u64>; 2],
    start_ns: u64,
}

impl Board {
    fn supervise(
        &mut self,
        plan: &Plan,
        clock: Clock,
        events: &Receiver<Event>,
        report: &Report,
    ) -> Result<(), Error> {
        let interval_ns = plan.interval.as_nanos() as u64;
        let end_ns = plan.time.map_or(u64::MAX, |time| self.start_ns + time.as_nanos() as u64);
        let (mut last_ns, mut last, mut finished) = (self.start_ns, 0, 0);
        while finished < self.stats.len() {
            let now_ns = clock.now_ns();
            report.progress(Duration::from_nanos(now_ns - self.start_ns), self.cycles(), plan);
            if now_ns - last_ns >= interval_ns {
                let (cycles, steps) = self.collect();
                let (time, length) = (seconds(now_ns - self.start_ns), seconds(now_ns - last_ns));
                report.line(&self.figures("interval", time, (cycles - last, length), &steps));
                (last_ns, last) = (now_ns, cycles);
            }
            if now_ns >= end_ns {
                break;
            }
            let wake_ns = (last_ns + interval_ns).min(end_ns).min(now_ns + POLL_NS);
            match events.recv_timeout(Duration::from_nanos(wake_ns - now_ns)) {
                Ok(Event::Finished(_)) => finished += 1,
                Ok(Event::Notice(text)) => report.notice(&text),
                Ok(Event::Failed(error)) => return Err(error),
                Ok(Event::Interrupted) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Ok(())
    }

    fn cycles(&self) -> u64 {
        self.stats.iter().map(|stats| stats.cycles.count()).sum()
    }

    /// All cycles so far, and the latencies since the last time, which are added to those of the run.
    fn collect(&mut self) -> (u64, [Histogram<u64>; 2]) {
        let mut recent = [histogram(), histogram()];
        for (step, recent) in recent.iter_mut().enumerate() {
            self.stats.iter().for_each(|stats| stats.steps[step].collect(recent));
            self.steps[step].add(&*recent).expect("all histograms have the same bounds");
        }
        (self.cycles(), recent)
    }

    fn figures(
        &self,
        kind: &'static str,
        time: f64,
        cycles: (u64, f64),
        steps: &[Histogram<u64>; 2],
    ) -> Figures {
        let [first, second] = self.names;
        Figures {
            kind,
            time_seconds: time,
            cycles: cycles.0,
            cycles_per_second: rate(cycles.0, cycles.1),
            steps: [(first, Spread::of(&steps[0])), (second, Spread::of(&steps[1]))]
                .map(|(name, latency_us)| Step { name, latency_us }),
        }
    }
}

/// Of an interval or of the run.
#[derive(Serialize)]
struct Figures {
    #[serde(rename = "type")]
    kind: &'static str,
    time_seconds: f64,
    cycles: u64,
    cycles_per_second: f64,
    steps: [Step; 2],
}

#[derive(Serialize)]
struct Step {
    name: &'static str,
    latency_us: Option<Spread>,
}

impl Record for Figures {
    fn text(&self) -> String {
        let spreads = self.steps.iter().filter_map(|step| Some((step.name, step.latency_us.as_ref()?)));
        let head = format!("time {:.3} s, churned: {:.0}/s", self.time_seconds, self.cycles_per_second);
        if self.kind == "interval" {
            return spreads.fold(head, |text, (name, spread)| text + &spread.interval_text(name));
        }
        spreads.fold(format!("{head}, {} in all", self.cycles), |text, (name, spread)| {
            format!("{text}\n{}", spread.summary_text(name))
        })
    }
}

fn names(what: Churn) -> [&'static str; 2] {
    match what {
        Churn::Connection => ["connection open", "connection close"],
        Churn::Channel => ["channel open", "channel close"],
        Churn::Queue => ["queue declare", "queue delete"],
        Churn::Consumer => ["consume", "cancel"],
        Churn::Binding => ["bind", "unbind"],
    }
}

fn bind_and_unbind(queue: &ShortString) -> (queue::Bind, queue::Unbind) {
    let exchange = ShortString::from_static("amq.direct");
    let routing_key = ShortString::from_static("churn");
    let bind = queue::Bind {
        queue: queue.clone(),
        exchange: exchange.clone(),
        routing_key: routing_key.clone(),
        no_wait: false,
        arguments: FieldTable::new(),
    };
    let unbind = queue::Unbind { queue: queue.clone(), exchange, routing_key, arguments: FieldTable::new() };
    (bind, unbind)
}

const POLL_NS: u64 = 100_000_000;
