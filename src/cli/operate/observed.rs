//! What happens to single messages: seen live, traced, dropped.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{
    client::{Address, named},
    error::Error,
    exchanges::in_addresses,
    messages::instant,
    options::Context,
    output::{Format, Output, json as written, plain, print, text},
};
use crate::protocol::Printable;

/// What is looked at.
#[derive(Subcommand)]
pub enum Command {
    /// See live what comes in to a queue or an exchange; nothing is taken, and none is marked as redelivered
    Tail(Tail),
    /// Keep the history of messages, and show it
    #[command(subcommand)]
    Trace(Deed),
    /// Show the last messages that were dropped, and why; list-drops counts them
    Drops {
        /// Those of a reason, such as expired or drop_unroutable
        #[arg(long, value_name = "REASON")]
        reason: Option<String>,
        /// Those of a queue
        #[arg(long, value_name = "NAME")]
        queue: Option<String>,
    },
}

/// Where somebody looks.
#[derive(Args)]
pub struct Tail {
    /// The queue
    #[arg(required_unless_present = "exchange", conflicts_with = "exchange")]
    queue: Option<String>,
    /// The exchange, in the place of a queue: what is published to it
    #[arg(long, value_name = "NAME")]
    exchange: Option<String>,
    /// Messages in a second at most; others are counted [default: 10]
    #[arg(long, value_name = "NUMBER")]
    per_second: Option<u32>,
    /// Bytes of each payload at most [default: 4096]
    #[arg(long, value_name = "BYTES")]
    payload_bytes: Option<usize>,
    /// End after so many messages [default: when it is interrupted]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// One of the things that can be done with histories.
#[derive(Subcommand)]
pub enum Deed {
    /// Keep the history of a queue's messages, of what is published to an exchange, or of messages with a message-id
    On(Subject),
    /// Keep it no more; what has happened so far stays
    Off(Subject),
    /// List of what the history is kept
    List,
    /// Show what has happened, in order
    Show {
        /// To messages with this message-id
        #[arg(long, value_name = "ID")]
        message: Option<String>,
        /// In a queue, or to what was published to it
        #[arg(long, value_name = "NAME")]
        queue: Option<String>,
        /// Behind the event of this number
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        /// The last ones, so many at most [default: 500]
        #[arg(long, value_name = "NUMBER")]
        limit: Option<usize>,
    },
    /// Forget what has happened so far
    Clear,
}

/// What the history is kept of.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Subject {
    /// A queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// An exchange
    #[arg(long, value_name = "NAME")]
    exchange: Option<String>,
    /// Messages, by their property message-id
    #[arg(long, value_name = "ID")]
    message: Option<String>,
}

impl Subject {
    fn address(&self, context: &Context) -> Address {
        let (kind, name) = match self {
            Self { queue: Some(name), .. } => ("queue", &**name),
            Self { exchange: Some(name), .. } => ("exchange", in_addresses(name)),
            Self { message, .. } => ("message", message.as_deref().unwrap_or_default()),
        };
        let vhost = &*context.vhost;
        let words = ["leveret", "traces", vhost, &format!("{kind}s"), name];
        Address::new(&words, format!("trace of {}", named(kind, name, vhost)))
    }
}

/// Columns of what comes in.
const SEEN: [&str; 7] =
    ["at", "exchange", "routing_key", "properties", "payload_bytes", "payload_encoding", "payload"];
/// Columns of what has happened.
const HAPPENED: [&str; 10] = [
    "number",
    "at",
    "event",
    "queue",
    "exchange",
    "routing_key",
    "message_id",
    "user",
    "connection",
    "details",
];
/// Columns of what was dropped.
const DROPPED: [&str; 8] =
    ["at", "reason", "queue", "exchange", "routing_key", "message_id", "payload_bytes", "payload"];

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let vhost = &*context.vhost;
    let of_vhost = || format!("virtual host '{vhost}'");
    match command {
        Command::Tail(tail) => tail.run(context),
        Command::Trace(Deed::On(subject)) => context.client.put(&subject.address(context), &Value::Null),
        Command::Trace(Deed::Off(subject)) => context.client.delete(&subject.address(context), None),
        Command::Trace(Deed::List) => {
            let answer = context.client.get(&Address::new(&["leveret", "traces", vhost], of_vhost()))?;
            let traces = answer["traces"].as_array().map(Vec::as_slice).unwrap_or_default();
            context.output.rows(&plain(&["kind", "name"]), traces)
        }
        Command::Trace(Deed::Show { message, queue, after, limit }) => {
            let address = Address::new(&["leveret", "traces", vhost, "events"], of_vhost())
                .with_some("message_id", message.as_ref())
                .with_some("queue", queue.as_ref())
                .with_some("after", *after)
                .with_some("limit", *limit);
            show(context, &address, &HAPPENED, with_details)
        }
        Command::Trace(Deed::Clear) => {
            let address = Address::new(&["leveret", "traces", vhost, "events"], of_vhost());
            context.client.delete(&address, None)
        }
        Command::Drops { reason, queue } => {
            let address = Address::new(&["leveret", "drops", vhost], of_vhost())
                .with_some("reason", reason.as_ref())
                .with_some("queue", queue.as_ref());
            show(context, &address, &DROPPED, |dropped| dropped)
        }
    }
}

/// Shows a list, with times for people in a table.
fn show(
    context: &Context,
    address: &Address,
    columns: &[&str],
    each: fn(Value) -> Value,
) -> Result<(), Error> {
    let items = context.client.list(address)?;
    if context.output.format == Format::Json {
        return print(&written(&Value::Array(items))?);
    }
    let mut items: Vec<_> = items.into_iter().map(each).collect();
    if context.output.format == Format::Table {
        items.iter_mut().for_each(make_readable);
    }
    context.output.rows(&plain(columns), &items)
}

/// Fields of an event that only some have.
const DETAILS: [&str; 9] = [
    "queues",
    "queue_count",
    "until",
    "consumer_tag",
    "redelivered",
    "no_ack",
    "attempts",
    "reason",
    "messages",
];

/// An event whose details stand in one column.
fn with_details(mut event: Value) -> Value {
    let detail = |name: &&str| Some(((*name).to_owned(), event.get(*name)?.clone()));
    let details: Map<String, Value> = DETAILS.iter().filter_map(detail).collect();
    let words: Vec<_> = details.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    event["details"] = words.join(" ").into();
    event
}

/// For people: the time as they write it.
fn make_readable(item: &mut Value) {
    if let Some(at) = item["at"].as_u64() {
        item["at"] = instant(at).into();
    }
}

impl Tail {
    fn address(&self, context: &Context) -> Address {
        let (kind, name) = match (&self.queue, &self.exchange) {
            (_, Some(name)) => ("exchange", in_addresses(name)),
            (name, None) => ("queue", name.as_deref().unwrap_or_default()),
        };
        let words = ["leveret", "tail", &format!("{kind}s"), &context.vhost, name];
        Address::new(&words, named(kind, name, &context.vhost))
            .with_some("per_second", self.per_second)
            .with_some("payload_bytes", self.payload_bytes)
    }

    /// Looks until it is enough, or nobody reads any more.
    fn run(&self, context: &Context) -> Result<(), Error> {
        let mut seen = 0;
        context.client.events(&self.address(context), |kind, data| {
            match kind {
                "message" => {
                    if !put(&line(context.output, seen == 0, data)?)? {
                        return Ok(false);
                    }
                    seen += 1;
                }
                "missed" => {
                    let (sampled_out, lost) = (text(&data["sampled_out"]), text(&data["lost"]));
                    let told = format!(
                        "{sampled_out} more than is asked for in a second, {lost} for which there was no room"
                    );
                    console::Term::stderr().write_line(&told)?;
                }
                "end" => return Err(Error::Failed(format!("it has ended: {}", text(&data["reason"])))),
                _ => {}
            }
            Ok(self.count.is_none_or(|count| seen < count))
        })
    }
}

/// A message as it is written: a line for people, JSON on a line, or a row.
fn line(output: Output, is_first: bool, mut message: Value) -> Result<String, Error> {
    match output.format {
        Format::Json => Ok(format!("{message}\n")),
        Format::Csv => {
            let without_headers = output.without_headers || !is_first;
            Output { without_headers, ..output }.rows_text(&plain(&SEEN), &[message])
        }
        Format::Table => {
            make_readable(&mut message);
            let fields = ["at", "exchange", "routing_key", "payload_bytes", "payload"];
            let words = fields.map(|name| text(&message[name]));
            Ok(format!("{}\n", Printable::new(words.join("  ")).cut_at(usize::MAX)))
        }
    }
}

/// Writes to standard output; false if nobody reads it any more.
fn put(text: &str) -> Result<bool, Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_a_line_in_each_format() {
        let message = json!({
            "at": 951_868_799_999_u64, "exchange": "x", "routing_key": "a\nb", "properties": {}, "payload_bytes": 4,
            "payload_encoding": "string", "payload": "body",
        });
        let line = |format, is_first| {
            line(Output { format, without_headers: false }, is_first, message.clone()).unwrap()
        };
        assert_eq!(line(Format::Table, true), "2000-02-29T23:59:59.999Z  x  a\\nb  4  body\n");
        let json: Value = serde_json::from_str(&line(Format::Json, true)).unwrap();
        assert_eq!((&json, line(Format::Json, true).lines().count()), (&message, 1));
        assert!(line(Format::Csv, true).starts_with("at,exchange,"));
        assert_eq!(line(Format::Csv, false), "951868799999,x,\"a\nb\",,4,string,body\n");
    }

    #[test]
    fn what_only_some_events_have_stands_in_one_column() {
        let event = with_details(json!({ "event": "requeued", "attempts": 2 }));
        assert_eq!(event["details"], "attempts=2");
        let event = with_details(json!({ "event": "published", "queues": ["a", "b"], "queue_count": 2 }));
        let details = event["details"].as_str().unwrap();
        assert!(details.contains("queues=[a, b]") && details.contains("queue_count=2"), "{details}");
        assert_eq!(with_details(json!({ "event": "acknowledged" }))["details"], "");
    }
}
