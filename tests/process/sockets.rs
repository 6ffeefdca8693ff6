//! Sockets take no more descriptors than the store can spare, and silent ones keep nobody out.

use std::{net::TcpStream, sync::Arc};

use crate::{
    broker::Broker,
    wire::{
        BODY, CLIENT_CAPABILITIES, DURABLE, HEADER, METHOD, Wire, basic_publish, confirm_select,
        connection_open, content_header, frame, queue_declare, tune_ok,
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
