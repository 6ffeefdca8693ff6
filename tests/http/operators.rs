//! What operators do with messages: look at them where they stand, cancel and reschedule delayed ones, redrive dead ones, see what was dropped.

use std::time::SystemTime;

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, LongString},
};
use serde_json::{Value, json};

use crate::{
    api::Api,
    client::{Ch, next},
};

const NULL: Value = Value::Null;

/// Payloads of messages, in order.
fn payloads(answer: &Value) -> Vec<String> {
    let messages = answer["messages"].as_array().unwrap();
    messages.iter().map(|message| message["payload"].as_str().unwrap().to_owned()).collect()
}

fn fill(api: &Api, queue: &str, bodies: impl IntoIterator<Item = String>) {
    for body in bodies {
        let message = json!({
            "properties": { "delivery_mode": 2 }, "routing_key": queue, "payload": body, "payload_encoding": "string",
        });
        api.post("exchanges/%2F/amq.default/publish", &message);
    }
}

#[test]
fn ready_messages_are_looked_at_page_by_page_and_stay_what_they_are() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &json!({ "durable": true }));
    fill(&api, "q", (0..7).map(|number| number.to_string()));
    let first = api.get("leveret/queues/%2F/q/messages?limit=3");
    assert_eq!(payloads(&first), ["0", "1", "2"]);
    let message = &first["messages"][0];
    let wanted = (&json!("ready"), &json!(false), &json!(0), &json!("q"), &json!({ "delivery_mode": 2 }));
    let got = (
        &message["state"],
        &message["redelivered"],
        &message["attempts"],
        &message["routing_key"],
        &message["properties"],
    );
    assert_eq!(got, wanted);
    let rest = format!("leveret/queues/%2F/q/messages?limit=9&from={}", first["next"].as_str().unwrap());
    let rest = api.get(&rest);
    assert_eq!((payloads(&rest), &rest["next"]), (["3", "4", "5", "6"].map(String::from).to_vec(), &NULL));
    assert_eq!(payloads(&api.get("leveret/queues/%2F/q/messages?offset=5&limit=1")), ["5"]);
    let cut = api.get("leveret/queues/%2F/q/messages?limit=1&payload_bytes=0");
    assert_eq!(
        (&cut["messages"][0]["payload"], &cut["messages"][0]["payload_bytes"]),
        (&json!(""), &json!(1))
    );
    assert_eq!(api.status("leveret/queues/%2F/q/messages?from=nonsense"), 400);
    assert_eq!(api.status("leveret/queues/%2F/none/messages"), 404);
    let taken = api
        .post("queues/%2F/q/get", &json!({ "count": 1, "ackmode": "ack_requeue_false", "encoding": "auto" }));
    assert_eq!((&taken[0]["payload"], &taken[0]["redelivered"]), (&json!("0"), &json!(false)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_holds_a_message_and_since_when_is_told() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &NULL);
    fill(&api, "q", ["held".into()]);
    let client = Ch::open_to(api.broker.clone()).await;
    let mut consumer = client.consume("q", "").await;
    next(&mut consumer).await;
    let held = api.get("leveret/queues/%2F/q/messages?state=unacked");
    assert_eq!(payloads(&held), ["held"]);
    let by = &held["messages"][0]["held_by"];
    assert_eq!((&by["connection"], &by["channel"]), (&api.get("connections")[0]["name"], &json!(1)));
    assert_eq!(by["consumer_tag"], api.get("consumers")[0]["consumer_tag"]);
    assert!(by["since"].as_u64() > Some(1_700_000_000_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn delayed_messages_are_listed_and_one_is_cancelled() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &NULL);
    assert_eq!(api.get("leveret/delayed/%2F")["messages"], json!([]));
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    for (body, delay) in [("later", 4_000_000), ("sooner", 3_000_000)] {
        let mut headers = FieldTable::default();
        headers.insert("x-delay".into(), AMQPValue::LongInt(delay));
        let properties = BasicProperties::default().with_headers(headers);
        client.publish_with("", "q", body, "", properties).await.unwrap();
    }
    let delayed = api.get("leveret/delayed/%2F");
    assert_eq!(payloads(&delayed), ["sooner", "later"]);
    let position = delayed["messages"][0]["position"].as_str().unwrap();
    let path = format!("leveret/delayed/%2F/{position}");
    assert_eq!((api.delete(&path), api.delete(&path)), (204, 404));
    assert_eq!(payloads(&api.get("leveret/delayed/%2F")), ["later"]);
}

/// Publishes a message that comes in an hour; gives its path in the API.
async fn published_with_a_delay(api: &Api, client: &Ch, queue: &str, body: &str) -> String {
    let mut headers = FieldTable::default();
    headers.insert("x-delay".into(), AMQPValue::LongInt(3_600_000));
    let properties = BasicProperties::default().with_headers(headers).with_delivery_mode(2);
    client.publish_with("", queue, body, "", properties).await.unwrap();
    let listed = api.get("leveret/delayed/%2F");
    let its = listed["messages"].as_array().unwrap().iter().find(|message| message["payload"] == body);
    format!("leveret/delayed/%2F/{}", its.unwrap()["position"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_rescheduled_message_comes_at_its_new_time_and_not_at_its_old_one() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &NULL);
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    let mut consumer = client.consume("q", "no-ack").await;
    let sooner = published_with_a_delay(&api, &client, "q", "sooner").await;
    let later = published_with_a_delay(&api, &client, "q", "later").await;
    let (status, soon) = api.ask("PUT", &later, &json!({ "delay": 2_000 }));
    let (position, soon_due) = (soon["position"].as_str().unwrap(), soon["due"].as_u64().unwrap());
    let later = format!("leveret/delayed/%2F/{position}");
    let put_off = api.ask("PUT", &later, &json!({ "due": soon_due + 7_200_000 }));
    assert_eq!((status, put_off.0, &put_off.1["due"]), (200, 200, &json!(soon_due + 7_200_000)));
    // When this one comes, the time that the other one had is past.
    let due = soon_due + 100;
    assert_eq!(api.ask("PUT", &sooner, &json!({ "due": due })).0, 200);
    assert_eq!(&*next(&mut consumer).await.data, b"sooner");
    assert!(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() >= u128::from(due), "not before its time");
    let left = api.get("leveret/delayed/%2F");
    assert_eq!((payloads(&left), &left["messages"][0]["due"]), (vec!["later".into()], &put_off.1["due"]));
    assert_eq!(api.ask("PUT", &sooner, &json!({ "delay": 1 })).0, 404, "it has come");
}

#[test]
fn when_a_message_is_to_come_must_be_said_once_and_for_no_more_than_ten_years() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &NULL);
    let message = json!({
        "properties": { "headers": { "x-delay": 3_600_000 } }, "routing_key": "q", "payload": "m", "payload_encoding": "string",
    });
    api.post("exchanges/%2F/amq.default/publish", &message);
    let position = api.get("leveret/delayed/%2F")["messages"][0]["position"].clone();
    let path = format!("leveret/delayed/%2F/{}", position.as_str().unwrap());
    for wrong in [
        json!({}),
        json!({ "due": 1, "delay": 1 }),
        json!({ "delay": -1 }),
        json!({ "delay": "soon" }),
        json!({ "delay": 315_360_000_001_u64 }),
        json!({ "due": i64::MAX }),
    ] {
        assert_eq!(api.ask("PUT", &path, &wrong).0, 400, "{wrong}");
    }
    assert_eq!(api.ask("PUT", "leveret/queues/%2F/q/delayed/7-7", &json!({ "delay": 1 })).0, 404);
    api.put("users/ann", &json!({ "password": "secret", "tags": "monitoring" }));
    api.put("permissions/%2F/ann", &json!({ "configure": "", "write": ".*", "read": ".*" }));
    let ann = api.being("ann", "secret");
    for path in [&*path, "leveret/queues/%2F/q/delayed/7-7"] {
        assert_eq!(ann.ask("PUT", path, &json!({ "delay": 1 })).0, 401, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broker_that_is_killed_has_messages_come_at_the_times_that_were_set_last() {
    let folder = tempfile::tempdir().unwrap();
    let Some(api) = Api::start_on(folder.path()) else { return };
    let arguments = json!({
        "x-queue-type": "quorum", "x-delayed-retry-type": "all", "x-delayed-retry-min": 3_600_000,
        "x-delayed-retry-max": 3_600_000,
    });
    api.put("queues/%2F/q", &json!({ "durable": true }));
    api.put("queues/%2F/retried", &json!({ "durable": true, "arguments": arguments }));
    fill(&api, "retried", ["again".into()]);
    api.post(
        "queues/%2F/retried/get",
        &json!({ "count": 1, "ackmode": "ack_requeue_true", "encoding": "auto" }),
    );
    let waiting = api.get("leveret/queues/%2F/retried/messages?state=delayed");
    let position = waiting["messages"][0]["position"].as_str().unwrap();
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    let (now, later) = (
        published_with_a_delay(&api, &client, "q", "now").await,
        published_with_a_delay(&api, &client, "q", "later").await,
    );
    let again = format!("leveret/queues/%2F/retried/delayed/{position}");
    let [later, again] = [later, again].map(|path| {
        let (status, answer) = api.ask("PUT", &path, &json!({ "delay": 7_200_000 }));
        assert_eq!(status, 200, "{path}: {answer}");
        answer["due"].clone()
    });
    assert_eq!(api.ask("PUT", &now, &json!({ "delay": 0 })).0, 200);
    drop((client, api));
    let api = Api::start_on(folder.path()).unwrap();
    // What waits is read from the disk behind the start.
    let all_of = |path: &str| loop {
        let waiting = api.get(path);
        if !payloads(&waiting).is_empty() {
            return waiting;
        }
    };
    let waiting = all_of("leveret/queues/%2F/retried/messages?state=delayed");
    assert_eq!((payloads(&waiting), &waiting["messages"][0]["due"]), (vec!["again".into()], &again));
    let delayed = all_of("leveret/delayed/%2F");
    assert_eq!((payloads(&delayed), &delayed["messages"][0]["due"]), (vec!["later".into()], &later));
    let client = Ch::open_to(api.broker.clone()).await;
    let mut consumer = client.consume("q", "no-ack").await;
    assert_eq!(&*next(&mut consumer).await.data, b"now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn dead_messages_are_redriven_to_where_they_came_from_as_the_filter_says() {
    let Some(api) = Api::start(&[]) else { return };
    let arguments = json!({ "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" });
    api.put("queues/%2F/work", &json!({ "durable": true, "arguments": arguments }));
    api.put("queues/%2F/dead", &json!({ "durable": true }));
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    for number in 0..6 {
        let mut headers = FieldTable::default();
        let kind = if number % 2 == 0 { "even" } else { "odd" };
        headers.insert("kind".into(), AMQPValue::LongString(LongString::from(kind)));
        let properties = BasicProperties::default().with_headers(headers).with_delivery_mode(2);
        client.publish_with("", "work", &number.to_string(), "", properties).await.unwrap();
    }
    api.post(
        "queues/%2F/work/get",
        &json!({ "count": 6, "ackmode": "reject_requeue_false", "encoding": "auto" }),
    );
    while api.get("queues/%2F/dead")["messages"] != 6 {
        tokio::task::yield_now().await;
    }
    let even = json!({ "to": { "origin": true }, "filter": { "headers": { "kind": "even" }, "reason": "rejected" } });
    let mut dry = even.clone();
    dry["dry_run"] = json!(true);
    let redrive = "leveret/queues/%2F/dead/redrive";
    assert_eq!(api.post(redrive, &dry), json!({ "matched": 3, "looked_at": 6, "complete": true }));
    let begun = api.post(redrive, &even);
    let path = format!("leveret/redrives/{}", begun["id"]);
    while api.get(&path)["ended"] == NULL {
        tokio::task::yield_now().await;
    }
    let ended = api.get(&path);
    assert_eq!(
        (&ended["ended"], &ended["sent"], &ended["unmatched"]),
        (&json!("at_end"), &json!(3), &json!(3))
    );
    assert_eq!(payloads(&api.get("leveret/queues/%2F/work/messages")), ["0", "2", "4"]);
    assert_eq!(payloads(&api.get("leveret/queues/%2F/dead/messages")), ["1", "3", "5"]);
    for wrong in [
        json!({}),
        json!({ "to": {} }),
        json!({ "to": { "queue": "a", "origin": true } }),
        json!({ "to": { "origin": true }, "filter": { "reason": "bored" } }),
        json!({ "to": { "origin": true }, "per_second": 0 }),
    ] {
        assert_eq!(api.ask("POST", redrive, &wrong).0, 400, "{wrong}");
    }
    let slow = api.post(redrive, &json!({ "to": { "queue": "work" }, "per_second": 1 }));
    let path = format!("leveret/redrives/{}", slow["id"]);
    assert_eq!(api.delete(&path), 200);
    while api.get(&path)["ended"] == NULL {
        tokio::task::yield_now().await;
    }
    assert_eq!(api.get(&path)["ended"], "stopped");
    let nowhere = api.post(redrive, &json!({ "to": { "exchange": "none" } }));
    assert_eq!(api.ask("POST", redrive, &json!({ "to": { "queue": "none" } })).0, 404);
    let path = format!("leveret/redrives/{}", nowhere["id"]);
    while api.get(&path)["ended"] == NULL {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        (&api.get(&path)["ended"], &api.get(&path)["error"]),
        (&json!("failed"), &json!("no target exchange 'none'"))
    );
    assert_eq!(
        (api.get("leveret/redrives").as_array().unwrap().len(), api.status("leveret/redrives/99")),
        (3, 404)
    );
}

#[test]
fn who_may_not_read_a_queue_does_not_look_into_it_and_who_may_not_write_does_not_redrive() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/secret", &NULL);
    api.put("queues/%2F/open", &NULL);
    api.put("users/ann", &json!({ "password": "secret", "tags": "management" }));
    api.put("permissions/%2F/ann", &json!({ "configure": "", "write": "^open", "read": "^open" }));
    let ann = api.being("ann", "secret");
    assert_eq!(ann.status("leveret/queues/%2F/open/messages"), 200);
    assert_eq!(ann.status("leveret/queues/%2F/secret/messages"), 401);
    assert_eq!(ann.status("leveret/delayed/%2F"), 401);
    let redrive = |queue: &str, to: Value| {
        ann.ask("POST", &format!("leveret/queues/%2F/{queue}/redrive"), &json!({ "to": to })).0
    };
    assert_eq!(redrive("secret", json!({ "exchange": "open" })), 401);
    assert_eq!(redrive("open", json!({ "queue": "secret" })), 401);
    assert_eq!(redrive("open", json!({ "origin": true })), 401);
    assert_eq!(redrive("open", json!({ "exchange": "" })), 401, "that is amq.default");
    assert_eq!(redrive("open", json!({ "exchange": "open" })), 202);
    let slow = api.post(
        "leveret/queues/%2F/open/redrive",
        &json!({ "to": { "exchange": "amq.fanout" }, "per_second": 1 }),
    );
    let path = format!("leveret/redrives/{}", slow["id"]);
    assert_eq!((ann.delete(&path), api.delete(&path)), (401, 200), "another one's");
    // What is not permitted over AMQP is not either: internal exchanges, and keys of topic exchanges.
    api.put("exchanges/%2F/open-inside", &json!({ "type": "fanout", "internal": true }));
    assert_eq!(redrive("open", json!({ "exchange": "open-inside" })), 401);
    api.put("exchanges/%2F/open-topics", &json!({ "type": "topic" }));
    assert_eq!(redrive("open", json!({ "exchange": "open-topics" })), 202);
    api.put(
        "topic-permissions/%2F/ann",
        &json!({ "exchange": "open-topics", "write": "^mine$", "read": "" }),
    );
    assert_eq!(redrive("open", json!({ "exchange": "open-topics", "routing_key": "theirs" })), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn queues_of_one_connection_are_nobody_elses() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &NULL);
    let client = Ch::open_to(api.broker.clone()).await;
    client.declare("own", "exclusive", FieldTable::default()).await.unwrap();
    let redrive = |queue: &str, to: &str| {
        api.ask("POST", &format!("leveret/queues/%2F/{queue}/redrive"), &json!({ "to": { "queue": to } })).0
    };
    assert_eq!((redrive("own", "q"), redrive("q", "own")), (400, 400));
    assert_eq!(api.status("leveret/queues/%2F/own/messages"), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn looking_by_get_is_no_failed_delivery() {
    let Some(api) = Api::start(&[]) else { return };
    let quorum = json!({ "durable": true, "arguments": { "x-queue-type": "quorum", "x-delivery-limit": 1 } });
    api.put("queues/%2F/q", &quorum);
    fill(&api, "q", ["m".into()]);
    let look = json!({ "count": 1, "ackmode": "ack_requeue_true", "encoding": "auto" });
    for _ in 0..5 {
        assert_eq!(api.post("queues/%2F/q/get", &look)[0]["payload"], "m");
    }
}
