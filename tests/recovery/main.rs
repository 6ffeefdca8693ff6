//! What is there after the broker was stopped, killed, cut from power, filled up or damaged on disk. Each test runs the
//! real binary on a folder of its own.
//!
//! `LEVERET_KILLS`, `LEVERET_CUTS`, `LEVERET_SEED` and `LEVERET_LONG_RUN_SECONDS`, `LEVERET_DELAYED` are read by the loops; tests that need
//! root and loop devices say so and return where they have neither.
#![allow(clippy::doc_markdown, reason = "RabbitMQ is a name, not an identifier")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]
#![allow(clippy::print_stdout, reason = "the loops print their seed and their totals")]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/client.rs"]
mod client;
#[path = "../support/node.rs"]
mod node;
#[path = "../support/wire.rs"]
mod wire;

// The harness.
mod cable;
mod history;
mod identity_kills;
mod ledger;
mod link;
mod load;
mod message;
mod mounts;
mod ranges;
mod reach;
mod workers;

// The tests.
mod checker;
mod corruption;
mod dead_letter_chain;
mod dead_letter_kills;
mod dead_letters_waiting;
mod delayed_kills;
mod delayed_many;
mod deletion_kills;
mod disk_full;
mod kill_loop;
mod long_run;
mod power_cut;
mod restart;
mod restart_deduplication;
mod restart_messages;
mod restart_topology;
mod restart_work_queues;
mod spilling;
mod told;
mod transaction_kills;
