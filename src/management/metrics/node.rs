//! Metrics of the process, its machine and its store, by RabbitMQ's names.

use std::fmt;

use super::{
    gathered::Gathered,
    sheet::{Labels, Metric, Row, Sheet, counter, gauge},
};
use crate::broker::Spoken;
use crate::connection::COMPATIBLE_VERSION;
use crate::core::clock::Millis;
use crate::management::Api;
use crate::process;
use crate::store::Snapshot;

/// Figures of the process.
pub struct OfNode {
    descriptors: u64,
    connections: u64,
    resident_bytes: u64,
    disk_free_bytes: u64,
    processor_seconds: f64,
    descriptors_max: u64,
    sockets_max: u64,
    memory_limit_bytes: u64,
    disk_limit_bytes: u64,
    uptime_ms: Millis,
    started_at: Millis,
    memory_alarm: bool,
    disk_alarm: bool,
    churn: [u64; 7],
    store: Snapshot,
    synced_us: u64,
}

impl OfNode {
    /// Asks for them.
    pub fn of(api: &Api, gathered: &Gathered) -> Row<Self> {
        let (broker, node) = (&api.broker, &api.node);
        let churn = &broker.connections.churn;
        let ((opened, closed), (channels_opened, channels_closed)) = (churn.connections(), churn.channels());
        let queues = gathered.totals.churn;
        Row::only(Self {
            descriptors: process::descriptors(),
            connections: gathered.there[0],
            resident_bytes: process::resident_bytes(),
            disk_free_bytes: process::disk(&node.data_dir).free_bytes,
            processor_seconds: process::processor_seconds(),
            descriptors_max: node.descriptors_max,
            sockets_max: node.sockets_max,
            memory_limit_bytes: broker.config.memory_limit_bytes as u64,
            disk_limit_bytes: broker.config.store.disk_free_limit,
            uptime_ms: broker.clock.now().saturating_sub(node.started_at),
            started_at: node.started_at,
            memory_alarm: broker.alarm.has_memory(),
            disk_alarm: *node.disk_low.borrow(),
            churn: [
                opened,
                closed,
                channels_opened,
                channels_closed,
                queues.declared,
                queues.created,
                queues.deleted,
            ],
            store: node.store.snapshot(),
            synced_us: node.store.syncs(&[]).sum,
        })
    }
}

/// RabbitMQ's family `connection_churn_metrics`.
pub const CHURN: &[Metric<OfNode>] = &[
    counter("connections_opened_total", "Connections that were opened", |it| it.churn[0].into()),
    counter("connections_closed_total", "Connections that have ended", |it| it.churn[1].into()),
    counter("channels_opened_total", "Channels that were opened", |it| it.churn[2].into()),
    counter("channels_closed_total", "Channels that have ended", |it| it.churn[3].into()),
    counter("queues_declared_total", "Declarations of queues, of those too that were there", |it| {
        it.churn[4].into()
    }),
    counter("queues_created_total", "Queues that were made", |it| it.churn[5].into()),
    counter("queues_deleted_total", "Queues that were deleted", |it| it.churn[6].into()),
];

/// `node_coarse_metrics`.
pub const COARSE: &[Metric<OfNode>] = &[
    gauge("process_open_fds", "File descriptors that are open", |it| it.descriptors.into()),
    gauge("process_open_tcp_sockets", "Sockets of clients", |it| it.connections.into()),
    gauge("process_resident_memory_bytes", "Memory that the process has", |it| it.resident_bytes.into()),
    gauge("disk_space_available_bytes", "Room on the disk of the data folder", |it| {
        it.disk_free_bytes.into()
    }),
];

/// `node_metrics`.
pub const NODE: &[Metric<OfNode>] = &[
    gauge("process_max_fds", "File descriptors that may be open", |it| it.descriptors_max.into()),
    gauge("process_max_tcp_sockets", "Sockets of clients that there may be", |it| it.sockets_max.into()),
    gauge("resident_memory_limit_bytes", "Memory above which publishers are blocked", |it| {
        it.memory_limit_bytes.into()
    }),
    gauge("disk_space_available_limit_bytes", "Room on the disk below which publishers are blocked", |it| {
        it.disk_limit_bytes.into()
    }),
    gauge("erlang_uptime_seconds", "Time since the start", |it| (it.uptime_ms as f64 / 1_000.0).into()),
];

/// `node_persister_metrics`.
pub const PERSISTER: &[Metric<OfNode>] = &[
    counter("io_read_ops_total", "Pages of queues that were read back from disk", |it| it.store.pages.into()),
    counter("io_write_ops_total", "Batches that were written to the log", |it| it.store.commits.into()),
    counter("io_write_bytes_total", "Bytes that were written to the log", |it| it.store.written_bytes.into()),
    counter("io_sync_ops_total", "Times that the log was synced", |it| it.store.commits.into()),
    counter("io_sync_time_seconds_total", "Time that syncing the log took", |it| {
        (it.synced_us as f64 / 1_000_000.0).into()
    }),
];

/// What RabbitMQ shows beside its own prefix, or without a family.
const PROCESS: &[Metric<OfNode>] = &[
    gauge("process_start_time_seconds", "When the broker was started, since the Unix epoch", |it| {
        (it.started_at as f64 / 1_000.0).into()
    }),
    counter("process_cpu_seconds_total", "Processor time that the broker has taken", |it| {
        it.processor_seconds.into()
    }),
];

const ALARMS: &[Metric<OfNode>] = &[
    gauge("alarms_memory_used_watermark", "Whether publishers are blocked for memory", |it| {
        it.memory_alarm.into()
    }),
    gauge("alarms_free_disk_space_watermark", "Whether publishers are blocked for the disk", |it| {
        it.disk_alarm.into()
    }),
    gauge(
        "alarms_file_descriptor_limit",
        "Whether file descriptors are used up; that blocks nobody here",
        |it| (it.descriptors >= it.descriptors_max).into(),
    ),
];

const THERE: &[Metric<[u64; 4]>] = &[
    gauge("connections", "Connections that are open", |it| it[0].into()),
    gauge("channels", "Channels that are open", |it| it[1].into()),
    gauge("queues", "Queues that there are", |it| it[2].into()),
    gauge("consumers", "Consumers that there are", |it| it[3].into()),
];

/// `auth_attempt_metrics`.
pub const LOGINS: &[Metric<(u64, u64)>] = &[
    counter("auth_attempts_total", "Logins, and what was no login", |(succeeded, failed)| {
        (succeeded + failed).into()
    }),
    counter("auth_attempts_succeeded_total", "Logins", |(succeeded, _)| (*succeeded).into()),
    counter("auth_attempts_failed_total", "Logins that were refused", |(_, failed)| (*failed).into()),
];

/// Logins, by what was spoken.
pub fn logins(api: &Api) -> Vec<Row<(u64, u64)>> {
    let row = |spoken: Spoken| Row {
        labels: Labels::known([("protocol", spoken.name())]),
        of: api.broker.attempts.of(spoken),
    };
    Spoken::ALL.map(row).into()
}

/// Writes alarms, and how many there are of each thing.
pub fn write_rest(sheet: &mut Sheet<'_>, node: &[Row<OfNode>], gathered: &Gathered) -> fmt::Result {
    sheet.begin("").table(PROCESS, node)?;
    sheet.begin("rabbitmq_").table(ALARMS, node)?;
    sheet.table(THERE, &[Row::only(gathered.there)])
}

/// Writes who this is. RabbitMQ's dashboards join all that they show with it.
pub fn write_identity(sheet: &mut Sheet<'_>, api: &Api, endpoint: &str) -> fmt::Result {
    sheet.begin("rabbitmq_");
    let version = env!("CARGO_PKG_VERSION");
    let build = [
        ("rabbitmq_version", COMPATIBLE_VERSION),
        ("prometheus_plugin_version", version),
        ("prometheus_client_version", version),
        ("erlang_version", "none"),
        ("product_version", version),
        ("product_name", "Leveret"),
    ];
    sheet.info(
        "build_info",
        "Versions of RabbitMQ, as which this speaks, and of Leveret",
        &Labels::known(build),
    )?;
    let identity = Labels::known([
        ("rabbitmq_node", &api.node.name),
        ("rabbitmq_cluster", &api.cluster_name()),
        ("rabbitmq_endpoint", endpoint),
    ]);
    sheet.info("identity_info", "The broker and its cluster of one", &identity)
}
