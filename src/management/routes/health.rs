//! Health checks: 200 with `{"status": "ok"}`, or 503 with what is wrong.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::management::{
    Api,
    body::name,
    extract::Path,
    failure::{Answered, Failure, bad_request},
    openapi::Routes,
    visitor::Visitor,
};
use crate::protocol::{Properties, basic, queue};

/// Where the broker gives a sign of life.
pub const ALIVE: &str = "/api/leveret/alive";

pub(super) fn routes() -> Routes {
    Routes::about("health", "Checks: 200 if all is well, 503 with what is not")
        .get("/api/aliveness-test/{vhost}", alive, "Publish a message and take it out again")
        .answering(CHECKED)
        .get("/api/healthchecks/node", alarms, "Check that there is no alarm, as old clients do it")
        .answering(CHECKED)
        .get("/api/healthchecks/node/{node}", alarms, "Check that there is no alarm, as old clients do it")
        .answering(CHECKED)
        .get("/api/health/checks/alarms", alarms, "Check that there is no alarm")
        .answering(CHECKED)
        .get("/api/health/checks/local-alarms", alarms, "Check that there is no alarm on this node")
        .answering(CHECKED)
        .get("/api/health/checks/virtual-hosts", well, "Check that virtual hosts run")
        .get("/api/health/checks/port-listener/{port}", port, "Check that something listens at a port")
        .answering(CHECKED)
        .get("/api/health/checks/protocol-listener/{protocol}", protocol, "Check that a protocol is spoken")
        .answering(CHECKED)
        .get(
            "/api/health/checks/certificate-expiration/{within}/{unit}",
            certificates,
            "Check that no certificate expires soon",
        )
        .answering(CHECKED)
        .get(
            "/api/health/checks/node-is-quorum-critical",
            alone,
            "Check that no other node depends on this one",
        )
        .get(
            "/api/health/checks/node-is-mirror-sync-critical",
            alone,
            "Check that no other node depends on this one",
        )
        .get("/api/health/checks/is-in-service", well, "Check that the broker serves clients")
        .get("/api/health/checks/ready-to-serve-clients", well, "Check that the broker serves clients")
        .get(
            "/api/health/checks/below-node-connection-limit",
            connections,
            "Check that there may be more connections",
        )
        .answering(CHECKED)
        .get(ALIVE, live, "Get a sign of life")
}

const CHECKED: &[u16] = &[200, 503];

fn fine(more: Value) -> Response {
    Json(with(json!({ "status": "ok" }), more)).into_response()
}

fn failed(reason: &str, more: Value) -> Response {
    let shown = with(json!({ "status": "failed", "reason": reason }), more);
    (StatusCode::SERVICE_UNAVAILABLE, Json(shown)).into_response()
}

/// An object with the fields of another one, if that is one.
fn with(mut shown: Value, more: Value) -> Value {
    if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
        shown.extend(more);
    }
    shown
}

/// That it answers at all. For probes on the same machine, without credentials; from elsewhere with them.
async fn live(
    visitor: Option<Visitor>,
    peer: axum::Extension<crate::management::visitor::PeerAddress>,
) -> Answered {
    if visitor.is_none() && !peer.0.0.ip().to_canonical().is_loopback() {
        return Err(Failure::NotAuthenticated("Login failed".into()));
    }
    Ok(fine(Value::Null))
}

async fn well(_: Visitor) -> Answered {
    Ok(fine(Value::Null))
}

/// Nobody depends on the only node.
async fn alone(_: Visitor) -> Answered {
    Ok(fine(json!({ "reason": "single node cluster" })))
}

async fn alarms(_: Visitor, State(api): State<Api>) -> Answered {
    let mut raised = Vec::new();
    if api.broker.alarm.has_memory() {
        raised.push(json!({ "node": api.node.name, "resource": "memory" }));
    }
    if *api.node.disk_low.borrow() {
        raised.push(json!({ "node": api.node.name, "resource": "disk" }));
    }
    if raised.is_empty() {
        return Ok(fine(Value::Null));
    }
    Ok(failed("resource alarm(s) in effect", json!({ "alarms": raised })))
}

async fn port(_: Visitor, State(api): State<Api>, Path(port): Path<String>) -> Answered {
    let port: u16 = port.parse().map_err(|_| bad_request(format!("{port} is no port")))?;
    if api.node.listeners.iter().any(|(_, address)| address.port() == port) {
        return Ok(fine(json!({ "port": port })));
    }
    let ports: Vec<_> = api.node.listeners.iter().map(|(_, address)| address.port()).collect();
    Ok(failed("No active listener", json!({ "missing": port, "ports": ports })))
}

/// A protocol by one of its names.
fn spoken(protocol: &str) -> &str {
    match protocol {
        "amqp091" | "amqp0.9.1" | "amqp-0-9-1" => "amqp",
        "amqps" | "amqp-tls" => "amqp/ssl",
        other => other,
    }
}

async fn protocol(_: Visitor, State(api): State<Api>, Path(protocol): Path<String>) -> Answered {
    let wanted = protocol.to_lowercase();
    if let Some((its, _)) = api.node.listeners.iter().find(|(its, _)| *its == spoken(&wanted)) {
        return Ok(fine(json!({ "protocol": its })));
    }
    let protocols: Vec<_> = api.node.listeners.iter().map(|(protocol, _)| protocol).collect();
    Ok(failed("No active listener", json!({ "missing": protocol, "protocols": protocols })))
}

async fn certificates(
    _: Visitor,
    State(api): State<Api>,
    Path((within, unit)): Path<(u64, String)>,
) -> Answered {
    let days = match &*unit {
        "days" => 1,
        "weeks" => 7,
        "months" => 30,
        "years" => 365,
        other => return Err(bad_request(format!("Time unit not recognised: {other}"))),
    };
    let Some(expires) = api.certificate_expires() else { return Ok(fine(Value::Null)) };
    let now = api.broker.clock.now() / 1_000;
    if expires > now.saturating_add(within.saturating_mul(days * 86_400)) {
        return Ok(fine(Value::Null));
    }
    Ok(failed("Certificates expiring", json!({ "expired": [{ "expires": expires, "node": api.node.name }] })))
}

async fn connections(_: Visitor, State(api): State<Api>) -> Answered {
    let (limit, current) = (api.broker.config.connection_max, api.broker.connections.count());
    let figures = json!({ "limit": limit, "connections": current });
    Ok(if current < limit { fine(figures) } else { failed("node connection limit is reached", figures) })
}

/// Publishes a message to a queue of its own and takes it out again (RabbitMQ's `aliveness-test`).
async fn alive(visitor: Visitor, State(api): State<Api>, Path(vhost): Path<String>) -> Answered {
    api.vhost(&vhost)?;
    let vhost = visitor.entered(&api, &vhost).await?;
    let queue = name("aliveness-test")?;
    let mut client = visitor.client(&api, &vhost).await?;
    let tried = async {
        client.call(&queue::Declare { queue: queue.clone(), ..queue::Declare::default() }).await?;
        let publish = basic::Publish { routing_key: queue.clone(), ..basic::Publish::default() };
        client.publish(&publish, &Properties::default(), b"test_message").await?;
        client.get(&basic::Get { queue, no_ack: true }).await
    };
    let tried = tried.await;
    client.close().await;
    match tried? {
        Some(_) => Ok(fine(Value::Null)),
        None => Ok(failed("the message did not come back", Value::Null)),
    }
}
