//! Parameters of virtual hosts, and those of the whole broker.

use axum::{body::Bytes, extract::State};
use serde_json::{Value, json};

use super::{done, policies, put, users::limits_shown};
use crate::broker::Vhost;
use crate::core::{
    access::{AccessChange, Limits},
    declared::{PolicyKind, VhostSettings},
};
use crate::management::{
    Api,
    body::{Body, name},
    extract::{Path, Query},
    failure::{Answered, Failure},
    json::text,
    listing::Listing,
    openapi::{Field, Kind, Routes, must},
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("parameters", "Parameters of virtual hosts, and global ones")
        .list("/api/parameters", all, "List parameters")
        .for_policymakers()
        .list("/api/parameters/{component}", of_component, "List the parameters of a component")
        .for_policymakers()
        .list(
            "/api/parameters/{component}/{vhost}",
            in_vhost,
            "List the parameters of a component in a virtual host",
        )
        .for_policymakers()
        .get("/api/parameters/{component}/{vhost}/{parameter}", one, "Look at a parameter")
        .for_policymakers()
        .put("/api/parameters/{component}/{vhost}/{parameter}", set, "Set a parameter")
        .taking(VALUE)
        .for_policymakers()
        .delete("/api/parameters/{component}/{vhost}/{parameter}", remove, "Take a parameter away")
        .for_policymakers()
        .list("/api/global-parameters", all_global, "List global parameters")
        .for_policymakers()
        .get("/api/global-parameters/{parameter}", one_global, "Look at a global parameter")
        .for_policymakers()
        .put("/api/global-parameters/{parameter}", set_global, "Set a global parameter")
        .taking(VALUE)
        .for_administrators()
        .delete("/api/global-parameters/{parameter}", remove_global, "Take a global parameter away")
        .for_administrators()
}

const VALUE: [Field; 1] = [must("value", Kind::Any)];

/// The value of a parameter, which is kept as text.
fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| json!(json))
}

/// The parameters of a virtual host. Operators' policies and limits are some of them (RabbitMQ).
pub(super) fn all_of(vhost: &Vhost) -> Vec<Value> {
    let shown = |component: &[u8], name: &[u8], value: Value| json!({ "component": text(component), "name": text(name), "value": value, "vhost": text(&vhost.name) });
    let mut all: Vec<_> = vhost.read(|topology| {
        topology.parameters().map(|(component, name, json)| shown(component, name, value(json))).collect()
    });
    for policy in policies::all_of(vhost, PolicyKind::Operator) {
        let Value::Object(mut value) = policy else { continue };
        let name = value.remove("name").unwrap_or_default();
        value.remove("vhost");
        all.push(shown(b"operator_policy", name.as_str().unwrap_or_default().as_bytes(), value.into()));
    }
    let limits = vhost.limits();
    if limits.iter().len() > 0 {
        all.push(shown(b"vhost-limits", b"limits", limits_shown(&limits)));
    }
    all
}

/// Those of the whole broker.
pub(super) fn all_global_of(api: &Api) -> Vec<Value> {
    let shown = |(name, json): (&crate::protocol::ShortString, &str)| json!({ "name": text(name), "value": value(json) });
    api.broker.access.read(|registry| registry.global_parameters().map(shown).collect())
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    visitor.require_policymaker()?;
    listing.answer(visitor.all_seen(&api).await.iter().flat_map(|vhost| all_of(vhost)).collect::<Vec<_>>())
}

async fn of_component(
    visitor: Visitor,
    State(api): State<Api>,
    Path(component): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_policymaker()?;
    let mut found: Vec<_> = visitor.all_seen(&api).await.iter().flat_map(|vhost| all_of(vhost)).collect();
    found.retain(|shown| shown["component"] == *component);
    listing.answer(found)
}

async fn in_vhost(
    visitor: Visitor,
    State(api): State<Api>,
    Path((component, vhost)): Path<(String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_policymaker()?;
    let mut found = all_of(&*visitor.seen(&api, &vhost).await?);
    found.retain(|shown| shown["component"] == *component);
    listing.answer(found)
}

fn find(vhost: &Vhost, component: &str, parameter: &str) -> Answered<Value> {
    let mut all = all_of(vhost).into_iter();
    all.find(|shown| shown["component"] == *component && shown["name"] == *parameter).ok_or(Failure::NotFound)
}

async fn one(
    visitor: Visitor,
    State(api): State<Api>,
    Path((component, vhost, parameter)): Path<(String, String, String)>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_policymaker()?;
    let vhost = visitor.seen(&api, &vhost).await?;
    Ok(listing.answer_one(&find(&vhost, &component, &parameter)?))
}

async fn set(
    visitor: Visitor,
    State(api): State<Api>,
    Path((component, vhost, parameter)): Path<(String, String, String)>,
    body: Bytes,
) -> Answered {
    visitor.require_policymaker()?;
    if matches!(&*component, "operator_policy" | "vhost-limits") {
        // They have addresses of their own.
        visitor.require_administrator()?;
    }
    let entered = visitor.entered(&api, &vhost).await?;
    let body = Body::read(&body)?;
    let is_new = find(&entered, &component, &parameter).is_err();
    api.import(json!({ "parameters": [{
        "component": component, "vhost": vhost, "name": parameter, "value": body.required("value")?,
    }] }))
    .await?;
    Ok(put(is_new))
}

async fn remove(
    visitor: Visitor,
    State(api): State<Api>,
    Path((component, vhost, parameter)): Path<(String, String, String)>,
) -> Answered {
    visitor.require_policymaker()?;
    let vhost = visitor.entered(&api, &vhost).await?;
    let (component, parameter) = (name(&component)?, name(&parameter)?);
    let (was_there, commit) = match &*component {
        // They have addresses of their own.
        b"operator_policy" => {
            visitor.require_administrator()?;
            vhost.delete_policy(PolicyKind::Operator, &parameter)
        }
        b"vhost-limits" => {
            visitor.require_administrator()?;
            let none = |before: &VhostSettings| VhostSettings { limits: Limits::default(), ..before.clone() };
            (vhost.change_settings(none), vhost.last_change())
        }
        _ => vhost.change(|topology| topology.delete_parameter(component, parameter)),
    };
    if !was_there {
        return Err(Failure::NotFound);
    }
    api.broker.kept(&commit.unwrap_or_default().into()).await;
    Ok(done())
}

async fn all_global(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    visitor.require_policymaker()?;
    listing.answer(all_global_of(&api))
}

async fn one_global(
    visitor: Visitor,
    State(api): State<Api>,
    Path(parameter): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    visitor.require_policymaker()?;
    let found = all_global_of(&api).into_iter().find(|shown| shown["name"] == *parameter);
    Ok(listing.answer_one(&found.ok_or(Failure::NotFound)?))
}

async fn set_global(
    visitor: Visitor,
    State(api): State<Api>,
    Path(parameter): Path<String>,
    body: Bytes,
) -> Answered {
    visitor.require_administrator()?;
    let body = Body::read(&body)?;
    let is_new = api.broker.access.read(|registry| registry.global_parameter(parameter.as_bytes()).is_none());
    api.import(json!({ "global_parameters": [{ "name": parameter, "value": body.required("value")? }] }))
        .await?;
    Ok(put(is_new))
}

async fn remove_global(visitor: Visitor, State(api): State<Api>, Path(parameter): Path<String>) -> Answered {
    visitor.require_administrator()?;
    let parameter = name(&parameter)?;
    api.change_access(|registry| {
        let is_there = registry.global_parameter(&parameter).is_some();
        is_there.then(|| AccessChange::GlobalParameterDeleted(parameter.clone()))
    })
    .await?;
    Ok(done())
}
