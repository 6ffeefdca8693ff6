//! Publish and subscribe: an exchange of type fanout copies each message to every queue that is bound to it.
//!
//! `cargo run --example publish_subscribe` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

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

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;

    // An exchange with auto-delete goes when the last queue bound to it has gone.
    let exchange: ShortString = format!("example-news-{}", process::id()).into();
    let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    channel.exchange_declare(exchange.clone(), ExchangeKind::Fanout, options, FieldTable::default()).await?;

    // Each subscriber has a queue of its own; what was published before it was bound does not reach it.
    let mut subscribers = Vec::new();
    for name in ["archive", "screen"] {
        let exclusive = QueueDeclareOptions::exclusive();
        let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await?.name().clone();
        let options = QueueBindOptions::default();
        channel
            .queue_bind(queue.clone(), exchange.clone(), "".into(), options, FieldTable::default())
            .await?;
        subscribers.push((name, queue));
    }

    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for news in ["the hare is awake", "the fox is not"] {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel
            .basic_publish(exchange.clone(), "".into(), options, news.as_bytes(), properties)
            .await?
            .await?;
    }

    for (name, queue) in subscribers {
        while let Some(message) = channel.basic_get(queue.clone(), BasicGetOptions { no_ack: true }).await? {
            println!("{name}: {}", String::from_utf8_lossy(&message.data));
        }
    }

    connection.close(200, "done".into()).await?;
    Ok(())
}
