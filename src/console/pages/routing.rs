//! Where a message would go from an exchange, and why not elsewhere. Nothing is sent.

use std::sync::Arc;

use axum::{Router, extract::Query, http::Method, routing::get};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shown, exchange::addressed, object, page, parts};
use crate::console::{
    answers::{
        Exchange,
        routing::{Routed, Tried},
    },
    ask::api,
    door::{Keeper, Visit},
    view::{Section, field, graph, link, nodes, note, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/exchange/route", get(show))
}

/// The message that is tried.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    vhost: String,
    /// The exchange.
    name: String,
    key: String,
    /// A JSON object.
    headers: String,
}

async fn show(visit: Visit, Query(message): Query<Message>) -> Shown {
    let Message { vhost, name, key, headers } = &message;
    let exchange: Exchange = visit.get(api(&["exchanges", vhost, addressed(name)])).await?;
    let mut body = json!({ "routing_key": key });
    let table = object(&visit.frame, headers)?;
    if !table.is_empty() {
        body["properties"] = json!({ "headers": Value::Object(table) });
    }
    let address = api(&["leveret", "exchanges", vhost, addressed(name), "route"]);
    let routed = visit.send(Method::POST, address, &body).await?;
    let routed: Routed = serde_json::from_value(routed)
        .map_err(|error| visit.bad(&format!("the API has answered something else: {error}")))?;
    let drawn = nodes(routed.bindings.iter().map(|Tried { binding, matches }| {
        (binding.destination_type == "queue", &*binding.destination, &*binding.routing_key, *matches)
    }));
    let content = html! {
        p.crumbs { a href="/exchanges" { "Exchanges" } " · " a href=(link::exchange(vhost, name)) { (text::exchange(name)) }
            " · virtual host " (text::name(vhost)) }
        form.panel method="get" action="/exchange/route" {
            input type="hidden" name="vhost" value=(vhost);
            input type="hidden" name="name" value=(name);
            div.fields {
                (field("Routing key", "key", key, ""))
                (field("Headers", "headers", headers, "a JSON object, such as {\"kind\": \"invoice\"}"))
            }
            button.primary type="submit" { "Try" }
        }
        (queues(&routed, vhost))
        (graph(name, &[], &drawn))
        @if !name.is_empty() { (ways(&routed, &exchange, vhost)) }
    };
    let title = if name.is_empty() {
        "Where a message goes from the default exchange".to_owned()
    } else {
        format!("Where a message goes from {name}")
    };
    page(&visit, Section::Exchanges, &title, &content)
}

fn queues(routed: &Routed, vhost: &str) -> Markup {
    if routed.queues.is_empty() {
        return note(
            "warn",
            &html! { p { "No queue would get the message: it would be dropped, or returned to who publishes it as mandatory." } },
        );
    }
    html! {
        section.panel #queues aria-labelledby="queues-title" {
            h2 #queues-title { (text::counted(routed.queues.len() as u64, "queue")) " would get the message" }
            p { @for (at, queue) in routed.queues.iter().enumerate() { @if at > 0 { ", " } a href=(link::queue(vhost, queue)) { (text::name(queue)) } } }
            @if routed.by_chance { p.quiet { "The exchange draws lots: the next one may go elsewhere." } }
        }
    }
}

fn ways(routed: &Routed, exchange: &Exchange, vhost: &str) -> Markup {
    html! {
        section.panel #ways aria-labelledby="ways-title" {
            h2 #ways-title { "Its bindings, one by one" }
            @if routed.bindings.is_empty() { p.empty { "Nothing is bound to it." } }
            @else { (parts::scroll(&html! { table {
                thead { tr { th scope="col" { "To" } th scope="col" { "Key" } th scope="col" { "Arguments" } th scope="col" { "The message" } } }
                tbody { @for tried in &routed.bindings {
                    @let binding = &tried.binding;
                    @let is_queue = binding.destination_type == "queue";
                    @let href = if is_queue { link::queue(vhost, &binding.destination) } else { link::exchange(vhost, &binding.destination) };
                    tr {
                        th scope="row" { (if is_queue { "queue" } else { "exchange" }) " " a href=(href) { (text::name(&binding.destination)) } }
                        td { (text::name(&binding.routing_key)) }
                        td { (parts::table(&binding.arguments)) }
                        td { @match tried.matches {
                            Some(true) => { span.tag.good { "goes there" } }
                            Some(false) => { span.tag { "does not" } " " (why_not(&exchange.kind)) }
                            None => { span.quiet { "the exchange chooses one of all" } }
                        } }
                    }
                } }
            } })) }
        }
    }
}

/// Why a binding of such an exchange does not let a message through.
fn why_not(kind: &str) -> &'static str {
    match kind {
        "direct" => "its key is another one",
        "topic" => "its pattern does not match the key",
        "headers" => "the message has not the headers that it wants",
        _ => "it does not match",
    }
}
