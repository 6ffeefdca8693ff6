//! Exchanges, bindings and the ways of a message.

use std::time::Duration;

use crate::{
    methods::{
        auto_delete_exchange, bind, bind_exchange, bind_with, exchange, headers, publish, publish_with,
        queue, unbind,
    },
    peer::Peer,
    scene::{ATTACKERS, Row, rows_and_stops, size},
    wire::{Args, METHOD, Table, frame, method},
};

rows_and_stops! {
    a_wide_message_against_wide_bindings
    a_chain_of_exchanges_that_delete_each_other
    a_fanout_to_many_queues
    a_message_for_very_many_queues
    exchanges_bound_in_cycles
    a_chain_of_alternate_exchanges
    topic_patterns_that_match_in_many_ways
    headers_against_many_bindings
    a_message_to_many_keys
    a_heavy_binding_of_a_consistent_hash
    bindings_that_differ_by_arguments
    a_redeclared_route
    unbinds_from_the_last_to_the_first
    an_exchange_of_many_bindings_that_is_deleted
    a_history_bound_late
    returns
}

fn a_fanout_to_many_queues() -> Row {
    Row {
        name: "6,000 tiny publishes to a fanout of 2,000 queues",
        memory_limit: Some((268_435_456, 67_108_864)),
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &exchange("all", "fanout", &Table::new()))?;
            peer.each(0..size(2_000, 200), |n| queue(&format!("q{n}"), 0, &Table::new()))?;
            peer.each(0..size(2_000, 200), |n| bind(&format!("q{n}"), "all", ""))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        // The alarm may hold it up: the limit is far below what it wants to leave there.
        attack: |_, peers| {
            let peer = peers.remove(0);
            let flood = |peer: &mut Peer| peer.repeat(size(6_000, 200), &publish("all", "", b"x"));
            peer.flood(flood)?.wait(Duration::from_secs(10));
            Ok(())
        },
        ..Row::USUAL
    }
}

fn a_message_for_very_many_queues() -> Row {
    fn count() -> usize {
        size(50_000, 6_000)
    }
    Row {
        name: "20 messages for 50,000 queues",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &exchange("all", "fanout", &Table::new()))?;
            peer.each(0..count(), |n| queue(&format!("q{n}"), 0, &Table::new()))?;
            peer.each(0..count(), |n| bind(&format!("q{n}"), "all", ""))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers[0].repeat(20, &publish("all", "", b"x"))?;
            peers[0].barrier()
        },
        after: |scene| scene.await_counts("q7", (20, 0)),
        ..Row::USUAL
    }
}

fn exchanges_bound_in_cycles() -> Row {
    fn length() -> usize {
        size(5_000, 200)
    }
    fn count() -> usize {
        size(1_000, 70)
    }
    Row {
        name: "3,000 publishes with new keys through 5,000 exchanges bound in cycles",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let name = |n: usize| format!("x{}", n % length());
            peer.each(0..length(), |n| exchange(&name(n), "fanout", &Table::new()))?;
            peer.each(0..length(), |n| bind_exchange(&name(n + 1), &name(n), ""))?;
            peer.each(0..length(), |n| bind_exchange(&name(7 * n + 3), &name(n), ""))?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.method(1, &bind("q", &name(length() - 1), ""))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |scene, _| scene.send_from_all_sides(count(), &|n| publish("x0", &format!("key {n}"), b"x")),
        after: |scene| scene.await_counts("q", ((ATTACKERS * count()) as u32, 0)),
        ..Row::USUAL
    }
}

fn a_chain_of_alternate_exchanges() -> Row {
    Row {
        name: "3,000 publishes with new keys down 5,000 alternate exchanges",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let n = size(5_000, 200);
            peer.each(0..n, |n| {
                exchange(
                    &format!("x{n}"),
                    "direct",
                    &Table::new().text("alternate-exchange", &format!("x{}", n + 1)),
                )
            })?;
            peer.method(1, &exchange(&format!("x{n}"), "fanout", &Table::new()))?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.method(1, &bind("q", &format!("x{n}"), ""))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |scene, _| {
            scene.send_from_all_sides(size(1_000, 35), &|n| publish("x0", &format!("{n}"), b"x"))
        },
        after: |scene| scene.await_counts("q", ((ATTACKERS * size(1_000, 35)) as u32, 0)),
        ..Row::USUAL
    }
}

fn topic_patterns_that_match_in_many_ways() -> Row {
    fn count() -> usize {
        size(100, 7)
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
            peer.method(1, &exchange("topics", "topic", &Table::new()))?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.each(0..1 << bits, |n| bind("q", "topics", &format!("#.{}", words(n, bits, ".#."))))?;
            peer.method(1, &bind("q", "topics", "#"))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |scene, _| {
            let alternating = words(0x55_5555_5555, 40, ".");
            // It ends with a word that no pattern has, so that all ways are gone before one fails.
            let key =
                |n| format!("{alternating}.{alternating}.{}.{}.z", words(n, 10, "."), words(!n, 29, "."));
            scene.send_from_all_sides(count(), &|n| publish("topics", &key(n), b"x"))
        },
        after: |scene| scene.await_counts("q", ((ATTACKERS * count()) as u32, 0)),
        ..Row::USUAL
    }
}

fn headers_against_many_bindings() -> Row {
    fn table(n: usize) -> Table {
        (0..50).fold(Table::new(), |t, i| t.int(&format!("header {i}"), if i == 49 { n as i64 } else { i }))
    }
    Row {
        name: "300 publishes of 50 headers against 5,000 bindings of 50",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.method(1, &exchange("x", "headers", &Table::new()))?;
            peer.each(0..size(5_000, 200), |n| {
                bind_with("q", "x", "", &table(n + 1_000_000).text("x-match", "all"))
            })?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |scene, _| {
            scene.send_from_all_sides(size(100, 7), &|_| publish_with("x", "k", &headers(&table(0)), b"x"))
        },
        ..Row::USUAL
    }
}

fn a_message_to_many_keys() -> Row {
    Row {
        name: "1,000 publishes with 10,000 keys in CC",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.method(1, &exchange("x", "topic", &Table::new()))?;
            peer.each(0..200, |n| bind("q", "x", &format!("#.{n}.#")))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |scene, _| {
            let mut keys = Vec::new();
            for n in 0..10_000 {
                keys.push(b'S');
                keys.extend(Args(Vec::new()).long(format!("a.{n}").as_bytes()).0);
            }
            let table = Table::new().entry("CC", b'A', &Args(Vec::new()).long(&keys).0);
            scene.send_from_all_sides(size(300, 2), &|_| publish_with("x", "k", &headers(&table), b"x"))
        },
        ..Row::USUAL
    }
}

fn a_heavy_binding_of_a_consistent_hash() -> Row {
    Row {
        name: "200 bindings of weight 1,000,000 in a consistent hash",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &exchange("x", "x-consistent-hash", &Table::new()))?;
            peer.each(0..200, |n| queue(&format!("q{n}"), 0, &Table::new()))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers[0].each(0..size(200, 3), |n| bind(&format!("q{n}"), "x", "1000000"))?;
            peers[0].bytes_of_each(0..size(1_000, 10), |n| publish("x", &format!("{n}"), b"x"))?;
            peers[0].barrier()
        },
        may_be_refused: true,
        ..Row::USUAL
    }
}

fn bindings_that_differ_by_arguments() -> Row {
    Row {
        name: "50,000 bindings of one key that differ by an argument, and 300 publishes",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers[0].each(0..size(50_000, 1_000), |n| {
                bind_with("q", "amq.direct", "k", &Table::new().int("n", n as i64))
            })?;
            peers[0].repeat(300, &publish("amq.direct", "k", b"x"))?;
            peers[0].barrier()
        },
        ..Row::USUAL
    }
}

fn a_redeclared_route() -> Row {
    Row {
        name: "500 times: a binding, and a publish to 20,000 bindings of one queue",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.each(0..size(20_000, 500), |n| bind("q", "amq.topic", &format!("#.{n}.#")))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers[0].bytes_of_each(0..size(500, 20), |n| {
                let mut bytes = frame(METHOD, 1, &bind("q", "amq.topic", &format!("new.{n}")).0);
                bytes.extend(publish("amq.topic", &"1.".repeat(110), b"x"));
                bytes
            })?;
            peers[0].barrier()
        },
        ..Row::USUAL
    }
}

fn unbinds_from_the_last_to_the_first() -> Row {
    Row {
        name: "100,000 unbinds from the last to the first",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.each(0..size(100_000, 3_000), |n| bind("q", "amq.direct", &format!("{n}")))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            let n = size(100_000, 3_000);
            let (at_once, mut left) = (1_000, n);
            while left > 0 {
                let now = at_once.min(left);
                peers[0].each(0..now, |i| unbind("q", "amq.direct", &format!("{}", left - 1 - i)))?;
                peers[0].take(now, (50, 51))?;
                left -= now;
            }
            Ok(())
        },
        ..Row::USUAL
    }
}

fn an_exchange_of_many_bindings_that_is_deleted() -> Row {
    Row {
        name: "an exchange with 600,000 bindings is deleted",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &exchange("x", "topic", &Table::new()))?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.each(0..size(600_000, 10_000), |n| bind("q", "x", &format!("a.{n}.#")))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| peers[0].call(1, &method(40, 20).u16(0).short("x").u8(0), (40, 21)).map(drop),
        ..Row::USUAL
    }
}

fn a_history_bound_late() -> Row {
    Row {
        name: "a queue bound to a history of 300,000, ten times",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let n = size(300_000, 10_000);
            peer.method(
                1,
                &exchange("h", "x-recent-history", &Table::new().int("x-recent-history-length", n as i64)),
            )?;
            peer.repeat(n, &publish("h", "", b"x"))?;
            peer.each(0..10, |n| queue(&format!("q{n}"), 0, &Table::new()))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| {
            peers[0].each(0..10, |n| bind(&format!("q{n}"), "h", ""))?;
            peers[0].barrier()
        },
        ..Row::USUAL
    }
}

fn returns() -> Row {
    Row {
        name: "500,000 mandatory messages that come back",
        set_up: |scene| Ok(vec![scene.peer()?]),
        attack: |_, peers| {
            let mut bytes = publish("amq.direct", "nowhere", b"x");
            let at = bytes.len() - 9 - 8 - 14 - 2;
            assert_eq!(bytes[at + 1], 0xce);
            bytes[at] = 1;
            for _ in 0..size(50, 2) {
                peers[0].repeat(10_000, &bytes)?;
                peers[0].take(10_000, (60, 50))?;
            }
            Ok(())
        },
        ..Row::USUAL
    }
}

fn a_chain_of_exchanges_that_delete_each_other() -> Row {
    fn length() -> usize {
        size(50_000, 5_000)
    }
    Row {
        name: "50,000 auto-delete exchanges, each bound to the next, go with the last binding",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            let name = |n| format!("x{n}");
            peer.each(0..length(), |n| auto_delete_exchange(&name(n), "fanout"))?;
            peer.each(1..length(), |n| bind_exchange(&name(n), &name(n - 1), ""))?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.method(1, &bind("q", &name(length() - 1), ""))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |_, peers| peers[0].call(1, &method(50, 40).u16(0).short("q").u8(0), (50, 41)).map(drop),
        ..Row::USUAL
    }
}

/// As many entries as fit into a frame.
fn wide() -> Table {
    (0..size(15_000, 3_000)).fold(Table::new(), |table, n| table.entry(&format!("{n:04x}"), b'V', &[]))
}

fn a_wide_message_against_wide_bindings() -> Row {
    Row {
        name: "5 publishes of 15,000 headers against 20 bindings of 15,000",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &exchange("x", "headers", &Table::new()))?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.each(0..20, |n| bind_with("q", "x", &format!("{n}"), &wide()))?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |scene, _| {
            let message = publish_with("x", "", &headers(&wide()), b"x");
            scene.send_from_all_sides(size(5, 1), &|_| message.clone())
        },
        after: |scene| scene.await_counts("q", ((ATTACKERS * size(5, 1)) as u32, 0)),
        ..Row::USUAL
    }
}
