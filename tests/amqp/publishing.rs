//! basic.publish: properties that the broker checks, CC and BCC, message size, returns.

use lapin::{BasicProperties, types::AMQPValue};

use crate::{
    broker::{Broker, unique},
    client::{Ch, args, body, refused},
};

fn properties() -> BasicProperties {
    BasicProperties::default()
}

#[tokio::test]
async fn expiration_must_be_a_number_of_milliseconds() {
    let ch = Ch::confirming().await;
    for bad in ["abc", "", "-1", "1.5", "10s", " 10", "99999999999999999999"] {
        refused(
            ch.sibling()
                .await
                .confirm()
                .await
                .publish_with("", "q", "m", "", properties().with_expiration(bad.into()))
                .await,
            406,
            &format!("PRECONDITION_FAILED - invalid expiration '{bad}': "),
        );
    }
    let queue = ch.queue().await;
    for good in ["60000", "0100000", "315360000000"] {
        ch.publish_with("", &queue, good, "", properties().with_expiration(good.into())).await.unwrap();
    }
    let message = ch.get(&queue, "").await.unwrap().unwrap();
    assert_eq!(message.properties.expiration().as_ref().map(ToString::to_string).as_deref(), Some("60000"));
}

#[tokio::test]
async fn user_id_must_be_the_authenticated_user() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    ch.publish_with("", &queue, "m", "", properties().with_user_id("guest".into())).await.unwrap();
    let message = ch.get(&queue, "no-ack").await.unwrap().unwrap();
    assert_eq!(message.properties.user_id().as_ref().map(ToString::to_string).as_deref(), Some("guest"));
    refused(
        ch.publish_with("", &queue, "m", "", properties().with_user_id("mallory".into())).await,
        406,
        "PRECONDITION_FAILED - user_id property set to 'mallory' but authenticated user was 'guest'",
    );
}

#[tokio::test]
async fn a_message_above_the_configured_size_is_refused_with_406() {
    let Some(broker) = Broker::start(&["--max-message-size", "1000"], &[]) else { return };
    let ch = Ch::open_to(broker).await.confirm().await;
    let queue = ch.queue().await;
    ch.fill(&queue, ["x".repeat(1000)]).await;
    refused(
        ch.sibling().await.confirm().await.publish("", &queue, &"x".repeat(1001)).await,
        406,
        "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000",
    );
    assert_eq!(ch.drain(&queue).await.len(), 1);
}

#[tokio::test]
async fn a_message_of_32_mib_arrives_whole() {
    let (ch, size) = (Ch::confirming().await, 32 * 1024 * 1024);
    let queue = ch.queue().await;
    let body: String = ('a'..='z').cycle().take(size).collect();
    ch.fill(&queue, [&body]).await;
    assert!(ch.get(&queue, "no-ack").await.unwrap().unwrap().data == body.as_bytes());
}

#[tokio::test]
async fn cc_and_bcc_are_routed_once_per_queue_and_bcc_is_removed() {
    let ch = Ch::confirming().await;
    let (to, cc, bcc) = (ch.queue().await, ch.queue().await, ch.queue().await);
    let headers = args! {
        "CC": [cc.as_str(), &to, &cc].as_slice(),
        "BCC": [bcc.as_str()].as_slice(),
        "other": "kept",
    };
    ch.publish_with("", &to, "m", "", properties().with_headers(headers)).await.unwrap();
    for queue in [&to, &cc, &bcc] {
        let message = ch.get(queue, "no-ack").await.unwrap().unwrap();
        assert_eq!((message.routing_key.as_str(), message.message_count), (to.as_str(), 0));
        let headers = message.properties.headers().clone().unwrap();
        let names: Vec<&str> = headers.inner().keys().map(lapin::types::ShortString::as_str).collect();
        assert_eq!(names, ["CC", "other"]);
    }
}

#[tokio::test]
async fn cc_alone_is_a_route() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let headers = args! { "BCC": [queue.as_str()].as_slice() };
    let sent = ch
        .publish_with("", &unique("nobody"), "m", "mandatory", properties().with_headers(headers))
        .await
        .unwrap();
    assert!(sent.is_ack() && sent.take_message().is_none());
    assert_eq!(ch.drain(&queue).await, ["m"]);
}

#[tokio::test]
async fn cc_or_bcc_that_is_no_array_is_refused_with_406() {
    let ch = Ch::confirming().await;
    for headers in [args! { "CC": "a-string" }, args! { "BCC": 1 }] {
        let other = ch.sibling().await.confirm().await;
        let sent = other.publish_with("", "q", "m", "", properties().with_headers(headers)).await;
        refused(sent, 406, "PRECONDITION_FAILED - invalid message: ");
    }
}

#[tokio::test]
async fn elements_of_cc_that_are_no_strings_are_skipped() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    let keys = vec![AMQPValue::LongInt(1), AMQPValue::LongString(queue.as_str().into())];
    let headers = args! { "CC": AMQPValue::FieldArray(keys.into()) };
    ch.publish_with("", &unique("nobody"), "m", "", properties().with_headers(headers)).await.unwrap();
    assert_eq!(ch.drain(&queue).await, ["m"]);
}

#[tokio::test]
async fn a_returned_message_is_the_message_with_its_properties() {
    let ch = Ch::confirming().await;
    let key = unique("key");
    let sent = properties().with_message_id("id-1".into()).with_headers(args! { "h": 1 });
    let returned = ch
        .publish_with("amq.direct", &key, "m", "mandatory", sent.clone())
        .await
        .unwrap()
        .take_message()
        .unwrap();
    assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
    assert_eq!(
        (returned.delivery.exchange.as_str(), returned.delivery.routing_key.as_str()),
        ("amq.direct", &*key)
    );
    assert_eq!((&returned.delivery.properties, body(&returned.delivery)), (&sent, "m".to_owned()));
}

#[tokio::test]
async fn mandatory_and_routed_is_not_returned_even_without_consumers() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    assert!(ch.publish_mandatory("", &queue, "m").await.is_none());
}

#[tokio::test]
async fn immediate_closes_the_connection_with_540() {
    let ch = Ch::confirming().await;
    refused(
        ch.publish_with("", "q", "m", "immediate", properties()).await,
        540,
        "NOT_IMPLEMENTED - immediate=true",
    );
}

#[tokio::test]
async fn empty_bodies_and_bodies_of_many_frames_arrive_whole() {
    let ch = Ch::confirming().await;
    let queue = ch.queue().await;
    for size in [0, 1, 131_063, 131_064, 131_065, 262_128, 1_000_000] {
        let sent: String = (b'a'..=b'w').cycle().take(size).map(char::from).collect();
        ch.fill(&queue, [&sent]).await;
        assert!(ch.drain(&queue).await == [sent], "{size} bytes");
    }
}

#[tokio::test]
async fn routing_keys_and_exchange_names_may_be_255_bytes() {
    let ch = Ch::confirming().await;
    let (queue, key) = (ch.queue().await, "k".repeat(255));
    let exchange = format!("{}{}", unique("exchange"), "x".repeat(255));
    let exchange = &exchange[..255];
    ch.exchange_declare(exchange, "topic", "auto-delete", args! {}).await.unwrap();
    ch.bind(&queue, exchange, &key).await.unwrap();
    ch.publish(exchange, &key, "m").await.unwrap();
    let message = ch.get(&queue, "no-ack").await.unwrap().unwrap();
    assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), (exchange, &*key));
}
