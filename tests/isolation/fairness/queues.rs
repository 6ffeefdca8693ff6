//! Queues, and all that is in them.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    fairness::filled,
    methods::{bind, delete_queue, exchange, headers, publish, publish_with, queue},
    scene::{Row, rows_and_stops, size},
    wire::{EXCLUSIVE, METHOD, Table, basic_get, frame, method},
};

rows_and_stops! {
    a_queue_deleted_with_waiting_messages
    a_queue_of_many_bindings_that_is_deleted
    a_queue_deleted_with_its_messages
    a_purge
    exclusive_queues_of_a_lost_connection
    queues_that_expire_at_once
    queues_declared_and_deleted
    gets_from_an_empty_queue
    delayed_messages_due_at_once
}

fn a_queue_of_many_bindings_that_is_deleted() -> Row {
    Row {
        name: "a queue with 600,000 bindings is deleted",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &exchange("keys", "direct", &Table::new()))?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.each(0..size(600_000, 10_000), |n| bind("q", "keys", &format!("{n}")))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| peers[0].call(1, &method(50, 40).u16(0).short("q").u8(0), (50, 41)).map(drop),
        ..Row::USUAL
    }
}

fn a_queue_deleted_with_its_messages() -> Row {
    Row {
        name: "queue.delete with 5 M messages",
        set_up: |scene| {
            Ok(vec![filled(scene, size(5_000_000, 50_000), &Table::new(), &publish("", "q", b"x"))?])
        },
        attack: |_, peers| peers[0].call(1, &method(50, 40).u16(0).short("q").u8(0), (50, 41)).map(drop),
        ..Row::USUAL
    }
}

fn a_purge() -> Row {
    Row {
        name: "purge of 5 M",
        set_up: |scene| {
            Ok(vec![filled(scene, size(5_000_000, 50_000), &Table::new(), &publish("", "q", b"x"))?])
        },
        attack: |_, peers| peers[0].call(1, &method(50, 30).u16(0).short("q").u8(0), (50, 31)).map(drop),
        ..Row::USUAL
    }
}

fn exclusive_queues_of_a_lost_connection() -> Row {
    Row {
        name: "20,000 exclusive queues of 20 bindings and 20 messages whose owner goes",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let n = size(20_000, 300);
            peer.each(0..n, |n| queue(&format!("q{n}"), EXCLUSIVE, &Table::new()))?;
            peer.each(0..20 * n, |n| bind(&format!("q{}", n / 20), "amq.direct", &format!("k{n}")))?;
            peer.bytes_of_each(0..20 * n, |n| publish("", &format!("q{}", n / 20), b"x"))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers.clear();
            Ok(())
        },
        ..Row::USUAL
    }
}

fn queues_that_expire_at_once() -> Row {
    Row {
        name: "50,000 queues expire at once",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.each(0..size(50_000, 1_000), |n| {
                queue(&format!("q{n}"), 0, &Table::new().int("x-expires", size(6_000, 2_000) as i64))
            })?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, _| {
            thread::sleep(Duration::from_millis(size(6_500, 2_500) as u64));
            Ok(())
        },
        ..Row::USUAL
    }
}

fn queues_declared_and_deleted() -> Row {
    Row {
        name: "50,000 durable queues declared, then deleted",
        set_up: |scene| Ok(vec![scene.peer()?]),
        attack: |_, peers| {
            peers[0].each(0..size(50_000, 500), |n| queue(&format!("q{n}"), 2, &Table::new()))?;
            peers[0].each(0..size(50_000, 500), |n| delete_queue(&format!("q{n}")))?;
            peers[0].barrier()
        },
        ..Row::USUAL
    }
}

fn gets_from_an_empty_queue() -> Row {
    Row {
        name: "1 M gets from an empty queue, answers unread until the end",
        set_up: |scene| Ok(vec![filled(scene, 0, &Table::new(), &publish("", "q", b"x"))?]),
        attack: |_, peers| {
            let get = frame(METHOD, 1, &basic_get("q", true).0);
            for _ in 0..size(100, 2) {
                peers[0].repeat(10_000, &get)?;
                peers[0].take(10_000, (60, 72))?;
            }
            Ok(())
        },
        ..Row::USUAL
    }
}

fn delayed_messages_due_at_once() -> Row {
    Row {
        name: "500,000 delayed messages due at once",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(
                1,
                &exchange("x", "x-delayed-message", &Table::new().text("x-delayed-type", "fanout")),
            )?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.method(1, &bind("q", "x", ""))?;
            let began = Instant::now();
            peer.bytes_of_each(0..size(500_000, 10_000), |_| {
                let due = (size(8_000, 2_000) as i64 - began.elapsed().as_millis() as i64).max(0);
                publish_with("x", "", &headers(&Table::new().int("x-delay", due)), b"x")
            })?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, _| Ok(()),
        after: |scene| scene.await_counts("q", (size(500_000, 10_000) as u32, 0)),
        ..Row::USUAL
    }
}

fn a_queue_deleted_with_waiting_messages() -> Row {
    Row {
        name: "queue.delete with 1 M messages whose delay is not over",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let delays = Table::new().text("x-delayed-type", "fanout");
            peer.method(1, &exchange("x", "x-delayed-message", &delays))?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.method(1, &bind("q", "x", ""))?;
            peer.bytes_of_each(0..size(1_000_000, 20_000), |n| {
                let delay = Table::new().int("x-delay", 3_600_000 + (n * 7919 % 1_000_003) as i64);
                publish_with("x", "", &headers(&delay), b"x")
            })?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| peers[0].call(1, &method(50, 40).u16(0).short("q").u8(0), (50, 41)).map(drop),
        ..Row::USUAL
    }
}
