//! Messages move in from a queue of another broker, as they were there: neither routed nor published anew.
//!
//! The request brings the deliveries by which the other broker gave them away, byte by byte as AMQP carries them. The answer comes
//! when what was taken is safe.

use axum::{Json, body::Bytes, extract::State, response::IntoResponse};
use serde_json::json;

use super::super::queues;
use crate::broker::{Arrived, Stopped};
use crate::core::moved_in::{Delivery, Reading};
use crate::management::{
    Api,
    extract::Path,
    failure::{Answered, bad_request},
    openapi::Routes,
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("moving", "Messages of another broker, put into the queue of the same name")
        .post(
            "/api/leveret/queues/{vhost}/{queue}/move-in",
            move_in,
            "Put deliveries of another broker into a queue",
        )
        .taking_bytes()
        .for_administrators()
}

async fn move_in(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    visitor.require_administrator()?;
    let vhost = api.vhost(&vhost)?;
    let queue = queues::find_shared(&vhost, &queue)?;
    let reading = Reading {
        body_bytes_max: api.broker.config.max_message_size,
        counts_attempts: queue.spec.is_quorum(),
    };
    let deliveries =
        reading.deliveries(&body).map_err(|error| bad_request(format!("no deliveries: {error}")))?;
    let (mut messages, mut refused) = (Vec::new(), Vec::new());
    for Delivery { tag, message } in deliveries {
        match message {
            Ok(message) => messages.push(message),
            Err(why) => refused.push(json!({ "delivery_tag": tag, "reason": why.to_string() })),
        }
    }
    let Arrived { taken, stopped } = api.broker.move_in(&vhost, &queue, &messages).await;
    tracing::debug!(
        vhost = %vhost.name, queue = %queue.spec.name, user = %visitor.name(), taken, refused = refused.len(), ?stopped,
        "moved in"
    );
    let stopped = stopped.map(|why| match why {
        Stopped::Full => "full",
        Stopped::HeldUp => "held_up",
        Stopped::Gone => "gone",
    });
    Ok(Json(json!({ "taken": taken, "refused": refused, "stopped": stopped })).into_response())
}
