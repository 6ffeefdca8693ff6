//! Very many messages that wait for their time. `LEVERET_DELAYED` says how many (few without it); the figures are for
//! people, and worth something in a release build alone.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    kill_loop::number,
    link::{Event, Link},
    message::{self, Id},
    node::{Node, Stop},
    wire::{DURABLE, NO_ACK, basic_consume, confirm_select, queue_declare},
};

#[test]
fn all_of_many_delayed_messages_are_there_after_a_kill_and_are_released_in_due_order() {
    let count = number("LEVERET_DELAYED", 3_000);
    println!("LEVERET_DELAYED={count}");
    // Time to schedule all of them, the kill and the start.
    let lead_ms = 4_000 + count / 15;
    let mut node = Node::with(&["--segment-bytes", "67108864"]);
    let before = settled_resident(&node);
    let begun = Instant::now();
    let due = Due { begin: now_ms() + lead_ms };
    schedule(&node, count, &due);
    let took = begun.elapsed();
    println!("scheduled: {:.0}/s, {:?} in all", count as f64 / took.as_secs_f64(), took);
    report_memory("scheduled", &node, before, count);
    let spare = due.begin.saturating_sub(now_ms());
    node.restart(Stop::Kill);
    println!("the start took {:?}, {spare} ms before the first is due", node.starts[1]);
    thread::sleep(Duration::from_millis(due.begin.saturating_sub(now_ms() + 1_500)));
    report_memory("after the restart", &node, before, count);
    let (lateness, released_for) = release(&node, count, &due);
    let at = |percent: usize| lateness[(lateness.len() - 1) * percent / 100];
    println!(
        "released {} in {:.1} s: lateness p50 {} ms, p99 {} ms, max {} ms",
        lateness.len(),
        released_for.as_secs_f64(),
        at(50),
        at(99),
        at(100)
    );
    let mut link = node.link();
    assert_eq!(link.depth(QUEUE).unwrap(), Some(0));
}

/// When the message of a rank is due: one each millisecond for the first part, the others in a heap behind them.
struct Due {
    begin: u64,
}

impl Due {
    fn of(&self, rank: u64) -> u64 {
        self.begin + rank.min(SPREAD)
    }
}

/// Published in steps of this, all ranks come once and mixed.
fn step(count: u64) -> u64 {
    (count * 5 / 8..count).find(|step| gcd(*step, count) == 1).unwrap_or(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn schedule(node: &Node, count: u64, due: &Due) {
    let mut link = node.link();
    link.call(&queue_declare(QUEUE, DURABLE), 50, 11).unwrap();
    link.call(&confirm_select(), 85, 11).unwrap();
    let step = step(count);
    let mut confirmed = 0;
    for n in 0..count {
        let rank = n * step % count;
        let body = message::body(Id { publisher: 1, sequence: rank }, BODY_BYTES);
        link.publish_as("", QUEUE, 0, &message::due_at(due.of(rank)), &body).unwrap();
        while n + 1 - confirmed > IN_FLIGHT_MAX {
            confirmed = next_confirm(&mut link);
        }
    }
    while confirmed < count {
        confirmed = next_confirm(&mut link);
    }
}

fn next_confirm(link: &mut Link) -> u64 {
    match link.next().unwrap() {
        Event::Confirm { tag, ack: true, .. } => tag,
        _ => panic!("something else than a confirm"),
    }
}

/// Takes all of them; gives by how many milliseconds those of the first part came late, sorted.
fn release(node: &Node, count: u64, due: &Due) -> (Vec<u64>, Duration) {
    let mut link = node.link();
    link.call(&basic_consume(QUEUE, "c", NO_ACK), 60, 21).unwrap();
    let mut lateness = Vec::new();
    let mut last_due = 0;
    let mut found = vec![false; count as usize];
    let mut begun = None;
    for _ in 0..count {
        let delivery = link.next_delivery().unwrap();
        let now = now_ms();
        let rank = message::identify_body(&delivery.content.body).unwrap().sequence;
        let is_due = due.of(rank);
        assert!(is_due <= now && is_due >= last_due, "{rank} is due at {is_due}, after {last_due}, at {now}");
        assert!(!std::mem::replace(&mut found[rank as usize], true), "{rank} comes twice");
        last_due = is_due;
        if rank < SPREAD {
            lateness.push(now - is_due);
        }
        begun.get_or_insert_with(Instant::now);
    }
    lateness.sort_unstable();
    (lateness, begun.map_or(Duration::ZERO, |begun| begun.elapsed()))
}

fn report_memory(when: &str, node: &Node, before: u64, count: u64) {
    let resident = settled_resident(node);
    let each = resident.saturating_sub(before) as f64 / count as f64;
    println!("{when}: {} MB resident, {each:.0} bytes for each message", resident / 1_000_000);
}

/// What is resident once the broker has given back what it does not need: the least of a second.
fn settled_resident(node: &Node) -> u64 {
    let sample = |_| {
        thread::sleep(Duration::from_millis(50));
        node.resident()
    };
    (0..20).map(sample).min().unwrap_or_default()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

const QUEUE: &str = "q";
const BODY_BYTES: usize = 100;
/// Messages that are due one in each millisecond.
const SPREAD: u64 = 20_000;
const IN_FLIGHT_MAX: u64 = 2_000;
