//! The broker is stopped while thousands of dead letters wait for their turn: each message is in its old queue or in its new
//! one, and those that are left die again.

use std::collections::BTreeSet;

use crate::{
    link::{Event, Link, queue_declare_with},
    message::{self, CHECKED_BYTES_MIN, Id},
    node::{Node, Stop},
    wire::{Args, DURABLE, Table, basic_consume, confirm_select, method, queue_declare},
};

#[test]
fn what_waits_when_the_broker_is_stopped_is_in_one_place() {
    rejected_at_once(Stop::Term);
}

#[test]
fn what_waits_when_the_broker_is_killed_is_in_one_place() {
    rejected_at_once(Stop::Kill);
}

#[test]
fn what_had_expired_when_the_broker_was_killed_expires_again_and_arrives() {
    let mut node = Node::new();
    let mut link = node.link();
    declare(&mut link, &Table::new().entry("x-message-ttl", b'I', &1_500_i32.to_be_bytes()));
    publish(&mut link);
    while link.depth(DEAD).unwrap() == Some(0) {}
    node.restart(Stop::Kill);
    let mut link = node.link();
    while link.depth(DEAD).unwrap() != Some(COUNT) {}
    assert_eq!(ids(&mut link, DEAD), (1..=COUNT.into()).collect());
}

fn rejected_at_once(how: Stop) {
    let mut node = Node::new();
    let mut link = node.link();
    declare(&mut link, &Table::new());
    publish(&mut link);
    let mut consumer = node.link();
    consumer.call(&basic_consume(WORK, "c", 0), 60, 21).unwrap();
    let mut last = 0;
    for _ in 0..COUNT {
        let Event::Delivery(delivery) = consumer.next().unwrap() else { panic!("a delivery is due") };
        last = delivery.tag;
    }
    consumer.send(1, &reject_all(last)).flush().unwrap();
    while link.depth(DEAD).unwrap() == Some(0) {}
    node.restart(how);
    let mut link = node.link();
    let (left, arrived) = (ids(&mut link, WORK), ids(&mut link, DEAD));
    println!("{how:?}: {} had arrived, {} were left", arrived.len(), left.len());
    assert!(left.is_disjoint(&arrived));
    assert_eq!(left.union(&arrived).copied().collect::<BTreeSet<_>>(), (1..=COUNT.into()).collect());
}

fn declare(link: &mut Link, more: &Table) {
    let arguments = more.clone().text("x-dead-letter-exchange", "").text("x-dead-letter-routing-key", DEAD);
    link.call(&queue_declare_with(WORK, &arguments), 50, 11).unwrap();
    link.call(&queue_declare(DEAD, DURABLE), 50, 11).unwrap();
}

fn publish(link: &mut Link) {
    link.call(&confirm_select(), 85, 11).unwrap();
    for sequence in 1..=COUNT.into() {
        link.publish("", WORK, 0, Id { publisher: 1, sequence }, CHECKED_BYTES_MIN).unwrap();
    }
    link.await_confirms(COUNT.into()).unwrap();
}

/// The messages of a queue, each of which is there once.
fn ids(link: &mut Link, queue: &str) -> BTreeSet<u64> {
    let found = link.take_all(queue).unwrap();
    let ids: BTreeSet<_> = found
        .iter()
        .map(|delivery| message::identify_body(&delivery.content.body).unwrap().sequence)
        .collect();
    assert_eq!(ids.len(), found.len());
    ids
}

/// `basic.nack` of everything up to a tag, for good.
fn reject_all(tag: u64) -> Args {
    method(60, 120).u64(tag).u8(0b01)
}

const WORK: &str = "work";
const DEAD: &str = "dead";
const COUNT: u32 = 20_000;
