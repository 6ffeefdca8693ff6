//! What is told of single messages over sockets: traces, live tails, and RabbitMQ's firehose.

use std::{
    io::{BufRead, BufReader},
    sync::mpsc,
    thread,
};

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};

use crate::{
    api::Api,
    broker::DEADLINE,
    client::{Ch, arrived, header, next, text},
};

const NULL: Value = Value::Null;

fn identified(id: &str) -> BasicProperties {
    BasicProperties::default().with_message_id(id.into())
}

// ---- traces ----

/// What has happened, each as its name and where.
fn events(api: &Api, wanted: &str) -> Vec<(String, Value)> {
    let events = api.get(&format!("leveret/traces/%2F/events{wanted}"));
    let shown = |event: &Value| (event["event"].as_str().unwrap().to_owned(), event["queue"].clone());
    events.as_array().unwrap().iter().map(shown).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_history_of_one_message_is_told_from_its_publisher_to_its_end() {
    let Some(api) = Api::start(&[]) else { return };
    let dying = json!({ "arguments": { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" } });
    api.put("queues/%2F/work", &dying);
    api.put("queues/%2F/dead", &NULL);
    assert_eq!(api.put("leveret/traces/%2F/messages/order-7", &NULL), 201);
    assert_eq!(api.put("leveret/traces/%2F/messages/order-7", &NULL), 204);
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    for id in ["order-6", "order-7"] {
        client.publish_with("", "work", "body", "", identified(id)).await.unwrap();
    }
    let mut consumer = client.consume_with("work", "worker", "", FieldTable::default()).await.unwrap();
    let [first, second] = [next(&mut consumer).await, next(&mut consumer).await];
    client.ack(first.delivery_tag, "").await;
    client.nack(second.delivery_tag, "requeue").await;
    let again = next(&mut consumer).await;
    client.reject(again.delivery_tag, "").await;
    client.fence("work").await;
    let dead = client.get("dead", "").await.unwrap().unwrap();
    client.ack(dead.delivery_tag, "").await;
    client.fence("dead").await;
    let wanted = [
        ("published", NULL),
        ("enqueued", json!("work")),
        ("delivered", json!("work")),
        ("requeued", json!("work")),
        ("delivered", json!("work")),
        ("rejected", json!("work")),
        ("dead_lettered", json!("work")),
        ("published", NULL),
        ("enqueued", json!("dead")),
        ("got", json!("dead")),
        ("acknowledged", json!("dead")),
    ]
    .map(|(event, queue)| (event.to_owned(), queue));
    assert_eq!(events(&api, "?message_id=order-7"), wanted);
    assert_eq!(events(&api, ""), wanted, "nothing of the other one");
    let told = api.get("leveret/traces/%2F/events?message_id=order-7&limit=11");
    let (published, delivered, letter) = (&told[0], &told[2], &told[7]);
    let connection = api.get("connections")[0]["name"].clone();
    assert_eq!((&published["user"], &published["connection"]), (&json!("guest"), &connection));
    assert_eq!((&published["queues"], &published["queue_count"]), (&json!(["work"]), &json!(1)));
    assert_eq!((&published["routing_key"], &published["payload_bytes"]), (&json!("work"), &json!(4)));
    assert_eq!((&delivered["consumer_tag"], &delivered["connection"]), (&json!("worker"), &connection));
    assert_eq!((&delivered["channel"], &told[4]["redelivered"]), (&json!(1), &json!(true)));
    assert_eq!((&letter["user"], &letter["routing_key"]), (&NULL, &json!("dead")), "by the broker");
    assert_eq!((&told[6]["reason"], &told[3]["attempts"]), (&json!("rejected"), &json!(1)));
    let last = api.get("leveret/traces/%2F/events?limit=1");
    assert_eq!((&last[0]["event"], &last[0]["number"]), (&json!("acknowledged"), &json!(11)));
    assert_eq!(api.get("leveret/traces/%2F/events?after=11"), json!([]));
    let state = api.get("leveret/traces/%2F");
    let traces = json!([{ "kind": "message", "name": "order-7" }]);
    assert_eq!(state, json!({ "traces": traces, "events": 11, "forgotten": 0 }));
    assert_eq!(api.delete("leveret/traces/%2F/messages/order-7"), 204);
    assert_eq!(api.delete("leveret/traces/%2F/messages/order-7"), 404);
    client.publish_with("", "dead", "body", "", identified("order-7")).await.unwrap();
    assert_eq!(events(&api, "").len(), 11, "it is off, and what was stays");
    assert_eq!(api.delete("leveret/traces/%2F/events"), 204);
    assert_eq!(events(&api, ""), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_queue_or_an_exchange_is_traced_with_all_messages_and_what_became_of_those_that_had_no_queue() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &NULL);
    api.put("exchanges/%2F/orders", &json!({ "type": "topic" }));
    assert_eq!(api.put("leveret/traces/%2F/exchanges/orders", &NULL), 201);
    assert_eq!(api.put("leveret/traces/%2F/queues/q", &NULL), 201);
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    client.publish("orders", "lost", "body").await.unwrap();
    assert!(client.publish_mandatory("orders", "back", "body").await.is_some());
    client.fill("q", ["body"]).await;
    client.publish("", "other", "body").await.unwrap();
    client.purge("q").await.unwrap();
    client.delete("q", "").await.unwrap();
    let told = |event: &str, queue: Value| (event.to_owned(), queue);
    let wanted = [
        told("published", NULL),
        told("dropped", NULL),
        told("published", NULL),
        told("returned", NULL),
        told("published", NULL),
        told("enqueued", json!("q")),
        told("purged", json!("q")),
        told("queue_deleted", json!("q")),
    ];
    assert_eq!(events(&api, ""), wanted);
    assert_eq!(events(&api, "?queue=q"), wanted[4..]);
}

#[test]
fn who_may_set_policies_switches_traces_and_monitors_see_them() {
    let Some(api) = Api::start(&[]) else { return };
    let permissions = json!({ "configure": "", "write": "", "read": "^mine" });
    let visitor = |name: &str, permitted: bool| {
        api.put(&format!("users/{name}"), &json!({ "password": "secret", "tags": name }));
        if permitted {
            api.put(&format!("permissions/%2F/{name}"), &permissions);
        }
        api.being(name, "secret")
    };
    let (policymaker, monitoring, management) =
        (visitor("policymaker", true), visitor("monitoring", false), visitor("management", true));
    let put = |who: &Api, what: &str| who.ask("PUT", &format!("leveret/traces/%2F/{what}"), &NULL).0;
    for (what, of_policymaker) in [
        ("queues/mine", 201),
        ("queues/secret", 401),
        ("exchanges/mine", 201),
        ("exchanges/amq.fanout", 401),
        ("messages/m", 201),
        ("nonsense/m", 404),
    ] {
        assert_eq!(put(&policymaker, what), of_policymaker, "{what}");
        assert_eq!((put(&monitoring, what), put(&management, what)), (401, 401), "{what}");
    }
    let statuses = |path: &str| [&policymaker, &monitoring, &management].map(|who| who.status(path));
    assert_eq!(statuses("leveret/traces/%2F"), [200, 200, 401]);
    assert_eq!(statuses("leveret/traces/%2F/events"), [200, 200, 401]);
    assert_eq!(
        (monitoring.delete("leveret/traces/%2F/events"), api.status("leveret/traces/none")),
        (401, 404)
    );
    let statuses: Vec<_> = (0..200).map(|at| put(&api, &format!("messages/{at}"))).collect();
    assert_eq!((statuses[0], statuses[199]), (201, 400), "no more than a hundred");
}

// ---- tails ----

/// The events of a tail, in order: each as its kind and its data. It begins before this returns.
struct Tailing(mpsc::Receiver<(String, Value)>);

impl Tailing {
    fn of(api: &Api, what: &str) -> Self {
        let response = api.send("GET", &format!("leveret/tail/{what}"), b"");
        assert_eq!(response.status().as_u16(), 200);
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            let mut kind = String::new();
            for line in BufReader::new(response.into_body().into_reader()).lines().map_while(Result::ok) {
                match line.split_once(": ") {
                    Some(("event", its)) => its.clone_into(&mut kind),
                    Some(("data", data)) => {
                        let data = serde_json::from_str(data).unwrap();
                        let is_heard = sender.send((kind.clone(), data)).is_ok();
                        if !is_heard {
                            return; // the socket is closed with that
                        }
                    }
                    _ => {}
                }
            }
        });
        let tailing = Self(events);
        assert_eq!(tailing.next().0, "begin");
        tailing
    }

    fn next(&self) -> (String, Value) {
        self.0.recv_timeout(DEADLINE).unwrap()
    }

    fn message(&self) -> Value {
        let (kind, data) = self.next();
        assert_eq!(kind, "message", "{data}");
        data
    }

    /// It ends, for this reason.
    fn ends(&self, reason: &str) {
        assert_eq!(self.next(), ("end".to_owned(), json!({ "reason": reason })));
        assert!(self.0.recv_timeout(DEADLINE).is_err(), "the answer is over");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_is_seen_live_and_stays_what_it_is() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &NULL);
    api.put("exchanges/%2F/orders", &json!({ "type": "fanout" }));
    let of_queue = Tailing::of(&api, "queues/%2F/q?payload_bytes=3");
    let of_exchange = Tailing::of(&api, "exchanges/%2F/orders");
    let of_default = Tailing::of(&api, "exchanges/%2F/amq.default");
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    client.publish_with("", "q", "body", "", identified("one")).await.unwrap();
    client.publish("orders", "lost", "nowhere").await.unwrap();
    client.bind("q", "orders", "").await.unwrap();
    client.publish("orders", "key", "there").await.unwrap();
    let seen = of_queue.message();
    assert_eq!(
        (&seen["exchange"], &seen["routing_key"], &seen["payload"]),
        (&json!(""), &json!("q"), &json!("bod"))
    );
    assert_eq!((&seen["payload_bytes"], &seen["properties"]["message_id"]), (&json!(4), &json!("one")));
    assert!(seen["at"].as_u64() > Some(1_700_000_000_000));
    assert_eq!(of_queue.message()["routing_key"], "key");
    let seen = [of_exchange.message(), of_exchange.message()];
    assert_eq!(seen.map(|seen| seen["payload"].clone()), [json!("nowhere"), json!("there")]);
    assert_eq!(of_default.message()["payload"], "body");
    // A consumer gets them as if nobody had looked.
    let mut consumer = client.consume("q", "no-ack").await;
    for _ in 0..2 {
        assert!(!next(&mut consumer).await.redelivered);
    }
    client.delete("q", "").await.unwrap();
    of_queue.ends("deleted");
    client.exchange_delete("orders", "").await.unwrap();
    of_exchange.ends("deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_more_than_is_asked_for_in_a_second_is_counted() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &NULL);
    let tailing = Tailing::of(&api, "queues/%2F/q?per_second=1");
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    client.fill("q", (0..50).map(|at| at.to_string())).await;
    let (mut seen, mut left_out) = (0, 0);
    while seen + left_out < 50 {
        match tailing.next() {
            (kind, _) if kind == "message" => seen += 1,
            (kind, missed) if kind == "missed" => {
                assert_eq!(missed["lost"], 0);
                left_out += missed["sampled_out"].as_u64().unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(seen >= 1 && left_out >= 40, "{seen} were seen and {left_out} left out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_takes_the_permission_to_read_and_ends_when_that_is_gone() {
    let Some(api) = Api::start(&[]) else { return };
    for queue in ["mine", "secret"] {
        api.put(&format!("queues/%2F/{queue}"), &NULL);
    }
    api.put("exchanges/%2F/mine-topics", &json!({ "type": "topic" }));
    api.put("users/ann", &json!({ "password": "secret", "tags": "management" }));
    let permit = |read: &str| {
        api.put("permissions/%2F/ann", &json!({ "configure": "", "write": "", "read": read }));
    };
    permit(".*");
    let ann = api.being("ann", "secret");
    assert_eq!(ann.status("leveret/tail/exchanges/%2F/amq.default"), 401, "all queues are behind it");
    permit("^mine");
    assert_eq!(ann.status("leveret/tail/queues/%2F/secret"), 401);
    assert_eq!(ann.status("leveret/tail/exchanges/%2F/amq.fanout"), 401);
    assert_eq!(api.status("leveret/tail/queues/%2F/none"), 404);
    assert_eq!(api.status("leveret/tail/exchanges/%2F/none"), 404);
    assert_eq!(api.status("leveret/tail/queues/%2F/mine?per_second=0"), 400);
    api.put("topic-permissions/%2F/ann", &json!({ "exchange": "mine-topics", "write": "", "read": "^a" }));
    assert_eq!(ann.status("leveret/tail/exchanges/%2F/mine-topics"), 401, "it is kept from some keys");
    let tailing = Tailing::of(&ann, "queues/%2F/mine");
    permit("");
    tailing.ends("the permission is gone");
    permit(".*");
    let tailing = Tailing::of(&ann, "queues/%2F/mine");
    api.put("users/ann", &json!({ "password": "another", "tags": "management" }));
    tailing.ends("the login does not count any more");
}

#[test]
fn a_user_sees_so_many_things_live_and_who_goes_away_makes_room() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &NULL);
    let tailing: Vec<_> = (0..8).map(|_| Tailing::of(&api, "queues/%2F/q")).collect();
    assert_eq!(api.status("leveret/tail/queues/%2F/q"), 503);
    // The broker learns of it when it next sends something.
    drop(tailing);
    api.put("users/ann", &json!({ "password": "secret", "tags": "management" }));
    api.put("permissions/%2F/ann", &json!({ "configure": "", "write": "", "read": ".*" }));
    drop(Tailing::of(&api.being("ann", "secret"), "queues/%2F/q"));
}

// ---- the firehose ----

/// Declares a queue that is bound to the exchange of traces for all keys.
async fn traces(client: &Ch) -> String {
    let queue = client.queue().await;
    client.bind(&queue, "amq.rabbitmq.trace", "#").await.unwrap();
    queue
}

fn inner(delivery: &lapin::message::Delivery, name: &str) -> Option<AMQPValue> {
    match header(delivery, "properties")? {
        AMQPValue::FieldTable(properties) => properties.inner().get(name).cloned(),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_tracing_each_publish_and_delivery_is_also_sent_to_the_exchange_for_it() {
    let Some(api) = Api::start(&[]) else { return };
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    let traced = traces(&client).await;
    api.put("queues/%2F/q", &NULL);
    client.fill("q", ["before"]).await;
    assert_eq!(api.put("vhosts/%2F", &json!({ "tracing": true })), 204);
    client.publish_with("", "q", "body", "", identified("m")).await.unwrap();
    client.publish("amq.fanout", "nowhere", "body").await.unwrap();
    let mut consumer = client.consume_with("q", "", "no-ack", FieldTable::default()).await.unwrap();
    for _ in 0..2 {
        next(&mut consumer).await;
    }
    client.fence("q").await;
    let watcher = client.sibling().await;
    let mut told = watcher.consume(&traced, "no-ack").await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(next(&mut told).await);
    }
    let keys: Vec<_> = seen.iter().map(|delivery| delivery.routing_key.to_string()).collect();
    assert_eq!(keys, ["publish.", "publish.amq.fanout", "deliver.q", "deliver.q"]);
    let published = &seen[0];
    assert_eq!(
        (text(published, "vhost").as_deref(), text(published, "user").as_deref()),
        (Some("/"), Some("guest"))
    );
    assert!(text(published, "connection").unwrap().contains(" -> ") && text(published, "node").is_some());
    assert_eq!(header(published, "channel"), Some(AMQPValue::LongInt(1)));
    assert_eq!(inner(published, "message_id"), Some(AMQPValue::LongString("m".into())));
    assert_eq!(&*published.data, b"body");
    assert_eq!(
        (header(published, "redelivered"), header(&seen[2], "redelivered")),
        (None, Some(AMQPValue::LongInt(0)))
    );
    // What is told is not told of in turn, and what comes while it is off is not told.
    assert_eq!(api.put("vhosts/%2F", &json!({ "tracing": false })), 204);
    client.fill("q", ["after"]).await;
    watcher.fence(&traced).await;
    assert_eq!(arrived(&mut told).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_traces_that_overflows_into_another_ends_in_no_circle() {
    let Some(api) = Api::start(&[]) else { return };
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    api.put("exchanges/%2F/dlx", &json!({ "type": "fanout" }));
    api.put("queues/%2F/dead", &NULL);
    client.bind("dead", "dlx", "").await.unwrap();
    api.put(
        "queues/%2F/told",
        &json!({ "arguments": { "x-max-length": 0, "x-dead-letter-exchange": "dlx" } }),
    );
    client.bind("told", "amq.rabbitmq.trace", "#").await.unwrap();
    api.put("vhosts/%2F", &json!({ "tracing": true }));
    let mut dead = client.consume("dead", "no-ack").await;
    client.publish("amq.direct", "nowhere", "body").await.unwrap();
    let letter = next(&mut dead).await;
    assert_eq!((letter.exchange.as_str(), letter.routing_key.as_str()), ("dlx", "publish.amq.direct"));
    client.fence("dead").await;
    assert_eq!(arrived(&mut dead).await.len(), 0);
}
