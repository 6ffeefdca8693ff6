//! Where a message would go, and the drawing of bindings.

use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};

use crate::{
    api::Api,
    browser::Browser,
    client::Ch,
    pages::{encoded, hostile, is_safe},
};

const NULL: Value = Value::Null;

/// Queues `a`, `b`, `c`; exchange `e` of a kind, bound to `a` with key `x.*`, to `b` with key `y` and to exchange `f`, a fanout that is
/// bound to `c`, with key `x.#`. By headers: `a` wants `kind=1`, `b` wants `kind=2`, `f` wants nothing.
async fn scene(api: &Api, kind: &str) {
    for queue in ["a", "b", "c"] {
        api.put(&format!("queues/%2F/{queue}"), &NULL);
    }
    api.put("exchanges/%2F/e", &json!({ "type": kind }));
    api.put("exchanges/%2F/f", &json!({ "type": "fanout", "internal": true }));
    let client = Ch::open_to(api.broker.clone()).await;
    let wants = |kind: i32| {
        let mut table = FieldTable::default();
        table.insert("kind".into(), AMQPValue::LongInt(kind));
        table
    };
    client.bind_with("a", "e", "x.*", wants(1)).await.unwrap();
    client.bind_with("b", "e", "y", wants(2)).await.unwrap();
    client.exchange_bind("f", "e", "x.#").await.unwrap();
    client.bind("c", "f", "").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_a_message_would_go_is_where_it_goes() {
    for (kind, key, headers, queues, matching) in [
        ("topic", "x.1", json!({}), vec!["a", "c"], json!([true, false, true])),
        ("topic", "x.1.2", json!({}), vec!["c"], json!([false, false, true])),
        ("topic", "y", json!({}), vec!["b"], json!([false, true, false])),
        ("topic", "z", json!({}), vec![], json!([false, false, false])),
        ("topic", "z", json!({ "CC": ["y"] }), vec!["b"], json!([false, true, false])),
        ("direct", "y", json!({}), vec!["b"], json!([false, true, false])),
        ("fanout", "", json!({}), vec!["a", "b", "c"], json!([true, true, true])),
        ("headers", "", json!({ "kind": 2 }), vec!["b", "c"], json!([false, true, true])),
        ("headers", "", json!({}), vec!["c"], json!([false, false, true])),
    ] {
        let Some(api) = Api::start(&[]) else { return };
        scene(&api, kind).await;
        let told = format!("{kind} {key} {headers}");
        let body = json!({ "routing_key": key, "properties": { "headers": headers } });
        let routed = api.post("leveret/exchanges/%2F/e/route", &body);
        assert_eq!(routed["queues"], json!(queues), "{told}");
        assert_eq!(
            (&routed["routed"], &routed["by_chance"]),
            (&json!(!queues.is_empty()), &json!(false)),
            "{told}"
        );
        let bindings: Vec<_> = routed["bindings"].as_array().unwrap().iter().collect();
        let mut by_end: Vec<_> =
            bindings.iter().map(|it| (it["destination"].as_str(), it["matches"].clone())).collect();
        by_end.sort_by_key(|(destination, _)| *destination);
        assert_eq!(by_end.into_iter().map(|(_, matches)| matches).collect::<Value>(), matching, "{told}");
        let total = |api: &Api| -> Vec<Value> {
            ["a", "b", "c"]
                .iter()
                .map(|queue| api.get(&format!("queues/%2F/{queue}"))["messages"].clone())
                .collect()
        };
        assert_eq!(total(&api), [json!(0), json!(0), json!(0)], "nothing was sent: {told}");
        let message = json!({ "properties": { "headers": headers }, "routing_key": key, "payload": "x", "payload_encoding": "string" });
        api.post("exchanges/%2F/e/publish", &message);
        let went = ["a", "b", "c"].map(|queue| json!(u8::from(queues.contains(&queue))));
        assert_eq!(total(&api), went, "{told}");
    }
}

#[test]
fn a_route_is_told_for_the_default_exchange_for_internal_ones_and_by_chance() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &NULL);
    let to = |exchange: &str, key: &str| {
        api.post(&format!("leveret/exchanges/%2F/{exchange}/route"), &json!({ "routing_key": key }))
    };
    assert_eq!(to("amq.default", "q")["queues"], json!(["q"]));
    assert_eq!(to("amq.default", "no")["queues"], json!([]));
    api.put("exchanges/%2F/inner", &json!({ "type": "fanout", "internal": true }));
    api.post("bindings/%2F/e/inner/q/q", &json!({ "routing_key": "" }));
    assert_eq!(to("inner", "")["queues"], json!(["q"]));
    api.put("exchanges/%2F/lots", &json!({ "type": "x-random" }));
    api.post("bindings/%2F/e/lots/q/q", &json!({ "routing_key": "" }));
    let by_lot = to("lots", "");
    assert_eq!((&by_lot["by_chance"], &by_lot["bindings"][0]["matches"]), (&json!(true), &NULL));
    assert_eq!(api.ask("POST", "leveret/exchanges/%2F/none/route", &json!({})).0, 404);
    let wrong = json!({ "properties": { "headers": { "CC": 7 } } });
    assert_eq!(api.ask("POST", "leveret/exchanges/%2F/inner/route", &wrong).0, 400);
    api.put("users/ann", &json!({ "password": "x", "tags": "management" }));
    let ann = api.being("ann", "x");
    assert_eq!(
        ann.ask("POST", "leveret/exchanges/%2F/inner/route", &json!({})).0,
        401,
        "it sees nothing there"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_exchanges_page_draws_its_bindings_and_tries_a_message() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    scene(&api, "topic").await;
    browser.page("/exchange?vhost=%2F&name=e").shows(&["figure class=\"graph\"", "Where would a message go"]);
    browser
        .page("/exchange?vhost=%2F&name=f")
        .shows(&["Messages come from 1 exchange and go to 1 destination"]);
    let tried = browser.page("/exchange/route?vhost=%2F&name=e&key=x.1");
    tried.shows(&["2 queues would get the message", "its pattern does not match the key"]);
    assert_eq!(tried.body.matches("g class=\"taken\"").count(), 2, "{}", tried.body);
    assert_eq!(tried.body.matches("g class=\"left\"").count(), 1);
    browser.page("/exchange/route?vhost=%2F&name=e&key=z").shows(&["No queue would get the message"]);
    browser.page("/exchange/route?vhost=%2F&name=&key=a").shows(&["1 queue would get the message"]);
    assert_eq!(browser.get("/exchange/route?vhost=%2F&name=e&headers=%7B").status, 400);
    assert_eq!(browser.get("/exchange/route?vhost=%2F&name=none").status, 404);
}

#[test]
fn drawings_and_routes_show_hostile_names_as_text() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    for name in hostile() {
        let its = encoded(&name);
        api.put(&format!("queues/%2F/{its}"), &NULL);
        api.put(&format!("exchanges/%2F/{its}"), &json!({ "type": "direct" }));
        api.post(&format!("bindings/%2F/e/{its}/q/{its}"), &json!({ "routing_key": name }));
        api.post(&format!("bindings/%2F/e/{its}/e/amq.fanout"), &json!({ "routing_key": name }));
        let headers = encoded(&json!({ &*name: name }).to_string());
        for path in [
            &format!("/exchange?vhost=%2F&name={its}"),
            "/exchange?vhost=%2F&name=amq.fanout",
            &format!("/exchange/route?vhost=%2F&name={its}&key={its}&headers={headers}"),
            &format!("/exchange/route?vhost=%2F&name=&key={its}"),
        ] {
            is_safe(path, &browser.page(path));
        }
    }
}
