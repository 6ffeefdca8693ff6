//! Routing: an exchange of type direct gives a message to the queues that are bound with exactly its routing key.
//!
//! `cargo run --example routing` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, error::Error, process};

use lapin::{
    BasicProperties, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{FieldTable, ShortString},
};

const BINDINGS: [(&str, &[&str]); 2] =
    [("on disk", &["error"]), ("on screen", &["info", "warning", "error"])];
const LINES: [(&str, &str); 4] = [
    ("info", "listening"),
    ("warning", "the disk fills"),
    ("error", "the disk is full"),
    ("debug", "nobody wants this"),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;

    let exchange: ShortString = format!("example-log-{}", process::id()).into();
    let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    channel.exchange_declare(exchange.clone(), ExchangeKind::Direct, options, FieldTable::default()).await?;

    let mut queues = Vec::new();
    for (place, keys) in BINDINGS {
        let exclusive = QueueDeclareOptions::exclusive();
        let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await?.name().clone();
        for &key in keys {
            let options = QueueBindOptions::default();
            channel
                .queue_bind(queue.clone(), exchange.clone(), key.into(), options, FieldTable::default())
                .await?;
        }
        queues.push((place, queue));
    }

    // A confirmed message stands in every queue it was routed to: none, for the last line.
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for (key, line) in LINES {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel
            .basic_publish(exchange.clone(), key.into(), options, line.as_bytes(), properties)
            .await?
            .await?;
    }

    for (place, queue) in queues {
        println!("{place}");
        while let Some(message) = channel.basic_get(queue.clone(), BasicGetOptions { no_ack: true }).await? {
            println!("  {}: {}", message.routing_key, String::from_utf8_lossy(&message.data));
        }
    }

    connection.close(200, "done".into()).await?;
    Ok(())
}
