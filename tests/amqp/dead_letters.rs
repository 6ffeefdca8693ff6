//! Dead letters: why messages die, what their headers say, where they go.

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable},
};

use crate::{
    broker::{is_external, only_leveret, unique},
    client::{Ch, args, body, header, next, string, text},
};

/// One entry of `x-death`, its time apart.
#[derive(Debug, PartialEq)]
struct Death {
    count: i64,
    reason: String,
    queue: String,
    exchange: String,
    keys: Vec<String>,
    original_expiration: Option<String>,
}

fn death(reason: &str, queue: &str) -> Death {
    let (reason, queue, exchange) = (reason.to_owned(), queue.to_owned(), String::new());
    Death { count: 1, reason, keys: vec![queue.clone()], queue, exchange, original_expiration: None }
}

fn deaths(delivery: &Delivery) -> Vec<Death> {
    let Some(AMQPValue::FieldArray(entries)) = header(delivery, "x-death") else { return Vec::new() };
    entries.as_slice().iter().map(read_death).collect()
}

fn read_death(entry: &AMQPValue) -> Death {
    let AMQPValue::FieldTable(entry) = entry else { panic!("{entry:?}") };
    let mut entry = entry.inner().clone();
    let mut text = |name: &str| entry.remove(name).map(|value| string(&value));
    let (reason, queue) = (text("reason").unwrap(), text("queue").unwrap());
    let (exchange, original_expiration) = (text("exchange").unwrap(), text("original-expiration"));
    let Some(AMQPValue::LongLongInt(count)) = entry.remove("count") else { panic!("{entry:?}") };
    let Some(AMQPValue::FieldArray(keys)) = entry.remove("routing-keys") else { panic!("{entry:?}") };
    let Some(AMQPValue::Timestamp(time)) = entry.remove("time") else { panic!("{entry:?}") };
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(time.abs_diff(now) < 3_600, "{time} is in seconds, and about now");
    assert!(entry.is_empty(), "{entry:?}");
    let keys = keys.as_slice().iter().map(string).collect();
    Death { count, reason, queue, exchange, keys, original_expiration }
}

/// Arguments of a queue whose dead go to the queue `dead`.
fn dying_to(dead: &str) -> FieldTable {
    args! { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead }
}

fn with(mut table: FieldTable, more: &FieldTable) -> FieldTable {
    for (name, value) in more.inner() {
        table.insert(name.clone(), value.clone());
    }
    table
}

/// The only message that comes to a queue.
async fn arrived(ch: &Ch, queue: &str) -> Delivery {
    ch.await_counts(queue, (1, 0)).await;
    ch.get(queue, "no-ack").await.unwrap().unwrap().delivery
}

async fn reject_one(ch: &Ch, queue: &str) {
    ch.await_counts(queue, (1, 0)).await;
    let held = ch.get(queue, "").await.unwrap().unwrap();
    ch.reject(held.delivery_tag, "").await;
}

fn check_summary(delivery: &Delivery, first: (&str, &str), last: (&str, &str)) {
    for (which, (reason, queue)) in [("first", first), ("last", last)] {
        if which == "last" && is_external() {
            continue; // since RabbitMQ 3.13
        }
        let said =
            ["reason", "queue", "exchange"].map(|what| text(delivery, &format!("x-{which}-death-{what}")));
        assert_eq!(said[..2], [Some(reason.to_owned()), Some(queue.to_owned())], "{which}");
        assert!(said[2].is_some());
    }
}

#[tokio::test]
async fn a_rejected_message_is_dead_whether_by_reject_or_by_nack() {
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    let queue = ch.queue_with(dying_to(&dead)).await;
    for by_nack in [false, true] {
        let properties = BasicProperties::default()
            .with_message_id("id".into())
            .with_priority(3)
            .with_headers(args! { "mine": "kept" });
        ch.publish_with("", &queue, "m", "", properties).await.unwrap();
        let held = ch.get(&queue, "").await.unwrap().unwrap();
        if by_nack {
            ch.nack(held.delivery_tag, "").await;
        } else {
            ch.reject(held.delivery_tag, "").await;
        }
        let delivery = arrived(&ch, &dead).await;
        assert_eq!(deaths(&delivery), [death("rejected", &queue)]);
        check_summary(&delivery, ("rejected", &queue), ("rejected", &queue));
        assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("", &*dead));
        assert_eq!((body(&delivery), delivery.redelivered), ("m".to_owned(), false));
        assert_eq!(delivery.properties.message_id().as_ref().map(|id| id.to_string()).as_deref(), Some("id"));
        assert_eq!(*delivery.properties.priority(), Some(3));
        assert_eq!(text(&delivery, "mine").as_deref(), Some("kept"));
    }
}

#[tokio::test]
async fn an_expired_message_leaves_its_expiration_behind() {
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    let queue = ch.queue_with(dying_to(&dead)).await;
    let properties = BasicProperties::default().with_expiration("15".into());
    ch.publish_with("", &queue, "m", "", properties).await.unwrap();
    let delivery = arrived(&ch, &dead).await;
    let expected = Death { original_expiration: Some("15".into()), ..death("expired", &queue) };
    assert_eq!(deaths(&delivery), [expected]);
    assert_eq!(*delivery.properties.expiration(), None);
    check_summary(&delivery, ("expired", &queue), ("expired", &queue));
    let by_queue = ch.queue_with(with(dying_to(&dead), &args! { "x-message-ttl": 15 })).await;
    ch.fill(&by_queue, ["m"]).await;
    assert_eq!(deaths(&arrived(&ch, &dead).await), [death("expired", &by_queue)]);
}

#[tokio::test]
async fn what_is_pushed_out_of_a_full_queue_is_dead() {
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    let queue = ch.queue_with(with(dying_to(&dead), &args! { "x-max-length": 1 })).await;
    ch.fill(&queue, ["first", "second"]).await;
    let delivery = arrived(&ch, &dead).await;
    assert_eq!((body(&delivery), deaths(&delivery)), ("first".into(), vec![death("maxlen", &queue)]));
    let refusing = with(dying_to(&dead), &args! { "x-max-length": 0, "x-overflow": "reject-publish-dlx" });
    let refusing = ch.queue_with(refusing).await;
    assert!(ch.publish("", &refusing, "refused").await.unwrap().is_nack());
    assert_eq!(deaths(&arrived(&ch, &dead).await), [death("maxlen", &refusing)]);
}

#[tokio::test]
async fn a_message_that_fails_too_often_is_dead() {
    let ch = Ch::confirming().await;
    let (dead, queue) = (ch.queue().await, unique("queue"));
    let table = with(dying_to(&dead), &args! { "x-queue-type": "quorum", "x-delivery-limit": 1 });
    ch.declare(&queue, "durable", table).await.unwrap();
    ch.fill(&queue, ["m"]).await;
    let mut consumer = ch.consume(&queue, "").await;
    for redelivered in [false, true] {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.redelivered, redelivered);
        ch.reject(delivery.delivery_tag, "requeue").await;
    }
    let delivery = arrived(&ch, &dead).await;
    assert_eq!(deaths(&delivery), [death("delivery_limit", &queue)]);
    check_summary(&delivery, ("delivery_limit", &queue), ("delivery_limit", &queue));
    ch.delete(&queue, "").await.unwrap();
}

#[tokio::test]
async fn without_a_routing_key_of_the_queue_all_keys_are_kept() {
    let ch = Ch::confirming().await;
    let dlx = ch.exchange("direct").await;
    let (by_key, by_cc, blind) = (ch.queue().await, ch.queue().await, ch.queue().await);
    let (key, cc, bcc) = (unique("key"), unique("cc"), unique("bcc"));
    for (queue, key) in [(&by_key, &key), (&by_cc, &cc), (&blind, &bcc)] {
        ch.bind(queue, &dlx, key).await.unwrap();
    }
    let queue = ch.queue_with(args! { "x-dead-letter-exchange": &dlx }).await;
    ch.bind(&queue, "amq.direct", &key).await.unwrap();
    let headers = args! { "CC": [cc.as_str()].as_slice(), "BCC": [bcc.as_str()].as_slice() };
    let properties = BasicProperties::default().with_headers(headers);
    ch.publish_with("amq.direct", &key, "m", "", properties).await.unwrap();
    reject_one(&ch, &queue).await;
    for dead in [&by_key, &by_cc] {
        let delivery = arrived(&ch, dead).await;
        assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), (&*dlx, &*key));
        let expected = Death {
            exchange: "amq.direct".into(),
            keys: vec![key.clone(), cc.clone()],
            ..death("rejected", &queue)
        };
        assert_eq!(deaths(&delivery), [expected]);
        assert!(header(&delivery, "CC").is_some() && header(&delivery, "BCC").is_none());
    }
    if !is_external() {
        // RabbitMQ goes on routing by keys in BCC, which nobody can see any more.
        assert_eq!(ch.counts(&blind).await, (0, 0), "BCC was removed when the message was published");
    }
}

#[tokio::test]
async fn a_routing_key_of_the_queue_replaces_all_keys() {
    let ch = Ch::confirming().await;
    let (dead, cc) = (ch.queue().await, ch.queue().await);
    let queue = ch.queue_with(dying_to(&dead)).await;
    let properties = BasicProperties::default().with_headers(args! { "CC": [cc.as_str()].as_slice() });
    ch.publish_with("", &queue, "m", "", properties).await.unwrap();
    assert_eq!(ch.drain(&cc).await, ["m"]);
    reject_one(&ch, &queue).await;
    let delivery = arrived(&ch, &dead).await;
    assert!(header(&delivery, "CC").is_none());
    assert_eq!(deaths(&delivery)[0].keys, [queue, cc.clone()]);
    assert_eq!(ch.counts(&cc).await, (0, 0));
}

#[tokio::test]
async fn dead_letters_are_lost_if_their_exchange_is_missing_and_go_once_it_is_there() {
    let ch = Ch::confirming().await;
    let (dlx, dead) = (unique("exchange"), ch.queue().await);
    let queue = ch.queue_with(args! { "x-dead-letter-exchange": &dlx }).await;
    ch.fill(&queue, ["lost"]).await;
    reject_one(&ch, &queue).await;
    ch.await_counts(&queue, (0, 0)).await;
    ch.exchange_declare(&dlx, "fanout", "auto-delete", args! {}).await.unwrap();
    ch.bind(&dead, &dlx, "").await.unwrap();
    ch.fill(&queue, ["arrives"]).await;
    reject_one(&ch, &queue).await;
    assert_eq!(body(&arrived(&ch, &dead).await), "arrives");
}

#[tokio::test]
async fn the_dead_go_to_every_queue_of_a_fanout_and_to_its_alternate_exchange() {
    let ch = Ch::confirming().await;
    let (one, other, unrouted) = (ch.queue().await, ch.queue().await, ch.queue().await);
    let (fanout, alternate) = (ch.exchange("fanout").await, ch.exchange("fanout").await);
    let topic = ch.exchange_with("topic", args! { "alternate-exchange": &alternate }).await;
    ch.bind(&one, &fanout, "").await.unwrap();
    ch.bind(&other, &fanout, "").await.unwrap();
    ch.bind(&unrouted, &alternate, "").await.unwrap();
    for (dlx, dead) in [(&fanout, vec![&one, &other]), (&topic, vec![&unrouted])] {
        let queue = ch.queue_with(args! { "x-dead-letter-exchange": dlx, "x-message-ttl": 0 }).await;
        ch.fill(&queue, ["m"]).await;
        for dead in dead {
            assert_eq!(deaths(&arrived(&ch, dead).await), [death("expired", &queue)]);
        }
    }
}

#[tokio::test]
async fn each_death_of_another_kind_is_an_entry_and_the_last_one_is_in_front() {
    let ch = Ch::confirming().await;
    let last = ch.queue().await;
    let second = ch.queue_with(dying_to(&last)).await;
    let first = ch.queue_with(with(dying_to(&second), &args! { "x-message-ttl": 10 })).await;
    ch.fill(&first, ["m"]).await;
    reject_one(&ch, &second).await;
    let delivery = arrived(&ch, &last).await;
    assert_eq!(deaths(&delivery), [death("rejected", &second), death("expired", &first)]);
    check_summary(&delivery, ("expired", &first), ("rejected", &second));
}

#[tokio::test]
async fn a_message_that_would_go_round_by_itself_is_dropped() {
    let ch = Ch::confirming().await;
    // It expires, and comes back to the queue that it expired in.
    let queue = unique("queue");
    let table = with(dying_to(&queue), &args! { "x-message-ttl": 10 });
    ch.declare(&queue, "exclusive", table).await.unwrap();
    ch.fill(&queue, ["m"]).await;
    ch.await_counts(&queue, (0, 0)).await;
    crate::client::pass(&ch, 30).await;
    assert_eq!(ch.counts(&queue).await, (0, 0));
    // The same by way of another queue.
    let (one, other) = (unique("queue"), unique("queue"));
    let ttl = || args! { "x-message-ttl": 10 };
    ch.declare(&one, "exclusive", with(dying_to(&other), &ttl())).await.unwrap();
    ch.declare(&other, "exclusive", with(dying_to(&one), &ttl())).await.unwrap();
    ch.fill(&one, ["m"]).await;
    ch.await_counts(&one, (0, 0)).await;
    ch.await_counts(&other, (0, 0)).await;
}

#[tokio::test]
async fn a_cycle_drops_only_the_copy_that_goes_round() {
    let ch = Ch::confirming().await;
    let (dlx, outside, queue) = (ch.exchange("fanout").await, ch.queue().await, unique("queue"));
    let table = args! { "x-dead-letter-exchange": &dlx, "x-message-ttl": 10 };
    ch.declare(&queue, "exclusive", table).await.unwrap();
    ch.bind(&queue, &dlx, "").await.unwrap();
    ch.bind(&outside, &dlx, "").await.unwrap();
    ch.fill(&queue, ["m"]).await;
    assert_eq!(deaths(&arrived(&ch, &outside).await), [death("expired", &queue)]);
    ch.await_counts(&queue, (0, 0)).await;
}

#[tokio::test]
async fn a_message_that_is_rejected_goes_round_and_is_counted() {
    let ch = Ch::confirming().await;
    // The usual loop for retries: work, then wait, then work again.
    let (work, wait) = (unique("work"), unique("wait"));
    ch.declare(&work, "exclusive", dying_to(&wait)).await.unwrap();
    let table = with(dying_to(&work), &args! { "x-message-ttl": 10 });
    ch.declare(&wait, "exclusive", table).await.unwrap();
    let mut consumer = ch.consume(&work, "").await;
    ch.fill(&work, ["m"]).await;
    for round in 0..4_i64 {
        let delivery = next(&mut consumer).await;
        let expected = |reason, queue| Death { count: round, ..death(reason, queue) };
        match round {
            0 => assert_eq!(deaths(&delivery), []),
            _ => assert_eq!(deaths(&delivery), [expected("expired", &wait), expected("rejected", &work)]),
        }
        ch.reject(delivery.delivery_tag, "").await;
    }
}

#[tokio::test]
async fn a_message_that_is_rejected_again_and_again_may_come_back_to_its_own_queue() {
    let ch = Ch::confirming().await;
    let queue = unique("queue");
    ch.declare(&queue, "exclusive", dying_to(&queue)).await.unwrap();
    let mut consumer = ch.consume(&queue, "").await;
    ch.fill(&queue, ["m"]).await;
    for count in 0..3_i64 {
        let delivery = next(&mut consumer).await;
        assert_eq!(deaths(&delivery).first().map_or(0, |death| death.count), count);
        ch.reject(delivery.delivery_tag, "").await;
    }
}

#[tokio::test]
async fn death_headers_of_clients_are_no_history() {
    only_leveret!("so it is since RabbitMQ 3.13");
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    let queue = ch.queue_with(dying_to(&dead)).await;
    ch.fill(&queue, ["m"]).await;
    reject_one(&ch, &queue).await;
    let delivery = arrived(&ch, &dead).await;
    ch.publish_with("", &queue, "again", "", delivery.properties.clone()).await.unwrap();
    reject_one(&ch, &queue).await;
    let again = arrived(&ch, &dead).await;
    assert_eq!(deaths(&again), [death("rejected", &queue)]);
}

#[tokio::test]
async fn messages_that_are_purged_or_go_with_their_queue_are_not_dead() {
    let ch = Ch::confirming().await;
    let dead = ch.queue().await;
    let queue = ch.queue_with(dying_to(&dead)).await;
    ch.fill(&queue, ["purged"]).await;
    ch.purge(&queue).await.unwrap();
    ch.fill(&queue, ["held", "deleted"]).await;
    let held = ch.get(&queue, "").await.unwrap().unwrap();
    ch.delete(&queue, "").await.unwrap();
    ch.reject(held.delivery_tag, "").await;
    ch.fence(&dead).await;
    assert_eq!(ch.counts(&dead).await, (0, 0));
}

#[tokio::test]
async fn a_transaction_that_rejects_makes_dead_letters_when_it_is_committed() {
    let (ch, other) = (Ch::open().await, Ch::confirming().await);
    let dead = unique("queue");
    other.declare(&dead, "auto-delete", args! {}).await.unwrap();
    let queue = ch.queue_with(dying_to(&dead)).await;
    crate::client::within(ch.amqp.tx_select()).await.unwrap();
    ch.fill(&queue, ["m"]).await;
    crate::client::within(ch.amqp.tx_commit()).await.unwrap();
    let held = ch.get(&queue, "").await.unwrap().unwrap();
    ch.reject(held.delivery_tag, "").await;
    ch.fence(&queue).await;
    assert_eq!(other.counts(&dead).await, (0, 0));
    crate::client::within(ch.amqp.tx_commit()).await.unwrap();
    assert_eq!(deaths(&arrived(&other, &dead).await), [death("rejected", &queue)]);
    other.delete(&dead, "").await.unwrap();
}

#[tokio::test]
async fn a_long_chain_of_dead_letters_arrives() {
    only_leveret!("RabbitMQ 3.10 mixes up the order of many deaths");
    let ch = Ch::confirming().await;
    let end = ch.queue().await;
    let mut next_queue = end.clone();
    let mut chain = Vec::new();
    for _ in 0..40 {
        next_queue = ch.queue_with(with(dying_to(&next_queue), &args! { "x-message-ttl": 0 })).await;
        chain.push(next_queue.clone());
    }
    ch.fill(&next_queue, ["m"]).await;
    let delivery = arrived(&ch, &end).await;
    let expected: Vec<_> = chain.iter().map(|queue| death("expired", queue)).collect();
    assert_eq!(deaths(&delivery), expected);
}

#[tokio::test]
async fn persistent_dead_letters_stay_persistent() {
    let ch = Ch::confirming().await;
    let (queue, dead) = (unique("queue"), unique("dead"));
    ch.declare(&dead, "durable", args! {}).await.unwrap();
    ch.declare(&queue, "durable", dying_to(&dead)).await.unwrap();
    let properties = BasicProperties::default().with_delivery_mode(2);
    ch.publish_with("", &queue, "m", "", properties).await.unwrap();
    reject_one(&ch, &queue).await;
    let delivery = arrived(&ch, &dead).await;
    assert_eq!(*delivery.properties.delivery_mode(), Some(2));
    assert_eq!(ch.delete(&queue, "").await.unwrap(), 0);
    ch.delete(&dead, "").await.unwrap();
}

/// Full queues, each of which dead-letters to all of them: a message goes every way through them that does not come back to a
/// queue. RabbitMQ goes them all, n! of them; Leveret stops where they become too many.
#[tokio::test]
async fn a_message_goes_every_way_once_through_full_queues_that_dead_letter_to_all_of_them() {
    for (queues, letters) in [(3, 5), (4, 16), (5, 65)] {
        let ch = Ch::confirming().await;
        let fan = ch.exchange("fanout").await;
        let arguments = args! { "x-dead-letter-exchange": fan.as_str(), "x-max-length": 0 };
        let mut first = None;
        for _ in 0..queues {
            let queue = ch.queue_with(arguments.clone()).await;
            ch.bind(&queue, &fan, "").await.unwrap();
            first = first.or(Some(queue));
        }
        let all = ch.queue().await;
        ch.bind(&all, &fan, "").await.unwrap();
        ch.fill(&first.unwrap(), ["m"]).await;
        ch.await_counts(&all, (letters, 0)).await;
        let longest = async {
            let mut longest = 0;
            while let Some(got) = ch.get(&all, "no-ack").await.unwrap() {
                longest = longest.max(deaths(&got.delivery).len());
            }
            longest
        };
        assert_eq!(longest.await, queues);
    }
}
