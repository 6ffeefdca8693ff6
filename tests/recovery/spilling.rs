//! Transient messages that are too many for memory go to disk to make room. Nobody sees a difference: no publisher is stuck,
//! everything is delivered in order, and no restart brings them back.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use crate::{
    broker::Broker,
    node::{Node, Stop},
    wire::{
        Args, BODY, DURABLE, HEADER, METHOD, NO_ACK, PASSIVE, Wire, basic_consume, basic_publish, frame,
        queue_declare,
    },
};

const MEMORY_LIMIT_BYTES: &str = "4000000";
/// Eight times as much as may be in memory.
const COUNT: u32 = 8_000;
const BODY_BYTES: usize = 4_000;
const QUEUE: &str = "deep";
const DEADLINE: Duration = Duration::from_mins(1);

fn node() -> Node {
    Node::with(&["--memory-limit-bytes", MEMORY_LIMIT_BYTES])
}

fn wire(node: &Node) -> Wire {
    let mut wire = Wire::open_to(Arc::new(Broker::external(node.address().to_owned())));
    wire.channel(1);
    wire
}

fn body(n: u32) -> Vec<u8> {
    n.to_be_bytes().repeat(BODY_BYTES / 4)
}

fn message(n: u32, persistent: bool) -> Vec<u8> {
    let (flags, mode): (u16, &[u8]) = if persistent { (1 << 12, &[2]) } else { (0, &[]) };
    let header = Args(Vec::new()).u16(60).u16(0).u64(BODY_BYTES as u64).u16(flags).bytes(mode);
    [frame(METHOD, 1, &basic_publish("", QUEUE, 0).0), frame(HEADER, 1, &header.0), frame(BODY, 1, &body(n))]
        .concat()
}

/// Publishes all of them, though nobody consumes; returns when the broker has taken the last one.
fn publish_all(node: &Node, is_persistent: fn(u32) -> bool) {
    let mut publisher = wire(node);
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        for n in 0..COUNT {
            publisher.raw(&message(n, is_persistent(n)));
        }
        // Twice: the second answer says that what was read with the first request has gone to the journal.
        for _ in 0..2 {
            publisher.send(1, &queue_declare(QUEUE, PASSIVE));
            // The alarm may come and go on channel 0.
            while publisher.next_frame().unwrap().channel != 1 {}
        }
        done.send(()).unwrap();
    });
    let taken = finished.recv_timeout(DEADLINE);
    assert!(taken.is_ok(), "the broker does not take {COUNT} messages; it says\n{}", node.stderr());
}

fn message_count(wire: &mut Wire) -> u32 {
    let mut declared = wire.send(1, &queue_declare(QUEUE, PASSIVE)).expect(1, 50, 11);
    declared.short();
    declared.u32()
}

/// Consumes everything, which must be these.
fn expect_all(wire: &mut Wire, expected: impl Iterator<Item = u32>, redelivered: bool) {
    wire.send(1, &basic_consume(QUEUE, "c", NO_ACK)).expect(1, 60, 21);
    for n in expected {
        assert_eq!(wire.expect_delivery(1, &body(n)).1, redelivered, "message {n}");
    }
    assert_eq!(message_count(wire), 0);
}

#[test]
fn transient_messages_beyond_the_memory_budget_are_taken_and_delivered_in_order() {
    for bits in [0, DURABLE] {
        let node = node();
        let mut consumer = wire(&node);
        consumer.send(1, &queue_declare(QUEUE, bits)).expect(1, 50, 11);
        publish_all(&node, |_| false);
        assert_eq!(message_count(&mut consumer), COUNT);
        let published = u64::from(COUNT) * BODY_BYTES as u64;
        assert!(node.disk() > published / 2, "{} of {published} bytes are on disk", node.disk());
        expect_all(&mut consumer, 0..COUNT, false);
    }
}

#[test]
fn transient_messages_that_went_to_disk_do_not_come_back_and_persistent_ones_between_them_do() {
    for stop in [Stop::Term, Stop::Kill] {
        let mut node = node();
        wire(&node).send(1, &queue_declare(QUEUE, DURABLE)).expect(1, 50, 11);
        publish_all(&node, |n| n.is_multiple_of(8));
        if stop == Stop::Kill {
            // There are no confirms: an answer that waits for the journal stands for them.
            wire(&node).send(1, &queue_declare("fence", DURABLE)).expect(1, 50, 11);
        }
        node.restart(stop);
        let mut consumer = wire(&node);
        assert_eq!(message_count(&mut consumer), COUNT.div_ceil(8));
        expect_all(&mut consumer, (0..COUNT).step_by(8), stop == Stop::Kill);
    }
}
