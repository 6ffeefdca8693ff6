//! Users, and who asks.

use axum::{Json, body::Bytes, extract::State, response::IntoResponse};
use serde_json::{Map, Value, json};

use super::{done, permissions, put};
use crate::auth::{Secret, write_hash};
use crate::core::access::{Limits, UserSpec};
use crate::limits::TAGS_MAX;
use crate::management::{
    Api,
    body::{Body, name},
    extract::{Path, Query},
    failure::{Answered, Failure, bad_request},
    json::{text, texts},
    listing::Listing,
    openapi::{Kind, Routes, may, must},
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("users", "Users, and who one is")
        .list("/api/users", all, "List users")
        .post("/api/users/bulk-delete", remove_all, "Delete several users")
        .taking([must("users", Kind::Texts)])
        .answering(&[204])
        .list(
            "/api/users/without-permissions",
            without_permissions,
            "List users that have no permissions anywhere",
        )
        .get("/api/users/{user}", one, "Look at a user")
        .put("/api/users/{user}", set, "Set a user")
        .taking([
            may("tags", Kind::Any),
            may("password", Kind::Text),
            may("password_hash", Kind::Text),
            may("hashing_algorithm", Kind::Text),
        ])
        .delete("/api/users/{user}", remove, "Delete a user")
        .list("/api/users/{user}/permissions", permissions_of, "List the permissions of a user")
        .list(
            "/api/users/{user}/topic-permissions",
            topic_permissions_of,
            "List the topic permissions of a user",
        )
        .post("/api/auth/hash_password", hash_password, "Hash a password")
        .taking([must("password", Kind::Text)])
        .get(
            "/api/auth/hash_password/{password}",
            hash_password_in_path,
            "Hash a password, as old clients ask for it",
        )
        .all_for_administrators()
        .get("/api/whoami", whoami, "See who one is")
}

/// Limits as an object.
pub(super) fn limits_shown(limits: &Limits) -> Value {
    Value::Object(limits.iter().map(|(limit, max)| (limit.name().into(), json!(max))).collect::<Map<_, _>>())
}

/// A user as RabbitMQ shows it.
pub(super) fn shown(user: &UserSpec) -> Value {
    json!({
        "hashing_algorithm": user.password.algorithm.name(),
        "limits": limits_shown(&user.limits),
        "name": text(&user.name),
        "password_hash": write_hash(&user.password),
        "tags": texts(&user.tags),
    })
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    visitor.require_administrator()?;
    let users =
        api.broker.access.read(|registry| registry.users().map(|user| shown(user)).collect::<Vec<_>>());
    listing.answer(users)
}

async fn without_permissions(
    visitor: Visitor,
    State(api): State<Api>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    let users = api.broker.access.read(|registry| {
        let has_none =
            |user: &&std::sync::Arc<UserSpec>| registry.permissions().all(|spec| spec.user != user.name);
        registry.users().filter(has_none).map(|user| shown(user)).collect::<Vec<_>>()
    });
    listing.answer(users)
}

async fn one(
    visitor: Visitor,
    State(api): State<Api>,
    Path(user): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    let user = api.broker.access.user(user.as_bytes()).ok_or(Failure::NotFound)?;
    Ok(listing.answer_one(&shown(&user)))
}

async fn set(visitor: Visitor, State(api): State<Api>, Path(user): Path<String>, body: Bytes) -> Answered {
    visitor.require_administrator()?;
    let body = Body::read(&body)?;
    let before = api.broker.access.user(name(&user)?.as_ref());
    let tags = if body.get("tags").is_some() {
        body.tags("tags")?
    } else if body.get("administrator").is_some() {
        // Of the first versions.
        if body.flag("administrator", false)? { vec![name("administrator")?] } else { Vec::new() }
    } else {
        return Err(bad_request("key_missing: tags"));
    };
    if tags.len() > TAGS_MAX {
        return Err(bad_request(format!("a user has at most {TAGS_MAX} tags")));
    }
    let (hash, algorithm) = hash_of(&api, &body).await?;
    let limits = before.as_ref().map_or_else(|| json!({}), |user| limits_shown(&user.limits));
    api.import(json!({ "users": [{
        "name": user,
        "password_hash": hash,
        "hashing_algorithm": algorithm,
        "tags": texts(&tags),
        "limits": limits,
    }] }))
    .await?;
    Ok(put(before.is_none()))
}

/// The hash that a request brings, or that of the password that it brings; an empty one lets nobody in.
async fn hash_of(api: &Api, body: &Body) -> Answered<(String, String)> {
    let hash = body.text("password_hash")?;
    match (body.text("password")?, hash) {
        (Some(_), Some(_)) => Err(bad_request("password and password_hash are both given")),
        (Some(password), None) if !password.is_empty() => {
            let password = password.as_bytes().to_vec().into();
            let hash = api.broker.authenticator.hash(password).await;
            let hash =
                hash.ok_or_else(|| Failure::Unavailable("too many passwords wait to be hashed".into()))?;
            Ok((write_hash(&hash), hash.algorithm.name().into()))
        }
        (_, hash) => {
            let algorithm = body.text("hashing_algorithm")?.unwrap_or("rabbit_password_hashing_sha256");
            Ok((hash.unwrap_or_default().into(), algorithm.into()))
        }
    }
}

async fn delete(api: &Api, user: &str) -> Answered<()> {
    let commit = api.broker.delete_user(&name(user)?).ok_or(Failure::NotFound)?;
    api.broker.kept(&commit.into()).await;
    Ok(())
}

async fn remove(visitor: Visitor, State(api): State<Api>, Path(user): Path<String>) -> Answered {
    visitor.require_administrator()?;
    delete(&api, &user).await?;
    Ok(done())
}

async fn remove_all(visitor: Visitor, State(api): State<Api>, body: Bytes) -> Answered {
    visitor.require_administrator()?;
    let body = Body::read(&body)?;
    let users = body.required("users")?.as_array().ok_or_else(|| bad_request("users is no list"))?;
    for user in users {
        let user = user.as_str().ok_or_else(|| bad_request("a user's name is a text"))?;
        match delete(&api, user).await {
            Ok(()) | Err(Failure::NotFound) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(done())
}

async fn permissions_of(
    visitor: Visitor,
    State(api): State<Api>,
    Path(user): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    api.broker.access.user(user.as_bytes()).ok_or(Failure::NotFound)?;
    listing.answer(permissions::all_of(&api, |spec| *spec.user == *user.as_bytes()))
}

async fn topic_permissions_of(
    visitor: Visitor,
    State(api): State<Api>,
    Path(user): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_administrator()?;
    api.broker.access.user(user.as_bytes()).ok_or(Failure::NotFound)?;
    listing.answer(permissions::all_topics_of(&api, |spec| *spec.user == *user.as_bytes()))
}

async fn whoami(visitor: Visitor) -> Answered {
    let is_internal = visitor.identity.authority.is_of_own_user();
    Ok(Json(json!({
        "is_internal_user": is_internal,
        "name": text(visitor.name()),
        "tags": texts(&visitor.tags),
    }))
    .into_response())
}

/// As RabbitMQ's newer versions are asked: a password in a path stands in the logs of whatever is between.
async fn hash_password(visitor: Visitor, State(api): State<Api>, body: Bytes) -> Answered {
    visitor.require_administrator()?;
    let body = Body::read(&body)?;
    body.required("password")?;
    let password = body.text("password")?.unwrap_or_default();
    hashed(&api, password.as_bytes().to_vec().into()).await
}

async fn hash_password_in_path(
    visitor: Visitor,
    State(api): State<Api>,
    Path(password): Path<String>,
) -> Answered {
    visitor.require_administrator()?;
    hashed(&api, password.into_bytes().into()).await
}

/// It takes a turn of those that check logins.
async fn hashed(api: &Api, password: Secret) -> Answered {
    let hash = api.broker.authenticator.hash(password).await;
    let hash = hash.ok_or_else(|| Failure::Unavailable("too many passwords wait to be hashed".into()))?;
    Ok(Json(json!({ "ok": write_hash(&hash) })).into_response())
}
