//! SIGKILL while messages wait for their time and are released: each confirmed one reaches its queue once.
//! `LEVERET_KILLS` and `LEVERET_SEED` as in the kill loop.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    kill_loop::{number, restart_times, seed},
    ledger::{Ledger, MARKS, lock, publish, was_killed},
    link::{Delivery, Gone, Link},
    message::{self, CHECKED_BYTES_MIN, Id},
    node::{Node, Stop},
    wire::{DURABLE, confirm_select, queue_declare},
};

#[test]
fn a_delayed_message_reaches_its_queue_once_over_many_kills() {
    let (kills, seed) = (number("LEVERET_KILLS", 8), seed());
    println!("LEVERET_SEED={seed} LEVERET_KILLS={kills}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut node = Node::new();
    for queue in [TARGET, MARKS] {
        node.link().call(&queue_declare(queue, DURABLE), 50, 11).unwrap();
    }
    let ledger = Mutex::new(Ledger::default());
    let mut killed = 0;
    // On a machine that is busy with other things little comes about between two kills.
    while (killed < kills || killed < 10 * kills && lock(&ledger).settled() <= kills * 20)
        && lock(&ledger).is_clean()
    {
        let address = node.address().to_owned();
        let (seed, moment) = (rng.random(), Duration::from_millis(rng.random_range(30..600)));
        thread::scope(|threads| {
            threads.spawn(|| was_killed(&publish_delayed(&address, &ledger, seed)));
            // Not a wait for something: the moment of the kill.
            thread::sleep(moment);
            node.assert_running();
            node.stop(Stop::Kill);
        });
        killed += 1;
        while rng.random_ratio(1, 4) {
            node.stumble(Duration::from_millis(rng.random_range(0..60)));
            killed += 1;
        }
        node.up();
        // What has been released comes out; what waits is not seen.
        settle(&mut node.link(), &ledger).unwrap();
    }
    let deadline = Instant::now() + Duration::from_millis(DELAY_MS_MAX) + Duration::from_secs(10);
    let mut link = node.link();
    while lock(&ledger).owed() > 0 && Instant::now() < deadline {
        settle(&mut link, &ledger).unwrap();
    }
    lock(&ledger).census(&[(TARGET, &[])]);
    let ledger = ledger.into_inner().unwrap();
    println!("kills {killed}, {ledger}\nrestarts: {}", restart_times(&node));
    assert!(ledger.is_clean(), "seed {seed}, after {killed} kills: {ledger}");
    assert!(ledger.settled() > kills * 20, "too little was tried: {ledger}");
}

/// Takes out what is in the target: nothing of it has been there before.
fn settle(link: &mut Link, ledger: &Mutex<Ledger>) -> Result<(), Gone> {
    link.call(&confirm_select(), 85, 11)?;
    let arrived: Vec<Delivery> = link.take_all(TARGET)?;
    let mut ledger = lock(ledger);
    ledger.arrived(TARGET, &arrived);
    ledger.settle(link, &arrived)
}

fn publish_delayed(address: &str, ledger: &Mutex<Ledger>, seed: u64) -> Result<(), Gone> {
    let mut rng = StdRng::seed_from_u64(seed);
    publish(address, ledger, |link, sequence| {
        // Some longer than a kill takes.
        let delay = if rng.random() { rng.random_range(0..100) } else { rng.random_range(0..DELAY_MS_MAX) };
        let size = if rng.random_ratio(1, 30) { 60_000 } else { rng.random_range(CHECKED_BYTES_MIN..600) };
        let body = message::body(Id { publisher: 1, sequence }, size);
        link.publish_as("", TARGET, 0, &message::due_at(now_ms() + delay), &body)
    })
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

const TARGET: &str = "target";
const DELAY_MS_MAX: u64 = 2_000;
