//! Clients that do what they may, as much of it as they can.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use crate::{
    methods::{
        bind, bind_with, consume, delete_exchange, delete_queue, exchange, headers, publish, publish_with,
        queue,
    },
    peer::{Flooded, Peer},
    scene::{ATTACKERS, Row, Scene, patience, rows_among_tenants, size},
    tenants::LIMITED,
    wire::{METHOD, NO_ACK, Table, frame, method, queue_declare},
    world::Tenancy,
};

rows_among_tenants! {
    connections_one_after_the_other
    connections_that_stay
    channels_opened_and_closed
    consumers_that_come_and_go
    declarations_and_bindings
    huge_tables
    messages_with_very_many_headers
    publishes_as_fast_as_can_be
    patterns_that_take_long
}

/// At once from several threads, as many as to keep a small machine busy; all have to be let in.
fn from_all_sides(work: impl Fn() -> io::Result<()> + Sync) -> io::Result<()> {
    thread::scope(|scope| {
        let attackers = [(); ATTACKERS].map(|()| scope.spawn(&work));
        attackers.into_iter().try_for_each(|attacker| attacker.join().expect("an attacker does not panic"))
    })
}

fn connections_one_after_the_other() -> Row {
    Row {
        name: "12,000 connections, one after the other from three clients",
        attack: |scene, _| from_all_sides(|| (0..size(4_000, 60)).try_for_each(|_| scene.peer().map(drop))),
        ..LIMITED
    }
}

fn connections_that_stay() -> Row {
    Row {
        name: "3,000 connections that stay",
        attack: |scene, peers| {
            for _ in 0..size(3_000, 100) {
                peers.push(scene.peer()?);
            }
            peers.iter_mut().try_for_each(Peer::barrier)
        },
        ..LIMITED
    }
}

fn channels_opened_and_closed() -> Row {
    Row {
        name: "2 x 3 x 300,000 channels opened and closed",
        attack: |scene, _| {
            let channels = 2..=1_001_u16;
            let open = |channel| frame(METHOD, channel, &method(20, 10).short("").0);
            let close = |channel| frame(METHOD, channel, &method(20, 40).u16(200).short("").u16(0).u16(0).0);
            let round: Vec<u8> = channels.clone().flat_map(open).chain(channels.flat_map(close)).collect();
            from_all_sides(|| {
                let mut peer = scene.peer()?;
                for _ in 0..size(300, 3) {
                    peer.send(&round)?;
                    peer.take(1_000, (20, 41))?;
                }
                peer.barrier()
            })
        },
        ..LIMITED
    }
}

fn consumers_that_come_and_go() -> Row {
    Row {
        name: "3 x 200,000 consumers that come and go",
        attack: |scene, _| {
            scene.peer()?.call(1, &queue_declare("q", 0), (50, 11))?;
            scene.send_from_all_sides(size(200_000, 2_000), &|n| {
                let tag = format!("consumer {n}");
                let cancel = method(60, 30).short(&tag).u8(1);
                [&consume("q", &tag, NO_ACK, &Table::new()), &cancel]
                    .iter()
                    .flat_map(|args| frame(METHOD, 1, &args.0))
                    .collect()
            })
        },
        after: |scene| scene.await_counts("q", (0, 0)),
        ..LIMITED
    }
}

fn declarations_and_bindings() -> Row {
    Row {
        name: "3 x 30,000 queues and exchanges that are declared, bound, and deleted",
        attack: |scene, _| {
            from_all_sides(|| {
                let mut peer = scene.peer()?;
                let prefix = format!("{:?}", thread::current().id());
                peer.each(0..7 * size(30_000, 300), |n| {
                    let (name, exchange_name) =
                        (format!("{prefix} q {}", n / 7), format!("{prefix} x {}", n / 7));
                    match n % 7 {
                        0 => queue(&name, 0, &Table::new()),
                        1 => exchange(&exchange_name, "topic", &Table::new()),
                        2 => bind(&name, &exchange_name, "a.*.b.#"),
                        3 => bind(&name, "amq.topic", &format!("#.{n}.*")),
                        4 => bind(&name, "amq.direct", &name),
                        5 => delete_exchange(&exchange_name),
                        _ => delete_queue(&name),
                    }
                })?;
                peer.barrier()
            })
        },
        ..LIMITED
    }
}

fn huge_tables() -> Row {
    Row {
        name: "3 x 1,500 declarations with tables of 120 KB, wide and deep",
        attack: |scene, _| {
            let wide = (0..6_000).fold(Table::new(), |table, n| table.int(&format!("argument {n}"), n));
            let deep = (0..60).fold(Table::new().text("x", &"x".repeat(1_500)), |inner, _| {
                Table::new().text("x", &"x".repeat(1_000)).nested("t", &inner)
            });
            from_all_sides(|| {
                let mut peer = scene.peer()?;
                peer.each(0..size(1_500, 15), |n| {
                    exchange(&format!("x{}", n % 10), "fanout", if n % 2 == 0 { &wide } else { &deep })
                })?;
                peer.barrier()
            })
        },
        // One that differs from what is there ends the channel.
        may_be_refused: true,
        ..LIMITED
    }
}

fn messages_with_very_many_headers() -> Row {
    fn bindings() -> usize {
        size(1_000, 50)
    }
    Row {
        name: "3 x 300 messages with 5,000 headers, or 60 tables in each other, for 1,000 bindings",
        set_up: |scene| {
            let mut peer = scene.peer()?;
            peer.method(1, &exchange("headers", "headers", &Table::new()))?;
            peer.method(1, &queue("q", 0, &Table::new()))?;
            peer.each(0..bindings(), |n| {
                let wanted =
                    Table::new().text("x-match", "all").int("h4999", n as i64).int(&format!("h{n}"), 7);
                bind_with("q", "headers", "", &wanted)
            })?;
            peer.barrier()?;
            Ok(vec![peer])
        },
        attack: |scene, _| {
            let wide = (0..5_000).fold(Table::new(), |table, n| table.int(&format!("h{n}"), 7));
            let deep = (0..60).fold(Table::new(), |inner, _| {
                Table::new().nested("t", &inner).text("x", &"x".repeat(1_500))
            });
            let messages = [&wide, &deep].map(|table| publish_with("headers", "", &headers(table), b"x"));
            scene.send_from_all_sides(size(300, 10), &|n| messages[n % 2].clone())
        },
        // One binding fits what is wide: h4999 = 7, h7 = 7.
        after: |scene| scene.await_counts("q", ((ATTACKERS * size(300, 10) / 2) as u32, 0)),
        ..LIMITED
    }
}

fn publishes_as_fast_as_can_be() -> Row {
    Row {
        name: "publishes of 1 KB from three clients to a queue that drops them",
        attack: |scene, _| {
            let bounded = Table::new().int("x-max-length", 100);
            let mut peer = scene.peer()?;
            peer.method(1, &queue("q", 0, &bounded))?;
            peer.barrier()?;
            let message = publish("", "q", &[b'x'; 1_000]);
            let times = size(1_000_000, 10_000);
            from_all_sides(|| {
                let message = message.clone();
                let mut flood = scene
                    .peer()?
                    .flood(move |peer| peer.repeat(times, &message).and_then(|()| peer.barrier()))?;
                match flood.wait(patience()) {
                    Flooded::Taken => Ok(()),
                    other => Err(io::Error::other(format!("the publisher was {other:?}"))),
                }
            })
        },
        ..LIMITED
    }
}

/// They take long where a name is tried in more than one way, or where all ways are remembered at once. Worse ones are refused.
const LONG_LASTING: [&str; 4] = [
    "(x+x+)+y",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(?:.?){200}y$",
    "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)[^x]{3}$",
];

fn patterns_that_take_long() -> Row {
    Row {
        name: "3 x 20,000 names for patterns that take long, in permissions and in 40 policies",
        tenancy: || Tenancy {
            // What is found only at the end of a name, of `amq.default` too.
            permitted: format!("{}|{}|[xt]$", LONG_LASTING[0], LONG_LASTING[1]),
            policies: LONG_LASTING.iter().cycle().take(40).map(|pattern| (*pattern).to_owned()).collect(),
        },
        attack: |scene, _| attack_patterns(scene),
        ..LIMITED
    }
}

fn attack_patterns(scene: &Scene) -> io::Result<()> {
    from_all_sides(|| {
        let mut peer = scene.peer()?;
        let prefix = format!("{:?}", thread::current().id()).replace(|c: char| !c.is_ascii_digit(), "");
        let began = Instant::now();
        for lot in 0..size(200, 3) {
            peer.each(100 * lot..100 * (lot + 1), |n| {
                let name = format!("{prefix}{n:06}{}", "x".repeat(230));
                if n % 2 == 0 {
                    queue(&name, 0, &Table::new())
                } else {
                    exchange(&name, "fanout", &Table::new())
                }
            })?;
            peer.bytes_of_each(100 * lot..100 * (lot + 1), |n| {
                publish("", &format!("{prefix}{n:06}{}", "x".repeat(230)), b"x")
            })?;
            // They would use up the memory for declarations, which is refused.
            peer.each(100 * lot..100 * (lot + 1), |n| {
                let name = format!("{prefix}{n:06}{}", "x".repeat(230));
                if n % 2 == 0 { delete_queue(&name) } else { delete_exchange(&name) }
            })?;
            peer.barrier()?;
            if began.elapsed() > ENOUGH {
                break;
            }
        }
        Ok(())
    })
}

const ENOUGH: Duration = Duration::from_secs(20);
