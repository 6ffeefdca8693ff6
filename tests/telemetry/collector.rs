//! A collector of OpenTelemetry: takes spans by OTLP over HTTP, and answers as it is told to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span as Encoded,
};
use prost::Message as _;
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    time::timeout,
};

use crate::broker::DEADLINE;

/// A span, as far as it is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub name: String,
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    pub parent: Vec<u8>,
    pub state: String,
    pub flags: u32,
    pub start: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, String>,
}

impl Span {
    fn of(span: Encoded) -> Self {
        Self {
            name: span.name,
            trace: span.trace_id,
            id: span.span_id,
            parent: span.parent_span_id,
            state: span.trace_state,
            flags: span.flags,
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            attributes: texts(span.attributes),
        }
    }

    #[track_caller]
    pub fn says(&self, key: &str) -> &str {
        self.attributes.get(key).unwrap_or_else(|| panic!("no {key} in {self:?}"))
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let one = |value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(is) => is.to_string(),
        value => format!("{value:?}"),
    };
    let value = |value| match value {
        Value::ArrayValue(list) => {
            let all: Vec<_> = list.values.into_iter().filter_map(|value| value.value).map(one).collect();
            all.join(" ")
        }
        value => one(value),
    };
    attributes.into_iter().map(|pair| (pair.key, value(pair.value.unwrap().value.unwrap()))).collect()
}

/// What requests meet.
#[derive(Default)]
struct Desk {
    /// The next requests are answered with it; 0 is 200, and 1 is that they wait.
    status: AtomicU16,
    released: Notify,
    requests: AtomicU16,
}

/// The collector.
pub struct Collector {
    pub url: String,
    desk: Arc<Desk>,
    spans: mpsc::UnboundedReceiver<Span>,
    /// Attributes of whoever sent the last spans.
    resource: Arc<std::sync::Mutex<BTreeMap<String, String>>>,
    seen: Vec<Span>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, spans) = mpsc::unbounded_channel();
        let (desk, resource) = (Arc::<Desk>::default(), Arc::default());
        let state = (desk.clone(), sender, Arc::clone(&resource));
        let router = Router::new().route("/v1/traces", post(take)).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, desk, spans, resource, seen: Vec::new() }
    }

    /// From now on requests are answered with a status.
    pub fn answer(&self, status: StatusCode) {
        self.desk.status.store(if status == StatusCode::OK { 0 } else { status.as_u16() }, Ordering::SeqCst);
    }

    /// From now on requests wait.
    pub fn hold(&self) {
        self.desk.status.store(1, Ordering::SeqCst);
    }

    /// Those that wait go on, and all others.
    pub fn release(&self) {
        self.desk.status.store(0, Ordering::SeqCst);
        self.desk.released.notify_one();
    }

    pub fn requests(&self) -> u16 {
        self.desk.requests.load(Ordering::SeqCst)
    }

    pub fn resource(&self, key: &str) -> Option<String> {
        self.resource.lock().unwrap().get(key).cloned()
    }

    /// The spans that have come, in order, when there are so many of them.
    pub async fn spans(&mut self, count: usize) -> Vec<Span> {
        while self.seen.len() < count {
            let next = timeout(DEADLINE, self.spans.recv()).await;
            self.seen.push(next.unwrap_or_else(|_| panic!("{count} spans: {:#?}", self.seen)).unwrap());
        }
        std::mem::take(&mut self.seen)
    }

    /// Nothing has come beyond what was taken, for a while in which it would.
    pub async fn has_no_more(&mut self) {
        let more = timeout(Duration::from_millis(1_500), self.spans.recv()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

type Shared = (Arc<Desk>, mpsc::UnboundedSender<Span>, Arc<std::sync::Mutex<BTreeMap<String, String>>>);

async fn take(
    State((desk, sender, resource)): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    desk.requests.fetch_add(1, Ordering::SeqCst);
    assert_eq!(headers["content-type"], "application/x-protobuf");
    match desk.status.load(Ordering::SeqCst) {
        0 => {}
        1 => desk.released.notified().await,
        status => return (StatusCode::from_u16(status).unwrap(), Vec::new()),
    }
    for of_resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        *resource.lock().unwrap() = texts(of_resource.resource.unwrap().attributes);
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        spans.map(Span::of).for_each(|span| sender.send(span).unwrap_or_default());
    }
    (StatusCode::OK, Vec::new())
}
