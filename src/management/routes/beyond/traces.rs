//! Traces: the history of messages of a queue, of an exchange, or with one `message-id`.
//!
//! Whoever may set policies in a virtual host switches them on and off, of queues and exchanges that it may read; those and monitors see what has
//! happened. Nothing of that says what is in a message.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{done, exchanges, put};
use crate::broker::Vhost;
use crate::core::observing::{Record, Subject, Wanted, What};
use crate::limits::{PEEKED_AT_ONCE_MAX, TRACE_RECORDS_MAX};
use crate::management::{
    Api,
    body::name,
    extract::{Asked, Path, Query},
    failure::{Answered, Failure, bad_request},
    json::{text, texts},
    openapi::Routes,
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("traces", "The history of single messages")
        .get("/api/leveret/traces/{vhost}", all, "List of what the history is kept")
        .list("/api/leveret/traces/{vhost}/events", events, "List what has happened to messages, in order")
        .delete("/api/leveret/traces/{vhost}/events", forget, "Forget what has happened")
        .for_policymakers()
        .put("/api/leveret/traces/{vhost}/{traced}/{subject}", begin, "Keep a history")
        .for_policymakers()
        .delete("/api/leveret/traces/{vhost}/{traced}/{subject}", end, "Keep a history no more")
        .for_policymakers()
}

/// A virtual host in which it may switch traces on.
async fn switched(visitor: &Visitor, api: &Api, vhost: &str) -> Answered<Arc<Vhost>> {
    visitor.require_policymaker()?;
    visitor.entered(api, vhost).await
}

/// A virtual host of which it may see what has happened.
async fn looked_at(visitor: &Visitor, api: &Api, vhost: &str) -> Answered<Arc<Vhost>> {
    if !visitor.is_monitor() && !visitor.is_policymaker() {
        return Err(Failure::NotAuthorised("User neither monitor nor policymaker".into()));
    }
    visitor.seen(api, vhost).await
}

fn subject(kind: &str, its: &str) -> Answered<Subject> {
    match kind {
        "queues" => Ok(Subject::Queue(name(its)?)),
        "exchanges" => Ok(Subject::Exchange(exchanges::name_of(its)?)),
        "messages" => Ok(Subject::Message(name(its)?)),
        _ => Err(Failure::NotFound),
    }
}

async fn all(visitor: Visitor, State(api): State<Api>, Path(vhost): Path<String>) -> Answered {
    let vhost = looked_at(&visitor, &api, &vhost).await?;
    let (kept, forgotten) = vhost.observers.record_counts();
    let shown = |subject: &Subject| {
        let (kind, name) = subject.parts();
        json!({ "kind": kind, "name": text(name) })
    };
    let traces: Vec<_> = vhost.observers.traced().iter().map(shown).collect();
    Ok(Json(json!({ "traces": traces, "events": kept, "forgotten": forgotten })).into_response())
}

async fn begin(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, kind, name)): Path<(String, String, String)>,
) -> Answered {
    let vhost = switched(&visitor, &api, &vhost).await?;
    let subject = subject(&kind, &name)?;
    match &subject {
        Subject::Queue(name) => visitor.may_read(&api, &vhost, name).await?,
        Subject::Exchange(name) => visitor.may_read_exchange(&api, &vhost, name).await?,
        Subject::Message(_) => {}
    }
    let is_new = vhost.observers.trace(&subject).map_err(|error| bad_request(error.to_string()))?;
    Ok(put(is_new))
}

async fn end(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, kind, name)): Path<(String, String, String)>,
) -> Answered {
    let vhost = switched(&visitor, &api, &vhost).await?;
    if vhost.observers.untrace(&subject(&kind, &name)?) { Ok(done()) } else { Err(Failure::NotFound) }
}

/// Which events are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Looking {
    message_id: Option<String>,
    queue: Option<String>,
    after: u64,
    limit: Option<usize>,
}

impl Asked for Looking {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[
        ("message_id", "What has happened to messages with this message-id"),
        ("queue", "What has happened in this queue"),
        ("after", "What has happened behind the event of this number"),
        ("limit", "How many, the last ones: 500"),
    ];
}

async fn events(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(asked): Query<Looking>,
) -> Answered {
    let vhost = looked_at(&visitor, &api, &vhost).await?;
    let wanted = Wanted {
        message_id: asked.message_id.as_deref().map(name).transpose()?,
        queue: asked.queue.as_deref().map(name).transpose()?,
        after: asked.after,
        limit: asked.limit.unwrap_or(PEEKED_AT_ONCE_MAX).min(TRACE_RECORDS_MAX),
    };
    let records = vhost.observers.records(&wanted);
    Ok(Json(records.iter().map(|record| shown(record)).collect::<Vec<_>>()).into_response())
}

async fn forget(visitor: Visitor, State(api): State<Api>, Path(vhost): Path<String>) -> Answered {
    switched(&visitor, &api, &vhost).await?.observers.forget_records();
    Ok(done())
}

fn shown(record: &Record) -> Value {
    let message = record.message.as_ref();
    let mut shown = json!({
        "number": record.number,
        "at": record.at,
        "event": record.what.name(),
        "queue": record.queue.as_deref().map(text),
        "position": record.position.map(|position| position.to_string()),
        "exchange": message.map(|message| text(&message.exchange)),
        "routing_key": message.map(|message| text(&message.routing_key)),
        "message_id": message.and_then(|message| message.message_id.as_deref()).map(text),
        "payload_bytes": message.map(|message| message.body_bytes),
        "user": record.by.as_ref().map(|by| text(&by.user)),
        "connection": record.by.as_ref().map(|by| &by.connection),
        "channel": record.channel,
    });
    let details = details(&record.what);
    if let (Some(shown), Value::Object(details)) = (shown.as_object_mut(), details) {
        shown.extend(details);
    }
    shown
}

fn details(what: &What) -> Value {
    match what {
        What::Published(routed) => json!({ "queues": texts(&routed.queues), "queue_count": routed.count }),
        What::Delayed { until } | What::Waiting { until } | What::Rescheduled { until } => {
            json!({ "until": until })
        }
        What::Delivered { consumer, redelivered, no_ack } => {
            json!({ "consumer_tag": text(consumer), "redelivered": redelivered, "no_ack": no_ack })
        }
        What::Got { redelivered, no_ack } => json!({ "redelivered": redelivered, "no_ack": no_ack }),
        What::Requeued { attempts } => json!({ "attempts": attempts }),
        What::DeadLettered(reason) => json!({ "reason": reason.name() }),
        What::Dropped(reason) => json!({ "reason": reason.name() }),
        What::Purged(messages) | What::QueueDeleted(messages) => json!({ "messages": messages }),
        What::Returned
        | What::Enqueued
        | What::Due
        | What::Acknowledged
        | What::Rejected
        | What::Ready
        | What::Redriven
        | What::Cancelled => json!({}),
    }
}
