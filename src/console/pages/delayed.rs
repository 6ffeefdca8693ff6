//! Messages that wait for their time: for a retry in their queue, or because they were published with a delay. When what comes, where; and
//! the ways to take one out, and to have it come at another time.

use std::sync::Arc;

use axum::{Router, extract::Query, http::Method, routing::get};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shown, page, parts, vhosts, whole};
use crate::console::{
    answers::{Message, Messages, Queue},
    ask::{Address, api},
    door::{Change, Keeper, Visit},
    view::{Confirmation, Listed, Listing, Refusal, Section, confirm, csrf, facts, field, link, panel, text},
};
use crate::limits::CONSOLE_DUE_QUEUES_MAX;

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .route("/delayed", get(show))
        .route("/delayed/messages", get(show_messages))
        .route("/delayed/cancel", get(ask_cancel).post(cancel))
        .route("/delayed/reschedule", get(ask_reschedule).post(reschedule))
}

/// Which messages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    vhost: String,
    /// The queue; none of those that were published with a delay.
    name: String,
    /// Where to begin.
    from: String,
    /// Only with this in them.
    find: String,
    /// One of them.
    position: String,
}

impl Wanted {
    /// Where the API has them.
    fn address(&self) -> Address {
        if self.name.is_empty() {
            return api(&["leveret", "delayed", &self.vhost]);
        }
        api(&["leveret", "queues", &self.vhost, &self.name, "messages"]).with(&[("state", "delayed")])
    }

    fn one(&self) -> Address {
        if self.name.is_empty() {
            return api(&["leveret", "delayed", &self.vhost, &self.position]);
        }
        api(&["leveret", "queues", &self.vhost, &self.name, "delayed", &self.position])
    }

    fn link(&self, path: &str) -> String {
        let query = [
            ("vhost", &*self.vhost),
            ("name", &*self.name),
            ("from", &*self.from),
            ("find", &*self.find),
            ("position", &*self.position),
        ];
        link::to(path, &query.into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>())
    }

    /// In words, where they wait.
    fn place(&self) -> Markup {
        html! {
            @if self.name.is_empty() { "published with a delay in virtual host " (text::name(&self.vhost)) }
            @else { "of queue " a href=(link::queue(&self.vhost, &self.name)) { (text::name(&self.name)) } " in virtual host " (text::name(&self.vhost)) }
        }
    }
}

/// When something is due.
fn due(at: u64, now: u64) -> Markup {
    html! {
        (text::moment(at)) span.quiet { " " @if at > now { "in " (text::span(at - now)) } @else { "now" } }
    }
}

/// A place where messages wait.
struct Place {
    wanted: Wanted,
    /// None where that is not counted.
    count: Option<u64>,
    /// When the next one is due, if that may be seen.
    next: Option<u64>,
}

async fn next_due(visit: &Visit, wanted: &Wanted) -> Result<Option<u64>, Refusal> {
    let first = [("limit", "1"), ("payload_bytes", "0")];
    let found: Option<Messages> = visit.find(wanted.address().with(&first)).await?;
    Ok(found.and_then(|found| found.messages.first()?.due))
}

async fn show(visit: Visit) -> Shown {
    let list = Listing::default().sorted_by("messages_delayed", true);
    let queues: Listed<Queue> = visit.list(api(&["queues"]), &list, "name,vhost,messages_delayed").await?;
    let mut places = Vec::new();
    for (at, queue) in queues.items.into_iter().filter(|queue| queue.messages_delayed > 0).enumerate() {
        let wanted = Wanted { vhost: queue.vhost, name: queue.name, ..Wanted::default() };
        let next = if at < CONSOLE_DUE_QUEUES_MAX { next_due(&visit, &wanted).await? } else { None };
        places.push(Place { wanted, count: Some(queue.messages_delayed), next });
    }
    let mut published = Vec::new();
    if visit.frame.is_monitor {
        for vhost in vhosts(&visit).await?.into_iter().take(CONSOLE_DUE_QUEUES_MAX) {
            let wanted = Wanted { vhost, ..Wanted::default() };
            let next = next_due(&visit, &wanted).await?;
            if next.is_some() {
                published.push(Place { wanted, count: None, next });
            }
        }
    }
    let now = visit.now();
    let content = html! {
        (panel("retries", "Wait in their queue for another try", &table(&places, now)))
        @if visit.frame.is_monitor { (panel("published", "Were published with a delay", &table(&published, now))) }
    };
    page(&visit, Section::Delayed, "Messages that wait for their time", &content)
}

fn table(places: &[Place], now: u64) -> Markup {
    html! {
        @if places.is_empty() { p.empty { "None." } }
        @else { (parts::scroll(&html! { table {
            thead { tr { th scope="col" { "Where" } th scope="col" { "Virtual host" } th.number scope="col" { "Messages" } th scope="col" { "Next one" } } }
            tbody { @for place in places {
                @let wanted = &place.wanted;
                tr data-key={ (wanted.vhost) "/" (wanted.name) } {
                    th scope="row" { a href=(wanted.link("/delayed/messages")) {
                        @if wanted.name.is_empty() { "all of them" } @else { (text::name(&wanted.name)) } } }
                    td { (text::name(&wanted.vhost)) }
                    td.number { @if let Some(count) = place.count { (text::count(count)) } }
                    td { @match place.next { Some(next) => { (due(next, now)) } None => { span.quiet { "not shown" } } } }
                }
            } }
        } })) }
    }
}

async fn show_messages(visit: Visit, Query(wanted): Query<Wanted>) -> Shown {
    let mut query = vec![("limit", "500"), ("payload_bytes", "256")];
    if !wanted.from.is_empty() {
        query.push(("from", &wanted.from));
    }
    let found: Messages = visit.get(wanted.address().with(&query)).await?;
    let now = visit.now();
    let looked_at = found.messages.len();
    let needle = wanted.find.to_lowercase();
    let shown: Vec<_> = found.messages.iter().filter(|message| has(message, &needle)).collect();
    let title = "Messages that wait for their time";
    let next = found.next.as_ref().map(|next| Wanted { from: next.clone(), ..wanted.clone() });
    let content = html! {
        p.crumbs { a href="/delayed" { "Delayed" } " · " (wanted.place()) }
        (panel("timetable", "When they are due", &timetable(&shown, now)))
        form.search method="get" action="/delayed/messages" role="search" {
            input type="hidden" name="vhost" value=(wanted.vhost);
            input type="hidden" name="name" value=(wanted.name);
            input type="hidden" name="from" value=(wanted.from);
            label { span.hidden { "Find in keys, headers and bodies" }
                input #search type="search" name="find" value=(wanted.find) placeholder="Find in keys, headers, bodies" autocomplete="off" spellcheck="false"; }
            button type="submit" { "Find" }
        }
        section.panel aria-label="Messages" {
            @if shown.is_empty() { p.empty { "None." } }
            @else { (parts::scroll(&html! { table {
                thead { tr { th scope="col" { "Due" } th scope="col" { "Exchange" } th scope="col" { "Routing key" } th.number scope="col" { "Came back" }
                    th.number scope="col" { "Bytes" } th scope="col" { "Body" } th scope="col" { span.hidden { "Actions" } } } }
                tbody { @for message in &shown { (row(message, &wanted, now)) } }
            } })) }
        }
        p.quiet {
            (text::counted(shown.len() as u64, "message")) " of " (text::count(looked_at as u64)) " looked at. "
            @if let Some(next) = &next { a href=(next.link("/delayed/messages")) rel="next" { "Later ones" } }
        }
    };
    page(&visit, Section::Delayed, title, &content)
}

/// Whether a text is in what people know a message by.
fn has(message: &Message, needle: &str) -> bool {
    let parts = [&message.routing_key, &message.exchange, &message.payload];
    needle.is_empty()
        || parts.iter().any(|part| part.to_lowercase().contains(needle))
        || message.properties.to_string().to_lowercase().contains(needle)
}

/// Spans from now on, with their names.
const SPANS: [(u64, &str); 5] = [
    (60_000, "within a minute"),
    (600_000, "within 10 minutes"),
    (3_600_000, "within an hour"),
    (86_400_000, "within a day"),
    (u64::MAX, "later"),
];

/// How many of them are due in each span.
fn counts(messages: &[&Message], now: u64) -> [u64; SPANS.len()] {
    let mut counts = [0; SPANS.len()];
    for at in messages.iter().filter_map(|message| message.due) {
        let waits = at.saturating_sub(now);
        if let Some(span) = SPANS.iter().position(|(span, _)| waits <= *span) {
            counts[span] += 1;
        }
    }
    counts
}

fn timetable(messages: &[&Message], now: u64) -> Markup {
    let counts = counts(messages, now);
    let shown: Vec<_> = SPANS
        .iter()
        .zip(counts)
        .map(|((_, label), count)| {
            let of = messages.len() as u64;
            (*label, html! { (text::count(count)) (text::share(label, count, of)) })
        })
        .collect();
    facts(&shown)
}

fn row(message: &Message, wanted: &Wanted, now: u64) -> Markup {
    let one = Wanted { position: message.position.clone(), ..wanted.clone() };
    html! {
        tr data-key=(message.position) {
            th scope="row" { (due(message.due.unwrap_or_default(), now)) }
            td { (text::exchange(&message.exchange)) }
            td { (text::name(&message.routing_key)) }
            (parts::number(message.attempts)) (parts::number(message.payload_bytes))
            td.mono { (body(message)) }
            td.buttons { a.button href=(one.link("/delayed/reschedule")) { "Reschedule" } a.button.danger href=(one.link("/delayed/cancel")) { "Cancel" } }
        }
    }
}

/// The beginning of a body, on a line.
fn body(message: &Message) -> Markup {
    if message.payload_encoding == "base64" {
        return html! { span.quiet { "no text" } };
    }
    let line: String = message.payload.chars().take(80).collect();
    html! { bdi { (text::shown(&line)) } }
}

/// What is known of one that waits.
async fn one(visit: &Visit, wanted: &Wanted) -> Result<Markup, Refusal> {
    let at = Wanted { from: wanted.position.clone(), ..wanted.clone() };
    let query = [("limit", "1"), ("payload_bytes", "256"), ("from", &*at.from)];
    let found: Messages = visit.get(wanted.address().with(&query)).await?;
    let message = found.messages.iter().find(|message| message.position == wanted.position);
    let gone = "The message does not wait any more: its time has come or is another one, or somebody has cancelled it.";
    let message = message.ok_or_else(|| visit.bad(gone))?;
    Ok(facts(&[
        ("Due", due(message.due.unwrap_or_default(), visit.now())),
        ("Exchange", text::exchange(&message.exchange)),
        ("Routing key", text::name(&message.routing_key)),
        ("Body", body(message)),
    ]))
}

async fn ask_cancel(visit: Visit, Query(wanted): Query<Wanted>) -> Shown {
    let happens = html! {
        p { "A message " (wanted.place()) " will be gone for good, without dead-lettering." }
        (one(&visit, &wanted).await?)
    };
    let back = Wanted { position: String::new(), ..wanted.clone() }.link("/delayed/messages");
    let asked = confirm(
        &visit.frame,
        &Confirmation {
            action: "/delayed/cancel",
            fields: &[("vhost", &wanted.vhost), ("name", &wanted.name), ("position", &wanted.position)],
            happens,
            more: html! {},
            button: "Cancel the message",
            back: &back,
        },
    );
    page(&visit, Section::Delayed, "Cancel a message?", &asked)
}

async fn cancel(change: Change<Wanted>) -> Shown {
    let Change { visit, form: mut wanted } = change;
    visit.send(Method::DELETE, wanted.one(), &Value::Null).await?;
    wanted.position.clear();
    Ok(visit.done(&wanted.link("/delayed/messages"), "The message is gone."))
}

async fn ask_reschedule(visit: Visit, Query(wanted): Query<Wanted>) -> Shown {
    let known = one(&visit, &wanted).await?;
    let back = Wanted { position: String::new(), ..wanted.clone() }.link("/delayed/messages");
    let asked = html! {
        form.confirm method="post" action="/delayed/reschedule" {
            (csrf(&visit.frame))
            @for (name, value) in [("vhost", &wanted.vhost), ("name", &wanted.name), ("position", &wanted.position)] {
                input type="hidden" name=(name) value=(value);
            }
            div.happens { p { "A message " (wanted.place()) " will come at another time." } (known) }
            (field("Seconds from now", "seconds", "0", "0 has it come at once"))
            div.buttons {
                button.primary type="submit" { "Reschedule the message" }
                a.button href=(back) { "Cancel" }
            }
        }
    };
    page(&visit, Section::Delayed, "Reschedule a message?", &asked)
}

/// Another time for one of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AnotherTime {
    vhost: String,
    name: String,
    position: String,
    seconds: String,
}

async fn reschedule(change: Change<AnotherTime>) -> Shown {
    let Change { visit, form: AnotherTime { vhost, name, position, seconds } } = change;
    let delay = whole(&visit.frame, "the time", &seconds)?.saturating_mul(1_000).min(i64::MAX as u64);
    let wanted = Wanted { vhost, name, position, ..Wanted::default() };
    visit.send(Method::PUT, wanted.one(), &json!({ "delay": delay })).await?;
    let back = Wanted { position: String::new(), ..wanted };
    Ok(visit.done(&back.link("/delayed/messages"), "The message has another time."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_in_the_span_in_which_they_are_due() {
        let at = |due| Message { due, ..Message::default() };
        let messages =
            [0, 60_100, 60_101, 600_100, 3_600_100, 86_400_100, 86_400_101].map(|due| at(Some(due)));
        let mut all: Vec<_> = messages.iter().collect();
        let none = at(None);
        all.push(&none);
        assert_eq!(counts(&all, 100), [2, 2, 1, 1, 1]);
        assert_eq!(counts(&[], 100), [0; 5]);
    }

    #[test]
    fn a_message_is_found_by_what_people_know_it_by() {
        let message = Message {
            routing_key: "Orders.7".into(),
            exchange: "shop".into(),
            payload: "{\"customer\":\"Ann\"}".into(),
            properties: json!({ "headers": { "kind": "Invoice" } }),
            ..Message::default()
        };
        for (needle, is_found) in
            [("", true), ("orders.7", true), ("shop", true), ("ann", true), ("invoice", true), ("bob", false)]
        {
            assert_eq!(has(&message, needle), is_found, "{needle}");
        }
    }
}
