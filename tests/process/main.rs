//! The broker as a process: starting, refusing to start, stopping, and holding publishers up.
#![allow(clippy::unwrap_used, clippy::doc_markdown, reason = "tests")]

mod audit;
mod auth_http;
#[path = "../support/broker.rs"]
mod broker;
mod config;
mod definitions;
mod jwks;
mod limits;
mod log;
mod oauth;
mod passwords;
mod policies;
#[path = "../support/service.rs"]
mod service;
mod settings;
mod sockets;
mod supervisor;
#[path = "../support/tls.rs"]
mod tls;
#[path = "../support/wire.rs"]
mod wire;

use std::{
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use broker::Broker;
use wire::{
    NO_ACK, PASSIVE, Table, Wire, basic_ack, basic_consume, basic_get, method, publish, queue_declare,
};

/// Runs `leveret serve` to its end: for starts that must fail.
fn serve(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command
        .arg("serve")
        .args(args)
        .env("LEVERET_HTTP_LISTEN", "none")
        .env("LEVERET_METRICS_LISTEN", "none")
        .output()
        .unwrap()
}

/// One line on stderr and a failure.
fn assert_refused(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word} in {stderr}");
    }
}

fn signal(broker: &Broker, name: &str) {
    let pid = broker.pid().unwrap().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// The most memory that the broker has had resident.
fn peak_kib(broker: &Broker) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid().unwrap())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    peak.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn own(args: &[&str]) -> Option<Arc<Broker>> {
    Broker::start(args, &[])
}

#[test]
fn a_second_broker_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let Some(_first) = Broker::start_on(folder) else { return };
    let output = serve(&["--data-dir", folder, "--amqp-listen", "127.0.0.1:0"]);
    assert_refused(&output, &["data folder", folder, "in use"]);
}

#[test]
fn a_port_in_use_is_refused() {
    let Some(first) = own(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = serve(&["--data-dir", folder.path().to_str().unwrap(), "--amqp-listen", &first.address]);
    assert_refused(&output, &["cannot listen on", &first.address]);
}

#[test]
fn sigterm_closes_connections_with_320_and_ends_the_process_with_0() {
    let Some(broker) = own(&[]) else { return };
    let mut client = Wire::open_to(broker.clone());
    signal(&broker, "-TERM");
    client.expect_close(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'");
    client.send(0, &method(10, 51)).expect_eof();
    drop(client);
    assert_eq!(Arc::into_inner(broker).unwrap().wait(), Some(0));
}

#[test]
fn a_second_signal_ends_the_wait_for_clients() {
    let Some(broker) = own(&[]) else { return };
    let mut deaf = Wire::open_to(broker.clone());
    deaf.channel(1).send(1, &queue_declare("large", 0)).expect(1, 50, 11);
    deaf.publish(1, "", "large", 0, &vec![7; 100_000]).fence(1, "large");
    // Answers that it never reads.
    deaf.raw(&wire::frame(wire::METHOD, 1, &basic_get("large", false).0));
    for _ in 0..200 {
        deaf.raw(&wire::frame(wire::METHOD, 1, &method(60, 110).u8(1).0));
        deaf.raw(&wire::frame(wire::METHOD, 1, &basic_get("large", false).0));
    }
    let log = broker.log();
    signal(&broker, "-TERM");
    log.expect(&["stopping"]);
    signal(&broker, "-TERM");
    log.expect(&["not waiting for clients any longer", "connections="]);
    drop(deaf);
    assert_eq!(Arc::into_inner(broker).unwrap().wait(), Some(0));
}

#[test]
fn publishers_over_the_memory_budget_are_blocked_until_it_is_free_again() {
    let Some(broker) = own(&["--memory-limit-bytes", "1000000"]) else { return };
    let mut publisher = Wire::open_to(broker.clone());
    publisher.channel(1).send(1, &queue_declare("deep", 0)).expect(1, 50, 11);
    let run = publish(1, "", "deep", 0, &[7; 1_000]).repeat(1_100);
    publisher.raw(&run);
    assert_eq!(publisher.expect(0, 10, 60).short(), "low on memory");
    // Nobody else is held up: another connection empties the queue, and that ends it.
    let mut consumer = Wire::open_to(broker.clone());
    consumer.channel(1).send(1, &basic_consume("deep", "c", NO_ACK)).expect(1, 60, 21);
    for _ in 0..1_100 {
        consumer.expect_delivery(1, &[7; 1_000]);
    }
    // Paging may have ended it before, and what was left of the run begun it anew.
    publisher.expect(0, 10, 61);
    publisher.send(2, &method(20, 10).short(""));
    loop {
        let frame = publisher.next_frame().expect("the publisher is served");
        match frame.payload[..4] {
            [0, 10, 0, 60 | 61] => {}
            [0, 20, 0, 11] => break,
            _ => panic!("{frame:?}"),
        }
    }
}

#[test]
fn a_client_that_never_reads_its_replies_is_not_read_from_and_costs_a_bounded_outbox() {
    let Some(broker) = own(&[]) else { return };
    let mut deaf = Wire::open_to(broker.clone());
    deaf.channel(1);
    let declares = wire::frame(wire::METHOD, 1, &queue_declare("q", 0).0).repeat(1_000);
    let sent = Arc::new(AtomicUsize::new(0));
    let (counter, most) = (sent.clone(), 2_000);
    let sender = std::thread::spawn(move || {
        for _ in 0..most {
            deaf.raw(&declares);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Another client is served all the while, until the deaf one has got no further for twenty thousand requests.
    let mut other = Wire::open_to(broker.clone());
    other.channel(1);
    let (mut last, mut rounds_without_progress) = (usize::MAX, 0);
    while rounds_without_progress < 20 {
        for _ in 0..1_000 {
            other.send(1, &queue_declare("other", 0)).expect(1, 50, 11);
        }
        let now = sent.load(Ordering::Relaxed);
        rounds_without_progress = if now == last { rounds_without_progress + 1 } else { 0 };
        last = now;
    }
    assert!(sent.load(Ordering::Relaxed) < most, "the broker has read everything");
    assert!(peak_kib(&broker) < 200 * 1024, "{} KiB", peak_kib(&broker));
    drop(other);
    signal(&broker, "-KILL");
    sender.join().unwrap();
}

#[test]
fn gets_of_a_large_message_without_reading_cost_a_bounded_outbox() {
    let Some(broker) = own(&[]) else { return };
    let mut deaf = Wire::open_to(broker.clone());
    deaf.channel(1).send(1, &queue_declare("large", 0)).expect(1, 50, 11);
    deaf.publish(1, "", "large", 0, &vec![7; 100_000]).fence(1, "large");
    let mut requests = Vec::new();
    for tag in 1..=2_000 {
        requests.extend(wire::frame(wire::METHOD, 1, &basic_get("large", false).0));
        requests.extend(wire::frame(wire::METHOD, 1, &method(60, 120).u64(tag).u8(2).0));
    }
    deaf.raw(&requests);
    // All are answered once the client reads; the broker has never held more than its budget.
    for _ in 0..2_000 {
        deaf.expect(1, 60, 71);
        deaf.expect_frame(wire::HEADER, 1);
        deaf.expect_frame(wire::BODY, 1);
    }
    assert!(peak_kib(&broker) < 100 * 1024, "{} KiB", peak_kib(&broker));
}

#[test]
fn the_highest_channel_gives_back_what_it_holds_like_any_other() {
    let Some(broker) = own(&[]) else { return };
    let mut wire = Wire::open_to(broker.clone());
    wire.channel(1).channel(65_535).send(1, &queue_declare("kept", 0)).expect(1, 50, 11);
    wire.publish(1, "", "kept", 0, b"m").send(1, &method(90, 10)).expect(1, 90, 11);
    wire.send(1, &basic_get("kept", false)).expect(1, 60, 71);
    wire.expect_content(1);
    wire.send(1, &basic_ack(1, false)).send(65_535, &basic_get("kept", true)).expect(65_535, 60, 72);
    drop(wire);
    let mut other = Wire::open_to(broker.clone());
    other.channel(1);
    // The connection's end is noticed in its own time: ask until the message is back.
    let deadline = Instant::now() + broker::DEADLINE;
    loop {
        assert!(Instant::now() < deadline, "the message does not come back");
        if other
            .send(1, &queue_declare("kept", PASSIVE))
            .expect(1, 50, 11)
            .rest()
            .ends_with(&[0, 0, 0, 1, 0, 0, 0, 0])
        {
            break;
        }
    }
}

#[test]
fn a_client_that_leaves_while_it_is_blocked_gives_back_what_it_holds() {
    // Its end may stand behind what it has sent, which is not read.
    for behind in [0, 80_000] {
        let Some(broker) = own(&["--memory-limit-bytes", "1000000"]) else { return };
        let mut client = Wire::open_to(broker.clone());
        client.channel(1).send(1, &queue_declare("held", 0)).expect(1, 50, 11);
        client.send(1, &basic_consume("held", "c", 0)).expect(1, 60, 21);
        client.raw(&publish(1, "", "held", 0, &[7; 1_000]).repeat(920));
        while client.next_frame().unwrap().channel != 0 {}
        client.raw(&wire::frame(wire::HEARTBEAT, 0, b"").repeat(behind));
        drop(client);
        // All the memory is in its window: were its end not noticed, the alarm would stay for ever.
        let mut other = Wire::open_to(broker.clone());
        let deadline = Instant::now() + broker::DEADLINE;
        other.channel(1);
        while !other
            .send(1, &queue_declare("held", PASSIVE))
            .expect(1, 50, 11)
            .rest()
            .ends_with(&[0, 0, 0, 0])
        {
            assert!(Instant::now() < deadline, "the consumer is still there, {behind} frames behind");
        }
        let mut purged = other.send(1, &method(50, 30).u16(0).short("held").u8(0)).expect(1, 50, 31);
        assert!(purged.u32() > 0);
    }
}

#[test]
fn a_consumer_that_is_late_is_cancelled_although_its_connection_is_held_up() {
    let Some(broker) = own(&["--memory-limit-bytes", "1000000"]) else { return };
    let mut client = Wire::open_to(broker.clone());
    let timeout = Table::new().entry("x-consumer-timeout", b'I', &500_i32.to_be_bytes());
    let held = wire::method(50, 10).u16(0).short("held").u8(0).table(&timeout);
    client.channel(1).send(1, &held).expect(1, 50, 11);
    client.send(1, &basic_consume("held", "late", 0)).expect(1, 60, 21);
    client.raw(&publish(1, "", "held", 0, &[7; 1_000]).repeat(920));
    while client.next_frame().unwrap().payload[..4] != [0, 10, 0, 60] {}
    // The alarm is raised by what the consumer holds: only its end clears it.
    while client.next_frame().unwrap().payload[..4] != [0, 60, 0, 30] {}
}

#[test]
fn arguments_that_are_not_known_are_told_once_with_the_name_that_was_meant() {
    let Some(broker) = own(&[]) else { return };
    let mut wire = Wire::open_to(broker.clone());
    wire.channel(1);
    let declare = |queue: &str, argument: &str| {
        let table = Table::new().entry(argument, b'I', &5_i32.to_be_bytes());
        wire::method(50, 10).u16(0).short(queue).u8(0).table(&table)
    };
    for _ in 0..3 {
        wire.send(1, &declare("misspelt", "x-max-lenght")).expect(1, 50, 11);
    }
    wire.send(1, &declare("strange", "x-a\n\u{1b}[31mb")).expect(1, 50, 11);
    wire.send(1, &declare("well", "x-max-length")).expect(1, 50, 11);
    let strange = broker.log().expect(&["argument is not known", "strange"]);
    assert!(strange.contains(r"x-a\n\u{1b}[31mb"), "{strange}");
    let told: Vec<_> =
        broker.log().lines().into_iter().filter(|line| line.contains("argument is not known")).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    for word in ["misspelt", "x-max-lenght", "x-max-length"] {
        assert!(told[0].contains(word), "{}", told[0]);
    }
}
