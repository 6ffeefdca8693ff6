//! Priorities: in a queue with `x-max-priority`, messages with a higher priority go first, and those of the same in their
//! order. Only what waits can be overtaken: a consumer with a large prefetch has its messages already.
//!
//! `cargo run --example priorities` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, error::Error, process};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};

const JOBS: [(&str, u8); 4] = [("tidy up", 0), ("invoice", 5), ("alarm", 9), ("second invoice", 5)];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    let queue: ShortString = format!("example-ranked-{}", process::id()).into();
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-priority".into(), AMQPValue::LongLongInt(9));
    channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments).await?;
    for (job, priority) in JOBS {
        let properties = BasicProperties::default().with_delivery_mode(2).with_priority(priority);
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        channel.basic_publish("".into(), queue.clone(), options, job.as_bytes(), properties).await?.await?;
    }

    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume(queue.clone(), "worker".into(), options, FieldTable::default()).await?;
    for _ in JOBS {
        let delivery = consumer.next().await.ok_or("the consumer was cancelled")??;
        let priority = delivery.properties.priority().unwrap_or(0);
        println!("{priority}: {}", String::from_utf8_lossy(&delivery.data));
        delivery.ack(BasicAckOptions::default()).await?;
    }

    channel.queue_delete(queue, QueueDeleteOptions::default()).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}
