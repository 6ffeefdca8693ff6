//! What the log tells of who came in, who was refused, and what was changed, for people and for programs.

use std::{io::Write, sync::Arc};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{
    broker::{Broker, Log},
    own,
    wire::{
        CLIENT_CAPABILITIES, PROTOCOL_HEADER, Table, Wire, connection_open, method, publish, queue_declare,
        start_ok, tune_ok,
    },
};

const HASH: &str = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";

/// The record with this word in `event` and these fields; waits for it. Without the port, which is another one each time.
fn event(log: &Log, words: &[&str]) -> Value {
    let line = log.expect(&[words, &[r#""target":"leveret::audit""#]].concat());
    let mut record: Value = serde_json::from_str(&line).unwrap();
    assert!(record["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    assert!(!line.contains(HASH), "{line}");
    if let Some(peer) = record["fields"].get_mut("peer") {
        assert!(peer.as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        *peer = "peer".into();
    }
    record
}

fn assert_event(log: &Log, level: &str, message: &str, fields: &Value) -> Value {
    let name = format!(r#""event":{}"#, fields["event"]);
    let record = event(log, &[&name, message]);
    assert_eq!((&record["level"], &record["message"]), (&json!(level), &json!(message)));
    assert_eq!(record["fields"], *fields);
    record
}

fn definitions() -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    let definitions = json!({
        "users": [{
            "name": "ann", "password_hash": HASH, "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": ["monitoring"], "limits": { "max-connections": 5 },
        }],
        "vhosts": [{ "name": "shop", "description": "orders" }, { "name": "/", "description": "the first" }],
        "permissions": [{ "user": "ann", "vhost": "shop", "configure": "", "write": ".*", "read": "^a" }],
        "topic_permissions": [
            { "user": "ann", "vhost": "shop", "exchange": "amq.topic", "write": "^{username}", "read": ".*" },
        ],
        "parameters": [
            { "component": "vhost-limits", "name": "limits", "vhost": "shop", "value": { "max-disk-bytes": 0 } },
        ],
    });
    file.write_all(definitions.to_string().as_bytes()).unwrap();
    file
}

fn log_in(broker: &Arc<Broker>, user: &str, password: &str) -> Wire {
    let mut wire = Wire::connect_to(broker.clone());
    wire.raw(PROTOCOL_HEADER).expect(0, 10, 10);
    let response = format!("\0{user}\0{password}");
    wire.send(
        0,
        &start_ok(
            &CLIENT_CAPABILITIES.table().text("connection_name", "a \"b\"\n"),
            "PLAIN",
            response.as_bytes(),
        ),
    );
    wire
}

fn open(broker: &Arc<Broker>, user: &str, password: &str, vhost: &str) -> Wire {
    let mut wire = log_in(broker, user, password);
    wire.expect(0, 10, 30);
    wire.send(0, &tune_ok((2047, 131_072, 0))).send(0, &connection_open(vhost));
    wire
}

#[test]
fn every_line_of_json_is_an_object_and_what_peers_send_is_escaped_in_it() {
    let Some(broker) = own(&["--log-format", "json", "--log", "debug"]) else { return };
    let mut wire = open(&broker, "guest", "guest", "/");
    wire.expect(0, 10, 41);
    wire.channel(1).send(1, &queue_declare("queue\x1b\"forged", crate::PASSIVE)).expect(1, 20, 40);
    let log = broker.log();
    log.expect(&["channel closed"]);
    drop(wire);
    log.expect(&["connection ended"]);
    for line in log.lines() {
        let record: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(record["fields"].is_object() && record["message"].is_string(), "{line}");
        let told_by_connection =
            record["target"].as_str().unwrap().starts_with("leveret::connection::failing");
        if told_by_connection {
            assert_eq!(record["connection"]["name"], r#"a "b"\n"#);
            let error = record["fields"]["error"].as_str().unwrap();
            assert!(error.contains(r#"no queue 'queue\u{1b}"forged'"#), "{error}");
            assert_eq!(record["fields"]["channel"], 1);
        }
    }
}

#[test]
fn what_definitions_bring_is_told_without_hashes() {
    let file = definitions();
    let args = ["--log-format", "json", "--load-definitions", file.path().to_str().unwrap()];
    let Some(broker) = own(&args) else { return };
    let log = broker.log();
    log.expect(&["definitions are loaded"]);
    log.expect(&["vhost-made", r#""vhost":"/""#]);
    let made = event(&log, &["vhost-made", "shop"]);
    let fields = json!({
        "event": "vhost-made", "vhost": "shop", "description": "orders", "tags": "", "tracing": false, "limits": "",
    });
    assert_eq!(made["fields"], fields);
    let changed = event(&log, &["vhost-changed", "the first"]);
    assert_eq!(
        (&changed["fields"]["vhost"], &changed["message"]),
        (&json!("/"), &json!("virtual host changed"))
    );
    let limited = event(&log, &["vhost-changed", "shop"]);
    assert_eq!(limited["fields"]["limits"], "max-disk-bytes=0");
    let user = event(&log, &["user-set", "ann"]);
    let fields =
        json!({ "event": "user-set", "user": "ann", "tags": "monitoring", "limits": "max-connections=5" });
    assert_eq!((&user["fields"], &user["level"]), (&fields, &json!("INFO")));
    let permissions = event(&log, &["\"permissions-set", "ann"]);
    let fields = json!({
        "event": "permissions-set", "user": "ann", "vhost": "shop", "configure": "", "write": ".*", "read": "^a",
    });
    assert_eq!(permissions["fields"], fields);
    assert_event(
        &log,
        "INFO",
        "topic permissions set",
        &json!({
            "event": "topic-permissions-set", "user": "ann", "vhost": "shop", "exchange": "amq.topic",
            "write": "^{username}", "read": ".*",
        }),
    );
    // Nothing may be there, and that is what there is.
    assert_event(
        &log,
        "WARN",
        "virtual host alarm: its publishers are blocked",
        &json!({
            "event": "alarm-raised", "alarm": "vhost", "vhost": "shop", "reason": "low on disk",
            "memory_bytes": 0, "disk_bytes": 0,
        }),
    );
}

#[test]
fn who_comes_in_is_told_and_who_does_not_with_the_name_that_it_gave() {
    let Some(broker) = own(&["--log-format", "json", "--default-user", "ann"]) else { return };
    let log = broker.log();
    let mut wire = open(&broker, "ann", "guest", "/");
    wire.expect(0, 10, 41);
    let login = json!({
        "event": "login", "user": "ann", "vhost": "/", "peer": "peer", "mechanism": "PLAIN", "tls": false,
    });
    let record = assert_event(&log, "INFO", "connection opened", &login);
    assert_eq!(
        (&record["connection"]["number"], &record["connection"]["name"]),
        (&json!(1), &json!(r#"a "b"\n"#))
    );
    open(&broker, "ann", "guest", "nowhere").expect(0, 10, 50);
    log_in(&broker, "bob\n", "geheim").expect(0, 10, 50);
    Wire::connect_to(broker.clone()).raw(b"GET / HTTP/1.1\r\n\r\n").bytes_until_eof();
    for (user, why) in [
        (Some("ann"), "NOT_ALLOWED - vhost nowhere not found"),
        (Some(r"bob\n"), r"user 'bob\n' - invalid credentials"),
        (None, "an HTTP request came to the port of AMQP"),
    ] {
        let record = event(&log, &["login-refused", &serde_json::to_string(why).unwrap()[1..20]]);
        let mut fields = json!({ "event": "login-refused", "peer": "peer", "why": why });
        if let Some(user) = user {
            fields["user"] = user.into();
        }
        assert_eq!(record["fields"], fields);
        assert_eq!((&record["level"], &record["message"]), (&json!("WARN"), &json!("connection refused")));
    }
    assert!(!log.lines().join("\n").contains("geheim"));
}

#[test]
fn alarms_are_told_when_they_are_raised_and_when_they_are_cleared() {
    let args = ["--log-format", "json", "--memory-limit-bytes", "1000000"];
    let Some(broker) = own(&args) else { return };
    let mut wire = Wire::open_to(broker.clone());
    wire.channel(1).send(1, &queue_declare("deep", 0)).expect(1, 50, 11);
    wire.raw(&publish(1, "", "deep", 0, &[7; 1_000]).repeat(1_100)).expect(0, 10, 60);
    let log = broker.log();
    let raised = event(&log, &["alarm-raised"]);
    assert_eq!((&raised["level"], &raised["fields"]["alarm"]), (&json!("WARN"), &json!("memory")));
    assert_eq!(raised["fields"]["limit_bytes"], 1_000_000);
    // What it has in memory goes with it to the disk, or with the next client.
    let mut other = Wire::open_to(broker.clone());
    other.channel(1).send(1, &method(50, 30).u16(0).short("deep").u8(0)).expect(1, 50, 31);
    let cleared = event(&log, &["alarm-cleared"]);
    assert_eq!((&cleared["level"], &cleared["message"]), (&json!("INFO"), &json!("memory alarm cleared")));
    assert!(cleared["fields"]["used_bytes"].as_u64().unwrap() < 1_000_000);
}

#[test]
fn a_disk_with_less_room_than_it_should_have_is_told_from_the_start() {
    let Some(broker) = own(&["--log-format", "json", "--disk-free-limit", "1000000T"]) else { return };
    let raised = event(&broker.log(), &["alarm-raised"]);
    assert_eq!(raised["message"], "disk alarm: publishers are blocked");
    let fields = &raised["fields"];
    assert_eq!((&fields["alarm"], &fields["full"]), (&json!("disk"), &json!(false)));
    assert!(fields["free_bytes"].as_u64() < fields["limit_bytes"].as_u64(), "{fields}");
}

#[test]
fn the_audit_can_be_left_out_and_can_stand_alone() {
    for (filter, audited, others) in [("leveret::audit=off", 0, 1), ("off,leveret::audit=info", 1, 0)] {
        let Some(broker) = own(&["--log", filter]) else { return };
        let mut wire = open(&broker, "guest", "guest", "/");
        wire.expect(0, 10, 41);
        let log = broker.log();
        drop(wire);
        crate::signal(&broker, "-TERM");
        assert_eq!(Arc::into_inner(broker).unwrap().wait(), Some(0));
        let lines = log.lines();
        let count = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
        assert_eq!(
            (count("leveret::audit: connection opened"), count("stopping")),
            (audited, others),
            "{filter}"
        );
        assert_eq!(count("event="), if audited == 0 { 0 } else { 4 }, "{lines:#?}");
    }
}

#[test]
fn the_text_form_has_the_same_fields() {
    let file = definitions();
    let Some(broker) = own(&["--load-definitions", file.path().to_str().unwrap()]) else { return };
    let log = broker.log();
    let mut wire = open(&broker, "guest", "guest", "/");
    wire.expect(0, 10, 41);
    log.expect(&[
        "INFO",
        "leveret::audit: connection opened event=login user=guest vhost=/ peer=127.0.0.1:",
        " mechanism=PLAIN tls=false",
    ]);
    log.expect(&[
        "INFO leveret::audit: user set event=user-set user=ann tags=monitoring limits=max-connections=5",
    ]);
    let mut refused = Wire::connect_to(broker.clone());
    refused.raw(PROTOCOL_HEADER).expect(0, 10, 10);
    refused.send(0, &start_ok(&Table::new(), "PLAIN", b"\0eve\0x")).expect_eof();
    log.expect(&[
        "WARN leveret::audit: connection refused event=login-refused peer=127.0.0.1:",
        " user=eve why=user 'eve' - invalid credentials",
    ]);
    assert!(!log.lines().join("\n").contains(HASH));
}
