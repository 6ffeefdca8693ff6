//! Where a message would go: worked out as for one that is published, but there is none.

use axum::{Json, body::Bytes, extract::State, response::IntoResponse};
use serde_json::{Value, json};

use super::super::{bindings, exchanges};
use crate::broker::Vhost;
use crate::core::{
    declared::{Binding, ExchangeSpec},
    routing::{self, Addressing, ExchangeKind, extra_keys},
};
use crate::limits::TRIED_BINDINGS_SHOWN_MAX;
use crate::management::{
    Api,
    body::{Body, name},
    extract::Path,
    failure::{Answered, bad_request},
    json::text,
    openapi::{Kind, Routes, may},
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("route", "Where messages would go")
        .post("/api/leveret/exchanges/{vhost}/{exchange}/route", route, "See where a message would go")
        .taking([may("routing_key", Kind::Text), may("properties", Kind::Object)])
}

async fn route(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let spec = exchanges::find(&vhost, &exchange)?;
    let body = Body::read(&body)?;
    let key = name(body.text("routing_key")?.unwrap_or_default())?;
    let properties = exchanges::properties(&body)?;
    let headers = properties.headers.as_ref();
    let mut keys: Vec<&[u8]> = vec![&key];
    keys.extend(extra_keys(headers).map_err(|error| bad_request(error.to_string()))?);
    let message = Addressing {
        headers,
        message_id: properties.message_id.as_deref(),
        correlation_id: properties.correlation_id.as_deref(),
        timestamp: properties.timestamp,
        ..Addressing::by_keys(&keys)
    };
    // Internal ones are open to it: nothing is sent.
    let route = vhost
        .read(|topology| topology.route_within(&spec.name, &message))
        .map_err(|error| bad_request(error.text))?;
    let mut queues: Vec<_> = route.queues.iter().map(|queue| queue.spec.name.clone()).collect();
    queues.sort_unstable();
    Ok(Json(json!({
        "routed": !queues.is_empty(),
        "queues": queues.iter().map(|name| text(name)).collect::<Vec<_>>(),
        "by_chance": is_by_chance(&spec),
        "bindings": tried(&vhost, &spec, &message),
    }))
    .into_response())
}

/// Whether the exchange itself draws lots: the next message may go elsewhere.
fn is_by_chance(spec: &ExchangeSpec) -> bool {
    matches!(spec.routes_as(), ExchangeKind::Random | ExchangeKind::LocalRandom)
}

/// The bindings that begin at the exchange, and whether each of them matches; null where the exchange chooses one of all.
fn tried(vhost: &Vhost, spec: &ExchangeSpec, message: &Addressing<'_>) -> Vec<Value> {
    let mut all = vhost.read(|topology| topology.bindings_of(&spec.name));
    all.sort_by(|one, other| (&one.destination, &one.key).cmp(&(&other.destination, &other.key)));
    let shown = |binding: &Binding| {
        let mut shown = bindings::shown(vhost, binding);
        shown["matches"] = json!(matches(spec, binding, message));
        shown
    };
    all.iter().take(TRIED_BINDINGS_SHOWN_MAX).map(shown).collect()
}

/// Whether a binding alone would let a message through.
fn matches(spec: &ExchangeSpec, binding: &Binding, message: &Addressing<'_>) -> Option<bool> {
    let mut router = routing::Router::new(spec.kind, &spec.arguments);
    if router.chooses_one() {
        return None;
    }
    router.bind(&binding.key, &binding.arguments, binding.destination.clone());
    let mut is_found = false;
    router.route(message, &mut |_| is_found = true);
    Some(is_found)
}
