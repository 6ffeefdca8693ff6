//! Messages over a restart: which come back, whole and in which order, and what their redelivered flag says.

use lapin::{
    BasicProperties,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};

use crate::{
    client::{Ch, args, body, next, within},
    node::{Node, Stop},
    restart::{facts, look, persistent, take},
    restart_topology::every_type,
};

facts! {
    persistent_messages_come_back_in_order,
    properties_and_headers_come_back_as_they_were,
    empty_and_large_bodies_come_back_whole,
    transient_messages_do_not_come_back,
    messages_in_transient_queues_do_not_come_back,
    quorum_queues_keep_what_was_published_as_transient,
    a_message_that_was_delivered_and_not_acked_says_redelivered,
    a_consumers_unacked_messages_say_redelivered,
    a_requeued_message_keeps_its_place,
    a_committed_transaction_is_there,
    an_uncommitted_transaction_is_not_there,
    acks_in_a_transaction_hold_when_it_was_committed,
    a_fan_out_has_one_body_in_each_queue,
    many_segments_come_back_in_order,
}

async fn persistent_messages_come_back_in_order(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    for queue in ["a", "b"] {
        ch.durable(queue).await;
    }
    let bodies: Vec<String> = (0..200).map(|n| format!("message {n}")).collect();
    for body in &bodies {
        for queue in ["a", "b"] {
            ch.keep("", queue, [body.as_str()]).await;
        }
    }
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!(ch.counts("a").await, (200, 0));
    assert_eq!((ch.drain("a").await, ch.drain("b").await), (bodies.clone(), bodies));
}

async fn properties_and_headers_come_back_as_they_were(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.exchange_declare("e", "direct", "durable", args! {}).await.unwrap();
    ch.durable("q").await;
    ch.bind("q", "e", "the key").await.unwrap();
    let mut headers: FieldTable = every_type();
    headers.insert("nothing".into(), AMQPValue::Void);
    let properties = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_content_encoding("identity".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(7)
        .with_correlation_id("correlation".into())
        .with_reply_to("somewhere".into())
        .with_expiration("86400000".into())
        .with_message_id("id".into())
        .with_timestamp(1_700_000_000)
        .with_type("a type".into())
        .with_user_id("guest".into())
        .with_app_id("tests".into());
    ch.publish_with("e", "the key", "body", "", properties.clone()).await.unwrap();
    node.restart(stop);
    let message = take(&node.channel().await, "q").await;
    assert_eq!(message.delivery.properties, properties);
    assert_eq!((message.delivery.exchange.as_str(), message.delivery.routing_key.as_str()), ("e", "the key"));
    assert_eq!(body(&message.delivery), "body");
}

async fn empty_and_large_bodies_come_back_whole(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    // In frames of 128 KiB; larger than a segment of these tests.
    let large: String = (0..3 << 20).map(|n: u32| char::from(b'a' + (n / 7 % 26) as u8)).collect();
    ch.keep("", "q", ["", &large, "after"]).await;
    node.restart(stop);
    let found = node.channel().await.drain("q").await;
    assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [0, 3 << 20, 5]);
    assert!(found[1] == large, "the large body differs");
}

async fn transient_messages_do_not_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    for n in 0..10 {
        let mode = 1 + n % 2;
        let properties = BasicProperties::default().with_delivery_mode(mode);
        ch.publish_with("", "q", &format!("{n}"), "", properties).await.unwrap();
    }
    ch.publish("", "q", "without a mode").await.unwrap();
    assert_eq!(ch.counts("q").await, (11, 0));
    node.restart(stop);
    assert_eq!(node.channel().await.drain("q").await, ["1", "3", "5", "7", "9"]);
}

async fn quorum_queues_keep_what_was_published_as_transient(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.exchange_declare("e", "fanout", "durable", args! {}).await.unwrap();
    ch.declare("quorum", "durable", args! {"x-queue-type": "quorum"}).await.unwrap();
    ch.durable("classic").await;
    for queue in ["quorum", "classic"] {
        ch.bind(queue, "e", "").await.unwrap();
    }
    for body in ["as 1", "with nothing said", "as 2"] {
        let properties = match body.strip_prefix("as ") {
            Some(mode) => BasicProperties::default().with_delivery_mode(mode.parse().unwrap()),
            None => BasicProperties::default(),
        };
        assert!(ch.publish_with("e", "", body, "", properties).await.unwrap().is_ack());
    }
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!(ch.drain("classic").await, ["as 2"]);
    let kept = take(&ch, "quorum").await;
    assert_eq!(kept.properties.delivery_mode(), &Some(1), "it says what it was published as");
    drop(kept);
    assert_eq!(ch.counts("quorum").await.0, 2);
}

async fn messages_in_transient_queues_do_not_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.declare("transient", "", args! {}).await.unwrap();
    ch.durable("kept").await;
    for queue in ["transient", "kept"] {
        ch.keep("", queue, ["a"]).await;
    }
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!(ch.drain("kept").await, ["a"]);
    ch.declare("transient", "", args! {}).await.unwrap();
    assert_eq!(ch.counts("transient").await, (0, 0));
}

async fn a_message_that_was_delivered_and_not_acked_says_redelivered(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    ch.durable("never delivered").await;
    ch.keep("", "q", ["a", "b", "c"]).await;
    ch.keep("", "never delivered", ["x"]).await;
    assert!(!take(&ch, "q").await.delivery.redelivered);
    node.restart(stop);
    let ch = node.channel().await;
    let found = look(&ch, "q").await;
    assert_eq!(found.iter().map(|(body, _)| body.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(found[0].1, "{found:?}");
    if stop == Stop::Term {
        // After a crash the broker may not know how far it got and may say so too often.
        assert!(!found[1].1 && !found[2].1, "{found:?}");
        assert_eq!(look(&ch, "never delivered").await, [("x".to_owned(), false)]);
    }
}

async fn a_consumers_unacked_messages_say_redelivered(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    let bodies: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    ch.keep("", "q", bodies.iter().map(String::as_str)).await;
    ch.qos(20, "").await;
    let mut consumer = ch.consume("q", "").await;
    let mut last = 0;
    for _ in 0..20 {
        let delivery = next(&mut consumer).await;
        assert!(!delivery.redelivered);
        last = delivery.delivery_tag;
    }
    // Ten are acked, ten are held.
    ch.cancel(consumer.tag().as_str()).await;
    ch.ack(last - 10, "multiple").await;
    ch.flushed().await;
    node.restart(stop);
    let found = look(&node.channel().await, "q").await;
    assert_eq!(found.iter().map(|(body, _)| body.clone()).collect::<Vec<_>>(), bodies[10..]);
    assert!(found[..10].iter().all(|(_, redelivered)| *redelivered), "{found:?}");
    if stop == Stop::Term {
        assert!(found[10..].iter().all(|(_, redelivered)| !redelivered), "{found:?}");
    }
}

async fn a_requeued_message_keeps_its_place(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    ch.keep("", "q", ["a", "b", "c"]).await;
    take(&ch, "q").await;
    let tag = take(&ch, "q").await.delivery.delivery_tag;
    ch.nack(tag, "requeue").await;
    ch.flushed().await;
    ch.keep("", "q", ["d"]).await;
    node.restart(stop);
    let found = look(&node.channel().await, "q").await;
    assert_eq!(found.iter().map(|(body, _)| body.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert!(found[0].1 && found[1].1, "{found:?}");
    if stop == Stop::Term {
        assert!(!found[2].1 && !found[3].1, "{found:?}");
    }
}

async fn a_committed_transaction_is_there(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    for queue in ["a", "b"] {
        ch.durable(queue).await;
    }
    let tx = node.transaction().await;
    for n in 0..50 {
        let (queue, body) = (["a", "b"][n % 2], n.to_string());
        tx.publish_unconfirmed(queue, &body).await;
    }
    within(tx.amqp.tx_commit()).await.unwrap();
    node.restart(stop);
    let ch = node.channel().await;
    let bodies = |first: usize| (first..50).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!((ch.drain("a").await, ch.drain("b").await), (bodies(0), bodies(1)));
}

async fn an_uncommitted_transaction_is_not_there(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    let tx = node.transaction().await;
    tx.publish_unconfirmed("q", "uncommitted").await;
    // The broker has it when it answers this.
    tx.counts("q").await;
    ch.keep("", "q", ["confirmed"]).await;
    node.restart(stop);
    assert_eq!(node.channel().await.drain("q").await, ["confirmed"]);
}

async fn acks_in_a_transaction_hold_when_it_was_committed(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    ch.keep("", "q", ["committed", "not committed"]).await;
    let tx = node.transaction().await;
    let tag = take(&tx, "q").await.delivery.delivery_tag;
    tx.ack(tag, "").await;
    within(tx.amqp.tx_commit()).await.unwrap();
    let tag = take(&tx, "q").await.delivery.delivery_tag;
    tx.ack(tag, "").await;
    tx.counts("q").await;
    node.restart(stop);
    assert_eq!(look(&node.channel().await, "q").await, [("not committed".to_owned(), true)]);
}

async fn a_fan_out_has_one_body_in_each_queue(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.exchange_declare("e", "fanout", "durable", args! {}).await.unwrap();
    let queues: Vec<String> = (0..10).map(|n| format!("q{n}")).collect();
    for queue in &queues {
        ch.durable(queue).await;
        ch.bind(queue, "e", "").await.unwrap();
    }
    let large = "x".repeat(3 << 20);
    ch.keep("e", "", [large.as_str(), "small"]).await;
    node.restart(stop);
    // Ten bodies would be 30 MiB.
    assert!(node.disk() < 16 << 20, "{} bytes on disk", node.disk());
    let ch = node.channel().await;
    for queue in &queues {
        assert!(ch.drain(queue).await == [large.as_str(), "small"], "{queue}");
    }
}

async fn many_segments_come_back_in_order(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    let bodies: Vec<String> = (0..80).map(|n| format!("{n:050000}")).collect();
    ch.keep("", "q", bodies.iter().map(String::as_str)).await;
    // Some segments in the middle become sparse.
    for n in 0..60 {
        let message = take(&ch, "q").await;
        if n % 10 != 0 {
            ch.ack(message.delivery.delivery_tag, "").await;
        }
    }
    ch.flushed().await;
    node.restart(stop);
    let wanted: Vec<&String> = (0..80).filter(|n| *n >= 60 || n % 10 == 0).map(|n| &bodies[n]).collect();
    assert!(node.channel().await.drain("q").await.iter().eq(wanted), "other messages or another order");
}

impl Ch {
    async fn publish_unconfirmed(&self, queue: &str, body: &str) {
        let options = BasicPublishOptions::default();
        let sent = self.amqp.basic_publish("".into(), queue.into(), options, body.as_bytes(), persistent());
        within(sent).await.unwrap();
    }
}

impl Node {
    /// A channel in transaction mode.
    async fn transaction(&self) -> Ch {
        let ch = self.plain_channel().await;
        within(ch.amqp.tx_select()).await.unwrap();
        ch
    }
}
