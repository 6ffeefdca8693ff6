//! A connection's page: who it is, its channels and consumers; closed with a reason.

use std::sync::Arc;

use axum::{Router, extract::Query, http::Method, routing::get};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Named, Shown, channels, connections, page, parts};
use crate::console::{
    answers::{Channel, Connection, Consumer},
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Confirmation, Refusal, Section, confirm, facts, field, link, panel, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/connection", get(show)).route("/connection/close", get(ask_close).post(close))
}

async fn show(visit: Visit, Query(Named { name, .. }): Query<Named>) -> Shown {
    let connection: Connection = visit.get(api(&["connections", &name])).await?;
    let channels: Vec<Channel> = visit.get(api(&["connections", &name, "channels"])).await?;
    let consumers: Vec<Consumer> = visit.get(api(&["consumers", &connection.vhost])).await?;
    let consumers: Vec<_> =
        consumers.into_iter().filter(|consumer| consumer.channel_details.connection_name == name).collect();
    let content = html! {
        (parts::crumbs("Connections", "/connections", &connection.vhost))
        nav.actions aria-label="What can be done" { a.button.danger href=(link::to("/connection/close", &[("name", &name)])) { "Close" } }
        (panel("facts", "Client", &shown(&connection, visit.now())))
        (panel("channels", "Channels", &channels::table(&channels)))
        (panel("consumers", "Consumers", &parts::consumers(&consumers, true, |_| None)))
        (panel("properties", "What the client says of itself", &html! {
            @if connection.client_properties.is_empty() { p.empty { "Nothing." } }
            dl.facts { @for (name, value) in &connection.client_properties { div { dt { (text::name(name)) } dd { (parts::value(value)) } } } }
        }))
    };
    page(&visit, Section::Connections, &format!("Connection {name}"), &content)
}

fn shown(connection: &Connection, now: u64) -> Markup {
    facts(&[
        ("User", text::name(&connection.user)),
        (
            "Name that the client gave it",
            text::name(connection.user_provided_name.as_deref().unwrap_or("none")),
        ),
        ("State", connections::state(connection)),
        ("Client", connections::client(connection)),
        ("Logged in by", text::name(&connection.auth_mechanism)),
        ("Since", text::ago(connection.connected_at, now)),
        (
            "From the client",
            html! { (text::bytes(connection.recv_oct)) ", " (text::byte_rate(connection.recv_oct_details.rate)) },
        ),
        (
            "To the client",
            html! { (text::bytes(connection.send_oct)) ", " (text::byte_rate(connection.send_oct_details.rate)) },
        ),
        ("Waits to be sent", html! { (text::bytes(connection.send_pend)) }),
        ("Heartbeat", html! { @if connection.timeout == 0 { "none" } @else { (connection.timeout) " s" } }),
        ("Frames", html! { "at most " (text::bytes(connection.frame_max)) }),
        (
            "Channels",
            html! { (text::count(connection.channels)) " of " (text::count(connection.channel_max)) },
        ),
    ])
}

async fn ask_close(visit: Visit, Query(Named { name, .. }): Query<Named>) -> Shown {
    let connection: Connection = visit.get(api(&["connections", &name])).await?;
    let happens = html! {
        p { "The client at " (text::name(&name)) " (user " (text::name(&connection.user)) ") is told why, and its connection ends. What its "
            strong { (text::counted(connection.channels, "channel")) } " hold goes back to the queues. Most clients connect again at once." }
    };
    let more =
        field("Reason", "reason", "Closed by an operator", "the client's log has it; letters of ASCII");
    let asked = confirm(
        &visit.frame,
        &Confirmation {
            action: "/connection/close",
            fields: &[("name", &name)],
            happens,
            more,
            button: "Close the connection",
            back: &link::connection(&name),
        },
    );
    page(&visit, Section::Connections, "Close a connection?", &asked)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Closing {
    name: String,
    reason: String,
}

async fn close(change: Change<Closing>) -> Shown {
    let Change { visit, form: Closing { name, reason } } = change;
    if reason.bytes().any(|byte| !byte.is_ascii_graphic() && byte != b' ') {
        return Err(Refusal::bad(&visit.frame, "A reason has letters of ASCII only."));
    }
    visit.send_with(Method::DELETE, api(&["connections", &name]), ("x-reason", &reason)).await?;
    Ok(visit.done("/connections", "The connection is closed."))
}
