//! Confirms and returns as frames.

use std::collections::BTreeSet;

use crate::{
    broker::unique,
    wire::{EXCLUSIVE, IMMEDIATE, MANDATORY, Wire, confirm_select, method, queue_declare},
};

/// Reads acks until all of 1..=count are confirmed; each exactly once, in any grouping.
fn expect_confirms(wire: &mut Wire, count: u64) {
    let mut open: BTreeSet<u64> = (1..=count).collect();
    while !open.is_empty() {
        let mut ack = wire.expect(1, 60, 80);
        let (tag, multiple) = (ack.u64(), ack.u8() & 1 == 1);
        assert!(open.contains(&tag), "{tag} was confirmed twice or never published");
        if multiple {
            open.retain(|&t| t > tag);
        } else {
            open.remove(&tag);
        }
    }
}

#[test]
fn every_publish_is_confirmed_exactly_once_however_acks_are_grouped() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    wire.send(1, &confirm_select()).expect(1, 85, 11);
    for n in 0..1000 {
        // Routed and unroutable ones in turn.
        let key = if n % 3 == 0 { "nobody-listens" } else { &queue };
        wire.publish(1, "", key, 0, b"m");
    }
    expect_confirms(&mut wire, 1000);
    wire.fence(1, &queue);
    assert_eq!(wire.send(1, &method(50, 30).u16(0).short(&queue).u8(0)).expect(1, 50, 31).u32(), 666);
}

#[test]
fn confirm_tags_count_from_the_select_and_a_second_select_changes_nothing() {
    let mut wire = Wire::open_channel();
    wire.publish(1, "", "nobody", 0, b"not counted");
    wire.send(1, &confirm_select()).expect(1, 85, 11);
    wire.publish(1, "", "nobody", 0, b"1").expect(1, 60, 80);
    wire.send(1, &confirm_select()).expect(1, 85, 11);
    let mut ack = wire.publish(1, "", "nobody", 0, b"2").expect(1, 60, 80);
    assert_eq!((ack.u64(), ack.u8()), (2, 0));
}

#[test]
fn a_mandatory_message_without_queue_is_returned_before_its_ack() {
    let mut wire = Wire::open_channel();
    wire.send(1, &confirm_select()).expect(1, 85, 11);
    let key = unique("key");
    for body in [b"lost".as_slice(), b""] {
        let mut returned = wire.publish(1, "amq.direct", &key, MANDATORY, body).expect(1, 60, 50);
        assert_eq!((returned.u16(), returned.short().as_str()), (312, "NO_ROUTE"));
        assert_eq!(
            (returned.short().as_str(), returned.short(), returned.rest()),
            ("amq.direct", key.clone(), vec![])
        );
        assert_eq!(wire.expect_content(1).body, body);
        wire.expect(1, 60, 80);
    }
}

#[test]
fn returns_need_no_confirm_mode() {
    let mut wire = Wire::open_channel();
    assert_eq!(wire.publish(1, "", &unique("key"), MANDATORY, b"x").expect(1, 60, 50).u16(), 312);
    assert_eq!(wire.expect_content(1).body, b"x");
}

#[test]
fn immediate_is_not_implemented() {
    let closed = Wire::open_channel()
        .publish(1, "", "q", IMMEDIATE, b"x")
        .expect_close(540, "NOT_IMPLEMENTED - immediate=true");
    assert_eq!(closed.method, (60, 40));
}

#[test]
fn a_failing_publish_names_basic_publish_and_confirms_of_others_are_not_lost() {
    let mut wire = Wire::open_channel();
    wire.channel(2).send(2, &confirm_select()).expect(2, 85, 11);
    let exchange = unique("exchange");
    let closed = wire.publish(1, &exchange, "k", 0, b"x").expect_channel_close(
        1,
        404,
        &format!("NOT_FOUND - no exchange '{exchange}' in vhost '/'"),
    );
    assert_eq!(closed.method, (60, 40));
    wire.publish(2, "", "nobody", 0, b"x").expect(2, 60, 80);
}
