//! The HTTP API over sockets: what it answers, whom it lets in, and what it counts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/client.rs"]
mod client;
mod counters;
mod definitions;
mod drops;
mod hostile;
mod log;
mod metrics;
mod metrics_detailed;
mod moving_in;
mod objects;
mod observed;
mod openapi;
mod operators;
mod rates;
mod settings;
mod visitors;
