//! Sockets take no more descriptors than the store can spare, and silent ones keep nobody out.

use std::{io::Write, net::TcpStream, sync::Arc};

use crate::{
    broker::Broker,
    peak_kib,
    tls::Files,
    wire::{
        BODY, CLIENT_CAPABILITIES, DURABLE, HEADER, METHOD, PROTOCOL_HEADER, Table, Wire, basic_publish,
        confirm_select, connection_open, content_header, frame, queue_declare, start_ok, tune_ok,
    },
};

/// Declares a durable queue for publishes that are confirmed.
fn publisher(broker: &Arc<Broker>, queue: &str) -> Wire {
    let mut wire = Wire::open_to(broker.clone());
    wire.channel(1).send(1, &queue_declare(queue, DURABLE)).expect(1, 50, 11);
    wire.send(1, &confirm_select()).expect(1, 85, 11);
    wire
}

fn publish_confirmed(wire: &mut Wire, queue: &str, messages: usize) {
    let mut header = content_header(4_000);
    header.truncate(header.len() - 2);
    header.extend([0x10, 0x00, 2]); // delivery mode 2
    let publish = [
        frame(METHOD, 1, &basic_publish("", queue, 0).0),
        frame(HEADER, 1, &header),
        frame(BODY, 1, &[7; 4_000]),
    ];
    for _ in 0..messages {
        wire.raw(&publish.concat()).expect(1, 60, 80);
    }
}

#[test]
fn silent_sockets_stop_neither_the_store_nor_new_clients() {
    // The store makes new files all the while.
    let Some(broker) = Broker::start_with_descriptors(256, &["--segment-bytes", "64KiB"]) else { return };
    let log = broker.log();
    log.expect(&["limits", "descriptors=256"]);
    let mut old = publisher(&broker, "old");
    let silent: Vec<_> = (0..400).map(|_| TcpStream::connect(&broker.address).unwrap()).collect();
    publish_confirmed(&mut old, "old", 200);
    let mut new = publisher(&broker, "new");
    publish_confirmed(&mut new, "new", 200);
    log.expect(&["connection refused", "too many sockets: the oldest one that has not logged in makes room"]);
    drop(silent);
    publish_confirmed(&mut old, "old", 50);
}

/// How much more memory the broker has had at most, for each of these sockets, in KiB.
fn taken_by<T>(broker: &Broker, sockets: usize, open: impl Fn(usize) -> T) -> (usize, Vec<T>) {
    let before = peak_kib(broker);
    let all: Vec<_> = (0..sockets).map(open).collect();
    (peak_kib(broker).saturating_sub(before) / sockets, all)
}

/// What is said in SECURITY.md of sockets before the login.
#[test]
fn a_socket_that_has_not_logged_in_takes_little_whatever_it_sends() {
    const SOCKETS: usize = 400;
    let files = Files::new();
    let Some(broker) = files.broker(&["--handshake-timeout-ms", "60000"]) else { return };
    // Once, so that what is made with the first client is there.
    Wire::open_to(broker.clone()).assert_alive();
    // A frame that is not complete, behind it nothing.
    let unfinished = &frame(METHOD, 0, &[0; 8_000])[..8_000];
    let (plain, sockets) = taken_by(&broker, SOCKETS, |_| {
        let mut wire = Wire::connect_to(broker.clone());
        wire.raw(PROTOCOL_HEADER).expect(0, 10, 10);
        wire.raw(unfinished);
        wire
    });
    assert!(plain <= 40, "{plain} KiB");
    drop(sockets);
    // A handshake of TLS that does not end: a long message in records of the largest size.
    let address = broker.tls_address.clone().unwrap();
    let record = [&[22, 3, 1, 0x3f, 0xff][..], &[1, 0, 0x7f, 0xff], &[0; 16_379]].concat();
    let rest = [&[22, 3, 1, 0x3f, 0][..], &[0; 0x3f00]].concat();
    let (tls, sockets) = taken_by(&broker, SOCKETS, |_| {
        let mut socket = TcpStream::connect(&address).unwrap();
        // One that is refused at once is not there to take anything.
        let _refused = socket.write_all(&record).and_then(|()| socket.write_all(&rest[..15_000]));
        socket
    });
    assert!(tls <= 120, "{tls} KiB");
    drop(sockets);
    // Properties of which each entry takes many times what it takes on the wire, of clients that open nothing.
    let (properties, _sockets) = taken_by(&broker, SOCKETS, |_| {
        let mut wire = Wire::connect_to(broker.clone());
        wire.raw(PROTOCOL_HEADER).expect(0, 10, 10);
        wire.send(0, &start_ok(&Table([0, b'V'].repeat(3_900)), "PLAIN", b"\0guest\0guest"))
            .expect(0, 10, 30);
        wire
    });
    assert!(properties <= 80, "{properties} KiB");
}

#[test]
fn connections_beyond_the_descriptors_are_told_that_they_are_too_many() {
    let Some(broker) = Broker::start_with_descriptors(128, &[]) else { return };
    let mut open = Vec::new();
    let told = loop {
        let mut next = Wire::connect_to(broker.clone());
        next.until_tune(&CLIENT_CAPABILITIES.table());
        next.send(0, &tune_ok((2047, 131_072, 0))).send(0, &connection_open("/"));
        let frame = next.next_frame().unwrap();
        if frame.payload[..4] != [0, 10, 0, 41] {
            break frame.payload;
        }
        open.push(next);
        assert!(open.len() < 128);
    };
    assert_eq!(told[..4], [0, 10, 0, 50]);
    assert!(String::from_utf8_lossy(&told).contains("node connection limit"));
    for wire in &mut open {
        wire.assert_alive();
    }
    open.pop();
    // A place is free once the broker has seen that.
    broker.log().expect(&["connection ended"]);
    Wire::open_to(broker.clone()).assert_alive();
}
