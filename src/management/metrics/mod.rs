//! Metrics for Prometheus: RabbitMQ's, under its names, and Leveret's own.
//!
//! A scrape gathers figures first (`gathered`), each lock held for a moment, and then writes them (`page` says what, `sheet` how), on a
//! thread of its own and no faster than its client reads: what waits is a few chunks, however many queues there are.

mod clients;
mod gathered;
mod global;
mod memory;
mod node;
mod own;
mod page;
mod queues;
mod sheet;

use std::{fmt, io, mem, sync::Arc, time::Instant};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use http_body_util::channel::{Channel, Sender};
use prometheus_client::{encoding::prometheus_text, registry::Registry};
use serde::Deserialize;
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant as Deadline, timeout_at},
};

use super::{
    Api,
    extract::{Asked, Query},
    failure::{Answered, Failure, bad_request},
    openapi::Routes,
    visitor::Visitor,
};
use crate::limits::{SCRAPE_CHUNK_BYTES, SCRAPE_CHUNKS_WAITING_MAX, SCRAPE_TIMEOUT, SCRAPES_AT_ONCE_MAX};
use gathered::Highest;
use page::{Details, Page, Scrape};

/// What scrapes share.
#[derive(Debug)]
pub struct Scrapes {
    highest: Highest,
    places: Arc<Semaphore>,
}

impl Default for Scrapes {
    fn default() -> Self {
        Self { highest: Highest::default(), places: Arc::new(Semaphore::new(SCRAPES_AT_ONCE_MAX)) }
    }
}

/// The pages on the port of the API: for those who see what belongs to others.
pub fn for_visitors() -> Routes {
    Routes::about("metrics", "Metrics for Prometheus")
        .text("/metrics", aggregated, "Read metrics of the broker as a whole")
        .for_monitors()
        .text("/metrics/per-object", per_object, "Read metrics of each object")
        .for_monitors()
        .text("/metrics/memory-breakdown", memory_breakdown, "Read what takes memory")
        .for_monitors()
        .text("/metrics/detailed", chosen, "Read metrics of some families, virtual hosts and queues")
        .for_monitors()
}

async fn aggregated(visitor: Visitor, State(api): State<Api>) -> Answered {
    told(&visitor, api, Page::Aggregated).await
}

async fn per_object(visitor: Visitor, State(api): State<Api>) -> Answered {
    told(&visitor, api, Page::PerObject).await
}

async fn memory_breakdown(visitor: Visitor, State(api): State<Api>) -> Answered {
    told(&visitor, api, Page::Memory).await
}

async fn chosen(visitor: Visitor, State(api): State<Api>, Query(Choice(query)): Query<Choice>) -> Answered {
    told(&visitor, api, detailed(query)?).await
}

/// What is said of the metrics that are wanted; each parameter may be there several times.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Choice(Vec<(String, String)>);

impl Asked for Choice {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[
        ("family", "A family of metrics, such as queue_coarse_metrics; may be there several times"),
        ("vhost", "Only of this virtual host; may be there several times"),
        ("queue", "Only of queues whose names match this regular expression"),
    ];
}

/// The same on a port of their own, for everybody who reaches it (RabbitMQ).
pub fn for_everybody() -> Router<Api> {
    Router::new()
        .route("/metrics", get(async |State(api)| scrape(api, Page::Aggregated).await))
        .route("/metrics/per-object", get(async |State(api)| scrape(api, Page::PerObject).await))
        .route("/metrics/memory-breakdown", get(async |State(api)| scrape(api, Page::Memory).await))
        .route("/metrics/detailed", get(async |State(api), Query(query)| scrape(api, detailed(query)?).await))
        .fallback(async || Failure::NotFound)
}

fn detailed(query: Vec<(String, String)>) -> Answered<Page> {
    let details = Details::of(query).map_err(|error| bad_request(format!("queue: {error}")))?;
    Ok(Page::Detailed(details))
}

async fn told(visitor: &Visitor, api: Api, page: Page) -> Answered {
    visitor.require_monitor()?;
    scrape(api, page).await
}

/// Begins to write a page.
async fn scrape(api: Api, page: Page) -> Answered<Response> {
    let (sender, body) = Channel::<Bytes, io::Error>::new(SCRAPE_CHUNKS_WAITING_MAX);
    let deadline = Deadline::from_std(Instant::now() + SCRAPE_TIMEOUT);
    let place = timeout_at(deadline, api.scrapes.places.clone().acquire_owned()).await;
    let Ok(Ok(place)) = place else { return Err(Failure::Unavailable("too many scrapes at once".into())) };
    let here = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut outlet = Outlet { chunk: String::new(), sender, deadline, here };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape { api, page }));
        let written = prometheus_text::encode(&mut outlet, &registry).and_then(|()| outlet.send());
        if written.is_err() {
            tracing::debug!("a scrape of metrics was given up: its client takes no more");
            outlet.sender.abort(io::ErrorKind::TimedOut.into());
        }
        drop(place);
    });
    Ok(([(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], Body::new(body)).into_response())
}

/// Where a page is written to: chunks that a client takes in its time.
struct Outlet {
    chunk: String,
    sender: Sender<Bytes, io::Error>,
    deadline: Deadline,
    here: Handle,
}

impl Outlet {
    /// Sends what is there, when there is room for it. An error if the client has gone, or takes too long.
    fn send(&mut self) -> fmt::Result {
        let chunk = Bytes::from(mem::take(&mut self.chunk));
        let sent = self.here.block_on(timeout_at(self.deadline, self.sender.send_data(chunk)));
        sent.map_err(|_late| fmt::Error)?.map_err(|_gone| fmt::Error)
    }
}

impl fmt::Write for Outlet {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.chunk.push_str(text);
        if self.chunk.len() >= SCRAPE_CHUNK_BYTES { self.send() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn outlet(deadline: Deadline) -> (Outlet, Channel<Bytes, io::Error>) {
        let (sender, body) = Channel::new(SCRAPE_CHUNKS_WAITING_MAX);
        (Outlet { chunk: String::new(), sender, deadline, here: Handle::current() }, body)
    }

    /// How many chunks are written before the client is given up.
    async fn written(mut outlet: Outlet, client: Option<Channel<Bytes, io::Error>>) -> usize {
        let chunk = "x".repeat(SCRAPE_CHUNK_BYTES);
        drop(client);
        let writing = move || (0..100).take_while(|_| outlet.write_str(&chunk).is_ok()).count();
        tokio::task::spawn_blocking(writing).await.unwrap()
    }

    #[tokio::test]
    async fn a_client_that_has_gone_is_written_nothing_more() {
        let (outlet, body) = outlet(Deadline::now() + SCRAPE_TIMEOUT);
        assert_eq!(written(outlet, Some(body)).await, 0);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_in_time_gets_no_more_than_a_few_chunks() {
        let (outlet, body) = outlet(Deadline::now());
        assert_eq!(written(outlet, None).await, SCRAPE_CHUNKS_WAITING_MAX);
        drop(body);
    }
}
