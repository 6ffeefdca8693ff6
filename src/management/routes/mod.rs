//! The routes, by what they are about.

mod beyond;
mod bindings;
mod channels;
mod connections;
mod consumers;
mod definitions;
mod exchanges;
mod health;
mod limits;
mod node;
mod overview;
mod parameters;
mod permissions;
mod policies;
mod queues;
mod users;
mod vhosts;

pub use health::ALIVE;

use axum::{
    Router,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};

use super::{Api, failure::Failure};

/// All of them.
pub fn all() -> Router<Api> {
    Router::new()
        .merge(beyond::routes())
        .merge(bindings::routes())
        .merge(channels::routes())
        .merge(connections::routes())
        .merge(consumers::routes())
        .merge(definitions::routes())
        .merge(exchanges::routes())
        .merge(health::routes())
        .merge(limits::routes())
        .merge(node::routes())
        .merge(overview::routes())
        .merge(parameters::routes())
        .merge(permissions::routes())
        .merge(policies::routes())
        .merge(queues::routes())
        .merge(users::routes())
        .merge(vhosts::routes())
        .fallback(async || Failure::NotFound)
        .method_not_allowed_fallback(async |method: Method| {
            Failure::NotAllowed(format!("{method} is not allowed here"))
        })
}

/// 201 for what was made, 204 for what was there (RabbitMQ).
fn put(is_new: bool) -> Response {
    if is_new { StatusCode::CREATED.into_response() } else { StatusCode::NO_CONTENT.into_response() }
}

/// 204.
fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
