//! Messages that are published with a delay: x-delay, x-deliver-at.

use std::time::{Duration, Instant, SystemTime};

use lapin::{
    BasicProperties,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};

use crate::{
    broker::{only_leveret, unique},
    client::{Ch, args, bodies, body, header, next, refused, within},
};

fn delayed(milliseconds: i32) -> BasicProperties {
    BasicProperties::default().with_headers(args! { "x-delay": milliseconds })
}

/// Due at a time in milliseconds since the epoch.
fn due(at: u128) -> BasicProperties {
    BasicProperties::default().with_headers(args! { "x-deliver-at": i64::try_from(at).unwrap() })
}

fn now_ms() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()
}

/// The broker counts whole milliseconds.
#[track_caller]
fn at_least(start: Instant, milliseconds: u64) {
    let passed = start.elapsed() + Duration::from_millis(1);
    assert!(passed >= Duration::from_millis(milliseconds), "{passed:?}");
}

#[tokio::test]
async fn a_delay_works_on_every_kind_of_exchange() {
    only_leveret!("RabbitMQ needs a plugin and an exchange of its type");
    let ch = Ch::confirming().await;
    for kind in ["", "direct", "fanout", "topic", "headers"] {
        let queue = ch.queue().await;
        let exchange = if kind.is_empty() { String::new() } else { ch.exchange(kind).await };
        if !kind.is_empty() {
            ch.bind_with(&queue, &exchange, &queue, args! { "h": 1 }).await.unwrap();
        }
        let mut consumer = ch.consume(&queue, "no-ack").await;
        let headers = args! { "x-delay": 40, "h": 1 };
        let start = Instant::now();
        let properties = BasicProperties::default().with_headers(headers).with_message_id("id".into());
        assert!(ch.publish_with(&exchange, &queue, "m", "", properties).await.unwrap().is_ack());
        let delivery = next(&mut consumer).await;
        at_least(start, 40);
        assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), (&*exchange, &*queue));
        assert_eq!((body(&delivery), delivery.redelivered), ("m".to_owned(), false));
        assert_eq!(
            header(&delivery, "x-delay"),
            Some(AMQPValue::LongInt(-40)),
            "so that one sees that it waited"
        );
        assert_eq!(header(&delivery, "h"), Some(AMQPValue::LongInt(1)));
        assert!(delivery.properties.message_id().is_some());
    }
}

#[tokio::test]
async fn a_delayed_message_is_confirmed_and_in_no_queue_before_its_time() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    for properties in [delayed(600_000), delayed(600_000).with_delivery_mode(2)] {
        assert!(ch.publish_with("", &queue, "m", "", properties).await.unwrap().is_ack());
    }
    ch.fill(&queue, ["now"]).await;
    assert_eq!(ch.drain(&queue).await, ["now"]);
}

#[tokio::test]
async fn a_delayed_message_that_nobody_would_get_is_returned_at_once_if_mandatory() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let sent = ch.publish_with("", &unique("nobody"), "m", "mandatory", delayed(600_000)).await.unwrap();
    let returned = sent.take_message().unwrap();
    assert_eq!((returned.reply_code, body(&returned.delivery)), (312, "m".to_owned()));
    let sent = ch.publish_with("", &queue, "m", "mandatory", delayed(20)).await.unwrap();
    assert!(sent.take_message().is_none());
    ch.await_counts(&queue, (1, 0)).await;
}

#[tokio::test]
async fn where_a_delayed_message_goes_is_found_out_when_it_is_due() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let (exchange, before, after) = (ch.exchange("fanout").await, ch.queue().await, ch.queue().await);
    ch.bind(&after, &exchange, "another one, so that the exchange stays").await.unwrap();
    ch.bind(&before, &exchange, "").await.unwrap();
    ch.publish_with(&exchange, "", "m", "", delayed(300)).await.unwrap();
    ch.unbind(&before, &exchange, "").await.unwrap();
    ch.await_counts(&after, (1, 0)).await;
    assert_eq!(ch.counts(&before).await, (0, 0));
}

#[tokio::test]
async fn delayed_messages_come_in_the_order_of_their_times() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::open().await;
    let queue = ch.queue().await;
    let mut consumer = ch.consume(&queue, "no-ack").await;
    let start = now_ms() + 400;
    for (at, body) in [(40, "c"), (0, "a"), (60, "d"), (20, "b"), (60, "e")] {
        ch.publish_with("", &queue, body, "", due(start + at)).await.unwrap();
    }
    assert_eq!(bodies(&mut consumer, 5).await, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn x_deliver_at_is_a_timestamp_or_a_number_of_milliseconds() {
    only_leveret!("RabbitMQ has no such header");
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let mut consumer = ch.consume(&queue, "no-ack").await;
    // Not so soon that it is past when its turn comes.
    let seconds = u64::try_from(now_ms() / 1_000).unwrap() + 2;
    let mut stamped = FieldTable::default();
    stamped.insert("x-deliver-at".into(), AMQPValue::Timestamp(seconds));
    let stamped = BasicProperties::default().with_headers(stamped);
    let soon = now_ms() + 40;
    for (properties, at) in [(due(soon), soon), (stamped, u128::from(seconds) * 1_000)] {
        ch.publish_with("", &queue, "m", "", properties).await.unwrap();
        let delivery = next(&mut consumer).await;
        assert!(now_ms() + 5 >= at, "{at} at {}", now_ms());
        assert_eq!(header(&delivery, "x-deliver-at"), None);
    }
}

#[tokio::test]
async fn what_is_past_zero_negative_or_no_number_does_not_delay() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let nonsense = BasicProperties::default().with_headers(args! { "x-delay": "soon" });
    for properties in [delayed(0), delayed(-5), due(1_000), nonsense] {
        ch.publish_with("", &queue, "m", "", properties).await.unwrap();
        assert_eq!(ch.drain(&queue).await, ["m"]);
    }
}

#[tokio::test]
async fn a_time_that_is_more_than_ten_years_ahead_is_refused_with_406() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let headers = args! { "x-delay": 315_360_000_001_i64 };
    let properties = BasicProperties::default().with_headers(headers);
    refused(
        ch.sibling().await.confirm().await.publish_with("", "q", "m", "", properties.clone()).await,
        406,
        "PRECONDITION_FAILED - invalid x-delay: due in 315360000001 ms",
    );
    refused(
        ch.sibling().await.confirm().await.publish_with("", "q", "m", "", due(now_ms() * 3)).await,
        406,
        "PRECONDITION_FAILED - invalid x-deliver-at: ",
    );
    let transaction = Ch::open().await;
    within(transaction.amqp.tx_select()).await.unwrap();
    let publish = async { transaction.publish_with("", "q", "m", "", properties).await.unwrap() };
    transaction.closes(publish, 406, "PRECONDITION_FAILED - invalid x-delay: ").await;
}

#[tokio::test]
async fn a_delay_in_a_transaction_begins_with_the_commit_and_not_at_all_after_a_rollback() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::open().await;
    let queue = ch.queue().await;
    let mut consumer = ch.consume(&queue, "no-ack").await;
    within(ch.amqp.tx_select()).await.unwrap();
    ch.publish_with("", &queue, "rolled back", "", delayed(1)).await.unwrap();
    within(ch.amqp.tx_rollback()).await.unwrap();
    ch.publish_with("", &queue, "committed", "", delayed(40)).await.unwrap();
    let start = Instant::now();
    within(ch.amqp.tx_commit()).await.unwrap();
    assert_eq!(bodies(&mut consumer, 1).await, ["committed"]);
    at_least(start, 40);
}

#[tokio::test]
async fn a_delayed_message_goes_to_its_carbon_copies_too_and_hides_the_blind_ones() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let (to, cc, bcc) = (ch.queue().await, ch.queue().await, ch.queue().await);
    let headers = args! { "x-delay": 20, "CC": [cc.as_str()].as_slice(), "BCC": [bcc.as_str()].as_slice() };
    ch.publish_with("", &to, "m", "", BasicProperties::default().with_headers(headers)).await.unwrap();
    for queue in [&to, &cc, &bcc] {
        ch.await_counts(queue, (1, 0)).await;
        let message = ch.get(queue, "no-ack").await.unwrap().unwrap();
        assert!(header(&message, "CC").is_some() && header(&message, "BCC").is_none());
    }
}

#[tokio::test]
async fn a_lifetime_begins_when_the_delay_is_over() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let queue = ch.queue_with(args! { "x-message-ttl": 0 }).await;
    let mut consumer = ch.consume(&queue, "no-ack").await;
    ch.publish_with("", &queue, "m", "", delayed(30).with_expiration("1".into())).await.unwrap();
    assert_eq!(bodies(&mut consumer, 1).await, ["m"]);
}

#[tokio::test]
async fn a_delay_that_is_over_is_not_waited_for_again_when_the_message_dies() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    let table = args! {
        "x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": &dead,
    };
    let queue = ch.queue_with(table).await;
    ch.publish_with("", &queue, "m", "", delayed(20)).await.unwrap();
    ch.await_counts(&dead, (1, 0)).await;
}

#[tokio::test]
async fn many_delayed_messages_arrive_once_each() {
    only_leveret!("RabbitMQ needs a plugin");
    let ch = Ch::open().await;
    let queue = ch.queue().await;
    let mut consumer = ch.consume(&queue, "no-ack").await;
    for n in 0..3_000_i32 {
        let options = BasicPublishOptions::default();
        let text = n.to_string();
        let sent = ch.amqp.basic_publish(
            "".into(),
            queue.as_str().into(),
            options,
            text.as_bytes(),
            delayed(1 + n % 50),
        );
        within(sent).await.unwrap();
    }
    let mut seen: Vec<i32> =
        bodies(&mut consumer, 3_000).await.iter().map(|body| body.parse().unwrap()).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..3_000));
    ch.fence(&queue).await;
    assert!(crate::client::arrived(&mut consumer).await.is_empty());
}
