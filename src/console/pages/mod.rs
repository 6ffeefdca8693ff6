//! The pages: a file for each, with its routes, what it asks the API for, and what it shows of that.

mod admin;
mod channels;
mod connection;
mod connections;
mod consumers;
mod definitions;
mod delayed;
mod drops;
mod exchange;
mod exchanges;
mod log;
mod me;
mod overview;
mod parts;
mod publish;
mod queue;
mod queues;
mod redrives;
mod routing;
mod tail;
mod traces;

use std::sync::Arc;

use axum::{
    Router,
    response::{Html, IntoResponse, Response},
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    answers::Vhost,
    ask::api,
    door::{Keeper, Visit},
    view::{self, Frame, Refusal, Section},
};
use crate::limits::CONSOLE_VHOSTS_SHOWN_MAX;

/// What a handler gives.
type Shown = Result<Response, Refusal>;

/// All of them.
pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .merge(admin::routes())
        .merge(channels::routes())
        .merge(connection::routes())
        .merge(connections::routes())
        .merge(consumers::routes())
        .merge(definitions::routes())
        .merge(delayed::routes())
        .merge(drops::routes())
        .merge(exchange::routes())
        .merge(exchanges::routes())
        .merge(log::routes())
        .merge(me::routes())
        .merge(overview::routes())
        .merge(publish::routes())
        .merge(queue::routes())
        .merge(queues::routes())
        .merge(redrives::routes())
        .merge(routing::routes())
        .merge(tail::routes())
        .merge(traces::routes())
}

/// A page with its content.
#[allow(clippy::unnecessary_wraps, reason = "it is what a handler ends with")]
fn page(visit: &Visit, section: Section, title: &str, content: &Markup) -> Shown {
    Ok(Html(view::page(&visit.frame, section, title, content).into_string()).into_response())
}

/// Something in a virtual host, by its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    vhost: String,
    name: String,
}

/// The virtual hosts that somebody sees, by name: none if they are too many to choose from.
async fn vhosts(visit: &Visit) -> Result<Vec<String>, Refusal> {
    let vhosts: Vec<Vhost> = visit.get(api(&["vhosts"]).with(&[("columns", "name")])).await?;
    if vhosts.len() > CONSOLE_VHOSTS_SHOWN_MAX {
        return Ok(Vec::new());
    }
    Ok(vhosts.into_iter().map(|vhost| vhost.name).collect())
}

/// Where a virtual host is chosen for something new.
fn vhost_field(vhosts: &[String]) -> Markup {
    if vhosts.is_empty() {
        return view::field("Virtual host", "vhost", "/", "");
    }
    html! {
        label.field { span { "Virtual host" }
            select name="vhost" { @for vhost in vhosts { option value=(vhost) { (view::text::shown(vhost)) } } }
        }
    }
}

/// A JSON object in a field of a form; an empty field is an empty one.
fn object(frame: &Frame, text: &str) -> Result<Map<String, Value>, Refusal> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let parsed = serde_json::from_str(text);
    parsed.map_err(|error| Refusal::bad(frame, format!("That is no JSON object: {error}")))
}

/// A whole number in a field of a form.
fn whole(frame: &Frame, name: &str, text: &str) -> Result<u64, Refusal> {
    text.trim().parse().map_err(|_| Refusal::bad(frame, format!("{name} is no whole number: {text}")))
}
