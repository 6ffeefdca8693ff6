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
mod consumer_timeout;
mod consuming;
mod dead_letters;
mod deduplication;
mod delays;
mod exchange_types;
mod exchanges;
mod expiry;
mod getting;
mod limits;
mod prefetch;
mod priorities;
mod publishing;
mod queue_arguments;
mod queues;
mod quorum;
mod reply_to;
mod retries;
mod routing;
mod transactions;
