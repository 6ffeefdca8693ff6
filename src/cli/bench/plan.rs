//! What a run does, checked: the options with their defaults filled in and their contradictions refused.

use std::time::Duration;

use super::args::{Args, Churn, ExchangeType, Flag};
use crate::cli::amqp::error::Error;
use crate::cli::amqp::uri::Uri;
use crate::protocol::{SHORT_STRING_BYTES_MAX, ShortString};

/// A run of messages or of churn.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The broker.
    pub uri: Uri,
    /// At the start of each line.
    pub id: String,
    /// JSON in place of text.
    pub json: bool,
    /// Between lines.
    pub interval: Duration,
    /// When to end at the latest.
    pub time: Option<Duration>,
    /// Threads that publish, or churn.
    pub producers: u16,
    /// What each producer does.
    pub publishing: Publishing,
    /// Threads that consume.
    pub consumers: u16,
    /// What each consumer does.
    pub consuming: Consuming,
    /// Exchange and queues.
    pub topology: TopologyPlan,
    /// What to churn in place of messages.
    pub churn: Option<Churn>,
}

/// What each producer does.
#[derive(Debug, Clone)]
pub(super) struct Publishing {
    /// Bytes of each body.
    pub body_size_bytes: usize,
    /// Delivery mode 2.
    pub persistent: bool,
    /// Ask for returns.
    pub mandatory: bool,
    /// Publishes that may be unconfirmed; without it no confirms.
    pub window: Option<u32>,
    /// Messages per second.
    pub rate: Option<f64>,
    /// How many in all.
    pub messages: Option<u64>,
}

/// What each consumer does.
#[derive(Debug, Clone)]
pub(super) struct Consuming {
    /// `basic.qos`; 0 for none.
    pub prefetch: u16,
    /// Deliveries for each acknowledgement; without it they need none.
    pub ack_every: Option<u32>,
    /// Messages per second.
    pub rate: Option<f64>,
    /// How many in all.
    pub messages: Option<u64>,
}

/// Exchange and queues.
#[derive(Debug, Clone)]
pub(super) struct TopologyPlan {
    /// Empty for the default exchange.
    pub exchange: ShortString,
    /// Its type.
    pub exchange_type: ExchangeType,
    /// Names; a single empty one is chosen by the broker.
    pub queues: Vec<ShortString>,
    /// Of all publishes and bindings; without it the queue's name.
    pub routing_key: Option<ShortString>,
    /// Everything is there.
    pub predeclared: bool,
    /// Durable queues.
    pub durable: bool,
    /// Auto-delete queues.
    pub auto_delete: bool,
}

impl TryFrom<Args> for Plan {
    type Error = Error;

    fn try_from(args: Args) -> Result<Self, Error> {
        check(&args)?;
        let topology = topology(&args)?;
        let publishing = Publishing {
            body_size_bytes: args.size as usize,
            persistent: args.flags.contains(&Flag::Persistent),
            mandatory: args.flags.contains(&Flag::Mandatory),
            window: args.confirm,
            rate: limit(args.rate),
            messages: args.pmessages,
        };
        let consuming = Consuming {
            prefetch: args.qos,
            ack_every: (!args.autoack).then_some(args.multi_ack_every),
            rate: limit(args.consumer_rate),
            messages: args.cmessages,
        };
        Ok(Self {
            uri: args.uri,
            id: args.id,
            json: args.json,
            interval: args.interval,
            time: args.time,
            producers: args.producers,
            publishing,
            consumers: args.consumers,
            consuming,
            topology,
            churn: args.churn,
        })
    }
}

fn check(args: &Args) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::Options(why.to_owned()));
    if args.producers == 0 && (args.consumers == 0 || args.churn.is_some()) {
        return refuse("nothing to do: give -x or -y");
    }
    if (args.producers == 0 && args.pmessages.is_some()) || (args.consumers == 0 && args.cmessages.is_some())
    {
        return refuse("-C needs producers (-x), -D needs consumers (-y)");
    }
    if args.qos > 0 && !args.autoack && args.multi_ack_every > u32::from(args.qos) {
        return refuse("-A is larger than -q: the consumers would wait for ever");
    }
    if args.predeclared && args.queue.is_none() && args.queue_pattern.is_none() && args.consumers > 0 {
        return refuse("-p needs the queue's name: give -u or -qp");
    }
    if !args.rate.is_finite() || !args.consumer_rate.is_finite() {
        return refuse("a rate is a number");
    }
    Ok(())
}

fn topology(args: &Args) -> Result<TopologyPlan, Error> {
    Ok(TopologyPlan {
        exchange: name("exchange", &args.exchange)?,
        exchange_type: args.exchange_type,
        queues: queues(args)?,
        routing_key: args.routing_key.as_deref().map(|key| name("routing key", key)).transpose()?,
        predeclared: args.predeclared,
        durable: args.flags.contains(&Flag::Persistent),
        auto_delete: args.auto_delete,
    })
}

fn queues(args: &Args) -> Result<Vec<ShortString>, Error> {
    let (Some(pattern), Some(to)) = (&args.queue_pattern, args.queue_pattern_to) else {
        return Ok(vec![name("queue", args.queue.as_deref().unwrap_or_default())?]);
    };
    let from = args.queue_pattern_from;
    if !pattern.contains("%d") || to < from || to - from >= QUEUES_MAX {
        return Err(Error::Options(format!("-qp needs %d, and -qpf to -qpt make 1 to {QUEUES_MAX} queues")));
    }
    (from..=to).map(|number| name("queue", &pattern.replace("%d", &number.to_string()))).collect()
}

fn name(what: &str, text: &str) -> Result<ShortString, Error> {
    ShortString::try_from(text)
        .map_err(|_| Error::Options(format!("the {what} has more than {SHORT_STRING_BYTES_MAX} bytes")))
}

fn limit(rate: f64) -> Option<f64> {
    (rate > 0.0).then_some(rate)
}

const QUEUES_MAX: u32 = 100_000;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &str) -> Result<Plan, String> {
        let line = CommandLine::try_parse_from(["bench"].into_iter().chain(line.split_whitespace()))
            .map_err(|error| error.to_string())?;
        Plan::try_from(line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn without_options_one_producer_and_one_consumer_share_a_queue_named_by_the_broker() {
        let plan = plan("").unwrap();
        assert_eq!((plan.producers, plan.consumers, plan.time), (1, 1, None));
        assert_eq!(plan.topology.queues, [ShortString::new()]);
        assert_eq!((plan.consuming.ack_every, plan.publishing.rate), (Some(1), None));
    }

    #[test]
    fn a_pattern_names_a_queue_for_each_number() {
        let plan = plan("--queue-pattern q-%d --queue-pattern-from 9 --queue-pattern-to 11").unwrap();
        assert_eq!(
            plan.topology.queues.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["q-9", "q-10", "q-11"]
        );
    }

    #[test]
    fn a_rate_of_zero_or_less_is_unlimited() {
        assert_eq!(plan("-r 0").unwrap().publishing.rate, None);
        assert_eq!(plan("-r -1").unwrap().publishing.rate, None);
        assert_eq!(plan("-r 2.5 -R 7").unwrap().publishing.rate, Some(2.5));
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "-x 0 -y 0",
            "-x 0 -C 5",
            "-y 0 -D 5",
            "-q 10 -A 11",
            "-p",
            "-r nan",
            "-z 0",
            "-c 0",
            "--queue-pattern q --queue-pattern-to 2",
            "--queue-pattern q%d --queue-pattern-from 2 --queue-pattern-to 1",
            "-u a --queue-pattern b%d --queue-pattern-to 1",
            "-x 0 --churn queue",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
    }
}
