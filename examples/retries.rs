//! A work queue that tries failed jobs again after growing waits and sets hopeless ones aside: its arguments say how
//! long, how often, and where to. The worker acks or nacks, and no more.
//!
//! `cargo run --example retries` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{collections::BTreeMap, env, error::Error, process, time::Instant};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const JOBS: [&str; 4] = ["resize hare.png", "flaky upload", "impossible request", "send a letter"];

#[tokio::main]
async fn main() -> Result {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    let jobs: ShortString = format!("example-retried-{}", process::id()).into();
    let failed: ShortString = format!("example-given-up-{}", process::id()).into();
    declare(&channel, &jobs, &failed).await?;
    for job in JOBS {
        publish(&channel, &jobs, job).await?;
    }

    work(&channel, &jobs, &failed).await?;

    for queue in [jobs, failed] {
        let left = channel.queue_delete(queue.clone(), QueueDeleteOptions::default()).await?;
        println!("{queue}: {left} left");
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// The queue of the jobs, and the one for those that are given up.
async fn declare(channel: &Channel, jobs: &ShortString, failed: &ShortString) -> Result {
    let text = |value: &str| AMQPValue::LongString(value.into());
    let arguments = [
        ("x-queue-type", text("quorum")),                // it counts deliveries
        ("x-delivery-limit", AMQPValue::LongLongInt(3)), // as many retries; then a job is a dead letter
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(failed.as_str())),
        ("x-delayed-retry-type", text("all")),
        ("x-delayed-retry-min", AMQPValue::LongLongInt(200)), // ms; then 400, 800, ...
        ("x-delayed-retry-max", AMQPValue::LongLongInt(60_000)),
        ("x-delayed-retry-backoff", text("exponential")),
        ("x-delayed-retry-multiplier", AMQPValue::LongLongInt(2)),
    ];
    let arguments: BTreeMap<_, _> =
        arguments.into_iter().map(|(name, value)| (ShortString::from(name), value)).collect();
    channel.queue_declare(failed.clone(), QueueDeclareOptions::durable(), FieldTable::default()).await?;
    channel.queue_declare(jobs.clone(), QueueDeclareOptions::durable(), arguments.into()).await?;
    Ok(())
}

/// Takes one job at a time until each is either done or set aside.
async fn work(channel: &Channel, jobs: &ShortString, failed: &ShortString) -> Result {
    let start = Instant::now();
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let worker = consume(channel, jobs, "worker").await?;
    let undertaker = consume(channel, failed, "undertaker").await?;
    let mut deliveries = worker.or(undertaker);
    let mut open = JOBS.len();
    while open > 0 {
        let delivery = deliveries.next().await.ok_or("the consumers were cancelled")??;
        let at = format!("{:.1} s", start.elapsed().as_secs_f32());
        let job = String::from_utf8_lossy(&delivery.data);
        if delivery.routing_key == *failed {
            println!("{at}, set aside: {job}");
            delivery.ack(BasicAckOptions::default()).await?;
            open -= 1;
            continue;
        }
        let attempt = attempt(&delivery);
        match perform(&job, attempt) {
            Ok(()) => {
                println!("{at}, attempt {attempt}: {job} - done");
                delivery.ack(BasicAckOptions::default()).await?;
                open -= 1;
            }
            Err(why) => {
                println!("{at}, attempt {attempt}: {job} - {why}");
                delivery.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?;
            }
        }
    }
    Ok(())
}

async fn consume(channel: &Channel, queue: &ShortString, tag: &str) -> Result<Consumer> {
    let options = BasicConsumeOptions::default();
    Ok(channel.basic_consume(queue.clone(), tag.into(), options, FieldTable::default()).await?)
}

/// The work itself. One job succeeds at its second attempt, one never does.
fn perform(job: &str, attempt: i64) -> std::result::Result<(), &'static str> {
    match job {
        "flaky upload" if attempt == 1 => Err("connection reset"),
        "impossible request" => Err("not in this universe"),
        _ => Ok(()),
    }
}

/// Publishes a job and waits until the broker has taken it over.
async fn publish(channel: &Channel, queue: &ShortString, job: &str) -> Result {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirmation =
        channel.basic_publish("".into(), queue.clone(), options, job.as_bytes(), properties).await?.await?;
    if confirmation.is_ack() && confirmation.take_message().is_none() {
        Ok(())
    } else {
        Err(format!("{queue} did not take the job").into())
    }
}

/// How often a job was delivered, this time included; nothing says so the first time.
fn attempt(delivery: &Delivery) -> i64 {
    let headers = delivery.properties.headers().as_ref();
    let before = headers.and_then(|headers| headers.inner().get("x-delivery-count"));
    before.and_then(AMQPValue::as_long_long_int).unwrap_or(0) + 1
}
