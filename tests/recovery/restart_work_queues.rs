//! Work queues over a restart: what expires, waits, is limited, counted or ordered by priority goes on where it was.
//!
//! Time is what these facts are about, so they measure it: with margins of more than any restart takes.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::{
    client::{Ch, args, bodies, body, next},
    message::{self, Id},
    node::{Node, Stop},
    restart::{facts, look, persistent, take},
    wire::{DURABLE, NO_ACK, basic_consume, confirm_select, queue_declare},
};

facts! {
    a_ttl_goes_on_counting,
    what_expired_meanwhile_is_dead_lettered_at_the_start,
    delivery_counts_are_kept,
    a_delivery_limit_counts_what_was_before,
    priorities_keep_their_order,
    a_delayed_message_is_released_on_time,
    what_was_due_meanwhile_is_released_at_once_in_due_order,
    a_released_message_is_not_released_again,
    a_retry_that_waits_keeps_its_time_and_its_attempts,
    length_limits_hold,
    a_queue_that_refuses_goes_on_refusing,
    deaths_are_remembered,
    what_was_purged_or_deleted_while_it_waited_does_not_come_back,
    more_delayed_messages_than_fit_into_memory_are_released_in_due_order,
}

async fn a_ttl_goes_on_counting(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.with_dead_letters("by queue", args! { "x-message-ttl": 3_000 }).await;
    ch.with_dead_letters("by message", args! {}).await;
    let published = Instant::now();
    ch.keep("", "by queue", ["a"]).await;
    ch.publish_with("", "by message", "b", "", persistent().with_expiration("3200".into())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!((ch.counts("by queue").await, ch.counts("by message").await), ((1, 0), (1, 0)));
    let mut dead = ch.consume("dead", "no-ack").await;
    assert_eq!(bodies(&mut dead, 2).await, ["a", "b"]);
    let took = published.elapsed();
    assert!((3_200..4_400).contains(&took.as_millis()), "they expired after {took:?}");
}

async fn what_expired_meanwhile_is_dead_lettered_at_the_start(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.with_dead_letters("q", args! { "x-message-ttl": 700 }).await;
    ch.keep("", "q", ["a", "b", "c"]).await;
    assert_eq!(ch.counts("q").await, (3, 0));
    node.stop(stop);
    tokio::time::sleep(Duration::from_millis(800)).await;
    node.up();
    // Nobody touches the queue.
    let ch = node.channel().await;
    let mut dead = ch.consume("dead", "no-ack").await;
    for expected in ["a", "b", "c"] {
        let delivery = next(&mut dead).await;
        assert_eq!(body(&delivery), expected);
        assert_eq!(death(&delivery), ("q".into(), "expired".into(), 1));
    }
    assert_eq!(ch.counts("q").await, (0, 0));
}

async fn delivery_counts_are_kept(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.declare("q", "durable", args! { "x-queue-type": "quorum" }).await.unwrap();
    ch.keep("", "q", ["a", "b"]).await;
    for n in 0..3 {
        let message = take(&ch, "q").await;
        assert_eq!(header(&message.delivery, "x-delivery-count"), (n > 0).then_some(n));
        ch.reject(message.delivery.delivery_tag, "requeue").await;
    }
    let tag = take(&ch, "q").await.delivery.delivery_tag;
    ch.nack(tag, "requeue").await;
    ch.flushed().await;
    node.restart(stop);
    let ch = node.channel().await;
    let message = take(&ch, "q").await;
    assert_eq!((body(&message.delivery).as_str(), message.delivery.redelivered), ("a", true));
    assert_eq!(header(&message.delivery, "x-delivery-count"), Some(3));
    assert_eq!(header(&message.delivery, "x-acquired-count"), Some(4));
    let fresh = take(&ch, "q").await;
    assert_eq!(header(&fresh.delivery, "x-delivery-count"), None);
}

async fn a_delivery_limit_counts_what_was_before(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.with_dead_letters("q", args! { "x-queue-type": "quorum", "x-delivery-limit": 2 }).await;
    ch.keep("", "q", ["a"]).await;
    for _ in 0..2 {
        let tag = take(&ch, "q").await.delivery.delivery_tag;
        ch.reject(tag, "requeue").await;
    }
    ch.flushed().await;
    node.restart(stop);
    let ch = node.channel().await;
    let tag = take(&ch, "q").await.delivery.delivery_tag;
    ch.reject(tag, "requeue").await;
    let mut dead = ch.consume("dead", "no-ack").await;
    assert_eq!(death(&next(&mut dead).await), ("q".into(), "delivery_limit".into(), 1));
    assert_eq!(ch.counts("q").await, (0, 0));
}

async fn priorities_keep_their_order(stop: Stop) {
    let kinds = [(args! { "x-max-priority": 9 }, 9), (args! { "x-queue-type": "quorum" }, 31)];
    for (table, max) in kinds {
        priorities_keep_their_order_in(stop, table, max).await;
    }
}

async fn priorities_keep_their_order_in(stop: Stop, table: FieldTable, max: u8) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.declare("q", "durable", table).await.unwrap();
    for n in 0..60_u8 {
        let properties = persistent().with_priority(n % 12);
        ch.publish_with("", "q", &n.to_string(), "", properties).await.unwrap();
    }
    // The first one is held by a client.
    let first = if max == 9 { "9" } else { "11" };
    assert_eq!(body(&take(&ch, "q").await.delivery), first);
    node.restart(stop);
    let ch = node.channel().await;
    ch.publish_with("", "q", "late", "", persistent().with_priority(9)).await.unwrap();
    let mut expected: Vec<u8> = (0..60).collect();
    expected.sort_by_key(|n| max - (n % 12).min(max));
    let mut expected: Vec<String> = expected.iter().map(u8::to_string).collect();
    let highest = (0..60).filter(|n| n % 12 >= 9).count();
    expected.insert(highest, "late".into());
    assert_eq!(ch.drain("q").await, expected);
}

async fn a_delayed_message_is_released_on_time(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    let published = Instant::now();
    ch.delay("q", "delayed", 3_000).await;
    ch.deliver_at("q", "dated", now_ms() + 3_200).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!(ch.counts("q").await, (0, 0));
    let mut consumer = ch.consume("q", "no-ack").await;
    let delayed = next(&mut consumer).await;
    let took = published.elapsed();
    assert_eq!(body(&delayed), "delayed");
    assert_eq!(header(&delayed, "x-delay"), Some(-3_000));
    assert!((3_000..3_900).contains(&took.as_millis()), "released after {took:?}");
    let dated = next(&mut consumer).await;
    assert_eq!((body(&dated).as_str(), header(&dated, "x-deliver-at")), ("dated", None));
}

async fn what_was_due_meanwhile_is_released_at_once_in_due_order(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    let begin = now_ms() + 1_000;
    for n in [4, 1, 3, 0, 2, 5] {
        ch.deliver_at("q", &n.to_string(), begin + n * 100).await;
    }
    ch.deliver_at("q", "last", begin + 3_000).await;
    assert_eq!(ch.counts("q").await, (0, 0));
    node.stop(stop);
    tokio::time::sleep(Duration::from_millis((begin + 600).saturating_sub(now_ms()))).await;
    node.up();
    let ch = node.channel().await;
    let mut consumer = ch.consume("q", "no-ack").await;
    assert_eq!(bodies(&mut consumer, 6).await, ["0", "1", "2", "3", "4", "5"]);
    assert!(now_ms() < begin + 2_500, "{} ms late", now_ms() - begin - 600);
    assert_eq!(bodies(&mut consumer, 1).await, ["last"]);
    assert!(now_ms() >= begin + 3_000, "{} ms early", begin + 3_000 - now_ms());
}

async fn a_released_message_is_not_released_again(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.durable("q").await;
    ch.delay("q", "acked", 50).await;
    ch.delay("q", "kept", 60).await;
    ch.await_counts("q", (2, 0)).await;
    let tag = take(&ch, "q").await.delivery.delivery_tag;
    ch.ack(tag, "").await;
    ch.flushed().await;
    for _ in 0..2 {
        node.restart(stop);
    }
    let ch = node.channel().await;
    // What waits behind both of them would come after both of them.
    ch.delay("q", "after", 100).await;
    let mut consumer = ch.consume("q", "no-ack").await;
    assert_eq!(bodies(&mut consumer, 2).await, ["kept", "after"]);
}

async fn a_retry_that_waits_keeps_its_time_and_its_attempts(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    let arguments = args! {
        "x-queue-type": "quorum",
        "x-delayed-retry-type": "all",
        "x-delayed-retry-min": 1_300,
        "x-delayed-retry-max": 60_000,
    };
    ch.declare("q", "durable", arguments).await.unwrap();
    ch.keep("", "q", ["a"]).await;
    let mut consumer = ch.consume("q", "").await;
    let first = next(&mut consumer).await;
    ch.reject(first.delivery_tag, "requeue").await;
    let second = next(&mut consumer).await;
    assert_eq!(header(&second, "x-delivery-count"), Some(1));
    let returned = Instant::now();
    // The second wait is twice the first.
    ch.reject(second.delivery_tag, "requeue").await;
    ch.flushed().await;
    node.restart(stop);
    let ch = node.channel().await;
    let mut consumer = ch.consume("q", "").await;
    let third = next(&mut consumer).await;
    let took = returned.elapsed();
    assert_eq!((body(&third).as_str(), third.redelivered), ("a", true));
    assert_eq!(header(&third, "x-delivery-count"), Some(2));
    assert!((2_590..3_500).contains(&took.as_millis()), "it came again after {took:?}");
}

async fn length_limits_hold(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.with_dead_letters("q", args! { "x-max-length": 3 }).await;
    ch.with_dead_letters("bytes", args! { "x-max-length-bytes": 30 }).await;
    ch.keep("", "q", ["1", "2", "3", "4"]).await;
    ch.keep("", "bytes", ["ten bytes 1", "ten bytes 2", "ten bytes 3"]).await;
    assert_eq!(ch.drain("dead").await, ["1", "ten bytes 1"]);
    ch.flushed().await;
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!((ch.counts("q").await, ch.counts("bytes").await), ((3, 0), (2, 0)));
    ch.keep("", "q", ["5", "6"]).await;
    ch.keep("", "bytes", ["ten bytes 4"]).await;
    assert_eq!(ch.drain("dead").await, ["2", "3", "ten bytes 2"]);
    assert_eq!(ch.drain("q").await, ["4", "5", "6"]);
    assert_eq!(ch.drain("bytes").await, ["ten bytes 3", "ten bytes 4"]);
}

async fn a_queue_that_refuses_goes_on_refusing(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    let arguments = args! { "x-max-length": 2, "x-overflow": "reject-publish-dlx" };
    ch.with_dead_letters("q", arguments).await;
    ch.keep("", "q", ["1", "2"]).await;
    node.restart(stop);
    let ch = node.channel().await;
    let refused = ch.publish_with("", "q", "3", "", persistent()).await.unwrap();
    assert!(refused.is_nack(), "{refused:?}");
    // A refusal promises nothing of where the message went.
    ch.flushed().await;
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!(ch.drain("q").await, ["1", "2"]);
    assert_eq!(ch.drain("dead").await, ["3"]);
}

async fn deaths_are_remembered(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    ch.with_dead_letters("work", args! {}).await;
    ch.keep("", "work", ["a"]).await;
    let tag = take(&ch, "work").await.delivery.delivery_tag;
    ch.reject(tag, "").await;
    ch.flushed().await;
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!(ch.counts("work").await, (0, 0));
    let dead = take(&ch, "dead").await;
    assert_eq!(death(&dead.delivery), ("work".into(), "rejected".into(), 1));
    // From the dead letters it goes back to work by their own dead-letter rule, and dies there again.
    ch.reject(dead.delivery.delivery_tag, "").await;
    let again = take(&ch, "work").await;
    assert_eq!(death(&again.delivery), ("dead".into(), "rejected".into(), 1));
    ch.reject(again.delivery.delivery_tag, "").await;
    ch.flushed().await;
    node.restart(stop);
    let ch = node.channel().await;
    assert_eq!(death(&take(&ch, "dead").await.delivery), ("work".into(), "rejected".into(), 2));
}

async fn what_was_purged_or_deleted_while_it_waited_does_not_come_back(stop: Stop) {
    let mut node = Node::new();
    let ch = node.channel().await;
    let retried = || args! { "x-delayed-retry-type": "all", "x-delayed-retry-min": 400 };
    ch.declare("deleted", "durable", retried()).await.unwrap();
    ch.declare("lines", "durable", args! { "x-max-priority": 3 }).await.unwrap();
    ch.declare("short-lived", "durable", args! { "x-message-ttl": 1 }).await.unwrap();
    ch.durable("rejected").await;
    for queue in ["deleted", "lines", "short-lived", "rejected"] {
        for priority in 0..3 {
            ch.publish_with("", queue, "x", "", persistent().with_priority(priority)).await.unwrap();
        }
    }
    for queue in ["deleted", "rejected"] {
        for tag in [take(&ch, queue).await, take(&ch, queue).await].map(|m| m.delivery.delivery_tag) {
            ch.reject(tag, if queue == "deleted" { "requeue" } else { "" }).await;
        }
    }
    assert_eq!(ch.purge("lines").await.unwrap(), 3);
    ch.delete("deleted", "").await.unwrap();
    ch.await_counts("short-lived", (0, 0)).await;
    ch.flushed().await;
    node.restart(stop);
    let ch = node.channel().await;
    ch.declare("deleted", "durable", retried()).await.unwrap();
    // Longer than the retries would have waited.
    ch.delay("rejected", "delayed", 450).await;
    ch.await_counts("rejected", (2, 0)).await;
    for queue in ["deleted", "lines", "short-lived"] {
        assert_eq!(look(&ch, queue).await, [], "{queue}");
    }
}

async fn more_delayed_messages_than_fit_into_memory_are_released_in_due_order(stop: Stop) {
    let mut node = Node::new();
    let mut link = node.link();
    link.call(&queue_declare("q", DURABLE), 50, 11).unwrap();
    link.call(&confirm_select(), 85, 11).unwrap();
    // Those that come last are due first.
    let begin = now_ms() + 3_000;
    for n in 0..MANY {
        let properties = message::due_at(begin + (MANY - n) / 4);
        let body = message::body(Id { publisher: 1, sequence: n }, MANY_BODY_BYTES);
        link.publish_as("", "q", 0, &properties, &body).unwrap();
    }
    link.await_confirms(MANY).unwrap();
    assert_eq!(link.depth("q").unwrap(), Some(0), "it took {} ms", now_ms() + 3_000 - begin);
    node.restart(stop);
    let mut link = node.link();
    link.call(&basic_consume("q", "c", NO_ACK), 60, 21).unwrap();
    // Positions count where the due time is the same.
    let mut expected: Vec<u64> = (0..MANY).collect();
    expected.sort_by_key(|n| (MANY - n) / 4);
    for n in expected {
        let delivery = link.next_delivery().unwrap();
        let id = message::identify_body(&delivery.content.body).unwrap();
        assert_eq!(id, Id { publisher: 1, sequence: n });
    }
    assert_eq!(link.depth("q").unwrap(), Some(0));
}

impl Ch {
    /// A durable queue of these arguments, whose dead letters go to `dead`, from which they go to `work`.
    async fn with_dead_letters(&self, queue: &str, arguments: FieldTable) {
        let mut arguments = arguments;
        let dead_letters_to = |queue: &str, arguments: &mut FieldTable| {
            let text = |text: &str| AMQPValue::LongString(text.into());
            arguments.insert("x-dead-letter-exchange".into(), text(""));
            arguments.insert("x-dead-letter-routing-key".into(), text(queue));
        };
        dead_letters_to("dead", &mut arguments);
        let mut dead = FieldTable::default();
        dead_letters_to("work", &mut dead);
        self.declare("dead", "durable", dead).await.unwrap();
        self.declare(queue, "durable", arguments).await.unwrap();
    }

    async fn delay(&self, queue: &str, body: &str, delay_ms: i32) {
        self.later(queue, body, "x-delay", AMQPValue::LongInt(delay_ms)).await;
    }

    async fn deliver_at(&self, queue: &str, body: &str, moment_ms: u64) {
        self.later(queue, body, "x-deliver-at", AMQPValue::LongLongInt(moment_ms.cast_signed())).await;
    }

    async fn later(&self, queue: &str, body: &str, header: &str, value: AMQPValue) {
        let mut headers = FieldTable::default();
        headers.insert(ShortString::from(header), value);
        let properties: BasicProperties = persistent().with_headers(headers);
        let confirmed = self.publish_with("", queue, body, "", properties).await.unwrap();
        assert!(confirmed.is_ack(), "{confirmed:?}");
    }
}

/// A header that is a number.
fn header(delivery: &Delivery, name: &str) -> Option<i64> {
    match delivery.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongInt(number) => Some((*number).into()),
        AMQPValue::LongLongInt(number) => Some(*number),
        _ => None,
    }
}

/// The last death: its queue, reason and count.
fn death(delivery: &Delivery) -> (String, String, i64) {
    let headers = delivery.properties.headers().as_ref().expect("headers").inner();
    let Some(AMQPValue::FieldArray(deaths)) = headers.get("x-death") else { panic!("{headers:?}") };
    let AMQPValue::FieldTable(last) = &deaths.as_slice()[0] else { panic!("{deaths:?}") };
    let text = |name: &str| match &last.inner()[name] {
        AMQPValue::LongString(text) => text.to_string(),
        other => panic!("{name}: {other:?}"),
    };
    let AMQPValue::LongLongInt(count) = last.inner()["count"] else { panic!("{last:?}") };
    (text("queue"), text("reason"), count)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Half as much again as a queue keeps in memory.
const MANY: u64 = 6_000;
const MANY_BODY_BYTES: usize = 4_096;
