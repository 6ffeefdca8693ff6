//! Messages that were dropped, and why: counted, and the last ones of each reason.

use std::collections::{HashMap, hash_map::Entry};

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::queues;
use crate::broker::{Lost, Vhost};
use crate::core::{
    dead_letter::Reason,
    observing::{DropReason, Dropped},
};
use crate::management::{
    Api,
    extract::{Asked, Path, Query},
    failure::{Answered, bad_request},
    json::text,
    listing::Listing,
    openapi::Routes,
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("drops", "Messages that were dropped")
        .list("/api/leveret/drops", all, "List what was dropped, by queue and reason")
        .list("/api/leveret/drops/{vhost}", last, "List the last messages that were dropped, of each reason")
}

/// What was dropped in a virtual host: by queues, which have no dead-letter exchange, on the way between queues, and for want of a queue.
fn of(api: &Api, vhost: &Vhost) -> Vec<Value> {
    let mut drops = Vec::new();
    let mut add = |queue: Option<&[u8]>, reason: DropReason, count: u64| {
        if count > 0 {
            drops.push(json!({
                "vhost": text(&vhost.name), "queue": queue.map(text), "reason": reason.name(), "words": words(reason), "count": count,
            }));
        }
    };
    add(None, DropReason::Unrouted, api.broker.counts_of(vhost).drop_unroutable);
    for lost in Lost::ALL {
        add(None, lost.into(), vhost.drops.of(lost));
    }
    let queues: Vec<_> = vhost.read(|topology| topology.named_queues().cloned().collect());
    for queue in queues {
        let (name, rare) = (&queue.spec.name, queue.status().rare);
        for reason in Reason::ALL {
            add(Some(name), reason.into(), rare.dropped[reason as usize]);
        }
        add(Some(name), DropReason::Refused, rare.refused);
        add(Some(name), DropReason::Duplicate, rare.duplicates);
    }
    drops
}

/// Why messages are dropped, in words.
fn words(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Rejected => "consumers rejected them, and the queue has no dead-letter exchange",
        DropReason::Expired => "their time was over, and the queue has no dead-letter exchange",
        DropReason::MaxLen => "the queue was full, and has no dead-letter exchange",
        DropReason::DeliveryLimit => {
            "they were delivered as often as the queue permits, and it has no dead-letter exchange"
        }
        DropReason::Refused => "the queue was full, and refuses what comes then",
        DropReason::Duplicate => "the same message had come already",
        DropReason::Unrouted => "they were published, and no queue is bound for them",
        DropReason::NoExchange => "they died, and their dead-letter exchange is not there",
        DropReason::Unroutable => "they died, and no queue is bound for them at the dead-letter exchange",
        DropReason::Cycle => "they died, and would go round for ever",
        DropReason::TooManyDeaths => "they died so often that their history is longer than a frame",
        DropReason::TooManyCopies => "they died, and would have been copied too often",
    }
}

async fn all(visitor: Visitor, State(api): State<Api>, Query(listing): Query<Listing>) -> Answered {
    listing.answer(visitor.all_seen(&api).await.iter().flat_map(|vhost| of(&api, vhost)).collect::<Vec<_>>())
}

/// Which of the last ones are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    reason: Option<String>,
    queue: Option<String>,
}

impl Asked for Wanted {
    const PARAMETERS: &'static [(&'static str, &'static str)] =
        &[("reason", "Those of one reason"), ("queue", "Those of one queue")];
}

impl Wanted {
    fn reason(&self) -> Answered<Option<DropReason>> {
        let unknown = |name: &String| bad_request(format!("unknown reason: {name}"));
        let parse = |name: &String| DropReason::parse(name).ok_or_else(|| unknown(name));
        self.reason.as_ref().map(parse).transpose()
    }
}

/// A message that was dropped, and how it begins.
fn shown(vhost: &Vhost, dropped: &Dropped) -> Value {
    let (payload, encoding) = queues::payload(&dropped.payload, false, None);
    json!({
        "vhost": text(&vhost.name),
        "reason": dropped.reason.name(),
        "at": dropped.at,
        "queue": dropped.queue.as_deref().map(text),
        "exchange": text(&dropped.exchange),
        "routing_key": text(&dropped.routing_key),
        "message_id": dropped.message_id.as_deref().map(text),
        "payload": payload,
        "payload_encoding": encoding,
        "payload_bytes": dropped.body_bytes,
    })
}

/// The last messages that were dropped, the latest first: those of queues that the visitor may read, and of exchanges if they came to no queue.
async fn last(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(wanted): Query<Wanted>,
    Query(listing): Query<Listing>,
) -> Answered {
    let vhost = visitor.seen(&api, &vhost).await?;
    let (reason, queue) = (wanted.reason()?, wanted.queue.as_deref().map(str::as_bytes));
    let mut last = vhost.observers.drops.latest();
    last.retain(|dropped| {
        reason.is_none_or(|reason| dropped.reason == reason)
            && queue.is_none_or(|queue| dropped.queue.as_deref() == Some(queue))
    });
    // Somebody may have to be asked: once for each place.
    let mut permitted = HashMap::new();
    let mut readable = Vec::new();
    for dropped in &last {
        let may_read = match permitted.entry((&dropped.queue, &dropped.exchange)) {
            Entry::Occupied(asked) => *asked.get(),
            Entry::Vacant(place) => *place.insert(may_see(&visitor, &api, &vhost, dropped).await),
        };
        readable.extend(may_read.then(|| shown(&vhost, dropped)));
    }
    listing.answer(readable)
}

/// Whether somebody may read the queue that has dropped a message, or the exchange if it came to no queue.
async fn may_see(visitor: &Visitor, api: &Api, vhost: &Vhost, dropped: &Dropped) -> bool {
    match &dropped.queue {
        Some(queue) => visitor.may_read(api, vhost, queue).await.is_ok(),
        None => visitor.may_read_exchange(api, vhost, &dropped.exchange).await.is_ok(),
    }
}
