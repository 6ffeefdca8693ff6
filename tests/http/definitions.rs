//! Definitions: what is exported makes the same elsewhere.

use lapin::types::FieldTable;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};

use crate::{api::Api, client::Ch};

const LISTS: [&str; 10] = [
    "users",
    "vhosts",
    "permissions",
    "topic_permissions",
    "parameters",
    "global_parameters",
    "policies",
    "queues",
    "exchanges",
    "bindings",
];

/// The lists of a document, without their order.
fn contents(document: &Value) -> Map<String, Value> {
    let list = |name: &&str| {
        let mut things: Vec<_> = document[name].as_array().unwrap().iter().map(Value::to_string).collect();
        things.sort();
        ((*name).to_owned(), json!(things))
    };
    LISTS.iter().map(list).collect()
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,4}", "[a-zäß %/.#]{1,6}"]
}

/// What a queue or a binding may have for arguments.
fn arguments() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({})),
        (1_u32..100).prop_map(|max| json!({ "x-max-length": max })),
        (1_u32..100).prop_map(|ttl| json!({ "x-message-ttl": ttl, "x-overflow": "reject-publish" })),
        name().prop_map(|to| json!({ "x-dead-letter-exchange": to, "x-dead-letter-routing-key": "k" })),
    ]
}

prop_compose! {
    /// A document of what there may be in two virtual hosts. Things of the same name are in it once.
    fn documents()(
        queues in prop::collection::btree_map(name(), (arguments(), any::<bool>()), 0..6),
        exchanges in prop::collection::btree_map(name(), prop::sample::select(vec!["direct", "fanout", "topic", "headers"]), 0..5),
        keys in prop::collection::btree_set("[a-z.#*]{0,5}", 0..4),
        policies in prop::collection::btree_map(name(), (0_i64..9, 1_u32..50), 0..3),
        users in prop::collection::btree_map("[a-z]{3,6}", prop::collection::btree_set("[a-z]{2,5}", 0..3), 0..3),
    ) -> Value {
        let vhost = "of a test/1";
        let mut bindings = Vec::new();
        for exchange in exchanges.keys() {
            for queue in queues.keys() {
                for key in &keys {
                    bindings.push(json!({
                        "source": exchange, "vhost": vhost, "destination": queue, "destination_type": "queue",
                        "routing_key": key, "arguments": {},
                    }));
                }
            }
        }
        json!({
            "vhosts": [{ "name": vhost, "description": "of a test", "tags": ["t"] }],
            "users": users.iter().map(|(name, tags)| json!({
                "name": name, "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
                "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": tags, "limits": { "max-channels": 9 },
            })).collect::<Vec<_>>(),
            "permissions": users.keys().map(|user| json!({
                "user": user, "vhost": vhost, "configure": "^a", "write": ".*", "read": "",
            })).collect::<Vec<_>>(),
            "topic_permissions": users.keys().map(|user| json!({
                "user": user, "vhost": vhost, "exchange": "amq.topic", "write": "^a", "read": "^b",
            })).collect::<Vec<_>>(),
            "global_parameters": [{ "name": "motto", "value": { "a": [1, "x", true] } }],
            "parameters": [
                { "vhost": vhost, "component": "shovel", "name": "s", "value": { "src-uri": "amqp://" } },
                { "vhost": vhost, "component": "vhost-limits", "name": "limits", "value": { "max-queues": 99 } },
                { "vhost": vhost, "component": "operator_policy", "name": "cap", "value": {
                    "pattern": ".*", "apply-to": "queues", "priority": 1, "definition": { "max-length": 70 },
                } },
            ],
            "policies": policies.iter().map(|(name, (priority, max))| json!({
                "vhost": vhost, "name": name, "pattern": "^x", "apply-to": "queues", "priority": priority,
                "definition": { "max-length": max },
            })).collect::<Vec<_>>(),
            "queues": queues.iter().map(|(name, (arguments, durable))| json!({
                "name": name, "vhost": vhost, "durable": durable, "auto_delete": false, "arguments": arguments,
            })).collect::<Vec<_>>(),
            "exchanges": exchanges.iter().map(|(name, kind)| json!({
                "name": name, "vhost": vhost, "type": kind, "durable": true, "auto_delete": false, "internal": false,
                "arguments": {},
            })).collect::<Vec<_>>(),
            "bindings": bindings,
        })
    }
}

#[test]
fn what_is_exported_makes_the_same_on_another_broker() {
    let (Some(one), Some(other)) = (Api::start(&[]), Api::start(&[])) else { return };
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&documents(), |document| {
        one.post("definitions", &document);
        let exported = one.get("definitions");
        for list in ["queues", "exchanges", "bindings", "policies", "topic_permissions"] {
            let (said, kept) = (document[list].as_array().unwrap(), exported[list].as_array().unwrap());
            prop_assert_eq!(said.len(), kept.len(), "{}", list);
        }
        other.post("definitions", &exported);
        prop_assert_eq!(contents(&other.get("definitions")), contents(&exported));
        other.post("definitions", &exported);
        prop_assert_eq!(contents(&other.get("definitions")), contents(&exported), "the same again");
        for api in [&one, &other] {
            // As new: deleting the virtual host waits for nobody, and its name is free when it is empty.
            prop_assert_eq!(api.delete("vhosts/of a test%2F1"), 204);
            for user in exported["users"].as_array().unwrap() {
                let name = user["name"].as_str().unwrap();
                if name != "guest" {
                    prop_assert_eq!(api.delete(&format!("users/{name}")), 204);
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn one_virtual_host_is_exported_without_its_name_and_comes_into_another_one() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("vhosts/other", &Value::Null);
    api.put("queues/%2F/q", &json!({ "arguments": { "x-max-length": 4 } }));
    api.put("exchanges/%2F/e", &json!({ "type": "topic" }));
    api.post("bindings/%2F/e/e/q/q", &json!({ "routing_key": "a" }));
    let exported = api.get("definitions/%2F");
    assert_eq!(exported["rabbitmq_definition_format"], "single_virtual_host");
    assert!(exported["queues"][0].get("vhost").is_none() && exported.get("users").is_none());
    api.post("definitions/other", &exported);
    assert_eq!(api.get("queues/other/q")["arguments"], json!({ "x-max-length": 4 }));
    assert_eq!(api.get("bindings/other/e/e/q/q")[0]["routing_key"], "a");
}

#[test]
fn what_is_wrong_with_definitions_is_told_thing_by_thing() {
    let Some(api) = Api::start(&[]) else { return };
    let queue = |name: &str, arguments: Value| json!({ "name": name, "vhost": "/", "arguments": arguments });
    let document = json!({
        "queues": [queue("a", json!({})), queue("b", json!({ "x-queue-type": "stream" })), queue("c", json!({}))],
        "exchanges": [{ "name": "x", "vhost": "/", "type": "sundial" }],
    });
    let (status, answer) = api.ask("POST", "definitions", &document);
    assert_eq!((status, &answer["error"]), (400, &json!("bad_request")));
    let problems = answer["problems"].as_array().unwrap();
    let places: Vec<_> = problems.iter().map(|problem| (&problem["place"], &problem["name"])).collect();
    assert_eq!(places, [(&json!("exchanges[0]"), &json!("x")), (&json!("queues[1]"), &json!("b"))]);
    assert!(problems.iter().all(|problem| problem["why"].as_str().is_some_and(|why| !why.is_empty())));
    assert!(answer["reason"].as_str().unwrap().contains("queues[1] ('b'): "));
    assert_eq!(api.get("queues?columns=name"), json!([{ "name": "a" }, { "name": "c" }]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_belongs_to_one_connection_alone_and_what_leads_there_is_not_exported() {
    let Some(api) = Api::start(&[]) else { return };
    let client = Ch::open_to(api.broker.clone()).await;
    client.declare("own", "exclusive", FieldTable::default()).await.unwrap();
    api.put("queues/%2F/shared", &json!({ "durable": true }));
    client.bind("own", "amq.fanout", "").await.unwrap();
    api.post("bindings/%2F/e/amq.fanout/q/shared", &json!({}));
    let document = api.get("definitions");
    let names = |list: &str, key: &str| -> Vec<String> {
        let things = document[list].as_array().unwrap().iter();
        things.map(|thing| thing[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("queues", "name"), ["shared"]);
    assert_eq!(names("bindings", "destination"), ["shared"]);
}
