//! Messages that wait for their time: listed and cancelled.

use clap::Subcommand;

use super::{
    client::Address,
    error::Error,
    messages::{Page, show_page},
    options::Context,
    queues,
};

/// What is done with them.
#[derive(Subcommand)]
pub enum Command {
    /// See and cancel messages that wait for their time
    #[command(subcommand)]
    Delayed(Deed),
}

/// One of the things that can be done.
#[derive(Subcommand)]
pub enum Deed {
    /// List those that were published with a delay in the virtual host, or those that wait in a queue to come again
    List {
        /// The queue where they wait
        #[arg(long, value_name = "NAME")]
        queue: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Cancel one: it is never delivered
    Cancel {
        /// Where it stands, as leveret delayed list shows it
        position: String,
        /// The queue where it waits, if it was listed with one
        #[arg(long, value_name = "NAME")]
        queue: Option<String>,
    },
}

/// What is shown of them, beside what is in them.
const COLUMNS: [&str; 5] = ["position", "due", "attempts", "exchange", "routing_key"];

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let Command::Delayed(deed) = command;
    match deed {
        Deed::List { queue: Some(queue), page } => {
            let address = queues::address_of_ours(context, queue, &["messages"]).with("state", "delayed");
            show_page(context, address, &COLUMNS, page)
        }
        Deed::List { queue: None, page } => {
            let vhost = &*context.vhost;
            let address = Address::new(&["leveret", "delayed", vhost], format!("virtual host '{vhost}'"));
            show_page(context, address, &COLUMNS, page)
        }
        Deed::Cancel { position, queue } => {
            let vhost = &*context.vhost;
            let words = match queue {
                Some(queue) => vec!["leveret", "queues", vhost, queue, "delayed", position],
                None => vec!["leveret", "delayed", vhost, position],
            };
            let place = queue.as_ref().map(|queue| format!("queue '{queue}' in ")).unwrap_or_default();
            let what = format!(
                "message at '{position}' that waits in {place}virtual host '{vhost}': leveret delayed list"
            );
            context.client.delete(&Address::new(&words, what), None)
        }
    }
}
