//! Settings of a queue: what counts and who says so, and arguments that are changed while the queue stands.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Json, body::Bytes, extract::State, response::IntoResponse};
use serde_json::{Map, Value, json};

use super::super::queues;
use crate::broker::{Vhost, json_table};
use crate::core::{
    policy::{
        QueueSettings,
        origin::{Counting, Origin},
    },
    queue::{Cursor, SharedQueue},
    topology::{ArgumentChanges, SettingsChange, Topology, Unchangeable},
};
use crate::limits::{DRY_RUN_MESSAGES_MAX, REDRIVE_AT_ONCE_MAX};
use crate::management::{
    Api,
    body::{Body, name},
    extract::Path,
    failure::{Answered, Failure, bad_request},
    json::{field, table, text},
    openapi::{Kind, Routes, may, must},
    visitor::Visitor,
};
use crate::protocol::{FieldValue, ShortString};

pub(super) fn routes() -> Routes {
    Routes::about("settings", "Settings of queues, and who says them")
        .get(
            "/api/leveret/queues/{vhost}/{queue}/settings",
            look,
            "See what counts for a queue, and who says so",
        )
        .post(
            "/api/leveret/queues/{vhost}/{queue}/settings",
            change,
            "Change arguments of a queue while it stands, or see what that would do",
        )
        .taking([must("arguments", Kind::Object), may("dry_run", Kind::Flag)])
}

async fn look(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let queue = queues::find(&vhost, &queue)?;
    Ok(Json(json!({
        "name": text(&queue.spec.name),
        "vhost": text(&vhost.name),
        "type": queue.spec.queue_type().name(),
        "arguments": table(&queue.arguments()),
        "settings": queues::settings(&vhost, &queue),
    }))
    .into_response())
}

/// The arguments that a request names; null takes one away.
fn wanted(body: &Body) -> Answered<Vec<(ShortString, Option<FieldValue>)>> {
    let arguments = body.required("arguments")?;
    let arguments = arguments.as_object().ok_or_else(|| bad_request("arguments is no object"))?;
    let one = |(key, value): (&String, &Value)| {
        let key = name(key)?;
        if value.is_null() {
            return Ok((key, None));
        }
        let one = Map::from_iter([(key.to_string(), value.clone())]);
        let mut table = json_table("arguments", &one).map_err(bad_request)?;
        let value = table.remove(&*key);
        Ok((key, value))
    };
    arguments.iter().map(one).collect()
}

impl From<Unchangeable> for Failure {
    fn from(why: Unchangeable) -> Self {
        match why {
            Unchangeable::NoQueue => Self::NotFound,
            Unchangeable::Exclusive => bad_request(format!("405 RESOURCE_LOCKED - {why}")),
            Unchangeable::ForGood(_) => Self::BadRequestOf("cannot_change", why.to_string()),
            Unchangeable::Refused(error) => error.into(),
        }
    }
}

async fn change(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    let queue = queues::find(&vhost, &queue)?;
    visitor.may_configure(&api, &vhost, &queue.spec.name).await?;
    let body = Body::read(&body)?;
    let (wanted, is_dry) = (wanted(&body)?, body.flag("dry_run", false)?);
    let looked = vhost.read(|topology| topology.look_at_change(&queue.spec.name, &wanted))?;
    may_send_dead_letters(&visitor, &api, &vhost, &queue, &wanted).await?;
    let follows = follows(&api, &queue, &looked.settings).await;
    let before = queue.arguments().into_owned();
    let changed = if is_dry {
        looked
    } else {
        let (changed, commit) = vhost.change_arguments(&queue.spec.name, &wanted)?;
        api.broker.kept(&commit.unwrap_or_default().into()).await;
        changed
    };
    Ok(Json(json!({
        "dry_run": is_dry,
        "changed": before != changed.arguments,
        "arguments": table(&changed.arguments),
        "settings": differences(&vhost, &queue, &changed),
        "follows": follows,
        "notes": notes(&vhost, &queue, &wanted, &changed, before != changed.arguments),
    }))
    .into_response())
}

/// What a client needs that declares a queue with a dead-letter exchange: to read the queue, and to write there.
async fn may_send_dead_letters(
    visitor: &Visitor,
    api: &Api,
    vhost: &Vhost,
    queue: &SharedQueue,
    wanted: &ArgumentChanges,
) -> Answered<()> {
    let wanted = wanted.iter().find(|(argument, _)| **argument == *b"x-dead-letter-exchange");
    let exchange = wanted.and_then(|(_, value)| value.as_ref()?.as_str_bytes());
    let Some(exchange) = exchange else { return Ok(()) };
    visitor.may_read(api, vhost, &queue.spec.name).await?;
    let exchange = ShortString::try_from(exchange).unwrap_or_default();
    visitor.may_send_dead_letters_to(api, vhost, &exchange).await
}

/// What the queue does at once when these settings count.
async fn follows(api: &Api, queue: &Arc<SharedQueue>, settings: &QueueSettings) -> Value {
    let foreseen = queue.foresee(settings);
    let now = api.broker.clock.now();
    let (mut too_old, mut is_end) = (0, settings.message_ttl.is_none());
    let mut next = Some(Cursor::default());
    while let Some(from) = next.filter(|_| !is_end && too_old < DRY_RUN_MESSAGES_MAX) {
        let peek = queue.peek_ready(from, REDRIVE_AT_ONCE_MAX);
        // Messages expire at the front of their line.
        let old = peek.messages.iter().take_while(|its| settings.is_too_old(&its.entry.message, now)).count();
        too_old += old as u64;
        is_end = old < peek.messages.len() || peek.next.is_none();
        next = peek.next;
        tokio::task::yield_now().await;
    }
    json!({
        "messages_beyond_length": foreseen.messages_beyond,
        "bytes_beyond_length": foreseen.bytes_beyond,
        "messages_expired": too_old,
        "messages_expired_is_all": is_end,
        "queue_deleted": foreseen.is_deleted,
    })
}

/// What counts otherwise than before, by name.
fn differences(vhost: &Vhost, queue: &SharedQueue, change: &SettingsChange) -> Vec<Value> {
    let of = |all: &[Counting], key: &ShortString| all.iter().find(|its| its.key == *key).cloned();
    let keys: BTreeSet<_> = change.before.iter().chain(&change.after).map(|its| its.key.clone()).collect();
    let told = |topology: &Topology, counting: Option<&Counting>| {
        let origin = counting.map_or(Origin::Default, |its| its.origin);
        let (from, policy) = queues::who(topology, queue, origin);
        (counting.map(|its| field(&its.value)), from, policy)
    };
    let difference = |key: ShortString| {
        let (before, after) = (of(&change.before, &key), of(&change.after, &key));
        if before == after {
            return None;
        }
        let (old, new) =
            vhost.read(|topology| (told(topology, before.as_ref()), told(topology, after.as_ref())));
        Some(json!({
            "name": text(&key),
            "old": old.0, "old_from": old.1, "old_policy": old.2,
            "new": new.0, "from": new.1, "policy": new.2,
        }))
    };
    keys.into_iter().filter_map(difference).collect()
}

/// What somebody should know who changes arguments.
fn notes(
    vhost: &Vhost,
    queue: &SharedQueue,
    wanted: &ArgumentChanges,
    change: &SettingsChange,
    has_changed: bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    if has_changed {
        notes.push(
            "clients that declare the queue with other arguments than these are refused with 406 PRECONDITION_FAILED"
                .to_owned(),
        );
    }
    for (argument, _) in wanted.iter().filter(|(_, value)| value.is_some()) {
        let counts = change.after.iter().find(|its| argument.strip_prefix(b"x-") == Some(its.key.as_bytes()));
        if let Some(counting) = counts.filter(|its| its.origin != Origin::Argument) {
            let (from, policy) = vhost.read(|topology| queues::who(topology, queue, counting.origin));
            let policy = policy.as_ref().and_then(Value::as_str).unwrap_or_default();
            notes
                .push(format!("{argument} has no effect: {from} '{policy}' says {}", field(&counting.value)));
        }
    }
    let dead_letters = change.settings.dead_letter_exchange.as_ref();
    if let Some(exchange) = dead_letters
        && !vhost.read(|topology| topology.has_exchange(exchange))
    {
        notes.push(format!("there is no exchange '{exchange}': dead messages are dropped"));
    }
    if !queue.spec.durable {
        notes.push("the queue is transient, and so is the change".into());
    }
    notes
}
