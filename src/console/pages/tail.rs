//! What comes in, live: the page, and the events that its module shows, which are those of the API.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use futures_lite::{StreamExt, stream};
use maud::html;
use serde::Deserialize;

use super::{Shown, exchange::addressed, page};
use crate::console::{
    ask::{Address, api},
    door::{Keeper, Visit},
    view::{Section, link, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/tail", get(show)).route("/tail/events", get(events))
}

/// What is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    vhost: String,
    /// `queues` or `exchanges`.
    kind: String,
    name: String,
    per_second: String,
}

impl Wanted {
    fn link(&self, path: &str) -> String {
        let per_second = if self.per_second.is_empty() { "10" } else { &self.per_second };
        let all =
            [("vhost", &*self.vhost), ("kind", &self.kind), ("name", &self.name), ("per_second", per_second)];
        link::to(path, &all)
    }

    fn address(&self) -> Address {
        // The module shows no more of each body.
        let query = [("per_second", &*self.per_second), ("payload_bytes", "512")];
        let name = if self.kind == "exchanges" { addressed(&self.name) } else { &self.name };
        api(&["leveret", "tail", &self.kind, &self.vhost, name]).with(&query)
    }
}

const RATES: [&str; 3] = ["1", "10", "100"];

async fn show(visit: Visit, Query(wanted): Query<Wanted>) -> Shown {
    let is_queue = match &*wanted.kind {
        "queues" => true,
        "exchanges" => false,
        _ => return Err(visit.bad("Only queues and exchanges can be looked at live.")),
    };
    let (list, section, its) = if is_queue {
        ("queue", Section::Queues, link::queue(&wanted.vhost, &wanted.name))
    } else {
        ("exchange", Section::Exchanges, link::exchange(&wanted.vhost, &wanted.name))
    };
    let chosen = if wanted.per_second.is_empty() { "10" } else { &*wanted.per_second };
    let content = html! {
        p.crumbs { (list) " " a href=(its) { (text::exchange(&wanted.name)) } " · virtual host " (text::name(&wanted.vhost)) }
        p.quiet { "What comes in from now on. Nothing is taken, nothing is marked redelivered, and nobody waits for who looks." }
        nav.tabs aria-label="How many at most" {
            @for rate in RATES {
                @let other = Wanted { per_second: rate.into(), vhost: wanted.vhost.clone(), kind: wanted.kind.clone(), name: wanted.name.clone() };
                a href=(other.link("/tail")) aria-current=[(chosen == rate).then_some("true")] { (rate) " a second" }
            }
        }
        noscript { div.note.warn { p { "This page needs JavaScript. "
            @if is_queue { a href=(link::to("/queue/messages", &[("vhost", &wanted.vhost), ("name", &wanted.name)])) { "Look at the messages that wait" } "." } } } }
        section.panel aria-label="Messages" data-tail=(wanted.link("/tail/events")) {
            p #tail-state role="status" { "" }
            div.scroll tabindex="0" role="region" aria-label="Table" { table.lines {
                thead { tr { th scope="col" { "When" } th scope="col" { "Exchange" } th scope="col" { "Routing key" }
                    th.number scope="col" { "Bytes" } th scope="col" { "Body" } } }
                tbody #tail {}
            } }
        }
    };
    let what = if wanted.name.is_empty() { "the default exchange" } else { &wanted.name };
    page(&visit, section, &format!("What comes to {what}"), &content)
}

/// The API's own events, as long as the session lasts: it is looked after at each of them, and they come at least as often as the API keeps
/// the connection alive.
async fn events(State(keeper): State<Arc<Keeper>>, visit: Visit, Query(wanted): Query<Wanted>) -> Shown {
    let response = visit.open(wanted.address()).await?;
    let (parts, body) = response.into_parts();
    let events = body.into_data_stream();
    let watched = stream::unfold((events, visit, keeper), async |(mut events, visit, keeper)| {
        let part = events.next().await?;
        visit.goes_on(&keeper).then_some((part, (events, visit, keeper)))
    });
    Ok(Response::from_parts(parts, Body::from_stream(watched)))
}
