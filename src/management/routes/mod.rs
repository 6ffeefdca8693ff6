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

use super::{Api, failure::Failure, metrics, openapi::Routes};

/// All of them, as a table.
pub fn all() -> Routes {
    Routes::default()
        .and(overview::routes())
        .and(node::routes())
        .and(connections::routes())
        .and(channels::routes())
        .and(consumers::routes())
        .and(exchanges::routes())
        .and(queues::routes())
        .and(bindings::routes())
        .and(vhosts::routes())
        .and(users::routes())
        .and(permissions::routes())
        .and(policies::routes())
        .and(parameters::routes())
        .and(limits::routes())
        .and(definitions::routes())
        .and(health::routes())
        .and(metrics::for_visitors())
        .and(beyond::routes())
}

/// What answers a table, and what is no part of it.
pub fn router(table: Routes) -> Router<Api> {
    let nowhere = async || Failure::NotFound;
    let otherwise = async |method: Method| Failure::NotAllowed(format!("{method} is not allowed here"));
    table.into_router().fallback(nowhere).method_not_allowed_fallback(otherwise)
}

/// 201 for what was made, 204 for what was there (RabbitMQ).
fn put(is_new: bool) -> Response {
    if is_new { StatusCode::CREATED.into_response() } else { StatusCode::NO_CONTENT.into_response() }
}

/// 204.
fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
