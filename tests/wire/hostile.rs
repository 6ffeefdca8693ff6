//! Input that no client sends: it may end its own connection, never the broker.

use crate::{
    broker::{is_external, unique},
    wire::{BODY, METHOD, PROTOCOL_HEADER, Table, Wire, frame, method, publish, start_ok},
};

#[test]
fn a_table_nested_ten_thousand_deep_ends_the_connection_and_not_the_broker() {
    // Each level is an entry with an empty name: 0, 'F', length.
    let mut table = Vec::new();
    for _ in 0..10_000 {
        let mut outer = vec![0, b'F'];
        outer.extend((table.len() as u32).to_be_bytes());
        outer.extend(&table);
        table = outer;
    }
    let table = Table(table);
    let mut wire = Wire::open_channel();
    wire.send(1, &method(50, 10).u16(0).short(&unique("queue")).u8(4).table(&table));
    if is_external() {
        // RabbitMQ has no stack to overflow: it may accept the table.
        wire.next_frame();
    } else {
        wire.expect(0, 10, 50);
        wire.send(0, &method(10, 51)).expect_eof();
    }
    Wire::open().assert_alive();
}

#[test]
fn lying_lengths_within_a_method_close_the_connection() {
    let declare = || method(50, 10).u16(0);
    for args in [
        declare().u8(255).bytes(b"short"),                    // queue name
        declare().short("q").u8(4).u32(u32::MAX),             // arguments: 4 GiB
        declare().short("q").u8(4).u32(100).bytes(b"\x01aS"), // arguments: fewer bytes than said
        declare().short("q").u8(4).table(&Table::new().entry("a", b'S', &[0xff; 4])), // value: 4 GiB
        declare().short("q").u8(4).table(&Table::new().entry("a", b'A', &[0xff; 4])), // array: 4 GiB
        declare().short("q").u8(4).table(&Table::new().entry("a", b'~', &[])), // no such type
    ] {
        // RabbitMQ says 501 `cannot decode` for lengths outside the table and crashes silently for those inside.
        Wire::open_channel().send(1, &args).expect_close_among(&[501, 502]);
    }
}

#[test]
fn random_garbage_instead_of_a_protocol_closes_the_socket() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20 {
        let garbage: Vec<u8> = (0..512).map(|_| next_byte(&mut seed)).collect();
        let answer = Wire::connect().raw(&garbage).bytes_until_eof();
        assert!(answer.is_empty() || answer.starts_with(b"AMQP"), "{answer:?}");
    }
    Wire::open().assert_alive();
}

#[test]
fn random_payloads_in_well_formed_frames_never_kill_the_broker() {
    let mut seed = 0x0123_4567_89ab_cdef_u64;
    for round in 0..60_u8 {
        let mut wire = Wire::open_channel();
        let size = usize::from(next_byte(&mut seed));
        let payload: Vec<u8> = (0..size).map(|_| next_byte(&mut seed)).collect();
        match round % 3 {
            0 => wire.raw(&frame(next_byte(&mut seed), u16::from(round % 2), &payload)),
            1 => {
                // A real class and method, so that argument parsing gets to see the garbage.
                let ids = [(50, 10), (50, 20), (60, 20), (60, 40), (40, 10), (40, 30), (10, 50), (20, 40)];
                let (class, id) = ids[usize::from(round / 3) % ids.len()];
                wire.send(1, &method(class, id).bytes(&payload))
            }
            _ => {
                let mut bytes = publish(1, "", "q", 0, &payload);
                let at = usize::from(next_byte(&mut seed)) % bytes.len();
                bytes[at] ^= next_byte(&mut seed) | 1;
                wire.raw(&bytes)
            }
        };
        wire.half_close().bytes_until_eof();
    }
    Wire::open().assert_alive();
}

#[test]
fn a_connection_that_ends_anywhere_leaves_no_trace() {
    let mut whole = PROTOCOL_HEADER.to_vec();
    whole.extend(frame(METHOD, 0, &start_ok(&Table::new(), "PLAIN", b"\0guest\0guest").0));
    for cut in [0, 1, 7, 8, 9, 14, 15, 20, whole.len() - 1, whole.len()] {
        let answer = Wire::connect().raw(&whole[..cut]).half_close().bytes_until_eof();
        assert!(cut >= 8 || answer.is_empty(), "{cut}: {answer:?}");
    }
    for cut in [1, 6, 7, 8, 20, 60] {
        let mut wire = Wire::open_channel();
        wire.raw(&publish(1, "", "q", 0, &[b'x'; 60])[..cut]).half_close().bytes_until_eof();
    }
    Wire::open().assert_alive();
}

#[test]
fn a_body_size_of_u64_max_is_refused_without_waiting_for_it() {
    let mut wire = Wire::open_channel();
    wire.send(1, &crate::wire::basic_publish("", "q", 0));
    wire.raw(&frame(crate::wire::HEADER, 1, &crate::wire::content_header(u64::MAX)));
    wire.raw(&frame(BODY, 1, b"x")).half_close().bytes_until_eof();
    Wire::open().assert_alive();
}

/// Xorshift: the same bytes in every run.
fn next_byte(seed: &mut u64) -> u8 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 32) as u8
}
