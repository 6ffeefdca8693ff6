//! Limits of virtual hosts and of users.

use axum::{body::Bytes, extract::State};
use serde_json::{Value, json};

use super::{done, users::limits_shown};
use crate::broker::Vhost;
use crate::core::{
    access::{AccessChange, Limit, UserSpec},
    declared::VhostSettings,
};
use crate::management::{
    Api,
    body::Body,
    extract::{Path, Query},
    failure::{Answered, Failure, bad_request},
    json::text,
    listing::Listing,
    openapi::{Field, Kind, Routes, must},
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("limits", "Limits of virtual hosts and users")
        .list("/api/vhost-limits", all, "List limits of virtual hosts")
        .list("/api/vhost-limits/{vhost}", of_vhost, "List the limits of a virtual host")
        .put("/api/vhost-limits/{vhost}/{limit}", set, "Limit a virtual host; a negative value is no limit")
        .taking(VALUE)
        .answering(&[204])
        .for_administrators()
        .delete("/api/vhost-limits/{vhost}/{limit}", remove, "Take a limit of a virtual host away")
        .for_administrators()
        .list("/api/user-limits", all_users, "List limits of users")
        .for_administrators()
        .list("/api/user-limits/{user}", of_user, "List the limits of a user")
        .for_administrators()
        .put("/api/user-limits/{user}/{limit}", set_user, "Limit a user; a negative value is no limit")
        .taking(VALUE)
        .answering(&[204])
        .for_administrators()
        .delete("/api/user-limits/{user}/{limit}", remove_user, "Take a limit of a user away")
        .for_administrators()
}

const VALUE: [Field; 1] = [must("value", Kind::Whole)];

fn shown(vhost: &Vhost) -> Option<Value> {
    let limits = vhost.limits();
    let has_some = limits.iter().len() > 0;
    has_some.then(|| json!({ "value": limits_shown(&limits), "vhost": text(&vhost.name) }))
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    listing.answer(visitor.all_seen(&api).await.iter().filter_map(|vhost| shown(vhost)).collect::<Vec<_>>())
}

async fn of_vhost(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    listing.answer(shown(&vhost).into_iter().collect::<Vec<_>>())
}

/// What is to be set. Negative ones are none (RabbitMQ).
fn bound(body: &Bytes) -> Answered<Option<u64>> {
    let body = Body::read(body)?;
    body.required("value")?;
    let max = body.whole("value")?.ok_or_else(|| bad_request("value is no whole number"))?;
    Ok(u64::try_from(max).ok())
}

fn limit(name: &str, suits: fn(Limit) -> bool) -> Answered<Limit> {
    let limit = Limit::parse(name).filter(|limit| suits(*limit));
    limit.ok_or_else(|| bad_request(format!("there is no limit '{name}' here")))
}

async fn change(api: &Api, vhost: &Vhost, limit: Limit, max: Option<u64>) {
    vhost.change_settings(|before| {
        let mut settings = VhostSettings::clone(before);
        settings.limits.set(limit, max);
        settings
    });
    api.broker.kept(&vhost.last_change().unwrap_or_default().into()).await;
}

async fn set(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, name)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    visitor.require_administrator()?;
    let vhost = api.vhost(&vhost).map_err(|_| Failure::Missing("vhost_not_found".into()))?;
    change(&api, &vhost, limit(&name, Limit::is_of_vhosts)?, bound(&body)?).await;
    Ok(done())
}

async fn remove(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, name)): Path<(String, String)>,
) -> Answered {
    visitor.require_administrator()?;
    let vhost = api.vhost(&vhost)?;
    change(&api, &vhost, limit(&name, Limit::is_of_vhosts)?, None).await;
    Ok(done())
}

fn shown_user(user: &UserSpec) -> Option<Value> {
    let has_some = user.limits.iter().len() > 0;
    has_some.then(|| json!({ "user": text(&user.name), "value": limits_shown(&user.limits) }))
}

async fn all_users(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    visitor.require_administrator()?;
    let all = api
        .broker
        .access
        .read(|registry| registry.users().filter_map(|user| shown_user(user)).collect::<Vec<_>>());
    listing.answer(all)
}

async fn of_user(
    visitor: Visitor,
    State(api): State<Api>,
    Path(user): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    let user = api.broker.access.user(user.as_bytes()).ok_or(Failure::NotFound)?;
    listing.answer(shown_user(&user).into_iter().collect::<Vec<_>>())
}

async fn change_user(api: &Api, user: &str, limit: Limit, max: Option<u64>) -> Answered<()> {
    api.broker.access.user(user.as_bytes()).ok_or(Failure::NotFound)?;
    api.change_access(|registry| {
        registry.user(user.as_bytes()).map(|user| {
            let mut user = UserSpec::clone(user);
            user.limits.set(limit, max);
            AccessChange::UserSet(user)
        })
    })
    .await
}

async fn set_user(
    visitor: Visitor,
    State(api): State<Api>,
    Path((user, name)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    visitor.require_administrator()?;
    change_user(&api, &user, limit(&name, Limit::is_of_users)?, bound(&body)?).await?;
    Ok(done())
}

async fn remove_user(
    visitor: Visitor,
    State(api): State<Api>,
    Path((user, name)): Path<(String, String)>,
) -> Answered {
    visitor.require_administrator()?;
    change_user(&api, &user, limit(&name, Limit::is_of_users)?, None).await?;
    Ok(done())
}
