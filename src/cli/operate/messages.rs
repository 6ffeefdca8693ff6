//! Messages: published, taken, and looked at.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    error::{Error, usage},
    exchanges,
    options::Context,
    output::{Format, json as written, plain, print, text},
    queues,
    values::{pair, table},
};
use crate::limits::HTTP_BODY_BYTES_MAX;

/// What is done with messages.
#[derive(Subcommand)]
pub enum Command {
    /// Publish a message; fails if it reaches no queue
    Publish(Published),
    /// Take messages from a queue; they go back to it, marked as redelivered, unless it is said otherwise
    Get {
        /// The queue
        queue: String,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        count: usize,
        /// What becomes of them
        #[arg(long, value_name = "WAY", default_value = "requeue")]
        then: Then,
        /// Bytes of each payload at most
        #[arg(long, value_name = "BYTES")]
        truncate: Option<usize>,
    },
    /// Look at messages where they stand; nothing changes, and none is marked as redelivered
    Peek {
        /// The queue
        queue: String,
        /// Which of them
        #[arg(long, value_name = "STATE", default_value = "ready")]
        state: State,
        #[command(flatten)]
        page: Page,
    },
}

/// A message to be published.
#[derive(Args)]
pub struct Published {
    /// The routing key; that of a queue is its name, if no exchange is given
    routing_key: String,
    /// What is in it; read from standard input if neither this nor --file is given
    payload: Option<String>,
    /// The exchange [default: the one without a name]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    exchange: String,
    /// What is in it, from a file
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    file: Option<PathBuf>,
    /// In a durable queue it survives a restart
    #[arg(long)]
    persistent: bool,
    /// A header, such as x-delay=5000; may be given several times
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, Value)>,
    /// A property, such as content_type=text/plain; may be given several times
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, Value)>,
}

/// What becomes of messages that were taken.
#[derive(Clone, Copy, ValueEnum)]
pub enum Then {
    /// They go back to where they were
    Requeue,
    /// They are gone
    Remove,
    /// They are rejected: they go to the dead-letter exchange, if there is one
    Reject,
}

/// Which messages of a queue are looked at.
#[derive(Clone, Copy, ValueEnum)]
pub enum State {
    /// Those that consumers get next
    Ready,
    /// Those that consumers hold
    Unacked,
    /// Those that wait for their time
    Delayed,
}

/// A part of a long list of messages.
#[derive(Args)]
pub struct Page {
    /// How many at most
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Where to go on: what the command before has said
    #[arg(long, value_name = "CURSOR")]
    from: Option<String>,
    /// Bytes of each payload at most
    #[arg(long, value_name = "BYTES")]
    payload_bytes: Option<usize>,
}

/// The properties that a message may have, beside headers.
const PROPERTIES: [&str; 13] = [
    "content_type",
    "content_encoding",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
];

/// Numbers among them are numbers, and the rest is text.
fn property(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("is not NAME=VALUE")?;
    if !PROPERTIES.contains(&name) {
        return Err(format!(
            "there is no property '{name}'; those that there are: {}",
            PROPERTIES.join(", ")
        ));
    }
    if matches!(name, "delivery_mode" | "priority" | "timestamp") {
        let number: u64 = value.parse().map_err(|_| format!("{name} is a number, and '{value}' is none"))?;
        return Ok((name.into(), json!(number)));
    }
    Ok((name.into(), json!(value)))
}

impl Published {
    fn payload(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let limit = HTTP_BODY_BYTES_MAX as u64 + 1;
        match (&self.payload, &self.file) {
            (Some(payload), _) => bytes = payload.clone().into_bytes(),
            (None, Some(path)) => {
                let file = File::open(path).map_err(Error::file(path))?;
                file.take(limit).read_to_end(&mut bytes).map_err(Error::file(path))?;
            }
            (None, None) => {
                io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
            }
        }
        if bytes.len() > HTTP_BODY_BYTES_MAX {
            return Err(usage(format!("the payload has more than {HTTP_BODY_BYTES_MAX} bytes")));
        }
        Ok(bytes)
    }

    fn body(&self) -> Result<Value, Error> {
        let (payload, encoding) = match String::from_utf8(self.payload()?) {
            Ok(text) => (text, "string"),
            Err(bytes) => (BASE64_STANDARD.encode(bytes.as_bytes()), "base64"),
        };
        let mut properties = table(&self.properties);
        if !self.headers.is_empty() {
            properties["headers"] = table(&self.headers);
        }
        if self.persistent {
            properties["delivery_mode"] = json!(2);
        }
        Ok(json!({
            "routing_key": self.routing_key,
            "properties": properties,
            "payload": payload,
            "payload_encoding": encoding,
        }))
    }
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::Publish(published) => {
            let address = exchanges::address(context, &published.exchange, &["publish"]);
            let answer = context.client.post(&address, &published.body()?)?;
            if answer["routed"] == true {
                return Ok(());
            }
            Err(Error::Failed(format!(
                "exchange '{}' leads with routing key '{}' to no queue: the message is gone",
                published.exchange, published.routing_key
            )))
        }
        Command::Get { queue, count, then, truncate } => {
            let way = match then {
                Then::Requeue => "ack_requeue_true",
                Then::Remove => "ack_requeue_false",
                Then::Reject => "reject_requeue_false",
            };
            let body = json!({ "count": count, "ackmode": way, "encoding": "auto", "truncate": truncate });
            let answer = context.client.post(&queues::address(context, queue, &["get"]), &body)?;
            let messages = answer.as_array().map(Vec::as_slice).unwrap_or_default();
            let columns = ["exchange", "routing_key", "message_count", "redelivered"];
            context.output.rows(&plain(&[&columns[..], &CONTENT].concat()), messages)
        }
        Command::Peek { queue, state, page } => {
            let address = queues::address_of_ours(context, queue, &["messages"]);
            show_page(context, address.with("state", state.word()), state.columns(), page)
        }
    }
}

/// Columns of what is in a message.
const CONTENT: [&str; 4] = ["properties", "payload_bytes", "payload_encoding", "payload"];

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unacked => "unacked",
            Self::Delayed => "delayed",
        }
    }

    /// What is shown of such messages, beside what is in them.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Ready => &["position", "redelivered", "attempts", "exchange", "routing_key"],
            Self::Unacked => &["position", "held_by", "redelivered", "attempts", "exchange", "routing_key"],
            Self::Delayed => &["position", "due", "attempts", "exchange", "routing_key"],
        }
    }
}

/// Shows messages of one page, and how to see the next one.
pub fn show_page(
    context: &Context,
    address: super::client::Address,
    columns: &[&str],
    page: &Page,
) -> Result<(), Error> {
    let address = address
        .with_some("limit", page.limit)
        .with_some("from", page.from.as_ref())
        .with_some("payload_bytes", page.payload_bytes);
    let answer = context.client.get(&address)?;
    if context.output.format == Format::Json {
        return print(&written(&answer)?);
    }
    let mut messages = answer["messages"].as_array().cloned().unwrap_or_default();
    if context.output.format == Format::Table {
        messages.iter_mut().for_each(make_readable);
    }
    context.output.rows(&plain(&[columns, &CONTENT].concat()), &messages)?;
    if let Some(next) = answer["next"].as_str() {
        console::Term::stderr().write_line(&format!("there are more: --from {next}"))?;
    }
    Ok(())
}

/// For people: when it is due, and who holds it since when.
fn make_readable(message: &mut Value) {
    if let Some(due) = message["due"].as_u64() {
        message["due"] = json!(moment(due));
    }
    let held = &message["held_by"];
    if held.is_object() {
        let since = held["since"].as_u64().map(moment).unwrap_or_default();
        let (connection, tag) = (text(&held["connection"]), text(&held["consumer_tag"]));
        message["held_by"] = json!(format!("{connection} ({}) {tag} since {since}", held["channel"]));
    }
}

/// A time in milliseconds since the Unix epoch, to the millisecond.
pub fn instant(ms: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| ms.to_string())
}

/// The same to the second.
fn moment(ms: u64) -> String {
    let time = i64::try_from(ms / 1_000).ok().and_then(|time| OffsetDateTime::from_unix_timestamp(time).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_holders_are_written_for_people() {
        let mut message = json!({
            "due": 951_868_799_999_u64,
            "held_by": { "connection": "a -> b", "channel": 1, "consumer_tag": "tag", "since": 0 },
        });
        make_readable(&mut message);
        let wanted = json!({
            "due": "2000-02-29T23:59:59Z", "held_by": "a -> b (1) tag since 1970-01-01T00:00:00Z",
        });
        assert_eq!(message, wanted);
        let mut ready = json!({ "position": "1" });
        make_readable(&mut ready);
        assert_eq!((moment(u64::MAX), &ready["position"]), (u64::MAX.to_string(), &json!("1")));
    }

    #[test]
    fn a_property_has_a_name_of_amqp_and_a_value_that_suits() {
        assert_eq!(property("content_type=text/plain"), Ok(("content_type".into(), json!("text/plain"))));
        assert_eq!(property("priority=5"), Ok(("priority".into(), json!(5))));
        assert_eq!(property("message_id=5"), Ok(("message_id".into(), json!("5"))));
        assert!(property("priority=high").unwrap_err().contains("is a number"));
        assert!(property("colour=red").unwrap_err().contains("there is no property 'colour'"));
        assert!(property("priority").is_err());
    }
}
