//! What a client can make the broker remember: resident memory stays near the limit, and when the client is gone the
//! alarm is clear. Whether the broker holds the client up, refuses it, or serves it to the end is left to the broker.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    methods::{bind, consume, exchange, headers, nack_all, publish, publish_with, queue},
    peer::{Flood, Flooded, Peer},
    scene::{Row, Scene, patience, rows, size},
    wire::{
        BODY, DURABLE, HEADER, METHOD, NO_ACK, PASSIVE, Table, basic_publish, content_header, frame, method,
        queue_declare,
    },
};

rows! {
    a_consumer_that_holds_all_and_dies
    a_consumer_that_requeues_all
    a_consumer_that_acknowledges_late
    a_consumer_that_acknowledges_late_behind_a_backlog
    many_durable_queues
    queues_of_many_priorities
    a_large_message_in_many_queues
    histories_of_large_messages
    a_transaction_larger_than_the_limit
    unfinished_bodies_on_many_channels
    routes_remembered_by_many_channels
    replies_that_nobody_reads
    delayed_messages_beyond_the_limit
    large_arguments
    many_consumers
    many_bindings
    many_channels
    values_remembered_against_duplicates
    publishers_held_up_by_the_alarm
}

/// 256 MB, or a budget that a moment fills.
const LIMITED: Row =
    Row { memory_limit: Some((268_435_456, 50_331_648)), may_be_refused: true, ..Row::USUAL };

fn limit() -> usize {
    size(268_435_456, 50_331_648)
}

fn a_consumer_that_holds_all_and_dies() -> Row {
    Row {
        name: "a consumer without prefetch that holds 2.7 M messages and dies",
        attack: |scene, _| hold_as_many_as_possible(scene).map(drop),
        ..LIMITED
    }
}

fn a_consumer_that_requeues_all() -> Row {
    Row {
        name: "a nack with requeue of 2.7 M one-byte messages",
        attack: |scene, _| {
            let mut consumer = hold_as_many_as_possible(scene)?;
            consumer.call(1, &method(60, 30).short("c").u8(0), (60, 31))?;
            consumer.method(1, &nack_all(true))?;
            consumer.barrier()
        },
        ..LIMITED
    }
}

/// One-byte messages of the queue `q`, until the broker lets no more of them through.
fn hold_as_many_as_possible(scene: &Scene) -> io::Result<Peer> {
    let (mut publisher, mut consumer) = (scene.peer()?, scene.peer()?);
    publisher.call(1, &queue_declare("q", 0), (50, 11))?;
    consumer.method(1, &consume("q", "c", 0, &Table::new()))?;
    let count = size(2_700_000, 300_000);
    let _flood = publisher.flood(move |peer| peer.repeat(count, &publish("", "q", b"x")))?;
    let mut held = 0;
    while held < count
        && let Some(frame) = consumer.next(held_up() / 2)?
    {
        held += usize::from(frame.kind == BODY);
    }
    Ok(consumer)
}

fn a_consumer_that_acknowledges_late() -> Row {
    Row {
        name: "a consumer that acknowledges nothing before it has 3/8 of the limit",
        attack: |scene, _| take_before_settling(scene, limit() * 3 / 8, limit() * 3 / 8),
        after: |scene| scene.await_counts("q", (0, 0)),
        may_be_refused: false,
        ..LIMITED
    }
}

fn a_consumer_that_acknowledges_late_behind_a_backlog() -> Row {
    Row {
        name: "the same from a durable backlog of 1.5 x the limit",
        attack: |scene, _| take_before_settling(scene, limit() * 3 / 2, limit() * 3 / 8),
        may_be_refused: false,
        ..LIMITED
    }
}

/// Publishes this many bytes in messages of 1 KB and holds so many of them; fails if the broker holds them back.
fn take_before_settling(scene: &Scene, published_bytes: usize, held_bytes: usize) -> io::Result<()> {
    let (mut publisher, mut consumer) = (scene.peer()?, scene.peer()?);
    publisher.call(1, &queue_declare("q", DURABLE), (50, 11))?;
    let message = publish_with("", "q", b"\x10\x00\x02", &[b'x'; 1_000]);
    let count = published_bytes / 1_000;
    taken(publisher.flood(move |peer| peer.repeat(count, &message).and_then(|()| peer.barrier()))?)?;
    consumer.method(1, &consume("q", "c", 0, &Table::new()))?;
    let mut held = 0;
    while held < held_bytes / 1_000 {
        let Some(frame) = consumer.next(patience() / 2)? else {
            return Err(io::Error::other(format!("it was held back after {held} messages")));
        };
        held += usize::from(frame.kind == BODY);
    }
    consumer.method(1, &method(60, 80).u64(0).u8(1))?;
    consumer.barrier()
}

fn many_durable_queues() -> Row {
    fn queues() -> usize {
        size(300, 60)
    }
    Row {
        name: "300 durable queues with 500 messages of 2 KB",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            peer.each(0..queues(), |n| queue(&format!("q{n}"), DURABLE, &Table::new()))?;
            peer.each(0..queues(), |n| bind(&format!("q{n}"), "amq.direct", &format!("{n}")))?;
            peer.barrier()?;
            let one_for_each: Vec<u8> = (0..queues())
                .flat_map(|n| publish_with("amq.direct", &format!("{n}"), b"\x10\x00\x02", &[b'x'; 2_000]))
                .collect();
            taken(peer.flood(move |peer| peer.repeat(500, &one_for_each).and_then(|()| peer.barrier()))?)
        },
        after: |scene| scene.await_counts("q7", (500, 0)),
        ..LIMITED
    }
}

fn delayed_messages_beyond_the_limit() -> Row {
    fn count() -> usize {
        limit() * 3 / 2_000
    }
    Row {
        name: "transient messages of 1 KB, 1.5 x the limit, delayed for an hour",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            let delays = Table::new().text("x-delayed-type", "fanout");
            peer.method(1, &exchange("x", "x-delayed-message", &delays))?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.method(1, &bind("q", "x", ""))?;
            let delay = headers(&Table::new().int("x-delay", 3_600_000));
            let message = publish_with("x", "", &delay, &[b'x'; 1_000]);
            taken(peer.flood(move |peer| peer.repeat(count(), &message).and_then(|()| peer.barrier()))?)
        },
        ..LIMITED
    }
}

fn queues_of_many_priorities() -> Row {
    fn queues() -> usize {
        size(100, 20)
    }
    Row {
        name: "100 durable queues of 255 priorities with 10 messages of 2 KB in each",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            let priorities = Table::new().int("x-max-priority", 255);
            peer.each(0..queues(), |n| queue(&format!("q{n}"), DURABLE, &priorities))?;
            peer.barrier()?;
            // Delivery mode and priority; each body is a message of its own, so that nothing is shared.
            let one_for_each = move |peer: &mut Peer| {
                peer.bytes_of_each(0..queues() * 255 * 10, |n| {
                    let properties = [0x18, 0x00, 2, (n % 255) as u8 + 1];
                    publish_with("", &format!("q{}", n / 255 % queues()), &properties, &[b'x'; 2_000])
                })?;
                peer.barrier()
            };
            taken(peer.flood(one_for_each)?)
        },
        after: |scene| scene.await_counts("q7", (2_550, 0)),
        ..LIMITED
    }
}

fn taken(mut flood: Flood) -> io::Result<()> {
    match flood.wait(patience()) {
        Flooded::Taken => Ok(()),
        other => Err(io::Error::other(format!("the publisher was {other:?}"))),
    }
}

fn a_large_message_in_many_queues() -> Row {
    Row {
        name: "one message of 1 MB to 300 queues",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            peer.method(1, &exchange("all", "fanout", &Table::new()))?;
            peer.each(0..300, |n| queue(&format!("q{n}"), 0, &Table::new()))?;
            peer.each(0..300, |n| bind(&format!("q{n}"), "all", ""))?;
            peer.send(&publish("all", "", &[b'x'; 1_000_000]))?;
            peer.barrier()
        },
        after: |scene| scene.await_counts("q7", (1, 0)),
        ..LIMITED
    }
}

fn histories_of_large_messages() -> Row {
    Row {
        name: "5 recent-history exchanges full of large messages",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            let length = Table::new().int("x-recent-history-length", 1_000);
            peer.each(0..5, |n| exchange(&format!("x{n}"), "x-recent-history", &length))?;
            peer.barrier()?;
            let one_for_each: Vec<u8> =
                (0..5).flat_map(|n| publish(&format!("x{n}"), "", &[b'x'; 1_000_000])).collect();
            peer.flood(move |peer| peer.repeat(limit() * 2 / 5_000_000, &one_for_each))?.wait(held_up());
            Ok(())
        },
        ..LIMITED
    }
}

fn a_transaction_larger_than_the_limit() -> Row {
    Row {
        name: "a transaction larger than the limit, whose client dies",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            peer.call(1, &queue_declare("q", 0), (50, 11))?;
            peer.call(1, &method(90, 10), (90, 11))?;
            let message = publish("", "q", &[b'x'; 1_000_000]);
            peer.flood(move |peer| peer.repeat(size(250, 48), &message))?.wait(held_up());
            Ok(())
        },
        // Below what a transaction may hold at all.
        memory_limit: Some((134_217_728, 50_331_648)),
        ..LIMITED
    }
}

fn unfinished_bodies_on_many_channels() -> Row {
    Row {
        name: "unfinished bodies of 8 MB on 200 channels",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            let channels = 2..2 + size(200, 50) as u16;
            channels.clone().try_for_each(|channel| peer.channel(channel))?;
            let unfinished = move |peer: &mut Peer| {
                channels.clone().try_for_each(|channel| {
                    peer.method(channel, &basic_publish("", "q", 0))?;
                    peer.send(&frame(HEADER, channel, &content_header(16_000_000)))?;
                    peer.repeat(size(80, 30), &frame(BODY, channel, &[b'x'; 100_000]))
                })
            };
            peer.flood(unfinished)?.wait(held_up());
            Ok(())
        },
        ..LIMITED
    }
}

fn routes_remembered_by_many_channels() -> Row {
    Row {
        name: "routes of 12 channels x 1,024 keys x 10,000 queues",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            let queues = size(10_000, 500);
            peer.method(1, &exchange("all", "fanout", &Table::new()))?;
            peer.each(0..queues, |n| queue(&format!("q{n}"), 0, &Table::new().int("x-max-length", 0)))?;
            peer.each(0..queues, |n| bind(&format!("q{n}"), "all", ""))?;
            for channel in 2..2 + size(12, 4) as u16 {
                peer.channel(channel)?;
                peer.bytes_of_each(0..size(1_024, 50), |n| {
                    let mut bytes = frame(METHOD, channel, &basic_publish("all", &format!("{n}"), 0).0);
                    bytes.extend(frame(HEADER, channel, &content_header(0)));
                    bytes
                })?;
                peer.call(channel, &method(60, 10).u32(0).u16(0).u8(0), (60, 11))?;
            }
            Ok(())
        },
        ..LIMITED
    }
}

fn replies_that_nobody_reads() -> Row {
    Row {
        name: "replies that nobody reads on 300 connections",
        attack: |scene, _| {
            // The answer says the queue's name.
            let name = "q".repeat(250);
            scene.peer()?.call(1, &queue_declare(&name, 0), (50, 11))?;
            let ask = frame(METHOD, 1, &queue_declare(&name, PASSIVE).0);
            flood_from(scene, size(300, 12), size(60_000, 16_000), &ask)
        },
        ..LIMITED
    }
}

fn publishers_held_up_by_the_alarm() -> Row {
    Row {
        name: "1,500 publishers held up by the alarm",
        attack: |scene, _| {
            let (mut publisher, mut consumer) = (scene.peer()?, scene.peer()?);
            publisher.call(1, &queue_declare("q", 0), (50, 11))?;
            consumer.method(1, &consume("q", "c", 0, &Table::new()))?;
            let message = publish("", "q", &[b'x'; 1_000_000]);
            let first = message.clone();
            let _flood = publisher.flood(move |peer| peer.repeat(limit() * 2 / 1_000_000, &first))?;
            while consumer.next(held_up() / 2)?.is_some() {}
            flood_from(scene, size(1_500, 60), 10, &message)
        },
        ..LIMITED
    }
}

fn large_arguments() -> Row {
    Row {
        name: "10,000 exchanges and 10,000 consumers with arguments of 60 KB",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            peer.call(1, &queue_declare("q", 0), (50, 11))?;
            let large = Table::new().text("argument", &"x".repeat(60_000));
            peer.each(0..size(10_000, 500), |n| exchange(&format!("x{n}"), "fanout", &large))?;
            peer.each(0..size(10_000, 500), |n| consume("q", &format!("{n}"), NO_ACK, &large))?;
            peer.barrier()
        },
        ..LIMITED
    }
}

fn values_remembered_against_duplicates() -> Row {
    Row {
        name: "5 queues that remember 2 M values of 100 bytes against duplicates",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            let remembering = Table::new()
                .flag("x-message-deduplication", true)
                .int("x-cache-size", 10_000_000)
                .int("x-max-length", 0);
            peer.each(0..5, |n| queue(&format!("q{n}"), 0, &remembering))?;
            peer.bytes_of_each(0..size(2_000_000, 100_000), |n| {
                let value = Table::new().text("x-deduplication-header", &format!("{n:0100}"));
                publish_with("", &format!("q{}", n % 5), &headers(&value), b"")
            })?;
            peer.barrier()
        },
        ..LIMITED
    }
}

fn many_consumers() -> Row {
    Row {
        name: "1 M consumers of one queue",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            peer.call(1, &queue_declare("q", 0), (50, 11))?;
            peer.each(0..size(1_000_000, 5_000), |n| {
                consume("q", &format!("{n:0200}"), NO_ACK, &Table::new())
            })?;
            peer.barrier()
        },
        ..LIMITED
    }
}

fn many_bindings() -> Row {
    Row {
        name: "2 M bindings with keys of 200 bytes",
        attack: |scene, _| {
            let mut peer = scene.peer()?;
            peer.call(1, &queue_declare("q", 0), (50, 11))?;
            peer.each(0..size(2_000_000, 20_000), |n| bind("q", "amq.direct", &format!("{n:0200}")))?;
            peer.barrier()
        },
        ..LIMITED
    }
}

fn many_channels() -> Row {
    Row {
        name: "2,000 channels on each of 100 connections",
        attack: |scene, peers| {
            let open: Vec<u8> =
                (2..=2_000).flat_map(|channel| frame(METHOD, channel, &method(20, 10).short("").0)).collect();
            for _ in 0..size(100, 5) {
                let mut peer = scene.peer()?;
                peer.send(&open)?;
                peer.barrier()?;
                peers.push(peer);
            }
            Ok(())
        },
        ..LIMITED
    }
}

/// So many connections that each send this so many times, and are gone when the broker takes no more.
fn flood_from(scene: &Scene, connections: usize, times: usize, bytes: &[u8]) -> io::Result<()> {
    let flood = || {
        let bytes = bytes.to_vec();
        scene.peer()?.flood(move |peer| peer.repeat(times, &bytes))
    };
    let mut floods = (0..connections).map(|_| flood()).collect::<io::Result<Vec<_>>>()?;
    let began = Instant::now();
    for flood in &mut floods {
        flood.wait(held_up().saturating_sub(began.elapsed()));
    }
    Ok(())
}

/// A publisher that gets on so slowly is held up.
fn held_up() -> Duration {
    Duration::from_millis(size(5_000, 1_000) as u64)
}
