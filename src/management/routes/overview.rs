//! What there is in all, and what is this.

use axum::{Json, extract::State, response::IntoResponse};
use serde_json::{Map, Value, json};

use crate::core::routing::ExchangeKind;
use crate::management::{
    Api,
    body::Body,
    extract::{Path, Query},
    failure::{Answered, Failure},
    listing::Listing,
    openapi::{Kind, Routes, document, must},
    samples::{self, Ages, Figures, Subject, message_stats},
    visitor::Visitor,
};

/// The version of RabbitMQ whose API this is: some clients choose by it what they ask for.
pub(super) const RABBITMQ_VERSION: &str = crate::connection::COMPATIBLE_VERSION;

pub(super) fn routes() -> Routes {
    Routes::about("overview", "The broker as a whole")
        .get("/api/overview", overview, "See what is going on, at a glance")
        .get("/api/cluster-name", cluster_name, "See the name of the cluster")
        .put("/api/cluster-name", set_cluster_name, "Name the cluster")
        .taking([must("name", Kind::Text)])
        .answering(&[204])
        .for_administrators()
        .get("/api/version", version, "See the version of RabbitMQ that is spoken")
        .get("/api/extensions", extensions, "See extensions of RabbitMQ's web page")
        .list("/api/feature-flags", feature_flags, "List feature flags")
        .for_monitors()
        .put("/api/feature-flags/{flag}/enable", enable, "Enable a feature flag: all of them are")
        .answering(&[204])
        .for_administrators()
        .list("/api/deprecated-features", deprecated, "List what RabbitMQ will do without some day")
        .list("/api/deprecated-features/used", nothing, "List what is used of that: it is not counted")
        .get("/api/leveret/openapi.json", openapi, "Get this document")
}

/// What came and went, by RabbitMQ's names, in the order of [`Figures::churn`].
const CHURN: [&str; 7] = [
    "connection_created",
    "connection_closed",
    "channel_created",
    "channel_closed",
    "queue_declared",
    "queue_created",
    "queue_deleted",
];

async fn overview(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    let vhosts = visitor.all_seen(&api).await;
    let queues: Vec<_> = vhosts
        .iter()
        .flat_map(|vhost| vhost.read(|topology| topology.named_queues().cloned().collect::<Vec<_>>()))
        .collect();
    let totals = vhosts.iter().map(|vhost| vhost.message_totals());
    let (ready, unacked) = totals.fold((0, 0), |(ready, unacked), its| (ready + its.0, unacked + its.1));
    let exchanges: usize =
        vhosts.iter().map(|vhost| vhost.read(|topology| topology.exchanges().count())).sum();
    let consumers: usize = queues.iter().map(|queue| queue.status().consumers).sum();
    let connections = super::connections::seen(&api, &visitor, listing.ages());
    let channels: usize = connections
        .iter()
        .filter_map(|item| api.broker.connections.figures_of(item.id))
        .map(|its| its.channels.len())
        .sum();
    let change = api.samples.change(&Subject::Broker, listing.ages());
    // Who does not see everything is shown its own virtual hosts.
    let counts = if visitor.is_monitor() { api.broker.counts() } else { api.broker.counts_of_all(&vhosts) };
    let mut shown = json!({
        "cluster_name": api.cluster_name(),
        "cluster_tags": [],
        "contexts": contexts(&api),
        "default_queue_type": "classic",
        "disable_stats": false,
        "enable_queue_totals": false,
        "erlang_full_version": "none",
        "erlang_version": "none",
        "exchange_types": exchange_types(),
        "is_op_policy_updating_enabled": true,
        "listeners": listeners(&api),
        "management_version": RABBITMQ_VERSION,
        "message_stats": message_stats(&counts, &change).unwrap_or_else(|| json!({})),
        "churn_rates": churn(&api),
        "node": api.node.name,
        "node_tags": [],
        "object_totals": {
            "channels": channels,
            "connections": connections.len(),
            "consumers": consumers,
            "exchanges": exchanges,
            "queues": queues.len(),
        },
        "product_name": "Leveret",
        "product_version": env!("CARGO_PKG_VERSION"),
        "queue_totals": {
            "messages": ready + unacked,
            "messages_details": change.level(|figures| figures.ready + figures.unacked),
            "messages_ready": ready,
            "messages_ready_details": change.level(|figures| figures.ready),
            "messages_unacknowledged": unacked,
            "messages_unacknowledged_details": change.level(|figures| figures.unacked),
        },
        "rabbitmq_version": RABBITMQ_VERSION,
        "rates_mode": "basic",
        "release_series_support_status": "none",
        "sample_retention_policies": { "basic": [600, 3600], "detailed": [600], "global": [600, 3600, 28800, 86400] },
        "statistics_db_event_queue": 0,
    });
    if !visitor.is_monitor() {
        // What is of the node is not for everybody (RabbitMQ).
        if let Some(object) = shown.as_object_mut() {
            for key in ["listeners", "contexts", "churn_rates"] {
                object.remove(key);
            }
        }
    }
    Ok(listing.answer_one(&shown))
}

fn churn(api: &Api) -> Value {
    let (change, now) = (api.samples.change(&Subject::Broker, Ages::default()), samples::churn(&api.broker));
    let mut shown = Map::new();
    for (at, name) in CHURN.into_iter().enumerate() {
        shown.insert(name.into(), json!(now[at]));
        shown.insert(format!("{name}_details"), change.count(|figures: &Figures| figures.churn[at]));
    }
    Value::Object(shown)
}

/// The types of exchanges, as RabbitMQ lists them.
pub(super) fn exchange_types() -> Value {
    let shown = |kind: ExchangeKind| json!({ "name": kind.name(), "description": "", "enabled": true });
    ExchangeKind::ALL.into_iter().map(shown).collect()
}

/// Where it listens.
pub(super) fn listeners(api: &Api) -> Value {
    let shown = |(protocol, address): &(&str, std::net::SocketAddr)| {
        json!({
            "ip_address": address.ip().to_string(),
            "node": api.node.name,
            "port": address.port(),
            "protocol": protocol,
            "socket_opts": {},
            "tls": protocol.ends_with("ssl") || *protocol == "https",
        })
    };
    api.node.listeners.iter().map(shown).collect()
}

/// Where it listens for HTTP.
pub(super) fn contexts(api: &Api) -> Value {
    let http = api.node.listeners.iter().filter(|(protocol, _)| matches!(*protocol, "http" | "https"));
    let shown = |(protocol, address): &(&str, std::net::SocketAddr)| {
        json!({
            "cowboy_opts": "[]",
            "description": "RabbitMQ Management",
            "ip": address.ip().to_string(),
            "node": api.node.name,
            "path": "/",
            "port": address.port().to_string(),
            "protocol": protocol,
            "ssl_opts": [],
        })
    };
    http.map(shown).collect()
}

async fn cluster_name(_: Visitor, State(api): State<Api>) -> Answered {
    Ok(Json(json!({ "name": api.cluster_name() })).into_response())
}

async fn set_cluster_name(visitor: Visitor, State(api): State<Api>, body: axum::body::Bytes) -> Answered {
    visitor.require_administrator()?;
    let body = Body::read(&body)?;
    let name = body.required_text("name")?;
    api.import(json!({ "global_parameters": [{ "name": "cluster_name", "value": name }] })).await?;
    Ok(super::done())
}

async fn version(_: Visitor) -> Answered {
    Ok(Json(json!(RABBITMQ_VERSION)).into_response())
}

/// Of pages in the browser: the one of RabbitMQ's own.
async fn extensions(_: Visitor) -> Answered {
    Ok(Json(json!([{ "javascript": "dispatcher.js" }])).into_response())
}

/// The flags of RabbitMQ 3.13 that a node of its must have: what they stand for is here.
const FLAGS: [&str; 10] = [
    "classic_mirrored_queue_version",
    "direct_exchange_routing_v2",
    "drop_unroutable_metric",
    "empty_basic_get_metric",
    "feature_flags_v2",
    "implicit_default_bindings",
    "maintenance_mode_status",
    "quorum_queue",
    "user_limits",
    "virtual_host_metadata",
];

async fn feature_flags(visitor: Visitor, Query(listing): Query<Listing>) -> Answered {
    visitor.require_monitor()?;
    let shown = |name: &str| {
        json!({
            "name": name, "state": "enabled", "stability": "required", "desc": "", "doc_url": "", "provided_by": "leveret",
        })
    };
    listing.answer(FLAGS.into_iter().map(shown).collect::<Vec<_>>())
}

/// They are enabled.
async fn enable(visitor: Visitor, Path(flag): Path<String>) -> Answered {
    visitor.require_administrator()?;
    if FLAGS.contains(&&*flag) { Ok(super::done()) } else { Err(Failure::NotFound) }
}

/// What RabbitMQ would do without some day. Nothing of it is refused here.
async fn deprecated(_: Visitor, Query(listing): Query<Listing>) -> Answered {
    let shown = |name: &str| {
        json!({
            "name": name, "deprecation_phase": "permitted_by_default", "desc": "", "doc_url": "", "provided_by": "leveret",
        })
    };
    listing.answer(["global_qos", "transient_nonexcl_queues"].into_iter().map(shown).collect::<Vec<_>>())
}

async fn nothing(_: Visitor, Query(listing): Query<Listing>) -> Answered {
    listing.answer(Vec::<Value>::new())
}

/// The table of all routes as an `OpenAPI` document.
async fn openapi(_: Visitor, State(api): State<Api>) -> Answered {
    let document = api.openapi.get_or_init(|| document(&super::all()));
    Ok(Json(document).into_response())
}
