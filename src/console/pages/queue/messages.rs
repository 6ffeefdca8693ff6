//! A queue's messages as they stand. Looking has no effect on them.

use std::sync::Arc;

use axum::{Router, extract::Query, routing::get};
use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{Shown, page, parts},
    story::story,
};
use crate::console::{
    answers::{Holder, Message, Messages},
    ask::api,
    door::{Keeper, Visit},
    view::{Section, link, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/queue/messages", get(show))
}

/// Which messages, and how their bodies are shown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    vhost: String,
    name: String,
    state: String,
    from: String,
    /// `text`, `json`, `hex`, or empty for what suits.
    form: String,
    /// Bytes of each body; empty for what is usual.
    bytes: String,
}

const STATES: [(&str, &str); 3] =
    [("ready", "Ready"), ("unacked", "Held by consumers"), ("delayed", "Wait for their time")];
const FORMS: [(&str, &str); 4] = [("", "as suits"), ("text", "text"), ("json", "JSON"), ("hex", "hex")];

impl Wanted {
    fn link(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut other = self.clone();
        change(&mut other);
        let query = [
            ("vhost", &*other.vhost),
            ("name", &*other.name),
            ("state", &*other.state),
            ("from", &*other.from),
            ("form", &*other.form),
            ("bytes", &*other.bytes),
        ];
        link::to(
            "/queue/messages",
            &query.into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>(),
        )
    }
}

async fn show(visit: Visit, Query(mut wanted): Query<Wanted>) -> Shown {
    if wanted.state.is_empty() {
        wanted.state = "ready".into();
    }
    let mut query = vec![("state", &*wanted.state), ("limit", "25")];
    if !wanted.from.is_empty() {
        query.push(("from", &wanted.from));
    }
    if !wanted.bytes.is_empty() {
        query.push(("payload_bytes", &wanted.bytes));
    }
    let address = api(&["leveret", "queues", &wanted.vhost, &wanted.name, "messages"]).with(&query);
    let messages: Messages = visit.get(address).await?;
    let now = visit.now();
    let content = html! {
        p.crumbs { a href="/queues" { "Queues" } " · " a href=(link::queue(&wanted.vhost, &wanted.name)) { (text::name(&wanted.name)) }
            " · virtual host " (text::name(&wanted.vhost)) }
        nav.tabs aria-label="Which messages" {
            @for (state, label) in STATES {
                @let href = wanted.link(|other| { other.state = state.into(); other.from.clear(); });
                a href=(href) aria-current=[(wanted.state == state).then_some("true")] { (label) }
            }
            span.quiet { "Bodies as " @for (at, (form, label)) in FORMS.into_iter().enumerate() {
                @if at > 0 { " · " }
                @let href = wanted.link(|other| other.form = form.into());
                a href=(href) aria-current=[(wanted.form == form).then_some("true")] { (label) }
            } }
        }
        section.panel aria-label="Messages" {
            @if messages.messages.is_empty() { p.quiet { "None. Nothing was taken by looking." } }
            @for message in &messages.messages { (shown(message, &wanted, now)) }
            p.quiet {
                @if let Some(next) = &messages.next { a href=(wanted.link(|other| other.from.clone_from(next))) rel="next" { "Next ones" } " · " }
                @if !wanted.from.is_empty() { a href=(wanted.link(|other| other.from.clear())) { "First ones" } " · " }
                a href=(wanted.link(|other| other.bytes = "1048576".into())) { "Show up to 1 MiB of each body" }
            }
        }
    };
    page(&visit, Section::Queues, &format!("Messages of {}", wanted.name), &content)
}

fn shown(message: &Message, wanted: &Wanted, now: u64) -> Markup {
    let headers = message.properties.get("headers").unwrap_or(&Value::Null);
    let bytes = body(message);
    html! {
        details.message {
            summary {
                (text::exchange(&message.exchange)) " → " (text::name(&message.routing_key)) " · " (text::bytes(message.payload_bytes))
                @if let Some(at) = message.published_at.filter(|at| *at > 0) { " · " (text::ago(at, now)) }
                @if message.redelivered { " · " span.tag.warn { "redelivered" } }
                @if message.attempts > 0 { " · came back " (text::counted(message.attempts, "time")) }
                @if let Some(due) = message.due { " · due " (text::moment(due)) }
                @if let Some(holder) = &message.held_by { " · held since " (text::ago(holder.since, now)) }
                @if let Some(reason) = headers.get("x-first-death-reason").and_then(Value::as_str) { " · " span.tag.bad { (text::shown(reason)) } }
                span.first.quiet.mono { (text::shown(&first_line(&bytes))) }
            }
            @if let Some(holder) = &message.held_by { p { "Held " (held(holder, now)) "." } }
            @if let Some(story) = story(headers) { (story) }
            h3 { "Body" @if (bytes.len() as u64) < message.payload_bytes { span.quiet { ", the first " (text::bytes(bytes.len() as u64)) } } }
            pre dir="auto" { (written(&bytes, &wanted.form)) }
            h3 { "Properties" }
            (properties(message))
        }
    }
}

fn held(holder: &Holder, now: u64) -> Markup {
    html! {
        "since " (text::ago(holder.since, now)) " by "
        @match (&holder.consumer_tag, &holder.connection) {
            (Some(tag), Some(connection)) => { a href=(link::connection(connection)) { (text::name(tag)) } }
            (None, Some(connection)) => { a href=(link::connection(connection)) { "a client that got it" } }
            _ => { "a client that has just gone" }
        }
    }
}

fn properties(message: &Message) -> Markup {
    let Some(properties) = message.properties.as_object().filter(|properties| !properties.is_empty()) else {
        return html! { p.quiet { "None." } };
    };
    html! {
        dl.facts {
            @for (name, value) in properties.iter().filter(|(name, _)| *name != "headers") {
                div { dt { (name.replace('_', " ")) } dd { (parts::value(value)) } }
            }
            @for (name, value) in properties.get("headers").and_then(Value::as_object).into_iter().flatten().filter(|(name, _)| *name != "x-death") {
                div { dt { "header " (text::name(name)) } dd { (parts::value(value)) } }
            }
        }
    }
}

/// The bytes that were given of a body.
fn body(message: &Message) -> Vec<u8> {
    if message.payload_encoding == "base64" {
        return BASE64_STANDARD.decode(&message.payload).unwrap_or_default();
    }
    message.payload.as_bytes().to_vec()
}

fn first_line(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(160)];
    String::from_utf8_lossy(cut).into_owned()
}

/// A body in one of the [`FORMS`]: what cannot be shown so is shown as it can.
fn written(bytes: &[u8], form: &str) -> String {
    let text = std::str::from_utf8(bytes);
    let pretty = || {
        let value: Value = serde_json::from_slice(bytes)
            .ok()
            .filter(|value: &Value| value.is_object() || value.is_array())?;
        serde_json::to_string_pretty(&value).ok()
    };
    match (form, text) {
        ("hex", _) | (_, Err(_)) => hex(bytes),
        ("text", Ok(text)) => lines(text),
        (_, Ok(text)) => pretty().map_or_else(|| lines(text), |pretty| lines(&pretty)),
    }
}

/// A text with its lines, and without anything else that could mislead.
fn lines(text: &str) -> String {
    let line = |line: &str| {
        crate::protocol::Printable::new(line.replace('\t', "    ")).cut_at(usize::MAX).to_string()
    };
    text.split('\n').map(|each| line(each.strip_suffix('\r').unwrap_or(each))).collect::<Vec<_>>().join("\n")
}

/// Sixteen bytes on a line, with where they stand and what they are as letters.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut written = String::with_capacity(bytes.len() * 5);
    for (at, line) in bytes.chunks(16).enumerate() {
        // Writing to a text does not fail.
        let _ = write!(written, "{:08x}  ", at * 16);
        for place in 0..16 {
            let _ = match line.get(place) {
                Some(byte) => write!(written, "{byte:02x} "),
                None => write!(written, "   "),
            };
        }
        written.push(' ');
        written.extend(
            line.iter()
                .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { *byte as char } else { '.' }),
        );
        written.push('\n');
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_as_it_is_asked_for_if_it_can_be() {
        for (bytes, form, wanted) in [
            (&b"{\"a\":[1]}"[..], "", "{\n  \"a\": [\n    1\n  ]\n}"),
            (b"{\"a\":[1]}", "text", "{\"a\":[1]}"),
            (b"12", "", "12"),
            (b"no json", "json", "no json"),
            (b"a\r\nb\tc\x1b[0m", "", "a\nb    c\\u{1b}[0m"),
            (b"\xff\x00A", "text", "00000000  ff 00 41                                         ..A\n"),
            (b"AB", "hex", "00000000  41 42                                            AB\n"),
            (b"", "hex", ""),
        ] {
            assert_eq!(written(bytes, form), wanted, "{form}");
        }
        assert_eq!(hex(&[0; 17]).lines().count(), 2);
    }
}
