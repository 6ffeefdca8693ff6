//! A policy: written, shown with what it would hit, and only then set; and its end.

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

use super::super::{Shown, object, page, parts, vhost_field, vhosts};
use crate::console::{
    answers::admin::{Hit, Hits, Policy},
    ask::{Address, api},
    door::{Change, Keeper, Visit},
    view::{Confirmation, Refusal, Section, choice, confirm, csrf, field, link, note, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .route("/policy", get(show))
        .route("/policy/look", post(look))
        .route("/policy/set", post(set))
        .route("/policy/delete", get(ask_delete).post(delete))
}

/// The address of something about a policy.
pub fn link_to(path: &str, vhost: &str, name: &str, is_operators: bool) -> String {
    let operator = if is_operators { "true" } else { "" };
    link::to(path, &[("vhost", vhost), ("name", name), ("operator", operator)])
}

const APPLY_TO: [(&str, &str); 5] = [
    ("all", "queues and exchanges"),
    ("queues", "queues"),
    ("classic_queues", "classic queues"),
    ("quorum_queues", "quorum queues"),
    ("exchanges", "exchanges"),
];

/// A policy as a form has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    vhost: String,
    name: String,
    /// `true`: it is an operator's.
    operator: String,
    pattern: String,
    apply_to: String,
    priority: String,
    /// A JSON object.
    definition: String,
}

impl Written {
    fn is_operators(&self) -> bool {
        self.operator == "true"
    }

    fn address(&self) -> Address {
        let list = if self.is_operators() { "operator-policies" } else { "policies" };
        api(&[list, &self.vhost, &self.name])
    }

    fn kind(&self) -> &'static str {
        if self.is_operators() { "operator policy" } else { "policy" }
    }

    fn fill(&mut self, policy: Policy) {
        self.pattern = policy.pattern;
        self.apply_to = policy.apply_to;
        self.priority = policy.priority.to_string();
        self.definition = text::json(&Value::Object(policy.definition));
    }

    /// What the API is sent.
    fn body(&self, visit: &Visit) -> Result<Value, Refusal> {
        if self.name.is_empty() {
            return Err(visit.bad("A policy has a name."));
        }
        let priority = if self.priority.trim().is_empty() { "0" } else { self.priority.trim() };
        let priority: i64 = priority.parse().map_err(|_| visit.bad("The priority is no whole number."))?;
        Ok(json!({
            "name": self.name,
            "pattern": self.pattern,
            "apply-to": if self.apply_to.is_empty() { "all" } else { &self.apply_to },
            "priority": priority,
            "definition": Value::Object(object(&visit.frame, &self.definition)?),
            "operator": self.is_operators(),
        }))
    }
}

async fn show(visit: Visit, Query(mut written): Query<Written>) -> Shown {
    let vhosts = vhosts(&visit).await?;
    let is_there = !written.name.is_empty();
    if is_there {
        let policy = visit.get(written.address()).await?;
        written.fill(policy);
    }
    let title = if is_there {
        format!("Change {} {}", written.kind(), written.name)
    } else {
        format!("New {}", written.kind())
    };
    let content = html! {
        p.crumbs { a href="/policies" { "Policies" } @if is_there { " · virtual host " (text::name(&written.vhost)) } }
        form.panel method="post" action="/policy/look" {
            (csrf(&visit.frame))
            input type="hidden" name="operator" value=(written.operator);
            div.fields {
                @if is_there {
                    input type="hidden" name="vhost" value=(written.vhost);
                    input type="hidden" name="name" value=(written.name);
                } @else {
                    @if written.vhost.is_empty() { (vhost_field(&vhosts)) } @else { (field("Virtual host", "vhost", &written.vhost, "")) }
                    (field("Name", "name", "", ""))
                }
                (field("Pattern", "pattern", &written.pattern, "a regular expression, looked for anywhere in a name"))
                (choice("Applies to", "apply_to", &APPLY_TO, &written.apply_to))
                (field("Priority", "priority", &written.priority, "of several that match the highest counts, and only that"))
            }
            label.field { span { "Says" } textarea name="definition" spellcheck="false" { (written.definition) }
                small { "a JSON object, such as {\"max-length\": 1000, \"dead-letter-exchange\": \"failed\"}" } }
            div.buttons { button.primary type="submit" { "See what it would hit" } a.button href="/policies" { "Cancel" } }
        }
    };
    page(&visit, Section::Policies, &title, &content)
}

async fn look(change: Change<Written>) -> Shown {
    let Change { visit, form: written } = change;
    let body = written.body(&visit)?;
    let hits = visit.send(Method::POST, api(&["leveret", "policies", &written.vhost, "hits"]), &body).await?;
    let hits: Hits = serde_json::from_value(hits)
        .map_err(|error| visit.bad(&format!("the API has answered something else: {error}")))?;
    let asked = confirm(
        &visit.frame,
        &Confirmation {
            action: "/policy/set",
            fields: &[
                ("vhost", &written.vhost),
                ("name", &written.name),
                ("operator", &written.operator),
                ("pattern", &written.pattern),
                ("apply_to", &written.apply_to),
                ("priority", &written.priority),
                ("definition", &written.definition),
            ],
            happens: shown(&written, &hits),
            more: html! {},
            button: "Set it",
            back: "/policies",
        },
    );
    page(&visit, Section::Policies, &format!("Set {} {}?", written.kind(), written.name), &asked)
}

fn shown(written: &Written, hits: &Hits) -> Markup {
    let total = hits.counts + hits.behind + hits.leaves;
    html! {
        p { "It would count for " strong { (text::counted(hits.counts, "object")) } " now, and for what gets such a name later." }
        @if hits.behind > 0 { p { "For " (text::counted(hits.behind, "object")) " that it matches, another one comes first." } }
        @if hits.leaves > 0 { (note("warn", &html! { p { "For " strong { (text::counted(hits.leaves, "object")) } " it counts now and would not any more." } })) }
        @if total == 0 { (note("warn", &html! { p { "Nothing that is there has such a name." } })) }
        @else { (parts::scroll(&html! { table {
            thead { tr { th scope="col" { "Name" } th scope="col" { "Kind" } th scope="col" { "What happens" } th scope="col" { "Counts now" } } }
            tbody { @for hit in &hits.objects { (row(written, hit)) } }
        } })) }
        @if (hits.objects.len() as u64) < total { p.quiet { "The first " (text::count(hits.objects.len() as u64)) " of " (text::count(total)) "." } }
    }
}

fn row(written: &Written, hit: &Hit) -> Markup {
    let is_queue = hit.kind == "queue";
    let href = if is_queue {
        link::queue(&written.vhost, &hit.name)
    } else {
        link::exchange(&written.vhost, &hit.name)
    };
    html! {
        tr {
            th scope="row" { a href=(href) { (text::exchange(&hit.name)) } }
            td { (if is_queue { "queue" } else { "exchange" }) }
            td { @match &*hit.effect {
                "counts" => { span.tag.good { "counts" } }
                "behind" => { span.tag { "another comes first" } }
                _ => { span.tag.warn { "counts no more" } }
            } }
            td { @match &hit.policy { Some(policy) => { (text::name(policy)) } None => { span.quiet { "none" } } } }
        }
    }
}

async fn set(change: Change<Written>) -> Shown {
    let Change { visit, form: written } = change;
    let body = written.body(&visit)?;
    visit.send(Method::PUT, written.address(), &body).await?;
    Ok(visit.done("/policies", format!("The {} counts.", written.kind())))
}

async fn ask_delete(visit: Visit, Query(written): Query<Written>) -> Shown {
    let policy: Policy = visit.get(written.address()).await?;
    let happens = html! {
        p { "The " (written.kind()) " " (text::name(&policy.name)) " for names like " code { bdi { (text::shown(&policy.pattern)) } }
            " will be gone. What it says ends at once: " (parts::table(&policy.definition)) "." }
    };
    let asked = confirm(
        &visit.frame,
        &Confirmation {
            action: "/policy/delete",
            fields: &[("vhost", &written.vhost), ("name", &written.name), ("operator", &written.operator)],
            happens,
            more: html! {},
            button: "Delete",
            back: "/policies",
        },
    );
    page(&visit, Section::Policies, &format!("Delete {} {}?", written.kind(), written.name), &asked)
}

async fn delete(change: Change<Written>) -> Shown {
    let Change { visit, form: written } = change;
    visit.send(Method::DELETE, written.address(), &Value::Null).await?;
    Ok(visit.done("/policies", format!("The {} is gone.", written.kind())))
}
