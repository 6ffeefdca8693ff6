//! Methods and the channels they belong to; closing in both directions.

use crate::{
    broker::unique,
    wire::{
        Args, BODY, CLIENT_CAPABILITIES, EXCLUSIVE, HEADER, METHOD, PASSIVE, Wire, basic_ack, basic_consume,
        basic_get, basic_publish, content_header, frame, method, queue_declare,
    },
};

fn channel_close() -> Args {
    method(20, 40).u16(200).short("bye").u16(0).u16(0)
}

fn connection_close() -> Args {
    method(10, 50).u16(200).short("bye").u16(0).u16(0)
}

#[test]
fn opening_a_channel_twice_is_a_channel_error() {
    let closed = Wire::open_channel()
        .send(1, &method(20, 10).short(""))
        .expect_close(504, "CHANNEL_ERROR - second 'channel.open' seen");
    assert_eq!(closed.method, (20, 10));
}

#[test]
fn methods_on_a_channel_that_is_not_open_are_a_channel_error() {
    for (args, ids) in [
        (queue_declare("q", 0), (50, 10)),
        (basic_ack(1, false), (60, 80)),
        (basic_get("q", true), (60, 70)),
        (channel_close(), (20, 40)),
        (method(20, 41), (20, 41)),
        (method(20, 20).u8(1), (20, 20)),
    ] {
        let closed = Wire::open().send(1, &args).expect_close(504, "CHANNEL_ERROR - expected 'channel.open'");
        assert_eq!(closed.method, ids);
    }
    let closed = Wire::open()
        .publish(1, "", "q", 0, b"x")
        .expect_close(504, "CHANNEL_ERROR - expected 'channel.open'");
    assert_eq!(closed.method, (60, 40));
}

#[test]
fn a_channel_beyond_the_negotiated_maximum_is_not_allowed() {
    let mut wire = Wire::open_with(&CLIENT_CAPABILITIES.table(), (2, 131_072, 0));
    wire.channel(1).channel(2);
    wire.send(3, &method(20, 10).short("")).expect_close(
        530,
        "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)",
    );
}

#[test]
fn channel_numbers_may_exceed_the_number_of_channels() {
    let mut wire = Wire::open_with(&CLIENT_CAPABILITIES.table(), (2, 131_072, 0));
    wire.channel(65_535).channel(40_000);
}

#[test]
fn channel_methods_on_channel_0_close_the_connection() {
    for args in
        [method(20, 10).short(""), queue_declare("q", 0), basic_publish("", "q", 0), basic_ack(1, false)]
    {
        Wire::open()
            .send(0, &args)
            .expect_close(504, "CHANNEL_ERROR - unexpected method in connection state running");
    }
}

#[test]
fn connection_methods_on_another_channel_close_the_connection() {
    for args in [connection_close(), method(10, 31).u16(0).u32(0).u16(0)] {
        Wire::open_channel().send(1, &args).expect_close(503, "COMMAND_INVALID - unimplemented method");
    }
}

#[test]
fn unknown_methods_close_the_connection() {
    for (class, id) in [(50, 99), (99, 10), (0, 0), (65_535, 65_535)] {
        Wire::open_channel().send(1, &method(class, id)).expect_close_among(&[503, 540]);
    }
}

#[test]
fn methods_of_the_server_are_refused_from_a_client() {
    for args in [
        method(50, 11).short("q").u32(0).u32(0), // queue.declare-ok
        method(20, 11).long(b""),                // channel.open-ok
        method(20, 21).u8(1),                    // channel.flow-ok
        method(20, 41),                          // channel.close-ok
        method(60, 31).short("c"),               // basic.cancel-ok
        method(60, 111),                         // basic.recover-ok
        method(85, 11),                          // confirm.select-ok
        method(90, 11),                          // tx.select-ok
    ] {
        Wire::open_channel().send(1, &args).expect_close(503, "COMMAND_INVALID - unimplemented method");
    }
}

#[test]
fn methods_of_the_wrong_size_are_a_frame_error() {
    let whole = queue_declare("some-queue", 0).0;
    for size in [0, 1, 3] {
        Wire::open_channel()
            .raw(&frame(METHOD, 1, &whole[..size]))
            .expect_close(501, "FRAME_ERROR - type 1, all octets = ");
    }
    let trailing = [whole.as_slice(), b"xx"].concat();
    for payload in [&whole[..4], &whole[..6], &whole[..10], &whole[..whole.len() - 1], &trailing] {
        let closed = Wire::open_channel()
            .raw(&frame(METHOD, 1, payload))
            .expect_close(501, "FRAME_ERROR - cannot decode <<");
        assert_eq!(closed.method, (50, 10));
    }
}

#[test]
fn flow_is_answered_and_flow_off_is_not_implemented() {
    let mut wire = Wire::open_channel();
    assert_eq!(wire.send(1, &method(20, 20).u8(1)).expect(1, 20, 21).u8(), 1);
    let closed = wire.send(1, &method(20, 20).u8(0)).expect_close(540, "NOT_IMPLEMENTED - active=false");
    assert_eq!(closed.method, (20, 20));
}

#[test]
fn access_request_is_answered_with_ticket_1() {
    let args = method(30, 10).short("/data").u8(0b11111);
    assert_eq!(Wire::open_channel().send(1, &args).expect(1, 30, 11).u16(), 1);
}

#[test]
fn a_client_closes_a_channel_and_opens_it_again() {
    let mut wire = Wire::open_channel();
    for _ in 0..3 {
        assert_eq!(wire.send(1, &channel_close()).expect(1, 20, 41).rest(), b"");
        wire.channel(1);
    }
    wire.assert_alive();
}

#[test]
fn a_client_closes_the_connection() {
    let mut wire = Wire::open_channel();
    assert_eq!(wire.send(0, &connection_close()).expect(0, 10, 51).rest(), b"");
    wire.half_close().expect_eof(); // RabbitMQ lets the client hang up first
}

#[test]
fn a_channel_error_names_the_failing_method_and_leaves_other_channels_alone() {
    let mut wire = Wire::open_channel();
    wire.channel(2);
    let missing = unique("missing");
    let cases = [
        (queue_declare(&missing, PASSIVE), (50, 10)),
        (basic_get(&missing, true), (60, 70)),
        (basic_consume(&missing, "", 0), (60, 20)),
        (method(50, 30).u16(0).short(&missing).u8(0), (50, 30)),
    ];
    for (args, ids) in cases {
        let closed = wire.send(1, &args).expect_channel_close(
            1,
            404,
            &format!("NOT_FOUND - no queue '{missing}' in vhost '/'"),
        );
        assert_eq!(closed.method, ids);
        wire.channel(1);
    }
    wire.send(2, &channel_close()).expect(2, 20, 41);
}

#[test]
fn frames_on_a_channel_that_waits_for_close_ok_are_discarded() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    let mut bytes = frame(METHOD, 1, &basic_get("missing", true).0);
    bytes.extend(frame(METHOD, 1, &queue_declare(&queue, EXCLUSIVE).0));
    bytes.extend(frame(METHOD, 1, &basic_publish("", &queue, 0).0));
    bytes.extend(frame(HEADER, 1, &content_header(3)));
    bytes.extend(frame(BODY, 1, b"abc"));
    wire.raw(&bytes).expect(1, 20, 40);
    wire.send(1, &method(20, 41)).channel(1);
    wire.send(1, &queue_declare(&queue, PASSIVE)).expect_channel_close(1, 404, "NOT_FOUND");
}

#[test]
fn opening_a_channel_that_waits_for_close_ok_is_a_channel_error() {
    let mut wire = Wire::open_channel();
    wire.send(1, &basic_get("missing", true)).expect(1, 20, 40);
    wire.send(1, &method(20, 10).short("")).expect_close(504, "CHANNEL_ERROR - second 'channel.open' seen");
}

#[test]
fn a_client_close_crossing_the_servers_close_is_answered() {
    let mut wire = Wire::open_channel();
    let mut bytes = frame(METHOD, 1, &basic_get("missing", true).0);
    bytes.extend(frame(METHOD, 1, &channel_close().0));
    wire.raw(&bytes).expect(1, 20, 40);
    wire.expect(1, 20, 41);
    wire.send(1, &method(20, 41)).channel(1).assert_alive();
}

#[test]
fn after_connection_close_everything_but_close_ok_is_discarded() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &method(20, 10).short("")).expect(0, 10, 50);
    wire.send(1, &queue_declare(&queue, 0)).publish(1, "", &queue, 0, b"x");
    wire.send(2, &method(20, 10).short("")).send(0, &method(10, 51)).expect_eof();
    Wire::open_channel().send(1, &queue_declare(&queue, PASSIVE)).expect_channel_close(1, 404, "NOT_FOUND");
}

#[test]
fn acks_for_a_channel_that_was_closed_are_a_channel_error() {
    let mut wire = Wire::open_channel();
    wire.send(1, &channel_close()).expect(1, 20, 41);
    wire.send(1, &basic_ack(1, false)).expect_close(504, "CHANNEL_ERROR - expected 'channel.open'");
}
