//! The history of single messages: of what it is kept, and what has happened.

use std::sync::Arc;

use axum::{
    Router,
    extract::Query,
    http::Method,
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{Shown, page, parts, vhosts};
use crate::console::{
    answers::told::{Event, Traced, Traces},
    ask::{Address, api},
    door::{Change, Keeper, Visit},
    view::{Refusal, Section, choice, csrf, field, link, panel, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .route("/traces", get(show))
        .route("/traces/begin", post(begin))
        .route("/traces/end", post(end))
        .route("/traces/forget", post(forget))
}

/// Which events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    /// The virtual host; empty for the first one.
    vhost: String,
    message_id: String,
    queue: String,
}

impl Wanted {
    fn link(&self) -> String {
        let all = [("vhost", &*self.vhost), ("message_id", &*self.message_id), ("queue", &*self.queue)];
        link::to("/traces", &all.into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>())
    }
}

/// The kinds of things whose history can be kept: as the API's addresses have them, and in words.
const KINDS: [(&str, &str); 3] = [
    ("messages", "messages with the message-id"),
    ("queues", "messages of the queue"),
    ("exchanges", "what is published to the exchange"),
];

/// Something whose history is kept, or shall be.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subject {
    vhost: String,
    kind: String,
    name: String,
}

impl Subject {
    fn address(&self) -> Address {
        api(&["leveret", "traces", &self.vhost, &self.kind, &self.name])
    }

    fn page(&self) -> String {
        Wanted { vhost: self.vhost.clone(), ..Wanted::default() }.link()
    }
}

async fn show(visit: Visit, Query(mut wanted): Query<Wanted>) -> Shown {
    let vhosts = vhosts(&visit).await?;
    if wanted.vhost.is_empty() {
        wanted.vhost = vhosts.first().map_or("/", String::as_str).into();
    }
    let kept: Traces = visit.get(api(&["leveret", "traces", &wanted.vhost])).await?;
    let events = events(&visit, &wanted).await?;
    let content = html! {
        p.quiet { "What happens to messages is kept here where somebody asks for it: who published them, to which queues they went, who got them, and how they ended. "
            "It never says what is in them." }
        (search(&wanted, &vhosts))
        (panel("traced", "Of what the history is kept", &subjects(&visit, &wanted, &kept)))
        @if visit.frame.is_policymaker { (beginning(&visit, &wanted)) }
        section.panel #events data-live aria-label="What has happened" {
            @if events.is_empty() { p.empty { "Nothing that was to be kept." } }
            @else { (parts::scroll(&table(&wanted, &events))) }
            p.quiet { (text::counted(kept.events, "event")) " kept in this virtual host"
                @if kept.forgotten > 0 { ", " (text::count(kept.forgotten)) " before them are not" } "." }
        }
        @if visit.frame.is_policymaker && kept.events > 0 {
            form method="post" action="/traces/forget" {
                (csrf(&visit.frame)) input type="hidden" name="vhost" value=(wanted.vhost);
                button type="submit" { "Forget what has happened" }
            }
        }
    };
    page(&visit, Section::Traces, "Traces", &content)
}

/// What has happened, the latest first.
async fn events(visit: &Visit, wanted: &Wanted) -> Result<Vec<Event>, Refusal> {
    let mut query = vec![("limit", "200")];
    for (name, value) in [("message_id", &wanted.message_id), ("queue", &wanted.queue)] {
        if !value.is_empty() {
            query.push((name, value));
        }
    }
    let address = api(&["leveret", "traces", &wanted.vhost, "events"]).with(&query);
    let mut events: Vec<Event> = visit.get(address).await?;
    events.reverse();
    Ok(events)
}

fn search(wanted: &Wanted, vhosts: &[String]) -> Markup {
    html! {
        form.search method="get" action="/traces" role="search" {
            label { span.hidden { "Message-id" }
                input #search type="search" name="message_id" value=(wanted.message_id) placeholder="Message-id" autocomplete="off" spellcheck="false"; }
            label { span.hidden { "Queue" }
                input type="search" name="queue" value=(wanted.queue) placeholder="Queue" autocomplete="off" spellcheck="false"; }
            @if vhosts.len() > 1 {
                label { span.hidden { "Virtual host" }
                    select name="vhost" { @for vhost in vhosts {
                        option value=(vhost) selected[*vhost == wanted.vhost] { (text::shown(vhost)) } } } }
            } @else { input type="hidden" name="vhost" value=(wanted.vhost); }
            button type="submit" { "Find" }
        }
    }
}

fn subjects(visit: &Visit, wanted: &Wanted, kept: &Traces) -> Markup {
    html! {
        @if kept.traces.is_empty() { p.empty { "Of nothing." } }
        @else { ul.rows { @for traced in &kept.traces { (subject(visit, wanted, traced)) } } }
    }
}

fn subject(visit: &Visit, wanted: &Wanted, traced: &Traced) -> Markup {
    let kind = format!("{}s", traced.kind);
    html! {
        li data-key={ (kind) "/" (traced.name) } {
            span { (traced.kind) " " (text::exchange(&traced.name)) }
            @if visit.frame.is_policymaker {
                form method="post" action="/traces/end" {
                    (csrf(&visit.frame))
                    @for (name, value) in [("vhost", &wanted.vhost), ("kind", &kind), ("name", &traced.name)] {
                        input type="hidden" name=(name) value=(value);
                    }
                    button type="submit" aria-label={ "End the history of " (traced.kind) " " (text::shown(&traced.name)) } { "End" }
                }
            }
        }
    }
}

fn beginning(visit: &Visit, wanted: &Wanted) -> Markup {
    html! {
        details.panel {
            summary { "Keep a history" }
            form method="post" action="/traces/begin" {
                (csrf(&visit.frame)) input type="hidden" name="vhost" value=(wanted.vhost);
                div.fields {
                    (choice("Of", "kind", &KINDS, "messages"))
                    (field("Name", "name", "", "the message-id, the queue or the exchange"))
                }
                button.primary type="submit" { "Begin" }
            }
        }
    }
}

fn table(wanted: &Wanted, events: &[Event]) -> Markup {
    html! { table.lines {
        thead { tr { th scope="col" { "When" } th scope="col" { "Event" } th scope="col" { "Message" } th scope="col" { "Where" } th scope="col" { "By" } } }
        tbody { @for event in events { (row(wanted, event)) } }
    } }
}

fn row(wanted: &Wanted, event: &Event) -> Markup {
    html! {
        tr data-key=(event.number) {
            td.when { (text::moment(event.at)) }
            td { span.tag.(kind(&event.event)) { (event.event.replace('_', " ")) } (more(event)) }
            td { (message(wanted, event)) }
            td {
                @if let Some(queue) = &event.queue {
                    a href=(link::queue(&wanted.vhost, queue)) { (text::name(queue)) }
                    @if let Some(position) = &event.position { span.quiet { " at " (text::shown(position)) } }
                }
            }
            td {
                @if let Some(user) = &event.user { (text::name(user)) }
                @if let Some(connection) = &event.connection { div.quiet { a href=(link::connection(connection)) { (text::name(connection)) } } }
            }
        }
    }
}

fn message(wanted: &Wanted, event: &Event) -> Markup {
    html! {
        @if let Some(id) = &event.message_id {
            a href=(Wanted { message_id: id.clone(), queue: String::new(), ..wanted.clone() }.link()) { (text::name(id)) } " "
        }
        @if let (Some(exchange), Some(key)) = (&event.exchange, &event.routing_key) {
            span.quiet { (text::exchange(exchange)) " → " (text::name(key)) @if let Some(bytes) = event.payload_bytes { " · " (text::bytes(bytes)) } }
        }
    }
}

/// How an event is coloured.
fn kind(event: &str) -> &'static str {
    match event {
        "dropped" | "returned" => "bad",
        "dead_lettered" | "rejected" | "requeued" => "warn",
        "acknowledged" => "good",
        _ => "",
    }
}

/// What else is known of an event.
fn more(event: &Event) -> Markup {
    html! { div.quiet {
        @for (name, value) in &event.more {
            @match (&**name, value) {
                ("queues", Value::Array(queues)) => { "to " @for (at, queue) in queues.iter().enumerate() { @if at > 0 { ", " } (text::name(queue.as_str().unwrap_or_default())) } @if queues.is_empty() { "no queue" } " " }
                ("reason", Value::String(reason)) => { (text::shown(&reason.replace('_', " "))) " " }
                ("consumer_tag", Value::String(tag)) => { "to consumer " (text::name(tag)) " " }
                ("until", Value::Number(until)) => { "until " (text::moment(until.as_u64().unwrap_or_default())) " " }
                ("redelivered", Value::Bool(true)) => { "once more " }
                ("no_ack", Value::Bool(true)) => { "without acknowledgement " }
                ("attempts" | "messages", value) => { (name) " " (parts::value(value)) " " }
                _ => {}
            }
        }
    } }
}

async fn begin(change: Change<Subject>) -> Shown {
    let Change { visit, form: subject } = change;
    visit.send(Method::PUT, subject.address(), &Value::Null).await?;
    Ok(visit.done(&subject.page(), "The history is kept from now on."))
}

async fn end(change: Change<Subject>) -> Shown {
    let Change { visit, form: subject } = change;
    visit.send(Method::DELETE, subject.address(), &Value::Null).await?;
    Ok(visit.done(&subject.page(), "The history is kept no more; what has happened is still there."))
}

async fn forget(change: Change<Subject>) -> Shown {
    let Change { visit, form: subject } = change;
    visit.send(Method::DELETE, api(&["leveret", "traces", &subject.vhost, "events"]), &Value::Null).await?;
    Ok(visit.done(&subject.page(), "What has happened is forgotten."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_tells_what_is_known_of_it_and_no_more() {
        let event = |value| serde_json::from_value::<Event>(value).unwrap();
        let published = event(json!({
            "number": 1, "at": 1, "event": "published", "queues": ["a<b"], "queue_count": 1, "queue": null, "position": null,
            "exchange": "", "routing_key": "k", "message_id": "m&1", "payload_bytes": 5, "user": "ann", "connection": "c", "channel": 1,
        }));
        let shown = row(&Wanted { vhost: "/".into(), ..Wanted::default() }, &published).into_string();
        for part in ["to ", "a&lt;b", "message_id=m%261", "(default)", "5 B", "ann"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let nowhere = more(&event(json!({ "event": "published", "queues": [] }))).into_string();
        assert!(nowhere.contains("to no queue"), "{nowhere}");
        let dropped = more(&event(json!({ "event": "dropped", "reason": "max_len" }))).into_string();
        assert!(dropped.contains("max len"), "{dropped}");
    }
}
