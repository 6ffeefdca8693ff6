//! `leveret bench` as a program, against a broker of its own: what it counts, and how it fails.
#![allow(clippy::doc_markdown, reason = "RabbitMQ is a name, not an identifier")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]

#[path = "../support/broker.rs"]
mod broker;

use std::{
    process::{Command, Output},
    time::Instant,
};

use serde_json::Value;

use crate::broker::{Broker, unique};

fn bench(uri: &str, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leveret"))
        .args(["bench", "--uri", uri])
        .args(arguments.split_whitespace())
        .output()
        .unwrap()
}

/// The last line of a run with `--json`.
fn summary(broker: &Broker, arguments: &str) -> Value {
    summary_at(&broker.uri(), arguments)
}

fn summary_at(uri: &str, arguments: &str) -> Value {
    let output = bench(uri, &format!("--json {arguments}"));
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{arguments}: {stderr}");
    assert_eq!(stderr, "", "{arguments}");
    let records: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, intervals) = records.split_last().unwrap();
    assert!(intervals.iter().all(|record| record["type"] == "interval"), "{stdout}");
    assert_eq!(last["type"], "summary");
    last.clone()
}

#[test]
fn what_two_producers_send_two_consumers_receive() {
    let broker = Broker::shared();
    let summary = summary(&broker, "-x 2 -y 2 -C 2000 -c 100 -q 50 -A 10");
    for counter in ["sent", "received", "confirmed"] {
        assert_eq!(summary[counter], 4000, "{counter}");
    }
    assert_eq!((&summary["nacked"], &summary["returned"]), (&0.into(), &0.into()));
    for latency in ["consumer_latency_us", "confirm_latency_us"] {
        let spread = &summary[latency];
        assert_eq!(spread["count"], 4000, "{latency}");
        let figures = ["min", "p50", "p95", "p99", "p999", "max"].map(|name| spread[name].as_f64().unwrap());
        assert!(figures[0] > 0.0 && figures.is_sorted(), "{spread}");
    }
    assert!(summary["received_per_second"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_broker_is_measured_over_tls_as_without() {
    let folder = tempfile::tempdir().unwrap();
    let files = leveret::tls::make_self_signed(folder.path(), &[], "guest").unwrap();
    let file = |name: &str| {
        let found = files.iter().find(|file| file.ends_with(name)).unwrap();
        found.to_str().unwrap().to_owned()
    };
    let (ca, cert, key) =
        (file("ca_certificate.pem"), file("server_certificate.pem"), file("server_key.pem"));
    let args = ["--amqps-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca];
    let Some(broker) = Broker::start(&args, &[]) else { return };
    let address = broker.tls_address.as_ref().unwrap();
    let shown = format!("certfile={}&keyfile={}", file("client_certificate.pem"), file("client_key.pem"));
    for query in [format!("{shown}&cacertfile={ca}"), shown] {
        let uri = format!("amqps://guest:guest@{address}/%2f?{query}");
        let summary = summary_at(&uri, "-x 2 -y 2 -C 2000 -c 100 -q 50 -A 10 -s 30000");
        for counter in ["sent", "received", "confirmed"] {
            assert_eq!(summary[counter], 4000, "{counter}");
        }
    }
    let stranger = folder.path().join("stranger");
    leveret::tls::make_self_signed(&stranger, &[], "guest").unwrap();
    let stranger = stranger.join("ca_certificate.pem").display().to_string();
    let uri = format!("amqps://guest:guest@{address}/%2f?cacertfile={stranger}");
    let output = bench(&uri, "-C 1");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("leveret: no TLS: ") && stderr.contains("invalid peer certificate"),
        "{stderr}"
    );
}

#[test]
fn a_fanout_to_a_pattern_of_queues_copies_every_message() {
    let broker = Broker::shared();
    let name = unique("fan");
    let summary =
        summary(&broker, &format!("-C 300 -y 3 -qp {name}-%d -qpf 1 -qpt 3 -e {name} -t fanout -s 100000"));
    assert_eq!((&summary["sent"], &summary["received"]), (&300.into(), &900.into()));
}

#[test]
fn bodies_too_small_for_a_time_are_counted_without_latency() {
    let summary = summary(&Broker::shared(), "-C 1000 -s 0 -a -f persistent");
    assert_eq!(summary["received"], 1000);
    assert!(summary["consumer_latency_us"].is_null());
}

#[test]
fn a_rate_is_not_exceeded_and_time_ends_the_run() {
    let began = Instant::now();
    let summary = summary(&Broker::shared(), "-r 500 -z 1");
    let sent = summary["sent"].as_u64().unwrap();
    // How many come less, and how late the end comes, is the machine's.
    let most = 2 + began.elapsed().as_millis() as u64 / 2;
    assert!((1..=most).contains(&sent), "{sent} messages of {most} at 500 a second");
}

#[test]
fn unroutable_messages_come_back_when_they_are_mandatory() {
    let summary = summary(
        &Broker::shared(),
        &format!("-y 0 -C 50 -c 10 -f mandatory -p -e amq.direct -k {}", unique("key")),
    );
    assert_eq!((&summary["returned"], &summary["confirmed"]), (&50.into(), &50.into()));
}

#[test]
fn churn_times_both_steps_of_every_cycle() {
    let broker = Broker::shared();
    for what in ["connection", "channel", "queue", "consumer", "binding"] {
        let summary = summary(&broker, &format!("--churn {what} -x 2 -C 20"));
        assert_eq!(summary["cycles"], 40, "{what}");
        for step in 0..2 {
            assert_eq!(summary["steps"][step]["latency_us"]["count"], 40, "{what} {step}");
        }
    }
}

#[test]
fn a_failure_is_one_line_and_exit_code_one() {
    let broker = Broker::shared();
    let wrong = broker.uri().replace("guest:guest", "guest:wrong");
    let nowhere = broker.uri().replace("%2f", "nowhere");
    let absent = unique("absent");
    for (uri, arguments, expected) in [
        ("amqp://127.0.0.1:1", "-C 1", "cannot connect to 127.0.0.1:1: "),
        (wrong.as_str(), "-C 1", "403 ACCESS_REFUSED"),
        (nowhere.as_str(), "-C 1", "530 NOT_ALLOWED"),
        (&broker.uri(), &format!("-p -u {absent} -C 1"), "channel closed by the broker: 404 NOT_FOUND"),
        (&broker.uri(), &format!("-y 0 -p -e {absent}"), "channel closed by the broker: 404 NOT_FOUND"),
        (&broker.uri(), "-q 1 -A 2", "-A is larger than -q"),
    ] {
        let output = bench(uri, arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("leveret: ") && stderr.contains(expected), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert_eq!(output.stdout, b"");
    }
}
