//! The commands of operators, against brokers of the tests' own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod beyond;
#[path = "../support/broker.rs"]
mod broker;
mod connections;
mod errors;
mod formats;
mod lists;
mod local;
mod logins;
mod messages;
mod moving;
mod objects;
mod observed;
mod operator;
mod settings;
mod watching;
#[path = "../support/wire.rs"]
mod wire;
