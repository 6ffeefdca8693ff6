//! Messages where they stand: ready, held by clients, or waiting for their time. Looking has no effect on them.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{done, queues};
use crate::broker::Vhost;
use crate::core::{
    ConnectionId,
    clock::Millis,
    queue::{Cursor, Holding, Peek, Peeked, SharedQueue},
    source::ConsumerId,
};
use crate::limits::{
    DELAY_MS_MAX, PEEKED_AT_ONCE_MAX, PEEKED_PAYLOAD_BYTES_DEFAULT, PEEKED_PAYLOAD_BYTES_MAX,
};
use crate::management::{
    Api,
    body::Body,
    extract::{Asked, Path, Query},
    failure::{Answered, Failure, bad_request},
    json::{self, text},
    openapi::{Field, Kind, Routes, may},
    visitor::Visitor,
};
use crate::protocol::{Properties, ShortString};

pub(super) fn routes() -> Routes {
    Routes::about("messages", "Messages where they stand")
        .get(
            "/api/leveret/queues/{vhost}/{queue}/messages",
            look,
            "Look at messages that are ready, held, or wait for their time",
        )
        .delete(
            "/api/leveret/queues/{vhost}/{queue}/delayed/{cursor}",
            cancel,
            "Cancel a message that waits in a queue",
        )
        .put(
            "/api/leveret/queues/{vhost}/{queue}/delayed/{cursor}",
            reschedule,
            "Have a message that waits in a queue come at another time",
        )
        .taking(ANOTHER_TIME)
        .answering(&[200])
        .get(
            "/api/leveret/delayed/{vhost}",
            look_at_delayed,
            "Look at messages that were published with a delay",
        )
        .for_monitors()
        .delete(
            "/api/leveret/delayed/{vhost}/{cursor}",
            cancel_delayed,
            "Cancel a message that was published with a delay",
        )
        .for_administrators()
        .put(
            "/api/leveret/delayed/{vhost}/{cursor}",
            reschedule_delayed,
            "Have a message that was published with a delay come at another time",
        )
        .taking(ANOTHER_TIME)
        .answering(&[200])
        .for_administrators()
}

/// When a message is to come: a moment in milliseconds since the epoch, or milliseconds from now.
const ANOTHER_TIME: [Field; 2] = [may("due", Kind::Whole), may("delay", Kind::Whole)];

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Looking {
    state: Option<Standing>,
    from: Option<String>,
    /// So many positions behind the first message: about so many messages.
    offset: Option<u64>,
    limit: Option<usize>,
    payload_bytes: Option<usize>,
}

impl Asked for Looking {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[
        ("state", "ready, unacked or delayed"),
        ("from", "Where to begin: a position, or what the answer before has said is next"),
        ("offset", "About so many messages behind the first"),
        ("limit", "How many: 50, and at most 500"),
        ("payload_bytes", "Bytes of each body: 4096"),
    ];
}

/// Where messages stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Ready,
    Unacked,
    Delayed,
}

impl Standing {
    fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unacked => "unacked",
            Self::Delayed => "delayed",
        }
    }
}

impl Looking {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(50).min(PEEKED_AT_ONCE_MAX)
    }

    fn from(&self) -> Answered<Cursor> {
        self.from.as_deref().map_or_else(|| Ok(Cursor::default()), cursor)
    }
}

/// A place as it is written: a position, or a time and a position.
fn cursor(text: &str) -> Answered<Cursor> {
    let (due, position) = text.split_once('-').unwrap_or(("0", text));
    match (due.parse(), position.parse()) {
        (Ok(due), Ok(position)) => Ok(Cursor { due, position }),
        _ => Err(bad_request(format!("{text} is no place: it comes from an answer's position or next"))),
    }
}

fn written(at: Cursor) -> String {
    if at.due == 0 { at.position.to_string() } else { format!("{}-{}", at.due, at.position) }
}

/// Who the clients are that hold messages.
struct Holders {
    names: HashMap<ConnectionId, String>,
    tags: HashMap<ConsumerId, ShortString>,
}

impl Holders {
    fn of(api: &Api, queue: &SharedQueue, peek: &Peek) -> Self {
        let holding = || peek.messages.iter().filter_map(|peeked| peeked.held);
        let name =
            |held: Holding| Some((held.connection, api.broker.connections.info(held.connection)?.name()));
        let tags = if holding().next().is_some() { queue.consumers_shown() } else { Vec::new() };
        Self {
            names: holding().filter_map(name).collect(),
            tags: tags.into_iter().map(|consumer| (consumer.id, consumer.tag)).collect(),
        }
    }

    fn shown(&self, held: Holding) -> Value {
        json!({
            "connection": self.names.get(&held.connection),
            "channel": held.channel,
            "consumer_tag": held.consumer.and_then(|id| self.tags.get(&id)).map(|tag| text(tag)),
            "since": held.since,
        })
    }
}

fn shown(peeked: &Peeked, state: Standing, holders: &Holders, payload_bytes: usize) -> Value {
    let Peeked { entry, due, held } = peeked;
    let view = entry.message.view();
    let body = view.body();
    let (payload, encoding) = queues::payload(&body, false, Some(payload_bytes));
    let properties = Properties::decode(view.properties()).map(|properties| json::properties(&properties));
    let mut shown = json!({
        "position": written(Cursor { due: *due, position: entry.position }),
        "state": state.name(),
        "redelivered": entry.redelivered,
        "attempts": entry.attempts.returned,
        "exchange": text(view.exchange()),
        "routing_key": text(view.routing_key()),
        "properties": properties.unwrap_or(Value::Null),
        "payload": payload,
        "payload_encoding": encoding,
        "payload_bytes": body.len(),
        "published_at": entry.message.published_at(),
    });
    if *due > 0 {
        shown["due"] = json!(due);
    }
    if let Some(held) = held {
        shown["held_by"] = holders.shown(*held);
    }
    shown
}

fn answer(api: &Api, queue: &SharedQueue, peek: &Peek, state: Standing, looking: &Looking) -> Response {
    let holders = Holders::of(api, queue, peek);
    let each = looking.payload_bytes.unwrap_or(PEEKED_PAYLOAD_BYTES_DEFAULT);
    // However large messages are, the answer is not.
    let each = each.min(PEEKED_PAYLOAD_BYTES_MAX / peek.messages.len().max(1));
    let messages: Vec<_> = peek.messages.iter().map(|peeked| shown(peeked, state, &holders, each)).collect();
    Json(json!({ "messages": messages, "next": peek.next.map(written) })).into_response()
}

/// Whoever may read a queue may look at its messages.
async fn readable(
    visitor: &Visitor,
    api: &Api,
    vhost: &str,
    queue: &str,
) -> Answered<(Arc<Vhost>, Arc<SharedQueue>)> {
    let vhost = visitor.entered(api, vhost).await?;
    let queue = queues::find_shared(&vhost, queue)?;
    visitor.may_read(api, &vhost, &queue.spec.name).await?;
    Ok((vhost, queue))
}

async fn look(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    Query(looking): Query<Looking>,
) -> Answered {
    let (vhost, queue) = readable(&visitor, &api, &vhost, &queue).await?;
    let state = looking.state.unwrap_or(Standing::Ready);
    let (mut from, limit) = (looking.from()?, looking.limit());
    if let (Some(offset), Standing::Ready) = (looking.offset, state) {
        let first = queue.peek_ready(from, 1).messages.first().map_or(0, |peeked| peeked.entry.position);
        from.position = first.saturating_add(offset);
    }
    let peek = match state {
        Standing::Ready => queue.peek_ready(from, limit),
        Standing::Unacked => api.broker.peek_unacked(&vhost, &queue, from, limit),
        Standing::Delayed => queue.peek_delayed(from, limit),
    };
    Ok(answer(&api, &queue, &peek, state, &looking))
}

async fn cancel(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue, at)): Path<(String, String, String)>,
) -> Answered {
    let (vhost, queue) = readable(&visitor, &api, &vhost, &queue).await?;
    visitor.may_configure(&api, &vhost, &queue.spec.name).await?;
    let commit = vhost.cancel_delayed(&queue, cursor(&at)?).ok_or(Failure::NotFound)?;
    api.broker.kept(&commit.into()).await;
    Ok(done())
}

async fn reschedule(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue, at)): Path<(String, String, String)>,
    body: Bytes,
) -> Answered {
    let (vhost, queue) = readable(&visitor, &api, &vhost, &queue).await?;
    visitor.may_configure(&api, &vhost, &queue.spec.name).await?;
    rescheduled(&api, &vhost, &queue, &at, &body).await
}

/// The moment that a body names.
fn another_time(body: &Body, now: Millis) -> Answered<Millis> {
    let whole = |key| match body.whole(key)? {
        Some(number) => {
            u64::try_from(number).map(Some).map_err(|_| bad_request(format!("{key} is negative: {number}")))
        }
        None => Ok(None),
    };
    let due = match (whole("due")?, whole("delay")?) {
        (Some(due), None) => due,
        (None, Some(delay)) => now.saturating_add(delay),
        _ => return Err(bad_request("either due or delay says when it is to come")),
    };
    match due.saturating_sub(now) {
        0..=DELAY_MS_MAX => Ok(due),
        ahead => Err(bad_request(format!("due in {ahead} ms, at most {DELAY_MS_MAX} are allowed"))),
    }
}

async fn rescheduled(api: &Api, vhost: &Vhost, queue: &Arc<SharedQueue>, at: &str, body: &Bytes) -> Answered {
    let due = another_time(&Body::read(body)?, api.broker.clock.now())?;
    let (at, commit) = vhost.reschedule_delayed(queue, cursor(at)?, due).ok_or(Failure::NotFound)?;
    api.broker.kept(&commit.into()).await;
    Ok(Json(json!({ "position": written(at), "due": at.due })).into_response())
}

/// What was published with a delay, to whatever queue: for who sees everything of the virtual host.
async fn look_at_delayed(
    visitor: Visitor,
    State(api): State<Api>,
    Path(vhost): Path<String>,
    Query(looking): Query<Looking>,
) -> Answered {
    visitor.require_monitor()?;
    let vhost = visitor.entered(&api, &vhost).await?;
    let Some(queue) = vhost.read(|topology| topology.delay_queue().cloned()) else {
        return Ok(Json(json!({ "messages": [], "next": null })).into_response());
    };
    let peek = queue.peek_delayed(looking.from()?, looking.limit());
    Ok(answer(&api, &queue, &peek, Standing::Delayed, &looking))
}

async fn cancel_delayed(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, at)): Path<(String, String)>,
) -> Answered {
    visitor.require_administrator()?;
    let vhost = visitor.entered(&api, &vhost).await?;
    let queue = vhost.read(|topology| topology.delay_queue().cloned()).ok_or(Failure::NotFound)?;
    let commit = vhost.cancel_delayed(&queue, cursor(&at)?).ok_or(Failure::NotFound)?;
    api.broker.kept(&commit.into()).await;
    Ok(done())
}

async fn reschedule_delayed(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, at)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    visitor.require_administrator()?;
    let vhost = visitor.entered(&api, &vhost).await?;
    let queue = vhost.read(|topology| topology.delay_queue().cloned()).ok_or(Failure::NotFound)?;
    rescheduled(&api, &vhost, &queue, &at, &body).await
}
