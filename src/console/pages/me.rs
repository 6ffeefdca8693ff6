//! Who am I, and what may I do here?

use std::sync::Arc;

use axum::{Router, routing::get};
use maud::html;

use super::{Shown, page, vhosts};
use crate::console::{
    door::{Keeper, Visit},
    view::{Section, text},
};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/me", get(show))
}

async fn show(visit: Visit) -> Shown {
    let vhosts = vhosts(&visit).await?;
    let frame = &visit.frame;
    let content = html! {
        section.panel aria-label="User" {
            p { "You are " strong { (text::name(&frame.user)) }
                @if frame.has_session { ", logged in on this browser." } @else { ", by basic authentication with each request." } }
            p { "Tags: " @for (at, tag) in frame.tags.iter().enumerate() { @if at > 0 { ", " } (text::name(tag)) } "." }
            ul {
                @if frame.is_administrator { li { "You may do everything here. What concerns messages needs permissions in the virtual host, too." } }
                @else {
                    @if frame.is_monitor { li { "You see everything, whosever it is." } }
                    @else { li { "You see the virtual hosts in which you have permissions, and your own connections." } }
                    @if frame.is_policymaker { li { "You may set policies where you have permissions." } }
                    li { "Queues, exchanges and messages: as your permissions in each virtual host say." }
                }
            }
            @if !vhosts.is_empty() {
                p { "Virtual hosts that you see: " @for (at, vhost) in vhosts.iter().enumerate() { @if at > 0 { ", " } (text::name(vhost)) } "." }
            }
        }
    };
    page(&visit, Section::Other, "Who am I", &content)
}
