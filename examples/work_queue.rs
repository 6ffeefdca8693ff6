//! A work queue with retries: a job that fails comes again at once, and is set aside after the third attempt. The
//! queue counts; the worker acks or rejects. (retries.rs waits between the attempts.)
//!
//! `cargo run --example work_queue` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, error::Error, process};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions,
        ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const JOBS: [&str; 4] = ["resize hare.png", "flaky upload", "impossible request", "send a letter"];
const ATTEMPTS_MAX: i64 = 3;

#[tokio::main]
async fn main() -> Result {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    let jobs: ShortString = format!("example-jobs-{}", process::id()).into();
    let failed: ShortString = format!("example-failed-{}", process::id()).into();
    declare(&channel, &jobs, &failed).await?;
    for job in JOBS {
        publish(&channel, &jobs, job).await?;
    }

    work(&channel, &jobs).await?;

    for queue in [jobs, failed] {
        let left = channel.queue_delete(queue.clone(), QueueDeleteOptions::default()).await?;
        println!("{queue}: {left} left");
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Durable queues and persistent messages outlive the broker's restart.
async fn declare(channel: &Channel, jobs: &ShortString, failed: &ShortString) -> Result {
    let mut arguments = FieldTable::default();
    // A quorum queue counts deliveries. After so many redeliveries a job is a dead letter.
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(ATTEMPTS_MAX - 1));
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
    arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(failed.as_str().into()));
    channel.queue_declare(failed.clone(), QueueDeclareOptions::durable(), FieldTable::default()).await?;
    channel.queue_declare(jobs.clone(), QueueDeclareOptions::durable(), arguments).await?;
    Ok(())
}

/// Takes one job at a time until each is either done or set aside.
async fn work(channel: &Channel, jobs: &ShortString) -> Result {
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume(jobs.clone(), "worker".into(), options, FieldTable::default()).await?;
    let mut open = JOBS.len();
    while open > 0 {
        let delivery = consumer.next().await.ok_or("the consumer was cancelled")??;
        let attempt = attempt(&delivery);
        let job = String::from_utf8_lossy(&delivery.data);
        match perform(&job, attempt) {
            Ok(()) => {
                println!("attempt {attempt}: {job} - done");
                delivery.ack(BasicAckOptions::default()).await?;
                open -= 1;
            }
            Err(why) => {
                println!("attempt {attempt}: {job} - {why}");
                delivery.reject(BasicRejectOptions { requeue: true }).await?;
                open -= usize::from(attempt == ATTEMPTS_MAX);
            }
        }
    }
    Ok(())
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
