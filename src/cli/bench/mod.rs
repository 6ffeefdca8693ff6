//! `leveret bench`: throughput, latency and churn of any AMQP 0-9-1 broker, with the options of RabbitMQ's `PerfTest`.
//!
//! Plain threads and blocking sockets, a connection for each producer and consumer, frames encoded ahead: the
//! generator must not be what is measured. Latency is counted from when a message was due, not from when it could be
//! sent, so a broker that stalls cannot hide it. It knows the protocol and nothing of the broker in this crate.

mod args;
mod argv;
mod batch;
mod churn;
mod clock;
mod consumer;
mod figures;
mod interrupt;
mod plan;
mod producer;
mod report;
mod run;
mod stats;
mod topology;
mod unconfirmed;
mod worker;

use std::process::ExitCode;

pub(super) use args::Args;
pub(super) use argv::rewrite;

use self::plan::Plan;
use crate::cli::amqp::error::Error;

/// Measures, and answers 1 with a line on stderr if that was not possible.
pub(super) fn run(args: Args) -> ExitCode {
    clock::sharpen_sleeps();
    match measure(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leveret: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: Args) -> Result<(), Error> {
    let plan = Plan::try_from(args)?;
    match plan.churn {
        Some(what) => churn::run(&plan, what),
        None => run::run(&plan),
    }
}
