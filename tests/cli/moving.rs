//! Moving in from another broker, for which a Leveret stands in: it speaks RabbitMQ's languages. tests/moving/run does it with a RabbitMQ.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::operator::{Operator, Outcome};

/// From where, and to where.
struct Move {
    from: Operator,
    to: Operator,
}

impl Move {
    fn start(from: &[&str], to: &[&str]) -> Option<Self> {
        Some(Self { from: Operator::start(from)?, to: Operator::start(to)? })
    }

    fn addresses(&self) -> [String; 4] {
        let management = self.from.url.replace("http://", "http://guest:guest@");
        ["--management".into(), management, "--amqp".into(), format!("amqp://{}", self.from.broker.address)]
    }

    fn run(&self, args: &[&str]) -> Outcome {
        let addresses = self.addresses();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        self.to.run(&[&["import-from-rabbitmq"], &addresses[..], args].concat())
    }

    /// What is told of each queue.
    fn rows(&self, args: &[&str], code: i32) -> Vec<Value> {
        let outcome = self.run(&[args, &["--format", "json"]].concat());
        assert_eq!(outcome.code, code, "{outcome:?}");
        serde_json::from_str(&outcome.out).unwrap()
    }
}

fn fill(broker: &Operator, queue: &str, bodies: std::ops::Range<u32>) {
    for body in bodies {
        broker.ok(&["publish", queue, &body.to_string(), "--persistent", "--header", "n=1"]);
    }
}

fn payloads(broker: &Operator, queue: &str) -> Vec<String> {
    let messages = broker.json(&["peek", queue, "--limit", "500"]);
    messages["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["payload"].as_str().unwrap().to_owned())
        .collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn row<'a>(rows: &'a [Value], name: &str) -> &'a Value {
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} in {rows:?}"))
}

#[test]
fn definitions_and_messages_move_from_one_broker_to_another() {
    let Some(moving) = Move::start(&[], &[]) else { return };
    let Move { from, to } = &moving;
    from.ok(&["add-user", "ann", "old-password", "--tag", "management"]);
    from.ok(&["add-vhost", "shop"]);
    for vhost in ["/", "shop"] {
        from.ok(&["set-permissions", "ann", ".*", ".*", ".*", "-p", vhost]);
        from.ok(&["set-permissions", "guest", ".*", ".*", ".*", "-p", vhost]);
        from.ok(&["declare-queue", "jobs", "-p", vhost]);
    }
    from.ok(&["declare-exchange", "orders", "--type", "topic"]);
    from.ok(&["declare-queue", "empty"]);
    fill(from, "jobs", 0..20);
    from.ok(&["publish", "jobs", "in the shop", "-p", "shop"]);
    let rows = moving.rows(&[], 0);
    assert_eq!(rows.len(), 3);
    let wanted = json!({
        "vhost": "/", "name": "jobs", "messages": 20, "moved": 20, "refused": 0, "left": 0, "why": "",
    });
    assert_eq!(row(&rows, "jobs"), &wanted);
    assert_eq!(payloads(to, "jobs"), numbers(0..20));
    assert_eq!(to.json(&["peek", "jobs", "-p", "shop"])["messages"][0]["payload"], "in the shop");
    assert!(payloads(from, "jobs").is_empty());
    let first = to.json(&["peek", "jobs", "--limit", "1"])["messages"][0].clone();
    assert_eq!(first["properties"], json!({ "delivery_mode": 2, "headers": { "n": 1 } }));
    to.ok(&["list-queues", "--user", "ann", "--password", "old-password"]);
    // Again: there is nothing left, and what is here stays.
    fill(from, "jobs", 20..22);
    assert_eq!(row(&moving.rows(&[], 0), "jobs")["moved"], 2);
    assert_eq!(payloads(to, "jobs"), numbers(0..22));
}

#[test]
fn what_is_left_is_told_and_is_no_success() {
    let Some(moving) = Move::start(&[], &["--max-message-size", "1MiB"]) else { return };
    let Move { from, to } = &moving;
    for queue in ["full", "large", "missing", "going"] {
        from.ok(&["declare-queue", queue]);
    }
    from.ok(&["declare-queue", "leaving", "--auto-delete"]);
    for queue in ["full", "missing", "going", "leaving"] {
        fill(from, queue, 0..5);
    }
    fill(from, "large", 0..1);
    let file = from.file("large", &"x".repeat((1 << 20) + 1));
    from.ok(&["publish", "large", "--file", &file]);
    fill(from, "large", 1..2);
    assert_eq!(moving.run(&["--only-definitions"]).code, 0);
    to.ok(&["set-policy", "short", "^full$", r#"{"max-length":3}"#]);
    to.ok(&["delete-queue", "missing"]);
    let rows = moving.rows(&["--only-messages"], 1);
    for (name, moved, refused, left, words) in [
        ("full", 3, 0, 2, "as many messages as it may"),
        ("large", 2, 1, 1, "message size 1048577 is larger"),
        ("missing", 0, 0, 5, "no such queue here"),
        ("going", 5, 0, 0, ""),
        ("leaving", 0, 0, 5, "auto-delete"),
    ] {
        let row = row(&rows, name);
        let wanted = (&json!(moved), &json!(refused), &json!(left));
        assert_eq!((&row["moved"], &row["refused"], &row["left"]), wanted, "{row}");
        assert!(row["why"].as_str().unwrap().contains(words), "{row}");
    }
    assert_eq!(payloads(to, "full"), numbers(0..3), "the oldest are here, and none was dropped");
    assert_eq!(payloads(from, "full"), numbers(3..5));
    let outcome = moving.run(&["--only-messages"]);
    outcome_says(&outcome, 1, "in RabbitMQ are left: 13 messages of 4 queues");
}

#[test]
fn a_message_that_no_request_may_bring_is_refused_and_the_others_move() {
    let Some(moving) = Move::start(&[], &["--max-message-size", "1MiB"]) else { return };
    let Move { from, to } = &moving;
    from.ok(&["declare-queue", "large"]);
    fill(from, "large", 0..1);
    let uri = from.broker.uri();
    let large = [
        "--size",
        "35000000",
        "--pmessages",
        "1",
        "--consumers",
        "0",
        "--predeclared",
        "--exchange=",
        "--queue",
        "large",
    ];
    let published = from.run(&[&["bench", "--uri", &uri, "--confirm", "1"], &large[..]].concat());
    assert_eq!(published.code, 0, "{published:?}");
    fill(from, "large", 1..2);
    let rows = moving.rows(&[], 1);
    let wanted = (&json!(2), &json!(1), &json!(1));
    assert_eq!((&rows[0]["moved"], &rows[0]["refused"], &rows[0]["left"]), wanted, "{rows:?}");
    assert!(rows[0]["why"].as_str().unwrap().contains("at most 33554432 bytes"), "{rows:?}");
    assert_eq!(payloads(to, "large"), numbers(0..2));
}

fn outcome_says(outcome: &Outcome, code: i32, words: &str) {
    assert!(outcome.code == code && outcome.error.contains(words), "{words} in {outcome:?}");
}

#[test]
fn only_one_virtual_host_is_moved_if_one_is_named() {
    let Some(moving) = Move::start(&[], &[]) else { return };
    let Move { from, to } = &moving;
    from.ok(&["add-vhost", "shop"]);
    from.ok(&["set-permissions", "guest", ".*", ".*", ".*", "-p", "shop"]);
    for vhost in ["/", "shop"] {
        from.ok(&["declare-queue", "jobs", "-p", vhost]);
        from.ok(&["publish", "jobs", "m", "-p", vhost]);
    }
    let rows = moving.rows(&["-p", "shop"], 0);
    assert_eq!((rows.len(), &rows[0]["vhost"], &rows[0]["moved"]), (1, &json!("shop"), &json!(1)));
    assert_eq!(to.json(&["list-queues", "name"]), json!([]));
    assert_eq!(from.json(&["list-queues", "messages"]), json!([{ "messages": 1 }]));
}

#[test]
fn a_dry_run_changes_nothing() {
    let Some(moving) = Move::start(&[], &[]) else { return };
    let Move { from, to } = &moving;
    from.ok(&["declare-queue", "jobs"]);
    fill(from, "jobs", 0..3);
    let rows = moving.rows(&["--dry-run"], 0);
    assert_eq!(
        (&rows[0]["messages"], &rows[0]["moved"], &rows[0]["left"]),
        (&json!(3), &json!(0), &Value::Null)
    );
    assert_eq!(to.json(&["list-queues", "name"]), json!([]));
    assert_eq!(payloads(from, "jobs"), numbers(0..3));
}

#[test]
fn what_fails_is_told_without_a_password() {
    let Some(moving) = Move::start(&[], &[]) else { return };
    let (from, to) = (&moving.from, &moving.to);
    from.ok(&["declare-queue", "jobs"]);
    fill(from, "jobs", 0..1);
    let management = from.url.replace("http://", "http://guest:geheim@");
    let (right, amqp) = (from.url.replace("http://", "http://guest:guest@"), &from.broker.address);
    let (amqp, wrong) = (format!("amqp://{amqp}"), format!("amqp://guest:geheim@{amqp}"));
    for (management, amqp, code, words) in [
        (&*management, &*amqp, 1, "user 'guest' is not let in at RabbitMQ's management"),
        (
            "http://guest:geheim@127.0.0.1:1",
            &amqp,
            1,
            "cannot reach RabbitMQ's management at http://127.0.0.1:1",
        ),
        ("guest:geheim@127.0.0.1", &amqp, 2, "--management: is no address"),
        (&right, "guest:geheim@127.0.0.1", 2, "--amqp: a URI begins with"),
        (&right, &wrong, 1, "RabbitMQ: connection closed by the broker: 403"),
        (&right, "amqp://guest:geheim@127.0.0.1:1", 1, "RabbitMQ: cannot connect to 127.0.0.1:1"),
    ] {
        let outcome = to.run(&["import-from-rabbitmq", "--management", management, "--amqp", amqp]);
        outcome_says(&outcome, code, words);
        assert!(!format!("{outcome:?}").contains("geheim"), "{outcome:?}");
    }
    let outcome = moving.run(&["--user", "guest", "--password", "wrong"]);
    outcome_says(&outcome, 1, "user 'guest' is not let in at http://");
    assert_eq!(payloads(from, "jobs"), numbers(0..1));
}

#[test]
fn over_tls_the_certificate_of_the_other_broker_must_be_signed_by_somebody_known() {
    let folder = TempDir::new().unwrap();
    leveret::tls::make_self_signed(folder.path(), &["127.0.0.1".into()], "guest").unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key, ca) =
        (file("server_certificate.pem"), file("server_key.pem"), file("ca_certificate.pem"));
    let listen = ["--https-listen", "127.0.0.1:0", "--amqps-listen", "127.0.0.1:0"];
    let Some(moving) = Move::start(&[&listen[..], &["--tls-cert", &cert, "--tls-key", &key]].concat(), &[])
    else {
        return;
    };
    let (from, to) = (&moving.from, &moving.to);
    from.ok(&["declare-queue", "jobs"]);
    fill(from, "jobs", 0..3);
    let listeners = from.json(&["status"])["listeners"].clone();
    let of_tls = listeners.as_array().unwrap().iter().find(|its| its["protocol"] == "https").unwrap().clone();
    let https = format!("https://guest:guest@127.0.0.1:{}", of_tls["port"]);
    let amqps = format!("amqps://{}", from.broker.tls_address.as_ref().unwrap());
    let run = |more: &[&str]| {
        to.run(&[&["import-from-rabbitmq", "--management", &https, "--amqp", &amqps], more].concat())
    };
    outcome_says(&run(&[]), 1, "cannot reach RabbitMQ's management");
    let outcome = run(&["--rabbitmq-cacert", &ca]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(payloads(to, "jobs"), numbers(0..3));
    fill(from, "jobs", 3..4);
    let none = format!("{amqps}?cacertfile={}", file("client_certificate.pem"));
    let outcome =
        to.run(&["import-from-rabbitmq", "--management", &https, "--amqp", &none, "--rabbitmq-cacert", &ca]);
    outcome_says(&outcome, 1, "RabbitMQ: no TLS");
}
