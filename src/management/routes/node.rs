//! The node: the only one of its cluster.

use axum::{Json, extract::State, response::IntoResponse};
use serde_json::{Value, json};

use super::overview;
use crate::core::memory::Kind;
use crate::management::{
    Api,
    extract::{Path, Query},
    failure::{Answered, Failure},
    listing::Listing,
    openapi::Routes,
    visitor::Visitor,
};
use crate::process;

pub(super) fn routes() -> Routes {
    Routes::about("nodes", "The node, and how it is configured")
        .get("/api/config/effective", configuration, "See how the broker is configured, without secrets")
        .for_administrators()
        .list("/api/nodes", all, "List nodes: there is one")
        .for_monitors()
        .get("/api/nodes/{node}", one, "Look at the node")
        .for_monitors()
        .get("/api/nodes/{node}/memory", memory, "See what takes memory")
        .for_monitors()
}

/// The node as RabbitMQ shows it.
fn shown(api: &Api) -> Value {
    let (broker, node) = (&api.broker, &api.node);
    let disk = process::disk(&node.data_dir);
    let store = node.store.snapshot();
    let config = &broker.config;
    json!({
        "applications": [{ "name": "leveret", "description": "Leveret", "version": env!("CARGO_PKG_VERSION") }],
        "auth_mechanisms": [
            { "name": "PLAIN", "description": "SASL PLAIN", "enabled": true },
            { "name": "AMQPLAIN", "description": "AMQPLAIN", "enabled": true },
        ],
        "cluster_links": [],
        "config_files": [],
        "contexts": overview::contexts(api),
        "db_dir": node.data_dir.display().to_string(),
        "disk_free": disk.free_bytes,
        "disk_free_alarm": *node.disk_low.borrow(),
        "disk_free_limit": config.store.disk_free_limit,
        "enabled_plugins": ["rabbitmq_management", "rabbitmq_management_agent", "rabbitmq_prometheus"],
        "exchange_types": overview::exchange_types(),
        "fd_total": node.descriptors_max,
        "fd_used": process::descriptors(),
        "io_sync_count": store.commits,
        "io_sync_avg_time": store.sync.0.as_secs_f64() * 1_000.0,
        "io_write_bytes": store.written_bytes,
        "log_files": ["<stdout>"],
        "mem_alarm": broker.alarm.has_memory(),
        "mem_calculation_strategy": "rss",
        "mem_limit": config.memory_limit_bytes,
        "mem_used": process::resident_bytes(),
        "mem_messages": broker.gauge.used_bytes(),
        "name": node.name,
        "net_ticktime": 60,
        "os_pid": std::process::id().to_string(),
        "partitions": [],
        "proc_total": node.sockets_max,
        "proc_used": broker.connections.count(),
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "rates_mode": "basic",
        "run_queue": 0,
        "running": true,
        "being_drained": false,
        "sockets_total": node.sockets_max,
        "sockets_used": broker.connections.count(),
        "type": "disc",
        "leveret": {
            "processor_seconds": process::processor_seconds(),
            "sync_p99_ms": store.sync.1.as_secs_f64() * 1_000.0,
        },
        "uptime": broker.clock.now().saturating_sub(node.started_at),
    })
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    visitor.require_monitor()?;
    listing.answer(vec![shown(&api)])
}

/// 404 for a node of another name.
fn check(api: &Api, name: &str) -> Answered<()> {
    if name == api.node.name { Ok(()) } else { Err(Failure::NotFound) }
}

async fn one(
    visitor: Visitor,
    State(api): State<Api>,
    Path(node): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_monitor()?;
    check(&api, &node)?;
    Ok(listing.answer_one(&shown(&api)))
}

/// What takes memory, by the kinds that are counted; the rest is the program's own.
async fn memory(visitor: Visitor, State(api): State<Api>, Path(node): Path<String>) -> Answered {
    visitor.require_monitor()?;
    check(&api, &node)?;
    let gauge = api.broker.gauge;
    let mut memory = serde_json::Map::new();
    let mut counted = 0;
    for kind in Kind::ALL {
        let bytes = gauge.used_bytes_of(kind);
        counted += bytes;
        memory.insert(kind.name().into(), json!(bytes));
    }
    let (resident, messages) = (process::resident_bytes(), gauge.used_bytes().saturating_sub(counted) as u64);
    memory.insert("messages".into(), json!(messages));
    memory.insert("other".into(), json!(resident.saturating_sub(counted as u64 + messages)));
    memory.insert("strategy".into(), json!("rss"));
    memory.insert("total".into(), json!({ "rss": resident, "allocated": resident, "erlang": 0 }));
    Ok(Json(json!({ "memory": memory })).into_response())
}

/// What was configured and what holds, each setting with where it comes from; no secrets. The same list as that of `leveret config show`.
async fn configuration(visitor: Visitor, State(api): State<Api>) -> Answered {
    visitor.require_administrator()?;
    Ok(Json(api.broker.effective.shown()).into_response())
}
