//! Consumers that come, wait and go.

use std::io;

use crate::{
    methods::{consume, delete_queue, publish, queue},
    peer::Peer,
    scene::{Row, Scene, rows_and_stops, size},
    wire::{NO_ACK, Table, basic_ack, method},
};

rows_and_stops! {
    consumers_of_one_queue_that_disconnect
    consumers_of_distinct_priorities_that_disconnect
    a_queue_deleted_under_its_consumers
    cancels_from_the_last_to_the_first
    consumers_of_a_single_active_queue_that_disconnect
    channels_full_of_consumers_that_disconnect
    consumers_of_many_queues_that_disconnect
    a_global_prefetch_shared_by_many_consumers
    consumers_without_room
}

fn consumers_of_one_queue_that_disconnect() -> Row {
    Row {
        name: "100,000 consumers of one queue disconnect",
        set_up: |scene| consumers(scene, size(100_000, 3_000), &Table::new(), |_| Table::new()),
        attack: leave,
        ..Row::USUAL
    }
}

fn consumers_of_distinct_priorities_that_disconnect() -> Row {
    Row {
        name: "50,000 consumers of distinct priorities disconnect",
        set_up: |scene| {
            consumers(scene, size(50_000, 3_000), &Table::new(), |n| Table::new().int("x-priority", n as i64))
        },
        attack: leave,
        ..Row::USUAL
    }
}

fn a_queue_deleted_under_its_consumers() -> Row {
    fn count() -> usize {
        size(50_000, 3_000)
    }
    Row {
        name: "queue.delete with 50,000 consumers",
        set_up: |scene| {
            let mut peers = consumers(scene, count(), &Table::new(), |_| Table::new())?;
            peers.push(scene.peer()?);
            Ok(peers)
        },
        attack: |_, peers| {
            peers[1].method(1, &delete_queue("q"))?;
            peers[0].take(count(), (60, 30))
        },
        ..Row::USUAL
    }
}

fn cancels_from_the_last_to_the_first() -> Row {
    Row {
        name: "50,000 cancels from the last to the first",
        set_up: |scene| consumers(scene, size(50_000, 2_000), &Table::new(), |_| Table::new()),
        attack: |_, peers| {
            let n = size(50_000, 2_000);
            peers[0].each(0..n, |i| method(60, 30).short(&format!("{}", n - 1 - i)).u8(1))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("q", (0, 0)),
        ..Row::USUAL
    }
}

fn consumers_of_a_single_active_queue_that_disconnect() -> Row {
    Row {
        name: "50,000 consumers of a single-active queue disconnect",
        set_up: |scene| {
            consumers(
                scene,
                size(50_000, 2_000),
                &Table::new().flag("x-single-active-consumer", true),
                |_| Table::new(),
            )
        },
        attack: |scene, peers| {
            peers.clear();
            scene.await_counts("q", (0, 0))
        },
        ..Row::USUAL
    }
}

fn channels_full_of_consumers_that_disconnect() -> Row {
    Row {
        name: "2,000 channels of 50 consumers on one queue disconnect",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            for channel in 2..=size(2_000, 100) as u16 {
                peer.channel(channel)?;
                for n in 0..50 {
                    peer.method(channel, &consume("q", &format!("{n}"), 0, &Table::new()))?;
                }
            }
            Ok(vec![peer])
        },
        attack: |scene, peers| {
            peers.clear();
            scene.await_counts("q", (0, 0))
        },
        ..Row::USUAL
    }
}

fn consumers_of_many_queues_that_disconnect() -> Row {
    Row {
        name: "50,000 consumers of 50,000 auto-delete queues disconnect",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let n = size(50_000, 500);
            peer.each(0..n, |n| queue(&format!("q{n}"), 8, &Table::new()))?;
            peer.each(0..n, |n| consume(&format!("q{n}"), &format!("{n}"), 0, &Table::new()))?;
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

fn a_global_prefetch_shared_by_many_consumers() -> Row {
    Row {
        name: "20,000 consumers share a global prefetch of 1; 20,000 messages one by one",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.call(1, &method(60, 10).u32(0).u16(1).u8(1), (60, 11))?;
            peer.each(0..size(20_000, 500), |n| consume("q", &format!("{n}"), 0, &Table::new()))?;
            peer.channel(2)?;
            Ok(vec![peer, scene.peer()?])
        },
        attack: |_, peers| {
            let n = size(20_000, 500);
            peers[1].repeat(n, &publish("", "q", b"x"))?;
            peers[1].barrier()?;
            for tag in 1..=n {
                peers[0].take(1, (60, 60))?;
                peers[0].method(1, &basic_ack(tag as u64, false))?;
            }
            Ok(())
        },
        ..Row::USUAL
    }
}

fn consumers_without_room() -> Row {
    Row {
        name: "50,000 consumers with a prefetch of 1 that acknowledge one by one",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let n = size(50_000, 1_000);
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.call(1, &method(60, 10).u32(0).u16(1).u8(0), (60, 11))?;
            peer.each(0..n, |n| consume("q", &format!("{n}"), 0, &Table::new()))?;
            let mut publisher = scene.peer()?;
            publisher.repeat(2 * n, &publish("", "q", b"x"))?;
            publisher.barrier()?;
            peer.take(n, (60, 60))?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            let n = size(50_000, 1_000);
            peers[0].each(0..n, |i| basic_ack((n - i) as u64, false))?;
            peers[0].take(n, (60, 60))
        },
        ..Row::USUAL
    }
}

/// A peer with so many consumers of the queue `q`, each with arguments of its own.
fn consumers(scene: &Scene, count: usize, queues: &Table, each: fn(usize) -> Table) -> io::Result<Vec<Peer>> {
    let mut peer = scene.peer()?;
    peer.method(1, &queue("q", 0, queues))?;
    peer.each(0..count, |n| consume("q", &format!("{n}"), NO_ACK, &each(n)))?;
    peer.barrier()?;
    Ok(vec![peer])
}

/// The consumers of `q` go.
fn leave(scene: &Scene, peers: &mut Vec<Peer>) -> io::Result<()> {
    peers.clear();
    scene.await_counts("q", (0, 0))
}
