//! Messages that wait for their time: listed, rescheduled and cancelled.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    client::Address,
    error::Error,
    messages::{Page, show_page},
    options::Context,
    queues,
    redrive::milliseconds,
};

/// What is done with them.
#[derive(Subcommand)]
pub enum Command {
    /// See, reschedule and cancel messages that wait for their time
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
    /// Have one come at another time; it stands elsewhere then
    Reschedule {
        /// Where it stands, as leveret delayed list shows it
        position: String,
        /// The queue where it waits, if it was listed with one
        #[arg(long, value_name = "NAME")]
        queue: Option<String>,
        #[command(flatten)]
        when: When,
    },
}

/// When a message is to come.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct When {
    /// So long from now, such as 90s, 15m, 12h or 7d; 0s is at once
    #[arg(long = "in", value_name = "TIME", value_parser = milliseconds)]
    delay: Option<u64>,
    /// At a moment, such as 2030-01-31T12:00:00Z, or in milliseconds since 1970
    #[arg(long = "at", value_name = "MOMENT", value_parser = moment)]
    due: Option<u64>,
}

impl When {
    fn json(&self) -> Value {
        json!({ "due": self.due, "delay": self.delay })
    }
}

/// A moment as milliseconds since the Unix epoch.
fn moment(text: &str) -> Result<u64, String> {
    let written = || OffsetDateTime::parse(text, &Rfc3339).ok();
    let read = || u64::try_from(written()?.unix_timestamp_nanos() / 1_000_000).ok();
    let wrong = || format!("'{text}' is no moment, such as 2030-01-31T12:00:00Z or 1896091200000");
    text.parse().ok().or_else(read).ok_or_else(wrong)
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
            context.client.delete(&address(context, queue.as_deref(), position), None)
        }
        Deed::Reschedule { position, queue, when } => {
            context.client.put(&address(context, queue.as_deref(), position), &when.json())
        }
    }
}

/// Where a message stands.
fn address(context: &Context, queue: Option<&str>, position: &str) -> Address {
    let vhost = &*context.vhost;
    let words = match queue {
        Some(queue) => vec!["leveret", "queues", vhost, queue, "delayed", position],
        None => vec!["leveret", "delayed", vhost, position],
    };
    let place = queue.map(|queue| format!("queue '{queue}' in ")).unwrap_or_default();
    let what =
        format!("message at '{position}' that waits in {place}virtual host '{vhost}': leveret delayed list");
    Address::new(&words, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_a_date_with_an_offset_or_in_milliseconds() {
        assert_eq!(moment("1896091200000"), Ok(1_896_091_200_000));
        assert_eq!(moment("2030-01-31T12:00:00.5Z"), Ok(1_896_091_200_500));
        assert_eq!(moment("2030-01-31T13:00:00+01:00"), Ok(1_896_091_200_000));
        for wrong in ["", "-1", "2030-01-31", "1969-12-31T23:59:59Z", "soon"] {
            assert!(moment(wrong).unwrap_err().contains("is no moment"), "{wrong}");
        }
    }
}
