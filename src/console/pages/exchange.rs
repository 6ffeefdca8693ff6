//! An exchange's page: its bindings both ways, and what can be done with it.

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

use super::{Named, Shown, exchanges, object, page, parts};
use crate::console::{
    answers::{Binding, Exchange},
    ask::{Address, api},
    door::{Change, Keeper, Visit},
    view::{
        Confirmation, Line, Section, chart, check, choice, confirm, csrf, field, graph, link, nodes, panel,
        rates, text,
    },
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .route("/exchange", get(show))
        .route("/exchange/delete", get(ask_delete).post(delete))
        .route("/exchange/bind", post(bind))
        .route("/exchange/unbind", post(unbind_it))
}

/// Its name in addresses of the API.
pub fn addressed(name: &str) -> &str {
    if name.is_empty() { "amq.default" } else { name }
}

async fn show(visit: Visit, Query(Named { vhost, name }): Query<Named>) -> Shown {
    let its = |rest: &[&str]| api(&[&["exchanges", &vhost, addressed(&name)], rest].concat());
    let exchange: Exchange =
        visit.get(its(&[]).with(&[("msg_rates_age", "600"), ("msg_rates_incr", "5")])).await?;
    let from: Vec<Binding> = visit.get(its(&["bindings", "source"])).await?;
    let to: Vec<Binding> = visit.get(its(&["bindings", "destination"])).await?;
    let stats = &exchange.message_stats;
    let lines = [
        Line { label: "come in", points: rates(&stats.publish_in_details.pairs()) },
        Line { label: "go out to queues", points: rates(&stats.publish_out_details.pairs()) },
    ];
    let is_default = name.is_empty();
    let content = html! {
        (parts::crumbs("Exchanges", "/exchanges", &vhost))
        nav.actions aria-label="What can be done" {
            @if !exchange.internal { a.button href=(link::to("/publish", &[("vhost", &vhost), ("exchange", &name)])) { "Publish" } }
            @if !is_default || visit.frame.is_administrator { a.button href=(link::tail(&vhost, "exchanges", &name)) { "Watch live" } }
            a.button href=(link::to("/exchange/route", &[("vhost", &vhost), ("name", &name)])) { "Where would a message go" }
            @if !is_default && !name.starts_with("amq.") {
                a.button.danger href=(link::to("/exchange/delete", &[("vhost", &vhost), ("name", &name)])) { "Delete" }
            }
        }
        p #kind data-live { (text::name(&exchange.kind)) " " (exchanges::features(&exchange))
            @if let Some(policy) = &exchange.policy { " policy " (text::name(policy)) } }
        (chart("flow", "Messages a second, last ten minutes", &lines, text::rate))
        div #drawing data-live { @if !is_default { (drawing(&name, &to, &from)) } }
        div.grid {
            (panel("from", "Where its messages go", &parts::bindings(&from, destination, |binding| unbind(&visit, binding))))
            @if !is_default {
                (panel("to", "Which exchanges bring it messages", &parts::bindings(&to, source, |binding| unbind(&visit, binding))))
            }
        }
        @if !is_default { (binding_form(&visit, &vhost, &name)) }
    };
    let title = if is_default { "The default exchange".to_owned() } else { format!("Exchange {name}") };
    page(&visit, Section::Exchanges, &title, &content)
}

/// What is bound to what.
fn drawing(name: &str, to: &[Binding], from: &[Binding]) -> Markup {
    let sources = nodes(to.iter().map(|it| (false, &*it.source, &*it.routing_key, None)));
    let is_queue = |it: &Binding| it.destination_type == "queue";
    let targets = nodes(from.iter().map(|it| (is_queue(it), &*it.destination, &*it.routing_key, None)));
    graph(name, &sources, &targets)
}

fn destination(binding: &Binding) -> Markup {
    let (vhost, name) = (&binding.vhost, &binding.destination);
    let href = if binding.destination_type == "queue" {
        link::queue(vhost, name)
    } else {
        link::exchange(vhost, name)
    };
    html! { (binding.destination_type) " " a href=(href) { (text::name(name)) } }
}

fn source(binding: &Binding) -> Markup {
    html! { a href=(link::exchange(&binding.vhost, &binding.source)) { (text::exchange(&binding.source)) } }
}

/// The button that takes a binding away; none for those of the default exchange.
pub fn unbind(visit: &Visit, binding: &Binding) -> Markup {
    if binding.source.is_empty() {
        return html! {};
    }
    let fields = [
        ("vhost", &binding.vhost),
        ("source", &binding.source),
        ("kind", &binding.destination_type),
        ("destination", &binding.destination),
        ("properties", &binding.properties_key),
    ];
    html! {
        form method="post" action="/exchange/unbind" {
            (csrf(&visit.frame))
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button type="submit" aria-label={ "Unbind " (text::shown(&binding.destination)) " from " (text::shown(&binding.source)) } { "Unbind" }
        }
    }
}

fn binding_form(visit: &Visit, vhost: &str, name: &str) -> Markup {
    html! {
        details.panel {
            summary { "Bind a queue or an exchange to it" }
            form method="post" action="/exchange/bind" {
                (csrf(&visit.frame))
                input type="hidden" name="vhost" value=(vhost);
                input type="hidden" name="source" value=(name);
                div.fields {
                    (choice("To", "kind", &[("queue", "a queue"), ("exchange", "an exchange")], "queue"))
                    (field("Name", "destination", "", ""))
                    (field("Routing key", "key", "", ""))
                    (field("Arguments", "arguments", "", "a JSON object"))
                }
                button.primary type="submit" { "Bind" }
            }
        }
    }
}

/// A binding that a form means.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Bound {
    vhost: String,
    source: String,
    /// `queue` or `exchange`.
    kind: String,
    destination: String,
    key: String,
    arguments: String,
    properties: String,
}

impl Bound {
    fn between(&self, rest: &[&str]) -> Address {
        let kind = if self.kind == "queue" { "q" } else { "e" };
        api(&[&["bindings", &self.vhost, "e", &self.source, kind, &self.destination], rest].concat())
    }
}

async fn bind(change: Change<Bound>) -> Shown {
    let Change { visit, form } = change;
    let arguments = object(&visit.frame, &form.arguments)?;
    let body = json!({ "routing_key": form.key, "arguments": Value::Object(arguments) });
    visit.send(Method::POST, form.between(&[]), &body).await?;
    Ok(visit.done(&link::exchange(&form.vhost, &form.source), "The binding is there."))
}

async fn unbind_it(change: Change<Bound>) -> Shown {
    let Change { visit, form } = change;
    visit.send(Method::DELETE, form.between(&[&form.properties]), &Value::Null).await?;
    Ok(visit.done(&link::exchange(&form.vhost, &form.source), "The binding is gone."))
}

async fn ask_delete(visit: Visit, Query(Named { vhost, name }): Query<Named>) -> Shown {
    let from: Vec<Binding> =
        visit.get(api(&["exchanges", &vhost, addressed(&name), "bindings", "source"])).await?;
    let happens = html! {
        p { "The exchange " (text::name(&name)) " will be gone, with " strong { (text::counted(from.len() as u64, "binding")) }
            ". Who publishes to it is told that there is none, and its channel ends. Messages in queues stay." }
    };
    let more = check("only if nothing is bound to it", "if_unused", true);
    let asked = confirm(
        &visit.frame,
        &Confirmation {
            action: "/exchange/delete",
            fields: &[("vhost", &vhost), ("name", &name)],
            happens,
            more,
            button: "Delete",
            back: &link::exchange(&vhost, &name),
        },
    );
    page(&visit, Section::Exchanges, &format!("Delete {name}?"), &asked)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Deletion {
    vhost: String,
    name: String,
    if_unused: String,
}

async fn delete(change: Change<Deletion>) -> Shown {
    let Change { visit, form: Deletion { vhost, name, if_unused } } = change;
    let address = api(&["exchanges", &vhost, addressed(&name)]).with(&[("if-unused", &if_unused)]);
    visit.send(Method::DELETE, address, &Value::Null).await?;
    Ok(visit.done("/exchanges", "The exchange is gone."))
}
