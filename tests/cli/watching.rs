//! Whether the broker is well, and what is going on.

use std::time::Instant;

use serde_json::json;

use crate::{
    broker::DEADLINE,
    operator::{Operator, bare, run},
};

#[test]
fn a_probe_needs_no_login_on_the_same_machine_and_readiness_does() {
    let Some(operator) = Operator::start(&[]) else { return };
    let outcome = run(bare().args(["health", "--url", &operator.url]), b"");
    assert_eq!((outcome.code, &*outcome.out), (0, "ok\n"), "{outcome:?}");
    operator.fails(&["health", "--user", "guest", "--password", "wrong"], 1, &["is not let in"]);
    operator.fails(&["health", "--ready", "--password", "wrong"], 1, &["is not let in"]);
    let checks = operator.json(&["health", "--ready", "--certificates", "30"]);
    let all = checks.as_array().unwrap();
    assert!(all.len() == 9 && all.iter().all(|check| check["status"] == "ok"), "{checks}");
    assert!(operator.ok(&["health", "--ready"]).contains("ready-to-serve-clients"));
}

#[test]
fn a_broker_that_is_not_ready_is_an_error_that_says_which_checks_fail() {
    // Nobody has so much.
    let Some(operator) = Operator::start(&["--disk-free-limit", "1000000T"]) else { return };
    let start = Instant::now();
    let mut outcome = operator.run(&["health", "--ready"]);
    // The disk is looked at soon after the start, perhaps between two checks.
    while !outcome.error.contains("alarms, local-alarms") && start.elapsed() < DEADLINE {
        outcome = operator.run(&["health", "--ready"]);
    }
    outcome.failed(1, &["not ready: alarms, local-alarms"]);
    assert!(outcome.out.contains("resource alarm(s) in effect"), "{outcome:?}");
    assert_eq!(operator.run(&["health"]).code, 0, "it lives");
}

#[test]
fn the_status_has_what_there_is_and_where_it_listens() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "jobs"]);
    operator.ok(&["publish", "jobs", "x"]);
    let status = operator.json(&["status"]);
    assert_eq!(
        (&status["queues"], &status["messages"], &status["product"]),
        (&json!(1), &json!(1), &json!("Leveret"))
    );
    assert_eq!(status["mem_alarm"], json!(false));
    let shown = operator.ok(&["status"]);
    for line in ["queues ", "mem_used ", "uptime ", "listeners "] {
        assert!(shown.lines().any(|its| its.starts_with(line)), "{line} in {shown}");
    }
    assert!(shown.contains(&format!("amqp {}", operator.broker.address)), "{shown}");
    assert!(operator.ok(&["status", "--format", "csv"]).contains("\nqueues,1\n"));
    operator.ok(&["add-user", "ann", "secret", "--tag", "management"]);
    let shown = operator.ok(&["status", "--user", "ann", "--password", "secret"]);
    assert!(!shown.contains("mem_used"), "it takes the tag monitoring: {shown}");
}

#[test]
fn top_shows_the_queues_that_have_most() {
    let Some(operator) = Operator::start(&[]) else { return };
    for queue in ["a", "b", "c"] {
        operator.ok(&["declare-queue", queue]);
    }
    operator.ok(&["publish", "b", "x"]);
    let shown = operator.ok(&["top", "--count", "1", "--queues", "2"]);
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("leveret@") && lines[0].contains("memory"), "{shown}");
    assert!(lines[1].contains("queues 3") && lines[1].contains("messages 1 (1 ready, 0 unacked)"), "{shown}");
    assert!(lines[2].starts_with("publish "), "{shown}");
    assert!(lines[5].starts_with("b ") && lines.len() == 7, "{shown}");
    for figure in ["publish", "deliver", "ack", "memory"] {
        operator.ok(&["top", "--count", "1", "--sort", figure, "-p", "/"]);
    }
    operator.ok(&["top", "--count", "2", "--interval", "0.2"]);
    operator.fails(&["top", "--count", "1", "-p", "none"], 1, &["there is no virtual host 'none'"]);
    operator.fails(&["top", "--interval", "0"], 2, &["is not between"]);
}
