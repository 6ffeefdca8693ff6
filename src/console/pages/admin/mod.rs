//! Pages for who runs the broker: virtual hosts, users and what they may do, policies.

mod limits;
mod permissions;
mod policies;
mod policy;
mod user;
mod users;
mod vhost;
mod vhosts;

use std::sync::Arc;

use axum::Router;
use maud::{Markup, html};

use crate::console::{door::Keeper, view::text};

pub fn routes() -> Router<Arc<Keeper>> {
    Router::new()
        .merge(limits::routes())
        .merge(permissions::routes())
        .merge(policies::routes())
        .merge(policy::routes())
        .merge(user::routes())
        .merge(users::routes())
        .merge(vhost::routes())
        .merge(vhosts::routes())
}

/// Words as tags.
fn tags(tags: &[String]) -> Markup {
    html! { @for tag in tags { span.tag { (text::shown(tag)) } " " } }
}

/// Words with commas, as a field has them.
fn commas(tags: &[String]) -> String {
    tags.join(", ")
}
