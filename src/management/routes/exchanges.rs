//! Exchanges: what there is, declared and deleted, and published to.

use axum::{Json, body::Bytes, extract::State, response::IntoResponse};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bindings, done, put, queues::says_yes};
use crate::broker::Vhost;
use crate::core::declared::{Destination, ExchangeSpec, PolicyKind};
use crate::management::{
    Api,
    body::{Body, name},
    extract::{Asked, Path, Query},
    failure::{Answered, Failure, bad_request},
    json::{table, text},
    listing::Listing,
    openapi::{Kind, Routes, may, must},
    samples::{Ages, Subject, exchange_stats},
    visitor::Visitor,
};
use crate::protocol::{Properties, ShortString, basic, exchange};

/// The name in addresses of the exchange without a name.
const DEFAULT: &str = "amq.default";

pub(super) fn routes() -> Routes {
    Routes::about("exchanges", "Exchanges, and messages published to them")
        .list("/api/exchanges", all, "List exchanges")
        .list("/api/exchanges/{vhost}", of_vhost, "List the exchanges of a virtual host")
        .get("/api/exchanges/{vhost}/{exchange}", one, "Look at an exchange")
        .put("/api/exchanges/{vhost}/{exchange}", declare, "Declare an exchange")
        .taking([
            may("type", Kind::Text),
            may("durable", Kind::Flag),
            may("auto_delete", Kind::Flag),
            may("internal", Kind::Flag),
            may("arguments", Kind::Object),
        ])
        .delete("/api/exchanges/{vhost}/{exchange}", remove, "Delete an exchange")
        .post(
            "/api/exchanges/{vhost}/{exchange}/publish",
            publish,
            "Publish a message; the answer says whether it was routed",
        )
        .taking([
            must("routing_key", Kind::Text),
            must("payload", Kind::Text),
            must("payload_encoding", Kind::Text),
            may("properties", Kind::Object),
        ])
        .list(
            "/api/exchanges/{vhost}/{exchange}/bindings/source",
            bindings_from,
            "List the bindings that begin at an exchange",
        )
        .list(
            "/api/exchanges/{vhost}/{exchange}/bindings/destination",
            bindings_to,
            "List the bindings that lead to an exchange",
        )
}

/// An exchange as RabbitMQ shows it.
fn shown(api: &Api, vhost: &Vhost, spec: &ExchangeSpec, ages: Ages) -> Value {
    let (counts, policy, operator_policy) = vhost.read(|topology| {
        let name = |kind| topology.policy_of_exchange(kind, spec).map(|policy| text(&policy.spec.name));
        let counts = topology.counts_of_exchange(&spec.name).unwrap_or_default();
        (counts, name(PolicyKind::User), name(PolicyKind::Operator))
    });
    let mut shown = json!({
        "arguments": table(&spec.arguments),
        "auto_delete": spec.auto_delete,
        "durable": spec.durable,
        "internal": spec.internal,
        "name": text(&spec.name),
        "type": spec.kind.name(),
        "user_who_performed_action": "rmq-internal",
        "vhost": text(&vhost.name),
    });
    if let Some(policy) = policy {
        shown["policy"] = policy;
    }
    if let Some(policy) = operator_policy {
        shown["operator_policy"] = policy;
    }
    let change = api.samples.change(&Subject::Exchange(vhost.name.clone(), spec.name.clone()), ages);
    if let Some(stats) = exchange_stats(&counts, &change) {
        shown["message_stats"] = stats;
    }
    shown
}

fn shown_of(api: &Api, vhost: &Vhost, ages: Ages) -> Vec<Value> {
    let mut specs: Vec<_> = vhost.read(|topology| topology.exchanges().cloned().collect());
    specs.sort_by(|one: &ExchangeSpec, other| one.name.cmp(&other.name));
    specs.iter().map(|spec| shown(api, vhost, spec, ages)).collect()
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    listing.answer(
        visitor
            .all_seen(&api)
            .await
            .iter()
            .flat_map(|vhost| shown_of(&api, vhost, listing.ages()))
            .collect::<Vec<_>>(),
    )
}

async fn of_vhost(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    listing.answer(shown_of(&api, &vhost, listing.ages()))
}

/// The name that an address means.
fn meant(name: &str) -> &[u8] {
    if name == DEFAULT { b"" } else { name.as_bytes() }
}

/// The name of an exchange that an address means.
pub(super) fn name_of(name: &str) -> Answered<ShortString> {
    if name == DEFAULT { Ok(ShortString::default()) } else { crate::management::body::name(name) }
}

/// The exchange that an address means: 404 if there is none.
pub(super) fn find(vhost: &Vhost, name: &str) -> Answered<ExchangeSpec> {
    let wanted = meant(name);
    let found = vhost.read(|topology| topology.exchanges().find(|spec| *spec.name == *wanted).cloned());
    found.ok_or(Failure::NotFound)
}

async fn one(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let mut item = shown(&api, &vhost, &find(&vhost, &exchange)?, listing.ages());
    item["incoming"] = json!([]);
    item["outgoing"] = json!([]);
    Ok(listing.answer_one(&item))
}

async fn declare(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    let body = Body::read(&body)?;
    let is_new = find(&vhost, &exchange).is_err();
    let declare = exchange::Declare {
        exchange: name(&exchange)?,
        type_: name(body.text("type")?.unwrap_or("direct"))?,
        durable: body.flag("durable", false)?,
        auto_delete: body.flag("auto_delete", false)?,
        internal: body.flag("internal", false)?,
        arguments: body.table("arguments")?,
        ..exchange::Declare::default()
    };
    visitor.call(&api, &vhost, &declare).await?;
    Ok(put(is_new))
}

/// What may be asked of a deletion.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Conditions {
    if_unused: Option<String>,
}

impl Asked for Conditions {
    const PARAMETERS: &'static [(&'static str, &'static str)] =
        &[("if-unused", "true: only if nothing is bound to it")];
}

async fn remove(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    Query(conditions): Query<Conditions>,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    let spec = find(&vhost, &exchange)?;
    let if_unused = says_yes(conditions.if_unused.as_ref());
    let delete = exchange::Delete { exchange: spec.name, if_unused, ..exchange::Delete::default() };
    visitor.call(&api, &vhost, &delete).await?;
    Ok(done())
}

async fn publish(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    let spec = find(&vhost, &exchange)?;
    let body = Body::read(&body)?;
    let routing_key = name(body.required_text("routing_key")?)?;
    let payload = body.required_text("payload")?;
    let payload = match body.required_text("payload_encoding")? {
        "string" => payload.as_bytes().to_vec(),
        "base64" => {
            BASE64_STANDARD.decode(payload).map_err(|error| bad_request(format!("payload: {error}")))?
        }
        other => {
            return Err(bad_request(format!("Unsupported encoding: {other}. Please use string or base64.")));
        }
    };
    if payload.len() as u64 > api.broker.config.max_message_size {
        return Err(bad_request("payload is larger than max-message-size"));
    }
    let properties = properties(&body)?;
    let publish = basic::Publish { exchange: spec.name, routing_key, ..basic::Publish::default() };
    let mut client = visitor.client(&api, &vhost).await?;
    let routed = client.publish(&publish, &properties, &payload).await;
    client.close().await;
    Ok(Json(json!({ "routed": routed? })).into_response())
}

/// The properties that a request gives to its message. Numbers may be written as texts.
pub(super) fn properties(body: &Body) -> Answered<Properties> {
    let given = match body.get("properties") {
        None => Body::default(),
        Some(Value::Array(list)) if list.is_empty() => Body::default(),
        Some(value) => Body::of(value)?,
    };
    let text = |key: &str| -> Answered<Option<ShortString>> {
        match given.get(key) {
            Some(Value::Number(number)) => name(&number.to_string()).map(Some),
            _ => given.name(key),
        }
    };
    let octet = |key: &str| -> Answered<Option<u8>> {
        let octet = |number: i64| {
            u8::try_from(number).map_err(|_| bad_request(format!("{key} is no octet: {number}")))
        };
        given.whole(key)?.map(octet).transpose()
    };
    let timestamp = given.whole("timestamp")?.map(|seconds| seconds.unsigned_abs());
    Ok(Properties {
        content_type: text("content_type")?,
        content_encoding: text("content_encoding")?,
        headers: given.get("headers").map(|_| given.table("headers")).transpose()?,
        delivery_mode: octet("delivery_mode")?,
        priority: octet("priority")?,
        correlation_id: text("correlation_id")?,
        reply_to: text("reply_to")?,
        expiration: text("expiration")?,
        message_id: text("message_id")?,
        timestamp,
        type_: text("type")?,
        user_id: text("user_id")?,
        app_id: text("app_id")?,
        cluster_id: text("cluster_id")?,
    })
}

async fn bindings_from(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let name = find(&vhost, &exchange)?.name;
    listing.answer(bindings::beginning_at(&vhost, &name))
}

async fn bindings_to(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let name = find(&vhost, &exchange)?.name;
    listing.answer(bindings::leading_to(&vhost, &Destination::Exchange(name)))
}
