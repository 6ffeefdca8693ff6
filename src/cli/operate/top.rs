//! `leveret top`: what is going on, looked at again and again.

use std::{fmt::Write, thread, time::Duration};

use clap::{Args, ValueEnum};
use console::Term;
use indicatif::{HumanBytes, HumanCount};
use serde_json::Value;

use super::{
    client::Address,
    error::Error,
    options::Context,
    output::{at, print, text},
    status::{Figures, uptime},
};
use crate::limits::{TOP_SECONDS_MAX, TOP_SECONDS_MIN};
use crate::protocol::Printable;

/// How it is looked at.
#[derive(Args)]
pub struct Top {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    interval: f64,
    /// Look so many times [default: until it is interrupted]
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// Which queues stand first
    #[arg(long, value_name = "FIGURE", default_value = "messages")]
    sort: By,
    /// Queues that are shown [default: as many as the terminal has room for]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=500))]
    queues: Option<u16>,
}

/// Which queues stand first.
#[derive(Clone, Copy, ValueEnum)]
enum By {
    Messages,
    Publish,
    Deliver,
    Ack,
    Memory,
}

impl By {
    fn path(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Publish => "message_stats.publish_details.rate",
            Self::Deliver => "message_stats.deliver_get_details.rate",
            Self::Ack => "message_stats.ack_details.rate",
            Self::Memory => "memory",
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "is no number of seconds".to_owned())?;
    if (TOP_SECONDS_MIN..=TOP_SECONDS_MAX).contains(&seconds) {
        return Ok(seconds);
    }
    Err(format!("is not between {TOP_SECONDS_MIN} and {TOP_SECONDS_MAX}"))
}

/// Rates of the whole broker: what they are called, and which of `message_stats` it is.
const RATES: [(&str, &str); 6] = [
    ("publish", "publish"),
    ("confirm", "confirm"),
    ("deliver", "deliver_get"),
    ("ack", "ack"),
    ("redeliver", "redeliver"),
    ("unroutable", "drop_unroutable"),
];

/// Columns of the queues: head, path, width.
const COLUMNS: [(&str, &str, usize); 8] = [
    ("messages", "messages", 12),
    ("ready", "messages_ready", 12),
    ("unacked", "messages_unacknowledged", 12),
    ("consumers", "consumers", 10),
    ("publish/s", "message_stats.publish_details.rate", 11),
    ("deliver/s", "message_stats.deliver_get_details.rate", 11),
    ("ack/s", "message_stats.ack_details.rate", 11),
    ("memory", "memory", 12),
];

/// Columns of the names of queues, at most.
const NAME_WIDTH: usize = 40;

impl Top {
    /// Looks until it is enough.
    pub fn run(&self, context: &Context) -> Result<(), Error> {
        let terminal = Term::stdout();
        let mut looks = 0;
        loop {
            let room = self.queues.map_or_else(|| rows(&terminal), usize::from);
            let frame = frame(&Figures::of(context)?, &self.busiest(context, room)?);
            if terminal.is_term() {
                print(&redrawn(&frame, terminal.size().1.into()))?;
            } else {
                print(&frame)?;
            }
            looks += 1;
            if self.count.is_some_and(|count| looks >= count) {
                return Ok(());
            }
            thread::sleep(Duration::from_secs_f64(self.interval));
        }
    }

    fn busiest(&self, context: &Context, room: usize) -> Result<Vec<Value>, Error> {
        let paths: Vec<_> = COLUMNS.iter().map(|(_, path, _)| *path).collect();
        let columns = format!("name,vhost,{}", paths.join(","));
        let address = match &context.vhost_said {
            None => Address::new(&["queues"], "queues"),
            Some(vhost) => Address::new(&["queues", vhost], format!("virtual host '{vhost}'")),
        };
        let address = address
            .with("columns", &columns)
            .with("sort", self.sort.path())
            .with("sort_reverse", "true")
            .with("page", "1")
            .with("page_size", &room.to_string());
        let page = context.client.get(&address)?;
        Ok(page["items"].as_array().cloned().unwrap_or_default())
    }
}

/// Queues for which a terminal has room below what is said of the broker.
fn rows(terminal: &Term) -> usize {
    let (rows, _) = terminal.size();
    usize::from(rows).saturating_sub(6).clamp(1, 500)
}

/// What a terminal of so many columns is sent, so that it shows this and nothing else: the cursor goes to the first line, each line is
/// cleared behind its text, and the rest of the screen too.
fn redrawn(frame: &str, width: usize) -> String {
    let mut sent = String::from("\x1b[H");
    for line in frame.lines() {
        add(&mut sent, format_args!("{}\x1b[K\n", console::truncate_str(line, width, "")));
    }
    sent.push_str("\x1b[J");
    sent
}

/// All that is seen at once.
fn frame(figures: &Figures, queues: &[Value]) -> String {
    let (overview, mut out) = (&figures.overview, String::new());
    let number = |path: &str| at(overview, path).as_u64().unwrap_or_default();
    let name = |path: &str| Printable::new(text(at(overview, path))).to_string();
    let mut line = format!("{} {} {}", name("node"), name("product_name"), name("product_version"));
    if let Some(node) = &figures.node {
        let bytes = |path: &str| HumanBytes(node[path].as_u64().unwrap_or_default());
        let up = uptime(node["uptime"].as_u64().unwrap_or_default());
        let (used, limit, free) = (bytes("mem_used"), bytes("mem_limit"), bytes("disk_free"));
        add(&mut line, format_args!("   up {up}   memory {used} of {limit}   disk free {free}"));
        for (alarm, what) in [("mem_alarm", "MEMORY"), ("disk_free_alarm", "DISK")] {
            if node[alarm] == true {
                add(&mut line, format_args!("   {what} ALARM"));
            }
        }
    }
    add(&mut out, format_args!("{line}\n"));
    for kind in ["connections", "channels", "queues", "consumers"] {
        let count = HumanCount(number(&format!("object_totals.{kind}")));
        add(&mut out, format_args!("{kind} {count}   "));
    }
    let (all, ready, unacked) = ["messages", "messages_ready", "messages_unacknowledged"]
        .map(|key| number(&format!("queue_totals.{key}")))
        .into();
    add(
        &mut out,
        format_args!(
            "messages {} ({} ready, {} unacked)\n",
            HumanCount(all),
            HumanCount(ready),
            HumanCount(unacked)
        ),
    );
    for (shown, stat) in RATES {
        let rate = at(overview, &format!("message_stats.{stat}_details.rate")).as_f64().unwrap_or_default();
        add(&mut out, format_args!("{shown} {rate:.1}/s   "));
    }
    out.truncate(out.trim_end().len());
    out.push_str("\n\n");
    add(&mut out, format_args!("{:NAME_WIDTH$}", "queue"));
    for (head, _, width) in COLUMNS {
        add(&mut out, format_args!("{head:>width$}"));
    }
    out.push('\n');
    for queue in queues {
        add_queue(&mut out, queue);
    }
    out
}

fn add_queue(out: &mut String, queue: &Value) {
    let (vhost, name) = (text(&queue["vhost"]), text(&queue["name"]));
    let name = if vhost == "/" { name } else { format!("{vhost} {name}") };
    let name = Printable::new(name).cut_at(NAME_WIDTH - 5).to_string();
    add(out, format_args!("{:NAME_WIDTH$}", console::truncate_str(&name, NAME_WIDTH - 1, "...")));
    for (_, path, width) in COLUMNS {
        let value = at(queue, path);
        match (path, value.as_u64(), value.as_f64()) {
            ("memory", Some(bytes), _) => add(out, format_args!("{:>width$}", HumanBytes(bytes).to_string())),
            (_, Some(number), _) => add(out, format_args!("{:>width$}", HumanCount(number).to_string())),
            (_, None, Some(rate)) => add(out, format_args!("{rate:>width$.1}")),
            (path, None, None) => {
                let nothing = if path.starts_with("message_stats.") { "0.0" } else { "-" };
                add(out, format_args!("{nothing:>width$}"));
            }
        }
    }
    out.push('\n');
}

fn add(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_seen_has_figures_rates_alarms_and_the_queues() {
        let figures = Figures {
            overview: json!({
                "node": "leveret@here", "product_name": "Leveret", "product_version": "0.1.0",
                "object_totals": { "connections": 1_200, "channels": 2, "queues": 3, "consumers": 4 },
                "queue_totals": { "messages": 30, "messages_ready": 20, "messages_unacknowledged": 10 },
                "message_stats": { "publish_details": { "rate": 12.34 } },
            }),
            node: Some(json!({ "uptime": 90_061_000, "mem_used": 1_048_576, "mem_alarm": true })),
        };
        let queues = [
            json!({ "name": "jobs", "vhost": "/", "messages": 1_234, "message_stats": { "ack_details": { "rate": 2.0 } } }),
            json!({ "name": "\u{1b}[2J".repeat(30), "vhost": "shop", "memory": 2_048 }),
        ];
        let shown = frame(&figures, &queues);
        for words in [
            "leveret@here Leveret 0.1.0   up 1d 01:01:01",
            "memory 1.00 MiB of 0 B",
            "MEMORY ALARM",
            "connections 1,200   channels 2   queues 3   consumers 4   messages 30 (20 ready, 10 unacked)",
            "publish 12.3/s   confirm 0.0/s",
            "1,234",
            "2.00 KiB",
        ] {
            assert!(shown.contains(words), "{words} in {shown}");
        }
        assert!(!shown.contains('\u{1b}') && !shown.contains("DISK"), "{shown}");
        let widths: Vec<_> = shown.lines().skip(4).map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{shown}");
    }

    #[test]
    fn without_the_tag_for_it_nothing_is_shown_of_the_node() {
        let shown = frame(&Figures { overview: json!({ "node": "a" }), node: None }, &[]);
        assert!(shown.starts_with("a  \nconnections 0"), "{shown}");
    }

    #[test]
    fn a_terminal_is_redrawn_line_by_line_and_no_line_is_longer_than_it() {
        assert_eq!(redrawn("one\ntwo, three\n", 5), "\x1b[Hone\x1b[K\ntwo, \x1b[K\n\x1b[J");
    }

    #[test]
    fn the_time_between_two_looks_has_bounds() {
        assert_eq!(seconds("2.5"), Ok(2.5));
        for text in ["0", "0.1", "3601", "-1", "NaN", "inf", "x"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
