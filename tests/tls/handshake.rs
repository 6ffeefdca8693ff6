//! The handshake of TLS, and what is none.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Instant,
};

use rustls::{HandshakeKind, ProtocolVersion, version::TLS12};

use crate::{
    broker::{Broker, DEADLINE},
    tls::{Files, Tls, VERSIONS, client, tcp},
    wire::{PROTOCOL_HEADER, Wire, connection_open, tune_ok},
};

/// What a client's session says first.
fn client_hello(files: &Files) -> Vec<u8> {
    let mut tls = rustls::ClientConnection::new(files.client(), "localhost".try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    tls.write_tls(&mut bytes).unwrap();
    bytes
}

/// Reads until the broker closes.
fn rest(mut tcp: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = tcp.read_to_end(&mut bytes);
    bytes
}

#[test]
fn versions_1_2_and_1_3_are_spoken() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    for (version, spoken) in VERSIONS.into_iter().zip([ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3]) {
        let tls = Tls::connect(&broker, &client(&files.ca, &[version], None)).agree().unwrap();
        assert_eq!(tls.session.protocol_version(), Some(spoken));
        tls.log_in(&broker).assert_alive();
    }
    Wire::open_to(broker).assert_alive();
}

#[test]
fn an_older_version_than_configured_is_refused() {
    let files = Files::new();
    let Some(broker) = files.broker(&["--tls-min-version", "1.3"]) else { return };
    let error = Tls::connect(&broker, &client(&files.ca, &[&TLS12], None)).agree().map(drop).unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    broker.log().expect(&["connection refused", "the TLS handshake failed"]);
    Tls::connect(&broker, &files.client()).log_in(&broker).assert_alive();
}

#[test]
fn a_client_without_tls_is_closed_and_the_log_says_what_it_was() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    for (first, said) in [
        (PROTOCOL_HEADER, "a client without TLS came to the port of AMQP with TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "an HTTP request came to the port of AMQP"),
        (b"\x80\x2e\x01\x00\x02\x00\x15\x00", "no TLS handshake"),
    ] {
        let mut plain = tcp(&broker);
        plain.write_all(first).unwrap();
        assert_eq!(rest(plain), b"", "{said}");
        broker.log().expect(&["connection refused", said]);
    }
    Tls::connect(&broker, &files.client()).log_in(&broker).assert_alive();
}

#[test]
fn a_handshake_that_stops_halfway_ends_with_the_handshake_timeout() {
    let files = Files::new();
    let Some(broker) = files.broker(&["--handshake-timeout-ms", "300"]) else { return };
    let hello = client_hello(&files);
    for sent in [0, 1, 5, hello.len() / 2, hello.len()] {
        let mut slow = tcp(&broker);
        slow.write_all(&hello[..sent]).unwrap();
        rest(slow);
    }
    let late = || broker.log().lines().iter().filter(|line| line.contains("handshake timeout")).count();
    let deadline = Instant::now() + DEADLINE;
    while late() < 5 {
        assert!(Instant::now() < deadline, "{:#?}", broker.log().lines());
        std::thread::yield_now();
    }
}

#[test]
fn the_handshakes_of_tls_and_amqp_share_the_timeout() {
    let files = Files::new();
    let Some(broker) = files.broker(&["--handshake-timeout-ms", "500"]) else { return };
    let mut silent = Tls::connect(&broker, &files.client()).agree().unwrap();
    silent.write_all(PROTOCOL_HEADER).unwrap();
    let mut bytes = Vec::new();
    // The end is a good-bye of TLS, or this fails.
    silent.read_to_end(&mut bytes).unwrap();
    broker.log().expect(&["connection refused", "handshake timeout"]);
}

#[test]
fn a_client_that_leaves_in_the_handshake_leaves_nothing() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let hello = client_hello(&files);
    for sent in (0..hello.len()).step_by(16) {
        tcp(&broker).write_all(&hello[..sent]).unwrap();
    }
    Tls::connect(&broker, &files.client()).log_in(&broker).assert_alive();
}

#[test]
fn a_spoilt_handshake_is_refused_and_nobody_else_notices() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let mut alive = Tls::connect(&broker, &files.client()).log_in(&broker);
    let hello = client_hello(&files);
    for at in 1..hello.len() {
        let mut spoilt = hello.clone();
        spoilt[at] ^= 0xff;
        let mut tcp = tcp(&broker);
        tcp.write_all(&spoilt).unwrap();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        rest(tcp);
    }
    alive.assert_alive();
}

#[test]
fn the_protocol_header_may_come_with_the_last_words_of_the_handshake() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    for version in VERSIONS {
        let mut tls = Tls::connect(&broker, &client(&files.ca, &[version], None));
        // What is written before there is an agreement leaves as soon as it may.
        tls.session.writer().write_all(PROTOCOL_HEADER).unwrap();
        while tls.session.is_handshaking() {
            tls.send().unwrap();
            tls.session.read_tls(&mut tls.tcp).unwrap();
            tls.session.process_new_packets().unwrap();
        }
        tls.send().unwrap();
        let mut wire = Wire::over(tls, broker.clone());
        wire.expect(0, 10, 10);
    }
}

#[test]
fn no_session_is_taken_up_again() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    for version in VERSIONS {
        let config = client(&files.ca, &[version], None);
        for _ in 0..3 {
            let tls = Tls::connect(&broker, &config).agree().unwrap();
            assert_eq!(tls.session.handshake_kind(), Some(HandshakeKind::Full));
            tls.log_in(&broker).assert_alive();
        }
    }
}

#[test]
fn silent_sockets_make_room_for_who_speaks_tls() {
    let files = Files::new();
    let (cert, key) = (files.path("cert"), files.path("key"));
    let args = ["--amqps-listen", "127.0.0.1:0", "--tls-cert", crate::tls::text(&cert), "--tls-key"];
    let args = [&args[..], &[crate::tls::text(&key)]].concat();
    let Some(broker) = Broker::start_with_descriptors(128, &args) else { return };
    let hello = client_hello(&files);
    let silent: Vec<_> = (0..200)
        .map(|number| {
            let mut silent = tcp(&broker);
            // Some have said half a word, and some the first one.
            let _closed = silent.write_all(&hello[..[0, 7, hello.len()][number % 3]]);
            silent
        })
        .collect();
    let why = "too many sockets: the oldest one that has not logged in makes room";
    broker.log().expect(&["connection refused", why]);
    Tls::connect(&broker, &files.client()).log_in(&broker).assert_alive();
    drop(silent);
}

#[test]
fn a_refused_login_is_told_before_the_good_bye_of_tls() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let tls = Tls::connect(&broker, &files.client());
    let mut wire = Wire::over(tls, broker.clone());
    wire.until_tune(&crate::wire::CLIENT_CAPABILITIES.table());
    wire.send(0, &tune_ok((2047, 131_072, 0))).send(0, &connection_open("nowhere"));
    wire.expect_close(530, "NOT_ALLOWED - vhost nowhere not found");
    let _: Arc<Broker> = broker;
}
