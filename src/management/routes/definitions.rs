//! Definitions: everything that is declared and set, as one document, out and in.

use axum::{body::Bytes, extract::State};
use serde_json::{Map, Value, json};

use super::{done, parameters, permissions, policies, users};
use crate::broker::{Document, Vhost};
use crate::core::{
    declared::{Binding, Destination, ExchangeSpec, PolicyKind, QueueType},
    queue::SharedQueue,
};
use crate::management::{
    Api,
    extract::{Path, Query},
    failure::{Answered, Failure, bad_request},
    json::{table, text, texts},
    listing::Listing,
    openapi::{Field, Kind, Routes, may},
    visitor::Visitor,
};
use crate::protocol::ShortString;

pub(super) fn routes() -> Routes {
    Routes::about("definitions", "Everything that is declared and set, as one document")
        .get("/api/definitions", export, "Export everything")
        .post("/api/definitions", import, "Import what a document says; nothing is deleted")
        .taking(DOCUMENT)
        .answering(&[204])
        .get("/api/all-configuration", export, "Export everything, as old clients ask for it")
        .post("/api/all-configuration", import, "Import what a document says, as old clients do it")
        .taking(DOCUMENT)
        .answering(&[204])
        .get("/api/definitions/{vhost}", export_vhost, "Export a virtual host")
        .post("/api/definitions/{vhost}", import_vhost, "Import what a document says into a virtual host")
        .taking(DOCUMENT)
        .answering(&[204])
        .all_for_administrators()
}

/// The lists of a document.
const DOCUMENT: [Field; 10] = [
    may("users", Kind::Objects),
    may("vhosts", Kind::Objects),
    may("permissions", Kind::Objects),
    may("topic_permissions", Kind::Objects),
    may("parameters", Kind::Objects),
    may("global_parameters", Kind::Objects),
    may("policies", Kind::Objects),
    may("queues", Kind::Objects),
    may("exchanges", Kind::Objects),
    may("bindings", Kind::Objects),
];

/// What a virtual host has, with its name on each thing.
#[derive(Default)]
struct Contents {
    parameters: Vec<Value>,
    policies: Vec<Value>,
    queues: Vec<Value>,
    exchanges: Vec<Value>,
    bindings: Vec<Value>,
}

impl Contents {
    fn add(&mut self, vhost: &Vhost) {
        self.parameters.extend(parameters::all_of(vhost));
        self.policies.extend(policies::all_of(vhost, PolicyKind::User));
        // Each lock is held for a moment only: what comes and goes meanwhile is there or not.
        let mut queues: Vec<_> = vhost.read(|topology| topology.named_queues().cloned().collect());
        queues.retain(|queue| queue.spec.owner.is_none());
        queues.sort_by(|one, other| one.spec.name.cmp(&other.spec.name));
        self.queues.extend(queues.iter().map(|queue| queue_shown(vhost, queue)));
        let mut exchanges: Vec<_> = vhost.read(|topology| topology.exchanges().cloned().collect());
        exchanges.sort_by(|one, other| one.name.cmp(&other.name));
        let own = exchanges.iter().filter(|spec| !is_everywhere(&spec.name));
        self.exchanges.extend(own.map(|spec| exchange_shown(vhost, spec)));
        // What leads to a queue of one connection alone, or to what has come since, could not be imported.
        let is_there = |binding: &Binding| {
            let has = |name: &ShortString| exchanges.binary_search_by(|spec| spec.name.cmp(name)).is_ok();
            let leads_there = match &binding.destination {
                Destination::Queue(name) => {
                    queues.binary_search_by(|queue| queue.spec.name.cmp(name)).is_ok()
                }
                Destination::Exchange(name) => has(name),
            };
            has(&binding.source) && leads_there
        };
        let mut bindings = vhost.bindings();
        bindings.retain(is_there);
        bindings.sort_by(|one, other| {
            (&one.source, &one.destination, &one.key).cmp(&(&other.source, &other.destination, &other.key))
        });
        self.bindings.extend(bindings.iter().map(|binding| bound(vhost, binding)));
    }

    /// The lists, into a document.
    fn put(self, document: &mut Map<String, Value>) {
        document.insert("parameters".into(), self.parameters.into());
        document.insert("policies".into(), self.policies.into());
        document.insert("queues".into(), self.queues.into());
        document.insert("exchanges".into(), self.exchanges.into());
        document.insert("bindings".into(), self.bindings.into());
    }
}

/// Whether each virtual host has an exchange of this name.
fn is_everywhere(exchange: &ShortString) -> bool {
    exchange.is_empty() || exchange.starts_with(b"amq.")
}

fn queue_shown(vhost: &Vhost, queue: &SharedQueue) -> Value {
    let spec = &queue.spec;
    json!({
        "arguments": table(&queue.arguments()),
        "auto_delete": spec.auto_delete,
        "durable": spec.durable,
        "name": text(&spec.name),
        "type": spec.queue_type().name(),
        "vhost": text(&vhost.name),
    })
}

fn exchange_shown(vhost: &Vhost, spec: &ExchangeSpec) -> Value {
    json!({
        "arguments": table(&spec.arguments),
        "auto_delete": spec.auto_delete,
        "durable": spec.durable,
        "internal": spec.internal,
        "name": text(&spec.name),
        "type": spec.kind.name(),
        "vhost": text(&vhost.name),
    })
}

fn bound(vhost: &Vhost, binding: &Binding) -> Value {
    let (kind, destination) = match &binding.destination {
        Destination::Queue(name) => ("queue", name),
        Destination::Exchange(name) => ("exchange", name),
    };
    json!({
        "arguments": table(&binding.arguments),
        "destination": text(destination),
        "destination_type": kind,
        "routing_key": text(&binding.key),
        "source": text(&binding.source),
        "vhost": text(&vhost.name),
    })
}

fn head(format: &str) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("rabbit_version".into(), json!(super::overview::RABBITMQ_VERSION));
    document.insert("rabbitmq_version".into(), json!(super::overview::RABBITMQ_VERSION));
    document.insert("product_name".into(), json!("Leveret"));
    document.insert("product_version".into(), json!(env!("CARGO_PKG_VERSION")));
    document.insert("rabbitmq_definition_format".into(), json!(format));
    document
}

/// Everything, as RabbitMQ exports it.
pub(in crate::management) fn document(api: &Api) -> Value {
    let mut document = head("cluster");
    let vhosts = {
        let mut all = api.broker.vhosts.all();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    };
    let (all_users, permissions, topics) = api.broker.access.read(|registry| {
        let users: Vec<_> = registry.users().map(|user| users::shown(user)).collect();
        let permissions: Vec<_> = registry.permissions().map(permissions::shown).collect();
        let topics: Vec<_> = registry.topic_permissions().map(permissions::topic_shown).collect();
        (users, permissions, topics)
    });
    document.insert("users".into(), all_users.into());
    document.insert("vhosts".into(), vhosts.iter().map(|vhost| vhost_shown(vhost)).collect());
    document.insert("permissions".into(), permissions.into());
    document.insert("topic_permissions".into(), topics.into());
    document.insert("global_parameters".into(), parameters::all_global_of(api).into());
    let mut contents = Contents::default();
    for vhost in &vhosts {
        contents.add(vhost);
    }
    contents.put(&mut document);
    Value::Object(document)
}

fn vhost_shown(vhost: &Vhost) -> Value {
    let settings = vhost.read(|topology| topology.settings().clone());
    let queue_type = settings.default_queue_type.map(QueueType::name);
    let mut shown = json!({
        "description": settings.description,
        "metadata": { "description": settings.description, "tags": texts(&settings.tags) },
        "name": text(&vhost.name),
        "tags": texts(&settings.tags),
    });
    if let Some(queue_type) = queue_type {
        shown["default_queue_type"] = json!(queue_type);
        shown["metadata"]["default_queue_type"] = json!(queue_type);
    }
    if settings.tracing {
        shown["tracing"] = json!(true);
    }
    shown
}

async fn export(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    visitor.require_administrator()?;
    Ok(listing.answer_one(&document(&api)))
}

async fn export_vhost(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    let vhost = visitor.seen(&api, &vhost).await?;
    let mut document = head("single_virtual_host");
    let mut contents = Contents::default();
    contents.add(&vhost);
    contents.put(&mut document);
    for list in ["parameters", "policies", "queues", "exchanges", "bindings"] {
        let things = document.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for thing in things.filter_map(Value::as_object_mut) {
            thing.remove("vhost");
        }
    }
    Ok(listing.answer_one(&Value::Object(document)))
}

async fn carry_out(api: &Api, document: &Document) -> Answered {
    api.broker.import(document).await.map_err(Failure::NotImported)?;
    Ok(done())
}

async fn import(visitor: Visitor, State(api): State<Api>, body: Bytes) -> Answered {
    visitor.require_administrator()?;
    let document = Document::read(&body).map_err(|error| bad_request(format!("definitions: {error}")))?;
    carry_out(&api, &document).await
}

/// The document of one virtual host names none: everything in it is for the one in the address.
async fn import_vhost(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    body: Bytes,
) -> Answered {
    visitor.require_administrator()?;
    let name = api.vhost(&vhost)?.name.clone();
    let unreadable = |error: serde_json::Error| bad_request(format!("definitions: {error}"));
    let mut document: Map<String, Value> = serde_json::from_slice(&body).map_err(unreadable)?;
    document
        .retain(|key, _| matches!(&**key, "parameters" | "policies" | "queues" | "exchanges" | "bindings"));
    for things in document.values_mut().filter_map(Value::as_array_mut) {
        for thing in things.iter_mut().filter_map(Value::as_object_mut) {
            thing.insert("vhost".into(), text(&name));
        }
    }
    let bytes = serde_json::to_vec(&document).map_err(|error| Failure::Internal(error.to_string()))?;
    carry_out(&api, &Document::read(&bytes).map_err(unreadable)?).await
}
