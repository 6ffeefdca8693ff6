//! The command line: `leveret [serve]` and the tools. The only module that prints.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program talks to people")]

mod amqp;
mod bench;
mod config;
mod fsck;
mod log;
mod operate;
mod serve;
mod tls;
mod version;

use std::process::ExitCode;

use clap::{
    ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind, parser::ValueSource,
};

use crate::config::{LogFilter, LogFormat, Settings, by_variable};
use crate::protocol::Printable;

/// A message broker that speaks AMQP 0-9-1 as RabbitMQ does.
#[derive(Parser)]
#[command(version, long_version = version::LONG.as_str(), args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Run the broker (the default)
    Serve(Box<Settings>),
    /// Measure an AMQP 0-9-1 broker
    Bench(Box<bench::Args>),
    /// Check a data folder that no broker uses; changes nothing
    Fsck(fsck::Args),
    /// Make certificates for trying TLS
    #[command(subcommand)]
    Tls(tls::Args),
    /// Show, check and translate configuration
    #[command(subcommand)]
    Config(config::Args),
    #[command(flatten)]
    Operate(Box<operate::Command>),
}

/// Does what the command line says.
pub fn run() -> ExitCode {
    let matches = command_line().try_get_matches_from(bench::rewrite(std::env::args_os()));
    let (matches, cli) = match matches.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches))) {
        Ok((cli, matches)) => (matches, cli),
        Err(error) => return refuse(&error),
    };
    match cli.command {
        None => serve(cli.settings, &matches),
        Some(Command::Serve(settings)) => serve(*settings, behind(&matches)),
        Some(Command::Bench(args)) => {
            log::start(LogFilter::default(), LogFormat::Text, std::sync::Arc::default());
            bench::run(*args)
        }
        Some(Command::Fsck(args)) => fsck::run(&args),
        Some(Command::Tls(args)) => tls::run(&args),
        Some(Command::Config(args)) => config::run(args, behind(&matches)),
        Some(Command::Operate(command)) => {
            let (_, own) = matches.subcommand().expect("the parser has found one");
            operate::run(&command, own, command_line())
        }
    }
}

/// All that the program understands.
fn command_line() -> clap::Command {
    operate::with_options(Cli::command())
}

/// What the parser has found behind the subcommand.
fn behind(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, own)| own)
}

fn serve(settings: Settings, matches: &ArgMatches) -> ExitCode {
    serve::run(Settings { by_variable: by_variable(matches), ..settings }, shows_password(matches))
}

/// Whether a password stands in the list of processes.
fn shows_password(matches: &ArgMatches) -> bool {
    matches.value_source("default_pass") == Some(ValueSource::CommandLine)
}

/// A value that cannot be is one line, like what is wrong in the configuration file; the rest is for the parser to tell.
fn refuse(error: &clap::Error) -> ExitCode {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        error.exit();
    }
    let text = error.to_string();
    let text = text.split("\n\n").next().unwrap_or_default();
    eprintln!("leveret: {}", Printable::new(text.trim_start_matches("error: ").replace('\n', " ")));
    match std::env::args().nth(1) {
        Some(command) if operate::is_command(&command) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        command_line().debug_assert();
    }

    #[test]
    fn the_list_of_commands_is_what_the_code_says() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command-line.md");
        let made = operate::markdown(command_line());
        if std::env::var_os("LEVERET_REGENERATE").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == made, "run this test with LEVERET_REGENERATE=1");
    }
}
