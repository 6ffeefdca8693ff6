//! Dead letters, and the way back: what a consumer rejects or nobody takes in time goes to another queue. When the cause
//! is mended, a redrive takes them back to the queue where they died. The redrive is asked for over the HTTP API at
//! `LEVERET_URL` (default: `http://127.0.0.1:15672`); `leveret redrive QUEUE --to-origin` does the same.
//!
//! `cargo run --example dead_letters` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, error::Error, process};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions,
        BasicQosOptions, BasicRejectOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};
use serde_json::{Value, json};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;

    let orders: ShortString = format!("example-orders-{}", process::id()).into();
    let dead: ShortString = format!("example-dead-{}", process::id()).into();
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
    arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(dead.as_str().into()));
    channel.queue_declare(dead.clone(), QueueDeclareOptions::durable(), FieldTable::default()).await?;
    channel.queue_declare(orders.clone(), QueueDeclareOptions::durable(), arguments).await?;

    // The consumer does not know what to do with an order, and rejects it for good.
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    channel.basic_publish("".into(), orders.clone(), options, b"a hat for a hare", properties).await?.await?;
    next_of(&channel, &orders).await?.reject(BasicRejectOptions { requeue: false }).await?;

    let letter = next_of(&channel, &dead).await?;
    let headers = letter.properties.headers().as_ref().ok_or("a dead letter without headers")?;
    let text =
        |name: &str| headers.inner().get(name).and_then(AMQPValue::as_long_string).map(ToString::to_string);
    let (reason, queue) = (text("x-first-death-reason"), text("x-first-death-queue"));
    let order = String::from_utf8_lossy(&letter.data);
    println!("dead: {order} - {} in {}", reason.unwrap_or_default(), queue.unwrap_or_default());
    letter.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?; // it stays there

    // The consumer has learned about hats; the dead may come back.
    let from = dead.to_string();
    let moved = tokio::task::spawn_blocking(move || redrive(&from)).await??;
    println!("redriven: {moved}");

    let order = next_of(&channel, &orders).await?;
    println!("back: {}", String::from_utf8_lossy(&order.data));
    order.ack(BasicAckOptions::default()).await?;
    for queue in [orders, dead] {
        let left = channel.queue_delete(queue.clone(), QueueDeleteOptions::default()).await?;
        println!("{queue}: {left} left");
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Waits for the next message of a queue.
async fn next_of(channel: &Channel, queue: &ShortString) -> Result<Delivery> {
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume(queue.clone(), "one".into(), options, FieldTable::default()).await?;
    let delivery = consumer.next().await.ok_or("the consumer was cancelled")??;
    channel.basic_cancel("one".into(), BasicCancelOptions::default()).await?;
    Ok(delivery)
}

/// Moves everything in a queue to where it died, and says how many messages that were.
fn redrive(queue: &str) -> Result<u64> {
    let api = env::var("LEVERET_URL").unwrap_or_else(|_| "http://127.0.0.1:15672".to_owned());
    let login = "Basic Z3Vlc3Q6Z3Vlc3Q="; // guest:guest
    let asked: Value = ureq::post(format!("{api}/api/leveret/queues/%2F/{queue}/redrive"))
        .header("Authorization", login)
        .send_json(json!({ "to": { "origin": true } }))?
        .body_mut()
        .read_json()?;
    loop {
        let redrive: Value = ureq::get(format!("{api}/api/leveret/redrives/{}", asked["id"]))
            .header("Authorization", login)
            .call()?
            .body_mut()
            .read_json()?;
        if !redrive["ended"].is_null() {
            return Ok(redrive["sent"].as_u64().unwrap_or(0));
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
