//! What operators do: commands that ask a broker over its HTTP API, with the names and columns of rabbitmqctl.
//!
//! `options` says where the broker is and who asks (`credentials`, `profile`), `client` asks, `output` writes, `error` says what to do
//! when it fails. The rest has a file for each kind of thing; each command is a request or two. Nothing here knows the broker's
//! modules: it is a client like any other.
#![allow(
    clippy::doc_markdown,
    clippy::enum_variant_names,
    clippy::struct_field_names,
    reason = "what stands at commands and their arguments is help for people, and the names are those of the command line"
)]

mod client;
mod columns;
mod connections;
mod credentials;
mod definitions;
mod delayed;
mod error;
mod exchanges;
mod health;
mod lists;
mod local;
mod messages;
mod moving;
mod observed;
mod options;
mod output;
mod policies;
mod profile;
mod queues;
mod redrive;
mod reference;
mod settings;
mod show;
mod status;
mod top;
mod users;
mod values;
mod vhosts;

use std::process::ExitCode;

use clap::{ArgMatches, Args, Subcommand};

use crate::protocol::Printable;
use error::Error;
use options::{Context, Login, Options};
#[cfg(test)]
pub(super) use reference::markdown;

/// A command of operators.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Say what is going on, at a glance
    Status,
    /// Say whether the broker is well, by the exit code: for probes
    Health(health::Health),
    /// Look at what is going on again and again
    Top(top::Top),
    #[command(flatten)]
    Lists(lists::Command),
    #[command(flatten)]
    Show(show::Command),
    #[command(flatten)]
    Queues(queues::Command),
    #[command(flatten)]
    Exchanges(exchanges::Command),
    #[command(flatten)]
    Messages(messages::Command),
    #[command(flatten)]
    Delayed(delayed::Command),
    #[command(flatten)]
    Redrive(redrive::Command),
    #[command(flatten)]
    Observed(observed::Command),
    #[command(flatten)]
    Settings(settings::Command),
    #[command(flatten)]
    Connections(connections::Command),
    #[command(flatten)]
    Users(users::Command),
    #[command(flatten)]
    Vhosts(vhosts::Command),
    #[command(flatten)]
    Policies(policies::Command),
    #[command(flatten)]
    Definitions(definitions::Command),
    #[command(flatten)]
    Moving(moving::Command),
    #[command(flatten)]
    Local(local::Command),
}

/// Those that take no broker.
const LOCAL: [&str; 3] = ["hash-password", "completions", "man"];

/// All of them, as the parser knows them, without what they have in common.
fn commands() -> impl Iterator<Item = clap::Command> {
    let all = Command::augment_subcommands(clap::Command::new("leveret"));
    all.get_subcommands().cloned().collect::<Vec<_>>().into_iter()
}

/// The whole command line with what the operators' commands have in common.
pub(super) fn with_options(mut root: clap::Command) -> clap::Command {
    for command in commands().filter(|command| !LOCAL.contains(&command.get_name())) {
        root = root.mut_subcommand(command.get_name(), Options::augment_args);
    }
    for list in columns::ALL {
        root = root.mut_subcommand(list.command, |command| command.after_help(list.told()));
    }
    root
}

/// Whether a word is the name of one of them.
pub(super) fn is_command(word: &str) -> bool {
    commands().any(|command| command.get_name() == word)
}

/// Does what a command says. `matches` are its own, `root` is the whole command line.
pub(super) fn run(command: &Command, matches: &ArgMatches, root: clap::Command) -> ExitCode {
    match carry_out(command, matches, root) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leveret: {}", Printable::new(&error).cut_at(usize::MAX));
            error.exit_code()
        }
    }
}

fn carry_out(command: &Command, matches: &ArgMatches, root: clap::Command) -> Result<(), Error> {
    let login = match command {
        Command::Local(its) => return local::run(its, root),
        Command::Health(its) => its.login(),
        _ => Login::Always,
    };
    let context = Context::of(matches, login)?;
    match command {
        Command::Status => status::run(&context),
        Command::Health(its) => its.run(&context),
        Command::Top(its) => its.run(&context),
        Command::Lists(its) => lists::run(its, &context),
        Command::Show(its) => show::run(its, &context),
        Command::Queues(its) => queues::run(its, &context),
        Command::Exchanges(its) => exchanges::run(its, &context),
        Command::Messages(its) => messages::run(its, &context),
        Command::Delayed(its) => delayed::run(its, &context),
        Command::Redrive(its) => redrive::run(its, &context),
        Command::Observed(its) => observed::run(its, &context),
        Command::Settings(its) => settings::run(its, &context),
        Command::Connections(its) => connections::run(its, &context),
        Command::Users(its) => users::run(its, &context),
        Command::Vhosts(its) => vhosts::run(its, &context),
        Command::Policies(its) => policies::run(its, &context),
        Command::Definitions(its) => definitions::run(its, &context),
        Command::Moving(its) => moving::run(its, &context),
        Command::Local(_) => Ok(()),
    }
}
