//! Delayed jobs: a message with the header `x-delay` (milliseconds) or `x-deliver-at` (a time) is routed when that is
//! over. Until then it waits in the broker, on disk if it is persistent, and holds nothing else up.
//!
//! `cargo run --example delayed_jobs` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    process,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let queue: ShortString = format!("example-later-{}", process::id()).into();
    channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), FieldTable::default()).await?;

    // x-delay works on any exchange (RabbitMQ: on those of type x-delayed-message, from a plugin).
    let start = Instant::now();
    let at = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_millis(600);
    let jobs = [
        ("remind, in 900 ms", Some(("x-delay", 900))),
        ("remind, in 300 ms", Some(("x-delay", 300))),
        ("remind, at a moment", Some(("x-deliver-at", i64::try_from(at.as_millis())?))),
        ("at once", None),
    ];
    for (job, header) in jobs {
        let headers: BTreeMap<ShortString, AMQPValue> =
            header.map(|(name, value)| (name.into(), AMQPValue::LongLongInt(value))).into_iter().collect();
        let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers.into());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        channel.basic_publish("".into(), queue.clone(), options, job.as_bytes(), properties).await?.await?;
    }

    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut consumer =
        channel.basic_consume(queue.clone(), "later".into(), options, FieldTable::default()).await?;
    for _ in jobs {
        let delivery = consumer.next().await.ok_or("the consumer was cancelled")??;
        println!("{:.1} s: {}", start.elapsed().as_secs_f32(), String::from_utf8_lossy(&delivery.data));
    }

    channel.queue_delete(queue, QueueDeleteOptions::default()).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}
