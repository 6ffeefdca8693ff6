//! Limits of virtual hosts and users: shown on their pages, set by one form for each.

use std::sync::Arc;

use axum::{Router, http::Method, routing::post};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Shown, whole};
use crate::console::{
    answers::admin::Bounds,
    ask::{Address, api},
    door::{Change, Keeper, Visit},
    view::{Refusal, csrf, link, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/vhost/limit", post(set_of_vhost)).route("/user/limit", post(set_of_user))
}

/// Limits of virtual hosts, with what they bound.
pub const OF_VHOSTS: [(&str, &str); 6] = [
    ("max-connections", "connections at once"),
    ("max-queues", "queues"),
    ("max-messages-per-second", "messages published a second"),
    ("max-bytes-per-second", "bytes published a second"),
    ("max-memory-bytes", "bytes of messages in memory: beyond that publishers wait"),
    ("max-disk-bytes", "bytes of messages on the disk: beyond that publishers wait"),
];

/// Limits of users, with what they bound.
pub const OF_USERS: [(&str, &str); 4] = [
    ("max-connections", "connections at once"),
    ("max-channels", "channels at once, over all its connections"),
    ("max-messages-per-second", "messages published a second"),
    ("max-bytes-per-second", "bytes published a second"),
];

/// On a line.
pub fn line(bounds: &Bounds) -> Markup {
    html! {
        @if bounds.is_empty() { span.quiet { "none" } }
        @for (at, (name, max)) in bounds.iter().enumerate() { @if at > 0 { ", " } (text::shown(name)) " " (text::count(*max)) }
    }
}

/// What is set, each with a form that sets it.
pub fn table(
    visit: &Visit,
    action: &str,
    of: &str,
    limits: &[(&'static str, &'static str)],
    bounds: &Bounds,
) -> Markup {
    html! {
        p.quiet { "An empty field takes a limit away; 0 permits nothing." }
        @for (name, words) in limits {
            form.limit method="post" action=(action) {
                (csrf(&visit.frame))
                input type="hidden" name="name" value=(of);
                input type="hidden" name="limit" value=(name);
                label { span { (name) } " " input name="value" inputmode="numeric" autocomplete="off"
                    value=(bounds.get(*name).map(ToString::to_string).unwrap_or_default()); }
                " " button type="submit" aria-label={ "Set " (name) } { "Set" } " " small { (words) }
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Bound {
    /// Of the user or the virtual host.
    name: String,
    limit: String,
    /// Empty for none.
    value: String,
}

async fn set(visit: &Visit, address: Address, value: &str) -> Result<&'static str, Refusal> {
    if value.trim().is_empty() {
        visit.send(Method::DELETE, address, &Value::Null).await?;
        return Ok("The limit is gone.");
    }
    let max = whole(&visit.frame, "A limit", value)?;
    visit.send(Method::PUT, address, &json!({ "value": max })).await?;
    Ok("The limit counts.")
}

async fn set_of_vhost(change: Change<Bound>) -> Shown {
    let Change { visit, form: Bound { name, limit, value } } = change;
    let told = set(&visit, api(&["vhost-limits", &name, &limit]), &value).await?;
    Ok(visit.done(&link::to("/vhost", &[("name", &name)]), told))
}

async fn set_of_user(change: Change<Bound>) -> Shown {
    let Change { visit, form: Bound { name, limit, value } } = change;
    let told = set(&visit, api(&["user-limits", &name, &limit]), &value).await?;
    Ok(visit.done(&link::to("/user", &[("name", &name)]), told))
}
