//! Messages and queues that expire: x-message-ttl, expiration, x-expires.

use lapin::BasicProperties;

use crate::{
    broker::DEADLINE,
    client::{Ch, args, body, next, pass},
};

fn expiring(milliseconds: &str) -> BasicProperties {
    BasicProperties::default().with_expiration(milliseconds.into())
}

async fn publish(ch: &Ch, queue: &str, body: &str, expiration: &str) {
    ch.publish_with("", queue, body, "", expiring(expiration)).await.unwrap();
}

/// Waits until the queue is gone. A passive declare would count as use of the queue, publishing does not.
async fn await_expired(ch: &Ch, queue: &str) {
    let start = tokio::time::Instant::now();
    while ch.publish_mandatory("", queue, "are you there?").await.is_none() {
        assert!(start.elapsed() < DEADLINE, "{queue} is still there");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_message_with_a_ttl_of_0_goes_to_a_waiting_consumer_or_nowhere() {
    let ch = Ch::confirming().await;
    let (by_queue, by_message) = (ch.queue_with(args! { "x-message-ttl": 0 }).await, ch.queue().await);
    for queue in [&by_queue, &by_message] {
        publish(&ch, queue, "nobody waits", "0").await;
        assert!(ch.get(queue, "").await.unwrap().is_none());
        ch.qos(1, "").await;
        let mut consumer = ch.consume(queue, "").await;
        publish(&ch, queue, "taken", "0").await;
        publish(&ch, queue, "the consumer is busy", "0").await;
        let taken = next(&mut consumer).await;
        assert_eq!(body(&taken), "taken");
        ch.await_counts(queue, (0, 1)).await;
        ch.ack(taken.delivery_tag, "").await;
        publish(&ch, queue, "taken too", "0").await;
        assert_eq!(body(&next(&mut consumer).await), "taken too");
    }
}

#[tokio::test]
async fn the_smaller_of_the_queues_ttl_and_the_messages_expiration_counts() {
    let ch = Ch::confirming().await;
    let (short, long) = (
        ch.queue_with(args! { "x-message-ttl": 30 }).await,
        ch.queue_with(args! { "x-message-ttl": 600_000 }).await,
    );
    publish(&ch, &short, "by its queue", "600000").await;
    publish(&ch, &long, "by itself", "30").await;
    publish(&ch, &long, "stays", "500000").await;
    ch.await_counts(&short, (0, 0)).await;
    ch.await_counts(&long, (1, 0)).await;
    assert_eq!(ch.drain(&long).await, ["stays"]);
}

#[tokio::test]
async fn only_what_is_at_the_head_expires() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.fill(&queue, ["head"]).await;
    publish(&ch, &queue, "behind it", "10").await;
    ch.fill(&queue, ["last"]).await;
    pass(&ch, 30).await;
    assert_eq!(ch.counts(&queue).await, (3, 0));
    assert_eq!(ch.drain(&queue).await, ["head", "last"]);
}

#[tokio::test]
async fn a_consumer_that_is_busy_does_not_keep_messages_alive() {
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-message-ttl": 30 }).await;
    ch.qos(1, "").await;
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["held", "waits", "waits too"]).await;
    let held = next(&mut consumer).await;
    ch.await_counts(&queue, (0, 1)).await;
    ch.ack(held.delivery_tag, "").await;
    ch.fill(&queue, ["fresh"]).await;
    assert_eq!(body(&next(&mut consumer).await), "fresh");
}

#[tokio::test]
async fn a_message_that_a_client_holds_does_not_expire_before_it_comes_back() {
    let ch = Ch::confirming().await;
    let (got, delivered) = (ch.queue().await, ch.queue().await);
    publish(&ch, &got, "held", "20").await;
    let held = ch.get(&got, "").await.unwrap();
    // The message may have expired before it was got, if the machine is busy: then there is nothing to see.
    let mut consumer = ch.consume(&delivered, "").await;
    publish(&ch, &delivered, "held", "20").await;
    let its_tag = next(&mut consumer).await.delivery_tag;
    ch.cancel(consumer.tag().as_str()).await;
    pass(&ch, 40).await;
    if let Some(held) = held {
        ch.nack(held.delivery_tag, "requeue").await;
    }
    ch.nack(its_tag, "requeue").await;
    ch.await_counts(&got, (0, 0)).await;
    ch.await_counts(&delivered, (0, 0)).await;
}

#[tokio::test]
async fn a_queue_expires_unless_it_has_a_consumer() {
    let ch = Ch::confirming().await;
    let (idle, used) =
        (ch.queue_with(args! { "x-expires": 100 }).await, ch.queue_with(args! { "x-expires": 100 }).await);
    let consumer = ch.consume(&used, "").await;
    ch.fill(&idle, ["messages do not keep it"]).await;
    await_expired(&ch, &idle).await;
    pass(&ch, 150).await;
    assert_eq!(ch.counts(&used).await, (0, 1));
    ch.cancel(consumer.tag().as_str()).await;
    await_expired(&ch, &used).await;
}

#[tokio::test]
async fn some_methods_are_use_of_a_queue_and_keep_it_from_expiring_and_others_are_not() {
    let ch = Ch::confirming().await;
    let table = args! { "x-expires": 1_000 };
    let clock = ch.queue().await;
    publish(&ch, &clock, "runs out", "1600").await;
    let mut queues = Vec::new();
    for _ in 0..8 {
        queues.push(ch.queue_with(table.clone()).await);
    }
    let [got, declared, asked, read_from, routed_to, purged, with_binding, without_binding] = &queues[..]
    else {
        unreachable!()
    };
    let used = [got, declared, asked, read_from];
    let mut gone = 0;
    while ch.counts(&clock).await.0 > 0 {
        ch.get(got, "").await.unwrap();
        ch.declare(declared, "exclusive", table.clone()).await.unwrap();
        ch.counts(asked).await;
        let consumer = ch.consume(read_from, "").await;
        ch.cancel(consumer.tag().as_str()).await;
        gone += usize::from(ch.publish_mandatory("", routed_to, "m").await.is_some());
        for (queue, uses) in [(purged, 0), (with_binding, 1), (without_binding, 2)] {
            let other = ch.sibling().await;
            // The first to find the queue gone loses its channel.
            let _gone = match uses {
                0 => other.purge(queue).await.map(drop),
                1 => other.bind(queue, "amq.direct", "key").await,
                _ => other.unbind(queue, "amq.direct", "key").await,
            };
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(gone > 0, "publishing is no use");
    for queue in used {
        assert!(ch.publish_mandatory("", queue, "are you there?").await.is_none(), "{queue}");
    }
    for queue in [purged, with_binding, without_binding] {
        assert!(ch.publish_mandatory("", queue, "are you there?").await.is_some(), "{queue}");
    }
    for queue in used {
        await_expired(&ch, queue).await;
    }
}

#[tokio::test]
async fn a_queue_that_expires_dead_letters_nothing_and_unbinds_itself() {
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    let table = args! { "x-expires": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": &dead };
    let queue = ch.queue_with(table).await;
    ch.bind(&queue, "amq.direct", &queue).await.unwrap();
    ch.fill(&queue, ["gone with it"]).await;
    await_expired(&ch, &queue).await;
    assert!(ch.publish_mandatory("amq.direct", &queue, "nobody").await.is_some());
    assert_eq!(ch.counts(&dead).await, (0, 0));
}
