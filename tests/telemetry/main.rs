//! Spans of sampled messages reach a collector of OpenTelemetry, and of others nothing does. The collector is a real one, as far as a
//! broker can tell: `cargo test --features opentelemetry --test telemetry`.
#![cfg(feature = "opentelemetry")]
#![allow(clippy::doc_markdown, reason = "RabbitMQ is a name, not an identifier")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/client.rs"]
mod client;

mod collector;

use std::{process::Command, sync::Arc, time::Instant};

use axum::http::StatusCode;
use lapin::BasicProperties;

use broker::{Broker, DEADLINE};
use client::{Ch, args, next};
use collector::{Collector, Span};

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const PUBLISHER: u64 = 0x00f0_67aa_0ba9_02b7;
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// A broker that sends its spans to a collector.
async fn start() -> (Collector, Arc<Broker>, Ch) {
    let collector = Collector::start().await;
    let args = ["--otlp-endpoint", &collector.url, "--metrics-listen", "127.0.0.1:0"];
    let broker = Broker::start(&args, &[]).expect("a broker with the feature is not somebody else's");
    let client = Ch::open_to(broker.clone()).await.confirm().await;
    (collector, broker, client)
}

fn sampled() -> BasicProperties {
    BasicProperties::default().with_headers(args! { "traceparent": SAMPLED, "tracestate": "a=1" })
}

fn named<'a>(spans: &'a [Span], operation: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name.starts_with(operation)).collect()
}

#[track_caller]
fn child(of: &Span, span: &Span) {
    assert_eq!((&span.parent, &span.trace), (&of.id, &of.trace), "{span:?}");
    assert!(of.start <= span.start, "{of:?} {span:?}");
}

#[track_caller]
fn is_of_publisher(span: &Span) {
    assert_eq!((&*span.parent, &*span.trace), (&PUBLISHER.to_be_bytes()[..], &TRACE.to_be_bytes()[..]));
    assert_eq!((span.flags, &*span.state), (0x301, "a=1"), "sampled, and its parent is elsewhere");
}

/// What metrics say became of spans.
fn counted(broker: &Broker, outcome: &str) -> u64 {
    let address = broker.metrics_address.as_ref().unwrap();
    let page = ureq::get(format!("http://{address}/metrics")).call().unwrap();
    let page = page.into_body().read_to_string().unwrap();
    let line = format!("leveret_spans_total{{outcome=\"{outcome}\"}} ");
    let value =
        page.lines().find_map(|it| it.strip_prefix(&line)).unwrap_or_else(|| panic!("{line} in {page}"));
    value.parse().unwrap()
}

async fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < DEADLINE);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sampled_message_s_way_is_told_from_its_publish_to_its_settlement() {
    let (mut collector, _broker, ch) = start().await;
    let (exchange, queue) = (ch.exchange("direct").await, ch.queue().await);
    ch.bind(&queue, &exchange, "key").await.unwrap();
    let properties = sampled().with_message_id("id-7".into());
    ch.publish_with(&exchange, "key", "hello", "", properties).await.unwrap();
    let mut consumer = ch.consume(&queue, "").await;
    let delivery = next(&mut consumer).await;
    ch.ack(delivery.delivery_tag, "").await;
    let spans = collector.spans(4).await;
    let [publish, wait, deliver, settle] = &spans[..] else { panic!("{spans:#?}") };
    let names = [("publish", &exchange), ("wait in queue", &queue), ("deliver", &queue), ("settle", &queue)];
    for (span, (operation, subject)) in spans.iter().zip(names) {
        assert_eq!(span.name, format!("{operation} {subject}"));
        assert_eq!(span.says("messaging.operation.name"), operation);
        assert_eq!(span.says("messaging.system"), "rabbitmq");
        assert_eq!(
            (span.says("messaging.message.id"), span.says("messaging.message.body.size")),
            ("id-7", "5")
        );
        assert!(span.start <= span.end && span.start > 1_700_000_000_000_000_000, "{span:?}");
    }
    is_of_publisher(publish);
    is_of_publisher(wait);
    child(wait, deliver);
    child(deliver, settle);
    assert!(publish.end <= deliver.start && wait.end == deliver.start && settle.end >= deliver.end);
    assert_eq!(publish.says("messaging.destination.name"), format!("{exchange}:key"));
    assert_eq!(deliver.says("messaging.destination.name"), format!("{exchange}:key:{queue}"));
    assert_eq!((publish.says("leveret.queues"), publish.says("leveret.queue_count")), (&*queue, "1"));
    assert_eq!((wait.says("leveret.outcome"), settle.says("leveret.outcome")), ("delivered", "acknowledged"));
    assert_eq!((deliver.says("leveret.redelivered"), deliver.says("user.name")), ("false", "guest"));
    assert_eq!(collector.resource("service.name").as_deref(), Some("leveret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sampled_is_told_nothing_of() {
    let (mut collector, _broker, ch) = start().await;
    let queue = ch.queue().await;
    let mut consumer = ch.consume(&queue, "no-ack").await;
    let unsampled = BasicProperties::default().with_headers(args! { "traceparent": NOT_SAMPLED });
    let nonsense = BasicProperties::default().with_headers(args! { "traceparent": "00-x" });
    for properties in [BasicProperties::default(), unsampled, nonsense, sampled()] {
        ch.publish_with("", &queue, "m", "", properties).await.unwrap();
        next(&mut consumer).await;
    }
    let spans = collector.spans(3).await;
    let names: Vec<_> = spans.iter().map(|span| span.name.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["publish", "wait", "deliver"], "nobody settles it");
    collector.has_no_more().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_back_waits_and_is_delivered_once_more() {
    let (mut collector, _broker, ch) = start().await;
    let queue = ch.queue().await;
    ch.publish_with("", &queue, "m", "", sampled()).await.unwrap();
    let mut consumer = ch.consume(&queue, "").await;
    let first = next(&mut consumer).await;
    ch.nack(first.delivery_tag, "requeue").await;
    let second = next(&mut consumer).await;
    ch.reject(second.delivery_tag, "").await;
    let spans = collector.spans(7).await;
    let (waits, deliveries, settled) =
        (named(&spans, "wait"), named(&spans, "deliver"), named(&spans, "settle"));
    assert_eq!((waits.len(), deliveries.len(), settled.len()), (2, 2, 2));
    for (at, outcome) in ["requeued", "rejected"].into_iter().enumerate() {
        is_of_publisher(waits[at]);
        child(waits[at], deliveries[at]);
        child(deliveries[at], settled[at]);
        assert_eq!(settled[at].says("leveret.outcome"), outcome);
        assert_eq!(deliveries[at].says("leveret.redelivered"), (at == 1).to_string());
    }
    assert_eq!(waits[1].start, settled[0].end, "it waits from when it came back");
    let mut ids: Vec<_> = spans.iter().map(|span| &span.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_or_is_delayed_says_how_its_waiting_ended() {
    let (mut collector, _broker, ch) = start().await;
    let dead = ch.queue().await;
    let table = args! {
        "x-message-ttl": 20, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": &dead,
    };
    let queue = ch.queue_with(table).await;
    let mut consumer = ch.consume(&dead, "no-ack").await;
    let mut headers = args! { "traceparent": SAMPLED, "tracestate": "a=1" };
    headers.insert("x-delay".into(), lapin::types::AMQPValue::LongInt(30));
    let properties = BasicProperties::default().with_headers(headers);
    ch.publish_with("", &queue, "m", "", properties).await.unwrap();
    next(&mut consumer).await;
    let spans = collector.spans(7).await;
    let waits: Vec<_> =
        named(&spans, "wait").into_iter().map(|it| (it.name.clone(), it.says("leveret.outcome"))).collect();
    let wait = |queue: &str| format!("wait in queue {queue}");
    assert_eq!(waits, [(wait("amq.delayed"), "due"), (wait(&queue), "expired"), (wait(&dead), "delivered")]);
    let [delayed, expired, _] = named(&spans, "wait")[..] else { panic!("{spans:#?}") };
    assert!(delayed.end - delayed.start >= 30_000_000 && expired.end - expired.start >= 20_000_000);
    assert_eq!(named(&spans, "publish").len(), 3, "as it came, when it was due, and when it died");
    named(&spans, "publish").into_iter().for_each(is_of_publisher);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_a_collector_takes_later_are_sent_again_and_those_that_it_refuses_are_counted() {
    let (mut collector, broker, ch) = start().await;
    collector.answer(StatusCode::SERVICE_UNAVAILABLE);
    ch.publish_with("", "nowhere", "m", "", sampled()).await.unwrap();
    broker.log().expect(&["the collector takes no spans", "status 503"]);
    collector.answer(StatusCode::OK);
    assert_eq!(collector.spans(1).await[0].name, "publish nowhere");
    broker.log().expect(&["the collector takes spans again"]);
    assert!(collector.requests() >= 2);
    until(|| counted(&broker, "sent") == 1).await;
    collector.answer(StatusCode::BAD_REQUEST);
    ch.publish_with("", "nowhere", "m", "", sampled()).await.unwrap();
    until(|| counted(&broker, "failed") == 1).await;
    collector.answer(StatusCode::OK);
    collector.has_no_more().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_does_not_answer_holds_nobody_up_and_what_it_misses_is_counted() {
    let (mut collector, broker, ch) = start().await;
    collector.hold();
    let count = 12_000;
    for _ in 0..count {
        let options = lapin::options::BasicPublishOptions::default();
        drop(ch.amqp.basic_publish("".into(), "nowhere".into(), options, b"m", sampled()).await.unwrap());
    }
    ch.publish_with("", "nowhere", "last", "", sampled()).await.unwrap();
    let dropped = counted(&broker, "dropped");
    assert!(dropped > 1_000, "{dropped}");
    collector.release();
    let sent = (count + 1 - dropped) as usize;
    assert_eq!(collector.spans(sent).await.len(), sent);
    until(|| counted(&broker, "sent") == sent as u64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stops_sends_its_last_spans() {
    let (mut collector, broker, ch) = start().await;
    ch.publish_with("", "nowhere", "m", "", sampled()).await.unwrap();
    let pid = broker.pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(collector.spans(1).await[0].name, "publish nowhere");
    drop(ch);
    assert_eq!(Arc::into_inner(broker).unwrap().wait(), Some(0));
}
