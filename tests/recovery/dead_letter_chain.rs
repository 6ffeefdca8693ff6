//! A long chain of queues of which none can keep a message: it runs through all of them, on a stack that would not bear a
//! step each.

use std::time::Instant;

use crate::{
    link::{Event, Link, queue_declare_with},
    message::{self, Id},
    node::{Node, Stop},
    wire::{DURABLE, Table, confirm_select, queue_declare},
};

#[test]
fn a_message_runs_through_a_thousand_queues_that_are_full_from_the_start() {
    runs_through("x-max-length");
}

#[test]
fn a_message_runs_through_a_thousand_queues_in_which_it_expires_at_once() {
    runs_through("x-message-ttl");
}

fn runs_through(limit: &str) {
    let mut node = Node::with_stacks_of(STACK_BYTES);
    let mut link = node.link();
    for n in 0..LENGTH {
        let next = name(n + 1);
        let dead_letters = Table::new().text("x-dead-letter-exchange", "");
        let dead_letters = dead_letters.text("x-dead-letter-routing-key", &next);
        let arguments = dead_letters.entry(limit, b'I', &0_i32.to_be_bytes());
        link.call(&queue_declare_with(&name(n), &arguments), 50, 11).unwrap();
    }
    let last = name(LENGTH);
    link.call(&queue_declare(&last, DURABLE), 50, 11).unwrap();
    link.call(&confirm_select(), 85, 11).unwrap();
    let before = node.resident();
    let published = Instant::now();
    let id = Id { publisher: 1, sequence: 1 };
    link.publish("", &name(0), 0, id, 100).unwrap();
    assert!(matches!(link.next(), Ok(Event::Confirm { ack: true, .. })));
    println!("{limit}: confirmed after {:?}", published.elapsed());
    while link.depth(&last).unwrap() != Some(1) {
        assert!(published.elapsed().as_secs() < 30, "it does not arrive");
    }
    let grown = node.resident().saturating_sub(before);
    println!("{limit}: arrived after {:?}; {} KiB more are resident", published.elapsed(), grown / 1024);
    assert_is_last(&mut link, id);
    node.restart(Stop::Kill);
    assert_is_last(&mut node.link(), id);
}

/// It is there, whole, with all its deaths, and nowhere else.
fn assert_is_last(link: &mut Link, id: Id) {
    for n in 0..LENGTH {
        assert_eq!(link.depth(&name(n)).unwrap(), Some(0), "{}", name(n));
    }
    let found = link.take_all(&name(LENGTH)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(message::identify_body(&found[0].content.body), Ok(id));
    let headers = &found[0].content.properties;
    let deaths = headers.windows(b"routing-keys".len()).filter(|part| part == b"routing-keys").count();
    assert_eq!(deaths, LENGTH);
}

fn name(n: usize) -> String {
    format!("q{n}")
}

const LENGTH: usize = 1_000;
/// Of each thread: 256 bytes for each step at most.
const STACK_BYTES: u32 = 256 * 1024;
