//! What RabbitMQ does not have, under `/api/leveret/`.

mod drops;
mod messages;
mod redrive;

use axum::Router;

use crate::management::Api;

pub(super) fn routes() -> Router<Api> {
    Router::new().merge(drops::routes()).merge(messages::routes()).merge(redrive::routes())
}
