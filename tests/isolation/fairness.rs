//! One small request with a large number behind it: whatever it sets off, everybody else goes on, and SIGTERM is obeyed.

use std::io;

use crate::{
    methods::{
        bind, bind_exchange, consume, dead_letter_to, delete_queue, exchange, nack_all, publish,
        publish_with, queue,
    },
    peer::Peer,
    scene::{Row, Scene, rows, size},
    wire::{DURABLE, NO_ACK, Table, basic_ack, basic_get, method},
};

rows! {
    a_chain_of_dead_letter_queues
    consumers_of_one_queue_that_disconnect
    a_queue_deleted_under_its_consumers
    consumers_of_distinct_priorities_that_disconnect
    a_fanout_to_many_queues
    exchanges_bound_in_cycles
    topic_patterns_that_match_in_many_ways
    messages_that_expire_at_once
    a_queue_of_many_bindings_that_is_deleted
    a_rejection_of_all
    a_requeue_of_all
    a_large_commit
}

fn a_chain_of_dead_letter_queues() -> Row {
    fn length() -> usize {
        size(800, 60)
    }
    Row {
        name: "200 messages down a chain of 800 dead-letter queues",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let next = |n| dead_letter_to("").text("x-dead-letter-routing-key", &format!("q{}", n + 1));
            peer.each(0..length(), |n| queue(&format!("q{n}"), 0, &next(n).int("x-max-length", 0)))?;
            peer.each(0..1, |_| queue(&format!("q{}", length()), 0, &Table::new()))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers[0].repeat(size(200, 20), &publish("", "q0", b"x"))?;
            peers[0].barrier()
        },
        ..Row::USUAL
    }
}

fn consumers_of_one_queue_that_disconnect() -> Row {
    Row {
        name: "100,000 consumers of one queue disconnect",
        set_up: |scene| consumers(scene, size(100_000, 3_000), |_| Table::new()),
        attack: leave,
        ..Row::USUAL
    }
}

fn consumers_of_distinct_priorities_that_disconnect() -> Row {
    Row {
        name: "50,000 consumers of distinct priorities disconnect",
        set_up: |scene| consumers(scene, size(50_000, 3_000), |n| Table::new().int("x-priority", n as i64)),
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
            let mut peers = consumers(scene, count(), |_| Table::new())?;
            peers.push(scene.peer()?);
            Ok(peers)
        },
        attack: |_, peers| {
            peers[1].each(0..1, |_| delete_queue("q"))?;
            peers[0].take(count(), (60, 30))
        },
        ..Row::USUAL
    }
}

/// A peer with so many consumers of the queue `q`.
fn consumers(scene: &Scene, count: usize, arguments: fn(usize) -> Table) -> io::Result<Vec<Peer>> {
    let mut peer = scene.peer()?;
    peer.each(0..1, |_| queue("q", 0, &Table::new()))?;
    peer.each(0..count, |n| consume("q", &format!("{n}"), NO_ACK, &arguments(n)))?;
    peer.barrier()?;
    Ok(vec![peer])
}

/// The consumers of `q` go.
fn leave(scene: &Scene, peers: &mut Vec<Peer>) -> io::Result<()> {
    peers.clear();
    scene.await_counts("q", (0, 0))
}

fn a_fanout_to_many_queues() -> Row {
    fn count() -> usize {
        size(6_000, 200)
    }
    Row {
        name: "6,000 tiny publishes to a fanout of 2,000 queues",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.each(0..1, |_| exchange("all", "fanout", &Table::new()))?;
            peer.each(0..size(2_000, 200), |n| queue(&format!("q{n}"), 0, &Table::new()))?;
            peer.each(0..size(2_000, 200), |n| bind(&format!("q{n}"), "all", ""))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers[0].repeat(count(), &publish("all", "", b"x"))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("q7", (count() as u32, 0)),
        ..Row::USUAL
    }
}

fn exchanges_bound_in_cycles() -> Row {
    fn length() -> usize {
        size(5_000, 200)
    }
    fn count() -> usize {
        size(3_000, 200)
    }
    Row {
        name: "3,000 publishes with new keys through 5,000 exchanges bound in cycles",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let name = |n: usize| format!("x{}", n % length());
            peer.each(0..length(), |n| exchange(&name(n), "fanout", &Table::new()))?;
            peer.each(0..length(), |n| bind_exchange(&name(n + 1), &name(n), ""))?;
            peer.each(0..length(), |n| bind_exchange(&name(7 * n + 3), &name(n), ""))?;
            peer.each(0..1, |_| queue("q", 0, &Table::new()))?;
            peer.each(0..1, |_| bind("q", &name(length() - 1), ""))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers[0].bytes_of_each(0..count(), |n| publish("x0", &format!("key {n}"), b"x"))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("q", (count() as u32, 0)),
        ..Row::USUAL
    }
}

fn topic_patterns_that_match_in_many_ways() -> Row {
    fn count() -> usize {
        size(300, 20)
    }
    /// A word for each bit of the number.
    fn words(n: usize, bits: u32, between: &str) -> String {
        let words: Vec<&str> = (0..bits).map(|bit| if n >> bit & 1 == 0 { "a" } else { "b" }).collect();
        words.join(between)
    }
    Row {
        name: "300 publishes with keys of 120 words against 4,096 patterns #.a.#.b...",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let bits = size(12, 8) as u32;
            peer.each(0..1, |_| exchange("topics", "topic", &Table::new()))?;
            peer.each(0..1, |_| queue("q", 0, &Table::new()))?;
            peer.each(0..1 << bits, |n| bind("q", "topics", &format!("#.{}.#", words(n, bits, ".#."))))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            let alternating = words(0x55_5555_5555, 40, ".");
            let key = |n| format!("{alternating}.{alternating}.{}.{}", words(n, 10, "."), words(!n, 30, "."));
            peers[0].bytes_of_each(0..count(), |n| publish("topics", &key(n), b"x"))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("q", (count() as u32, 0)),
        ..Row::USUAL
    }
}

fn messages_that_expire_at_once() -> Row {
    fn count() -> usize {
        size(1_000_000, 30_000)
    }
    Row {
        name: "1 M messages expire at once into a dead-letter exchange",
        // They have expired behind the first, which has not.
        set_up: |scene| {
            let mut peer = with_dead_letters(scene)?;
            peer.send(&publish("", "q", b"x"))?;
            peer.repeat(count(), &publish_with("", "q", b"\x01\x00\x011", b"x"))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers[0].call(1, &basic_get("q", false), (60, 71))?;
            peers[0].method(1, &basic_ack(1, false))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("dead", (count() as u32, 0)),
        ..Row::USUAL
    }
}

fn a_queue_of_many_bindings_that_is_deleted() -> Row {
    Row {
        name: "a queue with 600,000 bindings is deleted",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.each(0..1, |_| exchange("keys", "direct", &Table::new()))?;
            peer.each(0..1, |_| queue("q", 0, &Table::new()))?;
            peer.each(0..size(600_000, 10_000), |n| bind("q", "keys", &format!("{n}")))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| peers[0].call(1, &method(50, 40).u16(0).short("q").u8(0), (50, 41)).map(drop),
        ..Row::USUAL
    }
}

fn a_rejection_of_all() -> Row {
    Row {
        name: "a nack of 2 M into a dead-letter exchange",
        set_up: |scene| holding(scene, rejected()),
        attack: |_, peers| {
            peers[0].method(1, &nack_all(false))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("dead", (rejected() as u32, 0)),
        ..Row::USUAL
    }
}

fn a_requeue_of_all() -> Row {
    Row {
        name: "a nack of 2 M with requeue",
        set_up: |scene| holding(scene, rejected()),
        attack: |_, peers| {
            peers[0].method(1, &nack_all(true))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("q", (rejected() as u32, 0)),
        ..Row::USUAL
    }
}

fn rejected() -> usize {
    size(2_000_000, 30_000)
}

/// A peer that holds so many messages of the queue `q`, and no longer consumes.
fn holding(scene: &Scene, count: usize) -> io::Result<Vec<Peer>> {
    let (mut publisher, mut consumer) = (with_dead_letters(scene)?, scene.peer()?);
    consumer.each(0..1, |_| consume("q", "c", 0, &Table::new()))?;
    publisher.repeat(count, &publish("", "q", b"x"))?;
    consumer.take(count, (60, 60))?;
    consumer.call(1, &method(60, 30).short("c").u8(0), (60, 31))?;
    Ok(vec![consumer])
}

/// A queue `q` whose dead letters come to the queue `dead`.
fn with_dead_letters(scene: &Scene) -> io::Result<Peer> {
    let mut peer = scene.peer()?;
    peer.each(0..1, |_| exchange("deaths", "fanout", &Table::new()))?;
    peer.each(0..1, |_| queue("dead", 0, &Table::new()))?;
    peer.each(0..1, |_| bind("dead", "deaths", ""))?;
    peer.each(0..1, |_| queue("q", 0, &dead_letter_to("deaths")))?;
    peer.barrier()?;
    Ok(peer)
}

fn a_large_commit() -> Row {
    fn count() -> usize {
        size(180, 8)
    }
    Row {
        name: "tx.commit of 180 MB",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.each(0..1, |_| queue("q", DURABLE, &Table::new()))?;
            peer.call(1, &method(90, 10), (90, 11))?;
            peer.repeat(count(), &publish_with("", "q", b"\x10\x00\x02", &[b'x'; 1_000_000]))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| peers[0].call(1, &method(90, 20), (90, 21)).map(drop),
        after: |scene| scene.await_counts("q", (count() as u32, 0)),
        ..Row::USUAL
    }
}
