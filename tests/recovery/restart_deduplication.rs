//! What queues and exchanges that take each message once know after a restart: all that was confirmed, and nothing that
//! was not taken.

use std::{collections::BTreeSet, sync::Arc};

use lapin::{
    BasicProperties,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};
use parking_lot::Mutex;

use crate::{
    client::{Ch, args, body, within},
    node::{Node, Stop},
    restart::facts,
};

facts! {
    what_was_seen_is_known_after_a_restart,
    transient_messages_and_owners_leave_nothing,
    what_was_forgotten_stays_so,
    an_owner_that_was_deleted_and_declared_again_knows_nothing,
    a_committed_transaction_is_known,
    a_publisher_that_repeats_everything_after_a_crash_finds_each_message_once,
}

fn once() -> FieldTable {
    args! { "x-message-deduplication": true }
}

fn keyed(key: &str) -> BasicProperties {
    let headers = args! { "x-deduplication-header": key };
    BasicProperties::default().with_headers(headers).with_delivery_mode(2)
}

async fn send(ch: &Ch, exchange: &str, to: &str, key: &str) {
    assert!(ch.publish_with(exchange, to, key, "", keyed(key)).await.unwrap().is_ack());
}

/// A queue `once` and an exchange `e`, bound to a queue `plain`.
async fn declare(ch: &Ch) {
    ch.declare("once", "durable", once()).await.unwrap();
    ch.declare("plain", "durable", args! {}).await.unwrap();
    ch.exchange_declare("e", "fanout", "durable", once()).await.unwrap();
    ch.bind("plain", "e", "").await.unwrap();
}

async fn what_was_seen_is_known_after_a_restart(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    declare(&ch).await;
    for key in ["a", "b"] {
        send(&ch, "", "once", key).await;
        send(&ch, "e", "", key).await;
    }
    assert_eq!(ch.drain("once").await, ["a", "b"], "what is gone has been seen as well");
    ch.flushed().await;
    for _ in 0..2 {
        node.restart(stop);
        let ch = node.channel().await;
        for key in ["a", "b"] {
            send(&ch, "", "once", key).await;
            send(&ch, "e", "", key).await;
        }
        assert_eq!((ch.counts("once").await, ch.counts("plain").await), ((0, 0), (2, 0)));
    }
    let ch = node.channel().await;
    send(&ch, "", "once", "c").await;
    send(&ch, "e", "", "c").await;
    assert_eq!(ch.drain("once").await, ["c"]);
    assert_eq!(ch.drain("plain").await, ["a", "b", "c"]);
}

async fn transient_messages_and_owners_leave_nothing(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    declare(&ch).await;
    for (exchange, to) in [("", "once"), ("e", "")] {
        ch.publish_with(exchange, to, "a", "", keyed("a").with_delivery_mode(1)).await.unwrap();
    }
    ch.declare("transient", "", once()).await.unwrap();
    send(&ch, "", "transient", "a").await;
    node.restart(stop);
    let ch = node.channel().await;
    ch.declare("transient", "", once()).await.unwrap();
    for (exchange, to, queue) in [("", "once", "once"), ("e", "", "plain"), ("", "transient", "transient")] {
        send(&ch, exchange, to, "a").await;
        assert_eq!(ch.drain(queue).await, ["a"]);
    }
}

async fn what_was_forgotten_stays_so(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    let arguments = args! { "x-message-deduplication": true, "x-cache-size": 2, "x-cache-ttl": 3_600_000 };
    ch.declare("q", "durable", arguments).await.unwrap();
    let mut brief = args! { "x-deduplication-header": "brief" };
    brief.insert("x-cache-ttl".into(), AMQPValue::LongInt(1));
    let brief = BasicProperties::default().with_headers(brief).with_delivery_mode(2);
    ch.publish_with("", "q", "brief", "", brief.clone()).await.unwrap();
    for key in ["a", "b", "c"] {
        send(&ch, "", "q", key).await;
    }
    node.restart(stop);
    let ch = node.channel().await;
    for key in ["b", "c", "a"] {
        send(&ch, "", "q", key).await;
    }
    ch.publish_with("", "q", "brief", "", brief).await.unwrap();
    assert_eq!(ch.drain("q").await, ["brief", "a", "b", "c", "a", "brief"]);
}

async fn an_owner_that_was_deleted_and_declared_again_knows_nothing(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    declare(&ch).await;
    send(&ch, "", "once", "a").await;
    send(&ch, "e", "", "a").await;
    ch.delete("once", "").await.unwrap();
    ch.exchange_delete("e", "").await.unwrap();
    ch.purge("plain").await.unwrap();
    declare(&ch).await;
    send(&ch, "", "once", "b").await;
    node.restart(stop);
    let ch = node.channel().await;
    for key in ["a", "b"] {
        send(&ch, "", "once", key).await;
        send(&ch, "e", "", key).await;
    }
    assert_eq!(ch.drain("once").await, ["b", "a"]);
    assert_eq!(ch.drain("plain").await, ["a", "b"]);
}

async fn a_committed_transaction_is_known(stop: Stop) {
    let mut node = Node::new();
    declare(&node.channel().await).await;
    let ch = node.plain_channel().await;
    within(ch.amqp.tx_select()).await.unwrap();
    for key in ["a", "b"] {
        ch.publish_with("", "once", key, "", keyed(key)).await.unwrap();
        ch.publish_with("e", "", key, "", keyed(key)).await.unwrap();
    }
    within(ch.amqp.tx_commit()).await.unwrap();
    ch.publish_with("", "once", "c", "", keyed("c")).await.unwrap();
    node.restart(stop);
    let ch = node.channel().await;
    for key in ["a", "b", "c"] {
        send(&ch, "", "once", key).await;
        send(&ch, "e", "", key).await;
    }
    assert_eq!(ch.drain("once").await, ["a", "b", "c"]);
    assert_eq!(ch.drain("plain").await, ["a", "b", "c"]);
}

/// Messages of the flood.
const FLOOD: usize = 4_000;
/// Those that a publisher has on their way at once.
const IN_FLIGHT: usize = 64;
/// When so many are confirmed, the broker ends.
const CONFIRMED: usize = 700;

type Told = Arc<Mutex<BTreeSet<usize>>>;

/// Publishes everything, until the broker is gone; `told` gets what was confirmed.
async fn flood(ch: Ch, exchange: &'static str, to: &'static str, told: Told) {
    let numbers: Vec<usize> = (0..FLOOD).collect();
    for chunk in numbers.chunks(IN_FLIGHT) {
        let mut confirms = Vec::new();
        for number in chunk {
            let key = number.to_string();
            let options = BasicPublishOptions::default();
            let sent =
                ch.amqp.basic_publish(exchange.into(), to.into(), options, key.as_bytes(), keyed(&key));
            let Ok(confirm) = within(sent).await else { return };
            confirms.push((*number, confirm));
        }
        for (number, confirm) in confirms {
            match within(confirm).await {
                Ok(confirmation) if confirmation.is_ack() => told.lock().insert(number),
                _ => return,
            };
        }
    }
}

/// Two publishers send the same at the same time, so that each is confirmed for what the other one sent.
async fn a_publisher_that_repeats_everything_after_a_crash_finds_each_message_once(stop: Stop) {
    for (exchange, to, queue) in [("", "once", "once"), ("e", "", "plain")] {
        let mut node = Node::new();
        let ch = node.channel().await;
        let large = || args! { "x-message-deduplication": true, "x-cache-size": 100_000 };
        ch.declare("once", "durable", large()).await.unwrap();
        ch.declare("plain", "durable", args! {}).await.unwrap();
        ch.exchange_declare("e", "fanout", "durable", large()).await.unwrap();
        ch.bind("plain", "e", "").await.unwrap();
        let told = Told::default();
        let mut publishers = Vec::new();
        for _ in 0..2 {
            publishers.push(tokio::spawn(flood(node.channel().await, exchange, to, told.clone())));
        }
        while told.lock().len() < CONFIRMED && !publishers.iter().all(|publisher| publisher.is_finished()) {
            tokio::task::yield_now().await;
        }
        node.stop(stop);
        for publisher in publishers {
            publisher.await.unwrap();
        }
        assert!(told.lock().len() >= CONFIRMED, "only {} are confirmed", told.lock().len());
        node.up();
        let found = take_all(&node.channel().await, queue).await;
        let distinct: BTreeSet<usize> = found.iter().copied().collect();
        assert_eq!(distinct.len(), found.len(), "nothing is there twice");
        let lost: Vec<usize> = told.lock().difference(&distinct).copied().collect();
        assert_eq!(lost, [0; 0], "what was confirmed is there");

        let told = Told::default();
        flood(node.channel().await, exchange, to, told.clone()).await;
        assert_eq!(told.lock().len(), FLOOD);
        let rest: BTreeSet<usize> = take_all(&node.channel().await, queue).await.into_iter().collect();
        assert!(rest.is_disjoint(&distinct), "what was there is not taken again");
        assert_eq!(rest.len() + distinct.len(), FLOOD, "what was not there is taken");
    }
}

/// Everything that is in the queue, as numbers.
async fn take_all(ch: &Ch, queue: &str) -> Vec<usize> {
    let count = ch.counts(queue).await.0;
    let mut consumer = ch.consume(queue, "no-ack").await;
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(body(&crate::client::next(&mut consumer).await).parse().unwrap());
    }
    ch.cancel(consumer.tag().as_str()).await;
    found
}
