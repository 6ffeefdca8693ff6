//! Messages over TLS: large and small ones, slow readers, and records of every size.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{ClientConfig, SupportedProtocolVersion};
use tokio::{net::TcpSocket, runtime::Runtime};

use crate::{
    broker::{Broker, DEADLINE},
    tls::{Files, Tls, VERSIONS, client, tcp},
    wire::{
        EXCLUSIVE, METHOD, NO_ACK, PROTOCOL_HEADER, Wire, basic_consume, basic_get, connection_open, frame,
        publish, queue_declare, start_ok, tune_ok,
    },
};

/// Bytes of which none is where another one of the same value would do.
fn body(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8 ^ (at / 65_521) as u8).collect()
}

/// Body frames of a large message.
fn large(queue: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = frame(METHOD, 1, &crate::wire::basic_publish("", queue, 0).0);
    bytes.extend(frame(crate::wire::HEADER, 1, &crate::wire::content_header(body.len() as u64)));
    for part in body.chunks(131_072 - 8) {
        bytes.extend(frame(crate::wire::BODY, 1, part));
    }
    bytes
}

fn of_version(files: &Files, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    client(&files.ca, &[version], None)
}

#[test]
fn a_large_message_goes_both_ways() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let body = body(20_000_000);
    for version in VERSIONS {
        let mut wire = Tls::connect(&broker, &of_version(&files, version)).log_in(&broker);
        wire.channel(1).send(1, &queue_declare("large", EXCLUSIVE)).expect(1, 50, 11);
        wire.must_take(&large("large", &body));
        wire.send(1, &basic_get("large", true)).expect(1, 60, 71);
        assert!(wire.expect_content(1).body == body);
        wire.assert_alive();
    }
}

#[test]
fn many_small_deliveries_arrive_in_order() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    for version in VERSIONS {
        let config = of_version(&files, version);
        let mut consumer = Tls::connect(&broker, &config).log_in(&broker);
        consumer.channel(1).send(1, &queue_declare("small", EXCLUSIVE)).expect(1, 50, 11);
        consumer.send(1, &basic_consume("small", "c", NO_ACK)).expect(1, 60, 21);
        let mut publisher = Tls::connect(&broker, &config).log_in(&broker);
        publisher.channel(1);
        // One at a time: each is sent directly, without the writer.
        for number in 0..2_000_u32 {
            publisher.publish(1, "", "small", 0, &number.to_be_bytes());
            consumer.expect_delivery(1, &number.to_be_bytes());
        }
        // And many at once.
        let run: Vec<u8> =
            (0..20_000_u32).flat_map(|number| publish(1, "", "small", 0, &number.to_be_bytes())).collect();
        publisher.must_take(&run);
        for number in 0..20_000_u32 {
            consumer.expect_delivery(1, &number.to_be_bytes());
        }
        drop(consumer);
    }
}

/// A socket whose window is small, so that it is soon full.
fn narrow(broker: &Broker) -> TcpStream {
    let address: SocketAddr = broker.tls_address.as_ref().unwrap().parse().unwrap();
    let runtime = Runtime::new().unwrap();
    let tcp = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(address).await.unwrap().into_std().unwrap()
    });
    tcp.set_nonblocking(false).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp
}

#[test]
fn what_a_slow_reader_gets_is_whole_whoever_has_sent_it() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    for version in VERSIONS {
        let config = of_version(&files, version);
        let mut slow = Tls::on(narrow(&broker), &config).log_in(&broker);
        slow.channel(1).send(1, &queue_declare("slow", EXCLUSIVE)).expect(1, 50, 11);
        slow.send(1, &basic_consume("slow", "c", NO_ACK)).expect(1, 60, 21);
        let mut publisher = Tls::connect(&broker, &config).log_in(&broker);
        publisher.channel(1);
        // Each is small enough to be sent directly, until the socket is full in the midst of one, and the writer goes on.
        let body = body(9_000);
        for number in 0..1_500_u32 {
            let message = [&number.to_be_bytes()[..], &body].concat();
            publisher.publish(1, "", "slow", 0, &message);
            if number % 50 == 0 {
                // So that they come one by one.
                publisher.assert_alive();
            }
        }
        publisher.assert_alive();
        for number in 0..1_500_u32 {
            slow.expect_delivery(1, &[&number.to_be_bytes()[..], &body].concat());
        }
        slow.assert_alive();
    }
}

#[test]
fn records_may_be_as_small_and_as_many_as_a_client_likes() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let words = |queue: &str| {
        [
            PROTOCOL_HEADER.to_vec(),
            frame(
                METHOD,
                0,
                &start_ok(&crate::wire::CLIENT_CAPABILITIES.table(), "PLAIN", b"\0guest\0guest").0,
            ),
            frame(METHOD, 0, &tune_ok((2047, 131_072, 0)).0),
            frame(METHOD, 0, &connection_open("/").0),
            frame(METHOD, 1, &crate::wire::method(20, 10).short("").0),
            frame(METHOD, 1, &queue_declare(queue, EXCLUSIVE).0),
            publish(1, "", queue, 0, b"a message"),
            frame(METHOD, 1, &basic_get(queue, true).0),
        ]
        .concat()
    };
    for (number, version) in VERSIONS.into_iter().enumerate() {
        for at_once in [false, true] {
            let mut tls = Tls::connect(&broker, &of_version(&files, version)).agree().unwrap();
            // The one before may be on its way out, with its queue.
            for byte in words(&format!("octets {number} {at_once}")) {
                tls.session.writer().write_all(&[byte]).unwrap();
                if !at_once {
                    tls.send().unwrap();
                }
            }
            tls.send().unwrap();
            let mut wire = Wire::over(tls, broker.clone());
            for (channel, class, method) in
                [(0, 10, 10), (0, 10, 30), (0, 10, 41), (1, 20, 11), (1, 50, 11), (1, 60, 71)]
            {
                wire.expect(channel, class, method);
            }
            assert_eq!(wire.expect_content(1).body, b"a message");
        }
    }
}

#[test]
fn a_client_may_change_its_keys() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let mut tls = Tls::connect(&broker, &of_version(&files, VERSIONS[1])).agree().unwrap();
    for _ in 0..5 {
        tls.session.refresh_traffic_keys().unwrap();
        tls.send().unwrap();
    }
    let mut wire = tls.log_in(&broker);
    wire.channel(1).send(1, &queue_declare("keys", EXCLUSIVE)).expect(1, 50, 11);
    wire.publish(1, "", "keys", 0, b"with new keys").send(1, &basic_get("keys", true)).expect(1, 60, 71);
    assert_eq!(wire.expect_content(1).body, b"with new keys");
}

#[test]
fn a_record_that_is_spoilt_ends_the_connection_and_nothing_else() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let mut other = Tls::connect(&broker, &files.client()).log_in(&broker);
    let mut tls = Tls::connect(&broker, &files.client()).agree().unwrap();
    tls.write_all(PROTOCOL_HEADER).unwrap();
    assert_eq!(tls.read(&mut [0]).unwrap(), 1);
    let mut record = Vec::new();
    tls.session.writer().write_all(b"spoilt").unwrap();
    tls.session.write_tls(&mut record).unwrap();
    *record.last_mut().unwrap() ^= 1;
    tls.tcp.write_all(&record).unwrap();
    let mut rest = Vec::new();
    let error = tls.read_to_end(&mut rest).unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    other.assert_alive();
    drop(tcp(&broker));
}
