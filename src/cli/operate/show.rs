//! One thing with all that is known of it.

use clap::Subcommand;

use super::{client::Address, error::Error, exchanges, options::Context, queues};

/// What is shown.
#[derive(Subcommand)]
pub enum Command {
    /// Show a queue, an exchange or a connection with all that is known of it
    #[command(subcommand)]
    Show(Thing),
}

/// One of the things that there are.
#[derive(Subcommand)]
pub enum Thing {
    /// A queue, with its consumers
    Queue {
        /// Its name
        name: String,
    },
    /// An exchange
    Exchange {
        /// Its name
        name: String,
    },
    /// A connection
    Connection {
        /// Its name, as leveret list-connections name shows it
        name: String,
    },
}

/// A connection.
pub fn connection(name: &str) -> Address {
    Address::new(&["connections", name], format!("connection '{name}': leveret list-connections name"))
}

/// Shows it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let Command::Show(thing) = command;
    let address = match thing {
        Thing::Queue { name } => queues::address(context, name, &[]),
        Thing::Exchange { name } => exchanges::address(context, name, &[]),
        Thing::Connection { name } => connection(name),
    };
    context.output.one(&context.client.get(&address)?)
}
