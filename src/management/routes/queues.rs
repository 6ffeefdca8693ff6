//! Queues: what there is, declared and deleted, emptied, and read from.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State, response::IntoResponse};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bindings, consumers, done, put};
use crate::broker::Vhost;
use crate::connection::Got;
use crate::core::{
    counts::MessageCounts,
    declared::{Destination, PolicyKind},
    policy::origin::{Counting, Origin},
    queue::{QueueStatus, SharedQueue},
    topology::Topology,
};
use crate::limits::{GOT_AT_ONCE_MAX, GOT_BYTES_MAX};
use crate::management::{
    Api,
    body::{Body, name},
    extract::{Asked, Path, Query},
    failure::{Answered, Failure, bad_request},
    json::{field, properties, table, text},
    listing::{Listed, Listing},
    openapi::{Kind, Routes, may, must},
    samples::{Ages, Subject, message_stats, rate_at},
    time,
    visitor::Visitor,
};
use crate::protocol::{basic, queue};

pub(super) fn routes() -> Routes {
    Routes::about("queues", "Queues, and messages taken from them")
        .list("/api/queues", all, "List queues")
        .list("/api/queues/detailed", all, "List queues, as newer clients ask for it")
        .list("/api/queues/{vhost}", of_vhost, "List the queues of a virtual host")
        .get("/api/queues/{vhost}/{queue}", one, "Look at a queue")
        .put("/api/queues/{vhost}/{queue}", declare, "Declare a queue")
        .taking([may("durable", Kind::Flag), may("auto_delete", Kind::Flag), may("arguments", Kind::Object)])
        .delete("/api/queues/{vhost}/{queue}", remove, "Delete a queue with its messages")
        .list("/api/queues/{vhost}/{queue}/bindings", bindings_of, "List the bindings that lead to a queue")
        .delete(
            "/api/queues/{vhost}/{queue}/contents",
            purge,
            "Take all messages out of a queue that no consumer holds",
        )
        .post("/api/queues/{vhost}/{queue}/get", take, "Take messages from a queue")
        .taking([
            must("count", Kind::Whole),
            must("encoding", Kind::Text),
            may("ackmode", Kind::Text),
            may("requeue", Kind::Flag),
            may("truncate", Kind::Whole),
        ])
        .post("/api/queues/{vhost}/{queue}/actions", act, "Do what replicas would need: nothing")
        .taking([must("action", Kind::Text)])
        .answering(&[204])
}

/// A queue, to be shown.
struct Item {
    api: Api,
    vhost: Arc<Vhost>,
    queue: Arc<SharedQueue>,
    ages: Ages,
}

impl Listed for Item {
    fn name(&self) -> String {
        self.queue.spec.name.to_string()
    }

    fn column(&self, path: &str) -> Value {
        match path {
            "name" => text(&self.queue.spec.name),
            "vhost" => text(&self.vhost.name),
            "messages" | "messages_ready" | "messages_unacknowledged" | "consumers" | "message_bytes" => {
                let status = self.queue.status();
                json!(match path {
                    "messages" => messages(&status),
                    "messages_ready" => status.ready + status.delayed,
                    "messages_unacknowledged" => status.unacked,
                    "consumers" => status.consumers,
                    _ => status.bytes,
                })
            }
            "messages_delayed" => json!(self.queue.status().delayed),
            "memory" => json!(self.queue.status().resident_bytes),
            "idle_since" => json!(time::iso(self.queue.status().used_at)),
            "type" => json!(self.queue.spec.queue_type().name()),
            path => self.rate(path).unwrap_or_else(|| {
                let shown = self.shown();
                Listed::column(&shown, path)
            }),
        }
    }

    fn shown(&self) -> Value {
        shown(&self.api, &self.vhost, &self.queue, self.ages)
    }
}

impl Item {
    /// One of its rates; null if nothing has happened to its messages, as in what is shown as a whole.
    fn rate(&self, path: &str) -> Option<Value> {
        let change = self.api.samples.change(&Subject::Queue(self.queue.id), Ages::default());
        let rate = rate_at(path, &change)?;
        let counts: MessageCounts = self.queue.status().counters.into();
        Some(if counts == MessageCounts::default() { Value::Null } else { json!(rate) })
    }
}

fn messages(status: &QueueStatus) -> usize {
    status.ready + status.delayed + status.unacked
}

/// A queue as RabbitMQ shows it.
fn shown(api: &Api, vhost: &Vhost, queue: &SharedQueue, ages: Ages) -> Value {
    let status = queue.status();
    let change = api.samples.change(&Subject::Queue(queue.id), ages);
    let spec = &queue.spec;
    let (policy, operator_policy, effective) = vhost.read(|topology| {
        let name = |kind| topology.policy_of_queue(kind, spec).map(|policy| text(&policy.spec.name));
        let effective = table(&topology.policy_definition_of_queue(spec));
        (name(PolicyKind::User), name(PolicyKind::Operator), effective)
    });
    let (ready, unacked) = (status.ready + status.delayed, status.unacked);
    let mut shown = json!({
        "arguments": table(&queue.arguments()),
        "auto_delete": spec.auto_delete,
        "consumer_capacity": u8::from(status.consumers > 0 && status.ready == 0),
        "consumer_utilisation": u8::from(status.consumers > 0 && status.ready == 0),
        "consumers": status.consumers,
        "durable": spec.durable,
        "effective_policy_definition": effective,
        "exclusive": spec.owner.is_some(),
        "exclusive_consumer_tag": null,
        "head_message_timestamp": null,
        "idle_since": time::iso(status.used_at),
        "memory": status.resident_bytes,
        "message_bytes": status.bytes,
        "message_bytes_paged_out": status.bytes - status.resident_bytes,
        "message_bytes_persistent": if spec.durable { status.bytes } else { 0 },
        "message_bytes_ram": status.resident_bytes,
        "message_bytes_ready": status.bytes - status.unacked_bytes,
        "message_bytes_unacknowledged": status.unacked_bytes,
        "messages": ready + unacked,
        "messages_delayed": status.delayed,
        "messages_details": change.level(|figures| figures.ready + figures.unacked),
        "messages_paged_out": 0,
        "messages_persistent": if spec.durable { ready + unacked } else { 0 },
        "messages_ram": ready + unacked,
        "messages_ready": ready,
        "messages_ready_details": change.level(|figures| figures.ready),
        "messages_ready_ram": ready,
        "messages_unacknowledged": unacked,
        "messages_unacknowledged_details": change.level(|figures| figures.unacked),
        "messages_unacknowledged_ram": unacked,
        "name": text(&spec.name),
        "node": api.node.name,
        "operator_policy": operator_policy,
        "policy": policy,
        "recoverable_slaves": null,
        "single_active_consumer_tag": null,
        "state": if queue.is_deleted() { "stopped" } else { "running" },
        "type": spec.queue_type().name(),
        "vhost": text(&vhost.name),
    });
    if let Some(stats) = message_stats(&status.counters.into(), &change) {
        shown["message_stats"] = stats;
    }
    if spec.is_quorum() {
        shown["leader"] = json!(api.node.name);
        shown["members"] = json!([api.node.name]);
        shown["online"] = json!([api.node.name]);
        shown["open_files"] = json!({ &*api.node.name: 0 });
    }
    shown
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    let items = visitor
        .all_seen(&api)
        .await
        .into_iter()
        .flat_map(|vhost| items_of(&api, &vhost, listing.ages()))
        .collect();
    listing.answer::<Item>(items)
}

async fn of_vhost(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    listing.answer(items_of(&api, &vhost, listing.ages()))
}

fn items_of(api: &Api, vhost: &Arc<Vhost>, ages: Ages) -> Vec<Item> {
    let mut queues: Vec<_> = vhost.read(|topology| topology.named_queues().cloned().collect());
    queues.sort_by(|one, other| one.spec.name.cmp(&other.spec.name));
    let item = |queue| Item { api: api.clone(), vhost: vhost.clone(), queue, ages };
    queues.into_iter().map(item).collect()
}

/// A queue by name, or 404.
pub(super) fn find(vhost: &Vhost, name: &str) -> Answered<Arc<SharedQueue>> {
    vhost.read(|topology| topology.queue(name.as_bytes()).cloned()).ok_or(Failure::NotFound)
}

/// One that is not for one connection alone: RabbitMQ's 405 as an error.
pub(super) fn find_shared(vhost: &Vhost, name: &str) -> Answered<Arc<SharedQueue>> {
    let queue = find(vhost, name)?;
    if queue.spec.owner.is_none() {
        return Ok(queue);
    }
    Err(bad_request(format!("405 RESOURCE_LOCKED - queue '{name}' is exclusive to a connection")))
}

async fn one(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let queue = find(&vhost, &queue)?;
    let mut item = shown(&api, &vhost, &queue, listing.ages());
    item["consumer_details"] = Value::Array(consumers::of_queue(&api, &vhost, &queue));
    item["deliveries"] = json!([]);
    item["incoming"] = json!([]);
    item["leveret"] = json!({ "settings": settings(&vhost, &queue) });
    Ok(listing.answer_one(&item))
}

/// What says something that counts for a queue: a word, and the name of the policy if it is one.
pub(super) fn who(topology: &Topology, queue: &SharedQueue, origin: Origin) -> (&'static str, Option<Value>) {
    let policy = |kind| topology.policy_of_queue(kind, &queue.spec).map(|policy| text(&policy.spec.name));
    match origin {
        Origin::Argument => ("argument", None),
        Origin::Policy(kind @ PolicyKind::User) => ("policy", policy(kind)),
        Origin::Policy(kind @ PolicyKind::Operator) => ("operator policy", policy(kind)),
        Origin::Default => ("default", None),
    }
}

/// What counts for a queue, each thing with what says so.
pub(super) fn settings(vhost: &Vhost, queue: &SharedQueue) -> Vec<Value> {
    vhost.read(|topology| {
        let shown = |counting: Counting| {
            let (from, policy) = who(topology, queue, counting.origin);
            json!({ "name": text(&counting.key), "value": field(&counting.value), "from": from, "policy": policy })
        };
        topology.counting_for_queue(queue).into_iter().map(shown).collect()
    })
}

async fn declare(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    let body = Body::read(&body)?;
    let name = name(&queue)?;
    let is_new = vhost.read(|topology| topology.queue(&name).is_none());
    let declare = queue::Declare {
        queue: name,
        durable: body.flag("durable", false)?,
        auto_delete: body.flag("auto_delete", false)?,
        arguments: body.table("arguments")?,
        ..queue::Declare::default()
    };
    visitor.call(&api, &vhost, &declare).await?;
    Ok(put(is_new))
}

/// What may be asked of a deletion.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Conditions {
    if_unused: Option<String>,
    if_empty: Option<String>,
}

impl Asked for Conditions {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[
        ("if-unused", "true: only if it has no consumers"),
        ("if-empty", "true: only if it has no messages"),
    ];
}

/// Whether a parameter says yes.
pub(super) fn says_yes(parameter: Option<&String>) -> bool {
    parameter.is_some_and(|value| value == "true")
}

async fn remove(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    Query(conditions): Query<Conditions>,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    find(&vhost, &queue)?;
    let delete = queue::Delete {
        queue: name(&queue)?,
        if_unused: says_yes(conditions.if_unused.as_ref()),
        if_empty: says_yes(conditions.if_empty.as_ref()),
        ..queue::Delete::default()
    };
    visitor.call(&api, &vhost, &delete).await?;
    Ok(done())
}

async fn bindings_of(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let name = find(&vhost, &queue)?.spec.name.clone();
    listing.answer(bindings::leading_to(&vhost, &Destination::Queue(name)))
}

async fn purge(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    find(&vhost, &queue)?;
    let purge = queue::Purge { queue: name(&queue)?, ..queue::Purge::default() };
    visitor.call(&api, &vhost, &purge).await?;
    Ok(done())
}

/// How messages are taken.
struct Taking {
    count: usize,
    /// They leave the queue for good.
    settles: bool,
    /// They are rejected and not acknowledged.
    rejects: bool,
    /// Payloads are in base64 in any case.
    base64: bool,
    truncate: Option<usize>,
}

impl Taking {
    fn of(body: &Body) -> Answered<Self> {
        let count = body.required("count").and_then(|_| body.whole("count"))?.unwrap_or_default();
        let count = usize::try_from(count).map_err(|_| bad_request("count is negative"))?;
        // Older clients say `requeue`.
        let mode = match body.text("ackmode")? {
            Some(mode) => mode.to_owned(),
            None if body.flag("requeue", true)? => "ack_requeue_true".into(),
            None => "ack_requeue_false".into(),
        };
        let (settles, rejects) = match &*mode {
            "ack_requeue_true" => (false, false),
            "reject_requeue_true" => (false, true),
            "ack_requeue_false" => (true, false),
            "reject_requeue_false" => (true, true),
            other => return Err(bad_request(format!("unknown ackmode: {other}"))),
        };
        let encoding = body.required_text("encoding")?;
        if !matches!(encoding, "auto" | "base64") {
            return Err(bad_request(format!("Unsupported encoding: {encoding}. Please use auto or base64.")));
        }
        let truncate = body.whole("truncate")?.map(|bytes| usize::try_from(bytes).unwrap_or_default());
        Ok(Self {
            count: count.min(GOT_AT_ONCE_MAX),
            settles,
            rejects,
            base64: encoding == "base64",
            truncate,
        })
    }
}

async fn take(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    find(&vhost, &queue).map_err(|_| Failure::Missing("queue_not_found".into()))?;
    let taking = Taking::of(&Body::read(&body)?)?;
    let mut client = visitor.client(&api, &vhost).await?;
    let no_ack = taking.settles && !taking.rejects;
    let get = basic::Get { queue: name(&queue)?, no_ack };
    let mut taken = Vec::new();
    let mut outcome = Ok(());
    let mut bytes = 0;
    while taken.len() < taking.count && bytes < GOT_BYTES_MAX {
        match client.get(&get).await {
            Ok(Some(got)) => {
                bytes += got.body.len();
                taken.push(got);
            }
            Ok(None) => break,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    if !no_ack && outcome.is_ok() {
        for got in &taken {
            let (delivery_tag, requeue) = (got.method.delivery_tag, !taking.settles);
            if taking.rejects {
                client.send(&basic::Reject { delivery_tag, requeue }).await;
            } else {
                // They were only looked at: that is no failure of theirs.
                client.send(&basic::Nack { delivery_tag, requeue, multiple: false }).await;
            }
        }
    }
    client.close().await;
    outcome?;
    Ok(Json(taken.iter().map(|got| message(got, &taking)).collect::<Vec<_>>()).into_response())
}

fn message(got: &Got, taking: &Taking) -> Value {
    let (payload, encoding) = payload(&got.body, taking.base64, taking.truncate);
    json!({
        "exchange": text(&got.method.exchange),
        "message_count": got.method.message_count,
        "payload": payload,
        "payload_bytes": got.body.len(),
        "payload_encoding": encoding,
        "properties": properties(&got.properties),
        "redelivered": got.method.redelivered,
        "routing_key": text(&got.method.routing_key),
    })
}

/// A body as text if it is one, else in base64; the first bytes of it if it is to be cut.
pub(in crate::management) fn payload(
    body: &[u8],
    base64: bool,
    truncate: Option<usize>,
) -> (String, &'static str) {
    let cut = &body[..body.len().min(truncate.unwrap_or(usize::MAX))];
    match std::str::from_utf8(cut) {
        Ok(text) if !base64 => (text.to_owned(), "string"),
        _ => (BASE64_STANDARD.encode(cut), "base64"),
    }
}

/// RabbitMQ's actions are those of mirrored queues and of replicas, of which there are none: `sync` has nothing to do.
async fn act(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    find(&vhost, &queue)?;
    match Body::read(&body)?.required_text("action")? {
        "sync" | "cancel_sync" => Ok(done()),
        other => Err(bad_request(format!("Unknown action: {other}"))),
    }
}
