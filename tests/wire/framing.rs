//! Frames: sizes, end octets, types, and how bytes are cut into TCP segments.

use crate::{
    broker::unique,
    wire::{
        BODY, CLIENT_CAPABILITIES, EXCLUSIVE, HEADER, HEARTBEAT, METHOD, NO_ACK, Wire, basic_consume,
        basic_publish, confirm_select, content_header, frame, method, publish, queue_declare,
    },
};

#[test]
fn a_frame_beyond_frame_max_is_a_frame_error() {
    let mut wire = Wire::open_with(&CLIENT_CAPABILITIES.table(), (2047, 8192, 0));
    wire.channel(1);
    let closed = wire
        .raw(&frame(BODY, 1, &[b'x'; 8193]))
        .expect_close(501, "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,8193,8184}");
    assert_eq!(closed.method, (0, 0));
}

#[test]
fn a_payload_of_frame_max_is_tolerated_although_it_makes_the_frame_eight_octets_too_large() {
    let mut wire = Wire::open_with(&CLIENT_CAPABILITIES.table(), (2047, 8192, 0));
    let queue = unique("queue");
    wire.channel(1).send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    wire.send(1, &basic_consume(&queue, "c", NO_ACK)).expect(1, 60, 21);
    let body = [b'x'; 8192];
    wire.publish(1, "", &queue, 0, &body).expect_delivery(1, &body);
}

#[test]
fn the_size_of_a_frame_is_judged_before_its_bytes_arrive() {
    for size in [131_073_u32, 0x7fff_ffff, u32::MAX] {
        let mut wire = Wire::open_channel();
        let mut bytes = vec![METHOD, 0, 1];
        bytes.extend(size.to_be_bytes());
        wire.raw(&bytes).expect_close(
            501,
            &format!("FRAME_ERROR - type 1, all octets = <<>>: {{frame_too_large,{size},131064}}"),
        );
    }
}

#[test]
fn a_wrong_frame_end_is_a_frame_error() {
    let mut wire = Wire::open();
    let mut bytes = frame(METHOD, 1, &method(20, 10).short("").0);
    *bytes.last_mut().unwrap() = 0xCD;
    let closed = wire.raw(&bytes).expect_close(501, "FRAME_ERROR - type 1, all octets = <<0,20,0,10,0>>: ");
    assert!(closed.text.ends_with("{invalid_frame_end_marker,205}"), "{closed:?}");
}

#[test]
fn unknown_frame_types_close_the_connection() {
    for (kind, channel) in [(0, 0), (4, 1), (9, 0), (255, 1)] {
        let mut wire = Wire::open_channel();
        wire.raw(&frame(kind, channel, b""))
            .expect_close(501, &format!("FRAME_ERROR - type {kind}, all octets = <<>>: unknown_frame"));
    }
    // A heartbeat has no payload, a content header has more than eight octets.
    for (kind, channel, payload) in
        [(HEARTBEAT, 0, b"xx".as_slice()), (HEADER, 1, &[0, 60, 0, 0, 0, 0, 0, 1])]
    {
        let closed =
            Wire::open_channel().raw(&frame(kind, channel, payload)).expect_close(501, "FRAME_ERROR - type ");
        assert!(closed.text.ends_with(": unknown_frame"), "{closed:?}");
    }
}

#[test]
fn content_frames_on_channel_0_close_the_connection() {
    for kind in [HEADER, BODY] {
        let payload = if kind == HEADER { content_header(1) } else { b"x".to_vec() };
        Wire::open_channel().raw(&frame(kind, 0, &payload)).expect_close(505, "UNEXPECTED_FRAME - ");
    }
}

#[test]
fn bytes_arriving_one_at_a_time_are_the_same_message() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    wire.send(1, &confirm_select()).expect(1, 85, 11);
    for byte in publish(1, "", &queue, 0, b"in very small steps") {
        wire.raw(&[byte]); // TCP_NODELAY is set: each byte is a segment of its own
    }
    wire.expect(1, 60, 80);
    wire.send(1, &basic_consume(&queue, "c", NO_ACK)).expect(1, 60, 21);
    wire.expect_delivery(1, b"in very small steps");
}

#[test]
fn a_message_may_be_split_over_many_body_frames_of_any_size() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    wire.send(1, &basic_consume(&queue, "c", NO_ACK)).expect(1, 60, 21);
    let body: Vec<u8> = (0..5000_u32).map(|n| n as u8).collect();
    let mut bytes = frame(METHOD, 1, &basic_publish("", &queue, 0).0);
    bytes.extend(frame(HEADER, 1, &content_header(5000)));
    let mut rest = body.as_slice();
    for size in (0..).map(|n| n * 7 % 97) {
        let (part, tail) = rest.split_at(rest.len().min(size)); // the first part is empty
        bytes.extend(frame(BODY, 1, part));
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    wire.raw(&bytes).expect_delivery(1, &body);
}

#[test]
fn many_methods_in_one_segment_are_answered_in_order() {
    let mut wire = Wire::open();
    let mut bytes = Vec::new();
    for channel in 1..=50 {
        bytes.extend(frame(METHOD, channel, &method(20, 10).short("").0));
    }
    wire.raw(&bytes);
    // Channels are independent, so only the set is promised across them.
    let mut opened: Vec<u16> = (1..=50).map(|_| wire.next_frame().unwrap().channel).collect();
    opened.sort_unstable();
    assert_eq!(opened, (1..=50).collect::<Vec<_>>());

    let mut bytes = Vec::new();
    let queues: Vec<String> = (0..50).map(|_| unique("queue")).collect();
    for queue in &queues {
        bytes.extend(frame(METHOD, 1, &queue_declare(queue, EXCLUSIVE).0));
    }
    wire.raw(&bytes);
    for queue in &queues {
        assert_eq!(wire.expect(1, 50, 11).short(), *queue);
    }
}
