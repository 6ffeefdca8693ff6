//! What a user's permissions say to one name, and by which pattern.

use axum::{Json, extract::State, response::IntoResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::access::{Permission, PermissionsSpec, TopicPermissionsSpec};
use crate::management::{
    Api,
    body::name,
    extract::{self, Path, Query},
    failure::{Answered, Failure},
    json::text,
    openapi::Routes,
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("permitted", "What permissions say to a name")
        .get(
            "/api/leveret/permitted/{vhost}/{user}",
            permitted,
            "See what a user may do with a queue or an exchange",
        )
        .for_administrators()
}

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// Of a queue or an exchange; none is the default exchange.
    name: String,
    /// Only with one it is looked at topic permissions.
    routing_key: Option<String>,
}

impl extract::Asked for Asked {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[
        ("name", "Of a queue or an exchange; none is the default exchange"),
        ("routing_key", "A key, of which the topic permissions for that exchange are asked, too"),
    ];
}

async fn permitted(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Answered {
    visitor.require_administrator()?;
    let vhost = api.vhost(&vhost)?.name.clone();
    let access = &api.broker.access;
    let user = access.user(user.as_bytes()).ok_or(Failure::NotFound)?.name.clone();
    let (grant, _) = access.grant(&user, &vhost);
    let (spec, topics) = access.read(|registry| {
        let of_exchange = |spec: &&TopicPermissionsSpec| *spec.exchange == *asked.name.as_bytes();
        (
            registry.permissions_of(&user, &vhost).cloned(),
            registry.topic_permissions_of(&user, &vhost).find(of_exchange).cloned(),
        )
    });
    let object = name(if asked.name.is_empty() { "amq.default" } else { &asked.name })?;
    let one = |permission, pattern: Option<String>| {
        let is_permitted = grant.as_ref().is_some_and(|grant| grant.permits(permission, &object));
        json!({ "permitted": is_permitted, "pattern": pattern })
    };
    let pattern = |of: fn(&PermissionsSpec) -> &String| spec.as_ref().map(of).cloned();
    let mut answer = json!({
        "user": text(&user),
        "vhost": text(&vhost),
        "name": text(&object),
        "configure": one(Permission::Configure, pattern(|spec| &spec.configure)),
        "write": one(Permission::Write, pattern(|spec| &spec.write)),
        "read": one(Permission::Read, pattern(|spec| &spec.read)),
        "topic": Value::Null,
    });
    if let Some(key) = &asked.routing_key {
        let one = |permission, pattern: Option<&String>| {
            let (exchange, key) = (asked.name.as_bytes(), key.as_bytes());
            let is_permitted =
                grant.as_ref().is_some_and(|grant| grant.permits_topic(permission, exchange, key));
            json!({ "permitted": is_permitted, "pattern": pattern })
        };
        answer["topic"] = json!({
            "write": one(Permission::Write, topics.as_ref().map(|spec| &spec.write)),
            "read": one(Permission::Read, topics.as_ref().map(|spec| &spec.read)),
        });
    }
    Ok(Json(answer).into_response())
}
