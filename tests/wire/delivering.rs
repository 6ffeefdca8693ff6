//! What a consumer sees on the wire: order of answers and deliveries, frame sizes.

use std::time::Instant;

use crate::{
    broker::{DEADLINE, unique},
    wire::{
        AUTO_DELETE, BODY, CLIENT_CAPABILITIES, EXCLUSIVE, METHOD, NO_ACK, Table, Wire, basic_ack,
        basic_consume, basic_get, confirm_select, frame, method, queue_bind, queue_declare, queue_delete,
    },
};

#[test]
fn consume_ok_comes_before_the_first_delivery() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    wire.publish(1, "", &queue, 0, b"waiting");
    assert_eq!(wire.send(1, &basic_consume(&queue, "tag", 0)).expect(1, 60, 21).short(), "tag");
    let mut deliver = wire.expect(1, 60, 60);
    assert_eq!((deliver.short().as_str(), deliver.u64(), deliver.u8()), ("tag", 1, 0));
    assert_eq!((deliver.short(), deliver.short(), deliver.rest()), (String::new(), queue, vec![]));
    assert_eq!(wire.expect_content(1).body, b"waiting");
}

#[test]
fn delete_ok_comes_before_the_cancellation_of_the_channels_own_consumers() {
    let mut other = Wire::open_with(&CLIENT_CAPABILITIES.table(), (2047, 131_072, 0));
    let mut wire = Wire::open_with(&CLIENT_CAPABILITIES.table(), (2047, 131_072, 0));
    let queue = unique("queue");
    wire.channel(1).send(1, &queue_declare(&queue, 0)).expect(1, 50, 11);
    wire.send(1, &basic_consume(&queue, "own", 0)).expect(1, 60, 21);
    other.channel(1).send(1, &basic_consume(&queue, "other", 0)).expect(1, 60, 21);
    assert_eq!(wire.send(1, &queue_delete(&queue)).expect(1, 50, 41).u32(), 0);
    assert_eq!(wire.expect(1, 60, 30).short(), "own");
    assert_eq!(other.expect(1, 60, 30).short(), "other");
}

#[test]
fn a_queue_with_thousands_of_bindings_is_answered_for_when_they_are_gone_and_its_namesake_has_none() {
    let mut wire = Wire::open_with(&CLIENT_CAPABILITIES.table(), (2047, 131_072, 0));
    let queue = unique("queue");
    for round in 0..2 {
        wire.channel(round + 1).send(round + 1, &queue_declare(&queue, AUTO_DELETE)).expect(
            round + 1,
            50,
            11,
        );
        let keys: Vec<String> = (0..3_000).map(|n| format!("{queue}.{n}")).collect();
        wire.publish(round + 1, "amq.direct", &keys[2_999], 0, b"to nobody");
        for key in &keys {
            wire.send(round + 1, &queue_bind(&queue, "amq.direct", key));
        }
        for _ in &keys {
            wire.expect(round + 1, 50, 21);
        }
        wire.publish(round + 1, "amq.direct", &keys[2_999], 0, b"to the queue");
        assert_eq!(wire.send(round + 1, &queue_delete(&queue)).expect(round + 1, 50, 41).u32(), 1);
    }
}

#[test]
fn deliveries_are_cut_to_the_frame_max_of_their_connection() {
    let mut publisher = Wire::open_channel();
    let queue = unique("queue");
    publisher.send(1, &confirm_select()).expect(1, 85, 11);
    publisher.send(1, &queue_declare(&queue, AUTO_DELETE)).expect(1, 50, 11);
    let body: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    publisher.publish(1, "", &queue, 0, &body).expect(1, 60, 80);

    let mut wire = Wire::open_with(&CLIENT_CAPABILITIES.table(), (2047, 8192, 0));
    wire.channel(1).send(1, &basic_consume(&queue, "c", NO_ACK)).expect(1, 60, 21);
    // The second comes while the consumer waits, which may be another path than the first's.
    for waiting in [false, true] {
        if waiting {
            publisher.publish(1, "", &queue, 0, &body).expect(1, 60, 80);
        }
        wire.expect(1, 60, 60);
        let content = wire.expect_content(1);
        assert!(content.body == body && content.cuts.iter().all(|&size| size <= 8184), "{:?}", content.cuts);
        assert_eq!(content.cuts.len(), 13);
    }
}

#[test]
fn get_ok_carries_the_count_of_messages_left_and_get_empty_a_cluster_id() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    wire.publish(1, "", &queue, 0, b"a").publish(1, "", &queue, 0, b"b");
    for (tag, left) in [(1, 1), (2, 0)] {
        let mut get = wire.send(1, &basic_get(&queue, false)).expect(1, 60, 71);
        assert_eq!(
            (get.u64(), get.u8(), get.short(), get.short(), get.u32()),
            (tag, 0, String::new(), queue.clone(), left)
        );
        wire.expect_content(1);
    }
    let mut empty = wire.send(1, &basic_get(&queue, false)).expect(1, 60, 72);
    assert_eq!((empty.short(), empty.rest()), (String::new(), vec![]));
}

#[test]
fn nothing_is_sent_beyond_the_prefetch_window() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    wire.send(1, &method(60, 10).u32(0).u16(2).u8(0)).expect(1, 60, 11);
    wire.send(1, &basic_consume(&queue, "c", 0)).expect(1, 60, 21);
    for _ in 0..4 {
        wire.publish(1, "", &queue, 0, b"m");
    }
    wire.expect_delivery(1, b"m");
    wire.expect_delivery(1, b"m");
    wire.fence(1, &queue);
    wire.send(1, &basic_ack(2, true));
    assert_eq!(wire.expect_delivery(1, b"m"), (3, false));
    assert_eq!(wire.expect_delivery(1, b"m"), (4, false));
    wire.fence(1, &queue);
}

#[test]
fn prefetch_size_is_not_implemented() {
    let closed = Wire::open_channel()
        .send(1, &method(60, 10).u32(1).u16(0).u8(0))
        .expect_close(540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)");
    assert_eq!(closed.method, (60, 10));
}

#[test]
fn a_socket_that_dies_gives_back_its_deliveries_and_its_exclusive_queues() {
    let mut wire = Wire::open_channel();
    let (shared, own) = (unique("queue"), unique("queue"));
    wire.send(1, &queue_declare(&shared, 0)).expect(1, 50, 11);
    let mut dying = Wire::open_channel();
    dying.send(1, &queue_declare(&own, EXCLUSIVE)).expect(1, 50, 11);
    dying.send(1, &basic_consume(&shared, "c", 0)).expect(1, 60, 21);
    wire.publish(1, "", &shared, 0, b"m");
    dying.expect_delivery(1, b"m");
    drop(dying);
    wire.send(1, &basic_consume(&shared, "c", 0)).expect(1, 60, 21);
    assert_eq!(wire.expect_delivery(1, b"m"), (1, true));
    wire.send(1, &method(60, 30).short("c").u8(0)).expect(1, 60, 31);
    wire.send(1, &method(50, 40).u16(0).short(&shared).u8(0)).expect(1, 50, 41);
    // Deleting what is gone is fine, what is locked is not: 405 until the broker has noticed.
    let start = Instant::now();
    loop {
        wire.send(1, &method(50, 40).u16(0).short(&own).u8(0));
        let frame = wire.next_frame().unwrap();
        if frame.payload.starts_with(&[0, 50, 0, 41]) {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "the exclusive queue is still locked");
        wire.send(1, &method(20, 41)).channel(1);
    }
}

#[test]
fn a_consumer_that_does_not_read_stops_nobody_else() {
    let mut wire = Wire::open_channel();
    let (stuck, lively) = (unique("queue"), unique("queue"));
    wire.send(1, &confirm_select()).expect(1, 85, 11);
    for queue in [&stuck, &lively] {
        wire.send(1, &queue_declare(queue, AUTO_DELETE)).expect(1, 50, 11);
    }
    let mut deaf = Wire::open_channel();
    deaf.send(1, &basic_consume(&stuck, "c", NO_ACK)).expect(1, 60, 21);
    let mut reader = Wire::open_channel();
    reader.send(1, &basic_consume(&lively, "c", NO_ACK)).expect(1, 60, 21);
    let body = vec![b'x'; 100_000];
    for _ in 0..300 {
        wire.publish(1, "", &stuck, 0, &body).expect(1, 60, 80); // 30 MB: more than any socket buffer
    }
    wire.publish(1, "", &lively, 0, b"m").expect(1, 60, 80);
    reader.expect_delivery(1, b"m");
    for _ in 0..300 {
        deaf.expect_delivery(1, &body);
    }
}

#[test]
fn deleting_a_queue_sends_cancel_only_to_clients_that_know_it() {
    let queue = unique("queue");
    let mut deleter = Wire::open_channel();
    deleter.send(1, &queue_declare(&queue, 0)).expect(1, 50, 11);
    let mut capable = Wire::open_channel();
    capable.send(1, &basic_consume(&queue, "told", 0)).expect(1, 60, 21);
    let mut old = Wire::open_with(&Table::new(), (2047, 131_072, 0));
    old.channel(1).send(1, &basic_consume(&queue, "untold", 0)).expect(1, 60, 21);

    assert_eq!(deleter.send(1, &method(50, 40).u16(0).short(&queue).u8(0)).expect(1, 50, 41).u32(), 0);
    let mut cancel = capable.expect(1, 60, 30);
    assert_eq!((cancel.short().as_str(), cancel.u8(), cancel.rest()), ("told", 1, vec![]));
    old.assert_alive().assert_alive();
}

#[test]
fn cancel_ok_is_the_last_word_of_a_consumer() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    wire.send(1, &basic_consume(&queue, "c", NO_ACK)).expect(1, 60, 21);
    assert_eq!(wire.send(1, &method(60, 30).short("c").u8(0)).expect(1, 60, 31).short(), "c");
    wire.publish(1, "", &queue, 0, b"later").fence(1, &queue);
    let mut get = wire.send(1, &basic_get(&queue, true)).expect(1, 60, 71);
    get.u64();
    assert_eq!(get.u8(), 0, "never delivered, so not redelivered");
    assert_eq!(wire.expect_content(1).body, b"later");
    // Unknown tags are answered all the same.
    assert_eq!(wire.send(1, &method(60, 30).short("unknown").u8(0)).expect(1, 60, 31).short(), "unknown");
}

#[test]
fn nowait_methods_are_not_answered() {
    let mut wire = Wire::open_channel();
    let (queue, exchange) = (unique("queue"), unique("exchange"));
    let table = Table::new();
    wire.send(1, &queue_declare(&queue, EXCLUSIVE | 16));
    wire.send(1, &method(40, 10).u16(0).short(&exchange).short("fanout").u8(4 | 16).table(&table));
    wire.send(1, &method(50, 20).u16(0).short(&queue).short(&exchange).short("").u8(1).table(&table));
    wire.send(1, &method(85, 10).u8(1));
    wire.send(1, &basic_consume(&queue, "c", NO_ACK | 8));
    wire.send(1, &method(60, 30).short("c").u8(1));
    wire.send(1, &method(50, 30).u16(0).short(&queue).u8(1));
    wire.fence(1, &queue);
    wire.send(1, &method(40, 20).u16(0).short(&exchange).u8(2));
    wire.send(1, &method(50, 40).u16(0).short(&queue).u8(4));
    wire.assert_alive();
    wire.send(1, &queue_declare(&queue, 1)).expect_channel_close(1, 404, "NOT_FOUND");
}

#[test]
fn recover_is_answered_and_recover_async_is_not() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    wire.publish(1, "", &queue, 0, b"m").send(1, &basic_consume(&queue, "c", 0)).expect(1, 60, 21);
    assert_eq!(wire.expect_delivery(1, b"m"), (1, false));
    wire.send(1, &method(60, 100).u8(1)); // recover-async
    assert_eq!(wire.expect_delivery(1, b"m"), (2, true));
    wire.send(1, &method(60, 110).u8(1)); // recover
    // RabbitMQ answers before or after the redelivery, depending on its processes.
    let (mut answered, mut frames) = (0, 0);
    while frames < 4 {
        let frame = wire.next_frame().unwrap();
        answered += usize::from(frame.payload.starts_with(&[0, 60, 0, 111]));
        frames += 1;
    }
    assert_eq!(answered, 1);
    wire.fence(1, &queue);
}

#[test]
fn a_tag_that_is_settled_is_unknown_with_multiple_too() {
    let mut wire = Wire::open_channel();
    let queue = unique("queue");
    wire.send(1, &queue_declare(&queue, EXCLUSIVE)).expect(1, 50, 11);
    for body in [b"1", b"2", b"3"] {
        wire.publish(1, "", &queue, 0, body).send(1, &basic_get(&queue, false)).expect(1, 60, 71);
        wire.expect_content(1);
    }
    wire.send(1, &basic_ack(2, false)).send(1, &basic_ack(2, true));
    wire.expect_channel_close(1, 406, "PRECONDITION_FAILED - unknown delivery tag 2");
}

#[test]
fn a_backlog_of_one_queue_does_not_hold_up_the_connections_other_consumer() {
    let (mut publisher, mut wire) = (Wire::open_channel(), Wire::open_channel());
    let (deep, short) = (unique("deep"), unique("short"));
    for queue in [&deep, &short] {
        publisher.send(1, &queue_declare(queue, 0)).expect(1, 50, 11);
    }
    let count = 1_000;
    for _ in 0..count {
        publisher.publish(1, "", &deep, 0, &vec![7; 20_000]);
    }
    publisher.publish(1, "", &short, 0, b"me too").fence(1, &short);
    // In one write: the second must not come late because the machine is busy.
    let both = [(&deep, "deep"), (&short, "short")]
        .map(|(queue, tag)| frame(METHOD, 1, &basic_consume(queue, tag, NO_ACK).0));
    wire.raw(&both.concat());
    let mut before = 0;
    let mut consumed = 0;
    while consumed < 1 {
        let frame = wire.next_frame().unwrap();
        match frame.kind {
            BODY if frame.payload == b"me too" => consumed += 1,
            BODY => before += 1,
            _ => {}
        }
    }
    assert!(before < count - 100, "{before} messages of the other queue came first");
    for queue in [&deep, &short] {
        publisher.send(1, &method(50, 40).u16(0).short(queue).u8(0)).expect(1, 50, 41);
    }
}
