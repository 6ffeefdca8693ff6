//! Redrives: a queue's messages moved or copied to where they belong.

use std::thread;

use clap::{Args, Subcommand};
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::{
    client::Address,
    error::Error,
    options::Context,
    output::{plain, say},
    values::{pair, table},
};
use crate::limits::REDRIVE_ASKED_EVERY;

/// What is done about redrives.
#[derive(Subcommand)]
pub enum Command {
    /// Move messages of a queue to where they came from, or elsewhere
    Redrive(Box<Asked>),
    /// List the redrives that run, and the last ones that have ended
    Redrives,
    /// Stop a redrive; what it has moved stays where it is
    StopRedrive {
        /// Its number
        id: u64,
    },
}

/// What is to be moved, and where.
#[derive(Args)]
pub struct Asked {
    /// The queue that they are taken from
    queue: String,
    #[command(flatten)]
    target: Target,
    /// Only those with this header; may be given several times, and all count
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, Value)>,
    /// Only those whose routing key this pattern matches, as a topic exchange does: orders.#
    #[arg(long, value_name = "PATTERN")]
    match_key: Option<String>,
    /// Only those that are older, such as 90s, 15m, 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    older_than: Option<u64>,
    /// Only those that died of this
    #[arg(long, value_name = "REASON", value_parser = ["rejected", "expired", "maxlen", "delivery_limit"])]
    reason: Option<String>,
    /// No more than so many
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// No more than so many in a second
    #[arg(long, value_name = "NUMBER")]
    per_second: Option<u64>,
    /// Leave them where they are, too
    #[arg(long)]
    copy: bool,
    /// Only say how many that would be
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until it has ended, and show how far it is
    #[arg(long)]
    wait: bool,
}

/// Where they go.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// To the queues where they died
    #[arg(long)]
    to_origin: bool,
    /// To a queue
    #[arg(long, value_name = "NAME")]
    to_queue: Option<String>,
    /// To an exchange, with the routing key that they have or the one after a colon
    #[arg(long, value_name = "NAME[:KEY]")]
    to_exchange: Option<String>,
}

/// A time with its unit as milliseconds.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no time, such as 500ms, 90s, 15m, 12h or 7d");
    let end = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let each: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.parse().ok().and_then(|number: u64| number.checked_mul(each)).ok_or_else(wrong)
}

impl Target {
    fn json(&self) -> Value {
        match (&self.to_queue, &self.to_exchange) {
            (Some(queue), _) => json!({ "queue": queue }),
            (None, Some(exchange)) => match exchange.split_once(':') {
                Some((exchange, key)) => json!({ "exchange": exchange, "routing_key": key }),
                None => json!({ "exchange": exchange }),
            },
            (None, None) => json!({ "origin": true }),
        }
    }
}

impl Asked {
    fn json(&self) -> Value {
        let mut filter = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                filter.insert(key.into(), value);
            }
        };
        put("headers", (!self.headers.is_empty()).then(|| table(&self.headers)));
        put("routing_key", self.match_key.as_ref().map(|pattern| json!(pattern)));
        put("older_than_ms", self.older_than.map(|time| json!(time)));
        put("reason", self.reason.as_ref().map(|reason| json!(reason)));
        let mut asked = json!({ "to": self.target.json(), "filter": filter });
        if let Some(limit) = self.limit {
            asked["limit"] = json!(limit);
        }
        if let Some(rate) = self.per_second {
            asked["per_second"] = json!(rate);
        }
        for (key, is) in [("copy", self.copy), ("dry_run", self.dry_run)] {
            if is {
                asked[key] = json!(true);
            }
        }
        asked
    }
}

/// A redrive.
fn address(id: u64) -> Address {
    Address::new(&["leveret", "redrives", &id.to_string()], format!("redrive {id}: leveret redrives"))
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::Redrive(asked) => redrive(asked, context),
        Command::Redrives => {
            let all = Address::new(&["leveret", "redrives"], "list of redrives at this broker");
            context.output.rows(&plain(&COLUMNS), &context.client.list(&all)?)
        }
        Command::StopRedrive { id } => context.client.delete(&address(*id), None),
    }
}

fn redrive(asked: &Asked, context: &Context) -> Result<(), Error> {
    let vhost = &*context.vhost;
    // The broker has the same answer if the target is not there.
    let what =
        format!("queue '{}' in virtual host '{vhost}', or its messages' target is not there", asked.queue);
    let to = Address::new(&["leveret", "queues", vhost, &asked.queue, "redrive"], what);
    let answer = context.client.post(&to, &asked.json())?;
    if asked.dry_run {
        return context.output.rows(&plain(&["matched", "looked_at", "complete"]), &[answer]);
    }
    let Some(id) = answer["id"].as_u64() else {
        return Err(Error::Failed("the broker does not say which redrive it is".into()));
    };
    if !asked.wait {
        return say(format_args!("redrive {id} runs; leveret stop-redrive {id} stops it"));
    }
    let ended = wait(id, asked, context)?;
    context.output.rows(&plain(&COLUMNS), std::slice::from_ref(&ended))?;
    if ended["ended"] == "failed" {
        let why = ended["error"].as_str().unwrap_or("no reason is given");
        return Err(Error::Failed(format!("redrive {id} has failed: {why}")));
    }
    Ok(())
}

/// Shows how far it is until it has ended.
fn wait(id: u64, asked: &Asked, context: &Context) -> Result<Value, Error> {
    let bar = if Term::stderr().is_term() { ProgressBar::no_length() } else { ProgressBar::hidden() };
    if let Some(limit) = asked.limit {
        bar.set_length(limit);
    }
    let style = ProgressStyle::with_template("{spinner} {pos} sent {msg} ({per_sec}) {wide_bar}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    loop {
        let now = context.client.get(&address(id))?;
        bar.set_position(now["sent"].as_u64().unwrap_or_default());
        bar.set_message(format!("of {} looked at", now["looked_at"]));
        if !now["ended"].is_null() {
            bar.finish_and_clear();
            return Ok(now);
        }
        thread::sleep(REDRIVE_ASKED_EVERY);
    }
}

/// What is shown of a redrive.
const COLUMNS: [&str; 10] =
    ["id", "vhost", "queue", "looked_at", "sent", "unmatched", "unroutable", "missed", "ended", "error"];

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        asked: Asked,
    }

    fn asked(line: &str) -> Result<Value, String> {
        let words = ["redrive"].into_iter().chain(line.split(' '));
        let matches = Cli::command().try_get_matches_from(words).map_err(|error| error.to_string())?;
        Ok(Cli::from_arg_matches(&matches).unwrap().asked.json())
    }

    #[test]
    fn what_is_asked_for_is_said_in_json() {
        let all = "dead --to-exchange e:k --header n=1 --header s=x --match-key a.# --older-than 2m --reason expired --limit 5 --per-second 3 --copy";
        let wanted = json!({
            "to": { "exchange": "e", "routing_key": "k" },
            "filter": {
                "headers": { "n": 1, "s": "x" }, "routing_key": "a.#", "older_than_ms": 120_000, "reason": "expired",
            },
            "limit": 5, "per_second": 3, "copy": true,
        });
        assert_eq!(asked(all), Ok(wanted));
        assert_eq!(
            asked("dead --to-origin --dry-run"),
            Ok(json!({ "to": { "origin": true }, "filter": {}, "dry_run": true }))
        );
        assert_eq!(asked("dead --to-queue q"), Ok(json!({ "to": { "queue": "q" }, "filter": {} })));
        assert_eq!(asked("dead --to-exchange e").unwrap()["to"], json!({ "exchange": "e" }));
    }

    #[test]
    fn one_target_is_needed_and_no_more() {
        for line in [
            "dead",
            "dead --to-origin --to-queue q",
            "dead --to-queue q --to-exchange e",
            "dead --to-origin --dry-run --wait",
        ] {
            assert!(asked(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        for (text, time) in
            [("500ms", 500), ("90s", 90_000), ("15m", 900_000), ("12h", 43_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(milliseconds(text), Ok(time));
        }
        for text in ["", "5", "s", "5y", "-5s", "1.5s", "99999999999999999d", "999999999999999999999s"] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }
}
