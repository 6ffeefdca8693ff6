//! `rabbitmq.conf` as Leveret's own file: the most used keys, and which ones are left over.
//!
//! Keys and values are those of RabbitMQ's `rabbit.schema`; a line is `key = value`, with comments behind `#` unless single quotes are around
//! the value (cuttlefish). Of a key that stands there twice the last one counts.

mod backends;
mod meaning;
mod tls;

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Config, ConfigError, Said, Settings, keys};
use crate::protocol::Printable;
use meaning::Meaning;

/// What a `rabbitmq.conf` comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Translation {
    /// A configuration file, with what is left over as comments.
    pub toml: String,
    /// What could not be translated: `key = value: why`. Passwords are masked.
    pub left: Vec<String>,
}

/// Translates a file.
pub fn from_rabbitmq(text: &str) -> Translation {
    let mut found = Found::default();
    for (number, line) in text.lines().enumerate() {
        match read(line) {
            Ok(None) => {}
            Ok(Some((key, value))) => {
                found.lines.retain(|(other, _)| *other != key);
                found.lines.push((key, value));
            }
            Err(()) => found.left.push(format!("line {}: it is not `key = value`", number + 1)),
        }
    }
    for (key, value) in std::mem::take(&mut found.lines) {
        let meaning = meaning::of(&key, &value);
        found.take(&key, &value, meaning);
    }
    found.finish()
}

#[derive(Default)]
struct Found {
    lines: Vec<(String, String)>,
    /// By our names.
    settings: BTreeMap<&'static str, toml::Value>,
    /// What has been said of clients' certificates.
    tls: tls::Clients,
    /// What has been said of who is asked about clients.
    backends: backends::Backends,
    left: Vec<String>,
}

impl Found {
    fn take(&mut self, key: &str, value: &str, meaning: Meaning) {
        match meaning {
            Meaning::Holds => {}
            Meaning::Is(name, value) => {
                self.settings.insert(name, value);
            }
            Meaning::OneOf(name, one) => {
                let list = self.settings.entry(name).or_insert_with(|| toml::Value::Array(Vec::new()));
                if let toml::Value::Array(list) = list {
                    list.push(one.into());
                }
            }
            Meaning::Clients(said) => self.tls.take(said),
            Meaning::Backends(said) => self.backends.take(said),
            Meaning::Left(why) => {
                let value = if key.contains("pass") { "[masked]" } else { value };
                self.left.push(format!("{key} = {value}: {why}"));
            }
        }
    }

    fn finish(mut self) -> Translation {
        if self.settings.contains_key("tls-ca") || self.tls != tls::Clients::default() {
            self.settings.insert("tls-verify", self.tls.verify().into());
        }
        let (order, unknown) = self.backends.ours();
        if !order.is_empty() {
            self.settings.insert("auth-backends", order.into());
        }
        self.left.extend(unknown.into_iter().map(|line| format!("{line}: {}", meaning::NO_BACKEND)));
        while let Err(error) = check(&self.settings) {
            let ConfigError::Invalid { name, message } = &error else {
                self.left.push(error.to_string());
                break;
            };
            self.left.push(format!("{name}: {message}"));
            if !self.leave_out(name) {
                break;
            }
        }
        Translation { toml: self.document(), left: self.left }
    }

    /// Leaves a setting out, or, if what is wrong is that it is missing, those that belong to it. Whether there were any.
    fn leave_out(&mut self, name: &str) -> bool {
        if self.settings.remove(name).is_some() {
            return true;
        }
        let family = name.split('-').next().unwrap_or(name);
        let (others, kept): (BTreeMap<_, _>, _) = std::mem::take(&mut self.settings)
            .into_iter()
            .partition(|(other, _)| other.split('-').next() == Some(family));
        self.settings = kept;
        self.left.extend(others.keys().map(|other| format!("{other}: left out with {name}")));
        !others.is_empty()
    }

    fn document(&self) -> String {
        let mut text = String::from("# Made of a rabbitmq.conf.\n");
        if !self.settings.contains_key("amqp-listen") {
            text.push_str(
                "# RabbitMQ listens on all addresses by default: amqp-listen = \"0.0.0.0:5672\" does that.\n",
            );
        }
        for name in keys().into_iter().map(|key| key.name) {
            if let Some(value) = self.settings.get(&*name) {
                writeln!(text, "{name} = {value}").expect("a text takes everything");
            }
        }
        for left in &self.left {
            // A comment has no control characters.
            let left = Printable::new(left).cut_at(usize::MAX);
            writeln!(text, "# not translated: {left}").expect("a text takes everything");
        }
        text
    }
}

/// Whether these can be used together.
fn check(settings: &BTreeMap<&'static str, toml::Value>) -> Result<(), ConfigError> {
    for (&name, value) in settings {
        let one = toml::Table::from_iter([(name.to_owned(), value.clone())]);
        if let Err(error) = one.try_into::<Settings>() {
            return Err(ConfigError::Invalid { name, message: error.message().to_owned() });
        }
    }
    let table = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let all = table.collect::<toml::Table>().try_into::<Settings>();
    let all = all.map_err(|error| ConfigError::Invalid { name: "", message: error.message().to_owned() })?;
    Config::validate(Said::new(Settings::default(), all)).map(drop)
}

/// A line's key and value; `None` for one that says nothing.
fn read(line: &str) -> Result<Option<(String, String)>, ()> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (key, value) = line.split_once('=').ok_or(())?;
    let (key, value) = (key.trim(), value.trim());
    let value = match value.strip_prefix('\'').and_then(|rest| rest.split_once('\'')) {
        Some((quoted, _)) => quoted,
        None => value.split('#').next().unwrap_or_default().trim_end(),
    };
    let is_key =
        !key.is_empty() && key.chars().all(|letter| letter.is_alphanumeric() || "._-/*$".contains(letter));
    if is_key && !value.is_empty() { Ok(Some((key.into(), value.into()))) } else { Err(()) }
}

#[cfg(test)]
mod tests;
