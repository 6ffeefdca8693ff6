//! Facts about a restart, each after SIGTERM and after SIGKILL: what is common to them, and what concerns queues that
//! were emptied, deleted or are many. Each fact first checks before the restart what it relies on after it.

use lapin::{BasicProperties, message::BasicGetMessage};

use crate::{
    broker::unique,
    client::{Ch, args, body, refused},
    node::{Node, Stop},
};

/// Makes two tests of each function that takes a [`Stop`].
macro_rules! facts {
    ($($fact:ident),* $(,)?) => {
        mod after_sigterm {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 1)] async fn $fact() { super::$fact($crate::node::Stop::Term).await; })*
        }
        mod after_sigkill {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 1)] async fn $fact() { super::$fact($crate::node::Stop::Kill).await; })*
        }
    };
}
pub(crate) use facts;

facts! {
    purged_messages_do_not_come_back,
    acked_messages_do_not_come_back,
    a_deleted_queue_does_not_come_back,
    a_queue_deleted_and_declared_again_is_empty,
    messages_taken_without_acks_do_not_come_back,
    a_dropped_exchange_and_an_unbound_queue_stay_so,
    five_drained_queues_of_a_fan_out_to_ten_are_empty_and_five_are_full,
    a_thousand_queues_come_back,
    a_second_restart_changes_nothing,
}

async fn purged_messages_do_not_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    ch.keep("", "q", ["a", "b"]).await;
    assert_eq!(ch.purge("q").await.unwrap(), 2);
    ch.keep("", "q", ["c"]).await;
    node.restart(stop);
    assert_eq!(node.channel().await.drain("q").await, ["c"]);
}

async fn acked_messages_do_not_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    ch.keep("", "q", ["a", "b", "c", "d"]).await;
    let tags =
        [take(&ch, "q").await, take(&ch, "q").await, take(&ch, "q").await].map(|m| m.delivery.delivery_tag);
    ch.ack(tags[2], "").await;
    ch.reject(tags[0], "").await;
    ch.flushed().await;
    node.restart(stop);
    assert_eq!(node.channel().await.drain("q").await, ["b", "d"]);
}

async fn a_deleted_queue_does_not_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    for queue in ["deleted", "kept"] {
        ch.durable(queue).await;
        ch.keep("", queue, ["a"]).await;
    }
    ch.delete("deleted", "").await.unwrap();
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!((ch.queue_exists("deleted").await, ch.queue_exists("kept").await), (false, true));
}

async fn a_queue_deleted_and_declared_again_is_empty(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.exchange_declare("e", "fanout", "durable", args! {}).await.unwrap();
    ch.durable("q").await;
    ch.bind("q", "e", "").await.unwrap();
    ch.keep("", "q", ["a", "b"]).await;
    ch.delete("q", "").await.unwrap();
    ch.durable("q").await;
    ch.keep("", "q", ["new"]).await;
    node.restart(stop);
    let ch = node.channel().await;
    ch.keep("e", "", ["not bound any more"]).await;
    assert_eq!(ch.drain("q").await, ["new"]);
}

async fn messages_taken_without_acks_do_not_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    ch.keep("", "q", ["a", "b", "c"]).await;
    ch.get("q", "no-ack").await.unwrap().unwrap();
    ch.flushed().await;
    node.restart(stop);
    assert_eq!(node.channel().await.drain("q").await, ["b", "c"]);
}

async fn a_dropped_exchange_and_an_unbound_queue_stay_so(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    for exchange in ["deleted", "unbound"] {
        ch.exchange_declare(exchange, "topic", "durable", args! {}).await.unwrap();
        ch.durable("q").await;
        ch.bind("q", exchange, "key").await.unwrap();
    }
    ch.bind("q", "unbound", "other").await.unwrap();
    ch.exchange_delete("deleted", "").await.unwrap();
    ch.unbind("q", "unbound", "key").await.unwrap();
    node.restart(stop);
    let ch = node.channel().await;
    assert!(!ch.exchange_exists("deleted").await);
    ch.publish("unbound", "key", "no").await.unwrap();
    ch.publish("unbound", "other", "yes").await.unwrap();
    assert_eq!(ch.drain("q").await, ["yes"]);
}

async fn five_drained_queues_of_a_fan_out_to_ten_are_empty_and_five_are_full(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.exchange_declare("e", "fanout", "durable", args! {}).await.unwrap();
    let queues: Vec<String> = (0..10).map(|n| format!("q{n}")).collect();
    for queue in &queues {
        ch.durable(queue).await;
        ch.bind(queue, "e", "").await.unwrap();
    }
    let bodies: Vec<String> = (0..20).map(|n| format!("message {n}")).collect();
    ch.keep("e", "", bodies.iter().map(String::as_str)).await;
    for queue in &queues[..5] {
        for _ in &bodies {
            let tag = take(&ch, queue).await.delivery.delivery_tag;
            ch.ack(tag, "").await;
        }
    }
    ch.flushed().await;
    node.restart(stop);
    let ch = node.channel().await;
    for (n, queue) in queues.iter().enumerate() {
        let left = ch.drain(queue).await;
        assert_eq!(left, if n < 5 { &[] } else { bodies.as_slice() }, "{queue}");
    }
}

async fn a_thousand_queues_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    let queues: Vec<String> = (0..1_000).map(|n| format!("queue {n}")).collect();
    for queue in &queues {
        ch.durable(queue).await;
    }
    ch.keep("", &queues[999], ["last"]).await;
    node.restart(stop);
    let ch = node.channel().await;
    for queue in &queues {
        let found = ch.declare(queue, "passive", args! {}).await;
        let found = found.unwrap_or_else(|error| panic!("{queue}: {error}"));
        assert_eq!(found.message_count(), u32::from(queue == &queues[999]), "{queue}");
    }
}

async fn a_second_restart_changes_nothing(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    ch.keep("", "q", ["a", "b"]).await;
    for _ in 0..3 {
        node.restart(stop);
        node.restart(Stop::Term);
        node.restart(Stop::Kill);
    }
    let ch = node.channel().await;
    ch.keep("", "q", ["c"]).await;
    assert_eq!(ch.drain("q").await, ["a", "b", "c"]);
    refused(ch.declare(&unique("none"), "passive", args! {}).await.map(drop), 404, "NOT_FOUND");
}

/// What the facts add to a channel.
impl Ch {
    pub async fn durable(&self, queue: &str) {
        self.declare(queue, "durable", args! {}).await.unwrap();
    }

    /// Publishes persistent messages; all are confirmed when it returns.
    pub async fn keep<'a>(&self, exchange: &str, key: &str, bodies: impl IntoIterator<Item = &'a str>) {
        for body in bodies {
            let confirmed = self.publish_with(exchange, key, body, "", persistent()).await.unwrap();
            assert!(confirmed.is_ack(), "{confirmed:?}");
        }
    }

    /// The acks that this channel has sent are on disk when it returns: a message that was published after them is.
    pub async fn flushed(&self) {
        self.durable("marks").await;
        self.keep("", "marks", ["mark"]).await;
    }
}

/// The next message of the queue, unacked.
pub async fn take(ch: &Ch, queue: &str) -> BasicGetMessage {
    ch.get(queue, "").await.unwrap().expect("a message")
}

/// All that is in the queue, taken and not acked: bodies with their redelivered flags.
pub async fn look(ch: &Ch, queue: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    while let Some(message) = ch.get(queue, "").await.unwrap() {
        found.push((body(&message.delivery), message.delivery.redelivered));
    }
    found
}

pub fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}
