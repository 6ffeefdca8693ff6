//! The last lines of the program's log, and its audit: who came in, who was refused, what was changed.

use std::sync::Arc;

use axum::{Router, extract::Query, routing::get};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Shown, page, parts};
use crate::console::{
    answers::told::{Line, Lines},
    ask::api,
    door::{Keeper, Visit},
    view::{Section, link, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/log", get(show_log)).route("/audit", get(show_audit))
}

/// Which lines.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    /// This bad or worse; empty for all.
    level: String,
    find: String,
    /// Only those before the line of this number.
    before: String,
}

impl Wanted {
    fn asked(&self) -> Vec<(&str, &str)> {
        let all = [("level", &*self.level), ("find", &*self.find), ("before", &*self.before)];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

async fn show_log(visit: Visit, Query(wanted): Query<Wanted>) -> Shown {
    show(&visit, "log", &wanted).await
}

async fn show_audit(visit: Visit, Query(wanted): Query<Wanted>) -> Shown {
    show(&visit, "audit", &wanted).await
}

async fn show(visit: &Visit, part: &str, wanted: &Wanted) -> Shown {
    let found: Lines = visit.get(api(&["leveret", part]).with(&wanted.asked())).await?;
    let path = format!("/{part}");
    let older = found.lines.last().filter(|last| last.number > found.forgotten + 1).map(|last| {
        let before = last.number.to_string();
        let wanted = Wanted { before, ..wanted.clone() };
        link::to(&path, &wanted.asked())
    });
    let is_audit = part == "audit";
    let content = html! {
        nav.tabs aria-label="Which lines" {
            a href="/log" aria-current=[(!is_audit).then_some("true")] { "Log" }
            a href="/audit" aria-current=[is_audit.then_some("true")] { "Audit" }
        }
        (search(&path, wanted, is_audit))
        div #lines data-live {
            section.panel aria-label="Lines" {
                @if found.lines.is_empty() { p.empty { "None." } }
                @else { (parts::scroll(&table(&found.lines, is_audit))) }
            }
            p.quiet { (text::counted(found.kept, "line")) " kept in memory"
                @if found.forgotten > 0 { ", " (text::count(found.forgotten)) " before them are not" } ". "
                @if !wanted.before.is_empty() { a href=(path) { "Last ones" } " " }
                @if let Some(older) = older { a href=(older) rel="next" { "Earlier ones" } } }
        }
    };
    let title = if is_audit { "Audit" } else { "Log" };
    page(visit, Section::Log, title, &content)
}

const LEVELS: [(&str, &str); 4] =
    [("", "all levels"), ("error", "errors"), ("warn", "warnings and errors"), ("info", "all but details")];

fn search(path: &str, wanted: &Wanted, is_audit: bool) -> Markup {
    html! {
        form.search method="get" action=(path) role="search" {
            label { span.hidden { "Find in lines" }
                input #search type="search" name="find" value=(wanted.find) autocomplete="off" spellcheck="false"
                    placeholder=(if is_audit { "A user, an address, an event" } else { "Find in lines" }); }
            label { span.hidden { "Levels" }
                select name="level" { @for (value, words) in LEVELS {
                    option value=(value) selected[value == wanted.level] { (words) } } } }
            button type="submit" { "Find" }
        }
    }
}

fn table(lines: &[Line], is_audit: bool) -> Markup {
    html! { table.lines {
        thead { tr { th scope="col" { "When" } th scope="col" { @if is_audit { "Event" } @else { "Level" } } th scope="col" { "What" } } }
        tbody { @for line in lines { (row(line, is_audit)) } }
    } }
}

fn row(line: &Line, is_audit: bool) -> Markup {
    let event = line.fields.get("event").and_then(serde_json::Value::as_str).filter(|_| is_audit);
    let kind = match &*line.level {
        "ERROR" => "bad",
        "WARN" => "warn",
        _ => "",
    };
    html! {
        tr data-key=(line.number) {
            td.when { time datetime=(line.timestamp) { (line.timestamp) } }
            td { span.tag.(kind) { (text::shown(event.unwrap_or(&line.level)).replace('-', " ")) } }
            td { bdi.name { (line.message) }
                div.quiet {
                    @for (name, value) in line.fields.iter().filter(|(name, value)| (!is_audit || *name != "event") && **value != "") {
                        span.value { (name) " = " (parts::value(value)) }
                    }
                    @if let Some(peer) = line.connection.get("peer").filter(|_| !line.fields.contains_key("peer")) {
                        span.value { "connection = " (parts::value(peer)) }
                    }
                    @if !is_audit { span.value { (line.target) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_of_the_audit_is_told_by_its_event_and_a_line_of_the_log_by_its_level() {
        let line: Line = serde_json::from_value(json!({
            "number": 7, "timestamp": "2026-01-31T12:00:00.000000Z", "level": "WARN", "target": "leveret::audit",
            "message": "connection refused", "fields": { "event": "login-refused", "user": "<b>" },
            "connection": { "number": 1, "peer": "127.0.0.1:1" },
        }))
        .unwrap();
        let shown = row(&line, true).into_string();
        for part in ["login refused", "user = ", "&lt;b&gt;", "127.0.0.1:1"] {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(!shown.contains("event = ") && !shown.contains("leveret::audit"), "{shown}");
        let shown = row(&line, false).into_string();
        assert!(shown.contains("WARN") && shown.contains("leveret::audit"), "{shown}");
    }
}
