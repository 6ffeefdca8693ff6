//! How connections with TLS end, from either side.

use std::{io::Read, net::Shutdown, process::Command, sync::Arc};

use crate::{
    broker::Broker,
    tls::{Files, Tls, VERSIONS, client},
    wire::{
        EXCLUSIVE, METHOD, PASSIVE, Wire, connection_open, frame, method, queue_declare, start_ok, tune_ok,
    },
};

/// A connection that owns a queue, with its stream at hand.
fn owner(broker: &Arc<Broker>, files: &Files, version: usize) -> Tls {
    let config = client(&files.ca, &[VERSIONS[version]], None);
    let mut tls = Tls::connect(broker, &config).agree().unwrap();
    let table = crate::wire::CLIENT_CAPABILITIES.table();
    let words = [
        crate::wire::PROTOCOL_HEADER.to_vec(),
        frame(METHOD, 0, &start_ok(&table, "PLAIN", b"\0guest\0guest").0),
        frame(METHOD, 0, &tune_ok((2047, 131_072, 0)).0),
        frame(METHOD, 0, &connection_open("/").0),
        frame(METHOD, 1, &method(20, 10).short("").0),
        frame(METHOD, 1, &queue_declare("owned", EXCLUSIVE).0),
    ];
    std::io::Write::write_all(&mut tls, &words.concat()).unwrap();
    let mut seen = Vec::new();
    while !seen.windows(4).any(|ids| ids == [0, 50, 0, 11]) {
        let mut part = [0; 4_096];
        let read = tls.read(&mut part).unwrap();
        assert!(read > 0, "the broker has closed");
        seen.extend_from_slice(&part[..read]);
    }
    tls
}

/// Waits until the owner's queue has gone with it.
fn assert_gone(broker: &Arc<Broker>) {
    let mut other = Wire::open_to(broker.clone());
    loop {
        other.channel(1).send(1, &queue_declare("owned", PASSIVE));
        let code = other.expect(1, 20, 40).u16();
        other.send(1, &method(20, 41));
        match code {
            // RESOURCE_LOCKED: it is still there.
            405 => std::thread::yield_now(),
            404 => return,
            code => panic!("{code}"),
        }
    }
}

/// What is left to read; an end without the good-bye of TLS is an error.
fn rest(tls: &mut Tls) -> Vec<u8> {
    let mut rest = Vec::new();
    tls.read_to_end(&mut rest).unwrap();
    rest
}

#[test]
fn a_client_that_says_good_bye_has_gone_and_is_told_the_same() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    for version in [0, 1] {
        let mut tls = owner(&broker, &files, version);
        tls.session.send_close_notify();
        tls.send().unwrap();
        assert_gone(&broker);
        rest(&mut tls);
    }
}

#[test]
fn a_client_that_closes_its_half_without_a_word_has_gone() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    for version in [0, 1] {
        let mut tls = owner(&broker, &files, version);
        tls.tcp.shutdown(Shutdown::Write).unwrap();
        assert_gone(&broker);
        rest(&mut tls);
    }
}

#[test]
fn a_client_that_vanishes_has_gone() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    for version in [0, 1] {
        drop(owner(&broker, &files, version));
        assert_gone(&broker);
    }
}

#[test]
fn what_stands_before_a_good_bye_is_heard() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let mut tls = owner(&broker, &files, 1);
    let mut other = Wire::open_to(broker.clone());
    other.channel(1).send(1, &queue_declare("last", EXCLUSIVE)).expect(1, 50, 11);
    std::io::Write::write_all(&mut tls.session.writer(), &crate::wire::publish(1, "", "last", 0, b"words"))
        .unwrap();
    tls.session.send_close_notify();
    tls.send().unwrap();
    assert_gone(&broker);
    other.send(1, &crate::wire::basic_get("last", true)).expect(1, 60, 71);
    assert_eq!(other.expect_content(1).body, b"words");
}

#[test]
fn the_end_of_an_orderly_close_is_the_good_bye_of_tls() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let mut tls = owner(&broker, &files, 1);
    let close = frame(METHOD, 0, &method(10, 50).u16(200).short("").u16(0).u16(0).0);
    std::io::Write::write_all(&mut tls, &close).unwrap();
    let mut answer = vec![0; 12];
    tls.read_exact(&mut answer).unwrap();
    assert_eq!(answer[7..11], [0, 10, 0, 51]);
    tls.session.send_close_notify();
    tls.send().unwrap();
    assert_eq!(rest(&mut tls), b"");
}

#[test]
fn a_stop_closes_connections_with_320() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let mut client = Tls::connect(&broker, &files.client()).log_in(&broker);
    let pid = broker.pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    client.expect_close(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'");
    drop(client);
    assert_eq!(Arc::into_inner(broker).unwrap().wait(), Some(0));
}
