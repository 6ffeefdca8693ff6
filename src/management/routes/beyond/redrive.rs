//! Redrives: messages of a queue are moved or copied elsewhere, above all from a queue of dead ones back to work.

use std::{collections::HashSet, num::NonZeroU32, sync::Arc};

use axum::{Json, body::Bytes, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::{Value, json};

use super::super::queues;
use crate::core::{
    clock::Millis,
    dead_letter::Reason,
    queue::{Cursor, SharedQueue},
    redrive::{Filter, Redrive, Target},
};
use crate::limits::{DRY_RUN_MESSAGES_MAX, REDRIVE_AT_ONCE_MAX};
use crate::management::{
    Api,
    body::Body,
    extract::{Path, Query},
    failure::{Answered, bad_request},
    listing::Listing,
    openapi::{Kind, Routes, may, must},
    visitor::Visitor,
};
use crate::protocol::ShortString;

pub(super) fn routes() -> Routes {
    Routes::about("redrives", "Messages moved or copied elsewhere, above all dead ones back to work")
        .post("/api/leveret/queues/{vhost}/{queue}/redrive", begin, "Move or copy messages of a queue")
        .taking([
            must("to", Kind::Object),
            may("filter", Kind::Object),
            may("limit", Kind::Whole),
            may("per_second", Kind::Whole),
            may("copy", Kind::Flag),
            may("dry_run", Kind::Flag),
        ])
        .answering(&[200, 202])
        .list("/api/leveret/redrives", all, "List redrives that run, and the last ones that have ended")
        .get("/api/leveret/redrives/{number}", one, "Look at a redrive")
        .delete("/api/leveret/redrives/{number}", stop, "Stop a redrive of one's own")
        .answering(&[200])
}

/// What a request orders.
fn order(body: &Body) -> Answered<Redrive> {
    let to = Body::of(body.required("to")?)?;
    let to = match (to.flag("origin", false)?, to.name("queue")?, to.name("exchange")?) {
        (true, None, None) => Target::Origin,
        (false, Some(queue), None) => Target::Queue(queue),
        (false, None, Some(exchange)) => Target::Exchange { name: exchange, key: to.name("routing_key")? },
        _ => {
            return Err(bad_request(
                "to is one of {\"origin\": true}, {\"queue\": NAME}, {\"exchange\": NAME}",
            ));
        }
    };
    let positive = |key: &str| -> Answered<Option<u64>> {
        let positive =
            |number: i64| u64::try_from(number).map_err(|_| bad_request(format!("{key} is negative")));
        body.whole(key)?.map(positive).transpose()
    };
    let per_second = match positive("per_second")? {
        None => None,
        Some(rate) => {
            let rate = u32::try_from(rate).ok().and_then(NonZeroU32::new);
            Some(rate.ok_or_else(|| bad_request("per_second is not between 1 and 4294967295"))?)
        }
    };
    let filter = match body.get("filter") {
        None => Filter::default(),
        Some(value) => filter(&Body::of(value)?)?,
    };
    Ok(Redrive { to, filter, limit: positive("limit")?, per_second, copy: body.flag("copy", false)? })
}

fn filter(body: &Body) -> Answered<Filter> {
    let age = body.whole("older_than_ms")?;
    let age = age
        .map(|age| Millis::try_from(age).map_err(|_| bad_request("older_than_ms is negative")))
        .transpose()?;
    let reason = |word: &str| {
        Reason::parse(word.as_bytes()).ok_or_else(|| bad_request(format!("unknown reason: {word}")))
    };
    Ok(Filter {
        headers: body.table("headers")?.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        routing_key: body.name("routing_key")?,
        older_than_ms: age,
        reason: body.text("reason")?.map(reason).transpose()?,
    })
}

async fn begin(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    let queue = queues::find_shared(&vhost, &queue)?;
    visitor.may_read(&api, &vhost, &queue.spec.name).await?;
    let body = Body::read(&body)?;
    let order = order(&body)?;
    match &order.to {
        Target::Origin => visitor.may_write_anywhere(&api, &vhost).await?,
        Target::Queue(target) => {
            queues::find_shared(&vhost, &target.as_str_lossy())?;
            visitor.may_write(&api, &vhost, &ShortString::default()).await?;
        }
        Target::Exchange { name, .. } => visitor.may_write(&api, &vhost, name).await?,
    }
    if body.flag("dry_run", false)? {
        let now = api.broker.clock.now();
        return Ok(Json(look(&queue, &order, now).await).into_response());
    }
    let number = api.redrives.begin(&api, vhost, &visitor, queue.spec.name.clone(), order)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": number }))).into_response())
}

/// What an order would mean now.
async fn look(queue: &Arc<SharedQueue>, order: &Redrive, now: Millis) -> Value {
    let matcher = order.filter.matcher();
    let (mut looked_at, mut meant) = (0, 0);
    let mut next = Some(Cursor::default());
    while let Some(from) = next
        && looked_at < DRY_RUN_MESSAGES_MAX
        && order.limit.is_none_or(|limit| meant < limit)
    {
        let peek = queue.peek_ready(from, REDRIVE_AT_ONCE_MAX);
        looked_at += peek.messages.len() as u64;
        meant +=
            peek.messages.iter().filter(|peeked| matcher.matches(&peeked.entry.message, now)).count() as u64;
        next = peek.next;
        tokio::task::yield_now().await;
    }
    let meant = order.limit.map_or(meant, |limit| meant.min(limit));
    json!({ "matched": meant, "looked_at": looked_at, "complete": next.is_none() })
}

/// Which virtual hosts' redrives somebody sees.
async fn seen(visitor: &Visitor, api: &Api) -> impl Fn(&ShortString) -> bool + use<> {
    let sees_all = visitor.is_monitor();
    let there = if sees_all { Vec::new() } else { visitor.all_seen(api).await };
    let names: HashSet<_> = there.iter().map(|vhost| vhost.name.clone()).collect();
    move |vhost| sees_all || names.contains(vhost)
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    listing.answer(api.redrives.all(seen(&visitor, &api).await))
}

async fn one(visitor: Visitor, State(api): State<Api>, Path(number): Path<u64>) -> Answered {
    Ok(Json(api.redrives.one(number, seen(&visitor, &api).await)?).into_response())
}

async fn stop(visitor: Visitor, State(api): State<Api>, Path(number): Path<u64>) -> Answered {
    Ok(Json(api.redrives.stop(number, &visitor)?).into_response())
}
