//! Messages, published and taken.

use serde_json::json;

use crate::operator::Operator;

#[test]
fn messages_are_published_looked_at_and_taken() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "jobs"]);
    let properties = ["--property", "content_type=text/plain", "--property", "priority=3"];
    operator.ok(&[
        &["publish", "jobs", "hello", "--persistent", "--header", "n=1", "--header", "s=x"],
        &properties[..],
    ]
    .concat());
    let binary = operator.fed(&["publish", "jobs"], b"\xFF\x00\n");
    assert_eq!(binary.code, 0, "{binary:?}");
    let file = operator.file("payload", "from a file\n");
    operator.ok(&["publish", "jobs", "--file", &file]);
    let got = operator.json(&["get", "jobs", "--count", "5"]);
    assert_eq!(got.as_array().unwrap().len(), 3);
    let wanted = json!({
        "content_type": "text/plain", "priority": 3, "delivery_mode": 2, "headers": { "n": 1, "s": "x" },
    });
    assert_eq!((&got[0]["payload"], &got[0]["properties"]), (&json!("hello"), &wanted));
    assert_eq!((&got[1]["payload"], &got[1]["payload_encoding"]), (&json!("/wAK"), &json!("base64")));
    assert_eq!((&got[2]["payload"], &got[2]["payload_bytes"]), (&json!("from a file\n"), &json!(12)));
    let again = operator.json(&["get", "jobs", "--truncate", "2"]);
    assert_eq!((&again[0]["payload"], &again[0]["redelivered"]), (&json!("he"), &json!(true)));
    operator.ok(&["get", "jobs", "--then", "remove"]);
    operator.ok(&["get", "jobs", "--then", "reject"]);
    let last = operator.ok(&["get", "jobs", "--count", "5", "--then", "remove"]);
    assert!(last.contains("from a file\\n") && last.lines().count() == 2, "{last}");
    assert_eq!(operator.json(&["get", "jobs"]), json!([]));
    operator.fails(&["get", "none"], 1, &["there is no queue 'none' in virtual host '/'"]);
}

#[test]
fn a_message_that_reaches_no_queue_is_an_error() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.fails(&["publish", "nowhere", "x"], 1, &["leads with routing key 'nowhere' to no queue"]);
    operator.fails(&["publish", "k", "x", "--exchange", "none"], 1, &["there is no exchange 'none'"]);
    operator.fails(&["publish", "k", "x", "--property", "colour=red"], 2, &["there is no property 'colour'"]);
    operator.fails(&["publish", "k", "--file", "/no/such/file"], 1, &["/no/such/file"]);
    let outcome = operator.run(&["publish", "k", "x", "--file", "y"]);
    assert_eq!(outcome.code, 2, "{outcome:?}");
}
