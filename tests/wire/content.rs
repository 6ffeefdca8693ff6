//! Content frames: header and body in their place, interleaving, zero-length bodies.

use crate::{
    broker::{only_leveret, unique},
    wire::{
        Args, BODY, EXCLUSIVE, HEADER, METHOD, NO_ACK, Wire, basic_consume, basic_publish, content_header,
        frame, method, queue_declare,
    },
};

/// A connection with channel 1 and a queue whose messages arrive there.
fn consuming() -> (Wire, String) {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    wire.send(1, &basic_consume(&queue, "c", NO_ACK)).expect(1, 60, 21);
    (wire, queue)
}

/// Type and payload of frames to send.
type Frames<'a> = &'a [(u8, &'a [u8])];

#[test]
fn a_header_or_body_without_publish_is_an_unexpected_frame() {
    for (kind, payload, text) in [
        (HEADER, content_header(1), "UNEXPECTED_FRAME - expected method frame, got non method frame instead"),
        (BODY, b"x".to_vec(), "UNEXPECTED_FRAME - expected method frame, got non method frame instead"),
    ] {
        let closed = Wire::open_channel().raw(&frame(kind, 1, &payload)).expect_close(505, text);
        assert_eq!(closed.method, (0, 0));
    }
}

#[test]
fn frames_out_of_order_after_publish_are_unexpected_and_name_basic_publish() {
    let (no_header, no_body) = (
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
        "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
    );
    let declare = queue_declare("q", 0).0;
    let other_class = Args(Vec::new()).u16(50).u16(0).u64(1).u16(0).0;
    let cases: [(Frames<'_>, &str); 6] = [
        (&[(BODY, b"x")], no_header),
        (&[(METHOD, &declare)], no_header),
        (&[(METHOD, &basic_publish("", "q", 0).0)], no_header),
        (
            &[(HEADER, &other_class)],
            "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        ),
        (&[(HEADER, &content_header(2)), (BODY, b"x"), (METHOD, &declare)], no_body),
        (&[(HEADER, &content_header(2)), (HEADER, &content_header(2))], no_body),
    ];
    for (frames, text) in cases {
        let mut wire = Wire::open_channel();
        wire.send(1, &basic_publish("", "q", 0));
        for (kind, payload) in frames {
            wire.raw(&frame(*kind, 1, payload));
        }
        assert_eq!(wire.expect_close(505, text).method, (60, 40));
    }
}

#[test]
fn a_zero_length_body_needs_no_body_frame() {
    let (mut wire, queue) = consuming();
    wire.publish(1, "", &queue, 0, b"").publish(1, "", &queue, 0, b"next");
    wire.expect_delivery(1, b"");
    wire.expect_delivery(1, b"next");
}

#[test]
fn contents_of_several_channels_may_be_interleaved() {
    let (mut wire, queue) = consuming();
    for channel in 2..=4 {
        wire.channel(channel).send(channel, &method(85, 10).u8(0)).expect(channel, 85, 11);
        wire.send(channel, &basic_publish("", &queue, 0));
    }
    for channel in 2..=4 {
        wire.raw(&frame(HEADER, channel, &content_header(4)));
    }
    for part in [b"ab", b"cd"] {
        for channel in [4, 2, 3] {
            wire.raw(&frame(BODY, channel, part));
        }
    }
    // Confirms and deliveries belong to different channels, so their order is free; how a body is cut into frames is, too.
    let (mut bodies, mut confirmed) = (Vec::new(), Vec::new());
    while bodies.len() < 12 || confirmed.len() < 3 {
        let frame = wire.next_frame().unwrap();
        match (frame.channel, frame.kind) {
            (1, BODY) => bodies.extend(frame.payload),
            (channel @ 2.., METHOD) => confirmed.push(channel),
            _ => {}
        }
    }
    confirmed.sort_unstable();
    assert_eq!((bodies.as_slice(), confirmed.as_slice()), (&b"abcdabcdabcd"[..], &[2, 3, 4][..]));
}

#[test]
fn methods_of_other_channels_may_stand_between_a_publish_and_its_body() {
    let (mut wire, queue) = consuming();
    wire.channel(2);
    wire.send(1, &basic_publish("", &queue, 0)).fence(2, &queue);
    wire.raw(&frame(HEADER, 1, &content_header(1))).fence(2, &queue);
    wire.raw(&frame(BODY, 1, b"x")).expect_delivery(1, b"x");
}

#[test]
fn a_channel_closed_within_a_content_forgets_it() {
    let mut wire = Wire::open_channel();
    wire.send(1, &basic_publish("", "q", 0)).raw(&frame(HEADER, 1, &content_header(10)));
    wire.send(1, &method(20, 40).u16(200).short("").u16(0).u16(0));
    // RabbitMQ counts this as a method where a body was due.
    wire.expect_close(505, "UNEXPECTED_FRAME - expected content body, got non content body frame instead");
}

#[test]
fn every_property_arrives_as_it_was_sent() {
    let (mut wire, queue) = consuming();
    let headers = crate::wire::Table::new().text("text", "value").flag("flag", true);
    let properties = Args(Vec::new())
        .u16(0b1111_1111_1111_1000)
        .short("text/plain")
        .short("utf-8")
        .table(&headers)
        .u8(2)
        .u8(7)
        .short("correlation")
        .short("reply")
        .short("60000")
        .short("message-id")
        .u64(1_700_000_000)
        .short("type")
        .short("guest")
        .short("app")
        .0;
    // The 14th, cluster-id, is reserved; clients still send it.
    let mut header = Args(Vec::new()).u16(60).u16(0).u64(4).0;
    header.extend(&properties);
    wire.send(1, &basic_publish("", &queue, 0)).raw(&frame(HEADER, 1, &header)).raw(&frame(BODY, 1, b"body"));
    wire.expect(1, 60, 60);
    let content = wire.expect_content(1);
    assert_eq!((content.properties, content.body), (properties, b"body".to_vec()));
}

#[test]
fn malformed_properties_close_the_connection() {
    let (mut wire, queue) = consuming();
    let header = Args(Vec::new()).u16(60).u16(0).u64(1).u16(0b1000_0000_0000_0000).u8(200).bytes(b"short").0;
    wire.send(1, &basic_publish("", &queue, 0)).raw(&frame(HEADER, 1, &header)).raw(&frame(BODY, 1, b"x"));
    wire.expect_close_among(&[541, 501, 502]); // 541 is RabbitMQ's, whose channel crashes
    Wire::open().assert_alive();
}

#[test]
fn the_largest_body_is_128_mib_unless_configured_and_nothing_is_read_of_a_larger_one() {
    only_leveret!("RabbitMQ reads it all before it refuses");
    let (mut wire, queue) = consuming();
    wire.send(1, &basic_publish("", &queue, 0)).raw(&frame(HEADER, 1, &content_header(134_217_729)));
    let text = "PRECONDITION_FAILED - message size 134217729 is larger than configured max size 134217728";
    wire.expect_channel_close(1, 406, text);
    wire.channel(1).send(1, &basic_publish("", &queue, 0)).raw(&frame(
        HEADER,
        1,
        &content_header(134_217_728),
    ));
    wire.raw(&frame(BODY, 1, b"the beginning")).assert_alive();
}

#[test]
fn a_body_longer_than_announced_closes_the_connection() {
    only_leveret!("RabbitMQ counts below zero and waits for a body that never ends");
    let (mut wire, queue) = consuming();
    wire.send(1, &basic_publish("", &queue, 0)).raw(&frame(HEADER, 1, &content_header(3)));
    wire.raw(&frame(BODY, 1, b"four"));
    wire.expect_close_among(&[501, 505]);
}
