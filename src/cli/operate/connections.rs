//! Connections: closed.

use clap::Subcommand;

use super::{client::Address, error::Error, options::Context, output::say, show::connection};

/// What is done to connections.
#[derive(Subcommand)]
pub enum Command {
    /// Close a connection; its client is told the reason
    CloseConnection {
        /// Its name, as leveret list-connections name shows it
        name: String,
        /// Why
        #[arg(value_parser = reason)]
        reason: String,
    },
    /// Close all connections, with -p those of one virtual host; their clients are told the reason
    CloseAllConnections {
        /// Why
        #[arg(value_parser = reason)]
        reason: String,
    },
}

/// It goes as a header, which holds no other letters.
fn reason(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if fits { Ok(text.into()) } else { Err("is empty, or has other letters than ASCII's".into()) }
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::CloseConnection { name, reason } => context.client.delete(&connection(name), Some(reason)),
        Command::CloseAllConnections { reason } => {
            let all = match &context.vhost_said {
                None => Address::new(&["connections"], "connections"),
                Some(vhost) => {
                    Address::new(&["vhosts", vhost, "connections"], format!("virtual host '{vhost}'"))
                }
            };
            let mut closed = 0;
            for item in context.client.list(&all.with("columns", "name"))? {
                let name = item["name"].as_str().unwrap_or_default();
                match context.client.delete(&connection(name), Some(reason)) {
                    Ok(()) => closed += 1,
                    // It has gone meanwhile.
                    Err(Error::Missing(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            say(format_args!("{closed} closed"))
        }
    }
}
