//! SIGKILL while messages die: rejected, expired, pushed out. A dead letter is in its old queue or in its new one,
//! never in none and never in both. `LEVERET_KILLS` and `LEVERET_SEED` as in the kill loop.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    kill_loop::{number, restart_times, seed},
    ledger::{Ledger, MARKS, lock, publish, was_killed},
    link::{Delivery, Event, Gone, Link, basic_nack, basic_qos, queue_declare_with},
    message::{self, CHECKED_BYTES_MIN, Id},
    node::{Node, Stop},
    wire::{Args, Table, basic_consume, confirm_select, method},
};

#[test]
fn a_dead_letter_is_in_one_queue_over_many_kills() {
    let (kills, seed) = (number("LEVERET_KILLS", 8), seed());
    println!("LEVERET_SEED={seed} LEVERET_KILLS={kills}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut node = Node::new();
    declare_all(&mut node.link()).unwrap();
    let ledger = Mutex::new(Ledger::default());
    let mut killed = 0;
    // On a machine that is busy with other things little comes about between two kills.
    while (killed < kills || killed < 10 * kills && lock(&ledger).settled() <= kills * 20)
        && lock(&ledger).is_clean()
    {
        let address = node.address().to_owned();
        let (seeds, moment) = (rng.random(), Duration::from_millis(rng.random_range(30..600)));
        thread::scope(|threads| {
            threads.spawn(|| was_killed(&publish_to_all(&address, &ledger, seeds)));
            for queue in [REJECTED, ON_THE_WAY] {
                let address = &address;
                threads.spawn(move || was_killed(&reject_all(address, queue, seeds)));
            }
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
        take_stock(&node, &ledger).unwrap();
    }
    let ledger = ledger.into_inner().unwrap();
    println!("kills {killed}, {ledger}\nrestarts: {}", restart_times(&node));
    let log = node.stderr();
    assert!(ledger.is_clean(), "seed {seed}, after {killed} kills: {ledger}\nThe broker says\n{log}");
    assert!(ledger.settled() > kills * 20, "too little was tried: {ledger}");
}

/// Everything that is anywhere; what has arrived at its end is taken out.
///
/// Sources come before their targets: what is taken out of a source moves no more, and what has moved is found later.
fn take_stock(node: &Node, ledger: &Mutex<Ledger>) -> Result<(), Gone> {
    let mut link = node.link();
    link.call(&confirm_select(), 85, 11)?;
    let mut found: Vec<(&str, Vec<Delivery>)> = QUEUES.map(|queue| (queue, Vec::new())).into();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        for (queue, deliveries) in &mut found {
            deliveries.extend(link.take_all(queue)?);
        }
        let places: Vec<&[Delivery]> = found.iter().map(|(_, deliveries)| deliveries.as_slice()).collect();
        // One may be on its way just now.
        if lock(ledger).missing(&places) == 0 || Instant::now() > deadline {
            break;
        }
    }
    let places: Vec<_> = found.iter().map(|(queue, deliveries)| (*queue, deliveries.as_slice())).collect();
    lock(ledger).census(&places);
    let dead = found.iter().find(|(queue, _)| *queue == DEAD).map_or(&[][..], |(_, dead)| dead);
    lock(ledger).settle(&mut link, dead)?;
    // The others go back to where they were; nobody else is there to see it before that is done.
    link.close()
}

fn publish_to_all(address: &str, ledger: &Mutex<Ledger>, seed: u64) -> Result<(), Gone> {
    let mut rng = StdRng::seed_from_u64(seed);
    publish(address, ledger, |link, sequence| {
        let queue = [REJECTED, EXPIRING, BOUNDED][rng.random_range(0..3)];
        let size = if rng.random_ratio(1, 30) { 60_000 } else { rng.random_range(CHECKED_BYTES_MIN..600) };
        link.publish("", queue, 0, Id { publisher: 1, sequence }, size)
    })
}

/// Rejects what comes, some of it after it was put back once.
fn reject_all(address: &str, queue: &str, seed: u64) -> Result<(), Gone> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut link = Link::open(address, 131_072)?;
    link.call(&basic_qos(20), 60, 11)?;
    link.call(&basic_consume(queue, "c", 0), 60, 21)?;
    loop {
        if let Event::Delivery(delivery) = link.next()? {
            message::identify_body(&delivery.content.body).map_err(Gone::Broken)?;
            let answer = match rng.random_range(0..10) {
                0 => basic_nack(delivery.tag),
                _ => basic_reject(delivery.tag),
            };
            link.send(1, &answer);
        }
    }
}

/// Rejected, expired and pushed out messages meet in one queue, are rejected there too, and end in the last.
fn declare_all(link: &mut Link) -> Result<(), Gone> {
    let dead_letters_to = |queue: &str| {
        Table::new().text("x-dead-letter-exchange", "").text("x-dead-letter-routing-key", queue)
    };
    let number = |table: Table, name: &str, value: i32| table.entry(name, b'I', &value.to_be_bytes());
    let arguments = [
        (REJECTED, dead_letters_to(ON_THE_WAY)),
        (EXPIRING, number(dead_letters_to(ON_THE_WAY), "x-message-ttl", 20)),
        (BOUNDED, number(dead_letters_to(ON_THE_WAY), "x-max-length", 10)),
        (ON_THE_WAY, dead_letters_to(DEAD)),
        (DEAD, Table::new()),
        (MARKS, Table::new()),
    ];
    for (queue, arguments) in arguments {
        link.call(&queue_declare_with(queue, &arguments), 50, 11)?;
    }
    Ok(())
}

fn basic_reject(tag: u64) -> Args {
    method(60, 90).u64(tag).u8(0)
}

const REJECTED: &str = "rejected";
const EXPIRING: &str = "expiring";
const BOUNDED: &str = "bounded";
const ON_THE_WAY: &str = "on-the-way";
const DEAD: &str = "dead";
const QUEUES: [&str; 5] = [REJECTED, EXPIRING, BOUNDED, ON_THE_WAY, DEAD];
