//! Metrics for Prometheus: what they say against what was done, exactly; read by a parser that others wrote.

#![allow(clippy::float_cmp, reason = "counts are whole numbers, which a double has exactly")]

use std::collections::BTreeMap;

use lapin::{BasicProperties, Confirmation, Consumer, types::FieldTable};
use nom_openmetrics::{MetricDescriptor, MetricType, parser::prometheus};
use serde_json::json;
use ureq::Agent;

use crate::{
    api::Api,
    client::{Ch, args, next, pass},
};

/// The labels of a sample, by name.
pub type Labels = BTreeMap<String, String>;

/// A page of metrics.
pub struct Page {
    /// The type of each metric.
    pub types: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Page {
    /// Reads one. Fails if a sample stands there twice, or has no type.
    pub fn parse(text: &str) -> Self {
        let (rest, families) = prometheus(text).unwrap();
        assert_eq!(rest, "");
        let (mut types, mut samples) = (BTreeMap::new(), BTreeMap::new());
        for family in &families {
            for descriptor in &family.descriptors {
                if let MetricDescriptor::Type { metric, r#type } = descriptor {
                    let before = types.insert((*metric).to_owned(), named(r#type));
                    assert_eq!(before, None, "{metric} stands there twice");
                }
            }
            for sample in &family.samples {
                let labels: Labels = sample
                    .labels()
                    .iter()
                    .map(|label| (label.name.to_owned(), label.value.clone()))
                    .collect();
                let before = samples.insert((sample.name().to_owned(), labels), sample.number());
                assert_eq!(before, None, "{sample:?} stands there twice");
            }
        }
        let page = Self { types, samples };
        for (name, _) in page.samples.keys() {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let is_known = page.types.contains_key(name)
                || of_histogram.is_some_and(|of| page.types.get(of).is_some_and(|kind| kind == "histogram"));
            assert!(is_known, "{name} has no type");
        }
        page
    }

    /// A sample's value, if it is there.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// A sample's value.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let same: Vec<_> = self.samples.keys().filter(|key| key.0 == name).collect();
        self.find(name, labels).unwrap_or_else(|| panic!("no {name} with {labels:?} among {same:?}"))
    }

    /// The labels of all samples of a metric.
    pub fn labels_of(&self, name: &str) -> Vec<&Labels> {
        self.samples.keys().filter(|key| key.0 == name).map(|key| &key.1).collect()
    }

    /// All samples of counters.
    fn counters(&self) -> impl Iterator<Item = (&(String, Labels), f64)> {
        let is_counter = |name: &str| self.types.get(name).is_some_and(|kind| kind == "counter");
        self.samples.iter().filter(move |(key, _)| is_counter(&key.0)).map(|(key, value)| (key, *value))
    }
}

/// The parser knows some of the types by name.
fn named(kind: &MetricType<'_>) -> String {
    match kind {
        MetricType::Unknown(name) => (*name).to_owned(),
        known => format!("{known:?}").to_lowercase(),
    }
}

/// What is answered at the port for metrics.
pub fn ask(api: &Api, path: &str) -> (u16, String) {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let address = api.broker.metrics_address.as_ref().unwrap();
    let mut answer = agent.get(format!("http://{address}{path}")).call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), text)
}

/// A page of metrics.
pub fn scrape(api: &Api, path: &str) -> Page {
    let (status, text) = ask(api, path);
    assert_eq!(status, 200, "{path}: {text}");
    Page::parse(&text)
}

pub fn start() -> Option<Api> {
    Api::start(&["--metrics-listen", "127.0.0.1:0"])
}

/// Every name that RabbitMQ's dashboards ask for.
const OF_DASHBOARDS: &[&str] = &[
    "rabbitmq_build_info",
    "rabbitmq_identity_info",
    "rabbitmq_erlang_uptime_seconds",
    "rabbitmq_connections",
    "rabbitmq_channels",
    "rabbitmq_queues",
    "rabbitmq_consumers",
    "rabbitmq_global_consumers",
    "rabbitmq_global_publishers",
    "rabbitmq_connections_opened_total",
    "rabbitmq_connections_closed_total",
    "rabbitmq_channels_opened_total",
    "rabbitmq_channels_closed_total",
    "rabbitmq_queues_declared_total",
    "rabbitmq_queues_created_total",
    "rabbitmq_queues_deleted_total",
    "rabbitmq_queue_messages",
    "rabbitmq_queue_messages_ready",
    "rabbitmq_queue_messages_unacked",
    "rabbitmq_queue_messages_published_total",
    "rabbitmq_queue_consumers",
    "rabbitmq_disk_space_available_bytes",
    "rabbitmq_disk_space_available_limit_bytes",
    "rabbitmq_process_resident_memory_bytes",
    "rabbitmq_resident_memory_limit_bytes",
    "rabbitmq_process_open_fds",
    "rabbitmq_process_max_fds",
    "rabbitmq_process_open_tcp_sockets",
    "rabbitmq_process_max_tcp_sockets",
    "rabbitmq_message_size_bytes",
    "rabbitmq_alarms_memory_used_watermark",
    "rabbitmq_alarms_free_disk_space_watermark",
    "rabbitmq_alarms_file_descriptor_limit",
    "rabbitmq_global_messages_received_total",
    "rabbitmq_global_messages_received_confirm_total",
    "rabbitmq_global_messages_routed_total",
    "rabbitmq_global_messages_confirmed_total",
    "rabbitmq_global_messages_unroutable_dropped_total",
    "rabbitmq_global_messages_unroutable_returned_total",
    "rabbitmq_global_messages_delivered_total",
    "rabbitmq_global_messages_delivered_consume_auto_ack_total",
    "rabbitmq_global_messages_delivered_consume_manual_ack_total",
    "rabbitmq_global_messages_delivered_get_auto_ack_total",
    "rabbitmq_global_messages_delivered_get_manual_ack_total",
    "rabbitmq_global_messages_get_empty_total",
    "rabbitmq_global_messages_redelivered_total",
    "rabbitmq_global_messages_acknowledged_total",
    "rabbitmq_auth_attempts_total",
    "rabbitmq_auth_attempts_succeeded_total",
    "rabbitmq_auth_attempts_failed_total",
    "rabbitmq_connection_incoming_bytes_total",
    "rabbitmq_connection_outgoing_bytes_total",
    "rabbitmq_channel_messages_published_total",
    "rabbitmq_channel_messages_acked_total",
    "rabbitmq_io_write_bytes_total",
    "rabbitmq_io_sync_ops_total",
    "process_start_time_seconds",
];

const CLASSIC: &[(&str, &str)] = &[("protocol", "amqp091"), ("queue_type", "rabbit_classic_queue")];
const QUORUM: &[(&str, &str)] = &[("protocol", "amqp091"), ("queue_type", "rabbit_quorum_queue")];
const AMQP: &[(&str, &str)] = &[("protocol", "amqp091")];
const HTTP: &[(&str, &str)] = &[("protocol", "http")];

const CLASSIC_LETTERS: [(&str, &str); 2] =
    [("queue_type", "rabbit_classic_queue"), ("dead_letter_strategy", "at_most_once")];
const QUORUM_LETTERS: [(&str, &str); 2] =
    [("queue_type", "rabbit_quorum_queue"), ("dead_letter_strategy", "at_most_once")];
const CLASSIC_DROPS: [(&str, &str); 2] =
    [("queue_type", "rabbit_classic_queue"), ("dead_letter_strategy", "disabled")];

/// A metric, its labels, and what it says.
type Said = (&'static str, &'static [(&'static str, &'static str)], u32);

/// What [`load`] and [`lose`] publish.
const PUBLISHED: u32 = 10 + 2 + 2 + 1 + 3 + 2 + 2 + 1 + 2 + 1 + 1;

/// What is said after these.
const SAID: &[Said] = &[
    ("rabbitmq_connections", &[], 2),
    ("rabbitmq_channels", &[], 2),
    ("rabbitmq_queues", &[], 11),
    ("rabbitmq_consumers", &[], 2),
    ("rabbitmq_global_consumers", AMQP, 2),
    ("rabbitmq_global_publishers", AMQP, 2),
    ("rabbitmq_connections_opened_total", &[], 2),
    ("rabbitmq_connections_closed_total", &[], 0),
    ("rabbitmq_channels_opened_total", &[], 2),
    ("rabbitmq_queues_created_total", &[], 11),
    ("rabbitmq_queues_deleted_total", &[], 0),
    ("rabbitmq_global_messages_received_total", AMQP, PUBLISHED),
    ("rabbitmq_global_messages_received_confirm_total", AMQP, PUBLISHED - 1),
    ("rabbitmq_global_messages_unroutable_dropped_total", AMQP, 1),
    ("rabbitmq_global_messages_unroutable_returned_total", AMQP, 1),
    ("rabbitmq_global_messages_delivered_total", CLASSIC, 1 + 2 + 10 + 8 + 2),
    ("rabbitmq_global_messages_delivered_total", QUORUM, 2 + 1),
    ("rabbitmq_global_messages_delivered_consume_auto_ack_total", CLASSIC, 8),
    ("rabbitmq_global_messages_delivered_consume_manual_ack_total", CLASSIC, 10),
    ("rabbitmq_global_messages_delivered_get_auto_ack_total", CLASSIC, 1),
    ("rabbitmq_global_messages_delivered_get_manual_ack_total", CLASSIC, 2 + 2),
    ("rabbitmq_global_messages_delivered_get_manual_ack_total", QUORUM, 2 + 1),
    ("rabbitmq_global_messages_get_empty_total", CLASSIC, 1),
    ("rabbitmq_global_messages_redelivered_total", CLASSIC, 1),
    ("rabbitmq_global_messages_acknowledged_total", CLASSIC, 11),
    ("rabbitmq_global_messages_acknowledged_total", QUORUM, 1),
    ("rabbitmq_global_messages_dead_lettered_rejected_total", &CLASSIC_LETTERS, 1),
    ("rabbitmq_global_messages_dead_lettered_rejected_total", &QUORUM_LETTERS, 1),
    ("rabbitmq_global_messages_dead_lettered_maxlen_total", &CLASSIC_DROPS, 2),
    ("rabbitmq_global_messages_dead_lettered_expired_total", &CLASSIC_DROPS, 1),
    ("rabbitmq_channel_messages_published_total", &[], PUBLISHED),
    ("rabbitmq_channel_messages_acked_total", &[], 12),
    ("rabbitmq_channel_messages_unacked", &[], 1),
    ("rabbitmq_queue_messages_unacked", &[], 1),
    // One of three, one of short, one of full, the dead letter, the one that is no duplicate, the one that waits.
    ("rabbitmq_queue_messages_ready", &[], 1 + 1 + 1 + 1 + 1 + 1),
    ("rabbitmq_queue_messages", &[], 7),
    ("rabbitmq_queue_consumers", &[], 2),
    ("rabbitmq_queue_messages_acked_total", &[], 12),
    ("rabbitmq_message_size_bytes_count", &[], PUBLISHED),
    ("rabbitmq_auth_attempts_total", AMQP, 2),
    ("rabbitmq_auth_attempts_succeeded_total", AMQP, 2),
    ("rabbitmq_auth_attempts_failed_total", AMQP, 0),
    ("rabbitmq_auth_attempts_total", HTTP, 2),
    ("rabbitmq_auth_attempts_failed_total", HTTP, 1),
    ("leveret_logins_refused_total", &[("reason", "invalid_credentials")], 1),
    ("leveret_messages_dropped_total", &[("reason", "maxlen")], 2),
    ("leveret_messages_dropped_total", &[("reason", "expired")], 1),
    ("leveret_messages_dropped_total", &[("reason", "unroutable")], 1),
    ("leveret_messages_dead_lettered_total", &[("reason", "rejected")], 2),
    ("leveret_messages_expired_total", &[], 1),
    ("leveret_messages_refused_total", &[], 1),
    ("leveret_messages_duplicate_total", &[], 1),
    ("leveret_messages_delayed_total", &[], 1),
    ("leveret_messages_delayed", &[], 1),
    ("leveret_messages_retried_total", &[], 1),
    ("leveret_messages_waiting", &[], 1),
    ("leveret_messages_redriven_total", &[], 0),
    ("leveret_alarm", &[("resource", "memory")], 0),
    ("leveret_alarm", &[("resource", "disk")], 0),
    ("rabbitmq_alarms_memory_used_watermark", &[], 0),
];

/// Does a bit of everything. Gives consumers that stay.
async fn load(publisher: &Ch, client: &Ch) -> [Consumer; 2] {
    for queue in ["one", "two"] {
        publisher.declare(queue, "durable", FieldTable::default()).await.unwrap();
        publisher.bind(queue, "amq.fanout", "").await.unwrap();
    }
    publisher.declare("three", "durable", args! { "x-queue-type": "quorum" }).await.unwrap();
    for _ in 0..10 {
        publisher.publish("amq.fanout", "", "to both").await.unwrap();
    }
    publisher.publish("", "nowhere", "dropped").await.unwrap();
    publisher.publish_mandatory("", "nowhere", "returned").await;
    publisher.fill("three", ["a", "b"]).await;
    client.publish("", "three", "c").await.unwrap();
    client.fence("three").await;
    client.get("one", "no-ack").await.unwrap().unwrap();
    let held = client.get("one", "").await.unwrap().unwrap();
    client.reject(held.delivery_tag, "requeue").await;
    let again = client.get("one", "").await.unwrap().unwrap();
    client.ack(again.delivery_tag, "").await;
    let mut two = client.consume("two", "").await;
    for _ in 0..10 {
        client.ack(next(&mut two).await.delivery_tag, "").await;
    }
    client.fence("two").await;
    assert!(client.get("two", "no-ack").await.unwrap().is_none());
    let mut one = client.consume("one", "no-ack").await;
    for _ in 0..8 {
        next(&mut one).await;
    }
    let kept = client.get("three", "").await.unwrap().unwrap();
    client.ack(kept.delivery_tag, "").await;
    client.get("three", "").await.unwrap().unwrap();
    client.fence("three").await;
    [one, two]
}

/// Messages that die, wait, are refused, or are seen twice.
async fn lose(publisher: &Ch, client: &Ch) {
    publisher.declare("short", "", args! { "x-max-length": 1 }).await.unwrap();
    publisher.fill("short", ["1", "2", "3"]).await;
    publisher.declare("full", "", args! { "x-max-length": 1, "x-overflow": "reject-publish" }).await.unwrap();
    publisher.publish("", "full", "1").await.unwrap();
    let refused = publisher.publish("", "full", "2").await.unwrap();
    assert!(matches!(refused, Confirmation::Nack(_)), "{refused:?}");
    publisher.declare("dead", "", FieldTable::default()).await.unwrap();
    let letters = args! { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" };
    publisher.declare("mortal", "", letters).await.unwrap();
    let nowhere = args! { "x-dead-letter-exchange": "amq.direct", "x-queue-type": "quorum" };
    publisher.declare("lost", "durable", nowhere).await.unwrap();
    for queue in ["mortal", "lost"] {
        publisher.publish("", queue, "dies").await.unwrap();
        let held = client.get(queue, "").await.unwrap().unwrap();
        client.reject(held.delivery_tag, "").await;
        client.fence(queue).await;
    }
    publisher.declare("brief", "", args! { "x-message-ttl": 1 }).await.unwrap();
    publisher.publish("", "brief", "expires").await.unwrap();
    publisher.await_counts("brief", (0, 0)).await;
    publisher.declare("once", "", args! { "x-message-deduplication": true }).await.unwrap();
    for _ in 0..2 {
        let properties = BasicProperties::default().with_headers(args! { "x-deduplication-header": "k" });
        publisher.publish_with("", "once", "same", "", properties).await.unwrap();
    }
    let properties = BasicProperties::default().with_headers(args! { "x-delay": 600_000 });
    publisher.publish_with("", "one", "late", "", properties).await.unwrap();
    let retry = args! { "x-delayed-retry-type": "all", "x-delayed-retry-min": 600_000, "x-delayed-retry-max": 600_000 };
    publisher.declare("again", "", retry).await.unwrap();
    publisher.publish("", "again", "fails").await.unwrap();
    let held = client.get("again", "").await.unwrap().unwrap();
    client.nack(held.delivery_tag, "requeue").await;
    client.fence("again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_metric_says_what_was_done() {
    let Some(api) = start() else { return };
    let publisher = Ch::open_to(api.broker.clone()).await.confirm().await;
    let client = Ch::open_to(api.broker.clone()).await;
    let _consumers = load(&publisher, &client).await;
    lose(&publisher, &client).await;
    assert_eq!(api.being("guest", "wrong").status("overview"), 401);
    api.get("overview");
    let page = scrape(&api, "/metrics");
    for name in OF_DASHBOARDS {
        assert!(page.types.contains_key(*name), "{name} is missing");
    }
    let of = |(name, labels, value): &Said| {
        let said = page.get(name, labels);
        (said != f64::from(*value)).then(|| format!("{name} {labels:?} says {said}, not {value}"))
    };
    let wrong: Vec<_> = SAID.iter().filter_map(of).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_sensible(&page);
}

/// What cannot be known exactly.
fn assert_sensible(page: &Page) {
    let get = |name: &str| page.get(name, &[]);
    assert!(get("rabbitmq_process_resident_memory_bytes") > 1e6);
    assert!(get("rabbitmq_process_open_fds") > 3.0);
    assert!(get("rabbitmq_process_open_fds") < get("rabbitmq_process_max_fds"));
    assert!(get("rabbitmq_disk_space_available_bytes") > 0.0);
    assert!(get("rabbitmq_connection_incoming_bytes_total") > 1_000.0);
    assert!(get("rabbitmq_connection_outgoing_bytes_total") > 1_000.0);
    assert!(get("process_start_time_seconds") > 1.6e9 && get("process_cpu_seconds_total") >= 0.0);
    assert!(get("leveret_log_commits_total") >= 1.0 && get("leveret_log_segments") >= 1.0);
    assert_eq!(get("leveret_log_sync_seconds_count"), get("leveret_log_commits_total"));
    assert_eq!(
        page.get("leveret_log_sync_seconds_bucket", &[("le", "+Inf")]),
        get("leveret_log_sync_seconds_count")
    );
    assert_eq!(
        page.get("rabbitmq_message_size_bytes_bucket", &[("le", "100")]),
        get("rabbitmq_message_size_bytes_count")
    );
    let topology = page.get("leveret_memory_used_bytes", &[("kind", "topology")]);
    assert!(topology > 0.0 && topology < page.get("leveret_memory_share_bytes", &[("kind", "topology")]));
    let identity = page.labels_of("rabbitmq_identity_info");
    assert_eq!(identity.len(), 1);
    assert!(identity[0]["rabbitmq_node"].starts_with("leveret@"));
    assert_eq!(identity[0]["rabbitmq_endpoint"], "aggregated");
    assert_eq!(page.labels_of("rabbitmq_build_info")[0]["product_name"], "Leveret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_counter_falls_when_what_it_counted_is_gone() {
    let Some(api) = start() else { return };
    assert_eq!(api.put("vhosts/other", &json!({})), 201);
    assert_eq!(api.put("queues/other/q", &json!({})), 201);
    let publish =
        json!({ "routing_key": "q", "payload": "x", "payload_encoding": "string", "properties": {} });
    api.post("exchanges/other/amq.default/publish", &publish);
    let publisher = Ch::open_to(api.broker.clone()).await.confirm().await;
    let client = Ch::open_to(api.broker.clone()).await;
    let _consumers = load(&publisher, &client).await;
    lose(&publisher, &client).await;
    let before = scrape(&api, "/metrics");
    assert!(before.counters().filter(|(_, value)| *value > 0.0).count() > 60);
    client.close_connection().await;
    for queue in ["one", "two", "three", "short", "mortal", "lost", "brief", "once", "again", "full"] {
        publisher.delete(queue, "").await.unwrap();
    }
    publisher.close_connection().await;
    assert_eq!(api.delete("vhosts/other"), 204);
    let after = scrape(&api, "/metrics");
    let later = |key: &(String, Labels)| after.samples.get(key).copied();
    for (key, value) in before.counters() {
        assert!(later(key) >= Some(value), "{key:?} was {value} and is {:?}", later(key));
    }
    assert_eq!((after.get("rabbitmq_queues", &[]), after.get("rabbitmq_connections", &[])), (1.0, 0.0));
    assert_eq!(after.get("rabbitmq_queues_deleted_total", &[]), 11.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_are_counted_once_on_channels_that_end_between_scrapes() {
    let Some(api) = start() else { return };
    let publisher = Ch::open_to(api.broker.clone()).await.confirm().await;
    publisher.declare("q", "", FieldTable::default()).await.unwrap();
    pass(&publisher, 1).await;
    let mut seen = 0.0;
    for round in 0..20_u32 {
        let client = Ch::open_to(api.broker.clone()).await;
        client.publish("", "q", "x").await.unwrap();
        client.fence("q").await;
        client.close_connection().await;
        let page = scrape(&api, "/metrics");
        let received = page.get("rabbitmq_global_messages_received_total", AMQP);
        assert!(received > seen, "{round}: {received} after {seen}");
        seen = received;
    }
    assert_eq!(seen, 21.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_port_for_metrics_has_nothing_else_and_that_of_the_api_asks_who_reads_them() {
    let Some(api) = start() else { return };
    for path in ["/", "/api/overview", "/metrics/none", "/api/queues"] {
        assert_eq!(ask(&api, path).0, 404, "{path}");
    }
    assert_eq!(api.put("users/watcher", &json!({ "password": "w", "tags": "monitoring" })), 201);
    assert_eq!(api.put("users/worker", &json!({ "password": "w", "tags": "management" })), 201);
    for (who, status) in [
        (api.nobody(), 401),
        (api.being("worker", "w"), 401),
        (api.being("watcher", "w"), 200),
        (api.clone(), 200),
    ] {
        for page in ["", "/per-object", "/detailed?family=queue_coarse_metrics", "/memory-breakdown"] {
            let mut answer = who.send_to("GET", &format!("/metrics{page}"), b"");
            let text = answer.body_mut().read_to_string().unwrap();
            assert_eq!(answer.status().as_u16(), status, "{page}: {text}");
            if status == 200 {
                Page::parse(&text);
            }
        }
    }
}
