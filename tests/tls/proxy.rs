//! The PROXY protocol: who stands before a client says where it is, and only those who are trusted may say so.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use crate::{
    broker::{Broker, DEADLINE},
    tls::{Files, Tls, tcp},
    wire::{CLIENT_CAPABILITIES, PROTOCOL_HEADER, Wire, start_ok},
};

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 4660 5672\r\n";

/// The same in version 2, with something behind the addresses.
fn binary() -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x34, 0x16, 0x28];
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x11"[..], &addresses, &[0x04, 0, 2, 9, 9]].concat()
}

/// A header in which the proxy speaks for itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn plain(broker: &Broker) -> TcpStream {
    let tcp = TcpStream::connect(&broker.address).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp
}

/// A broker that trusts this machine's proxies, where guest may log in from everywhere.
fn behind_proxies(files: &Files) -> Option<Arc<Broker>> {
    files.broker(&["--proxy-protocol-from", "127.0.0.0/8,::1", "--loopback-users"])
}

/// A client with TLS behind a proxy.
fn with_tls(broker: &Broker, files: &Files, header: &[u8]) -> Tls {
    let mut tcp = tcp(broker);
    tcp.write_all(header).unwrap();
    Tls::on(tcp, &files.client())
}

/// The same without TLS.
fn without_tls(broker: &Arc<Broker>, header: &[u8]) -> Wire {
    let mut tcp = plain(broker);
    tcp.write_all(header).unwrap();
    Wire::over(tcp, broker.clone())
}

#[test]
fn the_clients_address_is_what_the_header_says() {
    let files = Files::new();
    let Some(broker) = behind_proxies(&files) else { return };
    for header in [LINE, &binary()] {
        without_tls(&broker, header).log_in().assert_alive();
        with_tls(&broker, &files, header).log_in(&broker).assert_alive();
    }
    broker.log().expect(&["connection opened", "number=4"]);
    let opened: Vec<_> =
        broker.log().lines().into_iter().filter(|line| line.contains("connection opened")).collect();
    assert_eq!(opened.len(), 4, "{opened:#?}");
    assert!(opened.iter().all(|line| line.contains("peer=192.0.2.7:4660")), "{opened:#?}");
}

#[test]
fn a_proxy_may_speak_for_itself() {
    let files = Files::new();
    let Some(broker) = behind_proxies(&files) else { return };
    without_tls(&broker, LOCAL).log_in().assert_alive();
    without_tls(&broker, b"PROXY UNKNOWN\r\n").log_in().assert_alive();
    with_tls(&broker, &files, LOCAL).log_in(&broker).assert_alive();
    broker.log().expect(&["connection opened", "peer=127.0.0.1:"]);
}

#[test]
fn a_user_of_this_machine_alone_does_not_get_in_from_elsewhere_by_a_proxy_of_this_machine() {
    let files = Files::new();
    let Some(broker) = files.broker(&["--proxy-protocol-from", "127.0.0.1"]) else { return };
    without_tls(&broker, LOCAL).log_in().assert_alive();
    let mut elsewhere = without_tls(&broker, LINE);
    elsewhere.raw(PROTOCOL_HEADER).expect(0, 10, 10);
    let login = start_ok(&CLIENT_CAPABILITIES.table(), "PLAIN", b"\0guest\0guest");
    elsewhere.send(0, &login).expect_close(403, "ACCESS_REFUSED");
    broker.log().expect(&["connection refused", "peer=192.0.2.7:4660", "localhost"]);
}

#[test]
fn from_others_a_header_is_no_protocol() {
    let files = Files::new();
    let Some(broker) = files.broker(&["--proxy-protocol-from", "192.0.2.0/24"]) else { return };
    for header in [LINE, &binary()] {
        let mut tcp = plain(&broker);
        tcp.write_all(header).unwrap();
        let mut answer = [0; 8];
        tcp.read_exact(&mut answer).unwrap();
        assert_eq!(answer, PROTOCOL_HEADER);
        broker.log().expect(&["connection refused", "unknown protocol header"]);
        let refused = with_tls(&broker, &files, header).agree();
        assert!(refused.is_err());
        broker.log().expect(&["connection refused", "no TLS handshake: unknown protocol header"]);
    }
    Wire::open_to(broker).assert_alive();
}

#[test]
fn a_proxy_that_says_nothing_is_refused() {
    let files = Files::new();
    let Some(broker) = behind_proxies(&files) else { return };
    for first in [&b"AMQP\0\0\x09\x01AMQP"[..], b"GET / HTTP/1.1\r\n", b"PROXY TCP5 1 2 3 4\r\n"] {
        let mut tcp = plain(&broker);
        tcp.write_all(first).unwrap();
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = tcp.read_to_end(&mut rest);
        assert_eq!(rest, b"");
    }
    broker.log().expect(&["connection refused", "does not begin with a header of the PROXY protocol"]);
    without_tls(&broker, LINE).log_in().assert_alive();
}

#[test]
fn a_header_that_does_not_come_ends_with_the_handshake_timeout() {
    let files = Files::new();
    let args = ["--proxy-protocol-from", "127.0.0.1", "--handshake-timeout-ms", "300"];
    let Some(broker) = files.broker(&args) else { return };
    let mut slow = plain(&broker);
    slow.write_all(&LINE[..20]).unwrap();
    assert_eq!(slow.read_to_end(&mut Vec::new()).unwrap_or(0), 0);
    broker.log().expect(&["connection refused", "handshake timeout"]);
}

#[test]
fn many_octets_of_a_header_are_no_client_yet() {
    let files = Files::new();
    let Some(broker) = behind_proxies(&files) else { return };
    // Sent in two pieces, as networks do.
    for (header, cut) in [(LINE, 30), (&binary()[..], 14)] {
        let mut tcp = plain(&broker);
        tcp.write_all(&header[..cut]).unwrap();
        tcp.write_all(&header[cut..]).unwrap();
        tcp.write_all(PROTOCOL_HEADER).unwrap();
        Wire::over(tcp, broker.clone()).expect(0, 10, 10);
    }
}
