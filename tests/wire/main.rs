//! Frame scripts: exact bytes in, exact frames out. `LEVERET_TEST_AMQP=host:port cargo test --test wire` runs the same
//! scripts against a RabbitMQ, which is where the expectations come from.
#![allow(clippy::doc_markdown, reason = "RabbitMQ is a name, not an identifier")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/wire.rs"]
mod wire;

mod channels;
mod closing;
mod content;
mod delivering;
mod framing;
mod handshake;
mod heartbeat;
mod hostile;
mod limits;
mod publishing;
