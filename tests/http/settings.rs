//! Settings of queues: who says them, and arguments that are changed while a queue stands.

use serde_json::{Value, json};

use crate::{api::Api, broker::DEADLINE};

const NULL: Value = Value::Null;
const SETTINGS: &str = "leveret/queues/%2F/q/settings";

fn setting(answer: &Value, name: &str) -> Value {
    let all = answer["settings"].as_array().unwrap();
    all.iter().find(|setting| setting["name"] == name).cloned().unwrap_or_default()
}

fn publish(api: &Api, count: usize) {
    for number in 0..count {
        let message = json!({
            "properties": { "delivery_mode": 2 }, "routing_key": "q", "payload": number.to_string(),
            "payload_encoding": "string",
        });
        api.post("exchanges/%2F/amq.default/publish", &message);
    }
}

/// Waits until the queue has so many messages.
fn wait_for(api: &Api, messages: u64) {
    let start = std::time::Instant::now();
    while api.get("queues/%2F/q")["messages"] != messages {
        assert!(start.elapsed() < DEADLINE, "{}", api.get("queues/%2F/q")["messages"]);
    }
}

#[test]
fn a_dry_run_tells_what_would_change_and_follow_and_changes_nothing() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &json!({ "durable": true, "arguments": { "x-max-length": 10 } }));
    publish(&api, 5);
    let wanted = json!({ "arguments": { "x-max-length": 2, "x-overflow": "drop-head" }, "dry_run": true });
    let told = api.post(SETTINGS, &wanted);
    assert_eq!((&told["dry_run"], &told["changed"]), (&json!(true), &json!(true)), "{told}");
    let length = json!({
        "name": "max-length", "old": 10, "old_from": "argument", "old_policy": null,
        "new": 2, "from": "argument", "policy": null,
    });
    assert_eq!(setting(&told, "max-length"), length);
    assert_eq!(setting(&told, "overflow")["old_from"], "default");
    assert_eq!(told["follows"]["messages_beyond_length"], 3, "{told}");
    assert!(told["notes"][0].as_str().unwrap().contains("406 PRECONDITION_FAILED"), "{told}");
    assert_eq!(setting(&api.get(SETTINGS), "max-length")["value"], 10);
    assert_eq!(api.get("queues/%2F/q")["messages"], 5);
}

#[test]
fn a_change_counts_at_once_outlives_sigkill_and_refuses_the_old_declaration() {
    let folder = tempfile::tempdir().unwrap();
    let Some(api) = Api::start_on(folder.path()) else { return };
    api.put("queues/%2F/q", &json!({ "durable": true, "arguments": { "x-max-length": 10 } }));
    publish(&api, 5);
    let wanted = json!({ "arguments": { "x-max-length": 2, "x-dead-letter-exchange": "none" } });
    let told = api.post(SETTINGS, &wanted);
    assert_eq!(told["dry_run"], false);
    assert!(told["notes"].to_string().contains("there is no exchange 'none'"), "{told}");
    wait_for(&api, 2);
    let arguments = json!({ "x-max-length": 2, "x-dead-letter-exchange": "none" });
    assert_eq!(api.get("queues/%2F/q")["arguments"], arguments);
    assert_eq!(api.get("definitions")["queues"][0]["arguments"], arguments);
    // The broker is killed when nobody holds it any more.
    drop(api);
    let api = Api::start_on(folder.path()).unwrap();
    assert_eq!(api.get("queues/%2F/q")["arguments"], arguments);
    assert_eq!(setting(&api.get(SETTINGS), "max-length")["value"], 2);
    publish(&api, 1);
    wait_for(&api, 2);
    let old = json!({ "durable": true, "arguments": { "x-max-length": 10 } });
    let (status, refused) = api.ask("PUT", "queues/%2F/q", &old);
    assert_eq!(status, 400);
    assert!(
        refused["reason"].as_str().unwrap().contains("inequivalent arg 'x-dead-letter-exchange'"),
        "{refused}"
    );
    assert_eq!(api.put("queues/%2F/q", &json!({ "durable": true, "arguments": arguments })), 204);
    api.post(SETTINGS, &json!({ "arguments": { "x-max-length": null, "x-dead-letter-exchange": null } }));
    assert_eq!(api.get("queues/%2F/q")["arguments"], json!({}));
    assert_eq!(setting(&api.get(SETTINGS), "max-length"), NULL);
}

#[test]
fn a_policy_is_told_by_its_name_and_an_argument_that_it_beats_has_a_note() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &json!({}));
    let policy = json!({ "pattern": "q", "definition": { "max-length": 3, "expires": 3_600_000 } });
    api.put("operator-policies/%2F/limit", &policy);
    let shown = setting(&api.get(SETTINGS), "max-length");
    let wanted = json!({ "name": "max-length", "value": 3, "from": "operator policy", "policy": "limit" });
    assert_eq!(shown, wanted);
    let told = api.post(SETTINGS, &json!({ "arguments": { "x-max-length": 9 } }));
    assert_eq!(told["settings"], json!([]), "nothing that counts has changed");
    let notes = told["notes"].to_string();
    assert!(notes.contains("x-max-length has no effect: operator policy 'limit' says 3"), "{notes}");
    assert!(notes.contains("the queue is transient"), "{notes}");
}

#[test]
fn messages_that_a_shorter_life_ends_at_once_are_counted_and_go() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &json!({ "durable": true }));
    publish(&api, 3);
    let wanted = |dry_run| json!({ "arguments": { "x-message-ttl": 0 }, "dry_run": dry_run });
    let told = api.post(SETTINGS, &wanted(true));
    assert_eq!(
        (&told["follows"]["messages_expired"], &told["follows"]["messages_expired_is_all"]),
        (&json!(3), &json!(true))
    );
    api.post(SETTINGS, &wanted(false));
    wait_for(&api, 0);
}

#[test]
fn what_cannot_change_is_refused_with_the_reason_and_who_may_not_configure_is_too() {
    let Some(api) = Api::start(&[]) else { return };
    api.put("queues/%2F/q", &json!({ "arguments": { "x-max-priority": 5 } }));
    for (arguments, word) in [
        (json!({ "x-queue-type": "quorum" }), "a queue is of one type"),
        (json!({ "x-max-priority": null }), "messages are kept by their priorities"),
        (json!({ "x-max-length": -1 }), "invalid arg 'x-max-length'"),
        (json!({ "x-nonsense": 1 }), "there is no argument 'x-nonsense'"),
    ] {
        for dry_run in [true, false] {
            let body = json!({ "arguments": arguments, "dry_run": dry_run });
            let (status, answer) = api.ask("POST", SETTINGS, &body);
            assert_eq!(status, 400, "{answer}");
            assert!(answer["reason"].as_str().unwrap().contains(word), "{answer}");
        }
    }
    assert_eq!(api.ask("POST", SETTINGS, &json!({})).0, 400);
    assert_eq!(api.ask("POST", SETTINGS, &json!({ "arguments": [] })).0, 400);
    let missing = "leveret/queues/%2F/none/settings";
    assert_eq!((api.status(missing), api.ask("POST", missing, &json!({ "arguments": {} })).0), (404, 404));
    api.put("users/ann", &json!({ "password": "secret", "tags": "management" }));
    let ann = api.being("ann", "secret");
    assert_eq!(ann.status(SETTINGS), 401);
    let change = json!({ "arguments": { "x-max-length": 1 } });
    let letters = json!({ "arguments": { "x-dead-letter-exchange": "dead" } });
    // Configure, write, read; what the length may be changed by, and the dead-letter exchange.
    for (permissions, length, dead) in [
        (["", ".*", ".*"], 401, 401),
        (["q", "", ""], 200, 401),
        (["q", "", "q"], 200, 401),
        (["q", "dead", ""], 200, 401),
        (["q", "dead", "q"], 200, 200),
    ] {
        let [configure, write, read] = permissions;
        api.put("permissions/%2F/ann", &json!({ "configure": configure, "write": write, "read": read }));
        let got = (ann.ask("POST", SETTINGS, &change).0, ann.ask("POST", SETTINGS, &letters).0);
        assert_eq!(got, (length, dead), "{permissions:?}");
        assert_eq!(ann.status(SETTINGS), 200);
    }
    assert_eq!(api.ask("GET", SETTINGS, &NULL).0, 200);
}
