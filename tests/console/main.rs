//! The web console over sockets, as a browser without its module sees it: who gets in, what pages show, and what forms change. What a real
//! browser makes of it is tested by `tests/console/run`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actions;
mod admin;
#[path = "../http/api.rs"]
mod api;
#[path = "../support/broker.rs"]
mod broker;
mod browser;
#[path = "../support/client.rs"]
mod client;
mod definitions;
mod delayed;
mod door;
mod pages;
mod routing;
mod told;
