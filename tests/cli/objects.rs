//! Queues, exchanges, bindings and definitions, through their lives.

use serde_json::json;

use crate::operator::Operator;

#[test]
fn a_queue_is_declared_shown_emptied_and_deleted() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&[
        "declare-queue",
        "a b/c",
        "--argument",
        "x-max-length=10",
        "--argument",
        "x-overflow=drop-head",
    ]);
    operator.ok(&[
        "declare-queue",
        "a b/c",
        "--argument",
        "x-max-length=10",
        "--argument",
        "x-overflow=drop-head",
    ]);
    operator.ok(&["declare-queue", "q", "--type", "quorum"]);
    operator.ok(&["declare-queue", "t", "--transient", "--auto-delete"]);
    let columns = ["list-queues", "name", "type", "durable", "auto_delete", "arguments"];
    let wanted = json!([
        { "name": "a b/c", "type": "classic", "durable": true, "auto_delete": false, "arguments": { "x-max-length": 10, "x-overflow": "drop-head" } },
        { "name": "q", "type": "quorum", "durable": true, "auto_delete": false, "arguments": { "x-queue-type": "quorum" } },
        { "name": "t", "type": "classic", "durable": false, "auto_delete": true, "arguments": {} },
    ]);
    assert_eq!(operator.json(&columns), wanted);
    operator.ok(&["publish", "a b/c", "hello"]);
    assert_eq!(operator.json(&["show", "queue", "a b/c"])["messages"], 1);
    let shown = operator.ok(&["show", "queue", "a b/c"]);
    assert!(shown.lines().any(|line| line.starts_with("name ") && line.ends_with(" a b/c")), "{shown}");
    operator.fails(
        &["delete-queue", "a b/c", "--if-empty"],
        1,
        &["queue 'a b/c' in virtual host '/'", "400", "not empty"],
    );
    operator.ok(&["purge-queue", "a b/c"]);
    assert_eq!(operator.json(&["show", "queue", "a b/c"])["messages"], 0);
    operator.ok(&["delete-queue", "a b/c", "--if-empty", "--if-unused"]);
    for command in [&["delete-queue", "a b/c"][..], &["purge-queue", "a b/c"], &["show", "queue", "a b/c"]] {
        operator.fails(command, 1, &["there is no queue 'a b/c' in virtual host '/'"]);
    }
    operator.fails(&["declare-queue", "q"], 1, &["inequivalent arg 'x-queue-type'"]);
}

#[test]
fn exchanges_and_bindings_are_declared_shown_and_deleted() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-exchange", "events", "--type", "topic"]);
    operator.ok(&[
        "declare-exchange",
        "inner",
        "--type",
        "fanout",
        "--internal",
        "--auto-delete",
        "--transient",
    ]);
    operator.ok(&["declare-queue", "q"]);
    let shown = operator.json(&["show", "exchange", "inner"]);
    let wanted = json!([true, true, false, "fanout"]);
    assert_eq!(json!([shown["internal"], shown["auto_delete"], shown["durable"], shown["type"]]), wanted);
    operator.ok(&["declare-binding", "events", "q", "--routing-key", "a.#"]);
    operator.ok(&["declare-binding", "events", "q", "--argument", "n=1"]);
    operator.ok(&["declare-binding", "events", "inner", "--destination-type", "exchange"]);
    let mut bindings = operator.json(&["list-bindings", "--name", ""]);
    bindings.as_array_mut().unwrap().retain(|binding| binding["source_name"] == "events");
    let binding = |name: &str, kind: &str, key: &str, arguments| {
        json!({
            "source_name": "events", "source_kind": "exchange", "destination_name": name,
            "destination_kind": kind, "routing_key": key, "arguments": arguments,
        })
    };
    let wanted = [
        binding("inner", "exchange", "", json!({})),
        binding("q", "queue", "", json!({ "n": 1 })),
        binding("q", "queue", "a.#", json!({})),
    ];
    let mut bindings = bindings.as_array().unwrap().clone();
    bindings.sort_by_key(|binding| binding.to_string());
    let mut wanted = wanted.to_vec();
    wanted.sort_by_key(|binding| binding.to_string());
    assert_eq!(bindings, wanted);
    operator.fails(
        &["delete-binding", "events", "q", "--routing-key", "b"],
        1,
        &["there is no binding", "there are 2"],
    );
    operator.ok(&["delete-binding", "events", "q", "--routing-key", "a.#"]);
    operator.ok(&["delete-binding", "events", "q", "--argument", "n=1"]);
    operator.ok(&["delete-binding", "events", "inner", "--destination-type", "exchange"]);
    operator.fails(&["declare-binding", "events", "nowhere"], 1, &["nowhere"]);
    operator.fails(&["declare-exchange", "bad", "--type", "no-such"], 1, &["no-such"]);
    operator.fails(&["declare-exchange", ""], 2, &["always there"]);
    operator.ok(&["delete-exchange", "events", "--if-unused"]);
    operator.fails(&["delete-exchange", "events"], 1, &["there is no exchange 'events' in virtual host '/'"]);
    operator.fails(&["show", "exchange", "events"], 1, &["there is no exchange"]);
    assert_eq!(operator.json(&["show", "exchange", ""])["type"], "direct", "the one without a name");
}

#[test]
fn definitions_go_to_a_file_and_come_from_one() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "jobs"]);
    operator.ok(&["add-vhost", "shop"]);
    operator.ok(&["declare-queue", "orders", "-p", "shop"]);
    let (all, one) = (operator.file("all.json", "old"), operator.file("folder/one.json", ""));
    operator.ok(&["export-definitions", &all]);
    operator.ok(&["export-definitions", &one, "-p", "shop"]);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&all).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "it has hashes");
    assert!(!std::fs::read_to_string(&one).unwrap().contains("jobs"));
    let out = operator.ok(&["export-definitions", "-"]);
    assert_eq!(out, std::fs::read_to_string(&all).unwrap());
    let Some(other) = Operator::start(&[]) else { return };
    other.ok(&["import-definitions", &all]);
    assert_eq!(other.ok(&["export-definitions", "-"]), out);
    other.ok(&["add-vhost", "copy"]);
    let outcome = other.fed(&["import-definitions", "-", "-p", "copy"], &std::fs::read(&one).unwrap());
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(other.json(&["list-queues", "-p", "copy"]), json!([{ "name": "orders", "messages": 0 }]));
    let bad = operator.file("bad.json", "{\"queues\": [{\"name\": 5}]}");
    other.fails(&["import-definitions", &bad], 1, &["definitions", "400"]);
    let none = operator.file("none.json", "{");
    other.fails(&["import-definitions", &none], 2, &["none.json is no JSON", "line 1"]);
    other.fails(&["import-definitions", "/no/such/file"], 1, &["/no/such/file: No such file"]);
    other.fails(&["export-definitions", "/no/such/folder/file"], 1, &["/no/such/folder/file: "]);
    other.fails(&["export-definitions", "-", "-p", "none"], 1, &["there is no virtual host 'none'"]);
}
