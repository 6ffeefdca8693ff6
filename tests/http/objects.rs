//! Exchanges, queues, bindings, messages, virtual hosts, users, policies and parameters, through their lives.

use serde_json::{Value, json};

use crate::api::Api;

const NULL: Value = Value::Null;

#[test]
fn a_queue_is_declared_published_to_read_emptied_and_deleted() {
    let Some(api) = Api::start(&[]) else { return };
    let arguments = json!({ "durable": true, "arguments": { "x-max-length": 10 } });
    assert_eq!(api.put("queues/%2F/jobs", &arguments), 201);
    assert_eq!(api.put("queues/%2F/jobs", &arguments), 204, "the same again");
    let (status, error) = api.ask("PUT", "queues/%2F/jobs", &json!({ "durable": false }));
    assert_eq!((status, &error["error"]), (400, &json!("bad_request")));
    let reason = error["reason"].as_str().unwrap();
    assert!(reason.starts_with("406 PRECONDITION_FAILED - inequivalent arg 'durable'"), "{reason}");
    let message = json!({
        "properties": { "delivery_mode": 2, "headers": { "n": 1 } },
        "routing_key": "jobs", "payload": "aGk=", "payload_encoding": "base64",
    });
    assert_eq!(api.post("exchanges/%2F/amq.default/publish", &message), json!({ "routed": true }));
    let nowhere =
        json!({ "properties": {}, "routing_key": "nowhere", "payload": "", "payload_encoding": "string" });
    assert_eq!(api.post("exchanges/%2F/amq.default/publish", &nowhere), json!({ "routed": false }));
    let queue = api.get("queues/%2F/jobs");
    assert_eq!(
        (&queue["messages"], &queue["messages_ready"], &queue["type"]),
        (&json!(1), &json!(1), &json!("classic"))
    );
    let look = json!({ "count": 5, "ackmode": "ack_requeue_true", "encoding": "auto" });
    let got = api.post("queues/%2F/jobs/get", &look);
    assert_eq!(got.as_array().unwrap().len(), 1);
    assert_eq!((&got[0]["payload"], &got[0]["redelivered"]), (&json!("hi"), &json!(false)));
    assert_eq!(got[0]["properties"], json!({ "delivery_mode": 2, "headers": { "n": 1 } }));
    let got = api.post(
        "queues/%2F/jobs/get",
        &json!({ "count": 1, "ackmode": "ack_requeue_false", "encoding": "base64" }),
    );
    assert_eq!((&got[0]["payload"], &got[0]["redelivered"]), (&json!("aGk="), &json!(true)));
    assert_eq!(api.post("queues/%2F/jobs/get", &look), json!([]));
    api.post("exchanges/%2F/amq.default/publish", &message);
    assert_eq!(api.delete("queues/%2F/jobs?if-empty=true"), 400);
    assert_eq!(api.delete("queues/%2F/jobs/contents"), 204);
    assert_eq!(api.get("queues/%2F/jobs")["messages"], 0);
    assert_eq!(api.delete("queues/%2F/jobs?if-empty=true"), 204);
    assert_eq!((api.status("queues/%2F/jobs"), api.delete("queues/%2F/jobs")), (404, 404));
}

#[test]
fn exchanges_and_bindings_are_made_found_by_either_end_and_taken_away() {
    let Some(api) = Api::start(&[]) else { return };
    assert_eq!(api.put("exchanges/%2F/events", &json!({ "type": "topic" })), 201);
    assert_eq!(api.put("exchanges/%2F/events", &json!({ "type": "topic" })), 204);
    assert_eq!(api.put("exchanges/%2F/events", &json!({ "type": "fanout" })), 400);
    assert_eq!(api.put("exchanges/%2F/other", &json!({ "type": "no-such" })), 400);
    assert_eq!(api.put("exchanges/%2F/plain", &json!({})), 201, "without a type");
    assert_eq!(api.get("exchanges/%2F/plain")["type"], "direct");
    assert_eq!(api.put("exchanges/%2F/all", &json!({ "type": "fanout" })), 201);
    assert_eq!(api.put("queues/%2F/a b%2Fc", &NULL), 201);
    for (path, body) in [
        ("bindings/%2F/e/events/q/a b%2Fc", json!({ "routing_key": "a.#" })),
        ("bindings/%2F/e/events/q/a b%2Fc", json!({ "routing_key": "", "arguments": { "n": 1 } })),
        ("bindings/%2F/e/events/e/all", json!({ "routing_key": "b" })),
    ] {
        assert_eq!(api.ask("POST", path, &body).0, 201, "{path} {body}");
    }
    let between = api.get("bindings/%2F/e/events/q/a b%2Fc");
    assert_eq!(between.as_array().unwrap().len(), 2);
    assert_eq!(api.get("queues/%2F/a b%2Fc/bindings").as_array().unwrap().len(), 3, "and its own name");
    assert_eq!(api.get("exchanges/%2F/events/bindings/source").as_array().unwrap().len(), 3);
    assert_eq!(api.get("exchanges/%2F/all/bindings/destination").as_array().unwrap().len(), 1);
    assert_eq!(api.get("bindings").as_array().unwrap().len(), 4);
    assert_eq!(api.get("bindings/%2F/e/amq.default/q/a b%2Fc").as_array().unwrap().len(), 1);
    for binding in between.as_array().unwrap() {
        let key = binding["properties_key"].as_str().unwrap().replace('%', "%25").replace('#', "%23");
        let path = format!("bindings/%2F/e/events/q/a b%2Fc/{key}");
        assert_eq!(api.get(&path), *binding);
        assert_eq!((api.delete(&path), api.status(&path)), (204, 404));
    }
    // Keys that look alike in addresses are told apart.
    for key in ["a/b", "a%2Fb", "", "~"] {
        api.post("bindings/%2F/e/events/e/all", &json!({ "routing_key": key }));
    }
    assert_eq!(api.delete("bindings/%2F/e/events/e/all/a%252Fb"), 204);
    assert_eq!(api.delete("bindings/%2F/e/events/e/all/~"), 204);
    let left = api.get("bindings/%2F/e/events/e/all?columns=routing_key");
    let mut left: Vec<_> =
        left.as_array().unwrap().iter().map(|it| it["routing_key"].as_str().unwrap().to_owned()).collect();
    left.sort();
    assert_eq!(left, ["a%2Fb", "b", "~"]);
    assert_eq!(api.status("bindings/%2F/e/none/q/none"), 404);
    assert_eq!(api.delete("exchanges/%2F/all?if-unused=true"), 204);
    assert_eq!((api.delete("exchanges/%2F/events"), api.delete("exchanges/%2F/events")), (204, 404));
    assert_eq!(api.delete("exchanges/%2F/amq.direct"), 401, "403 over AMQP");
}

#[test]
fn virtual_hosts_users_and_permissions_come_change_and_go() {
    let Some(api) = Api::start(&[]) else { return };
    assert_eq!(api.put("vhosts/shop", &json!({ "description": "of the shop", "tags": "a,b" })), 201);
    assert_eq!(api.put("vhosts/shop", &json!({ "tracing": true })), 204);
    let shop = api.get("vhosts/shop");
    let wanted = (&json!("of the shop"), &json!(["a", "b"]), &json!(true));
    assert_eq!((&shop["description"], &shop["tags"], &shop["tracing"]), wanted);
    assert_eq!(api.get("permissions/shop/guest")["write"], ".*", "who makes it may use it");
    assert_eq!(api.put("users/ann", &json!({ "password": "secret-a", "tags": ["monitoring"] })), 201);
    assert_eq!(api.put("users/ann", &json!({ "password": "secret-b", "tags": "management" })), 204);
    assert_eq!(api.put("users/ann", &json!({ "password": "x" })), 400, "tags are not said");
    let ann = api.being("ann", "secret-b");
    assert_eq!(ann.get("whoami"), json!({ "is_internal_user": true, "name": "ann", "tags": ["management"] }));
    assert_eq!(api.get("users/without-permissions")[0]["name"], "ann");
    let permissions = json!({ "configure": "^ann", "write": "^ann", "read": "" });
    assert_eq!(api.put("permissions/shop/ann", &permissions), 201);
    assert_eq!(api.put("permissions/shop/ann", &permissions), 204);
    assert_eq!(api.put("permissions/shop/ann", &json!({ "configure": "(", "write": "", "read": "" })), 400);
    assert_eq!(api.put("permissions/shop/nobody", &permissions), 400);
    assert_eq!(
        api.put("topic-permissions/shop/ann", &json!({ "exchange": "t", "write": "^a", "read": "^b" })),
        201
    );
    assert_eq!(api.get("topic-permissions/shop/ann")[0]["write"], "^a");
    assert_eq!(api.get("vhosts/shop/permissions").as_array().unwrap().len(), 2);
    assert_eq!(api.get("users/ann/permissions").as_array().unwrap().len(), 1);
    assert_eq!((ann.put("queues/shop/ann-q", &NULL), ann.put("queues/shop/q", &NULL)), (201, 401));
    assert_eq!(ann.put("queues/%2F/ann-q", &NULL), 401, "not in a virtual host without permissions");
    assert_eq!(api.put("user-limits/ann/max-connections", &json!({ "value": 3 })), 204);
    assert_eq!(api.get("user-limits/ann"), json!([{ "user": "ann", "value": { "max-connections": 3 } }]));
    assert_eq!(api.put("vhost-limits/shop/max-queues", &json!({ "value": 1 })), 204);
    assert_eq!(ann.put("queues/shop/ann-two", &NULL), 400);
    assert_eq!(
        (api.delete("vhost-limits/shop/max-queues"), ann.put("queues/shop/ann-two", &NULL)),
        (204, 201)
    );
    assert_eq!(api.put("vhost-limits/shop/no-such", &json!({ "value": 1 })), 400);
    assert_eq!(
        (api.delete("topic-permissions/shop/ann"), api.status("topic-permissions/shop/ann")),
        (204, 404)
    );
    assert_eq!((api.delete("permissions/shop/ann"), api.delete("permissions/shop/ann")), (204, 404));
    assert_eq!((api.delete("users/ann"), api.delete("users/ann"), ann.status("whoami")), (204, 404, 401));
    assert_eq!(
        (api.delete("vhosts/shop"), api.delete("vhosts/shop"), api.status("queues/shop")),
        (204, 404, 404)
    );
}

#[test]
fn policies_and_parameters_come_change_and_go() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/jobs", &NULL);
    let policy =
        json!({ "pattern": "^jobs", "definition": { "max-length": 5 }, "priority": 2, "apply-to": "queues" });
    assert_eq!(api.put("policies/%2F/short", &policy), 201);
    assert_eq!(api.put("policies/%2F/short", &policy), 204);
    assert_eq!(api.put("policies/%2F/bad", &json!({ "pattern": "(", "definition": {} })), 400);
    assert_eq!(api.put("policies/%2F/bad", &json!({ "pattern": "a", "definition": { "no-such": 1 } })), 400);
    assert_eq!(api.put("policies/%2F/bad", &json!({ "pattern": "a" })), 400, "without a definition");
    let operator = json!({ "pattern": ".*", "definition": { "max-length": 3 }, "apply-to": "queues" });
    assert_eq!(api.put("operator-policies/%2F/cap", &operator), 201);
    let queue = api.get("queues/%2F/jobs");
    assert_eq!((&queue["policy"], &queue["operator_policy"]), (&json!("short"), &json!("cap")));
    assert_eq!(queue["effective_policy_definition"], json!({ "max-length": 3 }));
    assert_eq!(api.get("policies/%2F/short")["definition"], json!({ "max-length": 5 }));
    assert_eq!((api.delete("operator-policies/%2F/cap"), api.delete("policies/%2F/short")), (204, 204));
    assert_eq!((api.get("queues/%2F/jobs")["policy"].clone(), api.status("policies/%2F/short")), (NULL, 404));
    let shovel = json!({ "value": { "src-uri": "amqp://", "dest-queue": "q" } });
    assert_eq!(api.put("parameters/shovel/%2F/mine", &shovel), 201);
    assert_eq!(api.get("parameters/shovel/%2F/mine")["value"], shovel["value"]);
    assert_eq!(
        (api.delete("parameters/shovel/%2F/mine"), api.delete("parameters/shovel/%2F/mine")),
        (204, 404)
    );
    assert_eq!(api.put("global-parameters/motto", &json!({ "value": [1, "two"] })), 201);
    assert_eq!(api.get("global-parameters/motto"), json!({ "name": "motto", "value": [1, "two"] }));
    assert_eq!((api.delete("global-parameters/motto"), api.delete("global-parameters/motto")), (204, 404));
    assert_eq!(api.put("cluster-name", &json!({ "name": "hare" })), 204);
    assert_eq!(api.get("overview")["cluster_name"], "hare");
}

#[test]
fn a_long_list_is_paged_filtered_sorted_and_cut_into_columns() {
    let Some(api) = Api::start(&[]) else { return };
    for number in 0..12 {
        api.put(&format!("queues/%2F/q{number:02}"), &NULL);
    }
    let publish =
        json!({ "properties": {}, "routing_key": "q07", "payload": "x", "payload_encoding": "string" });
    api.post("exchanges/%2F/amq.default/publish", &publish);
    let page = api.get("queues?page=2&page_size=5&columns=name&sort=name");
    let names: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert_eq!(names, ["q05", "q06", "q07", "q08", "q09"]);
    assert_eq!((&page["total_count"], &page["page_count"]), (&json!(12), &json!(3)));
    let most = api.get("queues?sort=messages&sort_reverse=true&columns=name,messages&page=1&page_size=1");
    assert_eq!(most["items"], json!([{ "name": "q07", "messages": 1 }]));
    assert_eq!(api.get("queues?name=q1&columns=name").as_array().unwrap().len(), 2);
    assert_eq!(api.get("queues?name=^q0[12]$&use_regex=true&columns=name").as_array().unwrap().len(), 2);
    assert_eq!((api.status("queues?page=9"), api.status("queues?page=1&page_size=501")), (400, 400));
}
