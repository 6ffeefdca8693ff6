//! What is going on, at a glance.

use std::time::Duration;

use indicatif::{FormattedDuration, HumanBytes};
use serde_json::{Map, Value, json};

use super::{
    client::Address,
    error::Error,
    options::Context,
    output::{Format, at, json as written, print},
};

/// What is known of the broker and its node. Without the tag for it there is no node to be seen.
pub struct Figures {
    pub overview: Value,
    pub node: Option<Value>,
}

impl Figures {
    /// Asks for them.
    pub fn of(context: &Context) -> Result<Self, Error> {
        let overview = context.client.get(&Address::new(&["overview"], "overview"))?;
        let node = match context.client.list(&Address::new(&["nodes"], "nodes")) {
            Ok(nodes) => nodes.into_iter().next(),
            Err(Error::NotPermitted { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { overview, node })
    }

    fn lines(&self) -> Vec<(&'static str, Value, String)> {
        let mut lines = Vec::new();
        for (name, path) in OVERVIEW {
            let value = at(&self.overview, path).clone();
            let shown = super::output::text(&value);
            lines.push((*name, value, shown));
        }
        let Some(node) = &self.node else { return lines };
        for (name, path, shown) in NODE {
            let value = at(node, path).clone();
            let text = match (shown, value.as_u64()) {
                (Shown::Bytes, Some(bytes)) => HumanBytes(bytes).to_string(),
                (Shown::Time, Some(ms)) => uptime(ms),
                _ => super::output::text(&value),
            };
            lines.push((*name, value, text));
        }
        lines.push(("listeners", at(&self.overview, "listeners").clone(), listeners(&self.overview)));
        lines
    }
}

/// A time in milliseconds, for people.
pub fn uptime(ms: u64) -> String {
    FormattedDuration(Duration::from_secs(ms / 1_000)).to_string()
}

fn listeners(overview: &Value) -> String {
    let shown = |its: &Value| {
        let (protocol, address, port) = (&its["protocol"], &its["ip_address"], &its["port"]);
        let text = super::output::text;
        format!("{} {}:{}", text(protocol), text(address), text(port))
    };
    let all = overview["listeners"].as_array().into_iter().flatten();
    all.map(shown).collect::<Vec<_>>().join(", ")
}

/// What a line is called, and where its value is in the overview.
const OVERVIEW: &[(&str, &str)] = &[
    ("node", "node"),
    ("cluster_name", "cluster_name"),
    ("product", "product_name"),
    ("version", "product_version"),
    ("rabbitmq_version", "rabbitmq_version"),
    ("connections", "object_totals.connections"),
    ("channels", "object_totals.channels"),
    ("queues", "object_totals.queues"),
    ("exchanges", "object_totals.exchanges"),
    ("consumers", "object_totals.consumers"),
    ("messages", "queue_totals.messages"),
    ("messages_ready", "queue_totals.messages_ready"),
    ("messages_unacknowledged", "queue_totals.messages_unacknowledged"),
];

/// How a figure is shown.
enum Shown {
    Plain,
    Bytes,
    Time,
}

/// The same of the node.
const NODE: &[(&str, &str, Shown)] = &[
    ("os_pid", "os_pid", Shown::Plain),
    ("uptime", "uptime", Shown::Time),
    ("data_dir", "db_dir", Shown::Plain),
    ("mem_used", "mem_used", Shown::Bytes),
    ("mem_limit", "mem_limit", Shown::Bytes),
    ("mem_alarm", "mem_alarm", Shown::Plain),
    ("disk_free", "disk_free", Shown::Bytes),
    ("disk_free_limit", "disk_free_limit", Shown::Bytes),
    ("disk_free_alarm", "disk_free_alarm", Shown::Plain),
    ("fd_used", "fd_used", Shown::Plain),
    ("fd_total", "fd_total", Shown::Plain),
    ("sockets_used", "sockets_used", Shown::Plain),
    ("sockets_total", "sockets_total", Shown::Plain),
];

/// Shows them.
pub fn run(context: &Context) -> Result<(), Error> {
    let lines = Figures::of(context)?.lines();
    if context.output.format == Format::Json {
        let all: Map<_, _> = lines.into_iter().map(|(name, value, _)| (name.into(), value)).collect();
        return print(&written(&Value::Object(all))?);
    }
    let is_csv = context.output.format == Format::Csv;
    let row = |(name, value, shown): (&str, Value, String)| {
        let value = if is_csv { value } else { json!(shown) };
        json!({ "key": name, "value": value })
    };
    let rows: Vec<_> = lines.into_iter().map(row).collect();
    context.output.rows(&super::output::plain(&["key", "value"]), &rows)
}
