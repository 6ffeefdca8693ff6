//! lapin: the common checks, several acks at once, purge, transactions and field tables.

use std::{fmt::Debug, process, time::Duration};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ErrorKind,
    ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions,
        BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
        ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
    },
    types::{AMQPValue, DecimalValue, FieldArray, FieldTable, ShortString},
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const WAIT: Duration = Duration::from_secs(10);
/// How long to watch for a delivery that must not come.
const QUIET: Duration = Duration::from_millis(200);
const PROGRAM: Duration = Duration::from_secs(90);

const JOBS: [&str; 10] =
    ["job 0", "job 1", "job 2", "job 3", "job 4", "job 5", "job 6", "job 7", "job 8", "job 9"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    println!("client lapin {}", lapin_version());
    tokio::time::timeout(PROGRAM, all()).await?
}

async fn all() -> Result {
    work_queue().await?;
    let connection = connect().await?;
    topic_routing(&connection).await?;
    headers_routing(&connection).await?;
    confirms_and_returns(&connection).await?;
    direct_reply_to(&connection).await?;
    errors(&connection).await?;
    purge_and_cancel(&connection).await?;
    transactions(&connection).await?;
    field_tables(&connection).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Manual acks, a prefetch window, and redelivery after a nack and after a lost connection.
async fn work_queue() -> Result {
    let queue = name("work");
    let first = connect().await?;
    let channel = confirming(&first).await?;
    channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), FieldTable::default()).await?;
    for job in JOBS {
        publish(&channel, "", queue.as_str(), job, BasicProperties::default().with_delivery_mode(2)).await?;
    }
    channel.basic_qos(4, BasicQosOptions::default()).await?;
    let mut consumer = consume(&channel, queue.as_str(), false).await?;
    let taken = take(&mut consumer, 4).await?;
    equal("the first four jobs come in order, none redelivered", seen(&taken), jobs(0..4, false));
    let fifth = tokio::time::timeout(QUIET, consumer.next()).await;
    equal("a full prefetch window holds the fifth back", fifth.is_err(), true);
    taken[0].ack(BasicAckOptions::default()).await?;
    equal("an ack reopens the window", seen(&take(&mut consumer, 1).await?), jobs(4..5, false));
    taken[1].nack(BasicNackOptions { requeue: true, ..Default::default() }).await?;
    let again = take(&mut consumer, 1).await?;
    equal("a nacked job comes back first, redelivered", seen(&again), jobs(1..2, true));
    again[0].ack(BasicAckOptions::default()).await?;
    equal("then the queue goes on", seen(&take(&mut consumer, 1).await?), jobs(5..6, false));
    first.close(200, "done".into()).await?;

    let second = connect().await?;
    let channel = second.create_channel().await?;
    let mut consumer = consume(&channel, queue.as_str(), false).await?;
    let taken = take(&mut consumer, 8).await?;
    let expected = [jobs(2..6, true), jobs(6..10, false)].concat();
    let what = "unacked jobs of a closed connection come back in order, redelivered, before the rest";
    equal(what, seen(&taken), expected);
    taken[3].ack(BasicAckOptions { multiple: true }).await?;
    taken[7].ack(BasicAckOptions { multiple: true }).await?;
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let left = channel.queue_declare(queue.clone(), options, FieldTable::default()).await?;
    equal("two acks of several leave nothing", (left.message_count(), left.consumer_count()), (0, 1));
    channel.queue_delete(queue, QueueDeleteOptions::default()).await?;
    second.close(200, "done".into()).await?;
    Ok(())
}

/// `*` is one word, `#` is any number of them.
async fn topic_routing(connection: &Connection) -> Result {
    let channel = confirming(connection).await?;
    let exchange = name("topic");
    declare_exchange(&channel, &exchange, ExchangeKind::Topic).await?;
    let keys = ["quick.orange.rabbit", "lazy.orange.elephant", "lazy", "lazy.orange.new.rabbit", "a.b"];
    let expected: [(&str, &[&str]); 5] = [
        ("*.orange.*", &["quick.orange.rabbit", "lazy.orange.elephant"]),
        ("*.*.rabbit", &["quick.orange.rabbit"]),
        ("lazy.#", &["lazy.orange.elephant", "lazy", "lazy.orange.new.rabbit"]),
        ("#", &keys),
        ("a.#.b", &["a.b"]),
    ];
    for (pattern, _) in expected {
        declare(&channel, &name(pattern)).await?;
        bind(&channel, &name(pattern), &exchange, pattern, FieldTable::default()).await?;
    }
    for key in keys {
        publish(&channel, exchange.as_str(), key, key, BasicProperties::default()).await?;
    }
    for (pattern, keys) in expected {
        equal(&format!("topic {pattern}"), drain(&channel, &name(pattern)).await?, owned(keys));
    }
    channel.exchange_delete(exchange, ExchangeDeleteOptions::default()).await?;
    channel.close(200, "done".into()).await?;
    Ok(())
}

/// x-match all and any.
async fn headers_routing(connection: &Connection) -> Result {
    let channel = confirming(connection).await?;
    let exchange = name("headers");
    declare_exchange(&channel, &exchange, ExchangeKind::Headers).await?;
    for mode in ["all", "any"] {
        declare(&channel, &name(mode)).await?;
        let arguments = table([("x-match", text(mode)), ("format", text("pdf")), ("pages", 3.into())]);
        bind(&channel, &name(mode), &exchange, "", arguments).await?;
    }
    let cases = [
        ("both", table([("format", text("pdf")), ("pages", 3.into())])),
        ("one", table([("format", text("pdf")), ("pages", 4.into())])),
        ("other", table([("format", text("zip"))])),
        ("none", FieldTable::default()),
    ];
    for (body, headers) in cases {
        publish(&channel, exchange.as_str(), "", body, BasicProperties::default().with_headers(headers))
            .await?;
    }
    equal("headers x-match all", drain(&channel, &name("all")).await?, owned(&["both"]));
    equal("headers x-match any", drain(&channel, &name("any")).await?, owned(&["both", "one"]));
    channel.exchange_delete(exchange, ExchangeDeleteOptions::default()).await?;
    channel.close(200, "done".into()).await?;
    Ok(())
}

/// A mandatory message without a route is returned before it is confirmed.
async fn confirms_and_returns(connection: &Connection) -> Result {
    let channel = confirming(connection).await?;
    let mandatory = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = BasicProperties::default();
    let sent =
        channel.basic_publish("".into(), name("nowhere"), mandatory, b"lost", properties.clone()).await?;
    match soon(sent).await?? {
        Confirmation::Ack(Some(returned)) => {
            let got = (returned.reply_code, returned.reply_text.as_str(), returned.data.as_slice());
            equal("the return precedes the ack: 312 NO_ROUTE", got, (312, "NO_ROUTE", b"lost".as_slice()));
        }
        other => fail(&format!("a mandatory message without a route was not returned: {other:?}")),
    }
    let queue = name("confirmed");
    declare(&channel, &queue).await?;
    let mut pending = Vec::new();
    for i in 0..500 {
        let body = format!("{i}");
        let sent =
            channel.basic_publish("".into(), queue.clone(), mandatory, body.as_bytes(), properties.clone());
        pending.push(sent.await?);
    }
    for confirm in pending {
        if soon(confirm).await?? != Confirmation::Ack(None) {
            fail("a message with a route was not acked, or was returned");
        }
    }
    check("five hundred publishes in flight are confirmed");
    let got = drain(&channel, &queue).await?;
    equal("and stand in the queue in order", got, (0..500).map(|i| format!("{i}")).collect());
    channel.close(200, "done".into()).await?;
    Ok(())
}

/// Five requests at once; the server answers the last first.
async fn direct_reply_to(connection: &Connection) -> Result {
    let (server, requester) = (connection.create_channel().await?, connection.create_channel().await?);
    let queue = name("rpc");
    declare(&server, &queue).await?;
    let mut requests = consume(&server, queue.as_str(), true).await?;
    let mut answers = consume(&requester, "amq.rabbitmq.reply-to", true).await?;
    for i in 0..5 {
        let properties = BasicProperties::default()
            .with_reply_to("amq.rabbitmq.reply-to".into())
            .with_correlation_id(format!("call-{i}").into());
        send(&requester, queue.as_str(), &format!("{i}"), properties).await?;
    }
    for request in take(&mut requests, 5).await?.iter().rev() {
        let reply_to = request.properties.reply_to().clone().ok_or("a request without a reply address")?;
        let id = request.properties.correlation_id().clone().ok_or("a request without an id")?;
        let what = format!("{id} came with a reply address");
        equal(&what, reply_to.as_str().starts_with("amq.rabbitmq.reply-to."), true);
        let n: u32 = body(request).parse()?;
        let properties = BasicProperties::default().with_correlation_id(id);
        send(&server, reply_to.as_str(), &format!("{}", n * n), properties).await?;
    }
    let mut got = Vec::new();
    for answer in take(&mut answers, 5).await? {
        let id = answer.properties.correlation_id().clone().ok_or("an answer without an id")?;
        got.push(format!("{id}={}", body(&answer)));
    }
    let expected = owned(&["call-4=16", "call-3=9", "call-2=4", "call-1=1", "call-0=0"]);
    equal("each answer finds its request", got, expected);
    server.close(200, "done".into()).await?;
    requester.close(200, "done".into()).await?;
    Ok(())
}

/// What costs a channel, and with which code.
async fn errors(connection: &Connection) -> Result {
    let (queue, exclusive) = (name("errors"), name("exclusive"));
    let channel = connection.create_channel().await?;
    let none = FieldTable::default;
    channel.queue_declare(queue.clone(), QueueDeclareOptions::default(), none()).await?;
    declare(&channel, &exclusive).await?;
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };

    let missing = connection.create_channel().await?.queue_declare(name("missing"), passive, none()).await;
    refused("passive declare of a missing queue: 404", 404, missing);
    let durable = QueueDeclareOptions::durable();
    let other_arguments =
        connection.create_channel().await?.queue_declare(queue.clone(), durable, none()).await;
    refused("redeclare with other arguments: 406", 406, other_arguments);
    let unknown = confirming(connection).await?;
    let options = BasicPublishOptions::default();
    let sent =
        unknown.basic_publish(name("missing"), "".into(), options, b"", BasicProperties::default()).await?;
    refused("publish to an unknown exchange: 404", 404, soon(sent).await?);
    let bound = bind(&connection.create_channel().await?, &queue, &name("missing"), "", none()).await;
    refused("bind to an unknown exchange: 404", 404, bound);
    let other = connect().await?;
    let locked = other.create_channel().await?.queue_declare(exclusive, passive, none()).await;
    refused("another connection's exclusive queue: 405", 405, locked);
    other.close(200, "done".into()).await?;
    let deleted = channel.queue_delete(queue, QueueDeleteOptions::default()).await?;
    equal("a channel beside the refused ones lives on", deleted, 0);
    channel.close(200, "done".into()).await?;
    Ok(())
}

/// A purge counts; a consumer's stream ends when the consumer is cancelled or its queue deleted.
async fn purge_and_cancel(connection: &Connection) -> Result {
    let channel = confirming(connection).await?;
    let queue = name("purged");
    declare(&channel, &queue).await?;
    for job in JOBS {
        publish(&channel, "", queue.as_str(), job, BasicProperties::default()).await?;
    }
    let purged = channel.queue_purge(queue.clone(), QueuePurgeOptions::default()).await?;
    equal("purge counts what it drops", purged, 10);
    equal("and leaves nothing", drain(&channel, &queue).await?, owned(&[]));
    let mut consumer = consume(&channel, queue.as_str(), true).await?;
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await?;
    equal("a cancelled consumer's stream ends", soon(consumer.next()).await?.is_none(), true);
    let mut consumer = consume(&channel, queue.as_str(), true).await?;
    channel.queue_delete(queue, QueueDeleteOptions::default()).await?;
    equal("a deleted queue's consumer is cancelled", soon(consumer.next()).await?.is_none(), true);
    channel.close(200, "done".into()).await?;
    Ok(())
}

/// What a transaction publishes is there after its commit, and not after its rollback.
async fn transactions(connection: &Connection) -> Result {
    let channel = connection.create_channel().await?;
    let queue = name("transaction");
    declare(&channel, &queue).await?;
    channel.tx_select().await?;
    send(&channel, queue.as_str(), "rolled back", BasicProperties::default()).await?;
    channel.tx_rollback().await?;
    send(&channel, queue.as_str(), "committed", BasicProperties::default()).await?;
    equal("a publish waits for its commit", drain(&channel, &queue).await?, owned(&[]));
    channel.tx_commit().await?;
    equal("and is there after it", drain(&channel, &queue).await?, owned(&["committed"]));
    channel.close(200, "done".into()).await?;
    Ok(())
}

/// A header of every type of field comes back with its type, beside the other properties.
async fn field_tables(connection: &Connection) -> Result {
    let channel = confirming(connection).await?;
    let queue = name("tables");
    declare(&channel, &queue).await?;
    let headers = table([
        ("boolean", AMQPValue::Boolean(true)),
        ("short short", AMQPValue::ShortShortInt(-128)),
        ("short short unsigned", AMQPValue::ShortShortUInt(255)),
        ("short", AMQPValue::ShortInt(-32768)),
        ("short unsigned", AMQPValue::ShortUInt(65535)),
        ("long", AMQPValue::LongInt(-7)),
        ("long unsigned", AMQPValue::LongUInt(u32::MAX)),
        ("long long", AMQPValue::LongLongInt(-(1 << 40))),
        ("float", AMQPValue::Float(0.5)),
        ("double", AMQPValue::Double(2.5)),
        ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 314 })),
        ("string", text("Häsin 野兎")),
        ("timestamp", AMQPValue::Timestamp(1_709_209_859)),
        ("void", AMQPValue::Void),
        ("bytes", AMQPValue::ByteArray(vec![0, 255].into())),
        ("table", AMQPValue::FieldTable(table([("deep", AMQPValue::FieldTable(table([("er", 1.into())])))]))),
        ("array", AMQPValue::FieldArray(FieldArray::from(vec![1.into(), text("two"), AMQPValue::Void]))),
    ]);
    let sent = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_headers(headers.clone())
        .with_priority(4)
        .with_message_id("m".into())
        .with_timestamp(1_709_209_859);
    publish(&channel, "", queue.as_str(), "", sent.clone()).await?;
    let got = channel.basic_get(queue, BasicGetOptions { no_ack: true }).await?.ok_or("nothing to get")?;
    let got_headers = got.properties.headers().clone().unwrap_or_default();
    for (key, value) in &headers {
        equal(&format!("header of type {key}"), got_headers.inner().get(key.as_str()), Some(value));
    }
    equal("the properties come back as they went", &got.properties, &sent);
    channel.close(200, "done".into()).await?;
    Ok(())
}

async fn connect() -> Result<Connection> {
    let uri = std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".into());
    Ok(soon(Connection::connect(&uri, ConnectionProperties::default())).await??)
}

async fn confirming(connection: &Connection) -> Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Declares a queue that ends with its connection.
async fn declare(channel: &Channel, queue: &ShortString) -> Result {
    channel.queue_declare(queue.clone(), QueueDeclareOptions::exclusive(), FieldTable::default()).await?;
    Ok(())
}

async fn declare_exchange(channel: &Channel, exchange: &ShortString, kind: ExchangeKind) -> Result {
    let options = ExchangeDeclareOptions::default();
    Ok(channel.exchange_declare(exchange.clone(), kind, options, FieldTable::default()).await?)
}

async fn bind(
    channel: &Channel,
    queue: &ShortString,
    exchange: &ShortString,
    key: &str,
    arguments: FieldTable,
) -> lapin::Result<()> {
    channel
        .queue_bind(queue.clone(), exchange.clone(), key.into(), QueueBindOptions::default(), arguments)
        .await
}

async fn consume(channel: &Channel, queue: &str, no_ack: bool) -> Result<Consumer> {
    let options = BasicConsumeOptions { no_ack, ..Default::default() };
    Ok(channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?)
}

/// Publishes on a channel in confirm mode and waits for the ack.
async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &str,
    properties: BasicProperties,
) -> Result {
    let options = BasicPublishOptions::default();
    let sent =
        channel.basic_publish(exchange.into(), key.into(), options, body.as_bytes(), properties).await?;
    match soon(sent).await?? {
        Confirmation::Ack(None) => Ok(()),
        other => Err(format!("{body} was not acked: {other:?}").into()),
    }
}

/// Publishes to a queue on a channel that is not in confirm mode.
async fn send(channel: &Channel, queue: &str, body: &str, properties: BasicProperties) -> Result {
    let options = BasicPublishOptions::default();
    channel.basic_publish("".into(), queue.into(), options, body.as_bytes(), properties).await?;
    Ok(())
}

async fn take(consumer: &mut Consumer, count: usize) -> Result<Vec<Delivery>> {
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(soon(consumer.next()).await?.ok_or("the deliveries ended")??);
    }
    Ok(taken)
}

/// Everything that waits in a queue, taken with basic.get.
async fn drain(channel: &Channel, queue: &ShortString) -> Result<Vec<String>> {
    let mut bodies = Vec::new();
    while let Some(message) = channel.basic_get(queue.clone(), BasicGetOptions { no_ack: true }).await? {
        bodies.push(body(&message));
    }
    Ok(bodies)
}

/// The future's value, before the deadline.
async fn soon<F: Future>(future: F) -> Result<F::Output> {
    tokio::time::timeout(WAIT, future).await.map_err(|_| format!("waited {WAIT:?} in vain").into())
}

fn seen(deliveries: &[Delivery]) -> Vec<(String, bool)> {
    deliveries.iter().map(|delivery| (body(delivery), delivery.redelivered)).collect()
}

fn jobs(range: std::ops::Range<usize>, redelivered: bool) -> Vec<(String, bool)> {
    JOBS[range].iter().map(|job| ((*job).to_owned(), redelivered)).collect()
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.data).into_owned()
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn table<const N: usize>(fields: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in fields {
        table.insert(key.into(), value);
    }
    table
}

/// A name that no other run uses.
fn name(stem: &str) -> ShortString {
    format!("interop-lapin-{stem}-{}", process::id()).into()
}

/// An action that cost its channel, with this reply code.
fn refused<T: Debug>(what: &str, code: u16, outcome: lapin::Result<T>) {
    match outcome {
        Err(error) => match error.kind() {
            ErrorKind::ProtocolError(refusal) => equal(what, refusal.get_id(), code),
            other => fail(&format!("{what}: {other:?}")),
        },
        Ok(value) => fail(&format!("not refused: {what}: {value:?}")),
    }
}

/// Counts a check, or ends the program with both values.
fn equal<T: PartialEq + Debug>(what: &str, got: T, want: T) {
    if got != want {
        fail(&format!("not so: {what}\n  got  {got:?}\n  want {want:?}"));
    }
    check(what);
}

fn check(what: &str) {
    println!("check {what}");
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    process::exit(1)
}

/// The version that Cargo.lock pins.
fn lapin_version() -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("name = \"lapin\"\nversion = \"").nth(1).unwrap_or("unknown\"");
    entry.split('"').next().unwrap_or("unknown")
}
