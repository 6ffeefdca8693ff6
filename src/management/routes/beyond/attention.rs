//! What needs attention first: alarms with what they block, and queues with what is wrong, in words.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::broker::Vhost;
use crate::limits::{ATTENTION_SHOWN_DEFAULT, ATTENTION_SHOWN_MAX};
use crate::management::{
    Api,
    attention::Of,
    extract::{Asked, Query},
    failure::Answered,
    openapi::Routes,
    visitor::Visitor,
    words::{bytes, counted},
};
use crate::process;

pub(super) fn routes() -> Routes {
    Routes::about("attention", "What needs attention first").get(
        "/api/leveret/attention",
        attention,
        "Look at alarms, and at queues that are stuck or grow, with what is wrong in words",
    )
}

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    vhost: Option<String>,
    queue: Option<String>,
    limit: Option<usize>,
}

impl Asked for Wanted {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[
        ("vhost", "only queues of this virtual host"),
        ("queue", "only queues of this name"),
        ("limit", "so many queues at most"),
    ];
}

async fn attention(visitor: Visitor, State(api): State<Api>, Query(wanted): Query<Wanted>) -> Answered {
    let found = api.watch.found(&api).await;
    let vhosts = visitor.all_seen(&api).await;
    let is_seen = |name: &[u8]| vhosts.iter().any(|vhost| *vhost.name == *name);
    let is_wanted =
        |wanted: &Option<String>, name: &[u8]| wanted.as_ref().is_none_or(|wanted| wanted.as_bytes() == name);
    let mut seen: Vec<_> = found.queues.iter().collect();
    seen.retain(|of| {
        is_wanted(&wanted.vhost, &of.vhost) && is_wanted(&wanted.queue, &of.queue) && is_seen(&of.vhost)
    });
    let limit = wanted.limit.unwrap_or(ATTENTION_SHOWN_DEFAULT).min(ATTENTION_SHOWN_MAX);
    let mut queues = Vec::new();
    for of in seen.iter().take(limit) {
        queues.push(of.shown(may_hear(&visitor, &api, &vhosts, of).await));
    }
    Ok(Json(json!({ "alarms": alarms(&api, &vhosts), "queues": queues, "total": seen.len() }))
        .into_response())
}

/// Whether somebody may know what the messages of a queue tell: who may read them.
async fn may_hear(visitor: &Visitor, api: &Api, vhosts: &[Arc<Vhost>], of: &Of) -> bool {
    let vhost = vhosts.iter().find(|vhost| vhost.name == of.vhost).filter(|_| of.concern.story.is_some());
    match vhost {
        Some(vhost) => visitor.may_read(api, vhost, &of.queue).await.is_ok(),
        None => false,
    }
}

/// What holds publishers up. Clients of everybody feel the node's alarms, so everybody is told.
fn alarms(api: &Api, seen: &[Arc<Vhost>]) -> Vec<Value> {
    let (broker, node) = (&api.broker, &api.node);
    let mut alarms = Vec::new();
    let (has_memory, has_disk) = (broker.alarm.has_memory(), *node.disk_low.borrow());
    let held_up = if has_memory || has_disk { blocked(api) } else { String::new() };
    if has_memory {
        let (used, limit) = (broker.gauge.used_bytes() as u64, broker.config.memory_limit_bytes as u64);
        alarms.push(json!({
            "alarm": "memory",
            "words": format!("is short: {} of {} are used. {held_up} until messages are consumed or acknowledged.", bytes(used), bytes(limit)),
        }));
    }
    if has_disk {
        let (free, limit) = (process::disk(&node.data_dir).free_bytes, broker.config.store.disk_free_limit);
        alarms.push(json!({
            "alarm": "disk",
            "words": format!("is short: {} are free, and {} must be. {held_up} until there is room.", bytes(free), bytes(limit)),
        }));
    }
    for vhost in seen.iter().filter(|vhost| vhost.share.is_exceeded()) {
        alarms.push(json!({
            "alarm": "share",
            "words": format!("of virtual host {} is used up: its publishers are held up until its messages take less.", vhost.name),
        }));
    }
    alarms
}

/// How many publish and are held up, in words.
fn blocked(api: &Api) -> String {
    let connections = &api.broker.connections;
    let all = connections.all();
    let blocked =
        all.iter().filter(|(id, _)| connections.figures_of(*id).is_some_and(|its| its.is_blocked)).count();
    match blocked {
        0 => "Whoever publishes is held up".into(),
        1 => "1 connection that publishes is held up".into(),
        more => format!("{} that publish are held up", counted(more as u64, "connection")),
    }
}
