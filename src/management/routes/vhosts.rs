//! Virtual hosts: made, changed, deleted.

use axum::{body::Bytes, extract::State};
use serde_json::{Value, json};

use super::{done, permissions, put};
use crate::broker::Vhost;
use crate::core::declared::QueueType;
use crate::management::{
    Api,
    body::{Body, name},
    extract::{Path, Query},
    failure::{Answered, Failure},
    json::{text, texts},
    listing::Listing,
    openapi::{Kind, Routes, may},
    samples::{Ages, Subject, message_stats},
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("vhosts", "Virtual hosts")
        .list("/api/vhosts", all, "List virtual hosts")
        .get("/api/vhosts/{vhost}", one, "Look at a virtual host")
        .put("/api/vhosts/{vhost}", set, "Set a virtual host; what is not said stays")
        .taking([
            may("description", Kind::Text),
            may("tags", Kind::Any),
            may("default_queue_type", Kind::Text),
            may("tracing", Kind::Flag),
        ])
        .for_administrators()
        .delete("/api/vhosts/{vhost}", remove, "Delete a virtual host with all that is in it")
        .for_administrators()
        .list("/api/vhosts/{vhost}/permissions", permissions_in, "List the permissions in a virtual host")
        .for_administrators()
        .list(
            "/api/vhosts/{vhost}/topic-permissions",
            topic_permissions_in,
            "List the topic permissions in a virtual host",
        )
        .for_administrators()
        .post("/api/vhosts/{vhost}/start/{node}", start, "Start a virtual host: it runs")
        .answering(&[204])
        .for_administrators()
}

/// A virtual host as RabbitMQ shows it.
fn shown(api: &Api, vhost: &Vhost, ages: Ages) -> Value {
    let settings = vhost.read(|topology| topology.settings().clone());
    let subject = Subject::Vhost(vhost.name.clone());
    let (change, last) = (api.samples.change(&subject, ages), api.samples.last(&subject));
    let (ready, unacked) = vhost.message_totals();
    let queue_type = settings.default_queue_type.map(QueueType::name);
    let mut shown = json!({
        "cluster_state": { &*api.node.name: "running" },
        "default_queue_type": queue_type.unwrap_or("undefined"),
        "description": settings.description,
        "messages": ready + unacked,
        "messages_details": change.level(|figures| figures.ready + figures.unacked),
        "messages_ready": ready,
        "messages_ready_details": change.level(|figures| figures.ready),
        "messages_unacknowledged": unacked,
        "messages_unacknowledged_details": change.level(|figures| figures.unacked),
        "metadata": { "description": settings.description, "tags": texts(&settings.tags) },
        "name": text(&vhost.name),
        "protected_from_deletion": false,
        "recv_oct": last.received.bytes,
        "recv_oct_details": change.flow(|figures| figures.received.bytes),
        "send_oct": last.sent.bytes,
        "send_oct_details": change.flow(|figures| figures.sent.bytes),
        "tags": texts(&settings.tags),
        "tracing": settings.tracing,
        "leveret": { "publishers_blocked": vhost.share.is_exceeded() },
    });
    if let Some(queue_type) = queue_type {
        shown["metadata"]["default_queue_type"] = json!(queue_type);
    }
    if let Some(stats) = message_stats(&api.broker.counts_of(vhost), &change) {
        shown["message_stats"] = stats;
    }
    shown
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    listing.answer(
        visitor
            .all_seen(&api)
            .await
            .iter()
            .map(|vhost| shown(&api, vhost, listing.ages()))
            .collect::<Vec<_>>(),
    )
}

async fn one(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    Ok(listing.answer_one(&shown(&api, &vhost, listing.ages())))
}

async fn set(visitor: Visitor, State(api): State<Api>, Path(vhost): Path<String>, body: Bytes) -> Answered {
    visitor.require_administrator()?;
    let body = Body::read(&body)?;
    name(&vhost)?;
    let before = api.broker.vhosts.find(vhost.as_bytes());
    // What is not said stays.
    let settings = before.as_ref().map(|vhost| vhost.read(|topology| topology.settings().clone()));
    let settings = settings.unwrap_or_default();
    let description = body.text("description")?.map_or(settings.description, str::to_owned);
    let tags = if body.get("tags").is_some() { body.tags("tags")? } else { settings.tags };
    let queue_type = body.text("default_queue_type")?.or(settings.default_queue_type.map(QueueType::name));
    let document = json!({ "vhosts": [{
        "name": vhost,
        "description": description,
        "tags": texts(&tags),
        "default_queue_type": queue_type,
        "tracing": body.flag("tracing", settings.tracing)?,
    }] });
    // RabbitMQ gives who makes a virtual host all permissions in it.
    let maker = visitor.identity.authority.is_of_own_user().then(|| visitor.name());
    api.import_for(document, maker).await?;
    Ok(put(before.is_none()))
}

async fn remove(visitor: Visitor, State(api): State<Api>, Path(vhost): Path<String>) -> Answered {
    visitor.require_administrator()?;
    let commits = api.broker.delete_vhost(&name(&vhost)?).ok_or(Failure::NotFound)?;
    api.broker.kept(&commits).await;
    Ok(done())
}

async fn permissions_in(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    let vhost = visitor.seen(&api, &vhost).await?;
    listing.answer(permissions::all_of(&api, |spec| spec.vhost == vhost.name))
}

async fn topic_permissions_in(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    let vhost = visitor.seen(&api, &vhost).await?;
    listing.answer(permissions::all_topics_of(&api, |spec| spec.vhost == vhost.name))
}

/// A virtual host of the only node runs as long as that.
async fn start(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, _node)): Path<(String, String)>,
) -> Answered {
    visitor.require_administrator()?;
    api.vhost(&vhost)?;
    Ok(done())
}
