//! Policies, and those of operators.

use axum::{body::Bytes, extract::State};
use serde_json::{Value, json};

use super::{done, put};
use crate::broker::Vhost;
use crate::core::declared::{PolicyKind, PolicySpec};
use crate::management::{
    Api,
    body::{Body, name},
    extract::{Path, Query},
    failure::{Answered, Failure},
    json::{table, text},
    listing::Listing,
    openapi::{Field, Kind, Routes, may, must},
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("policies", "Policies, and those of operators")
        .list("/api/policies", users, "List policies")
        .list("/api/policies/{vhost}", users_in, "List the policies of a virtual host")
        .get("/api/policies/{vhost}/{policy}", user, "Look at a policy")
        .put("/api/policies/{vhost}/{policy}", set_user, "Set a policy")
        .taking(POLICY)
        .for_policymakers()
        .delete("/api/policies/{vhost}/{policy}", remove_user, "Take a policy away")
        .for_policymakers()
        .list("/api/operator-policies", operators, "List operator policies")
        .list("/api/operator-policies/{vhost}", operators_in, "List the operator policies of a virtual host")
        .get("/api/operator-policies/{vhost}/{policy}", operator, "Look at an operator policy")
        .put("/api/operator-policies/{vhost}/{policy}", set_operator, "Set an operator policy")
        .taking(POLICY)
        .for_administrators()
        .delete("/api/operator-policies/{vhost}/{policy}", remove_operator, "Take an operator policy away")
        .for_administrators()
}

const POLICY: [Field; 4] = [
    must("pattern", Kind::Text),
    must("definition", Kind::Object),
    may("priority", Kind::Whole),
    may("apply-to", Kind::Text),
];

/// A policy as RabbitMQ shows it.
pub(super) fn shown(vhost: &Vhost, spec: &PolicySpec) -> Value {
    json!({
        "apply-to": spec.apply_to.name(),
        "definition": table(&spec.definition),
        "name": text(&spec.name),
        "pattern": spec.pattern,
        "priority": spec.priority,
        "vhost": text(&vhost.name),
    })
}

pub(super) fn all_of(vhost: &Vhost, kind: PolicyKind) -> Vec<Value> {
    vhost.read(|topology| topology.policies(kind).map(|policy| shown(vhost, &policy.spec)).collect())
}

async fn answer_all(visitor: &Visitor, api: &Api, kind: PolicyKind, listing: &Listing) -> Answered {
    listing
        .answer(visitor.all_seen(api).await.iter().flat_map(|vhost| all_of(vhost, kind)).collect::<Vec<_>>())
}

async fn answer_of(
    visitor: &Visitor,
    api: &Api,
    kind: PolicyKind,
    vhost: &str,
    listing: &Listing,
) -> Answered {
    listing.answer(all_of(&*visitor.seen(api, vhost).await?, kind))
}

fn find(vhost: &Vhost, kind: PolicyKind, name: &str) -> Option<Value> {
    vhost.read(|topology| {
        let mut policies = topology.policies(kind);
        policies.find(|policy| *policy.spec.name == *name.as_bytes()).map(|policy| shown(vhost, &policy.spec))
    })
}

async fn answer_one(
    visitor: &Visitor,
    api: &Api,
    kind: PolicyKind,
    vhost: &str,
    policy: &str,
    listing: &Listing,
) -> Answered {
    let vhost = visitor.seen(api, vhost).await?;
    Ok(listing.answer_one(&find(&vhost, kind, policy).ok_or(Failure::NotFound)?))
}

/// Only who makes policies, and for operators' only administrators.
fn may_change(visitor: &Visitor, kind: PolicyKind) -> Answered<()> {
    match kind {
        PolicyKind::User => visitor.require_policymaker(),
        PolicyKind::Operator => visitor.require_administrator(),
    }
}

async fn set(
    visitor: &Visitor,
    api: &Api,
    kind: PolicyKind,
    vhost: &str,
    policy: &str,
    body: &Bytes,
) -> Answered {
    may_change(visitor, kind)?;
    let entered = visitor.entered(api, vhost).await?;
    let body = Body::read(body)?;
    let is_new = find(&entered, kind, policy).is_none();
    let mut said = json!({
        "pattern": body.required_text("pattern")?,
        "definition": body.required("definition")?,
        "priority": body.whole("priority")?.unwrap_or_default(),
        "apply-to": body.text("apply-to")?.unwrap_or("all"),
    });
    let document = match kind {
        PolicyKind::User => {
            said["vhost"] = json!(vhost);
            said["name"] = json!(policy);
            json!({ "policies": [said] })
        }
        PolicyKind::Operator => json!({ "parameters": [
            { "vhost": vhost, "component": "operator_policy", "name": policy, "value": said }
        ] }),
    };
    api.import(document).await?;
    Ok(put(is_new))
}

async fn remove(visitor: &Visitor, api: &Api, kind: PolicyKind, vhost: &str, policy: &str) -> Answered {
    may_change(visitor, kind)?;
    let vhost = visitor.entered(api, vhost).await?;
    let (was_there, commit) = vhost.delete_policy(kind, &name(policy)?);
    if !was_there {
        return Err(Failure::NotFound);
    }
    api.broker.kept(&commit.unwrap_or_default().into()).await;
    Ok(done())
}

type Named = Path<(String, String)>;

async fn users(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    answer_all(&visitor, &api, PolicyKind::User, &listing).await
}

async fn operators(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    answer_all(&visitor, &api, PolicyKind::Operator, &listing).await
}

async fn users_in(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    answer_of(&visitor, &api, PolicyKind::User, &vhost, &listing).await
}

async fn operators_in(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(listing): Query<Listing>,
) -> Answered {
    answer_of(&visitor, &api, PolicyKind::Operator, &vhost, &listing).await
}

async fn user(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, policy)): Named,
    Query(listing): Query<Listing>,
) -> Answered {
    answer_one(&visitor, &api, PolicyKind::User, &vhost, &policy, &listing).await
}

async fn operator(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, policy)): Named,
    Query(listing): Query<Listing>,
) -> Answered {
    answer_one(&visitor, &api, PolicyKind::Operator, &vhost, &policy, &listing).await
}

async fn set_user(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, policy)): Named,
    body: Bytes,
) -> Answered {
    set(&visitor, &api, PolicyKind::User, &vhost, &policy, &body).await
}

async fn set_operator(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, policy)): Named,
    body: Bytes,
) -> Answered {
    set(&visitor, &api, PolicyKind::Operator, &vhost, &policy, &body).await
}

async fn remove_user(visitor: Visitor, State(api): State<Api>, Path((vhost, policy)): Named) -> Answered {
    remove(&visitor, &api, PolicyKind::User, &vhost, &policy).await
}

async fn remove_operator(visitor: Visitor, State(api): State<Api>, Path((vhost, policy)): Named) -> Answered {
    remove(&visitor, &api, PolicyKind::Operator, &vhost, &policy).await
}
