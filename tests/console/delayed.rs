//! Messages that wait for their time, and those that were dropped.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};

use crate::{
    api::Api,
    browser::Browser,
    client::Ch,
    pages::{encoded, hostile, is_safe},
};

const NULL: Value = Value::Null;

/// Publishes something that waits for more than an hour.
async fn publish_later(client: &Ch, key: &str, body: &str) {
    let mut headers = FieldTable::default();
    headers.insert("x-delay".into(), AMQPValue::LongInt(4_000_000));
    headers.insert("kind".into(), AMQPValue::LongString(key.into()));
    client.publish_with("", key, body, "", BasicProperties::default().with_headers(headers)).await.unwrap();
}

/// Has a message of a queue wait for another try.
fn retry_later(api: &Api, queue: &str, body: &str) {
    let arguments = json!({ "x-delayed-retry-type": "all", "x-delayed-retry-min": 4_000_000 });
    let its = encoded(queue);
    assert_eq!(api.put(&format!("queues/%2F/{its}"), &json!({ "arguments": arguments })), 201);
    let message =
        json!({ "properties": {}, "routing_key": queue, "payload": body, "payload_encoding": "string" });
    api.post("exchanges/%2F/amq.default/publish", &message);
    let get = json!({ "count": 1, "ackmode": "ack_requeue_true", "encoding": "auto" });
    api.post(&format!("queues/%2F/{its}/get"), &get);
    while api.get(&format!("queues/%2F/{its}"))["messages_delayed"] != 1 {
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pages_of_messages_that_wait_or_were_dropped_show_hostile_names_as_text() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    for name in hostile() {
        let its = encoded(&name);
        retry_later(&api, &name, &name);
        publish_later(&client, &name, &name).await;
        let retried = &api.get(&format!("leveret/queues/%2F/{its}/messages?state=delayed"))["messages"][0];
        let retried = encoded(retried["position"].as_str().unwrap());
        let published = &api.get("leveret/delayed/%2F")["messages"][0];
        let published = encoded(published["position"].as_str().unwrap());
        for path in [
            "/delayed",
            "/delayed/messages?vhost=%2F",
            &format!("/delayed/messages?vhost=%2F&name={its}"),
            &format!("/delayed/messages?vhost=%2F&name={its}&find={its}"),
            &format!("/delayed/cancel?vhost=%2F&name={its}&position={retried}"),
            &format!("/delayed/reschedule?vhost=%2F&name={its}&position={retried}"),
            &format!("/delayed/cancel?vhost=%2F&position={published}"),
        ] {
            is_safe(path, &browser.page(path));
        }
        assert_eq!(api.delete(&format!("queues/%2F/{its}")), 204);
        let full = json!({ "arguments": { "x-max-length": 0 } });
        assert_eq!(api.put(&format!("queues/%2F/{its}"), &full), 201, "{name}");
        client.publish_with("", &name, "x", "", BasicProperties::default()).await.unwrap();
        let drops = browser.page("/drops");
        drops.shows(&["the queue was full"]);
        is_safe("/drops", &drops);
        assert_eq!(api.delete(&format!("queues/%2F/{its}")), 204);
    }
}

#[test]
fn a_message_that_waits_for_another_try_is_found_and_cancelled() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    browser.page("/delayed").shows(&["None."]);
    retry_later(&api, "q", "customer 7");
    browser.page("/delayed").shows(&[">q</bdi>", "in 1 h"]);
    let list = browser.page("/delayed/messages?vhost=%2F&name=q");
    list.shows(&["customer 7", "within a day", "1 message of 1 looked at"]);
    browser.page("/delayed/messages?vhost=%2F&name=q&find=CUSTOMER").shows(&["1 message of 1"]);
    browser.page("/delayed/messages?vhost=%2F&name=q&find=nobody").shows(&["0 messages of 1"]);
    let waiting = api.get("leveret/queues/%2F/q/messages?state=delayed");
    let position = waiting["messages"][0]["position"].as_str().unwrap();
    let path = format!("/delayed/cancel?vhost=%2F&name=q&position={position}");
    browser.page(&path).shows(&["will be gone for good", "customer 7"]);
    let fields = [("vhost", "/"), ("name", "q"), ("position", position)];
    assert_eq!(browser.send("POST", "/delayed/cancel", &fields).status, 403, "without the code");
    browser.done("/delayed/cancel", &fields).shows(&["The message is gone."]);
    assert_eq!(api.get("queues/%2F/q")["messages"], 0);
    assert_eq!(browser.get(&path).status, 400, "it does not wait any more");
    assert_eq!(browser.post("/delayed/cancel", &fields).status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_that_was_published_with_a_delay_is_found_and_cancelled_by_administrators() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    api.put("queues/%2F/q", &NULL);
    let client = Ch::open_to(api.broker.clone()).await.confirm().await;
    publish_later(&client, "q", "one").await;
    publish_later(&client, "other", "two").await;
    browser.page("/delayed").shows(&["Were published with a delay", "all of them", "in 1 h"]);
    browser.page("/delayed/messages?vhost=%2F").shows(&[">one</bdi>", ">two</bdi>", "2 messages of 2"]);
    let found = browser.page("/delayed/messages?vhost=%2F&find=OTHER");
    found.shows(&[">two</bdi>", "1 message of 2"]);
    assert!(!found.body.contains(">one</bdi>"));
    let waiting = api.get("leveret/delayed/%2F");
    let position = waiting["messages"][0]["position"].as_str().unwrap().to_owned();
    let fields = [("vhost", "/"), ("position", &*position)];
    api.put("users/ann", &json!({ "password": "x", "tags": "management" }));
    api.put("permissions/%2F/ann", &json!({ "configure": ".*", "write": ".*", "read": ".*" }));
    let ann = Browser::logged_in(&api, "ann", "x");
    assert!(!ann.page("/delayed").body.contains("Were published with a delay"));
    assert_eq!(ann.get("/delayed/messages?vhost=%2F").status, 403);
    assert_eq!(ann.post("/delayed/cancel", &fields).status, 403);
    browser.done("/delayed/cancel", &fields).shows(&["The message is gone.", "1 message of 1"]);
    assert_eq!(api.get("leveret/delayed/%2F")["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn a_message_that_waits_for_another_try_is_rescheduled() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    retry_later(&api, "q", "customer 7");
    let waiting = api.get("leveret/queues/%2F/q/messages?state=delayed");
    let position = waiting["messages"][0]["position"].as_str().unwrap();
    let path = format!("/delayed/reschedule?vhost=%2F&name=q&position={position}");
    browser.page(&path).shows(&["will come at another time", "customer 7"]);
    let at = |seconds| [("vhost", "/"), ("name", "q"), ("position", position), ("seconds", seconds)];
    assert_eq!(browser.send("POST", "/delayed/reschedule", &at("7300")).status, 403, "without the code");
    for wrong in ["", "soon", "-1", "99999999999999999999", "18446744073709551615"] {
        assert_eq!(browser.post("/delayed/reschedule", &at(wrong)).status, 400, "{wrong}");
    }
    browser.done("/delayed/reschedule", &at("7300")).shows(&["The message has another time.", "in 2 h"]);
    assert_eq!(browser.get(&path).status, 400, "it waits elsewhere");
    assert_eq!(browser.post("/delayed/reschedule", &at("0")).status, 404);
}

#[test]
fn dropped_messages_are_shown_with_the_reason_in_words_to_who_sees_the_virtual_host() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    browser.page("/drops").shows(&["No message was dropped."]);
    api.put("queues/%2F/short", &json!({ "arguments": { "x-max-length": 1 } }));
    let message =
        json!({ "properties": {}, "routing_key": "short", "payload": "x", "payload_encoding": "string" });
    for _ in 0..3 {
        api.post("exchanges/%2F/amq.default/publish", &message);
    }
    browser.page("/drops").shows(&[">short</bdi>", "the queue was full, and has no dead-letter exchange"]);
    api.put("users/ann", &json!({ "password": "x", "tags": "management" }));
    let ann = Browser::logged_in(&api, "ann", "x");
    ann.page("/drops").shows(&["No message was dropped."]);
}
