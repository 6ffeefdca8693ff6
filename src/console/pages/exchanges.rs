//! The list of exchanges.

use std::sync::Arc;

use axum::{
    Router,
    extract::Query,
    http::Method,
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shown, object, page, parts, vhost_field, vhosts};
use crate::console::{
    answers::Exchange,
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Listed, Listing, Section, check, choice, csrf, field, link, pager, search, sorted, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/exchanges", get(show)).route("/exchanges/declare", post(declare))
}

/// The types that can be declared.
const KINDS: [&str; 10] = [
    "direct",
    "fanout",
    "topic",
    "headers",
    "x-consistent-hash",
    "x-modulus-hash",
    "x-random",
    "x-local-random",
    "x-recent-history",
    "x-delayed-message",
];

async fn show(visit: Visit, Query(list): Query<Listing>) -> Shown {
    let list = list.sorted_by("name", false);
    let vhosts = vhosts(&visit).await?;
    let address = if list.vhost.is_empty() { api(&["exchanges"]) } else { api(&["exchanges", &list.vhost]) };
    let exchanges: Listed<Exchange> = visit.list(address, &list, "").await?;
    let content = html! {
        (search(&list, "/exchanges", "exchanges", &vhosts))
        div #exchanges data-live {
            section.panel aria-label="Exchanges" {
                @if exchanges.items.is_empty() { p.empty { "No exchange has such a name." } }
                @else { (parts::scroll(&table(&list, &exchanges))) }
            }
            (pager(&list, "/exchanges", &exchanges, "exchange"))
        }
        (declaration(&visit, &vhosts))
    };
    page(&visit, Section::Exchanges, "Exchanges", &content)
}

fn table(list: &Listing, exchanges: &Listed<Exchange>) -> Markup {
    let head = |column, label, is_number| sorted(list, "/exchanges", column, label, is_number);
    html! { table {
        thead { tr {
            (head("name", "Name", false)) (head("vhost", "Virtual host", false)) (head("type", "Type", false))
            th scope="col" { "Features" } (head("policy", "Policy", false))
            (head("message_stats.publish_in_details.rate", "In", true)) (head("message_stats.publish_out_details.rate", "Out to queues", true))
        } }
        tbody { @for exchange in &exchanges.items {
            tr data-key={ (exchange.vhost) "/" (exchange.name) } {
                th scope="row" { a href=(link::exchange(&exchange.vhost, &exchange.name)) { (text::exchange(&exchange.name)) } }
                td { (text::name(&exchange.vhost)) }
                td { (text::name(&exchange.kind)) }
                td { (features(exchange)) }
                td { (text::name(exchange.policy.as_deref().unwrap_or_default())) }
                (parts::rate(exchange.message_stats.publish_in_details.rate))
                (parts::rate(exchange.message_stats.publish_out_details.rate))
            }
        } }
    } }
}

/// What it is besides its type.
pub fn features(exchange: &Exchange) -> Markup {
    html! {
        @if !exchange.durable { span.tag { "transient" } " " }
        @if exchange.auto_delete { span.tag { "auto-delete" } " " }
        @if exchange.internal { span.tag { "internal" } " " }
        (parts::table(&exchange.arguments))
    }
}

fn declaration(visit: &Visit, vhosts: &[String]) -> Markup {
    html! {
        details.panel {
            summary { "Declare an exchange" }
            form method="post" action="/exchanges/declare" {
                (csrf(&visit.frame))
                div.fields {
                    (vhost_field(vhosts))
                    (field("Name", "name", "", ""))
                    (choice("Type", "kind", &KINDS.map(|kind| (kind, kind)), "direct"))
                    (choice("Durability", "durable", &[("true", "durable"), ("false", "transient")], "true"))
                    (field("Alternate exchange", "alternate", "", "where messages go that match no binding"))
                }
                (check("delete it with its last binding", "auto_delete", false))
                (check("only other exchanges bring it messages", "internal", false))
                (field("More arguments", "arguments", "", "a JSON object, such as {\"x-delayed-type\": \"topic\"}"))
                button.primary type="submit" { "Declare" }
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Declaration {
    vhost: String,
    name: String,
    kind: String,
    durable: String,
    alternate: String,
    auto_delete: String,
    internal: String,
    arguments: String,
}

async fn declare(change: Change<Declaration>) -> Shown {
    let Change { visit, form } = change;
    let mut arguments = object(&visit.frame, &form.arguments)?;
    if !form.alternate.is_empty() {
        arguments.insert("alternate-exchange".into(), json!(form.alternate));
    }
    let body = json!({
        "type": form.kind,
        "durable": form.durable == "true",
        "auto_delete": form.auto_delete == "true",
        "internal": form.internal == "true",
        "arguments": Value::Object(arguments),
    });
    visit.send(Method::PUT, api(&["exchanges", &form.vhost, &form.name]), &body).await?;
    Ok(visit.done(&link::exchange(&form.vhost, &form.name), "The exchange is there."))
}
