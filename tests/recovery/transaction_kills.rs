//! SIGKILL while a transaction is written that takes much, in a segment of its own: afterwards all of it is there, or nothing. What was committed is
//! there. `LEVERET_KILLS` and `LEVERET_SEED` as in the kill loop.

use std::{thread, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    kill_loop::{number, seed},
    link::{Gone, Link, queue_purge},
    node::{Node, SEGMENT_FLAG, Stop},
    wire::{DURABLE, method, queue_declare},
};

#[test]
fn a_large_transaction_is_there_whole_or_not_at_all_over_many_kills() {
    let (kills, seed) = (number("LEVERET_KILLS", 10), seed());
    println!("LEVERET_SEED={seed} LEVERET_KILLS={kills}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut node = Node::with(&[SEGMENT_FLAG, "1048576"]);
    let (mut kept, mut gone) = (0, 0);
    for _ in 0..kills {
        let mut link = node.link();
        prepare(&mut link).unwrap();
        let is_committed = rng.random_ratio(1, 4);
        if is_committed {
            link.call(&method(90, 20), 90, 21).unwrap();
        } else {
            link.send(1, &method(90, 20)).flush().unwrap();
            // Not a wait for something: the moment of the kill.
            thread::sleep(Duration::from_micros(rng.random_range(0..30_000)));
        }
        node.restart(Stop::Kill);
        let depth = node.link().depth(QUEUE).unwrap().unwrap();
        let is_whole = depth == MESSAGES;
        assert!(
            is_whole || depth == 0 && !is_committed,
            "seed {seed}: {depth} of {MESSAGES}, {is_committed}"
        );
        *(if is_whole { &mut kept } else { &mut gone }) += 1;
    }
    println!("kept {kept}, gone {gone}");
    assert!(!node.stderr().contains("damaged bytes"), "{}", node.stderr());
}

/// An empty queue, and a transaction in which all messages for it were published.
fn prepare(link: &mut Link) -> Result<(), Gone> {
    link.call(&queue_declare(QUEUE, DURABLE), 50, 11)?;
    link.call(&queue_purge(QUEUE), 50, 31)?;
    link.call(&method(90, 10), 90, 11)?;
    for _ in 0..MESSAGES {
        link.publish_as("", QUEUE, 0, &PERSISTENT, &[b'x'; 50_000])?;
    }
    link.depth(QUEUE).map(drop)
}

const QUEUE: &str = "q";
const PERSISTENT: [u8; 3] = [0x10, 0, 2];
/// Twice as much as a segment.
const MESSAGES: u32 = 40;
