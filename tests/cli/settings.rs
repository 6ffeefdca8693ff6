//! Settings of queues at the command line.

use serde_json::json;

use crate::operator::Operator;

#[test]
fn settings_are_shown_with_who_says_them_and_changed_while_the_queue_stands() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "jobs", "--argument", "x-max-length=10"]);
    for body in ["one", "two", "three"] {
        operator.ok(&["publish", "jobs", body]);
    }
    let shown = operator.ok(&["settings", "show", "jobs"]);
    let line = shown.lines().find(|line| line.starts_with("max-length ")).unwrap();
    assert!(line.contains("10") && line.contains("argument"), "{shown}");

    let told = operator.ok(&["settings", "set", "jobs", "max-length=2", "--dry-run"]);
    for part in ["max-length", "argument", "1 messages are too many", "406 PRECONDITION_FAILED"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let value = |name: &str| {
        let all = operator.json(&["settings", "show", "jobs"]);
        let found = all.as_array().unwrap().iter().find(|its| its["name"] == name);
        found.map_or(json!(null), |its| its["value"].clone())
    };
    assert_eq!(value("max-length"), 10);

    operator.ok(&["settings", "set", "jobs", "x-max-length=2", "overflow=reject-publish"]);
    assert_eq!((value("max-length"), value("overflow")), (json!(2), json!("reject-publish")));
    operator.ok(&["settings", "set", "jobs", "--unset", "max-length"]);
    assert_eq!(value("max-length"), json!(null));
    assert!(operator.ok(&["settings", "set", "jobs", "--unset", "max-length"]).contains("nothing changes"));
    let csv = operator.ok(&["settings", "set", "jobs", "max-length=5", "--dry-run", "--format", "csv"]);
    assert_eq!(csv, "name,old,old_from,new,from\nmax-length,,default,5,argument\n");

    let refused = ["settings", "set", "jobs", "queue-type=quorum"];
    operator.fails(&refused, 1, &["x-queue-type cannot change while the queue stands"]);
    operator.fails(&["settings", "show", "none"], 1, &["there is no queue 'none'"]);
    operator.fails(&["settings", "set", "jobs", "max-length"], 2, &["is not NAME=VALUE"]);
}
