//! What the log says of clients: who it was, what went wrong, on one line, and not for ever.

use std::{sync::Arc, time::Instant};

use crate::{
    broker::{Broker, Log},
    own, signal,
    wire::{
        CLIENT_CAPABILITIES, PASSIVE, PROTOCOL_HEADER, Table, Wire, connection_open, method, queue_declare,
        start_ok, tune_ok,
    },
};

fn named(broker: &Arc<Broker>, name: &str) -> Wire {
    let mut wire = Wire::connect_to(broker.clone());
    wire.until_tune(&CLIENT_CAPABILITIES.table().text("connection_name", name));
    wire.send(0, &tune_ok((2047, 131_072, 0))).send(0, &connection_open("/")).expect(0, 10, 41);
    wire
}

fn log_in_as(broker: &Arc<Broker>, user: &str) {
    let mut wire = Wire::connect_to(broker.clone());
    wire.raw(PROTOCOL_HEADER).expect(0, 10, 10);
    wire.send(0, &start_ok(&Table::new(), "PLAIN", format!("\0{user}\0x").as_bytes())).expect_eof();
}

fn lines_with(log: &Log, words: &str) -> usize {
    log.lines().iter().filter(|line| line.contains(words)).count()
}

/// What stands before the record itself: the connection.
fn span(line: &str) -> &str {
    let (_, rest) = line.split_once("connection{").unwrap();
    rest.split_once('}').unwrap().0
}

#[test]
fn a_user_name_is_escaped_and_bounded_and_told_once() {
    let Some(broker) = own(&[]) else { return };
    let evil = format!("evil\n2026-01-01 INFO forged\x1b[31m{}", "x".repeat(4_000));
    log_in_as(&broker, &evil);
    let log = broker.log();
    let line =
        log.expect(&["connection refused", "evil\\n2026-01-01 INFO forged\\u{1b}[31mxxx", "peer=127.0.0.1:"]);
    let user = line.split(" user=").nth(1).unwrap().split(" why=").next().unwrap();
    // 255 characters, of which the line's end and the escape take more.
    assert_eq!(user.len(), 255 + 1 + 5 + "...".len(), "{user}");
    assert_eq!(lines_with(&log, "forged"), 1);
    assert!(log.lines().iter().all(|line| line.len() < 1_000 && !line.contains('\x1b')));
}

#[test]
fn names_that_clients_choose_are_escaped_wherever_they_are_told() {
    let Some(broker) = own(&[]) else { return };
    let mut wire = named(&broker, "name\nforged");
    wire.channel(1).send(1, &queue_declare("queue\x1bforged", PASSIVE));
    wire.expect_channel_close(1, 404, "NOT_FOUND - no queue 'queue\x1bforged'");
    let log = broker.log();
    log.expect(&["channel closed", "name\\nforged", "queue\\u{1b}forged"]);
    assert!(log.lines().iter().all(|line| !line.starts_with("forged") && !line.contains('\x1b')));
    let mut other = Wire::connect_to(broker.clone());
    other.until_tune(&Table::new()).send(0, &tune_ok((2047, 131_072, 0)));
    other.send(0, &connection_open("vhost\nforged")).expect(0, 10, 50);
    log.expect(&["connection refused", "vhost\\nforged"]);
}

#[test]
fn a_flood_of_refusals_is_a_few_lines() {
    let Some(broker) = own(&["--password-hashing", "sha256"]) else { return };
    let start = Instant::now();
    // All at once: the answers to failed logins come later and later.
    let mut flood: Vec<Wire> = (0..300).map(|_| Wire::connect_to(broker.clone())).collect();
    for wire in &mut flood {
        wire.raw(PROTOCOL_HEADER).expect(0, 10, 10);
        wire.send(0, &start_ok(&Table::new(), "PLAIN", b"\0nobody\0x"));
    }
    flood.iter_mut().for_each(Wire::expect_eof);
    let most = 20 + 1 + start.elapsed().as_millis() / 200;
    let told = lines_with(&broker.log(), "nobody");
    assert!(told >= 20 && told as u128 <= most, "{told} lines, at most {most}");
}

#[test]
fn who_speaks_something_else_is_told_apart() {
    let Some(broker) = own(&[]) else { return };
    for (bytes, words) in [
        (b"GET / HTTP/1.1\r\n\r\n".as_slice(), "an HTTP request"),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", "an HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "a TLS handshake"),
        (b"AMQP\x00\x01\x00\x00", "AMQP 1-0-0 (protocol 0) is not spoken here"),
        (b"\x00\n\x1bhello", "unknown protocol header \"\\x00\\n\\x1bhello\""),
    ] {
        assert_eq!(Wire::connect_to(broker.clone()).raw(bytes).bytes_until_eof(), PROTOCOL_HEADER);
        broker.log().expect(&["connection refused", words]);
    }
}

#[test]
fn all_records_of_a_connection_say_whose_they_are() {
    let Some(broker) = own(&[]) else { return };
    let mut wire = named(&broker, "worker 7");
    wire.channel(1).send(1, &queue_declare("missing", PASSIVE));
    wire.expect_channel_close(1, 404, "NOT_FOUND");
    wire.send(0, &method(10, 50).u16(200).short("bye").u16(0).u16(0)).expect(0, 10, 51);
    let log = broker.log();
    let opened = log.expect(&["INFO", "connection opened"]);
    for word in ["number=1 ", "peer=127.0.0.1:", "name=worker 7", "user=guest", "vhost=/"] {
        assert!(span(&opened).contains(word), "{word} in {opened}");
    }
    let failed = log.expect(&["WARN", "channel closed", "channel=1", "NOT_FOUND - no queue 'missing'"]);
    let ended = log.expect(&["INFO", "connection ended", "reason=closed by the client"]);
    assert_eq!((span(&failed), span(&ended)), (span(&opened), span(&opened)));
}

#[test]
fn the_end_of_a_connection_has_its_reason() {
    let Some(broker) = own(&[]) else { return };
    let log = broker.log();
    drop(named(&broker, "rude"));
    log.expect(&["WARN", "name=rude", "reason=the client closed the socket without closing the connection"]);
    let mut wrong = named(&broker, "wrong");
    wrong.send(7, &queue_declare("q", 0)).expect(0, 10, 50);
    log.expect(&["WARN", "name=wrong", "reason=closed for an error on channel 7: CHANNEL_ERROR"]);
    let mut silent = Wire::connect_to(broker.clone());
    silent.until_tune(&CLIENT_CAPABILITIES.table().text("connection_name", "silent"));
    silent.send(0, &tune_ok((2047, 131_072, 1))).send(0, &connection_open("/")).expect(0, 10, 41);
    log.expect(&["WARN", "name=silent", "reason=missed heartbeats from client"]);
    let _last = named(&broker, "last");
    signal(&broker, "-TERM");
    log.expect(&["INFO", "name=last", "reason=the broker stops"]);
}

#[test]
fn a_loop_of_errors_on_channels_is_a_few_lines_and_a_count() {
    let Some(broker) = own(&[]) else { return };
    let start = Instant::now();
    let mut wire = named(&broker, "looping");
    for _ in 0..200 {
        wire.channel(1).send(1, &queue_declare("missing", PASSIVE));
        wire.expect_channel_close(1, 404, "NOT_FOUND");
    }
    drop(wire);
    let log = broker.log();
    log.expect(&["name=looping", "more channels were closed for errors", "unlogged="]);
    let most = 10 + 1 + start.elapsed().as_secs();
    let told = lines_with(&log, "NOT_FOUND");
    assert!(told >= 10 && told as u64 <= most, "{told} lines, at most {most}");
}
