//! Messages that die, and where they come to.

use crate::{
    fairness::{filled, holding, rejected, with_dead_letters},
    methods::{bind, dead_letter_to, exchange, headers, nack_all, publish, publish_with, queue},
    scene::{Row, rows_and_stops, size},
    wire::{Table, basic_ack, basic_get},
};

rows_and_stops! {
    dead_letters_that_multiply_between_nine_queues
    dead_letters_that_multiply_between_ten_queues
    dead_letters_that_multiply_between_eleven_queues
    a_chain_of_dead_letter_queues
    messages_that_expire_at_once
    messages_in_many_queues_that_expire_at_once
    a_rejection_of_all
    one_message_that_pushes_out_all_others
    large_headers_dead_lettered_from_many_queues
}

fn dead_letters_that_multiply_between_nine_queues() -> Row {
    Row { name: "9 full queues, each dead-lettered to all", ..multiplying::<9>() }
}

fn dead_letters_that_multiply_between_ten_queues() -> Row {
    Row { name: "10 full queues, each dead-lettered to all", ..multiplying::<10>() }
}

fn dead_letters_that_multiply_between_eleven_queues() -> Row {
    Row { name: "11 full queues, each dead-lettered to all", ..multiplying::<11>() }
}

/// A path of a message visits each queue once, and there are N! of them.
fn multiplying<const N: usize>() -> Row {
    Row {
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &exchange("all", "fanout", &Table::new()))?;
            peer.each(0..N, |n| queue(&format!("q{n}"), 0, &dead_letter_to("all").int("x-max-length", 0)))?;
            peer.each(0..N, |n| bind(&format!("q{n}"), "all", ""))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers[0].send(&publish("all", "", b"x"))?;
            peers[0].barrier()
        },
        ..Row::USUAL
    }
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
            peer.method(1, &queue(&format!("q{}", length()), 0, &Table::new()))?;
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

fn messages_in_many_queues_that_expire_at_once() -> Row {
    Row {
        name: "20,000 queues of 20 messages that expire at once into one queue",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let n = size(20_000, 500);
            peer.method(1, &queue("dead", 0, &Table::new()))?;
            peer.method(1, &exchange("all", "fanout", &Table::new()))?;
            let args = dead_letter_to("").text("x-dead-letter-routing-key", "dead");
            let args = args.int("x-message-ttl", size(8_000, 2_000) as i64);
            peer.each(0..n, |n| queue(&format!("q{n}"), 0, &args))?;
            peer.each(0..n, |n| bind(&format!("q{n}"), "all", ""))?;
            peer.repeat(20, &publish("all", "", b"x"))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, _| Ok(()),
        after: |scene| scene.await_counts("dead", (20 * size(20_000, 500) as u32, 0)),
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

fn one_message_that_pushes_out_all_others() -> Row {
    Row {
        name: "one publish that pushes 1 M messages out into a dead-letter exchange",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &queue("dead", 0, &Table::new()))?;
            peer.barrier()?;
            let args = dead_letter_to("").text("x-dead-letter-routing-key", "dead");
            let args = args.int("x-max-length-bytes", size(1_000_000, 30_000) as i64);
            Ok(vec![filled(scene, size(1_000_000, 30_000), &args, &publish("", "q", b"x"))?])
        },
        attack: |_, peers| {
            peers[0].send(&publish("", "q", &vec![b'x'; size(1_000_000, 30_000)]))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("dead", (size(1_000_000, 30_000) as u32, 0)),
        ..Row::USUAL
    }
}

fn large_headers_dead_lettered_from_many_queues() -> Row {
    Row {
        name: "20 publishes of 100 KB of headers to 2,000 full queues with a dead-letter exchange",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &exchange("all", "fanout", &Table::new()))?;
            peer.method(1, &exchange("deaths", "fanout", &Table::new()))?;
            peer.method(1, &queue("dead", 0, &Table::new().int("x-max-length", 1)))?;
            peer.method(1, &bind("dead", "deaths", ""))?;
            let n = size(2_000, 50);
            peer.each(0..n, |n| {
                queue(&format!("q{n}"), 0, &dead_letter_to("deaths").int("x-max-length", 0))
            })?;
            peer.each(0..n, |n| bind(&format!("q{n}"), "all", ""))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |scene, _| {
            let table = (0..1_000).fold(Table::new(), |t, n| t.text(&format!("header {n}"), &"x".repeat(80)));
            scene.send_from_all_sides(size(7, 1), &|_| publish_with("all", "", &headers(&table), b"x"))
        },
        ..Row::USUAL
    }
}
