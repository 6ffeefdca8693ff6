//! What RabbitMQ does not have, under `/api/leveret/`.

mod drops;
mod messages;
mod redrive;

use crate::management::openapi::Routes;

pub(super) fn routes() -> Routes {
    Routes::default().and(messages::routes()).and(redrive::routes()).and(drops::routes())
}
