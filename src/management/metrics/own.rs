//! Metrics that RabbitMQ does not have: what the log does, where memory is, and what becomes of messages.

use std::{fmt, slice::from_ref};

use super::{
    gathered::Gathered,
    queues::{QueueFigures, expired},
    sheet::{Labels, Metric, Row, Sheet, counter, gauge},
};
use crate::broker::Lost;
#[cfg(feature = "opentelemetry")]
use crate::core::observing::SpanCounts;
use crate::core::{dead_letter::Reason, memory::Kind, queue::QueueTotals};
use crate::management::Api;
use crate::store::{Distribution, Snapshot};

const STORE: &[Metric<Snapshot>] = &[
    counter("log_commits_total", "Batches that were written to the log and synced", |it| it.commits.into()),
    counter("log_records_total", "Records that were written to the log", |it| it.records.into()),
    counter("log_written_bytes_total", "Bytes that were written to the log", |it| it.written_bytes.into()),
    counter("log_body_bytes_total", "Those of them that are bodies of messages, each once", |it| {
        it.payload_bytes.into()
    }),
    counter("log_moved_bytes_total", "Bytes of records that were written again to free segments", |it| {
        it.moved_bytes.into()
    }),
    gauge("log_segments", "Segments of the log", |it| it.segments.into()),
    counter("log_segments_deleted_total", "Segments that were deleted", |it| it.segments_deleted.into()),
    counter("log_reclaimed_bytes_total", "Bytes of the segments that were deleted", |it| {
        it.reclaimed_bytes.into()
    }),
    counter("checkpoints_total", "Checkpoints", |it| it.checkpoints.into()),
    counter("pages_read_total", "Pages of queues that were read back from disk", |it| it.pages.into()),
    counter("quarantined_records_total", "Damaged records that were set aside", |it| it.quarantined.into()),
    gauge("recovery_seconds", "Time that reading the data folder took at the start", |it| {
        it.recovery.as_secs_f64().into()
    }),
];

/// Upper bounds of the times of a sync, in microseconds.
const SYNC_BOUNDS_US: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000,
];

/// Upper bounds of the records of a batch.
const BATCH_BOUNDS: [u64; 9] = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];

const MESSAGES: &[Metric<Gathered>] = &[
    gauge("messages_waiting", "Messages that wait in their queues before they are delivered again", |it| {
        it.all_queues.waiting.into()
    }),
    counter("messages_retried_total", "Messages that came back and wait before the next delivery", |it| {
        together(it).rare.retried.into()
    }),
    gauge("messages_delayed", "Messages that were published with a delay and are not due", |it| {
        it.delayed.into()
    }),
    counter("messages_delayed_total", "Messages that were published with a delay", |it| {
        it.totals.delayed.into()
    }),
    counter("messages_duplicate_total", "Messages that queues had seen and did not take", |it| {
        together(it).rare.duplicates.into()
    }),
    counter("messages_expired_total", "Messages whose time to live was over", |it| expired(&together(it))),
    counter("messages_refused_total", "Messages that were refused because a queue was full", |it| {
        together(it).rare.refused.into()
    }),
    counter("messages_redriven_total", "Messages that an operator moved elsewhere", |it| {
        together(it).rare.redriven.into()
    }),
    counter(
        "slowed_seconds_total",
        "Time for which clients were slowed that published faster than they may",
        |it| (it.all_connections.did.slowed_ms as f64 / 1_000.0).into(),
    ),
    gauge("connections_blocked", "Connections that are held up because memory or disk are short", |it| {
        it.all_connections.blocked.into()
    }),
    gauge("outbox_bytes", "Bytes that wait to be sent to clients", |it| {
        it.all_connections.pending_bytes.into()
    }),
];

const REASONS: &[Metric<u64>] = &[
    counter(
        "messages_dead_lettered_total",
        "Messages that went to a dead-letter exchange, by why they died",
        |number| (*number).into(),
    ),
    counter("messages_dropped_total", "Messages that were lost to everybody, by why", |number| {
        (*number).into()
    }),
    counter("logins_refused_total", "Logins that were refused, by why", |number| (*number).into()),
];

const LEVELS: &[Metric<u64>] = &[
    gauge(
        "memory_used_bytes",
        "Bytes that are counted against the limit of memory, by what they are for",
        |number| (*number).into(),
    ),
    gauge("memory_share_bytes", "The share of the limit that may be used for each", |number| {
        (*number).into()
    }),
    gauge(
        "alarm",
        "Whether publishers are blocked: for memory, for the disk, or those of virtual hosts",
        |number| (*number).into(),
    ),
];

/// What all queues have done, whatever their type.
pub fn together(gathered: &Gathered) -> QueueTotals {
    let mut all = QueueTotals::default();
    for totals in gathered.totals.queues {
        all += totals;
    }
    all
}

#[cfg(feature = "opentelemetry")]
const SPANS: &[Metric<u64>] = &[counter(
    "spans_total",
    "Spans of messages: sent to the collector, dropped because too many waited, or not taken by the collector",
    |it| (*it).into(),
)];

/// A word for what memory is used for, as a label.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Messages => "messages",
        Kind::Assemblies => "assemblies",
        Kind::Windows => "windows",
        Kind::Unacked => "unacked",
        Kind::Routes => "routes",
        Kind::Outboxes => "outboxes",
        Kind::Inbound => "inbound",
        Kind::Topology => "topology",
        Kind::Histories => "histories",
        Kind::Transactions => "transactions",
        Kind::Deduplication => "deduplication",
        Kind::Observing => "observing",
    }
}

fn rows<'a>(label: &'static str, of: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<Row<u64>> {
    let row = |(word, of)| Row { labels: Labels::known([(label, word)]), of };
    of.into_iter().map(row).collect()
}

/// Messages that were lost to everybody: those of queues without a dead-letter exchange, and those on their way between queues.
fn dropped(gathered: &Gathered) -> Vec<Row<u64>> {
    let of_queues = Reason::ALL.into_iter().map(Reason::name).zip(together(gathered).rare.dropped);
    rows("reason", of_queues.chain(Lost::ALL.into_iter().map(Lost::name).zip(gathered.totals.lost)))
}

/// Writes them for the broker as a whole.
pub fn write(sheet: &mut Sheet<'_>, api: &Api, gathered: &Gathered) -> fmt::Result {
    sheet.begin("leveret_");
    let store = &api.node.store;
    sheet.table(STORE, &[Row::only(store.snapshot())])?;
    let (sum, classes) = classes(&SYNC_BOUNDS_US, &store.syncs(&SYNC_BOUNDS_US), 1_000_000.0);
    sheet.histogram("log_sync_seconds", "Time that a sync of the log took", sum, &classes)?;
    let (sum, classes) = self::classes(&BATCH_BOUNDS, &store.batches(&BATCH_BOUNDS), 1.0);
    sheet.histogram("log_batch_records", "Records of a batch of the log", sum, &classes)?;
    for metric in MESSAGES {
        sheet.one(metric, &Labels::default(), metric.value(gathered))?;
    }
    let [dead, lost, refused] = REASONS else { return Ok(()) };
    let letters = Reason::ALL.into_iter().map(Reason::name).zip(together(gathered).rare.dead_lettered);
    sheet.table(from_ref(dead), &rows("reason", letters))?;
    sheet.table(from_ref(lost), &dropped(gathered))?;
    sheet.table(from_ref(refused), &rows("reason", api.broker.attempts.refused()))?;
    #[cfg(feature = "opentelemetry")]
    if let Some(counts) = api.broker.vhosts.span_counts() {
        let SpanCounts { sent, dropped, failed } = counts;
        sheet.table(SPANS, &rows("outcome", [("sent", sent), ("dropped", dropped), ("failed", failed)]))?;
    }
    write_levels(sheet, api, gathered)
}

fn write_levels(sheet: &mut Sheet<'_>, api: &Api, gathered: &Gathered) -> fmt::Result {
    let (gauge, broker) = (api.broker.gauge, &api.broker);
    let kinds = || Kind::ALL.into_iter().chain([Kind::Messages]);
    let [used, share, alarm] = LEVELS else { return Ok(()) };
    let used_bytes = kinds().map(|kind| (word(kind), gauge.used_bytes_of(kind) as u64));
    sheet.table(from_ref(used), &rows("kind", used_bytes))?;
    let share_bytes = kinds().map(|kind| (word(kind), gauge.share_bytes(kind) as u64));
    sheet.table(from_ref(share), &rows("kind", share_bytes))?;
    let alarms = [
        ("memory", broker.alarm.has_memory().into()),
        ("disk", (*api.node.disk_low.borrow()).into()),
        ("vhost", gathered.vhosts_exceeded),
    ];
    sheet.table(from_ref(alarm), &rows("resource", alarms))
}

/// Writes those of each queue.
pub fn write_queues(sheet: &mut Sheet<'_>, queues: &[Row<QueueFigures>]) -> fmt::Result {
    sheet.begin("leveret_").table(super::queues::OWN, queues)
}

/// The sum of all values, and each class with its bound, in the unit of which there are so many in `one`.
fn classes<const N: usize>(bounds: &[u64; N], of: &Distribution<N>, one: f64) -> (f64, Vec<(f64, u64)>) {
    let bounded = bounds.iter().map(|bound| *bound as f64 / one).zip(of.counts);
    (of.sum as f64 / one, bounded.chain([(f64::INFINITY, of.above)]).collect())
}
