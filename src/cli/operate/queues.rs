//! Queues: declared, deleted, emptied.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    client::{Address, named},
    error::Error,
    options::Context,
    values::{pair, table},
};

/// What is done to queues.
#[derive(Subcommand)]
pub enum Command {
    /// Declare a queue; one that is there and is the same stays
    DeclareQueue(Declared),
    /// Delete a queue with its messages
    DeleteQueue {
        /// The queue
        name: String,
        /// Only if it has no consumers
        #[arg(long)]
        if_unused: bool,
        /// Only if it has no messages
        #[arg(long)]
        if_empty: bool,
    },
    /// Take all messages out of a queue that no consumer holds
    PurgeQueue {
        /// The queue
        name: String,
    },
}

/// A queue to be declared.
#[derive(Args)]
pub struct Declared {
    /// The queue
    name: String,
    /// Its type
    #[arg(long = "type", value_name = "TYPE", value_parser = ["classic", "quorum"])]
    kind: Option<String>,
    /// It does not outlive the broker's process
    #[arg(long)]
    transient: bool,
    /// It goes with its last consumer
    #[arg(long)]
    auto_delete: bool,
    /// An argument, such as x-max-length=10; may be given several times
    #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = pair)]
    arguments: Vec<(String, Value)>,
}

/// A queue of the virtual host that the command is for.
pub fn address(context: &Context, name: &str, more: &[&str]) -> Address {
    let vhost = &*context.vhost;
    Address::new(&[&["queues", vhost, name], more].concat(), named("queue", name, vhost))
}

/// The same where Leveret has more than RabbitMQ.
pub fn address_of_ours(context: &Context, name: &str, more: &[&str]) -> Address {
    let vhost = &*context.vhost;
    Address::new(&[&["leveret", "queues", vhost, name], more].concat(), named("queue", name, vhost))
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::DeclareQueue(declared) => {
            let mut arguments = table(&declared.arguments);
            if let Some(kind) = &declared.kind {
                arguments["x-queue-type"] = json!(kind);
            }
            let body = json!({
                "durable": !declared.transient, "auto_delete": declared.auto_delete, "arguments": arguments,
            });
            context.client.put(&address(context, &declared.name, &[]), &body)
        }
        Command::DeleteQueue { name, if_unused, if_empty } => {
            let address = address(context, name, &[])
                .with_some("if-unused", if_unused.then_some(true))
                .with_some("if-empty", if_empty.then_some(true));
            context.client.delete(&address, None)
        }
        Command::PurgeQueue { name } => context.client.delete(&address(context, name, &["contents"]), None),
    }
}
