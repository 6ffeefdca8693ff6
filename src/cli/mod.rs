//! The command line: `leveret [serve]` and the tools. The only module that prints.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program talks to people")]

mod bench;
mod fsck;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Settings;

/// A message broker that speaks AMQP 0-9-1 as RabbitMQ does.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Run the broker (the default)
    Serve(Settings),
    /// Measure an AMQP 0-9-1 broker
    Bench(bench::Args),
    /// Check a data folder that no broker uses; changes nothing
    Fsck(fsck::Args),
}

/// Does what the command line says.
pub fn run() -> ExitCode {
    let cli = Cli::parse_from(bench::rewrite(std::env::args_os()));
    match cli.command {
        None => serve::run(cli.settings),
        Some(Command::Serve(settings)) => serve::run(settings),
        Some(Command::Bench(args)) => bench::run(args),
        Some(Command::Fsck(args)) => fsck::run(&args),
    }
}
