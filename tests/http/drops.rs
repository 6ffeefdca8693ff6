//! Messages that were dropped: counted by reason, and the last ones of each.

use lapin::BasicProperties;
use serde_json::{Value, json};

use crate::{api::Api, client::Ch};

const NULL: Value = Value::Null;

/// Publishes a message with a `message-id`; whether it came to a queue.
fn publish(api: &Api, exchange: &str, key: &str, (id, mut properties): (&str, Value)) -> bool {
    properties["message_id"] = json!(id);
    let message = json!({
        "properties": properties, "routing_key": key, "payload": format!("body of {id}"), "payload_encoding": "string",
    });
    api.ask("POST", &format!("exchanges/%2F/{exchange}/publish"), &message).1["routed"] == true
}

fn none() -> Value {
    json!({})
}

/// The dropped messages, the latest first, as far as they are wanted: reason, queue, `message-id`.
fn last(api: &Api, wanted: &str) -> Vec<Value> {
    let last = api.get(&format!("leveret/drops/%2F{wanted}"));
    let shown = |dropped: &Value| json!([dropped["reason"], dropped["queue"], dropped["message_id"]]);
    last.as_array().unwrap().iter().map(shown).collect()
}

/// Waits until a message has been dropped.
async fn await_drop(api: &Api, wanted: Value) {
    let began = std::time::Instant::now();
    while !last(api, "").contains(&wanted) {
        assert!(began.elapsed() < crate::broker::DEADLINE, "{wanted} is not among {:?}", last(api, ""));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[test]
fn drops_are_counted_by_queue_and_reason() {
    let Some(api) = Api::start(&[]) else { return };
    assert_eq!(api.get("leveret/drops"), json!([]));
    api.put("queues/%2F/short", &json!({ "arguments": { "x-max-length": 1 } }));
    for id in ["one", "two", "three"] {
        assert!(publish(&api, "amq.default", "short", (id, none())));
    }
    let words = "the queue was full, and has no dead-letter exchange";
    let drops = json!([{ "vhost": "/", "queue": "short", "reason": "maxlen", "words": words, "count": 2 }]);
    assert_eq!(api.get("leveret/drops"), drops);
}

#[test]
fn a_dropped_message_is_shown_with_where_it_was_and_how_it_begins() {
    let Some(api) = Api::start(&[]) else { return };
    assert_eq!(api.get("leveret/drops/%2F"), json!([]));
    api.put("queues/%2F/short", &json!({ "arguments": { "x-max-length": 1 } }));
    for id in ["one", "two"] {
        assert!(publish(&api, "amq.default", "short", (id, none())));
    }
    let last = api.get("leveret/drops/%2F");
    let at = last[0]["at"].as_u64().unwrap();
    assert!(at > 1_700_000_000_000);
    let wanted = json!([{
        "vhost": "/", "reason": "maxlen", "at": at, "queue": "short", "exchange": "", "routing_key": "short",
        "message_id": "one", "payload": "body of one", "payload_encoding": "string", "payload_bytes": 11,
    }]);
    assert_eq!(last, wanted);
    assert_eq!(api.status("leveret/drops/%2F?reason=nonsense"), 400);
    assert_eq!(api.status("leveret/drops/none"), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_last_message_of_each_reason_is_found() {
    let Some(api) = Api::start(&[]) else { return };
    let queue = |name: &str, arguments: Value| {
        api.put(&format!("queues/%2F/{name}"), &json!({ "durable": true, "arguments": arguments }));
    };
    queue("q", none());
    queue("short", json!({ "x-max-length": 1 }));
    queue("full", json!({ "x-max-length": 0, "x-overflow": "reject-publish" }));
    queue("once", json!({ "x-message-deduplication": true }));
    queue("few", json!({ "x-delivery-limit": 0 }));
    queue("nowhere", json!({ "x-dead-letter-exchange": "missing", "x-message-ttl": 0 }));
    queue("unbound", json!({ "x-dead-letter-exchange": "amq.fanout", "x-message-ttl": 0 }));
    queue(
        "round",
        json!({
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "round", "x-message-ttl": 0,
        }),
    );
    let header = |id: &str| (id.to_owned(), json!({ "headers": { "x-deduplication-header": "same" } }));
    let send = |key: &str, id: &str, properties: Value| publish(&api, "amq.default", key, (id, properties));
    send("q", "old", json!({ "expiration": "0" }));
    send("short", "first", none());
    send("short", "second", none());
    send("full", "refused", none());
    for id in ["taken", "duplicate"] {
        let (id, properties) = header(id);
        send("once", &id, properties);
    }
    for (key, id) in [("nowhere", "no-exchange"), ("unbound", "unroutable"), ("round", "cycle")] {
        send(key, id, none());
    }
    let client = Ch::open_to(api.broker.clone()).await;
    let publish = async |key: &str, id: &str| {
        let properties = BasicProperties::default().with_message_id(id.into());
        client.publish_with("", key, "body", "", properties).await.unwrap();
    };
    for (queue, id) in [("q", "rejected"), ("few", "failed")] {
        publish(queue, id).await;
        let got = client.get(queue, "").await.unwrap().unwrap();
        client.reject(got.delivery_tag, if queue == "q" { "" } else { "requeue" }).await;
    }
    publish("no-such-queue", "lost").await;
    for wanted in [
        json!(["expired", "q", "old"]),
        json!(["maxlen", "short", "first"]),
        json!(["refused", "full", "refused"]),
        json!(["duplicate", "once", "duplicate"]),
        json!(["no_exchange", "nowhere", "no-exchange"]),
        json!(["unroutable", "unbound", "unroutable"]),
        json!(["cycle", "round", "cycle"]),
        json!(["rejected", "q", "rejected"]),
        json!(["delivery_limit", "few", "failed"]),
        json!(["drop_unroutable", NULL, "lost"]),
    ] {
        await_drop(&api, wanted).await;
    }
    assert_eq!(last(&api, "?reason=maxlen"), [json!(["maxlen", "short", "first"])]);
    let of_q = last(&api, "?queue=q");
    assert_eq!(of_q, [json!(["rejected", "q", "rejected"]), json!(["expired", "q", "old"])]);
    let drops = api.get("leveret/drops");
    let words = "they were published, and no queue is bound for them";
    let unrouted =
        json!({ "vhost": "/", "queue": null, "reason": "drop_unroutable", "words": words, "count": 1 });
    assert!(drops.as_array().unwrap().contains(&unrouted), "{drops}");
}

#[test]
fn who_may_not_read_a_queue_does_not_see_what_it_dropped() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("users/ann", &json!({ "password": "secret", "tags": "management" }));
    api.put("permissions/%2F/ann", &json!({ "configure": "", "write": "", "read": "^(open|amq\\.topic)$" }));
    api.put("users/mon", &json!({ "password": "secret", "tags": "monitoring" }));
    for queue in ["open", "secret"] {
        api.put(&format!("queues/%2F/{queue}"), &json!({ "arguments": { "x-max-length": 0 } }));
        publish(&api, "amq.default", queue, (queue, none()));
    }
    let ann = api.being("ann", "secret");
    assert_eq!(last(&ann, ""), [json!(["maxlen", "open", "open"])]);
    assert_eq!(last(&api, "").len(), 2);
    assert_eq!(last(&api.being("mon", "secret"), ""), [] as [Value; 0], "it sees figures, and no messages");
}
