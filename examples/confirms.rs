//! Confirms, many at once: publish on and on, and look at what became of each message afterwards. Acked: every queue of
//! its route has it, on disk if queue and message are durable. Returned: there is no such queue. Nacked: a queue
//! did not take it.
//!
//! `cargo run --example confirms` against the broker at `AMQP_URL` (default: `127.0.0.1:5672`).

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{collections::BTreeMap, env, error::Error, process, time::Instant};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, ShortString},
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const ORDERS: usize = 1_000;
const ROOM: i64 = 900;

#[tokio::main]
async fn main() -> Result {
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    let queue: ShortString = format!("example-confirmed-{}", process::id()).into();
    let arguments: BTreeMap<ShortString, AMQPValue> = BTreeMap::from([
        ("x-max-length".into(), AMQPValue::LongLongInt(ROOM)),
        ("x-overflow".into(), AMQPValue::LongString("reject-publish".into())),
    ]);
    channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments.into()).await?;

    // A confirm comes for each message, but nobody waits for one before the next message is sent.
    let start = Instant::now();
    let mut confirms = Vec::new();
    for number in 0..ORDERS {
        confirms.push(publish(&channel, &queue, &format!("order {number}")).await?);
    }
    let (mut safe, mut refused) = (0, 0);
    for confirm in confirms {
        match confirm.await? {
            Confirmation::Ack(None) => safe += 1,
            Confirmation::Ack(Some(_)) => return Err("the queue is not there".into()),
            _ => refused += 1, // keep it, and try again later
        }
    }
    println!("{safe} safe, {refused} not taken, after {:.0?}", start.elapsed());

    // Without `mandatory` a message without a queue is acked, and gone.
    let misspelt = format!("{queue}-misspelt").into();
    if let Some(message) = publish(&channel, &misspelt, "an order").await?.await?.take_message() {
        println!("returned: {}", message.reply_text);
    }

    let left = channel.queue_delete(queue, QueueDeleteOptions::default()).await?;
    println!("{left} in the queue");
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Publishes an order; the answer is there when it is waited for.
async fn publish(
    channel: &Channel,
    queue: &ShortString,
    order: &str,
) -> Result<impl Future<Output = lapin::Result<Confirmation>> + use<>> {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    Ok(channel.basic_publish("".into(), queue.clone(), options, order.as_bytes(), properties).await?)
}
