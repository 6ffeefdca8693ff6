//! A producer: one thread that publishes, and one that reads what the broker says to it (confirms, returns, errors),
//! so that a confirm is seen when it comes, whatever the publisher does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::clock::Pace;
use super::plan::Publishing;
use super::stats::ProducerStats;
use super::unconfirmed::Unconfirmed;
use super::worker::{Context, Event};
use crate::cli::amqp::client::{CLOSE_TIMEOUT, Client, POLL, goodbye, refuse_close, write_all};
use crate::cli::amqp::error::Error;
use crate::cli::amqp::inbox::Inbox;
use crate::cli::amqp::stream::Stream;
use crate::protocol::{FRAME_METHOD, Method, ShortString, confirm, write_method};

/// A connection that is ready to publish.
pub(super) struct Producer {
    context: Context,
    stream: Stream,
    inbox: Inbox,
    batch: Batch,
    link: Arc<Link>,
    rate: Option<f64>,
    messages: Option<u64>,
}

/// What the two threads share.
struct Link {
    stats: Arc<ProducerStats>,
    unconfirmed: Option<Unconfirmed>,
    /// The publisher has said goodbye.
    closing: AtomicBool,
    /// The reader has ended: nothing more will come.
    deaf: AtomicBool,
}

impl Producer {
    /// Makes a logged-in connection ready.
    pub(super) fn new(
        mut client: Client,
        context: Context,
        plan: &Publishing,
        exchange: ShortString,
        routing_key: ShortString,
        stats: Arc<ProducerStats>,
    ) -> Result<Self, Error> {
        client.open_channel()?;
        if plan.window.is_some() {
            client.call(&confirm::Select { no_wait: false }, "confirm.select")?;
        }
        let batch = Batch::new(plan, exchange, routing_key, context.run_id, client.frame_size_bytes_max());
        let (stream, inbox) = client.into_parts()?;
        let link = Link {
            stats,
            unconfirmed: plan.window.map(Unconfirmed::new),
            closing: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
        };
        Ok(Self {
            context,
            stream,
            inbox,
            batch,
            link: Arc::new(link),
            rate: plan.rate,
            messages: plan.messages,
        })
    }

    /// Publishes until all is sent and confirmed, or the run stops.
    pub(super) fn run(mut self) -> Result<(), Error> {
        let reader = self.spawn_reader()?;
        let written = self.publish().and_then(|is_intact| Ok(is_intact && self.say_goodbye()?));
        self.link.closing.store(true, Ordering::Relaxed);
        if let Ok(false) = written {
            // The broker does not read: there is no goodbye to wait for. A socket that is gone already is as good.
            let _ = self.stream.shutdown();
        }
        let read = reader.join().unwrap_or(Err(Error::Disconnected));
        // The broker's reason, which the reader has, says more than the broken pipe that follows from it.
        match (read, written) {
            (Err(Error::Disconnected), Err(error)) => Err(error),
            (read, written) => read.and(written.map(drop)),
        }
    }

    /// True if the stream ended between frames.
    fn publish(&mut self) -> Result<bool, Error> {
        let pace = self.rate.map(|rate| Pace::new(self.context.clock.now_ns(), rate));
        let mut sent = 0;
        while !self.context.stopped() && !self.link.deaf.load(Ordering::Relaxed) {
            let remaining = self.messages.map_or(u64::MAX, |messages| messages - sent);
            if remaining == 0 {
                self.await_confirms();
                break;
            }
            let room = self.link.unconfirmed.as_ref().map_or(u64::MAX, Unconfirmed::room);
            if room == 0 {
                thread::park_timeout(POLL);
                continue;
            }
            let now_ns = self.context.clock.now_ns();
            let due = pace.map_or(u64::MAX, |pace| pace.due_by(now_ns).saturating_sub(sent));
            if let (0, Some(pace)) = (due, pace) {
                self.context.nap_until(pace.due_ns(sent));
                continue;
            }
            let count = room.min(remaining).min(due).min(self.batch.capacity());
            if !self.write(sent, count, now_ns, pace)? {
                return Ok(false);
            }
            sent += count;
        }
        Ok(true)
    }

    fn write(&mut self, sent: u64, count: u64, now_ns: u64, pace: Option<Pace>) -> Result<bool, Error> {
        let times = (0..count as u32).map(|at| pace.map_or(now_ns, |pace| pace.due_ns(sent + u64::from(at))));
        if let Some(unconfirmed) = &self.link.unconfirmed {
            unconfirmed.publish(times.clone());
        }
        let frames = self.batch.stamped(times);
        let written = write_all(&self.stream, frames, &self.context.stop)?;
        if written {
            self.link.stats.sent.add(count, self.context.clock.now_ns());
        }
        Ok(written)
    }

    /// Waits until everything is confirmed, as long as confirms keep coming.
    fn await_confirms(&self) {
        let Some(unconfirmed) = &self.link.unconfirmed else { return };
        let (mut unsettled, mut progress) = (unconfirmed.unsettled(), Instant::now());
        while unsettled > 0 && !self.context.stopped() && !self.link.deaf.load(Ordering::Relaxed) {
            thread::park_timeout(POLL);
            let now = unconfirmed.unsettled();
            if now < unsettled {
                (unsettled, progress) = (now, Instant::now());
            } else if progress.elapsed() > CONFIRM_TIMEOUT {
                let text =
                    format!("{unsettled} publishes stayed unconfirmed for {} s", CONFIRM_TIMEOUT.as_secs());
                let _ = self.context.events.send(Event::Notice(text));
                return;
            }
        }
    }

    fn say_goodbye(&self) -> Result<bool, Error> {
        let mut out = Vec::new();
        write_method(&mut out, 0, &goodbye());
        self.link.closing.store(true, Ordering::Relaxed);
        write_all(&self.stream, &out, &self.context.stop)
    }

    fn spawn_reader(&mut self) -> Result<JoinHandle<Result<(), Error>>, Error> {
        let reader = Reader {
            context: self.context.clone(),
            stream: self.stream.clone(),
            link: Arc::clone(&self.link),
            publisher: thread::current(),
            latencies: Vec::new(),
        };
        let inbox = std::mem::replace(&mut self.inbox, Inbox::new());
        Ok(thread::Builder::new().stack_size(READER_STACK_BYTES).spawn(move || reader.run(inbox))?)
    }
}

/// Reads what the broker says to a producer.
struct Reader {
    context: Context,
    stream: Stream,
    link: Arc<Link>,
    publisher: Thread,
    latencies: Vec<u64>,
}

impl Reader {
    fn run(mut self, mut inbox: Inbox) -> Result<(), Error> {
        let read = self.read(&mut inbox);
        self.link.deaf.store(true, Ordering::Relaxed);
        self.publisher.unpark();
        match read {
            // A connection that is being closed may end in any way.
            Err(Error::Disconnected | Error::Io(_)) if self.link.closing.load(Ordering::Relaxed) => Ok(()),
            read => read,
        }
    }

    fn read(&mut self, inbox: &mut Inbox) -> Result<(), Error> {
        let mut closing_since: Option<Instant> = None;
        loop {
            if self.link.closing.load(Ordering::Relaxed)
                && closing_since.get_or_insert_with(Instant::now).elapsed() > CLOSE_TIMEOUT
            {
                return Ok(());
            }
            if !inbox.fill(&self.stream)? {
                continue;
            }
            let now_ns = self.context.clock.now_ns();
            while let Some(frame) = inbox.next()? {
                if frame.kind == FRAME_METHOD && self.handle(Method::decode(frame.payload)?, now_ns)? {
                    return Ok(());
                }
            }
            self.link.stats.confirm_latency.record(&mut self.latencies);
            self.publisher.unpark();
        }
    }

    /// True after the last method there is.
    fn handle(&mut self, method: Method, now_ns: u64) -> Result<bool, Error> {
        let stats = &self.link.stats;
        match refuse_close(method)? {
            Method::BasicAck(ack) => {
                let count = self.settle(ack.delivery_tag, ack.multiple, Some(now_ns));
                self.link.stats.confirmed.add(count, now_ns);
            }
            Method::BasicNack(nack) => {
                let count = self.settle(nack.delivery_tag, nack.multiple, None);
                self.link.stats.nacked.add(count, now_ns);
            }
            Method::BasicReturn(_) => stats.returned.add(1, now_ns),
            Method::ConnectionBlocked(blocked) => {
                let text = format!("the broker blocks publishers: {}", blocked.reason);
                let _ = self.context.events.send(Event::Notice(text));
            }
            Method::ConnectionCloseOk(_) => return Ok(true),
            _ => {}
        }
        Ok(false)
    }

    fn settle(&mut self, tag: u64, multiple: bool, acked_ns: Option<u64>) -> u64 {
        let Some(unconfirmed) = &self.link.unconfirmed else { return 0 };
        let (mut count, latencies) = (0, &mut self.latencies);
        unconfirmed.settle(tag, multiple, |due_ns| {
            count += 1;
            latencies.extend(acked_ns.map(|now_ns| now_ns.saturating_sub(due_ns)));
        });
        count
    }
}

/// How long confirms may stay out after the last publish.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
const READER_STACK_BYTES: usize = 256 * 1024;
