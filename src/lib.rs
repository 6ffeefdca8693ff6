//! Leveret, a message broker that speaks AMQP 0-9-1 as RabbitMQ does.
//!
//! The map, from the inside out; dependencies point one way:
//! `protocol <- core <- store <- broker <- connection <- management <- console <- server <- cli`.
//!
//! * [`protocol`]: bytes to frames, methods, properties and field tables, and back. Pure.
//! * [`core`]: the rules of AMQP: messages, routing, topology, queues, channels. Pure.
//! * [`store`]: durable state.
//! * [`auth`]: proving who one is: hashes of passwords, SASL mechanisms. Beside [`store`]: the broker uses it.
//! * [`tls`]: certificates, and what a client's says of it.
//! * [`broker`]: the concurrent shell round the core.
//! * [`connection`]: listener, handshake, reader and writer of each connection, a handler for each AMQP class.
//! * `telemetry`: spans for OpenTelemetry, with the cargo feature of that name.
//! * [`management`]: the HTTP API.
//! * [`console`]: the web console on it.
//! * [`server`]: the composition root.
//! * [`config`] and [`limits`]: what can be configured, and every bound there is.
//! * [`audit`]: what the log says of who came in and what was changed, in one form.
//! * [`containment`]: whose state a panic may have broken.
//! * `process`: what the system says of the process, and freed memory that goes back to it.
//! * [`cli`]: the command line.

pub mod audit;
pub mod auth;
pub mod broker;
pub mod cli;
pub mod config;
pub mod connection;
pub mod console;
pub mod containment;
pub mod core;
pub mod limits;
pub mod management;
pub mod outside;
mod process;
pub mod protocol;
pub mod server;
pub mod store;
#[cfg(feature = "opentelemetry")]
pub mod telemetry;
pub mod tls;
