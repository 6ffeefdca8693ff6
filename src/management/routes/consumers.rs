//! Consumers.

use std::{collections::HashMap, sync::Arc};

use axum::extract::State;
use serde_json::{Value, json};

use super::{channels, connections::Item};
use crate::broker::Vhost;
use crate::core::{
    outbox::SharedOutbox,
    queue::{ConsumerShown, SharedQueue},
};
use crate::management::{
    Api,
    extract::{Path, Query},
    failure::Answered,
    json::{table, text},
    listing::Listing,
    openapi::Routes,
    samples::Ages,
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("consumers", "Consumers of queues").list("/api/consumers", all, "List consumers").list(
        "/api/consumers/{vhost}",
        of_vhost,
        "List the consumers of a virtual host",
    )
}

/// The connections, by their outboxes.
type ByOutbox = HashMap<*const parking_lot::Mutex<crate::core::outbox::Outbox>, Item>;

fn connections(api: &Api, vhost: &Vhost) -> ByOutbox {
    let connections = api.broker.connections.with_outboxes(&vhost.name);
    let item = |(id, info, outbox): (_, _, SharedOutbox)| {
        (Arc::as_ptr(&outbox), Item { api: api.clone(), id, info, ages: Ages::default() })
    };
    connections.into_iter().map(item).collect()
}

/// A consumer as RabbitMQ shows it. One whose connection has just gone is not shown.
fn shown(
    vhost: &Vhost,
    queue: &SharedQueue,
    consumer: &ConsumerShown,
    connections: &ByOutbox,
) -> Option<Value> {
    let connection = connections.get(&Arc::as_ptr(&consumer.outbox))?;
    let info = &connection.info;
    let activity = match (queue.spec.single_active_consumer(), consumer.is_active) {
        (true, true) => "single_active",
        (true, false) => "waiting",
        (false, _) => "up",
    };
    Some(json!({
        "ack_required": !consumer.no_ack,
        "active": consumer.is_active,
        "activity_status": activity,
        "arguments": table(&consumer.arguments),
        "channel_details": {
            "connection_name": info.name(),
            "name": channels::name(connection, consumer.channel),
            "node": connection.api.node.name,
            "number": consumer.channel,
            "peer_host": info.peer.ip().to_string(),
            "peer_port": info.peer.port(),
            "user": text(&info.user),
        },
        "consumer_tag": text(&consumer.tag),
        "exclusive": consumer.exclusive,
        "messages_unacknowledged": consumer.unacked,
        "prefetch_count": consumer.prefetch,
        "priority": consumer.priority,
        "queue": { "name": text(&queue.spec.name), "vhost": text(&vhost.name) },
    }))
}

/// Those of one queue.
pub(super) fn of_queue(api: &Api, vhost: &Vhost, queue: &SharedQueue) -> Vec<Value> {
    let consumers = queue.consumers_shown();
    if consumers.is_empty() {
        return Vec::new();
    }
    let connections = connections(api, vhost);
    consumers.iter().filter_map(|consumer| shown(vhost, queue, consumer, &connections)).collect()
}

/// Those in a virtual host that somebody sees: its own, or with the tag for it all (RabbitMQ).
fn of(api: &Api, visitor: &Visitor, vhost: &Vhost) -> Vec<Value> {
    let mut queues: Vec<_> = vhost.read(|topology| topology.named_queues().cloned().collect());
    queues.sort_by(|one: &Arc<SharedQueue>, other| one.spec.name.cmp(&other.spec.name));
    let mut connections = connections(api, vhost);
    connections.retain(|_, item| visitor.is_monitor() || item.info.user == *visitor.name());
    let mut all = Vec::new();
    for queue in queues {
        let consumers = queue.consumers_shown();
        all.extend(consumers.iter().filter_map(|consumer| shown(vhost, &queue, consumer, &connections)));
    }
    all
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    listing.answer(
        visitor.all_seen(&api).await.iter().flat_map(|vhost| of(&api, &visitor, vhost)).collect::<Vec<_>>(),
    )
}

async fn of_vhost(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    listing.answer(of(&api, &visitor, &vhost))
}
