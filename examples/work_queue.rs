//! A work queue with retries: a job that fails goes to the end of the queue with its attempts counted in a
//! header, and is set aside after the third.
//!
//! `cargo run --example work_queue` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, error::Error, process};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const JOBS: [&str; 4] = ["resize hare.png", "flaky upload", "impossible request", "send a letter"];
const ATTEMPTS_MAX: i32 = 3;

#[tokio::main]
async fn main() -> Result {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    // Durable queues and persistent messages outlive the broker's restart.
    let jobs: ShortString = format!("example-jobs-{}", process::id()).into();
    let failed: ShortString = format!("example-failed-{}", process::id()).into();
    for queue in [&jobs, &failed] {
        let durable = QueueDeclareOptions::durable();
        channel.queue_declare(queue.clone(), durable, FieldTable::default()).await?;
    }
    for job in JOBS {
        publish(&channel, &jobs, job.as_bytes(), 1).await?;
    }

    work(&channel, &jobs, &failed).await?;

    for queue in [jobs, failed] {
        let left = channel.queue_delete(queue.clone(), QueueDeleteOptions::default()).await?;
        println!("{queue}: {left} left");
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Takes one job at a time until each is either done or set aside.
async fn work(channel: &Channel, jobs: &ShortString, failed: &ShortString) -> Result {
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
                open -= 1;
            }
            Err(why) => {
                println!("attempt {attempt}: {job} - {why}");
                if attempt < ATTEMPTS_MAX {
                    publish(channel, jobs, &delivery.data, attempt + 1).await?;
                } else {
                    publish(channel, failed, &delivery.data, attempt).await?;
                    open -= 1;
                }
            }
        }
        // Only now: the broker has confirmed the copy, so a crash can repeat a job but not lose it.
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

/// The work itself. One job succeeds at its second attempt, one never does.
fn perform(job: &str, attempt: i32) -> std::result::Result<(), &'static str> {
    match job {
        "flaky upload" if attempt == 1 => Err("connection reset"),
        "impossible request" => Err("not in this universe"),
        _ => Ok(()),
    }
}

/// Publishes a job with its attempt and waits until the broker has taken it over.
async fn publish(channel: &Channel, queue: &ShortString, job: &[u8], attempt: i32) -> Result {
    let mut headers = FieldTable::default();
    headers.insert("attempt".into(), attempt.into());
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirmation =
        channel.basic_publish("".into(), queue.clone(), options, job, properties).await?.await?;
    if confirmation.is_ack() && confirmation.take_message().is_none() {
        Ok(())
    } else {
        Err(format!("{queue} did not take the job").into())
    }
}

fn attempt(delivery: &Delivery) -> i32 {
    let headers = delivery.properties.headers().as_ref();
    headers.and_then(|headers| headers.inner().get("attempt")).and_then(AMQPValue::as_long_int).unwrap_or(1)
}
