//! Channels.

use axum::extract::State;
use serde_json::{Value, json};

use super::connections::{self, Item};
use crate::core::window::ChannelFigures;
use crate::management::{
    Api,
    extract::{Path, Query},
    failure::{Answered, Failure},
    json::text,
    listing::Listing,
    openapi::Routes,
    samples::{Subject, message_stats},
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("channels", "Channels that are open")
        .list("/api/channels", all, "List channels")
        .list("/api/connections/{connection}/channels", in_connection, "List the channels of a connection")
        .get("/api/channels/{channel}", one, "Look at a channel")
        .list("/api/vhosts/{vhost}/channels", of_vhost, "List the channels of a virtual host")
}

/// A channel as RabbitMQ shows it.
fn shown(connection: &Item, number: u16, figures: &ChannelFigures) -> Value {
    let Item { api, id, info, ages } = connection;
    let mut shown = json!({
        "acks_uncommitted": figures.uncommitted_acks,
        "confirm": figures.confirms,
        "connection_details": {
            "name": info.name(),
            "peer_host": info.peer.ip().to_string(),
            "peer_port": info.peer.port(),
        },
        "consumer_count": figures.consumers,
        "global_prefetch_count": figures.prefetch_global,
        "messages_unacknowledged": figures.unacked,
        "messages_uncommitted": 0,
        "messages_unconfirmed": figures.unconfirmed,
        "name": name(connection, number),
        "node": api.node.name,
        "number": number,
        "pending_raft_commands": 0,
        "prefetch_count": figures.prefetch,
        "state": "running",
        "transactional": figures.is_transactional,
        "user": text(&info.user),
        "user_who_performed_action": text(&info.user),
        "vhost": text(&info.vhost),
    });
    if let Some(stats) =
        message_stats(&figures.counts, &api.samples.change(&Subject::Channel(*id, number), *ages))
    {
        shown["message_stats"] = stats;
    }
    shown
}

/// Its name: that of its connection, and its number.
pub(super) fn name(connection: &Item, number: u16) -> String {
    format!("{} ({number})", connection.info.name())
}

/// Those of one connection, by number.
pub(super) fn of_connection(connection: &Item) -> Vec<Value> {
    let figures = connection.api.broker.connections.figures_of(connection.id);
    let channels = figures.into_iter().flat_map(|figures| figures.channels);
    channels.map(|(number, figures)| shown(connection, number, &figures)).collect()
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    listing.answer(
        connections::seen(&api, &visitor, listing.ages()).iter().flat_map(of_connection).collect::<Vec<_>>(),
    )
}

async fn of_vhost(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let connections = connections::seen(&api, &visitor, listing.ages());
    let there = connections.iter().filter(|item| item.info.vhost == vhost.name);
    listing.answer(there.flat_map(of_connection).collect::<Vec<_>>())
}

async fn one(
    visitor: Visitor,
    State(api): State<Api>,
    Path(channel): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    let (connection, _) = channel.rsplit_once(" (").ok_or(Failure::NotFound)?;
    let connection = connections::find(&api, &visitor, connection, listing.ages())?;
    let mut found = of_connection(&connection).into_iter().find(|shown| shown["name"] == *channel);
    let found = found.as_mut().ok_or(Failure::NotFound)?;
    found["consumer_details"] = json!([]);
    found["deliveries"] = json!([]);
    found["publishes"] = json!([]);
    Ok(listing.answer_one(found))
}

async fn in_connection(
    visitor: Visitor,
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    listing.answer(of_connection(&connections::find(&api, &visitor, &name, listing.ages())?))
}
