//! A client of AMQP 0-9-1 brokers, any of them, for the commands that need one: plain threads and blocking sockets, with or without
//! TLS. It knows the protocol and nothing of the broker in this crate.

pub mod client;
pub mod error;
pub mod inbox;
pub mod stream;
pub mod uri;
