//! Permissions, and those of topics.

use axum::{body::Bytes, extract::State};
use serde_json::{Value, json};

use super::{done, put};
use crate::core::access::{AccessChange, PermissionsSpec, TopicPermissionsSpec};
use crate::management::{
    Api,
    body::{Body, name},
    extract::{Path, Query},
    failure::{Answered, Failure, bad_request},
    json::text,
    listing::Listing,
    openapi::{Kind, Routes, must},
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("permissions", "Permissions and topic permissions of users in virtual hosts")
        .list("/api/permissions", all, "List permissions")
        .get("/api/permissions/{vhost}/{user}", one, "Look at the permissions of a user in a virtual host")
        .put("/api/permissions/{vhost}/{user}", set, "Set permissions, each a regular expression of names")
        .taking([must("configure", Kind::Text), must("write", Kind::Text), must("read", Kind::Text)])
        .delete("/api/permissions/{vhost}/{user}", remove, "Take permissions away")
        .list("/api/topic-permissions", all_topics, "List topic permissions")
        .list(
            "/api/topic-permissions/{vhost}/{user}",
            topics,
            "List the topic permissions of a user in a virtual host",
        )
        .put(
            "/api/topic-permissions/{vhost}/{user}",
            set_topic,
            "Set topic permissions, each a regular expression of keys",
        )
        .taking([must("exchange", Kind::Text), must("write", Kind::Text), must("read", Kind::Text)])
        .delete("/api/topic-permissions/{vhost}/{user}", remove_topics, "Take topic permissions away")
        .list(
            "/api/topic-permissions/{vhost}/{user}/{exchange}",
            topic,
            "Look at the topic permissions for an exchange",
        )
        .delete(
            "/api/topic-permissions/{vhost}/{user}/{exchange}",
            remove_topic,
            "Take the topic permissions for an exchange away",
        )
        .all_for_administrators()
}

/// Permissions as RabbitMQ shows them.
pub(super) fn shown(spec: &PermissionsSpec) -> Value {
    json!({
        "configure": spec.configure,
        "read": spec.read,
        "user": text(&spec.user),
        "vhost": text(&spec.vhost),
        "write": spec.write,
    })
}

/// Topic permissions as RabbitMQ shows them.
pub(super) fn topic_shown(spec: &TopicPermissionsSpec) -> Value {
    json!({
        "exchange": text(&spec.exchange),
        "read": spec.read,
        "user": text(&spec.user),
        "vhost": text(&spec.vhost),
        "write": spec.write,
    })
}

/// Those that are chosen.
pub(super) fn all_of(api: &Api, chosen: impl Fn(&PermissionsSpec) -> bool) -> Vec<Value> {
    api.broker.access.read(|registry| registry.permissions().filter(|spec| chosen(spec)).map(shown).collect())
}

/// The same of topic permissions.
pub(super) fn all_topics_of(api: &Api, chosen: impl Fn(&TopicPermissionsSpec) -> bool) -> Vec<Value> {
    let access = &api.broker.access;
    access
        .read(|registry| registry.topic_permissions().filter(|spec| chosen(spec)).map(topic_shown).collect())
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    visitor.require_administrator()?;
    listing.answer(all_of(&api, |_| true))
}

async fn all_topics(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    visitor.require_administrator()?;
    listing.answer(all_topics_of(&api, |_| true))
}

/// 404 if the virtual host or the user is not there.
fn check(api: &Api, vhost: &str, user: &str) -> Answered<()> {
    api.vhost(vhost)?;
    api.broker.access.user(user.as_bytes()).map(drop).ok_or(Failure::NotFound)
}

async fn one(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    check(&api, &vhost, &user)?;
    let (user, vhost) = (name(&user)?, name(&vhost)?);
    let found = api.broker.access.read(|registry| registry.permissions_of(&user, &vhost).map(shown));
    Ok(listing.answer_one(&found.ok_or(Failure::NotFound)?))
}

async fn set(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    visitor.require_administrator()?;
    let body = Body::read(&body)?;
    if api.vhost(&vhost).is_err() {
        return Err(bad_request("vhost_not_found"));
    }
    if api.broker.access.user(user.as_bytes()).is_none() {
        return Err(bad_request("user_not_found"));
    }
    let document = json!({ "permissions": [{
        "user": user,
        "vhost": vhost,
        "configure": body.required_text("configure")?,
        "write": body.required_text("write")?,
        "read": body.required_text("read")?,
    }] });
    let (of, at) = (name(&user)?, name(&vhost)?);
    let is_new = api.broker.access.read(|registry| registry.permissions_of(&of, &at).is_none());
    api.import(document).await?;
    Ok(put(is_new))
}

async fn remove(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
) -> Answered {
    visitor.require_administrator()?;
    check(&api, &vhost, &user)?;
    let (user, vhost) = (name(&user)?, name(&vhost)?);
    api.change_access(|registry| {
        let is_there = registry.permissions_of(&user, &vhost).is_some();
        is_there.then(|| AccessChange::PermissionsDeleted { user: user.clone(), vhost: vhost.clone() })
    })
    .await?;
    Ok(done())
}

async fn topics(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    check(&api, &vhost, &user)?;
    let found =
        all_topics_of(&api, |spec| *spec.vhost == *vhost.as_bytes() && *spec.user == *user.as_bytes());
    if found.is_empty() { Err(Failure::NotFound) } else { listing.answer(found) }
}

async fn topic(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, user, exchange)): Path<(String, String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    check(&api, &vhost, &user)?;
    let is = |spec: &TopicPermissionsSpec| {
        *spec.vhost == *vhost.as_bytes()
            && *spec.user == *user.as_bytes()
            && *spec.exchange == *exchange.as_bytes()
    };
    let found = all_topics_of(&api, is);
    if found.is_empty() { Err(Failure::NotFound) } else { listing.answer(found) }
}

async fn set_topic(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    visitor.require_administrator()?;
    check(&api, &vhost, &user)?;
    let body = Body::read(&body)?;
    let exchange = body.required_text("exchange")?;
    let document = json!({ "topic_permissions": [{
        "user": user,
        "vhost": vhost,
        "exchange": exchange,
        "write": body.required_text("write")?,
        "read": body.required_text("read")?,
    }] });
    let (of, at) = (name(&user)?, name(&vhost)?);
    let is_new = api.broker.access.read(|registry| {
        registry.topic_permissions_of(&of, &at).all(|spec| *spec.exchange != *exchange.as_bytes())
    });
    api.import(document).await?;
    Ok(put(is_new))
}

async fn remove_topics(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, user)): Path<(String, String)>,
) -> Answered {
    remove_topics_if(&visitor, &api, &vhost, &user, |_| true).await
}

async fn remove_topic(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, user, exchange)): Path<(String, String, String)>,
) -> Answered {
    remove_topics_if(&visitor, &api, &vhost, &user, |spec| *spec.exchange == *exchange.as_bytes()).await
}

async fn remove_topics_if(
    visitor: &Visitor,
    api: &Api,
    vhost: &str,
    user: &str,
    chosen: impl Fn(&TopicPermissionsSpec) -> bool,
) -> Answered {
    visitor.require_administrator()?;
    check(api, vhost, user)?;
    let (user, vhost) = (name(user)?, name(vhost)?);
    api.change_access(|registry| {
        let topics = registry.topic_permissions_of(&user, &vhost).filter(|spec| chosen(spec));
        let deletion = |spec: &TopicPermissionsSpec| AccessChange::TopicPermissionsDeleted {
            user: spec.user.clone(),
            vhost: spec.vhost.clone(),
            exchange: spec.exchange.clone(),
        };
        topics.map(deletion).collect::<Vec<_>>()
    })
    .await?;
    Ok(done())
}
