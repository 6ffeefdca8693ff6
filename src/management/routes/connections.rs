//! Connections: what there is, and closed.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use serde_json::{Value, json};

use super::done;
use crate::broker::{ConnectionFigures, ConnectionInfo};
use crate::core::ConnectionId;
use crate::management::{
    Api,
    extract::{Path, Query},
    failure::{Answered, Failure},
    json::{table, text},
    listing::{Listed, Listing},
    openapi::Routes,
    samples::{Ages, Subject},
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("connections", "Connections that are open")
        .list("/api/connections", all, "List connections: one's own, or with the tag monitoring all")
        .get("/api/connections/{connection}", one, "Look at a connection")
        .delete(
            "/api/connections/{connection}",
            close,
            "Close a connection: one's own, or as an administrator any",
        )
        .list(
            "/api/connections/{connection}/sessions",
            sessions_of,
            "List sessions of AMQP 1.0, of which there are none",
        )
        .list("/api/connections/username/{user}", of_user, "List the connections of a user")
        .delete(
            "/api/connections/username/{user}",
            close_of_user,
            "Close one's own connections, or as an administrator those of a user",
        )
        .list("/api/vhosts/{vhost}/connections", of_vhost, "List the connections of a virtual host")
}

/// A connection, to be shown.
pub(super) struct Item {
    pub(super) api: Api,
    pub(super) id: ConnectionId,
    pub(super) info: Arc<ConnectionInfo>,
    pub(super) ages: Ages,
}

impl Listed for Item {
    fn name(&self) -> String {
        self.info.name()
    }

    fn column(&self, path: &str) -> Value {
        match path {
            "name" => json!(self.info.name()),
            "vhost" => text(&self.info.vhost),
            "user" => text(&self.info.user),
            "connected_at" => json!(self.info.terms.connected_at),
            path => Listed::column(&self.shown(), path),
        }
    }

    fn shown(&self) -> Value {
        let figures = self.api.broker.connections.figures_of(self.id);
        shown(self, figures.as_ref())
    }
}

/// A connection as RabbitMQ shows it.
fn shown(item: &Item, figures: Option<&ConnectionFigures>) -> Value {
    let Item { api, id, info, ages } = item;
    let change = api.samples.change(&Subject::Connection(*id), *ages);
    let terms = &info.terms;
    let mut shown = json!({
        "auth_mechanism": text(&terms.mechanism),
        "channel_max": terms.channel_max,
        "channels": figures.map_or(0, |figures| figures.channels.len()),
        "client_properties": table(&info.client_properties),
        "connected_at": terms.connected_at,
        "container_id": null,
        "frame_max": terms.frame_max,
        "host": terms.local.ip().to_string(),
        "name": info.name(),
        "node": api.node.name,
        "peer_cert_issuer": null,
        "peer_cert_subject": null,
        "peer_cert_validity": null,
        "peer_host": info.peer.ip().to_string(),
        "peer_port": info.peer.port(),
        "port": terms.local.port(),
        "protocol": "AMQP 0-9-1",
        "ssl": terms.tls,
        "ssl_cipher": null,
        "ssl_hash": null,
        "ssl_key_exchange": null,
        "ssl_protocol": null,
        "state": state(figures),
        "timeout": terms.heartbeat,
        "type": "network",
        "user": text(&info.user),
        "user_provided_name": info.given_name(),
        "user_who_performed_action": text(&info.user),
        "vhost": text(&info.vhost),
    });
    if let Some(figures) = figures {
        shown["recv_cnt"] = json!(figures.received.packets);
        shown["recv_oct"] = json!(figures.received.bytes);
        shown["recv_oct_details"] = change.flow(|figures| figures.received.bytes);
        shown["send_cnt"] = json!(figures.sent.packets);
        shown["send_oct"] = json!(figures.sent.bytes);
        shown["send_oct_details"] = change.flow(|figures| figures.sent.bytes);
        shown["send_pend"] = json!(figures.pending_bytes);
        shown["slowed_ms"] = json!(figures.slowed_ms);
    }
    shown
}

/// RabbitMQ's words for what a connection does.
fn state(figures: Option<&ConnectionFigures>) -> &'static str {
    match figures {
        None => "closing",
        Some(figures) if figures.is_blocked => "blocked",
        Some(_) => "running",
    }
}

/// The connections that somebody sees: its own, or with the tag for it all. By age.
pub(super) fn seen(api: &Api, visitor: &Visitor, ages: Ages) -> Vec<Item> {
    let mut all = api.broker.connections.all();
    all.sort_by_key(|(id, _)| *id);
    all.retain(|(_, info)| visitor.is_monitor() || info.user == *visitor.name());
    all.into_iter().map(|(id, info)| Item { api: api.clone(), id, info, ages }).collect()
}

/// One by its name, if it is seen: 404 if there is none.
pub(super) fn find(api: &Api, visitor: &Visitor, name: &str, ages: Ages) -> Answered<Item> {
    let all = api.broker.connections.all();
    let found = all.into_iter().find(|(_, info)| info.name() == name).ok_or(Failure::NotFound)?;
    if visitor.is_monitor() || found.1.user == *visitor.name() {
        return Ok(Item { api: api.clone(), id: found.0, info: found.1, ages });
    }
    Err(Failure::NotAuthorised("User not authorised to access connection".into()))
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    listing.answer(seen(&api, &visitor, listing.ages()))
}

async fn of_vhost(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let mut all = seen(&api, &visitor, listing.ages());
    all.retain(|item| item.info.vhost == vhost.name);
    listing.answer(all)
}

async fn of_user(
    visitor: Visitor,
    State(api): State<Api>,
    Path(user): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    let mut all = seen(&api, &visitor, listing.ages());
    all.retain(|item| *item.info.user == *user.as_bytes());
    listing.answer(all)
}

async fn one(
    visitor: Visitor,
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    Ok(listing.answer_one(&find(&api, &visitor, &name, listing.ages())?.shown()))
}

/// Sessions are those of AMQP 1.0, which is not spoken here.
async fn sessions_of(visitor: Visitor, State(api): State<Api>, Path(name): Path<String>) -> Answered {
    find(&api, &visitor, &name, Ages::default())?;
    Listing::default().answer(Vec::<Value>::new())
}

/// Why a connection is closed, as the request says it.
fn reason(headers: &HeaderMap) -> String {
    let said = headers.get("x-reason").and_then(|value| value.to_str().ok());
    said.filter(|reason| !reason.is_empty()).unwrap_or("Closed via management plugin").to_owned()
}

async fn close(
    visitor: Visitor,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answered {
    let found = find(&api, &visitor, &name, Ages::default())?;
    if !visitor.is_administrator() && found.info.user != *visitor.name() {
        visitor.require_administrator()?;
    }
    api.broker.connections.close(found.id, &reason(&headers));
    Ok(done())
}

async fn close_of_user(
    visitor: Visitor,
    State(api): State<Api>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Answered {
    if *visitor.name() != *user.as_bytes() {
        visitor.require_administrator()?;
    }
    api.broker.connections.close_all(|info| *info.user == *user.as_bytes(), &reason(&headers));
    Ok(done())
}
