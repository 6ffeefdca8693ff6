//! What RabbitMQ does not have, under `/api/leveret/`.

mod attention;
mod drops;
mod log;
mod messages;
mod moving_in;
mod permitted;
mod policy_hits;
mod redrive;
mod route;
mod settings;
mod tail;
mod traces;

use crate::management::openapi::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .and(messages::routes())
        .and(moving_in::routes())
        .and(redrive::routes())
        .and(settings::routes())
        .and(drops::routes())
        .and(log::routes())
        .and(attention::routes())
        .and(traces::routes())
        .and(tail::routes())
        .and(route::routes())
        .and(permitted::routes())
        .and(policy_hits::routes())
}
