//! One message there and back: declare a queue, publish to it, consume from it.
//!
//! `cargo run --example hello` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, error::Error};

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;

    // Without a name the broker invents one; an exclusive queue ends with its connection.
    let queue =
        channel.queue_declare("".into(), QueueDeclareOptions::exclusive(), FieldTable::default()).await?;
    println!("queue {}", queue.name());

    // The default exchange, "", delivers to the queue that the routing key names.
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let confirmation = channel
        .basic_publish(
            "".into(),
            queue.name().clone(),
            BasicPublishOptions::default(),
            b"Hello, hare!",
            BasicProperties::default(),
        )
        .await?
        .await?;
    println!("published, acked by the broker: {}", confirmation.is_ack());

    let mut consumer = channel
        .basic_consume(
            queue.name().clone(),
            "hello".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let delivery = consumer.next().await.ok_or("the consumer was cancelled")??;
    println!("received: {}", String::from_utf8_lossy(&delivery.data));
    delivery.ack(BasicAckOptions::default()).await?;

    connection.close(200, "done".into()).await?;
    Ok(())
}
