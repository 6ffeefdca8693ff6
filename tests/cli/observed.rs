//! What happens to single messages: seen live, traced, dropped.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::json;

use crate::operator::Operator;

#[test]
fn a_traced_message_has_a_history() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "jobs"]);
    operator.ok(&["trace", "on", "--message", "m-1"]);
    operator.ok(&["trace", "on", "--queue", "other"]);
    let traces = operator.json(&["trace", "list"]);
    assert_eq!(traces, json!([{ "kind": "queue", "name": "other" }, { "kind": "message", "name": "m-1" }]));
    operator.ok(&["publish", "jobs", "x", "--property", "message_id=m-1"]);
    operator.ok(&["get", "jobs", "--then", "remove"]);
    let events = operator.json(&["trace", "show", "--message", "m-1"]);
    let names: Vec<_> =
        events.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["published", "enqueued", "got"]);
    let shown = operator.ok(&["trace", "show", "--queue", "jobs", "--limit", "1"]);
    assert!(
        shown.starts_with("number") && shown.lines().count() == 2 && shown.contains("no_ack=true"),
        "{shown}"
    );
    operator.ok(&["trace", "off", "--message", "m-1"]);
    operator.fails(&["trace", "off", "--message", "m-1"], 1, &["there is no trace of message 'm-1'"]);
    operator.ok(&["trace", "clear"]);
    assert_eq!(operator.json(&["trace", "show"]), json!([]));
    operator.fails(&["trace", "show", "-p", "none"], 1, &["there is no virtual host 'none'"]);
    assert_eq!(operator.run(&["trace", "on"]).code, 2);
    assert_eq!(operator.run(&["trace", "on", "--queue", "q", "--message", "m"]).code, 2);
}

#[test]
fn the_last_dropped_messages_are_shown() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "short", "--argument", "x-max-length=1"]);
    for body in ["one", "two", "three"] {
        operator.ok(&["publish", "short", body]);
    }
    let drops = operator.json(&["drops"]);
    let payloads: Vec<_> = drops.as_array().unwrap().iter().map(|dropped| &dropped["payload"]).collect();
    assert_eq!(payloads, [&json!("two"), &json!("one")]);
    assert_eq!(operator.json(&["drops", "--queue", "other"]), json!([]));
    let shown = operator.ok(&["drops", "--reason", "maxlen"]);
    assert!(shown.starts_with("at ") && shown.lines().count() == 3, "{shown}");
    operator.fails(&["drops", "--reason", "nonsense"], 1, &["unknown reason: nonsense"]);
}

#[test]
fn a_tail_writes_what_comes_in_until_it_has_enough() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "jobs"]);
    for what in [&["jobs"][..], &["--exchange", ""]] {
        let mut command = operator.command();
        let arguments = [&["tail", "--count", "2", "--format", "json"][..], what].concat();
        let mut child =
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // It says nothing before the first message: one that came too early is followed by another.
        let publish = || operator.ok(&["publish", "jobs", "x"]);
        let (sender, stop) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while stop.recv_timeout(std::time::Duration::from_millis(20))
                    == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    publish();
                }
            });
            for _ in 0..2 {
                let message: serde_json::Value =
                    serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
                assert_eq!((&message["payload"], &message["routing_key"]), (&json!("x"), &json!("jobs")));
            }
            drop(sender);
        });
        assert!(lines.next().is_none() && child.wait().unwrap().success());
    }
    operator.fails(&["tail", "none"], 1, &["there is no queue 'none'"]);
    assert_eq!(operator.run(&["tail"]).code, 2);
    assert_eq!(operator.run(&["tail", "jobs", "--exchange", "x"]).code, 2);
    operator.fails(&["tail", "jobs", "--per-second", "0"], 1, &["per_second is not between"]);
}
