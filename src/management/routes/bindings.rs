//! Bindings, those of the default exchange too: each queue is bound to it by its own name.

use axum::{
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::done;
use crate::broker::Vhost;
use crate::core::declared::{Binding, Destination};
use crate::management::{
    Api,
    body::{Body, name},
    extract::{Path, Query},
    failure::{Answered, Failure, bad_request},
    json::{table, text},
    listing::Listing,
    openapi::{Kind, Routes, may},
    visitor::Visitor,
};
use crate::protocol::{FieldTable, ShortString, exchange, queue};

pub(super) fn routes() -> Routes {
    Routes::about("bindings", "Bindings, those of the default exchange too")
        .list("/api/bindings", all, "List bindings")
        .list("/api/bindings/{vhost}", of_vhost, "List the bindings of a virtual host")
        .list(
            "/api/bindings/{vhost}/e/{source}/{kind}/{destination}",
            between,
            "List the bindings between two ends",
        )
        .post("/api/bindings/{vhost}/e/{source}/{kind}/{destination}", bind, "Bind a queue or an exchange")
        .taking([may("routing_key", Kind::Text), may("arguments", Kind::Object)])
        .answering(&[201])
        .get("/api/bindings/{vhost}/e/{source}/{kind}/{destination}/{properties}", one, "Look at a binding")
        .delete(
            "/api/bindings/{vhost}/e/{source}/{kind}/{destination}/{properties}",
            unbind,
            "Unbind a queue or an exchange",
        )
}

/// What stays as it is in an address.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// By what a binding is known among those with the same ends: its key, and a hash of its arguments if it has any (RabbitMQ's
/// `properties_key`).
fn properties_key(binding: &Binding) -> String {
    let key = utf8_percent_encode(&binding.key.as_str_lossy(), UNRESERVED).to_string();
    if binding.arguments.is_empty() {
        return if key.is_empty() { "~".into() } else { key };
    }
    let mut sorted: Vec<_> = binding.arguments.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let sorted: FieldTable = sorted.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut bytes = Vec::new();
    sorted.encode(&mut bytes);
    format!("{key}~{}", BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&bytes)[..16]))
}

/// A binding as RabbitMQ shows it.
pub(super) fn shown(vhost: &Vhost, binding: &Binding) -> Value {
    let (kind, destination) = match &binding.destination {
        Destination::Queue(name) => ("queue", name),
        Destination::Exchange(name) => ("exchange", name),
    };
    json!({
        "arguments": table(&binding.arguments),
        "destination": text(destination),
        "destination_type": kind,
        "properties_key": properties_key(binding),
        "routing_key": text(&binding.key),
        "source": text(&binding.source),
        "vhost": text(&vhost.name),
    })
}

/// The binding that each queue has to the default exchange.
fn implicit(queue: &ShortString) -> Binding {
    Binding {
        source: ShortString::default(),
        destination: Destination::Queue(queue.clone()),
        key: queue.clone(),
        arguments: FieldTable::new(),
    }
}

fn bindings_of(vhost: &Vhost) -> Vec<Binding> {
    let queues: Vec<_> = vhost.read(|topology| topology.named_queues().cloned().collect());
    let mut all: Vec<_> = queues.iter().map(|queue| implicit(&queue.spec.name)).collect();
    all.extend(vhost.bindings());
    all.sort_by(|one, other| {
        (&one.source, &one.destination, &one.key).cmp(&(&other.source, &other.destination, &other.key))
    });
    all
}

/// Those that begin at an exchange.
pub(super) fn beginning_at(vhost: &Vhost, source: &ShortString) -> Vec<Value> {
    let mut all = if source.is_empty() {
        let queues: Vec<_> = vhost.read(|topology| topology.named_queues().cloned().collect());
        queues.iter().map(|queue| implicit(&queue.spec.name)).collect()
    } else {
        vhost.read(|topology| topology.bindings_of(source))
    };
    all.sort_by(|one: &Binding, other| (&one.destination, &one.key).cmp(&(&other.destination, &other.key)));
    all.iter().map(|binding| shown(vhost, binding)).collect()
}

/// Those that lead to a queue or an exchange.
pub(super) fn leading_to(vhost: &Vhost, destination: &Destination) -> Vec<Value> {
    let mut all = vhost.read(|topology| topology.bindings_to(destination));
    if let Destination::Queue(name) = destination {
        all.push(implicit(name));
    }
    all.sort_by(|one, other| (&one.source, &one.key).cmp(&(&other.source, &other.key)));
    all.iter().map(|binding| shown(vhost, binding)).collect()
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    let of = |vhost: &std::sync::Arc<Vhost>| {
        bindings_of(vhost).iter().map(|binding| shown(vhost, binding)).collect::<Vec<_>>()
    };
    listing.answer(visitor.all_seen(&api).await.iter().flat_map(of).collect::<Vec<_>>())
}

async fn of_vhost(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    listing.answer(bindings_of(&vhost).iter().map(|binding| shown(&vhost, binding)).collect::<Vec<_>>())
}

/// Two ends, as an address names them.
struct Ends {
    source: ShortString,
    destination: Destination,
}

impl Ends {
    fn of(source: &str, kind: &str, destination: &str) -> Answered<Self> {
        let source = if source == "amq.default" { ShortString::default() } else { name(source)? };
        let destination = match kind {
            "q" => Destination::Queue(name(destination)?),
            "e" => Destination::Exchange(name(destination)?),
            _ => return Err(Failure::NotFound),
        };
        Ok(Self { source, destination })
    }

    /// The bindings between them: 404 if one of them is not there.
    fn bindings(&self, vhost: &Vhost) -> Answered<Vec<Binding>> {
        vhost.read(|topology| {
            let is_there = topology.has_exchange(&self.source)
                && match &self.destination {
                    Destination::Queue(name) => topology.queue(name).is_some(),
                    Destination::Exchange(name) => topology.has_exchange(name),
                };
            if !is_there {
                return Err(Failure::NotFound);
            }
            if let (true, Destination::Queue(queue)) = (self.source.is_empty(), &self.destination) {
                return Ok(vec![implicit(queue)]);
            }
            let mut all = topology.bindings_of(&self.source);
            all.retain(|binding| binding.destination == self.destination);
            Ok(all)
        })
    }
}

async fn between(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, source, kind, destination)): Path<(String, String, String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let bindings = Ends::of(&source, &kind, &destination)?.bindings(&vhost)?;
    listing.answer(bindings.iter().map(|binding| shown(&vhost, binding)).collect::<Vec<_>>())
}

/// The binding that a key in an address means. The address was decoded once, and a key is shown encoded: it is looked for as it is first,
/// and only if there is none such, decoded, if that is one alone.
fn find(bindings: &[Binding], key: &str) -> Answered<Binding> {
    if let Some(exact) = bindings.iter().find(|binding| properties_key(binding) == key) {
        return Ok(exact.clone());
    }
    let decoded = |binding: &&Binding| {
        percent_encoding::percent_decode_str(&properties_key(binding)).decode_utf8_lossy() == key
    };
    let mut found = bindings.iter().filter(decoded);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.clone()),
        (None, _) => Err(Failure::NotFound),
        (Some(_), Some(_)) => Err(bad_request("several bindings have such a key: encode it twice")),
    }
}

async fn one(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, source, kind, destination, key)): Path<(String, String, String, String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let binding = find(&Ends::of(&source, &kind, &destination)?.bindings(&vhost)?, &key)?;
    Ok(listing.answer_one(&shown(&vhost, &binding)))
}

async fn bind(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, source, kind, destination)): Path<(String, String, String, String)>,
    body: Bytes,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    let Ends { source, destination } = Ends::of(&source, &kind, &destination)?;
    let body = Body::read(&body)?;
    let (key, arguments) = (body.name("routing_key")?.unwrap_or_default(), body.table("arguments")?);
    let binding = Binding { source, destination, key, arguments };
    let Binding { source, destination, key: routing_key, arguments } = binding.clone();
    match destination {
        Destination::Queue(queue) => {
            let bind = queue::Bind { queue, exchange: source, routing_key, no_wait: false, arguments };
            visitor.call(&api, &vhost, &bind).await?;
        }
        Destination::Exchange(destination) => {
            let bind = exchange::Bind { destination, source, routing_key, no_wait: false, arguments };
            visitor.call(&api, &vhost, &bind).await?;
        }
    }
    Ok(created(&binding))
}

/// 201, and where the binding is: relative, as RabbitMQ says it.
fn created(binding: &Binding) -> Response {
    let destination = match &binding.destination {
        Destination::Queue(name) | Destination::Exchange(name) => name,
    };
    let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let place = format!("{}/{}", encoded(&destination.as_str_lossy()), encoded(&properties_key(binding)));
    (StatusCode::CREATED, [(header::LOCATION, place)]).into_response()
}

async fn unbind(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, source, kind, destination, key)): Path<(String, String, String, String, String)>,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    let Binding { source, destination, key: routing_key, arguments } =
        find(&Ends::of(&source, &kind, &destination)?.bindings(&vhost)?, &key)?;
    if source.is_empty() {
        return Err(bad_request("the default exchange has the bindings that it has"));
    }
    match destination {
        Destination::Queue(queue) => {
            let unbind = queue::Unbind { queue, exchange: source, routing_key, arguments };
            visitor.call(&api, &vhost, &unbind).await?;
        }
        Destination::Exchange(destination) => {
            let unbind = exchange::Unbind { destination, source, routing_key, no_wait: false, arguments };
            visitor.call(&api, &vhost, &unbind).await?;
        }
    }
    Ok(done())
}
