//! Moving in from a RabbitMQ: `leveret import-from-rabbitmq`.
//!
//! Definitions come first: what RabbitMQ's management exports is imported here (`definitions`). Then each queue is emptied into
//! the queue of the same name here: `workers` share the queues out, `emptying` consumes one from RabbitMQ and brings what it gives
//! to `/api/leveret/.../move-in`, `batch` holds what is on the way. A message is acknowledged to RabbitMQ when it is safe here.
//! So nothing is lost whatever ends in the middle; what had come here and was not acknowledged is there twice.
//!
//! It is a client of both brokers and knows nothing else of them. What it has done is in RabbitMQ itself: called again, it goes on
//! with what is left there.

mod batch;
mod definitions;
mod emptying;
mod inventory;
mod peer;
mod report;
mod stop;
mod workers;

use std::{path::PathBuf, time::Instant};

use clap::{Args, Subcommand};
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::SecretString;

use super::{error::Error, options::Context};
use peer::Peer;
use report::Report;

/// What is done about another broker.
#[derive(Subcommand)]
pub enum Command {
    /// Take a RabbitMQ's definitions over, and the messages out of its queues. Called again, it goes on with what is left there
    ImportFromRabbitmq(Box<Asked>),
}

/// What is asked for.
#[derive(Args)]
pub struct Asked {
    /// RabbitMQ's management, such as http://ann:password@rabbit.example.org:15672, or https; without a user that of --amqp
    #[arg(long, value_name = "URL", env = "LEVERET_RABBITMQ_MANAGEMENT", hide_env_values = true)]
    management: SecretString,
    /// RabbitMQ itself, such as amqp://ann:password@rabbit.example.org:5672, or amqps; without a user that of --management
    #[arg(long, value_name = "URI", env = "LEVERET_RABBITMQ_AMQP", hide_env_values = true)]
    amqp: SecretString,
    /// Who signs RabbitMQ's certificates, in PEM [default: who this machine trusts]
    #[arg(long, value_name = "FILE")]
    rabbitmq_cacert: Option<PathBuf>,
    /// Only say what there is to move
    #[arg(long)]
    dry_run: bool,
    /// Leave messages where they are
    #[arg(long, conflicts_with = "only_messages")]
    only_definitions: bool,
    /// Leave definitions out: the queues are here already
    #[arg(long)]
    only_messages: bool,
    /// Queues that are emptied at once
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    at_once: u8,
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let Command::ImportFromRabbitmq(asked) = command;
    let peer = Peer::of(&asked.management, &asked.amqp, asked.rabbitmq_cacert.as_deref())?;
    let vhost = context.vhost_said.as_deref();
    let mut report = Report::default();
    if !asked.only_messages {
        report.definitions = definitions::take_over(&peer, context, asked.dry_run)?;
    }
    report.tell_definitions();
    if asked.only_definitions {
        return report.verdict();
    }
    let began = Instant::now();
    report.queues = inventory::queues(&peer, vhost)?;
    if asked.dry_run {
        return report.write(context.output);
    }
    let bar = progress_bar(report.to_move());
    let emptied = workers::empty(&peer, &context.client, &mut report.queues, asked.at_once, &bar);
    bar.finish_and_clear();
    let took = began.elapsed();
    if emptied.is_ok() && report.is_held() {
        inventory::note_held(&peer, vhost, &mut report.queues)?;
    }
    report.write(context.output)?;
    report.tell_messages(took);
    emptied?;
    report.verdict()
}

fn progress_bar(messages: u64) -> ProgressBar {
    if !Term::stderr().is_term() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(messages);
    match ProgressStyle::with_template("{pos} of {len} messages ({per_sec}, {eta} left) {wide_bar}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
