//! Redrives: what they have done, and how one is stopped.

use std::sync::Arc;

use axum::{
    Router,
    http::Method,
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{Shown, page, parts};
use crate::console::{
    answers::Redrive,
    ask::api,
    door::{Change, Keeper, Visit},
    view::{Section, csrf, link, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/redrives", get(show)).route("/redrives/stop", post(stop))
}

async fn show(visit: Visit) -> Shown {
    let mut redrives: Vec<Redrive> = visit.get(api(&["leveret", "redrives"])).await?;
    redrives.reverse();
    let content = html! {
        p.quiet { "Messages that are moved or copied from a queue elsewhere. One is begun on a queue's page." }
        section.panel #redrives data-live aria-label="Redrives" {
            @if redrives.is_empty() { p.empty { "None since the broker was started." } }
            @else { (parts::scroll(&html! { table {
                thead { tr { th.number scope="col" { "Number" } th scope="col" { "From queue" } th scope="col" { "State" }
                    @for label in ["Looked at", "Sent", "Not meant", "No way", "Gone before"] { th.number scope="col" { (label) } }
                    th scope="col" { span.hidden { "Actions" } } } }
                tbody { @for redrive in &redrives { (row(&visit, redrive)) } }
            } })) }
        }
    };
    page(&visit, Section::Redrives, "Redrives", &content)
}

fn row(visit: &Visit, redrive: &Redrive) -> Markup {
    html! {
        tr data-key=(redrive.id) {
            td.number { (redrive.id) }
            th scope="row" { a href=(link::queue(&redrive.vhost, &redrive.queue)) { (text::name(&redrive.queue)) } }
            td { (state(redrive)) }
            (parts::number(redrive.looked_at)) (parts::number(redrive.sent)) (parts::number(redrive.unmatched))
            (parts::number(redrive.unroutable)) (parts::number(redrive.missed))
            td { @if redrive.ended.is_none() {
                form method="post" action="/redrives/stop" {
                    (csrf(&visit.frame)) input type="hidden" name="id" value=(redrive.id);
                    button type="submit" { "Stop" }
                }
            } }
        }
    }
}

fn state(redrive: &Redrive) -> Markup {
    html! {
        @match redrive.ended.as_deref() {
            None => { span.tag.good { "runs" } }
            Some("at_end") => { "done" }
            Some("at_limit") => { "done: as many as it should" }
            Some("stopped") => { "stopped" }
            Some(_) => { span.tag.bad { "failed" } " " (text::shown(redrive.error.as_deref().unwrap_or_default())) }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stopped {
    id: u64,
}

async fn stop(change: Change<Stopped>) -> Shown {
    let Change { visit, form: Stopped { id } } = change;
    visit.send(Method::DELETE, api(&["leveret", "redrives", &id.to_string()]), &Value::Null).await?;
    Ok(visit.done("/redrives", format!("Redrive {id} stops.")))
}
