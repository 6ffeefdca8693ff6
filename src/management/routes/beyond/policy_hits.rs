//! What a policy would hit, before it is set.

use axum::{Json, body::Bytes, extract::State, response::IntoResponse};
use serde_json::{Value, json};

use crate::core::{
    declared::{ApplyTo, PolicyKind, PolicySpec, Subject},
    policy::{Effect, Policy},
    topology::Topology,
};
use crate::limits::{PATTERN_BYTES_MAX, POLICY_HITS_SHOWN_MAX};
use crate::management::{
    Api,
    body::Body,
    extract::Path,
    failure::{Answered, bad_request},
    json::text,
    openapi::{Kind, Routes, may, must},
    visitor::Visitor,
};
use crate::protocol::ShortString;

pub(super) fn routes() -> Routes {
    Routes::about("policy-hits", "What policies would hit, before they are set")
        .post("/api/leveret/policies/{vhost}/hits", hits, "See what a policy would hit")
        .taking([
            must("pattern", Kind::Text),
            must("definition", Kind::Object),
            may("name", Kind::Text),
            may("apply-to", Kind::Text),
            may("priority", Kind::Whole),
            may("operator", Kind::Flag),
        ])
        .for_policymakers()
}

async fn hits(visitor: Visitor, State(api): State<Api>, Path(vhost): Path<String>, body: Bytes) -> Answered {
    visitor.require_policymaker()?;
    let vhost = visitor.entered(&api, &vhost).await?;
    let body = Body::read(&body)?;
    let kind = if body.flag("operator", false)? { PolicyKind::Operator } else { PolicyKind::User };
    let policy = policy(kind, &body)?;
    Ok(Json(vhost.read(|topology| found(topology, kind, &policy))).into_response())
}

/// The policy that is meant, if it could be set.
fn policy(kind: PolicyKind, body: &Body) -> Answered<Policy> {
    let pattern = body.required_text("pattern")?.to_owned();
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(bad_request(format!("a pattern has at most {PATTERN_BYTES_MAX} bytes")));
    }
    let word = body.text("apply-to")?.unwrap_or("all");
    let apply_to =
        ApplyTo::parse(word.as_bytes()).ok_or_else(|| bad_request(format!("apply-to cannot be '{word}'")))?;
    let spec = PolicySpec {
        name: body.name("name")?.unwrap_or_default(),
        pattern,
        apply_to,
        priority: body.whole("priority")?.unwrap_or_default(),
        definition: body.table("definition")?,
    };
    Policy::new(kind, spec).map_err(|error| bad_request(error.in_plain_words()))
}

/// An object on which a policy has an effect.
struct Hit<'a> {
    effect: Effect,
    subject: Subject,
    name: &'a ShortString,
}

fn found(topology: &Topology, kind: PolicyKind, policy: &Policy) -> Value {
    let queues =
        topology.named_queues().map(|queue| (Subject::Queue(queue.spec.queue_type()), &queue.spec.name));
    let exchanges = topology.exchanges().map(|spec| (Subject::Exchange, &spec.name));
    let mut hits = Vec::new();
    for (subject, name) in queues.chain(exchanges) {
        if let Some(effect) = topology.effect_of(kind, policy, subject, name) {
            hits.push(Hit { effect, subject, name });
        }
    }
    hits.sort_by_key(|hit| (hit.effect, hit.subject == Subject::Exchange, hit.name));
    let count = |effect| hits.iter().filter(|hit| hit.effect == effect).count();
    let shown = |hit: &Hit<'_>| {
        let now = topology.policy_for(kind, hit.subject, hit.name);
        json!({
            "effect": hit.effect.name(),
            "kind": if hit.subject == Subject::Exchange { "exchange" } else { "queue" },
            "name": text(hit.name),
            "policy": now.map(|policy| text(&policy.spec.name)),
        })
    };
    json!({
        "counts": count(Effect::Counts),
        "behind": count(Effect::Behind),
        "leaves": count(Effect::Leaves),
        "objects": hits.iter().take(POLICY_HITS_SHOWN_MAX).map(shown).collect::<Vec<_>>(),
    })
}
