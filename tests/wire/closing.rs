//! Who closes the socket, and when. RabbitMQ lets the client do it, which may not have finished writing or telling its users.

use std::sync::Arc;

use crate::{
    broker::{Broker, unique},
    wire::{
        AUTO_DELETE, Args, EXCLUSIVE, HEARTBEAT, METHOD, PASSIVE, Wire, basic_consume, frame, method,
        publish, queue_declare,
    },
};

fn connection_close() -> Args {
    method(10, 50).u16(200).short("bye").u16(0).u16(0)
}

/// More than the buffers of a socket hold: it is only taken if the broker reads.
fn much() -> Vec<u8> {
    frame(HEARTBEAT, 0, b"").repeat(2 * 1024 * 1024)
}

#[test]
fn the_socket_stays_open_behind_close_ok_until_the_client_closes_it() {
    let mut wire = Wire::open_channel();
    wire.send(0, &connection_close()).expect(0, 10, 51);
    wire.must_take(&much());
    wire.half_close().expect_eof();
}

#[test]
fn what_is_sent_behind_a_close_is_not_handled() {
    let queue = unique("queue");
    let mut wire = Wire::open_channel();
    wire.send(1, &queue_declare(&queue, 0)).expect(1, 50, 11);
    let close = frame(METHOD, 0, &connection_close().0);
    wire.raw(&[close, publish(1, "", &queue, 0, b"late")].concat()).expect(0, 10, 51);
    wire.publish(1, "", &queue, 0, b"later").half_close().expect_eof();
    let mut other = Wire::open_channel();
    let mut declared = other.send(1, &queue_declare(&queue, PASSIVE)).expect(1, 50, 11);
    assert_eq!((declared.short(), declared.u32()), (queue.clone(), 0));
    other.send(1, &method(50, 40).u16(0).short(&queue).u8(0)).expect(1, 50, 41);
}

#[test]
fn a_close_that_crosses_ours_is_answered_and_the_socket_stays_open() {
    let mut wire = Wire::open_channel();
    wire.send(1, &method(20, 10).short("")).expect(0, 10, 50);
    wire.send(0, &connection_close()).expect(0, 10, 51);
    wire.must_take(&much());
    wire.half_close().expect_eof();
}

#[test]
fn everything_that_a_connection_holds_is_given_back_before_its_socket_is_closed() {
    type Close = fn(&mut Wire);
    let mut closings: [(&str, Close); 3] = [
        ("closed by the client", |wire| drop(wire.send(0, &connection_close()).expect(0, 10, 51))),
        ("closed by the broker", |wire| {
            drop(wire.send(1, &method(20, 10).short("")).expect(0, 10, 50));
        }),
        ("no frames", |wire| drop(wire.raw(&[0xFF; 64]).expect(0, 10, 50))),
    ];
    for (how, close) in &mut closings {
        let (exclusive, shared) = (unique("exclusive"), unique("shared"));
        let mut wire = Wire::open_channel();
        wire.send(1, &queue_declare(&exclusive, EXCLUSIVE)).expect(1, 50, 11);
        wire.send(1, &queue_declare(&shared, AUTO_DELETE)).expect(1, 50, 11);
        wire.send(1, &basic_consume(&shared, "c", 0)).expect(1, 60, 21);
        close(&mut wire);
        for queue in [exclusive, shared] {
            let mut other = Wire::open_channel();
            let closed =
                other.send(1, &queue_declare(&queue, PASSIVE)).expect_channel_close(1, 404, "NOT_FOUND");
            assert_eq!(closed.method, (50, 10), "{how}");
        }
    }
}

#[test]
fn a_connection_that_is_closed_makes_place_for_another_one() {
    let Some(broker) = Broker::start(&["--connection-max", "1"], &[]) else { return };
    let open = || Wire::open_to(Arc::clone(&broker));
    let mut first = open();
    first.send(0, &connection_close()).expect(0, 10, 51);
    let mut second = open();
    second.channel(1).send(1, &method(20, 10).short("")).expect(0, 10, 50);
    let mut third = open();
    third.assert_alive();
}

#[test]
fn the_close_behind_a_frame_error_can_be_read_by_a_client_that_goes_on_writing() {
    let mut wire = Wire::open();
    wire.raw(&[0xFF; 64]);
    wire.raw(&frame(HEARTBEAT, 0, b"").repeat(8 * 1024));
    wire.expect_close(501, "FRAME_ERROR - ");
}

#[test]
fn a_stop_waits_for_no_socket_that_its_client_should_close() {
    let Some(broker) = Broker::start(&[], &[]) else { return };
    let mut closed = Wire::open_to(broker.clone());
    closed.send(0, &connection_close()).expect(0, 10, 51);
    let pid = broker.pid().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    closed.expect_eof();
    drop(closed);
    assert_eq!(Arc::into_inner(broker).unwrap().wait(), Some(0));
}
