//! The list of connections.

use std::sync::Arc;

use axum::{Router, extract::Query, routing::get};
use maud::{Markup, html};

use super::{Shown, page, parts};
use crate::console::{
    answers::Connection,
    ask::api,
    door::{Keeper, Visit},
    view::{Listed, Listing, Section, link, pager, search, sorted, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/connections", get(show))
}

async fn show(visit: Visit, Query(list): Query<Listing>) -> Shown {
    let list = list.sorted_by("connected_at", true);
    let connections: Listed<Connection> = visit.list(api(&["connections"]), &list, "").await?;
    let now = visit.now();
    let content = html! {
        (parts::clients("/connections"))
        (search(&list, "/connections", "connections", &[]))
        div #connections data-live {
            section.panel aria-label="Connections" {
                @if connections.items.is_empty() { p.empty { "Nobody is connected by such a name." } }
                @else { (parts::scroll(&table(&list, &connections, now))) }
            }
            (pager(&list, "/connections", &connections, "connection"))
        }
    };
    page(&visit, Section::Connections, "Connections", &content)
}

fn table(list: &Listing, connections: &Listed<Connection>, now: u64) -> Markup {
    let head = |column, label, is_number| sorted(list, "/connections", column, label, is_number);
    html! { table {
        thead { tr {
            (head("name", "Name", false)) (head("vhost", "Virtual host", false)) (head("user", "User", false)) (head("state", "State", false))
            th scope="col" { "Client" } (head("channels", "Channels", true)) (head("recv_oct_details.rate", "From client", true))
            (head("send_oct_details.rate", "To client", true)) (head("send_pend", "Waits to be sent", true)) (head("connected_at", "Since", false))
        } }
        tbody { @for connection in &connections.items {
            tr data-key=(connection.name) {
                th scope="row" { a href=(link::connection(&connection.name)) { (text::name(&connection.name)) }
                    @if let Some(name) = &connection.user_provided_name { div.quiet { (text::name(name)) } } }
                td { (text::name(&connection.vhost)) }
                td { (text::name(&connection.user)) }
                td { (state(connection)) }
                td { (client(connection)) }
                (parts::number(connection.channels))
                td.number { (text::byte_rate(connection.recv_oct_details.rate)) }
                td.number { (text::byte_rate(connection.send_oct_details.rate)) }
                td.number.zero[connection.send_pend == 0] { (text::bytes(connection.send_pend)) }
                td { (text::ago(connection.connected_at, now)) }
            }
        } }
    } }
}

/// What it does, and why it is held up.
pub fn state(connection: &Connection) -> Markup {
    html! {
        @match &*connection.state {
            "blocked" => { span.tag.bad { "blocked" } " memory or disk are short" }
            other => { (text::shown(other)) }
        }
        @if connection.slowed_ms > 0 { div.quiet { "slowed for " (text::span(connection.slowed_ms)) " by limits" } }
    }
}

/// What the client says that it is.
pub fn client(connection: &Connection) -> Markup {
    let word = |key: &str| {
        connection.client_properties.get(key).and_then(serde_json::Value::as_str).unwrap_or_default()
    };
    html! { (text::name(word("product"))) " " (text::name(word("version"))) @if connection.ssl { " " span.tag { "TLS" } } }
}
