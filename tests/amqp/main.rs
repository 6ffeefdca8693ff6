//! End to end through lapin, an independent client. `LEVERET_TEST_AMQP=host:port cargo test --test amqp` runs the same
//! tests against a RabbitMQ, which is where the expectations come from.
#![allow(clippy::doc_markdown, reason = "RabbitMQ is a name, not an identifier")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/client.rs"]
mod client;

mod acknowledging;
mod bindings;
mod confirms;
mod consuming;
mod deduplication;
mod exchanges;
mod getting;
mod prefetch;
mod publishing;
mod queues;
mod reply_to;
mod routing;
mod transactions;
