//! What the store has done since the broker started: counters that cost nothing to keep, for logs and
//! exporters. Each counter is exact by itself; a snapshot is not of one moment. Nothing in the store depends on them.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::limits::{BATCH_RECORDED_MAX, SYNC_RECORDED_US_MAX};

/// Counters of what the store does.
pub struct Metrics {
    commits: AtomicU64,
    records: AtomicU64,
    written_bytes: AtomicU64,
    payload_bytes: AtomicU64,
    moved_bytes: AtomicU64,
    segments_deleted: AtomicU64,
    reclaimed_bytes: AtomicU64,
    checkpoints: AtomicU64,
    pages: AtomicU64,
    quarantined: AtomicU64,
    recovery_us: AtomicU64,
    segments: AtomicU64,
    syncs_us: AtomicU64,
    sync_us: Mutex<Histogram<u64>>,
    batch_records: Mutex<Histogram<u64>>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snapshot {
    /// Batches that were written and synced.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes written to the log: records, footers, records written again.
    pub written_bytes: u64,
    /// Of these, bytes of messages' bodies, each once.
    pub payload_bytes: u64,
    /// Bytes of records that reclaiming wrote again.
    pub moved_bytes: u64,
    /// Segments that were deleted.
    pub segments_deleted: u64,
    /// Bytes that they took.
    pub reclaimed_bytes: u64,
    /// Segments that are there.
    pub segments: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Pages of queues that were read back.
    pub pages: u64,
    /// Damaged records that were set aside.
    pub quarantined: u64,
    /// How long recovery took.
    pub recovery: Duration,
    /// Median and 99th percentile of a sync.
    pub sync: (Duration, Duration),
    /// Median and 99th percentile of the records of a batch.
    pub batch: (u64, u64),
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram = |max| Histogram::new_with_max(max, 3).expect("three significant digits are allowed");
        Self {
            commits: AtomicU64::default(),
            records: AtomicU64::default(),
            written_bytes: AtomicU64::default(),
            payload_bytes: AtomicU64::default(),
            moved_bytes: AtomicU64::default(),
            segments_deleted: AtomicU64::default(),
            reclaimed_bytes: AtomicU64::default(),
            checkpoints: AtomicU64::default(),
            pages: AtomicU64::default(),
            quarantined: AtomicU64::default(),
            recovery_us: AtomicU64::default(),
            segments: AtomicU64::default(),
            syncs_us: AtomicU64::default(),
            sync_us: Mutex::new(histogram(SYNC_RECORDED_US_MAX)),
            batch_records: Mutex::new(histogram(BATCH_RECORDED_MAX)),
        }
    }
}

impl Metrics {
    pub(super) fn written(&self, bytes: usize) {
        self.written_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn payload(&self, bytes: u64) {
        self.payload_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn moved(&self, bytes: u64) {
        self.moved_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn synced(&self, took: Duration) {
        self.commits.fetch_add(1, Relaxed);
        self.syncs_us.fetch_add(took.as_micros() as u64, Relaxed);
        self.sync_us.lock().saturating_record(took.as_micros() as u64);
    }

    pub(super) fn committed(&self, records: usize) {
        self.records.fetch_add(records as u64, Relaxed);
        self.batch_records.lock().saturating_record(records as u64);
    }

    pub(super) fn deleted(&self, bytes: u64) {
        self.segments_deleted.fetch_add(1, Relaxed);
        self.reclaimed_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn has_segments(&self, segments: usize) {
        self.segments.store(segments as u64, Relaxed);
    }

    pub(super) fn checkpointed(&self) {
        self.checkpoints.fetch_add(1, Relaxed);
    }

    pub(super) fn paged(&self) {
        self.pages.fetch_add(1, Relaxed);
    }

    pub(super) fn quarantined(&self, records: u64) {
        self.quarantined.fetch_add(records, Relaxed);
    }

    pub(super) fn recovered(&self, took: Duration) {
        self.recovery_us.store(took.as_micros() as u64, Relaxed);
    }

    /// How long syncs took, in classes with these upper bounds, in microseconds.
    pub fn syncs<const N: usize>(&self, bounds: &[u64; N]) -> Distribution<N> {
        let (counts, above) = classes(&self.sync_us.lock(), bounds);
        Distribution { counts, above, sum: self.syncs_us.load(Relaxed) }
    }

    /// How many records batches had, in classes with these upper bounds.
    pub fn batches<const N: usize>(&self, bounds: &[u64; N]) -> Distribution<N> {
        let (counts, above) = classes(&self.batch_records.lock(), bounds);
        Distribution { counts, above, sum: self.records.load(Relaxed) }
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let ends = |histogram: &Mutex<Histogram<u64>>| {
            let histogram = histogram.lock();
            (histogram.value_at_quantile(0.5), histogram.value_at_quantile(0.99))
        };
        let sync = ends(&self.sync_us);
        Snapshot {
            commits: self.commits.load(Relaxed),
            records: self.records.load(Relaxed),
            written_bytes: self.written_bytes.load(Relaxed),
            payload_bytes: self.payload_bytes.load(Relaxed),
            moved_bytes: self.moved_bytes.load(Relaxed),
            segments_deleted: self.segments_deleted.load(Relaxed),
            reclaimed_bytes: self.reclaimed_bytes.load(Relaxed),
            segments: self.segments.load(Relaxed),
            checkpoints: self.checkpoints.load(Relaxed),
            pages: self.pages.load(Relaxed),
            quarantined: self.quarantined.load(Relaxed),
            recovery: Duration::from_micros(self.recovery_us.load(Relaxed)),
            sync: (Duration::from_micros(sync.0), Duration::from_micros(sync.1)),
            batch: ends(&self.batch_records),
        }
    }
}

/// How many values were in each of some classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution<const N: usize> {
    /// Values up to the bound of their class, and above that of the class before.
    pub counts: [u64; N],
    /// Values above all bounds.
    pub above: u64,
    /// The sum of all values.
    pub sum: u64,
}

/// Values in each class, and above all. Each value is known to three significant digits; it counts as the least that it may be.
fn classes<const N: usize>(histogram: &Histogram<u64>, bounds: &[u64; N]) -> ([u64; N], u64) {
    let (mut counts, mut above) = ([0; N], 0);
    for recorded in histogram.iter_recorded() {
        let value = histogram.lowest_equivalent(recorded.value_iterated_to());
        let class = bounds.partition_point(|bound| *bound < value);
        *counts.get_mut(class).unwrap_or(&mut above) += recorded.count_at_value();
    }
    (counts, above)
}

impl Snapshot {
    /// Bytes written for each byte of a message's body that was written; `None` if there was none.
    pub fn write_amplification(&self) -> Option<f64> {
        (self.payload_bytes > 0).then(|| self.written_bytes as f64 / self.payload_bytes as f64)
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "commits {}, records {}, a batch {} (p99 {}), a sync {:?} (p99 {:?}), written {} MB",
            self.commits,
            self.records,
            self.batch.0,
            self.batch.1,
            self.sync.0,
            self.sync.1,
            self.written_bytes / 1_000_000,
        )?;
        if let Some(amplification) = self.write_amplification() {
            write!(f, " ({amplification:.2} for a body byte)")?;
        }
        write!(
            f,
            ", moved {} MB, segments deleted {} ({} MB), checkpoints {}, pages read {}, quarantined {}",
            self.moved_bytes / 1_000_000,
            self.segments_deleted,
            self.reclaimed_bytes / 1_000_000,
            self.checkpoints,
            self.pages,
            self.quarantined,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_is_in_the_class_whose_bounds_its_time_is_within_and_the_sum_is_exact() {
        let metrics = Metrics::default();
        assert_eq!(metrics.syncs(&[100]), Distribution { counts: [0], above: 0, sum: 0 });
        for micros in [0, 99, 100, 101, 1_000, 1_001, 50_000, 50_001, 60_000] {
            metrics.synced(Duration::from_micros(micros));
        }
        let wanted = Distribution { counts: [3, 2, 3], above: 1, sum: 162_302 };
        assert_eq!(metrics.syncs(&[100, 1_000, 50_000]), wanted, "50,001 is not told from 50,000");
        metrics.synced(Duration::from_hours(1));
        assert_eq!(metrics.syncs(&[59_000_000]).above, 1, "what takes very long counts as the longest");
        metrics.committed(3);
        metrics.committed(5);
        assert_eq!(metrics.batches(&[1, 4]), Distribution { counts: [0, 1], above: 1, sum: 8 });
    }
}
