//! Calls and answers (RPC). The caller needs no queue: it consumes the pseudo-queue `amq.rabbitmq.reply-to`, and the
//! broker takes answers straight to it. The correlation id says which call an answer is for.
//!
//! `cargo run --example rpc` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{collections::BTreeMap, env, error::Error, process};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions,
    },
    types::{FieldTable, ShortString},
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const REPLY_TO: &str = "amq.rabbitmq.reply-to";
const NUMBERS: [u64; 3] = [3, 4, 5];

#[tokio::main]
async fn main() -> Result {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let queue: ShortString = format!("example-squares-{}", process::id()).into();
    let server = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = server.create_channel().await?;
    let options = QueueDeclareOptions { auto_delete: true, ..Default::default() };
    channel.queue_declare(queue.clone(), options, FieldTable::default()).await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let requests =
        channel.basic_consume(queue.clone(), "server".into(), options, FieldTable::default()).await?;
    let serving = tokio::spawn(serve(channel.clone(), requests));

    let caller = Connection::connect(&url, ConnectionProperties::default()).await?;
    let calling = caller.create_channel().await?;
    for (id, answer) in call(&calling, &queue).await? {
        println!("call {id}: {answer}");
    }
    serving.await??;
    // Both channels are still held here: one that is dropped closes itself, which fails while its connection is being closed.
    caller.close(200, "done".into()).await?;
    server.close(200, "done".into()).await?;
    Ok(())
}

/// Answers three calls. In life this is another program, on another machine.
async fn serve(channel: Channel, mut requests: Consumer) -> Result {
    for _ in NUMBERS {
        let request = requests.next().await.ok_or("the consumer was cancelled")??;
        let number: u64 = String::from_utf8_lossy(&request.data).parse()?;
        let properties = &request.properties;
        let reply_to = properties.reply_to().clone().ok_or("nobody to answer")?;
        let id = properties.correlation_id().clone().ok_or("no correlation id")?;
        let answer = (number * number).to_string();
        let properties = BasicProperties::default().with_correlation_id(id);
        channel
            .basic_publish("".into(), reply_to, BasicPublishOptions::default(), answer.as_bytes(), properties)
            .await?;
        request.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

/// Calls three times at once, and takes the answers as they come.
async fn call(channel: &Channel, queue: &ShortString) -> Result<BTreeMap<String, String>> {
    // Consume first, then publish, on the same channel.
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut deliveries =
        channel.basic_consume(REPLY_TO.into(), "caller".into(), options, FieldTable::default()).await?;
    for number in NUMBERS {
        let number = number.to_string();
        let properties = BasicProperties::default()
            .with_reply_to(REPLY_TO.into())
            .with_correlation_id(number.as_str().into());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        channel.basic_publish("".into(), queue.clone(), options, number.as_bytes(), properties).await?;
    }
    let mut answers = BTreeMap::new();
    while answers.len() < NUMBERS.len() {
        let answer = deliveries.next().await.ok_or("the consumer was cancelled")??;
        let id = answer.properties.correlation_id().as_ref().ok_or("an answer to nothing")?.to_string();
        answers.insert(id, String::from_utf8_lossy(&answer.data).into_owned());
    }
    Ok(answers)
}
