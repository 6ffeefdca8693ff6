//! Metrics of each thing by itself: labels, what is chosen by families and names, and names that are hard to write.

#![allow(clippy::float_cmp, reason = "counts are whole numbers, which a double has exactly")]

use std::collections::BTreeSet;

use lapin::types::FieldTable;

use crate::{
    client::{Ch, args},
    metrics::{Page, ask, scrape, start},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_queue_has_its_virtual_host_and_name_whatever_is_in_it() {
    let Some(api) = start() else { return };
    let client = Ch::open_to(api.broker.clone()).await;
    let names = ["quote\"", "back\\slash", "brace}", "comma, equals=", "\\n\\\"", "größe", " "];
    for (count, name) in (1..).zip(names) {
        client.declare(name, "", FieldTable::default()).await.unwrap();
        for _ in 0..count {
            client.publish("", name, "x").await.unwrap();
        }
        client.fence(name).await;
    }
    // Names of queues have no ends of lines (RabbitMQ takes them out), but those of virtual hosts may.
    assert_eq!(api.put("vhosts/two%0Alines", &serde_json::json!({})), 201);
    assert_eq!(api.put("queues/two%0Alines/q", &serde_json::json!({})), 201);
    client.declare("quorum", "durable", args! { "x-queue-type": "quorum" }).await.unwrap();
    let page = scrape(&api, "/metrics/per-object");
    for (count, name) in (1..).zip(names) {
        let labels = [("vhost", "/"), ("queue", name)];
        assert_eq!(page.get("rabbitmq_queue_messages_ready", &labels), f64::from(count), "{name:?}");
        assert_eq!(page.get("rabbitmq_queue_messages_published_total", &labels), f64::from(count));
        assert_eq!(page.get("leveret_queue_messages_dropped_total", &labels), 0.0);
    }
    assert_eq!(page.get("rabbitmq_queue_messages", &[("vhost", "two\nlines"), ("queue", "q")]), 0.0);
    let info = |queue, queue_type| {
        let labels = [("vhost", "/"), ("queue", queue), ("queue_type", queue_type), ("membership", "leader")];
        page.get("rabbitmq_queue_info", &labels)
    };
    assert_eq!(info("quorum", "rabbit_quorum_queue"), 1.0);
    assert_eq!(info("größe", "rabbit_classic_queue"), 1.0);
    let default = [("vhost", "/"), ("exchange", "")];
    assert_eq!(page.get("rabbitmq_exchange_messages_published_total", &default), 28.0);
    assert_eq!(page.get("leveret_exchange_messages_routed_total", &default), 28.0);
    let channels = page.labels_of("rabbitmq_channel_messages_published_total");
    assert_eq!(channels.len(), 1);
    assert!(channels[0]["channel"].ends_with(" (1)") && channels[0]["vhost"] == "/", "{channels:?}");
    assert_eq!(page.labels_of("rabbitmq_connection_channels").len(), 1);
    assert_eq!(page.get("rabbitmq_queues", &[]), 9.0);
    assert_eq!(page.labels_of("rabbitmq_identity_info")[0]["rabbitmq_endpoint"], "per-object");
}

/// The names of queues that a page has.
fn queues(page: &Page) -> BTreeSet<(&str, &str)> {
    let labels = page.labels_of("rabbitmq_detailed_queue_messages_ready");
    labels.into_iter().map(|labels| (&*labels["vhost"], &*labels["queue"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn details_are_those_of_the_families_virtual_hosts_and_queues_that_are_asked_for() {
    let Some(api) = start() else { return };
    for vhost in ["a", "b"] {
        api.put(&format!("vhosts/{vhost}"), &serde_json::json!({}));
        for queue in ["orders.eu", "orders.us", "bills"] {
            api.put(&format!("queues/{vhost}/{queue}"), &serde_json::json!({}));
        }
    }
    let detailed = |query: &str| scrape(&api, &format!("/metrics/detailed?{query}"));
    let family = "family=queue_coarse_metrics";
    assert_eq!(queues(&detailed(family)).len(), 6);
    assert_eq!(queues(&detailed(&format!("{family}&vhost=a"))).len(), 3);
    assert_eq!(queues(&detailed(&format!("{family}&vhost=a&vhost=b"))).len(), 6);
    let page = detailed(&format!("{family}&vhost=b&queue=^orders%5C."));
    assert_eq!(queues(&page), [("b", "orders.eu"), ("b", "orders.us")].into());
    assert_eq!(page.labels_of("rabbitmq_detailed_queue_info").len(), 2);
    assert!(queues(&detailed(&format!("{family}&queue=none"))).is_empty());
    assert!(queues(&detailed(&format!("{family}&vhost=none"))).is_empty());
    // Families, and what comes with each: a part of another one is not said twice.
    let names = |query: &str| {
        let page = detailed(query);
        let own = page.types.keys().filter(|name| !name.ends_with("_info"));
        own.cloned().collect::<Vec<_>>()
    };
    assert_eq!(names(""), Vec::<String>::new());
    assert_eq!(names("family=no_such_family&other=1"), Vec::<String>::new());
    assert_eq!(names("family=queue_consumer_count"), ["rabbitmq_detailed_queue_consumers"]);
    assert!(names("family=queue_consumer_count&family=queue_metrics").len() > 5);
    assert_eq!(names("family=vhost_status&vhost=a"), ["rabbitmq_cluster_vhost_status"]);
    let page = detailed("family=exchange_names&family=exchange_bindings&vhost=a");
    let topic = [("vhost", "a"), ("exchange", "amq.topic"), ("type", "topic")];
    assert_eq!(page.get("rabbitmq_cluster_exchange_name", &topic), 1.0);
    assert_eq!(page.get("rabbitmq_cluster_exchange_bindings", &topic), 0.0);
    assert_eq!(names("family=leveret_metrics").len(), 9, "{:?}", names("family=leveret_metrics"));
    let (status, text) = ask(&api, &format!("/metrics/detailed?{family}&queue=("));
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("queue: regex parse error"), "{text}");
}

/// Each family, with a metric of it.
const FAMILIES: &[(&str, &str)] = &[
    ("connection_churn_metrics", "rabbitmq_detailed_connections_opened_total"),
    ("node_coarse_metrics", "rabbitmq_detailed_process_open_fds"),
    ("node_metrics", "rabbitmq_detailed_resident_memory_limit_bytes"),
    ("node_persister_metrics", "rabbitmq_detailed_io_sync_ops_total"),
    ("auth_attempt_metrics", "rabbitmq_detailed_auth_attempts_succeeded_total"),
    ("queue_coarse_metrics", "rabbitmq_detailed_queue_messages_ready"),
    ("queue_delivery_metrics", "rabbitmq_detailed_queue_messages_delivered_ack_total"),
    ("queue_consumer_count", "rabbitmq_detailed_queue_consumers"),
    ("queue_metrics", "rabbitmq_detailed_queue_messages_bytes"),
    ("exchange_metrics", "rabbitmq_detailed_exchange_messages_published_total"),
    ("queue_exchange_metrics", "rabbitmq_detailed_queue_exchange_messages_published_total"),
    ("connection_coarse_metrics", "rabbitmq_detailed_connection_incoming_bytes_total"),
    ("connection_metrics", "rabbitmq_detailed_connection_channels"),
    ("channel_metrics", "rabbitmq_detailed_channel_prefetch"),
    ("channel_exchange_metrics", "rabbitmq_detailed_channel_messages_published_total"),
    ("channel_queue_metrics", "rabbitmq_detailed_channel_messages_delivered_total"),
    ("channel_queue_exchange_metrics", "rabbitmq_detailed_queue_messages_published_total"),
    ("vhost_status", "rabbitmq_cluster_vhost_status"),
    ("exchange_names", "rabbitmq_cluster_exchange_name"),
    ("exchange_bindings", "rabbitmq_cluster_exchange_bindings"),
    ("leveret_metrics", "leveret_queue_messages_waiting"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_family_of_rabbitmq_that_has_a_meaning_is_there_by_its_name() {
    let Some(api) = start() else { return };
    let client = Ch::open_to(api.broker.clone()).await;
    client.declare("q", "", FieldTable::default()).await.unwrap();
    for (family, metric) in FAMILIES {
        let page = scrape(&api, &format!("/metrics/detailed?family={family}"));
        assert!(page.types.contains_key(*metric), "{family} has no {metric}");
        assert!(!page.labels_of(metric).is_empty(), "{metric}");
    }
    let page = scrape(&api, "/metrics/memory-breakdown");
    let other = page.get("rabbitmq_memory_other_system_bytes", &[]);
    assert!(page.get("rabbitmq_memory_modern_metadata_store_bytes", &[]) > 0.0 && other > 1e6);
    assert_eq!(page.labels_of("rabbitmq_identity_info")[0]["rabbitmq_endpoint"], "memory-breakdown");
}
