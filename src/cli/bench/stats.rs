//! What the workers count. Each has counters of its own; the thread that reports adds them up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// How many there were, and when the last one was.
#[derive(Debug, Default)]
pub(super) struct Meter {
    count: AtomicU64,
    last_ns: AtomicU64,
}

impl Meter {
    /// Counts `count` at `now_ns`. One thread writes a meter.
    pub(super) fn add(&self, count: u64, now_ns: u64) {
        self.count.fetch_add(count, Relaxed);
        self.last_ns.store(now_ns, Relaxed);
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// When; 0 if never.
    pub(super) fn last_ns(&self) -> u64 {
        self.last_ns.load(Relaxed)
    }
}

/// Latencies in nanoseconds since they were last collected. Written in batches by one thread, collected by another.
pub(super) struct Latencies(Mutex<Histogram<u64>>);

impl Latencies {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(histogram()))
    }

    /// Adds a batch and empties it.
    pub(super) fn record(&self, batch: &mut Vec<u64>) {
        if batch.is_empty() {
            return;
        }
        let mut histogram = self.0.lock();
        for latency_ns in batch.drain(..) {
            histogram.saturating_record(latency_ns);
        }
    }

    /// Adds one.
    pub(super) fn record_one(&self, latency_ns: u64) {
        self.0.lock().saturating_record(latency_ns);
    }

    /// Moves what there is into `into`.
    pub(super) fn collect(&self, into: &mut Histogram<u64>) {
        let mut histogram = self.0.lock();
        if histogram.is_empty() {
            return;
        }
        into.add(&*histogram).expect("all histograms have the same bounds");
        histogram.reset();
    }
}

/// Of one producer.
pub(super) struct ProducerStats {
    /// Written to the socket.
    pub sent: Meter,
    /// Acknowledged by the broker.
    pub confirmed: Meter,
    /// Refused by the broker.
    pub nacked: Meter,
    /// Mandatory and routed nowhere.
    pub returned: Meter,
    /// From due time to confirm.
    pub confirm_latency: Latencies,
}

impl ProducerStats {
    /// All zero.
    pub(super) fn new() -> Self {
        Self {
            sent: Meter::default(),
            confirmed: Meter::default(),
            nacked: Meter::default(),
            returned: Meter::default(),
            confirm_latency: Latencies::new(),
        }
    }
}

/// Of one consumer.
pub(super) struct ConsumerStats {
    /// Deliveries with all of their body.
    pub received: Meter,
    /// From due time to delivery.
    pub latency: Latencies,
}

impl ConsumerStats {
    /// All zero.
    pub(super) fn new() -> Self {
        Self { received: Meter::default(), latency: Latencies::new() }
    }
}

/// An empty histogram of nanoseconds: up to an hour, to three digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are in order")
}
