//! What forms change, checked over AMQP or by the API; and what pages say of it.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};

use crate::{
    api::Api,
    broker::DEADLINE,
    browser::Browser,
    client::{Ch, next},
};

const NULL: Value = Value::Null;

fn queue(name: &str) -> [(&str, &str); 2] {
    [("vhost", "/"), ("name", name)]
}

#[test]
fn a_queue_is_declared_published_to_looked_into_emptied_and_deleted() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    let form = [
        &queue("q")[..],
        &[
            ("kind", "quorum"),
            ("durable", "true"),
            ("max_length", "7"),
            ("arguments", "{\"x-expires\": 60000000}"),
        ],
    ]
    .concat();
    browser.done("/queues/declare", &form).shows(&["The queue is there.", "Queue q"]);
    let declared = api.get("queues/%2F/q");
    assert_eq!(
        declared["arguments"],
        json!({ "x-queue-type": "quorum", "x-max-length": 7, "x-expires": 60_000_000 })
    );
    let letter = [
        ("vhost", "/"),
        ("exchange", ""),
        ("key", "q"),
        ("payload", "{\"order\":[1,2]}"),
        ("encoding", "string"),
        ("persistent", "2"),
        ("headers", "{\"kind\": \"invoice\"}"),
        ("content_type", "application/json"),
    ];
    browser.done("/publish", &letter).shows(&["at least one queue has it"]);
    let message = &api.get("leveret/queues/%2F/q/messages")["messages"][0];
    assert_eq!(
        (&message["payload"], &message["properties"]["headers"]["kind"]),
        (&json!("{\"order\":[1,2]}"), &json!("invoice"))
    );
    assert_eq!(message["properties"]["delivery_mode"], 2);
    let page = browser.page("/queue/messages?vhost=%2F&name=q");
    page.shows(&["&quot;order&quot;: [\n    1,", "invoice", "application/json"]);
    browser.page("/queue/messages?vhost=%2F&name=q&form=hex").shows(&["00000000  7b 22 6f 72"]);
    browser.page("/queue/purge?vhost=%2F&name=q").shows(&["<strong>1 ready message</strong>"]);
    browser.done("/queue/purge", &queue("q")).shows(&["The ready messages are gone."]);
    assert_eq!(api.get("queues/%2F/q")["messages"], 0);
    let elsewhere = [
        ("vhost", "/"),
        ("exchange", "amq.direct"),
        ("key", "no"),
        ("payload", "x"),
        ("encoding", "string"),
        ("persistent", "1"),
    ];
    browser.done("/publish", &elsewhere).shows(&["no queue is bound for it"]);
    browser.done("/queue/delete", &queue("q")).shows(&["The queue is gone."]);
    assert_eq!(api.status("queues/%2F/q"), 404);
    assert!(!browser.page("/queues").body.contains("The queue is gone."), "that is told once");
}

#[test]
fn a_queue_that_is_not_empty_is_deleted_only_if_that_is_meant() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    api.put("queues/%2F/q", &NULL);
    let message =
        json!({ "properties": {}, "routing_key": "q", "payload": "x", "payload_encoding": "string" });
    api.post("exchanges/%2F/amq.default/publish", &message);
    let refused = browser.post("/queue/delete", &[&queue("q")[..], &[("if_empty", "true")]].concat());
    assert_eq!(refused.status, 400);
    refused.shows(&["not empty"]);
    browser
        .page("/queue/delete?vhost=%2F&name=q")
        .shows(&["<strong>1 message</strong>", "only if it is empty"]);
    browser.done("/queue/delete", &queue("q"));
    assert_eq!(api.status("queues/%2F/q"), 404);
}

#[test]
fn dead_letters_tell_their_story_and_are_moved_back_after_a_look() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    let arguments = json!({ "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" });
    api.put("queues/%2F/work", &json!({ "durable": true, "arguments": arguments }));
    api.put("queues/%2F/dead", &json!({ "durable": true }));
    for number in 0..3 {
        let message = json!({ "properties": { "headers": { "number": number } }, "routing_key": "work", "payload": "x", "payload_encoding": "string" });
        api.post("exchanges/%2F/amq.default/publish", &message);
    }
    let reject = json!({ "count": 3, "ackmode": "reject_requeue_false", "encoding": "auto" });
    api.post("queues/%2F/work/get", &reject);
    while api.get("queues/%2F/dead")["messages"] != 3 {
        std::thread::yield_now();
    }
    let page = browser.page("/queue/messages?vhost=%2F&name=dead");
    page.shows(&["How it came here", "was rejected by its consumer", ">work</bdi>"]);
    let begun = std::time::Instant::now();
    while !browser.page("/").body.contains("3 dead letters wait for somebody to look at") {
        assert!(begun.elapsed() < 2 * DEADLINE, "the overview does not tell of dead letters");
    }
    browser.page("/queue?vhost=%2F&name=dead").shows(&["The first one was rejected in queue work"]);
    let order = [&queue("dead")[..], &[("to", "origin"), ("limit", "2"), ("reason", "rejected")]].concat();
    let looked = browser.post("/queue/move", &[&order[..], &[("step", "look")]].concat());
    looked.shows(&[
        "Nothing was moved yet.",
        "<strong>2 messages of 3</strong>",
        "back to where each of them was",
        "value=\"move\"",
    ]);
    assert_eq!(api.get("queues/%2F/dead")["messages"], 3);
    browser.done("/queue/move", &[&order[..], &[("step", "move")]].concat()).shows(&["Redrive 1 has begun."]);
    while api.get("leveret/redrives/1")["ended"] == NULL {
        std::thread::yield_now();
    }
    assert_eq!(
        (&api.get("queues/%2F/dead")["messages"], &api.get("queues/%2F/work")["messages"]),
        (&json!(1), &json!(2))
    );
    browser.page("/redrives").shows(&["done: as many as it should"]);
    let slow = [
        &queue("dead")[..],
        &[("to", "queue"), ("queue", "work"), ("per_second", "1"), ("copy", "true"), ("step", "move")],
    ]
    .concat();
    browser.done("/queue/move", &slow);
    browser.post("/redrives/stop", &[("id", "2")]);
    while api.get("leveret/redrives/2")["ended"] == NULL {
        std::thread::yield_now();
    }
    let nowhere = browser.post(
        "/queue/move",
        &[&queue("dead")[..], &[("to", "queue"), ("queue", "none"), ("step", "look")]].concat(),
    );
    assert_eq!(nowhere.status, 404);
}

#[test]
fn an_exchange_is_declared_bound_unbound_and_deleted() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    api.put("queues/%2F/q", &NULL);
    let form =
        [&queue("x")[..], &[("kind", "topic"), ("durable", "true"), ("alternate", "amq.fanout")]].concat();
    browser.done("/exchanges/declare", &form).shows(&[
        "The exchange is there.",
        "Exchange x",
        "alternate-exchange",
    ]);
    let binding = [
        ("vhost", "/"),
        ("source", "x"),
        ("kind", "queue"),
        ("destination", "q"),
        ("key", "orders.*"),
        ("arguments", "{\"a\": 1}"),
    ];
    browser.done("/exchange/bind", &binding).shows(&["The binding is there.", "orders.*"]);
    let bound = api.get("exchanges/%2F/x/bindings/source");
    assert_eq!((&bound[0]["routing_key"], &bound[0]["arguments"]), (&json!("orders.*"), &json!({ "a": 1 })));
    browser.page("/queue?vhost=%2F&name=q").shows(&["orders.*", "name=\"source\" value=\"x\""]);
    let kept = browser.post("/exchange/delete", &[&queue("x")[..], &[("if_unused", "true")]].concat());
    assert_eq!(kept.status, 400);
    kept.shows(&["in use"]);
    let page = browser.page("/exchange?vhost=%2F&name=x");
    let properties = page.hidden("properties");
    let unbinding = [
        ("vhost", "/"),
        ("source", "x"),
        ("kind", "queue"),
        ("destination", "q"),
        ("properties", &*properties),
    ];
    browser.done("/exchange/unbind", &unbinding).shows(&["The binding is gone."]);
    assert_eq!(api.get("exchanges/%2F/x/bindings/source"), json!([]));
    browser.page("/exchange/delete?vhost=%2F&name=x").shows(&["<strong>0 bindings</strong>"]);
    browser.done("/exchange/delete", &queue("x")).shows(&["The exchange is gone."]);
    assert_eq!(api.status("exchanges/%2F/x"), 404);
    browser.page("/exchange?vhost=%2F&name=").shows(&["The default exchange", ">q</bdi>"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_is_shown_with_what_it_consumes_and_closed_with_the_reason() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    api.put("queues/%2F/q", &NULL);
    let client = Ch::open_to(api.broker.clone()).await;
    client.qos(1, "").await;
    client.publish("", "q", "held").await.unwrap();
    let mut consumer = client.consume("q", "").await;
    next(&mut consumer).await;
    browser.page("/queue?vhost=%2F&name=q").shows(&["holds as much as its prefetch allows", " ago</time>"]);
    browser.page("/queue/messages?vhost=%2F&name=q&state=unacked").shows(&["held since", "held"]);
    browser.page("/channels").shows(&["127.0.0.1"]);
    browser.page("/consumers").shows(&[">q</bdi>", "holds as much as its prefetch allows"]);
    let name = api.get("connections")[0]["name"].as_str().unwrap().to_owned();
    let encoded =
        percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC).to_string();
    browser
        .page(&format!("/connection?name={encoded}"))
        .shows(&["holds as much as its prefetch allows", "lapin"]);
    browser.page(&format!("/connection/close?name={encoded}")).shows(&["<strong>1 channel</strong>"]);
    let close = [("name", &*name), ("reason", "out of hours")];
    let umlaut = browser.post("/connection/close", &[("name", &*name), ("reason", "ü")]);
    assert_eq!(umlaut.status, 400);
    client
        .closes(async { browser.post("/connection/close", &close) }, 320, "CONNECTION_FORCED - out of hours")
        .await;
    let begun = std::time::Instant::now();
    while api.get("connections") != json!([]) {
        assert!(begun.elapsed() < DEADLINE, "the connection is still there");
    }
}

#[test]
fn what_counts_for_a_queue_is_shown_with_where_it_comes_from() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    let policy = |definition: Value| json!({ "pattern": "^q", "definition": definition });
    api.put("policies/%2F/short", &policy(json!({ "max-length": 100, "message-ttl": 5_000 })));
    api.put("operator-policies/%2F/roof", &policy(json!({ "max-length": 50 })));
    api.put(
        "queues/%2F/q",
        &json!({ "durable": true, "arguments": { "x-queue-type": "quorum", "x-message-ttl": 1_000 } }),
    );
    let told = api.get("queues/%2F/q")["leveret"]["settings"].clone();
    let setting = |name: &str| {
        let found = told.as_array().unwrap().iter().find(|setting| setting["name"] == name).unwrap();
        (found["value"].clone(), found["from"].as_str().unwrap().to_owned(), found["policy"].clone())
    };
    assert_eq!(setting("max-length"), (json!(50), "operator policy".into(), json!("roof")));
    assert_eq!(setting("message-ttl"), (json!(1_000), "argument".into(), NULL));
    assert_eq!(setting("delivery-limit"), (json!(20), "default".into(), NULL));
    browser.page("/queue?vhost=%2F&name=q").shows(&["operator policy", ">roof</bdi>", "default", "1,000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_overview_says_which_queues_nobody_consumes() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    browser.page("/").shows(&["Nothing stands out"]);
    api.put("queues/%2F/lonely", &NULL);
    let client = Ch::open_to(api.broker.clone()).await;
    let mut headers = FieldTable::default();
    headers.insert("x".into(), AMQPValue::Boolean(true));
    client
        .publish_with("", "lonely", "x", "", BasicProperties::default().with_headers(headers))
        .await
        .unwrap();
    client.fence("lonely").await;
    let begun = std::time::Instant::now();
    while !browser.page("/").body.contains("nobody consumes") {
        assert!(begun.elapsed() < 2 * DEADLINE, "the overview does not tell of it");
    }
    let attention = api.get("leveret/attention?vhost=/&queue=lonely");
    assert_eq!((&attention["total"], &attention["queues"][0]["kind"]), (&json!(1), &json!("no_consumers")));
    assert_eq!(api.get("leveret/attention?queue=other")["total"], 0);
    browser.page("/queue?vhost=%2F&name=lonely").shows(&["nobody consumes"]);
}
