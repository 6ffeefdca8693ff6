//! Users, virtual hosts, permissions, limits, policies and parameters, through their lives.

use serde_json::json;

use crate::operator::Operator;

#[test]
fn users_are_added_changed_limited_and_deleted() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["add-user", "ann", "first", "--tag", "monitoring", "--tag", "own"]);
    let outcome = operator.fed(&["add-user", "ben"], b"from-input\n");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    operator.fails(&["add-user", "ann", "again"], 1, &["user 'ann' is there already", "change-password"]);
    operator.fails(&["add-user", "cid"], 2, &["standard input has no password"]);
    let users =
        |user: &str, password: &str| operator.run(&["status", "--user", user, "--password", password]).code;
    assert_eq!((users("ann", "first"), users("ann", "other")), (0, 1));
    operator.ok(&["change-password", "ann", "second"]);
    assert_eq!((users("ann", "first"), users("ann", "second")), (1, 0));
    operator.ok(&["set-user-tags", "ben", "management"]);
    assert_eq!(users("ben", "from-input"), 0, "tags change, and the password stays");
    operator.ok(&["set-user-tags", "ann"]);
    let wanted = json!([
        { "user": "ann", "tags": [] }, { "user": "ben", "tags": ["management"] }, { "user": "guest", "tags": ["administrator"] },
    ]);
    assert_eq!(operator.json(&["list-users"]), wanted);
    operator.ok(&["set-user-limits", "ann", "{\"max-connections\": 3, \"max-channels\": 5}"]);
    let wanted = json!([{ "user": "ann", "limits": { "max-connections": 3, "max-channels": 5 } }]);
    assert_eq!(operator.json(&["list-user-limits"]), wanted);
    assert_eq!(operator.json(&["list-user-limits", "--of", "ben"]), json!([]));
    operator.ok(&["clear-user-limits", "ann", "max-channels"]);
    assert_eq!(
        operator.json(&["list-user-limits", "--of", "ann", "limits"]),
        json!([{ "limits": { "max-connections": 3 } }])
    );
    operator.ok(&["clear-user-limits", "ann", "all"]);
    assert_eq!(operator.json(&["list-user-limits"]), json!([]));
    operator.fails(&["set-user-limits", "ann", "{\"no-such\": 1}"], 1, &["no limit 'no-such'"]);
    operator.fails(&["set-user-limits", "ann", "[]"], 2, &["is no JSON object"]);
    operator.fails(
        &["set-user-limits", "nobody", "{\"max-channels\": 1}"],
        1,
        &["there is no user 'nobody'"],
    );
    operator.ok(&["delete-user", "ann"]);
    for command in [&["delete-user", "ann"][..], &["change-password", "ann", "x"], &["set-user-tags", "ann"]]
    {
        operator.fails(command, 1, &["there is no user 'ann'"]);
    }
}

#[test]
fn a_hash_that_was_made_here_lets_its_user_in() {
    let Some(operator) = Operator::start(&[]) else { return };
    for algorithm in ["sha256", "argon2id"] {
        let hash = operator.ok(&["hash-password", "secret", "--algorithm", algorithm]);
        operator.ok(&["add-user", algorithm, hash.trim(), "--pre-hashed-password", "--tag", "management"]);
        operator.ok(&["status", "--user", algorithm, "--password", "secret"]);
        operator.fails(&["status", "--user", algorithm, "--password", hash.trim()], 1, &["is not let in"]);
        operator.ok(&["set-user-tags", algorithm, "monitoring"]);
        operator.ok(&["status", "--user", algorithm, "--password", "secret"]);
    }
    assert_eq!(operator.fed(&["hash-password"], b"secret\n").out.len(), 97 + 1);
}

#[test]
fn virtual_hosts_and_permissions_come_and_go() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&[
        "add-vhost",
        "a/shop",
        "--description",
        "for orders",
        "--tag",
        "x",
        "--default-queue-type",
        "quorum",
    ]);
    let columns = ["list-vhosts", "name", "description", "tags", "default_queue_type"];
    let wanted = json!([
        { "name": "/", "description": "", "tags": [], "default_queue_type": "undefined" },
        { "name": "a/shop", "description": "for orders", "tags": ["x"], "default_queue_type": "quorum" },
    ]);
    let mut got = operator.json(&columns);
    got[0]["description"] = json!("");
    assert_eq!(got, wanted);
    operator.ok(&["add-user", "ann", "secret"]);
    operator.ok(&["set-permissions", "ann", "^ann", "", ".*", "-p", "a/shop"]);
    let wanted = json!([{ "vhost": "a/shop", "configure": "^ann", "write": "", "read": ".*" }]);
    assert_eq!(operator.json(&["list-user-permissions", "ann"]), wanted);
    assert_eq!(
        operator.json(&["list-permissions", "user", "-p", "a/shop"]),
        json!([{ "user": "ann" }, { "user": "guest" }])
    );
    assert_eq!(operator.json(&["list-permissions", "-A"]).as_array().unwrap().len(), 3);
    operator.ok(&["set-topic-permissions", "ann", "amq.topic", "^a", "^b", "-p", "a/shop"]);
    operator.ok(&["set-topic-permissions", "ann", "other", "^a", "^b", "-p", "a/shop"]);
    let wanted = json!([{ "user": "ann", "exchange": "amq.topic", "write": "^a", "read": "^b" }]);
    operator.ok(&["clear-topic-permissions", "ann", "other", "-p", "a/shop"]);
    assert_eq!(operator.json(&["list-topic-permissions", "-p", "a/shop"]), wanted);
    let wanted = json!([{ "vhost": "a/shop", "exchange": "amq.topic", "write": "^a", "read": "^b" }]);
    assert_eq!(operator.json(&["list-user-topic-permissions", "ann"]), wanted);
    operator.ok(&["clear-topic-permissions", "ann", "-p", "a/shop"]);
    operator.ok(&["clear-permissions", "ann", "-p", "a/shop"]);
    assert_eq!(operator.json(&["list-user-permissions", "ann"]), json!([]));
    operator.fails(
        &["clear-permissions", "ann", "-p", "a/shop"],
        1,
        &["there is no user 'ann' in virtual host 'a/shop', or no permissions"],
    );
    operator.fails(&["set-permissions", "nobody", "", "", ""], 1, &["user_not_found"]);
    operator.fails(&["set-permissions", "ann", "(", "", ""], 1, &["400"]);
    operator.ok(&["set-vhost-limits", "{\"max-queues\": 1}", "-p", "a/shop"]);
    assert_eq!(
        operator.json(&["list-vhost-limits"]),
        json!([{ "vhost": "a/shop", "limits": { "max-queues": 1 } }])
    );
    assert_eq!(operator.json(&["list-vhost-limits", "-p", "/"]), json!([]));
    operator.ok(&["clear-vhost-limits", "-p", "a/shop"]);
    assert_eq!(operator.json(&["list-vhost-limits"]), json!([]));
    operator.ok(&["delete-vhost", "a/shop"]);
    operator.fails(&["delete-vhost", "a/shop"], 1, &["there is no virtual host 'a/shop'"]);
    operator.fails(&["list-queues", "-p", "a/shop"], 1, &["there is no virtual host 'a/shop'"]);
}

#[test]
fn policies_and_parameters_come_and_go() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&[
        "set-policy",
        "short",
        "^jobs",
        "{\"max-length\": 5}",
        "--priority",
        "-2",
        "--apply-to",
        "queues",
    ]);
    let policy = |name: &str, pattern: &str, to: &str, definition, priority| json!([{ "vhost": "/", "name": name, "pattern": pattern, "apply-to": to, "definition": definition, "priority": priority }]);
    let wanted = policy("short", "^jobs", "queues", json!({ "max-length": 5 }), json!(-2));
    assert_eq!(operator.json(&["list-policies"]), wanted);
    operator.ok(&["set-operator-policy", "cap", ".*", "{\"max-length\": 3}"]);
    let wanted = policy("cap", ".*", "all", json!({ "max-length": 3 }), json!(0));
    assert_eq!(operator.json(&["list-operator-policies"]), wanted);
    operator.ok(&["declare-queue", "jobs"]);
    let shown = operator.json(&["show", "queue", "jobs"]);
    assert_eq!((&shown["policy"], &shown["operator_policy"]), (&json!("short"), &json!("cap")));
    operator.ok(&["set-parameter", "shovel", "mine", "{\"src-uri\": \"amqp://\"}"]);
    let parameters = json!([
        { "component": "shovel", "name": "mine", "value": { "src-uri": "amqp://" } },
        { "component": "operator_policy", "name": "cap", "value": { "pattern": ".*", "apply-to": "all", "priority": 0, "definition": { "max-length": 3 } } },
    ]);
    assert_eq!(operator.json(&["list-parameters"]), parameters);
    operator.ok(&["add-vhost", "shop"]);
    assert_eq!(operator.json(&["list-parameters", "-p", "shop"]), json!([]));
    operator.ok(&["clear-parameter", "shovel", "mine"]);
    operator.ok(&["clear-operator-policy", "cap"]);
    operator.ok(&["clear-policy", "short"]);
    operator.fails(&["clear-policy", "short"], 1, &["there is no policy 'short' in virtual host '/'"]);
    operator.fails(&["clear-operator-policy", "cap"], 1, &["there is no operator policy 'cap'"]);
    operator.fails(&["clear-parameter", "shovel", "mine"], 1, &["there is no parameter of shovel 'mine'"]);
    operator.fails(&["set-policy", "bad", "(", "{}"], 1, &["400"]);
    operator.fails(&["set-policy", "bad", "a", "max-length"], 2, &["is no JSON"]);
    operator.fails(&["set-policy", "bad", "a", "{}", "--apply-to", "frogs"], 2, &["frogs"]);
}
