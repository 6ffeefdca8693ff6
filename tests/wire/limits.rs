//! What a publisher and a consumer that are slow to understand see of limits: which publishes are nacked, and what
//! becomes of a consumer that cannot be told that it is cancelled.

use crate::{
    broker::{only_leveret, unique},
    wire::{
        BODY, EXCLUSIVE, HEADER, METHOD, Table, Wire, basic_consume, confirm_select, content_header, frame,
        method, publish,
    },
};

/// A queue with these arguments.
fn declare(wire: &mut Wire, queue: &str, table: &Table) {
    wire.send(1, &method(50, 10).u16(0).short(queue).u8(EXCLUSIVE).table(table)).expect(1, 50, 11);
}

/// Reads confirms until `count` publishes are answered: whether each was acked.
fn confirms(wire: &mut Wire, count: usize) -> Vec<bool> {
    let mut answers: Vec<Option<bool>> = vec![None; count];
    while answers.iter().any(Option::is_none) {
        let frame = wire.expect_frame(METHOD, 1).payload;
        let acked = match frame[..4] {
            [0, 60, 0, 80] => true,
            [0, 60, 0, 120] => false,
            _ => panic!("neither ack nor nack: {frame:?}"),
        };
        let tag = u64::from_be_bytes(frame[4..12].try_into().unwrap()) as usize;
        let first = if frame[12] & 1 == 1 { 0 } else { tag - 1 };
        assert!(answers[tag - 1].is_none(), "{tag} is answered twice");
        answers[first..tag].iter_mut().for_each(|answer| *answer = answer.or(Some(acked)));
    }
    answers.into_iter().flatten().collect()
}

/// An exchange that a queue with room for three messages is bound to, and a publish to it.
fn full_behind(wire: &mut Wire, kind: &str) -> Vec<u8> {
    let (queue, exchange) = (unique("queue"), unique("exchange"));
    let table =
        Table::new().entry("x-max-length", b'I', &3_i32.to_be_bytes()).text("x-overflow", "reject-publish");
    declare(wire, &queue, &table);
    let none = Table::new();
    wire.send(1, &method(40, 10).u16(0).short(&exchange).short(kind).u8(4).table(&none)).expect(1, 40, 11);
    wire.send(1, &method(50, 20).u16(0).short(&queue).short(&exchange).short("k").u8(0).table(&none));
    wire.expect(1, 50, 21);
    publish(1, &exchange, "k", 0, b"m")
}

#[test]
fn of_publishes_that_come_together_exactly_those_are_nacked_that_did_not_fit() {
    for kind in ["direct", "fanout", "topic", "headers"] {
        let mut wire = Wire::open_channel();
        let one = full_behind(&mut wire, kind);
        wire.send(1, &confirm_select()).expect(1, 85, 11);
        wire.raw(&one.repeat(8));
        let acked = confirms(&mut wire, 8);
        assert_eq!(acked, [true, true, true, false, false, false, false, false], "{kind}");
    }
}

#[test]
fn a_consumer_that_cannot_be_cancelled_loses_its_channel_when_it_is_late() {
    only_leveret!("the timeout is an argument since RabbitMQ 4.3");
    let mut wire = Wire::open_with(&Table::new().text("product", "no capabilities"), (2047, 131_072, 0));
    wire.channel(1);
    let queue = unique("queue");
    declare(&mut wire, &queue, &Table::new().entry("x-consumer-timeout", b'I', &500_i32.to_be_bytes()));
    wire.send(1, &basic_consume(&queue, "c", 0)).expect(1, 60, 21);
    wire.publish(1, "", &queue, 0, b"m").expect_delivery(1, b"m");
    let closed = wire.expect_channel_close(
        1,
        406,
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 500 ms.",
    );
    assert_eq!(closed.method, (0, 0));
    wire.channel(2).send(2, &basic_consume(&queue, "c", 0)).expect(2, 60, 21);
    assert!(wire.expect_delivery(2, b"m").1, "it was delivered before");
}

#[test]
fn a_late_consumer_is_told_by_basic_cancel() {
    only_leveret!("the timeout is an argument since RabbitMQ 4.3");
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    declare(&mut wire, &queue, &Table::new().entry("x-consumer-timeout", b'I', &500_i32.to_be_bytes()));
    wire.send(1, &basic_consume(&queue, "late", 0)).expect(1, 60, 21);
    wire.publish(1, "", &queue, 0, b"m").expect_delivery(1, b"m");
    let mut cancel = wire.expect(1, 60, 30);
    assert_eq!((cancel.short().as_str(), cancel.u8()), ("late", 1));
    wire.send(1, &method(60, 80).u64(1).u8(0)).expect_channel_close(
        1,
        406,
        "PRECONDITION_FAILED - unknown delivery tag 1",
    );
}

#[test]
fn a_renewal_is_confirmed_and_not_returned() {
    only_leveret!("RabbitMQ has no such thing");
    let mut wire = Wire::open_channel();
    wire.send(1, &confirm_select()).expect(1, 85, 11);
    wire.publish(1, "", "amq.renew.0", 1, b"").expect(1, 60, 80);
    wire.publish(1, "", "amq.renew.77", 1, b"").expect(1, 60, 80);
}

#[test]
fn quorum_counts_are_64_bit_integers_after_the_headers_of_the_publisher() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    let table = Table::new().text("x-queue-type", "quorum");
    wire.send(1, &method(50, 10).u16(0).short(&queue).u8(2).table(&table)).expect(1, 50, 11);
    wire.send(1, &basic_consume(&queue, "c", 0)).expect(1, 60, 21);
    let mut header = content_header(1);
    header.truncate(12);
    header.extend([0x20, 0]);
    let mine = Table::new().text("mine", "first");
    header.extend((mine.0.len() as u32).to_be_bytes());
    header.extend(&mine.0);
    wire.send(1, &method(60, 40).u16(0).short("").short(&queue).u8(0));
    wire.raw(&frame(HEADER, 1, &header)).raw(&frame(BODY, 1, b"m"));
    let (tag, redelivered) = wire.expect_delivery(1, b"m");
    assert!(!redelivered);
    wire.send(1, &method(60, 90).u64(tag).u8(1)).expect(1, 60, 60);
    let seen = wire.expect_content(1).properties;
    let count = Table::new().entry("x-delivery-count", b'l', &1_i64.to_be_bytes()).0;
    assert!(seen.windows(count.len()).any(|part| part == count), "{seen:?}");
    assert!(seen.windows(mine.0.len()).any(|part| part == mine.0), "{seen:?}");
    wire.send(1, &method(60, 30).short("c").u8(0)).expect(1, 60, 31);
    wire.send(1, &method(50, 40).u16(0).short(&queue).u8(0)).expect(1, 50, 41);
}
