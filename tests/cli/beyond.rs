//! What Leveret has beyond RabbitMQ: messages looked at where they stand, delayed ones, redrives, drops.

use std::{thread, time::Instant};

use serde_json::{Value, json};

use crate::{
    broker::DEADLINE,
    operator::Operator,
    wire::{Wire, basic_consume},
};

/// Asks again until a list has what is wanted.
fn until(operator: &Operator, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let answer = operator.json(args);
        if wanted(&answer) {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "{args:?}: {answer}");
    }
}

#[test]
fn messages_are_looked_at_page_by_page_and_stay_what_they_are() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "jobs"]);
    for body in ["one", "two", "three"] {
        operator.ok(&["publish", "jobs", body]);
    }
    let first = operator.run(&["peek", "jobs", "--limit", "2"]);
    let lines: Vec<_> = first.out.lines().collect();
    assert!(lines.len() == 3 && lines[1].ends_with("one") && lines[2].ends_with("two"), "{first:?}");
    let next =
        first.error.strip_prefix("there are more: --from ").unwrap_or_else(|| panic!("{first:?}")).trim();
    let rest = operator.json(&["peek", "jobs", "--from", next, "--payload-bytes", "2"]);
    assert_eq!((&rest["messages"][0]["payload"], &rest["next"]), (&json!("th"), &Value::Null));
    assert_eq!(operator.ok(&["peek", "jobs", "--format", "csv"]).lines().count(), 4);
    assert_eq!(operator.json(&["get", "jobs"])[0]["redelivered"], false, "looking has marked nothing");
    let mut wire = Wire::open_to(operator.broker.clone());
    wire.channel(1);
    wire.send(1, &basic_consume("jobs", "tag", 0)).expect(1, 60, 21);
    wire.expect_delivery(1, b"one");
    let held = operator.ok(&["peek", "jobs", "--state", "unacked"]);
    assert!(held.contains("127.0.0.1:") && held.contains(" (1) tag since 20"), "{held}");
    operator.fails(&["peek", "none"], 1, &["there is no queue 'none' in virtual host '/'"]);
    operator.fails(&["peek", "jobs", "--from", "nonsense"], 1, &["nonsense is no place"]);
}

#[test]
fn delayed_messages_are_listed_rescheduled_and_cancelled() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "jobs"]);
    operator.ok(&["publish", "jobs", "later", "--header", "x-delay=4000000"]);
    operator.ok(&["publish", "jobs", "sooner", "--header", "x-delay=3000000"]);
    let list = operator.ok(&["delayed", "list"]);
    let lines: Vec<_> = list.lines().collect();
    assert!(lines.len() == 3 && lines[1].ends_with("sooner") && lines[2].ends_with("later"), "{list}");
    let list = operator.json(&["delayed", "list"]);
    let position = list["messages"][0]["position"].as_str().unwrap();
    operator.ok(&["delayed", "reschedule", position, "--at", "2031-01-31T12:00:00Z"]);
    operator.fails(
        &["delayed", "reschedule", position, "--in", "2d"],
        1,
        &["there is no message at", "that waits in virtual host '/'"],
    );
    for no_time in [&["--in", "soon"][..], &["--at", "soon"], &[]] {
        let refused = operator.run(&[&["delayed", "reschedule", position], no_time].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
    }
    let list = operator.json(&["delayed", "list"]);
    let sooner = &list["messages"][1];
    assert_eq!((&sooner["payload"], &sooner["due"]), (&json!("sooner"), &json!(1_927_627_200_000_u64)));
    let position = sooner["position"].as_str().unwrap();
    operator.ok(&["delayed", "cancel", position]);
    operator.fails(
        &["delayed", "cancel", position],
        1,
        &["there is no message at", "that waits in virtual host '/'"],
    );
    assert_eq!(operator.json(&["delayed", "list"])["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn messages_that_wait_for_a_retry_are_listed_rescheduled_and_cancelled() {
    let Some(operator) = Operator::start(&[]) else { return };
    let retry = ["--argument", "x-delayed-retry-type=all", "--argument", "x-delayed-retry-min=4000000"];
    let retry = [
        &["declare-queue", "jobs", "--type", "quorum", "--argument", "x-delayed-retry-max=4000000"],
        &retry[..],
    ]
    .concat();
    operator.ok(&retry);
    operator.ok(&["publish", "jobs", "again"]);
    operator.ok(&["get", "jobs"]);
    let list =
        until(&operator, &["delayed", "list", "--queue", "jobs"], |list| list["messages"] != json!([]));
    let message = &list["messages"][0];
    assert_eq!((&message["payload"], &message["state"]), (&json!("again"), &json!("delayed")));
    let position = message["position"].as_str().unwrap();
    operator.ok(&["delayed", "reschedule", position, "--queue", "jobs", "--in", "90d"]);
    let list = operator.json(&["delayed", "list", "--queue", "jobs"]);
    let (before, after) = (message["due"].as_u64().unwrap(), list["messages"][0]["due"].as_u64().unwrap());
    assert!(after > before + 80 * 86_400_000, "{before} {after}");
    let position = list["messages"][0]["position"].as_str().unwrap();
    operator.ok(&["delayed", "cancel", position, "--queue", "jobs"]);
    assert_eq!(operator.json(&["peek", "jobs", "--state", "delayed"])["messages"], json!([]));
}

#[test]
fn dead_messages_are_redriven() {
    let Some(operator) = Operator::start(&[]) else { return };
    let letters = ["--argument", "x-dead-letter-exchange=", "--argument", "x-dead-letter-routing-key=dead"];
    operator.ok(&[&["declare-queue", "work"], &letters[..]].concat());
    operator.ok(&["declare-queue", "dead"]);
    operator.ok(&["declare-queue", "other"]);
    for number in 0..6 {
        operator.ok(&["publish", "work", "x", "--persistent", "--header", &format!("n={number}")]);
    }
    operator.ok(&["get", "work", "--count", "6", "--then", "reject"]);
    let of_dead = ["list-queues", "--name", "dead"];
    until(&operator, &of_dead, |queues| queues[0]["messages"] == 6);
    let dry = operator.json(&[
        "redrive",
        "dead",
        "--to-origin",
        "--reason",
        "rejected",
        "--header",
        "n=3",
        "--dry-run",
    ]);
    assert_eq!(dry, json!([{ "matched": 1, "looked_at": 6, "complete": true }]));
    let one = operator.json(&["redrive", "dead", "--to-origin", "--header", "n=3", "--wait"]);
    assert_eq!(
        (&one[0]["sent"], &one[0]["unmatched"], &one[0]["ended"]),
        (&json!(1), &json!(5), &json!("at_end"))
    );
    let two = operator.json(&["redrive", "dead", "--to-queue", "other", "--limit", "2", "--copy", "--wait"]);
    assert_eq!((&two[0]["sent"], &two[0]["ended"]), (&json!(2), &json!("at_limit")));
    let to_exchange = ["redrive", "dead", "--to-exchange", ":other", "--limit", "1", "--wait"];
    assert_eq!(operator.json(&to_exchange)[0]["sent"], 1);
    operator.fails(
        &["redrive", "dead", "--to-queue", "none"],
        1,
        &["there is no queue 'dead' in virtual host '/', or its messages' target is not there"],
    );
    operator.ok(&["declare-queue", "gone"]);
    for _ in 0..10 {
        operator.ok(&["publish", "dead", "x"]);
    }
    let slow = ["redrive", "dead", "--to-queue", "gone", "--per-second", "1", "--wait", "--format", "json"];
    let ended = thread::scope(|scope| {
        let waiting = scope.spawn(|| operator.run(&slow));
        let runs = |its: &Value| its["ended"].is_null();
        until(&operator, &["redrives"], |all| all.as_array().unwrap().iter().any(runs));
        operator.ok(&["delete-queue", "gone"]);
        waiting.join().unwrap()
    });
    let shown: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &shown[0]["ended"]), (0, &json!("at_end")), "{ended:?}");
    assert!(shown[0]["unroutable"].as_u64() > Some(0), "what has no target stays: {ended:?}");
    let begun = operator.ok(&["redrive", "dead", "--to-queue", "other", "--per-second", "1"]);
    let number: u64 = begun.split(' ').nth(1).unwrap_or_else(|| panic!("{begun}")).parse().unwrap();
    assert_eq!(begun, format!("redrive {number} runs; leveret stop-redrive {number} stops it\n"));
    operator.ok(&["stop-redrive", &number.to_string()]);
    let is_it = |its: &Value| its["id"] == number && its["ended"] == "stopped";
    until(&operator, &["redrives"], |all| all.as_array().unwrap().iter().any(is_it));
    operator.fails(&["stop-redrive", "99"], 1, &["there is no redrive 99"]);
    operator.fails(&["redrive", "none", "--to-origin"], 1, &["there is no queue 'none'"]);
}

#[test]
fn drops_are_listed_with_their_reasons() {
    let Some(operator) = Operator::start(&[]) else { return };
    assert_eq!(operator.json(&["list-drops"]), json!([]));
    operator.ok(&["declare-queue", "short", "--argument", "x-max-length=1"]);
    for _ in 0..3 {
        operator.ok(&["publish", "short", "x"]);
    }
    let wanted = json!([{ "vhost": "/", "queue": "short", "reason": "maxlen", "count": 2 }]);
    assert_eq!(operator.json(&["list-drops"]), wanted);
    assert_eq!(operator.json(&["list-drops", "count", "-p", "/"]), json!([{ "count": 2 }]));
    operator.ok(&["add-vhost", "shop"]);
    assert_eq!(operator.json(&["list-drops", "-p", "shop"]), json!([]));
}
