//! The list of queues.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    extract::Query,
    http::{HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shown, page, parts};
use crate::console::{
    answers::Queue,
    ask::api,
    door::{Change, Keeper, Visit, keep},
    view::{Listed, Listing, Section, choice, csrf, field, link, pager, search, sorted, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .route("/queues", get(show))
        .route("/queues/columns", get(choose))
        .route("/queues/declare", post(declare))
}

/// Which columns are shown.
const CHOICE: &str = "leveret-queue-columns";

/// A column that can be chosen.
struct Column {
    key: &'static str,
    label: &'static str,
    /// By what the API sorts; empty if it does not.
    sort: &'static str,
    is_number: bool,
    is_usual: bool,
    cell: fn(&Queue) -> Markup,
}

const fn column(
    key: &'static str,
    label: &'static str,
    sort: &'static str,
    is_number: bool,
    is_usual: bool,
    cell: fn(&Queue) -> Markup,
) -> Column {
    Column { key, label, sort, is_number, is_usual, cell }
}

const COLUMNS: [Column; 16] = [
    column(
        "vhost",
        "Virtual host",
        "vhost",
        false,
        true,
        |queue| html! { td { (text::name(&queue.vhost)) } },
    ),
    column("type", "Type", "type", false, true, |queue| html! { td { (features(queue)) } }),
    column(
        "policy",
        "Policy",
        "policy",
        false,
        false,
        |queue| html! { td { (text::name(queue.policy.as_deref().unwrap_or_default())) } },
    ),
    column("ready", "Ready", "messages_ready", true, true, |queue| parts::number(queue.messages_ready)),
    column("unacked", "Unacked", "messages_unacknowledged", true, true, |queue| {
        parts::number(queue.messages_unacknowledged)
    }),
    column("total", "Total", "messages", true, true, |queue| parts::number(queue.messages)),
    column("delayed", "Delayed", "messages_delayed", true, false, |queue| {
        parts::number(queue.messages_delayed)
    }),
    column("consumers", "Consumers", "consumers", true, true, |queue| parts::number(queue.consumers)),
    column("in", "In", "message_stats.publish_details.rate", true, true, |queue| {
        parts::rate(queue.message_stats.publish_details.rate)
    }),
    column("out", "Out", "message_stats.deliver_get_details.rate", true, true, |queue| {
        parts::rate(queue.message_stats.deliver_get_details.rate)
    }),
    column("ack", "Acked", "message_stats.ack_details.rate", true, true, |queue| {
        parts::rate(queue.message_stats.ack_details.rate)
    }),
    column("again", "Again", "message_stats.redeliver_details.rate", true, false, |queue| {
        parts::rate(queue.message_stats.redeliver_details.rate)
    }),
    column(
        "bytes",
        "Bytes",
        "message_bytes",
        true,
        false,
        |queue| html! { td.number { (text::bytes(queue.message_bytes)) } },
    ),
    column(
        "memory",
        "In memory",
        "memory",
        true,
        false,
        |queue| html! { td.number { (text::bytes(queue.memory)) } },
    ),
    column(
        "used",
        "Last used",
        "idle_since",
        false,
        false,
        |queue| html! { td { time datetime=(queue.idle_since) { (queue.idle_since) } } },
    ),
    column(
        "arguments",
        "Arguments",
        "",
        false,
        false,
        |queue| html! { td { (parts::table(&queue.arguments)) } },
    ),
];

/// What it is, in few words.
fn features(queue: &Queue) -> Markup {
    html! {
        (queue.kind)
        @if !queue.durable { " " span.tag { "transient" } }
        @if queue.exclusive { " " span.tag { "exclusive" } }
        @if queue.auto_delete { " " span.tag { "auto-delete" } }
    }
}

/// What of a queue the list asks for.
const ASKED: &str = "name,vhost,type,durable,exclusive,auto_delete,policy,messages,messages_ready,messages_unacknowledged,messages_delayed,\
     consumers,message_stats,message_bytes,memory,idle_since,arguments";

async fn show(visit: Visit, Query(list): Query<Listing>) -> Shown {
    let list = list.sorted_by("name", false);
    let vhosts = super::vhosts(&visit).await?;
    let address = if list.vhost.is_empty() { api(&["queues"]) } else { api(&["queues", &list.vhost]) };
    let queues: Listed<Queue> = visit.list(address, &list, ASKED).await?;
    let chosen = visit.kept(CHOICE);
    let shown = |column: &&Column| match &chosen {
        None => column.is_usual && (column.key != "vhost" || vhosts.len() > 1),
        Some(keys) => keys.split('.').any(|key| key == column.key),
    };
    let columns: Vec<_> = COLUMNS.iter().filter(shown).collect();
    let content = html! {
        (search(&list, "/queues", "queues", &vhosts))
        (columns_form(&columns, &visit.frame.here))
        div #queues data-live {
            section.panel aria-label="Queues" {
                @if queues.items.is_empty() { p.empty { "No queue has such a name." } }
                @else { (parts::scroll(&table(&list, &queues, &columns))) }
            }
            (pager(&list, "/queues", &queues, "queue"))
        }
        (declaration(&visit, &vhosts))
    };
    page(&visit, Section::Queues, "Queues", &content)
}

fn table(list: &Listing, queues: &Listed<Queue>, columns: &[&Column]) -> Markup {
    html! { table {
        thead { tr {
            (sorted(list, "/queues", "name", "Name", false))
            @for column in columns {
                @if column.sort.is_empty() { th scope="col" { (column.label) } }
                @else { (sorted(list, "/queues", column.sort, column.label, column.is_number)) }
            }
        } }
        tbody { @for queue in &queues.items {
            tr data-key={ (queue.vhost) "/" (queue.name) } {
                th scope="row" { a href=(link::queue(&queue.vhost, &queue.name)) { (text::name(&queue.name)) } }
                @for column in columns { ((column.cell)(queue)) }
            }
        } }
    } }
}

fn columns_form(chosen: &[&Column], here: &str) -> Markup {
    html! {
        details.columns {
            summary { "Columns" }
            form method="get" action="/queues/columns" {
                input type="hidden" name="back" value=(here);
                @for column in &COLUMNS {
                    label.check { input type="checkbox" name=(column.key) checked[chosen.iter().any(|its| its.key == column.key)]; (column.label) }
                }
                button type="submit" { "Show these" }
            }
        }
    }
}

/// Remembers the columns that were chosen, for a year.
async fn choose(visit: Visit, Query(said): Query<HashMap<String, String>>) -> Response {
    let keys: Vec<_> =
        COLUMNS.iter().map(|column| column.key).filter(|key| said.contains_key(*key)).collect();
    let back = said.get("back").filter(|back| link::is_local(back)).map_or("/queues", String::as_str);
    let mut response = Redirect::to(back).into_response();
    let cookie: HeaderValue = keep(CHOICE, keys.join("."), visit.over_tls, Some(365 * 86_400));
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

fn declaration(visit: &Visit, vhosts: &[String]) -> Markup {
    html! {
        details.panel {
            summary { "Declare a queue" }
            form method="post" action="/queues/declare" {
                (csrf(&visit.frame))
                div.fields {
                    (super::vhost_field(vhosts))
                    (field("Name", "name", "", ""))
                    (choice("Type", "kind", &[("", "the virtual host's default"), ("classic", "classic"), ("quorum", "quorum")], ""))
                    (choice("Durability", "durable", &[("true", "durable"), ("false", "transient")], "true"))
                    (field("Time to live of messages", "message_ttl", "", "x-message-ttl, in milliseconds"))
                    (field("Most messages", "max_length", "", "x-max-length"))
                    (field("Dead-letter exchange", "dead_letter_exchange", "", "x-dead-letter-exchange"))
                    (field("Dead-letter routing key", "dead_letter_routing_key", "", "x-dead-letter-routing-key"))
                }
                (field("More arguments", "arguments", "", "a JSON object, such as {\"x-single-active-consumer\": true}"))
                button.primary type="submit" { "Declare" }
            }
        }
    }
}

/// What the form says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Declaration {
    vhost: String,
    name: String,
    kind: String,
    durable: String,
    message_ttl: String,
    max_length: String,
    dead_letter_exchange: String,
    dead_letter_routing_key: String,
    arguments: String,
}

async fn declare(change: Change<Declaration>) -> Shown {
    let Change { visit, form } = change;
    let mut arguments = super::object(&visit.frame, &form.arguments)?;
    let words = [
        ("x-queue-type", &form.kind),
        ("x-dead-letter-exchange", &form.dead_letter_exchange),
        ("x-dead-letter-routing-key", &form.dead_letter_routing_key),
    ];
    for (name, word) in words.into_iter().filter(|(_, word)| !word.is_empty()) {
        arguments.insert(name.into(), json!(word));
    }
    for (name, number) in [("x-message-ttl", &form.message_ttl), ("x-max-length", &form.max_length)] {
        if !number.trim().is_empty() {
            arguments.insert(name.into(), json!(super::whole(&visit.frame, name, number)?));
        }
    }
    let body = json!({ "durable": form.durable == "true", "arguments": Value::Object(arguments) });
    visit.send(axum::http::Method::PUT, api(&["queues", &form.vhost, &form.name]), &body).await?;
    Ok(visit.done(&link::queue(&form.vhost, &form.name), "The queue is there."))
}
