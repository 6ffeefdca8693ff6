//! End-to-end tests in few words: lapin with short names, flags as words (`"durable auto-delete"`), and assertions on
//! reply codes and texts.
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "each test crate uses its own part of the support code"
)]

use std::{fmt::Debug, sync::Arc, time::Duration};

use futures_lite::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, Error, ErrorKind,
    ExchangeKind, Queue, Result,
    message::{BasicGetMessage, BasicReturnMessage, Delivery},
    options::*,
    types::{AMQPValue, FieldArray, FieldTable, LongString},
};
use tokio::time::{Instant, timeout};

use crate::broker::{Broker, DEADLINE, unique};

/// A channel, its connection and its broker.
pub struct Ch {
    pub amqp: Channel,
    pub connection: Arc<Connection>,
    broker: Arc<Broker>,
}

impl Ch {
    /// A channel on a connection of its own to the shared broker.
    pub async fn open() -> Self {
        Self::open_to(Broker::shared()).await
    }

    pub async fn open_to(broker: Arc<Broker>) -> Self {
        let uri = broker.uri();
        let connecting = Connection::connect(&uri, ConnectionProperties::default());
        let connection = Arc::new(within(connecting).await.unwrap());
        Self { amqp: within(connection.create_channel()).await.unwrap(), connection, broker }
    }

    /// The same with publisher confirms: `publish` returns when the broker has confirmed.
    pub async fn confirming() -> Self {
        Self::open().await.confirm().await
    }

    pub async fn confirm(self) -> Self {
        within(self.amqp.confirm_select(ConfirmSelectOptions::default())).await.unwrap();
        self
    }

    /// Another channel on the same connection.
    pub async fn sibling(&self) -> Self {
        Self {
            amqp: within(self.connection.create_channel()).await.unwrap(),
            connection: self.connection.clone(),
            broker: self.broker.clone(),
        }
    }

    pub async fn close(&self) {
        within(self.amqp.close(200, "bye".into())).await.unwrap();
    }

    pub async fn close_connection(&self) {
        within(self.connection.close(200, "bye".into())).await.unwrap();
    }

    // Queues.

    /// Flags: passive durable exclusive auto-delete.
    pub async fn declare(&self, queue: &str, flags: &str, args: FieldTable) -> Result<Queue> {
        let [passive, durable, exclusive, auto_delete] =
            words(flags, ["passive", "durable", "exclusive", "auto-delete"]);
        let options = QueueDeclareOptions { passive, durable, exclusive, auto_delete, nowait: false };
        within(self.amqp.queue_declare(queue.into(), options, args)).await
    }

    /// A new exclusive queue.
    pub async fn queue(&self) -> String {
        self.queue_with(FieldTable::default()).await
    }

    pub async fn queue_with(&self, args: FieldTable) -> String {
        let name = unique("queue");
        self.declare(&name, "exclusive", args).await.unwrap();
        name
    }

    /// Ready messages and consumers.
    pub async fn counts(&self, queue: &str) -> (u32, u32) {
        let queue = self.declare(queue, "passive", FieldTable::default()).await.unwrap();
        (queue.message_count(), queue.consumer_count())
    }

    /// Waits until the queue has that many ready messages and consumers.
    pub async fn await_counts(&self, queue: &str, wanted: (u32, u32)) {
        let start = Instant::now();
        loop {
            let counts = self.counts(queue).await;
            if counts == wanted {
                return;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{queue} has {counts:?} messages and consumers, not {wanted:?}"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until the queue is gone; needs channels of its own, for a passive declare of a missing queue closes one.
    pub async fn await_gone(&self, queue: &str) {
        let start = Instant::now();
        while self.sibling().await.declare(queue, "passive", FieldTable::default()).await.is_ok() {
            assert!(start.elapsed() < DEADLINE, "{queue} is still there");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn queue_exists(&self, queue: &str) -> bool {
        self.sibling().await.declare(queue, "passive", FieldTable::default()).await.is_ok()
    }

    pub async fn bind(&self, queue: &str, exchange: &str, key: &str) -> Result<()> {
        self.bind_with(queue, exchange, key, FieldTable::default()).await
    }

    pub async fn bind_with(&self, queue: &str, exchange: &str, key: &str, args: FieldTable) -> Result<()> {
        let options = QueueBindOptions::default();
        within(self.amqp.queue_bind(queue.into(), exchange.into(), key.into(), options, args)).await
    }

    pub async fn unbind(&self, queue: &str, exchange: &str, key: &str) -> Result<()> {
        self.unbind_with(queue, exchange, key, FieldTable::default()).await
    }

    pub async fn unbind_with(&self, queue: &str, exchange: &str, key: &str, args: FieldTable) -> Result<()> {
        within(self.amqp.queue_unbind(queue.into(), exchange.into(), key.into(), args)).await
    }

    pub async fn purge(&self, queue: &str) -> Result<u32> {
        within(self.amqp.queue_purge(queue.into(), QueuePurgeOptions::default())).await
    }

    /// Flags: if-unused if-empty.
    pub async fn delete(&self, queue: &str, flags: &str) -> Result<u32> {
        let [if_unused, if_empty] = words(flags, ["if-unused", "if-empty"]);
        let options = QueueDeleteOptions { if_unused, if_empty, nowait: false };
        within(self.amqp.queue_delete(queue.into(), options)).await
    }

    // Exchanges.

    /// Flags: passive durable auto-delete internal.
    pub async fn exchange_declare(
        &self,
        name: &str,
        kind: &str,
        flags: &str,
        args: FieldTable,
    ) -> Result<()> {
        let [passive, durable, auto_delete, internal] =
            words(flags, ["passive", "durable", "auto-delete", "internal"]);
        let options = ExchangeDeclareOptions { passive, durable, auto_delete, internal, nowait: false };
        within(self.amqp.exchange_declare(name.into(), ExchangeKind::Custom(kind.into()), options, args))
            .await
    }

    /// A new transient exchange; `exchange_delete` it at the end or make it auto-delete by its bindings.
    pub async fn exchange(&self, kind: &str) -> String {
        self.exchange_with(kind, FieldTable::default()).await
    }

    pub async fn exchange_with(&self, kind: &str, args: FieldTable) -> String {
        let name = unique("exchange");
        self.exchange_declare(&name, kind, "auto-delete", args).await.unwrap();
        name
    }

    pub async fn exchange_exists(&self, name: &str) -> bool {
        self.sibling().await.exchange_declare(name, "direct", "passive", FieldTable::default()).await.is_ok()
    }

    pub async fn exchange_delete(&self, name: &str, flags: &str) -> Result<()> {
        let [if_unused] = words(flags, ["if-unused"]);
        within(self.amqp.exchange_delete(name.into(), ExchangeDeleteOptions { if_unused, nowait: false }))
            .await
    }

    pub async fn exchange_bind(&self, destination: &str, source: &str, key: &str) -> Result<()> {
        let (options, args) = (ExchangeBindOptions::default(), FieldTable::default());
        within(self.amqp.exchange_bind(destination.into(), source.into(), key.into(), options, args)).await
    }

    pub async fn exchange_unbind(&self, destination: &str, source: &str, key: &str) -> Result<()> {
        let (options, args) = (ExchangeUnbindOptions::default(), FieldTable::default());
        within(self.amqp.exchange_unbind(destination.into(), source.into(), key.into(), options, args)).await
    }

    // Messages.

    /// Publishes and, on a confirming channel, waits for the confirm.
    pub async fn publish(&self, exchange: &str, key: &str, body: &str) -> Result<Confirmation> {
        self.publish_with(exchange, key, body, "", BasicProperties::default()).await
    }

    /// Flags: mandatory immediate.
    pub async fn publish_with(
        &self,
        exchange: &str,
        key: &str,
        body: &str,
        flags: &str,
        properties: BasicProperties,
    ) -> Result<Confirmation> {
        let [mandatory, immediate] = words(flags, ["mandatory", "immediate"]);
        let options = BasicPublishOptions { mandatory, immediate };
        let published =
            self.amqp.basic_publish(exchange.into(), key.into(), options, body.as_bytes(), properties);
        within(within(published).await?).await
    }

    /// Publishes these bodies to the queue through the default exchange.
    pub async fn fill<B: AsRef<str>>(&self, queue: &str, bodies: impl IntoIterator<Item = B>) {
        for body in bodies {
            self.publish("", queue, body.as_ref()).await.unwrap();
        }
    }

    /// A mandatory publish; what came back, if anything did. Needs a confirming channel.
    pub async fn publish_mandatory(
        &self,
        exchange: &str,
        key: &str,
        body: &str,
    ) -> Option<BasicReturnMessage> {
        let properties = BasicProperties::default();
        self.publish_with(exchange, key, body, "mandatory", properties).await.unwrap().take_message()
    }

    /// basic.get; flags: no-ack.
    pub async fn get(&self, queue: &str, flags: &str) -> Result<Option<BasicGetMessage>> {
        let [no_ack] = words(flags, ["no-ack"]);
        within(self.amqp.basic_get(queue.into(), BasicGetOptions { no_ack })).await
    }

    /// Takes everything out of the queue; the bodies in order.
    pub async fn drain(&self, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(message) = self.get(queue, "no-ack").await.unwrap() {
            bodies.push(body(&message.delivery));
        }
        bodies
    }

    /// Flags: no-ack exclusive no-local. An empty tag lets the server choose.
    pub async fn consume_with(
        &self,
        queue: &str,
        tag: &str,
        flags: &str,
        args: FieldTable,
    ) -> Result<Consumer> {
        let [no_ack, exclusive, no_local] = words(flags, ["no-ack", "exclusive", "no-local"]);
        let options = BasicConsumeOptions { no_local, no_ack, exclusive, nowait: false };
        within(self.amqp.basic_consume(queue.into(), tag.into(), options, args)).await
    }

    pub async fn consume(&self, queue: &str, flags: &str) -> Consumer {
        self.consume_with(queue, "", flags, FieldTable::default()).await.unwrap()
    }

    pub async fn cancel(&self, tag: &str) {
        within(self.amqp.basic_cancel(tag.into(), BasicCancelOptions::default())).await.unwrap();
    }

    /// Flags: global.
    pub async fn qos(&self, prefetch: u16, flags: &str) {
        let [global] = words(flags, ["global"]);
        within(self.amqp.basic_qos(prefetch, BasicQosOptions { global })).await.unwrap();
    }

    /// Flags: multiple.
    pub async fn ack(&self, tag: u64, flags: &str) {
        let [multiple] = words(flags, ["multiple"]);
        within(self.amqp.basic_ack(tag, BasicAckOptions { multiple })).await.unwrap();
    }

    /// Flags: multiple requeue.
    pub async fn nack(&self, tag: u64, flags: &str) {
        let [multiple, requeue] = words(flags, ["multiple", "requeue"]);
        within(self.amqp.basic_nack(tag, BasicNackOptions { multiple, requeue })).await.unwrap();
    }

    pub async fn reject(&self, tag: u64, flags: &str) {
        let [requeue] = words(flags, ["requeue"]);
        within(self.amqp.basic_reject(tag, BasicRejectOptions { requeue })).await.unwrap();
    }

    pub async fn recover(&self, flags: &str) -> Result<()> {
        let [requeue] = words(flags, ["requeue"]);
        within(self.amqp.basic_recover(BasicRecoverOptions { requeue })).await
    }

    /// Every delivery that the queue owed this channel has arrived when it returns; see `Wire::fence`.
    pub async fn fence(&self, queue: &str) {
        self.counts(queue).await;
        self.counts(queue).await;
    }

    /// Runs an operation that has no answer of its own and expects it to close the channel or connection. A consumer
    /// stands by to be told why, for lapin forgets the reason otherwise.
    pub async fn closes<T>(&self, operation: impl Future<Output = T>, code: u16, text: &str) {
        let queue = self.queue().await;
        let mut witness = self.consume(&queue, "no-ack").await;
        within(operation).await;
        match within(witness.next()).await {
            Some(Err(error)) => check(&error, code, text),
            other => panic!("{other:?} instead of {code} {text}"),
        }
    }
}

/// Fails unless the broker refused with this reply code and a text that starts so.
#[track_caller]
pub fn refused<T: Debug>(result: Result<T>, code: u16, text: &str) {
    match result {
        Err(error) => check(&error, code, text),
        Ok(value) => panic!("{value:?} instead of {code} {text}"),
    }
}

#[track_caller]
fn check(error: &Error, code: u16, text: &str) {
    let ErrorKind::ProtocolError(amqp) = error.kind() else { panic!("{error:?} instead of {code} {text}") };
    let said = amqp.get_message().to_string();
    assert!(
        amqp.get_id() == code && said.starts_with(text),
        "{} {said}\ninstead of\n{code} {text}",
        amqp.get_id()
    );
}

/// The next delivery; fails when it does not come or the consumer ends.
pub async fn next(consumer: &mut Consumer) -> Delivery {
    within(consumer.next()).await.expect("the consumer ended").unwrap()
}

/// The bodies of the next deliveries.
pub async fn bodies(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        bodies.push(body(&next(consumer).await));
    }
    bodies
}

/// What has arrived and was not taken yet; call `fence` first.
pub async fn arrived(consumer: &mut Consumer) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while let Some(delivery) = futures_lite::future::poll_once(consumer.next()).await.flatten() {
        deliveries.push(delivery.unwrap());
    }
    deliveries
}

/// Waits until the broker cancels the consumer.
pub async fn cancelled(consumer: &mut Consumer) {
    assert!(within(consumer.next()).await.is_none(), "a delivery instead of a cancel");
}

/// Lets so many milliseconds pass by the broker's clock: a message expires meanwhile. Needs a confirming channel.
pub async fn pass(ch: &Ch, milliseconds: u32) {
    let clock = ch.queue().await;
    let properties = BasicProperties::default().with_expiration(milliseconds.to_string().into());
    ch.publish_with("", &clock, "runs out", "", properties).await.unwrap();
    ch.await_counts(&clock, (0, 0)).await;
    ch.delete(&clock, "").await.unwrap();
}

/// A header of a delivery.
pub fn header(delivery: &Delivery, name: &str) -> Option<AMQPValue> {
    delivery.properties.headers().as_ref()?.inner().get(name).cloned()
}

/// A header of a delivery that is an integer.
pub fn number(delivery: &Delivery, name: &str) -> Option<i64> {
    match header(delivery, name)? {
        AMQPValue::LongLongInt(number) => Some(number),
        AMQPValue::LongInt(number) => Some(number.into()),
        other => panic!("{name} is {other:?}"),
    }
}

/// A header of a delivery that is a text.
pub fn text(delivery: &Delivery, name: &str) -> Option<String> {
    header(delivery, name).map(|value| string(&value))
}

/// A long string.
pub fn string(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => text.to_string(),
        other => panic!("{other:?} is no long string"),
    }
}

pub fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.data.clone()).unwrap()
}

pub async fn within<T>(operation: impl Future<Output = T>) -> T {
    timeout(DEADLINE, operation).await.expect("an answer within the deadline")
}

/// Field values from Rust literals.
pub trait IntoValue {
    fn into_value(self) -> AMQPValue;
}

impl IntoValue for AMQPValue {
    fn into_value(self) -> AMQPValue {
        self
    }
}

impl IntoValue for &str {
    fn into_value(self) -> AMQPValue {
        AMQPValue::LongString(LongString::from(self))
    }
}

impl IntoValue for &String {
    fn into_value(self) -> AMQPValue {
        self.as_str().into_value()
    }
}

impl IntoValue for i32 {
    fn into_value(self) -> AMQPValue {
        AMQPValue::LongInt(self)
    }
}

impl IntoValue for i64 {
    fn into_value(self) -> AMQPValue {
        AMQPValue::LongLongInt(self)
    }
}

impl IntoValue for bool {
    fn into_value(self) -> AMQPValue {
        AMQPValue::Boolean(self)
    }
}

impl IntoValue for &[&str] {
    fn into_value(self) -> AMQPValue {
        AMQPValue::FieldArray(FieldArray::from(self.iter().map(|text| text.into_value()).collect::<Vec<_>>()))
    }
}

/// `args! { "x-max-length": 5, "x-overflow": "reject-publish" }`
macro_rules! args {
    ($($name:literal: $value:expr),* $(,)?) => {{
        #[allow(unused_mut, reason = "the empty table is never changed")]
        let mut table = lapin::types::FieldTable::default();
        $(table.insert($name.into(), $crate::client::IntoValue::into_value($value));)*
        table
    }};
}
pub(crate) use args;

/// Which of the known words the flags contain; an unknown word is a bug in the test.
fn words<const N: usize>(flags: &str, known: [&str; N]) -> [bool; N] {
    for word in flags.split_whitespace() {
        assert!(known.contains(&word), "unknown flag {word}");
    }
    known.map(|word| flags.split_whitespace().any(|flag| flag == word))
}
