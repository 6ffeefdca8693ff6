//! The options of `leveret bench`, low level: what was written. [`Plan`](super::plan::Plan) is what is meant.

use std::time::Duration;

use clap::ValueEnum;

use crate::cli::amqp::uri::Uri;

/// Measure throughput, latency or churn of an AMQP 0-9-1 broker
///
/// Options are those of RabbitMQ's `PerfTest`, among them its -qp, -qpf, -qpt, -ad and -h amqp://...
#[derive(Debug, Clone, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "they are flags")]
pub(in crate::cli) struct Args {
    /// Broker to measure; -h amqp://... does too
    #[arg(long, value_name = "URI", default_value = "amqp://guest:guest@127.0.0.1:5672/%2f")]
    pub(super) uri: Uri,
    /// Name of this run, at the start of each line
    #[arg(short = 'd', long, default_value = "leveret-bench")]
    pub(super) id: String,
    /// Producers, each with a connection of its own
    #[arg(short = 'x', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(..=WORKERS_MAX))]
    pub(super) producers: u16,
    /// Consumers, each with a connection of its own
    #[arg(short = 'y', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(..=WORKERS_MAX))]
    pub(super) consumers: u16,
    /// Size of bodies in bytes; latency is measured from 8 bytes on
    #[arg(short, long, value_name = "BYTES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(..=BODY_BYTES_MAX))]
    pub(super) size: u32,
    /// Publisher confirms, with at most this many publishes unconfirmed
    #[arg(short, long, value_name = "WINDOW", value_parser = clap::value_parser!(u32).range(1..=WINDOW_MAX))]
    pub(super) confirm: Option<u32>,
    /// Prefetch of each consumer; 0 is no limit
    #[arg(short, long, value_name = "PREFETCH", default_value_t = 0)]
    pub(super) qos: u16,
    /// Acknowledge every Nth delivery, for all before it
    #[arg(short = 'A', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) multi_ack_every: u32,
    /// Consume without acknowledgements
    #[arg(short, long)]
    pub(super) autoack: bool,
    /// How to publish; may be given several times
    #[arg(short, long = "flag", value_name = "FLAG", value_delimiter = ',')]
    pub(super) flags: Vec<Flag>,
    /// Messages per second of each producer; 0 is unlimited
    #[arg(short, long, value_name = "PER_SECOND", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(super) rate: f64,
    /// Messages per second of each consumer; 0 is unlimited
    #[arg(
        short = 'R',
        long,
        value_name = "PER_SECOND",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub(super) consumer_rate: f64,
    /// How long to run [default: until Ctrl-C]
    #[arg(short = 'z', long, value_name = "SECONDS", value_parser = duration)]
    pub(super) time: Option<Duration>,
    /// Messages (with --churn: cycles) after which each producer stops; consumers then empty the queues
    #[arg(short = 'C', long, value_name = "N")]
    pub(super) pmessages: Option<u64>,
    /// Messages after which each consumer stops
    #[arg(short = 'D', long, value_name = "N")]
    pub(super) cmessages: Option<u64>,
    /// Queue [default: one named by the broker]
    #[arg(short = 'u', long, value_name = "NAME", conflicts_with = "queue_pattern")]
    pub(super) queue: Option<String>,
    /// Several queues, numbered in the place of %d; also -qp
    #[arg(long, value_name = "PATTERN", requires = "queue_pattern_to")]
    pub(super) queue_pattern: Option<String>,
    /// Number of the first queue; also -qpf
    #[arg(long, value_name = "N", default_value_t = 1, requires = "queue_pattern")]
    pub(super) queue_pattern_from: u32,
    /// Number of the last queue; also -qpt
    #[arg(long, value_name = "N", requires = "queue_pattern")]
    pub(super) queue_pattern_to: Option<u32>,
    /// Exchange; empty for the default exchange
    #[arg(short, long, value_name = "NAME", default_value = "direct")]
    pub(super) exchange: String,
    /// Type of the exchange
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "direct")]
    pub(super) exchange_type: ExchangeType,
    /// Routing key of publishes and bindings [default: the queue's name]
    #[arg(short = 'k', long, value_name = "KEY")]
    pub(super) routing_key: Option<String>,
    /// Declare and bind nothing: it is all there
    #[arg(short, long)]
    pub(super) predeclared: bool,
    /// Whether queues go with their last consumer; also -ad
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(super) auto_delete: bool,
    /// How often to print a line
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = duration)]
    pub(super) interval: Duration,
    /// Print one JSON object in each line, the last with the summary
    #[arg(long)]
    pub(super) json: bool,
    /// Measure how fast things come and go, in place of messages; -x threads each repeat it
    #[arg(long, value_name = "WHAT")]
    pub(super) churn: Option<Churn>,
}

/// How messages are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Flag {
    /// Delivery mode 2, and durable queues
    Persistent,
    /// The broker returns what reaches no queue
    Mandatory,
}

/// The types of exchanges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "AMQP's words")]
pub(super) enum ExchangeType {
    Direct,
    Fanout,
    Topic,
    Headers,
}

impl ExchangeType {
    /// As in `exchange.declare`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

/// What comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Churn {
    /// Connect and log in, close
    Connection,
    /// Open, close
    Channel,
    /// Declare an exclusive queue, delete it
    Queue,
    /// Consume, cancel
    Consumer,
    /// Bind, unbind
    Binding,
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (DURATION_SECONDS_MIN..=DURATION_SECONDS_MAX).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("not between {DURATION_SECONDS_MIN} and {DURATION_SECONDS_MAX} seconds"))
    }
}

/// Threads, sockets and a histogram each.
const WORKERS_MAX: i64 = 2_000;
/// RabbitMQ refuses larger bodies by default.
const BODY_BYTES_MAX: i64 = 128 * 1024 * 1024;
/// The times of so many publishes are kept, eight bytes each.
const WINDOW_MAX: i64 = 1 << 24;
const DURATION_SECONDS_MIN: f64 = 0.1;
const DURATION_SECONDS_MAX: f64 = 1e8;
