//! SIGKILL while a queue with many bindings is deleted, which takes the broker several pieces: afterwards it is there with all of
//! them, or gone with all of them, also for a successor of its name. `LEVERET_KILLS` and `LEVERET_SEED` as in the kill loop.

use std::{thread, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    kill_loop::{number, seed},
    link::{Gone, Link, queue_delete, queue_purge},
    node::{Node, Stop},
    wire::{Args, DURABLE, Table, confirm_select, method, queue_bind, queue_declare},
};

#[test]
fn a_queue_goes_with_all_of_its_bindings_over_many_kills() {
    let (kills, seed) = (number("LEVERET_KILLS", 8), seed());
    println!("LEVERET_SEED={seed} LEVERET_KILLS={kills}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut node = Node::new();
    let (mut kept, mut gone) = (0, 0);
    for _ in 0..kills {
        bind_all(&mut node.link()).unwrap();
        let mut link = node.link();
        link.send(1, &queue_delete(WIDE)).flush().unwrap();
        // Not a wait for something: the moment of the kill.
        thread::sleep(Duration::from_micros(rng.random_range(0..20_000)));
        node.restart(Stop::Kill);
        let is_there = node.link().depth(WIDE).unwrap().is_some();
        let reached = reached(&mut node.link()).unwrap();
        assert_eq!(reached, if is_there { BINDINGS } else { 0 }, "seed {seed}, it is there: {is_there}");
        *(if is_there { &mut kept } else { &mut gone }) += 1;
    }
    println!("kept {kept}, gone {gone}");
}

fn bind_all(link: &mut Link) -> Result<(), Gone> {
    link.call(&queue_declare(WIDE, DURABLE), 50, 11)?;
    for key in 1..BINDINGS {
        link.send(1, &bind_without_answer(&key.to_string()));
    }
    link.call(&queue_bind(WIDE, EXCHANGE, "0"), 50, 21).map(drop)
}

/// How many of the keys lead to the queue of that name, which is declared if it has gone.
fn reached(link: &mut Link) -> Result<u32, Gone> {
    link.call(&confirm_select(), 85, 11)?;
    link.call(&queue_declare(WIDE, DURABLE), 50, 11)?;
    link.call(&queue_purge(WIDE), 50, 31)?;
    for key in 0..BINDINGS {
        link.publish_as(EXCHANGE, &key.to_string(), 0, &NO_PROPERTIES, b"")?;
    }
    link.await_confirms(BINDINGS.into())?;
    Ok(link.depth(WIDE)?.unwrap_or_default())
}

fn bind_without_answer(key: &str) -> Args {
    method(50, 20).u16(0).short(WIDE).short(EXCHANGE).short(key).u8(1).table(&Table::new())
}

const WIDE: &str = "wide";
const EXCHANGE: &str = "amq.direct";
const NO_PROPERTIES: [u8; 2] = [0, 0];
/// Many pieces.
const BINDINGS: u32 = 3_000;
