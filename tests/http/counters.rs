//! What is counted, against what was done: exact, at every level, and never less than before.

use lapin::types::FieldTable;
use serde_json::{Value, json};

use crate::{
    api::Api,
    client::{Ch, next},
};

/// A counter's name and what it must say.
fn assert_counts(of: &str, stats: &Value, wanted: &[(&str, u64)]) {
    for (name, count) in wanted {
        assert_eq!(stats[name], *count, "{name} of {of}: {stats}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_counter_says_what_was_done_at_each_level() {
    let Some(api) = Api::start(&[]) else { return };
    let publisher = Ch::open_to(api.broker.clone()).await.confirm().await;
    let plain = Ch::open_to(api.broker.clone()).await;
    for queue in ["one", "two"] {
        publisher.declare(queue, "durable", FieldTable::default()).await.unwrap();
        publisher.bind(queue, "amq.fanout", "").await.unwrap();
    }
    for _ in 0..10 {
        publisher.publish("amq.fanout", "", "to both").await.unwrap();
    }
    publisher.publish("", "nowhere", "dropped").await.unwrap();
    publisher.publish_mandatory("", "nowhere", "returned").await;
    assert!(plain.get("one", "no-ack").await.unwrap().is_some());
    let held = plain.get("one", "").await.unwrap().unwrap();
    plain.reject(held.delivery_tag, "requeue").await;
    let again = plain.get("one", "").await.unwrap().unwrap();
    assert!(again.redelivered);
    plain.ack(again.delivery_tag, "").await;
    let mut consumer = plain.consume("two", "").await;
    for _ in 0..10 {
        let delivery = next(&mut consumer).await;
        plain.ack(delivery.delivery_tag, "").await;
    }
    plain.fence("two").await;
    assert!(plain.get("two", "no-ack").await.unwrap().is_none());
    let mut rest = plain.consume("one", "no-ack").await;
    for _ in 0..8 {
        next(&mut rest).await;
    }
    plain.fence("one").await;
    let of_one = [
        ("publish", 10),
        ("get", 2),
        ("get_no_ack", 1),
        ("redeliver", 1),
        ("ack", 1),
        ("deliver", 0),
        ("deliver_no_ack", 8),
        ("get_empty", 0),
        ("deliver_get", 11),
    ];
    assert_counts("one", &api.get("queues/%2F/one")["message_stats"], &of_one);
    let of_two = [("publish", 10), ("deliver", 10), ("ack", 10), ("get_empty", 1), ("deliver_get", 10)];
    assert_counts("two", &api.get("queues/%2F/two")["message_stats"], &of_two);
    assert_counts(
        "amq.fanout",
        &api.get("exchanges/%2F/amq.fanout")["message_stats"],
        &[("publish_in", 10), ("publish_out", 20)],
    );
    assert_counts(
        "the default exchange",
        &api.get("exchanges/%2F/amq.default")["message_stats"],
        &[("publish_in", 2), ("publish_out", 0)],
    );
    let all = [
        ("publish", 12),
        ("confirm", 12),
        ("return_unroutable", 1),
        ("drop_unroutable", 1),
        ("deliver", 10),
        ("deliver_no_ack", 8),
        ("get", 2),
        ("get_no_ack", 1),
        ("get_empty", 1),
        ("redeliver", 1),
        ("ack", 11),
    ];
    let channels = api.get("channels");
    let of = |confirms: bool| {
        channels.as_array().unwrap().iter().find(|channel| channel["confirm"] == confirms).unwrap()["message_stats"].clone()
    };
    assert_counts("the publisher", &of(true), &all[..4]);
    assert_counts("the consumer", &of(false), &all[4..]);
    assert_counts("/", &api.get("vhosts/%2F")["message_stats"], &all);
    assert_counts("the broker", &api.get("overview")["message_stats"], &all);
    // What has ended goes on counting for what it belonged to.
    plain.close_connection().await;
    publisher.delete("one", "").await.unwrap();
    publisher.delete("two", "").await.unwrap();
    publisher.close_connection().await;
    assert_counts("/, when all is gone", &api.get("vhosts/%2F")["message_stats"], &all);
    assert_eq!((api.get("connections"), api.get("channels")), (json!([]), json!([])));
    let churn = api.get("overview")["churn_rates"].clone();
    let wanted = [
        ("connection_created", 2),
        ("connection_closed", 2),
        ("channel_created", 2),
        ("channel_closed", 2),
        ("queue_created", 2),
        ("queue_deleted", 2),
    ];
    assert_counts("what came and went", &churn, &wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn connections_channels_and_consumers_are_shown_and_a_connection_is_closed_with_a_reason() {
    let Some(api) = Api::start(&[]) else { return };
    let client = Ch::open_to(api.broker.clone()).await;
    client.declare("q", "", FieldTable::default()).await.unwrap();
    client.qos(7, "").await;
    let _consumer = client.consume("q", "").await;
    let connections = api.get("connections");
    let connection = &connections[0];
    let name = connection["name"].as_str().unwrap();
    let wanted = (&json!("guest"), &json!("/"), &json!("running"), &json!(1), &json!("PLAIN"));
    let got = (
        &connection["user"],
        &connection["vhost"],
        &connection["state"],
        &connection["channels"],
        &connection["auth_mechanism"],
    );
    assert_eq!(got, wanted);
    assert!(connection["recv_oct"].as_u64() > Some(0) && connection["send_oct"].as_u64() > Some(0));
    let path = name.to_owned();
    assert_eq!(api.get(&format!("connections/{path}"))["name"], *name);
    let channels = api.get(&format!("connections/{path}/channels"));
    assert_eq!((&channels[0]["prefetch_count"], &channels[0]["consumer_count"]), (&json!(7), &json!(1)));
    let consumers = api.get("consumers/%2F");
    let of = &consumers[0];
    assert_eq!(
        (&of["queue"]["name"], &of["prefetch_count"], &of["ack_required"]),
        (&json!("q"), &json!(7), &json!(true))
    );
    assert_eq!(of["channel_details"]["connection_name"], *name);
    assert_eq!(api.get("queues/%2F/q")["consumer_details"][0]["consumer_tag"], of["consumer_tag"]);
    let request = api.delete(&format!("connections/{path}"));
    assert_eq!((request, api.delete("connections/none")), (204, 404));
    while !client.connection.status().errored() {
        tokio::task::yield_now().await;
    }
    while api.get("connections") != json!([]) {
        tokio::task::yield_now().await;
    }
}
