//! An attacker beside victims, with the real binary: whatever a client does, others go on, memory and alarms come back,
//! and SIGTERM is obeyed. Times are printed and not judged here.
//!
//! `LEVERET_ISOLATION=full` takes the sizes that stalled a broker once, `LEVERET_TEST_PROGRAM=/path` tests that build of
//! it, and the lines of a table come out: `cargo test --test isolation -- --nocapture --test-threads 1 | grep '^|'`.
//!
//! In `tenants` attackers and victims are ordinary users of virtual hosts of their own; with `LEVERET_ISOLATION_WAY=tenants` (or
//! `tenants-tls`) they are in all rows.
#![allow(clippy::doc_markdown, reason = "RabbitMQ is a name, not an identifier")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]
#![allow(clippy::print_stdout, reason = "rows print what they measured")]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/node.rs"]
mod node;
#[path = "../support/tls.rs"]
mod tls;
#[path = "../support/wire.rs"]
mod wire;

// The harness.
mod entry;
mod methods;
mod peer;
mod scene;
mod victim;
mod world;

// The rows.
mod fairness;
mod login;
mod machines;
mod memory;
mod tenants;
