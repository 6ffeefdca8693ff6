//! What takes memory, by the names of RabbitMQ's that have a meaning here.

use std::fmt;

use super::sheet::{Metric, Row, Sheet, gauge};
use crate::core::memory::Kind;
use crate::management::Api;
use crate::process;

/// Bytes of some kinds of memory.
#[derive(Debug, Default)]
struct OfMemory {
    reading: u64,
    writing: u64,
    channels: u64,
    declared: u64,
    messages: u64,
    other: u64,
}

const MEMORY: &[Metric<OfMemory>] = &[
    gauge("memory_client_connection_reader_bytes", "What has come from clients and is not handled", |it| {
        it.reading.into()
    }),
    gauge("memory_client_connection_writer_bytes", "What waits to be sent to clients", |it| {
        it.writing.into()
    }),
    gauge("memory_client_connection_channel_bytes", "What channels remember, beside messages", |it| {
        it.channels.into()
    }),
    gauge(
        "memory_modern_metadata_store_bytes",
        "Exchanges, queues, bindings, consumers and channels",
        |it| it.declared.into(),
    ),
    gauge("memory_binary_heap_bytes", "Messages, and what queues need to hold them", |it| it.messages.into()),
    gauge("memory_other_system_bytes", "The rest of what the process has", |it| it.other.into()),
];

/// Writes them.
pub fn write(sheet: &mut Sheet<'_>, api: &Api) -> fmt::Result {
    let gauge = api.broker.gauge;
    let bytes = |kinds: &[Kind]| kinds.iter().map(|kind| gauge.used_bytes_of(*kind) as u64).sum::<u64>();
    let mut of = OfMemory {
        reading: bytes(&[Kind::Inbound, Kind::Assemblies]),
        writing: bytes(&[Kind::Outboxes]),
        channels: bytes(&[Kind::Windows, Kind::Transactions, Kind::Routes]),
        declared: bytes(&[Kind::Topology]),
        messages: bytes(&[Kind::Messages, Kind::Histories, Kind::Deduplication, Kind::Observing]),
        other: 0,
    };
    let counted = of.reading + of.writing + of.channels + of.declared + of.messages;
    of.other = process::resident_bytes().saturating_sub(counted);
    sheet.begin("rabbitmq_").table(MEMORY, &[Row::only(of)])
}
