//! What comes in to a queue or an exchange, live: server-sent events, only so many in a second. Nothing is taken, and nothing is marked
//! redelivered.

use std::{collections::VecDeque, convert::Infallible, future::poll_fn, net::SocketAddr, sync::Arc};

use axum::{
    extract::State,
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_lite::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::super::{exchanges, queues};
use crate::broker::Vhost;
use crate::core::observing::{News, Seen, Subject, Tail};
use crate::limits::{
    PEEKED_PAYLOAD_BYTES_DEFAULT, TAIL_CHECKED_EVERY, TAIL_KEPT_ALIVE_EVERY, TAIL_PAYLOAD_BYTES_MAX,
    TAIL_PER_SECOND_DEFAULT, TAIL_PER_SECOND_MAX,
};
use crate::management::{
    Api,
    extract::{Asked, Path, Query},
    failure::{Answered, Failure, bad_request},
    json::{self, text},
    openapi::Routes,
    pass::Pass,
    tails::TailPlace,
    visitor::Visitor,
};
use crate::protocol::Properties;

pub(super) fn routes() -> Routes {
    Routes::about("tails", "What comes in, live: server-sent events")
        .events("/api/leveret/tail/queues/{vhost}/{queue}", of_queue, "See what comes to a queue")
        .events(
            "/api/leveret/tail/exchanges/{vhost}/{exchange}",
            of_exchange,
            "See what is published to an exchange",
        )
}

/// How much is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Looking {
    per_second: Option<u32>,
    payload_bytes: Option<usize>,
}

impl Asked for Looking {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[
        ("per_second", "Messages in a second at most: 10, and at most 1000"),
        ("payload_bytes", "Bytes of each body: 4096, and at most 65536"),
    ];
}

/// Whoever may read a queue may see what comes to it.
async fn of_queue(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, queue)): Path<(String, String)>,
    Query(asked): Query<Looking>,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    let queue = queues::find_shared(&vhost, &queue)?;
    watch(visitor, api, vhost, Subject::Queue(queue.spec.name.clone()), &asked).await
}

/// The same of an exchange.
async fn of_exchange(
    visitor: Visitor,
    State(api): State<Api>,
    Path((vhost, exchange)): Path<(String, String)>,
    Query(asked): Query<Looking>,
) -> Answered {
    let vhost = visitor.entered(&api, &vhost).await?;
    let name = exchanges::name_of(&exchange)?;
    if !vhost.read(|topology| topology.has_exchange(&name)) {
        return Err(Failure::NotFound);
    }
    watch(visitor, api, vhost, Subject::Exchange(name), &asked).await
}

async fn watch(visitor: Visitor, api: Api, vhost: Arc<Vhost>, subject: Subject, asked: &Looking) -> Answered {
    let per_second = asked.per_second.unwrap_or(TAIL_PER_SECOND_DEFAULT);
    if !(1..=TAIL_PER_SECOND_MAX).contains(&per_second) {
        return Err(bad_request(format!("per_second is not between 1 and {TAIL_PER_SECOND_MAX}")));
    }
    let payload_bytes =
        asked.payload_bytes.unwrap_or(PEEKED_PAYLOAD_BYTES_DEFAULT).min(TAIL_PAYLOAD_BYTES_MAX);
    let pass = api.pass_of(&visitor);
    may_see(&visitor, &api, &vhost, &subject).await?;
    let place = api.tails.take(visitor.name())?;
    let tail = vhost.observers.tail(subject.clone(), per_second, payload_bytes);
    let mut checks = interval(TAIL_CHECKED_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (kind, name) = subject.parts();
    let begin = json!({ "kind": kind, "name": text(name), "per_second": per_second });
    let waiting = VecDeque::from([event("begin", &begin)]);
    let peer = visitor.peer;
    let watching =
        Watching { api, pass, peer, vhost, subject, tail, checks, waiting, is_over: false, _place: place };
    let events = stream::unfold(watching, Watching::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(TAIL_KEPT_ALIVE_EVERY)).into_response())
}

async fn may_see(visitor: &Visitor, api: &Api, vhost: &Vhost, subject: &Subject) -> Answered<()> {
    match subject {
        Subject::Queue(name) => visitor.may_read(api, vhost, name).await,
        Subject::Exchange(name) | Subject::Message(name) => visitor.may_read_exchange(api, vhost, name).await,
    }
}

fn event(kind: &str, data: &Value) -> Event {
    Event::default().event(kind).data(data.to_string())
}

/// Somebody who sees what comes in. When this is dropped, because that one has gone or the broker stops, nobody looks any more.
struct Watching {
    api: Api,
    pass: Pass,
    peer: SocketAddr,
    vhost: Arc<Vhost>,
    subject: Subject,
    tail: Arc<Tail>,
    checks: Interval,
    /// What is to be sent.
    waiting: VecDeque<Event>,
    is_over: bool,
    _place: TailPlace,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.vhost.observers.end_tail(&self.tail);
    }
}

impl Watching {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some((Ok(event), self));
            }
            if self.is_over {
                return None;
            }
            tokio::select! {
                _ = self.checks.tick() => self.check().await,
                news = poll_fn(|cx| self.tail.poll_news(cx)) => self.take(news),
            }
        }
    }

    /// Whether who looks still may, and there is something to look at; and what was missed.
    async fn check(&mut self) {
        let news = self.tail.news();
        self.take(news);
        if let Some(why) = self.why_over().await {
            self.end(why);
        }
    }

    async fn why_over(&self) -> Option<&'static str> {
        let is_gone = self.vhost.read(|topology| match &self.subject {
            Subject::Queue(name) => topology.queue(name).is_none(),
            Subject::Exchange(name) => !topology.has_exchange(name),
            Subject::Message(_) => false,
        });
        let Some(visitor) = self.api.admit(&self.pass, self.peer) else {
            return Some("the login does not count any more");
        };
        if may_see(&visitor, &self.api, &self.vhost, &self.subject).await.is_err() {
            Some("the permission is gone")
        } else if is_gone || self.vhost.is_leaving() {
            Some("deleted")
        } else {
            None
        }
    }

    fn take(&mut self, news: News) {
        let News { messages, sampled_out, lost, is_over } = news;
        if sampled_out + lost > 0 {
            self.waiting.push_back(event("missed", &json!({ "sampled_out": sampled_out, "lost": lost })));
        }
        self.waiting.extend(messages.iter().map(|seen| event("message", &shown(seen))));
        if is_over {
            self.end("deleted");
        }
    }

    fn end(&mut self, why: &str) {
        if !self.is_over {
            self.is_over = true;
            self.waiting.push_back(event("end", &json!({ "reason": why })));
        }
    }
}

fn shown(seen: &Seen) -> Value {
    let (payload, encoding) = queues::payload(&seen.payload, false, None);
    let properties = Properties::decode(&seen.properties).map(|properties| json::properties(&properties));
    json!({
        "at": seen.at,
        "exchange": text(&seen.exchange),
        "routing_key": text(&seen.routing_key),
        "properties": properties.unwrap_or(Value::Null),
        "payload": payload,
        "payload_encoding": encoding,
        "payload_bytes": seen.body_bytes,
    })
}
