//! TLS and the PROXY protocol as clients meet them, over real sockets.
#![allow(clippy::unwrap_used, clippy::doc_markdown, reason = "tests")]

#[path = "../support/broker.rs"]
mod broker;
mod certificates;
mod closing;
mod external;
mod handshake;
mod https;
mod proxy;
mod self_signed;
#[path = "../support/tls.rs"]
mod tls;
mod traffic;
#[path = "../support/wire.rs"]
mod wire;
