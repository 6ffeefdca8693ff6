//! OpenTelemetry: sends the spans of sampled messages to a collector (OTLP over HTTP, in protobuf).
//!
//! The core tells spans under its locks ([`SpanSink`]); they wait in a queue with a bound until one task sends them, many at a time. A
//! collector that is slow or gone costs spans, which are counted, and holds nobody up. What a span is in OpenTelemetry's words is
//! `otlp`'s, HTTP is `collector`'s.

mod collector;
mod otlp;

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

use crate::core::observing::{Span, SpanCounts, SpanId, SpanSink};
use crate::limits::{SPAN_PAUSES, SPANS_AT_ONCE_MAX, SPANS_INTERVAL, SPANS_LAST_TIMEOUT, SPANS_WAITING_MAX};
use crate::outside::BadAuthority;
use collector::{Collector, Refused};
use otlp::Resource;

/// Takes spans for [`Exporter`].
pub struct Queue {
    sender: mpsc::Sender<Span>,
    sent: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// Sends spans to a collector.
pub struct Exporter {
    queue: Arc<Queue>,
    receiver: mpsc::Receiver<Span>,
    collector: Arc<Collector>,
    resource: Resource,
    /// The last spans were not taken.
    is_failing: bool,
}

/// A task that sends spans.
pub struct Sending {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Sending {
    /// Begins it.
    pub fn begin(exporter: Exporter, on: &Handle) -> Self {
        let stop = CancellationToken::new();
        Self { task: on.spawn(exporter.run(stop.clone())), stop }
    }

    /// Has it send what is there, once, and waits for that: [`SPANS_LAST_TIMEOUT`] at most.
    pub async fn finish(self) {
        self.stop.cancel();
        if time::timeout(SPANS_LAST_TIMEOUT, self.task).await.is_err() {
            tracing::warn!("the last spans were not sent in time");
        }
    }
}

impl SpanSink for Queue {
    fn draw(&self) -> SpanId {
        rand::random::<u64>().max(1).to_be_bytes()
    }

    fn take(&self, span: Span) {
        if self.sender.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> SpanCounts {
        SpanCounts {
            sent: self.sent.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

impl Exporter {
    /// Sends to the collector at `url` what a broker of this name tells. An error is that nobody's certificate can be checked.
    pub fn new(url: &str, node: &str) -> Result<Self, BadAuthority> {
        let (sender, receiver) = mpsc::channel(SPANS_WAITING_MAX);
        let [sent, dropped, failed] = [const { AtomicU64::new(0) }; 3];
        Ok(Self {
            queue: Arc::new(Queue { sender, sent, dropped, failed }),
            receiver,
            collector: Arc::new(Collector::new(url)?),
            resource: Resource::of(node),
            is_failing: false,
        })
    }

    /// What takes the spans.
    pub fn sink(&self) -> Arc<dyn SpanSink> {
        self.queue.clone()
    }

    /// Sends spans as they come, and when it is to stop those that are there, once.
    async fn run(mut self, stop: CancellationToken) {
        let mut spans = Vec::new();
        while !stop.is_cancelled() {
            tokio::select! {
                _ = self.receiver.recv_many(&mut spans, SPANS_AT_ONCE_MAX) => {}
                () = stop.cancelled() => break,
            }
            let interval = time::sleep(SPANS_INTERVAL);
            tokio::pin!(interval);
            while spans.len() < SPANS_AT_ONCE_MAX {
                let room = SPANS_AT_ONCE_MAX - spans.len();
                tokio::select! {
                    _ = self.receiver.recv_many(&mut spans, room) => {}
                    () = &mut interval => break,
                    () = stop.cancelled() => break,
                }
            }
            self.send(mem::take(&mut spans), &stop).await;
        }
        while let Ok(span) = self.receiver.try_recv() {
            spans.push(span);
            if spans.len() == SPANS_AT_ONCE_MAX {
                self.send(mem::take(&mut spans), &stop).await;
            }
        }
        self.send(spans, &stop).await;
    }

    /// Sends spans until the collector takes them, or has refused them for good or too often.
    async fn send(&mut self, spans: Vec<Span>, stop: &CancellationToken) {
        if spans.is_empty() {
            return;
        }
        let count = spans.len() as u64;
        let request: Arc<[u8]> = otlp::request(&self.resource, &spans).into();
        let mut pauses = SPAN_PAUSES.into_iter().map(Duration::from_secs);
        loop {
            let refused = match self.put(request.clone()).await {
                Ok(rejected) => return self.took(count, rejected),
                Err(refused) => refused,
            };
            self.note_failure(&refused);
            let pause = pauses.next().filter(|_| refused.may_be_asked_again() && !stop.is_cancelled());
            let Some(pause) = pause else { break };
            tokio::select! {
                () = time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        self.queue.failed.fetch_add(count, Ordering::Relaxed);
    }

    async fn put(&self, request: Arc<[u8]>) -> Result<u64, Refused> {
        let collector = self.collector.clone();
        let put = tokio::task::spawn_blocking(move || collector.put(&request));
        put.await.unwrap_or_else(|error| Err(Refused::ForGood(error.to_string())))
    }

    fn took(&mut self, count: u64, rejected: u64) {
        let rejected = rejected.min(count);
        self.queue.sent.fetch_add(count - rejected, Ordering::Relaxed);
        self.queue.failed.fetch_add(rejected, Ordering::Relaxed);
        if mem::take(&mut self.is_failing) {
            tracing::info!("the collector takes spans again");
        }
    }

    /// Tells the first of failures in a row.
    fn note_failure(&mut self, refused: &Refused) {
        if !mem::replace(&mut self.is_failing, true) {
            tracing::warn!(error = %refused, "the collector takes no spans; what it does not take in time is lost");
        }
    }
}
