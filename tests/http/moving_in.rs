//! Messages move in from a queue of another broker: the request brings the deliveries by which that broker gave them away.

use lapin::types::{AMQPValue, FieldTable as LapinTable};
use leveret::protocol::{
    FieldTable, FieldValue, Properties, ShortString, basic, write_bodies, write_header_with, write_method,
};
use serde_json::{Value, json};

use crate::{
    api::Api,
    client::{Ch, next},
};

const MOVE_IN: &str = "leveret/queues/%2F/q/move-in";

/// A delivery of a message that was published to the exchange `orders`, which is not here.
fn delivery(tag: u64, redelivered: bool, properties: &Properties, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let deliver = basic::Deliver {
        consumer_tag: ShortString::from_static("c"),
        delivery_tag: tag,
        redelivered,
        exchange: ShortString::from_static("orders"),
        routing_key: ShortString::from_static("new.eu"),
    };
    write_method(&mut out, 1, &deliver);
    write_header_with(&mut out, 1, basic::CLASS_ID, body.len() as u64, |out| properties.encode(out));
    write_bodies(&mut out, 1, body, 131_072);
    out
}

fn plain(tags: std::ops::RangeInclusive<u64>) -> Vec<u8> {
    tags.flat_map(|tag| delivery(tag, false, &Properties::default(), tag.to_string().as_bytes())).collect()
}

fn move_in(api: &Api, path: &str, bytes: &[u8]) -> (u16, Value) {
    let mut response = api.send("POST", path, bytes);
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_moves_into_its_queue_as_it_was_and_nothing_of_publishing_happens() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &json!({}));
    api.put("queues/%2F/copy", &json!({}));
    let headers = FieldTable::new().with("CC", vec![FieldValue::from("copy")]).with("x-delay", 3_600_000);
    let properties = Properties {
        headers: Some(headers),
        user_id: Some(ShortString::from_static("somebody else")),
        delivery_mode: Some(2),
        message_id: Some(ShortString::from_static("m")),
        ..Properties::default()
    };
    let bytes =
        [delivery(5, true, &properties, b"first"), delivery(6, false, &properties, b"second")].concat();
    let moved = move_in(&api, MOVE_IN, &bytes);
    assert_eq!(moved, (200, json!({ "taken": 2, "refused": [], "stopped": null })));
    assert_eq!(api.get("queues/%2F/copy")["messages"], 0);
    let client = Ch::open_to(api.broker.clone()).await;
    let mut consumer = client.consume("q", "").await;
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    assert_eq!((&first.data[..], &second.data[..]), (&b"first"[..], &b"second"[..]));
    assert_eq!((first.redelivered, second.redelivered), (true, false));
    assert_eq!((first.exchange.as_str(), first.routing_key.as_str()), ("orders", "new.eu"));
    assert_eq!(first.properties.user_id().as_ref().unwrap().as_str(), "somebody else");
    let headers: &LapinTable = first.properties.headers().as_ref().unwrap();
    assert_eq!(headers.inner().get("x-delay"), Some(&AMQPValue::LongInt(3_600_000)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_died_elsewhere_goes_on_with_its_deaths() {
    let Some(api) = Api::start(&[]) else { return };
    let dying = json!({ "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" });
    api.put("queues/%2F/q", &json!({ "arguments": dying }));
    api.put("queues/%2F/dead", &json!({}));
    let death = FieldTable::new()
        .with("count", 2_i64)
        .with("reason", "rejected")
        .with("queue", "q")
        .with("exchange", "orders")
        .with("routing-keys", vec![FieldValue::from("new.eu")]);
    let headers = FieldTable::new()
        .with("x-first-death-queue", "q")
        .with("x-first-death-reason", "rejected")
        .with("x-death", vec![FieldValue::Table(death)]);
    let properties = Properties { headers: Some(headers), ..Properties::default() };
    assert_eq!(move_in(&api, MOVE_IN, &delivery(1, true, &properties, b"m")).0, 200);
    let client = Ch::open_to(api.broker.clone()).await;
    let got = client.get("q", "").await.unwrap().unwrap();
    client.reject(got.delivery.delivery_tag, "").await;
    client.await_counts("dead", (1, 0)).await;
    let dead = api.get("leveret/queues/%2F/dead/messages")["messages"][0].clone();
    let deaths = &dead["properties"]["headers"]["x-death"];
    assert_eq!((&deaths[0]["count"], deaths.as_array().unwrap().len()), (&json!(3), 1), "{dead}");
}

#[test]
fn a_message_that_cannot_be_here_is_named_and_the_others_move() {
    let Some(api) = Api::start(&["--max-message-size", "1MiB"]) else { return };
    api.put("queues/%2F/q", &json!({}));
    let large = vec![7; (1 << 20) + 1];
    let bytes = [plain(1..=1), delivery(2, false, &Properties::default(), &large), plain(3..=3)].concat();
    let (status, answer) = move_in(&api, MOVE_IN, &bytes);
    assert_eq!((status, &answer["taken"], &answer["stopped"]), (200, &json!(2), &Value::Null));
    let reason = "message size 1048577 is larger than configured max size 1048576";
    assert_eq!(answer["refused"], json!([{ "delivery_tag": 2, "reason": reason }]));
    assert_eq!(api.get("queues/%2F/q")["messages"], 2);
}

#[test]
fn a_full_queue_takes_as_many_as_it_may_have_and_drops_none() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &json!({ "arguments": { "x-max-length": 3, "x-overflow": "drop-head" } }));
    let answer = move_in(&api, MOVE_IN, &plain(1..=5)).1;
    assert_eq!(answer, json!({ "taken": 3, "refused": [], "stopped": "full" }));
    let messages = api.get("leveret/queues/%2F/q/messages")["messages"].clone();
    let payloads: Vec<_> = messages.as_array().unwrap().iter().map(|message| &message["payload"]).collect();
    assert_eq!(payloads, ["1", "2", "3"]);
    assert_eq!(api.get("leveret/drops"), json!([]));
}

#[test]
fn only_administrators_move_messages_and_only_deliveries_into_queues_that_are_there() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &json!({}));
    api.put("users/ann", &json!({ "password": "a", "tags": "monitoring" }));
    api.put("permissions/%2F/ann", &json!({ "configure": ".*", "write": ".*", "read": ".*" }));
    assert_eq!(move_in(&api.being("ann", "a"), MOVE_IN, &plain(1..=1)).0, 401);
    assert_eq!(move_in(&api.nobody(), MOVE_IN, &plain(1..=1)).0, 401);
    assert_eq!(move_in(&api, "leveret/queues/%2F/none/move-in", &plain(1..=1)).0, 404);
    assert_eq!(move_in(&api, "leveret/queues/none/q/move-in", &plain(1..=1)).0, 404);
    for (bytes, words) in [
        (&b"[]"[..], "they end in the middle of a delivery"),
        (&b"{\"payload\": \"x\"}"[..], "no deliveries"),
        (&plain(1..=2)[..40], "they end in the middle of a delivery"),
    ] {
        let (status, answer) = move_in(&api, MOVE_IN, bytes);
        let reason = answer["reason"].as_str().unwrap();
        assert!(status == 400 && reason.contains(words), "{status} {answer}");
    }
    assert_eq!(move_in(&api, MOVE_IN, b"").1, json!({ "taken": 0, "refused": [], "stopped": null }));
    assert_eq!(api.get("queues/%2F/q")["messages"], 0);
}

#[test]
fn a_body_may_be_as_large_as_a_message_here_may_be() {
    let Some(api) = Api::start(&["--max-message-size", "40MiB"]) else { return };
    api.put("queues/%2F/q", &json!({}));
    let largest = delivery(1, false, &Properties::default(), &vec![7; 40 << 20]);
    assert_eq!(move_in(&api, MOVE_IN, &largest).1["taken"], 1);
}
