//! Topic routing: each queue names the messages it wants by a pattern over the words of their keys. `*` is
//! one word, `#` is any number of them.
//!
//! `cargo run --example topic_routing` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

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

const PATTERNS: [&str; 3] = ["field.*.seen", "#.fox", "field.#"];
const KEYS: [&str; 4] = ["field.hare.seen", "field.hare", "forest.deep.fox", "forest.hare.seen"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;

    // An exchange with auto-delete goes when the last queue bound to it has gone.
    let exchange: ShortString = format!("example-sightings-{}", process::id()).into();
    let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    channel.exchange_declare(exchange.clone(), ExchangeKind::Topic, options, FieldTable::default()).await?;

    let mut queues = Vec::new();
    for pattern in PATTERNS {
        let exclusive = QueueDeclareOptions::exclusive();
        let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await?.name().clone();
        let options = QueueBindOptions::default();
        channel
            .queue_bind(queue.clone(), exchange.clone(), pattern.into(), options, FieldTable::default())
            .await?;
        queues.push((pattern, queue));
    }

    // A confirmed message stands in every queue it was routed to.
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for key in KEYS {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel
            .basic_publish(exchange.clone(), key.into(), options, key.as_bytes(), properties)
            .await?
            .await?;
    }

    for (pattern, queue) in queues {
        println!("{pattern}");
        while let Some(message) = channel.basic_get(queue.clone(), BasicGetOptions { no_ack: true }).await? {
            println!("  {}", message.routing_key);
        }
    }

    connection.close(200, "done".into()).await?;
    Ok(())
}
