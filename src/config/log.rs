//! How much is logged: `debug`, or `info,leveret::store=debug,sled=trace`; and in which form.

use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::filter::Targets;

/// What is written to the log.
///
/// A level alone is the broker's; what the libraries write that it is built on comes at WARN, and that of TLS not at all, unless they are
/// named.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFilter {
    text: String,
    targets: Targets,
}

impl LogFilter {
    /// What a subscriber takes.
    pub fn targets(self) -> Targets {
        self.targets
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn of(level: LevelFilter) -> Targets {
        let quiet =
            Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(TLS, LevelFilter::OFF);
        quiet.with_target(PROGRAM, level)
    }
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: an object on each line.
    Json,
}

impl LogFormat {
    /// As it is configured.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// What the broker's own records begin with.
const PROGRAM: &str = "leveret";

/// What this library writes about peers is up to them, and without bound. What counts of it is told with a refused connection.
const TLS: &str = "rustls";

/// What these libraries would write of each request that is sent has passwords in it.
const HTTP: &str = "ureq";

impl Default for LogFilter {
    fn default() -> Self {
        Self { text: "info".into(), targets: Self::of(LevelFilter::INFO) }
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let mut targets = Self::default().targets;
        for word in words().filter(|word| !word.contains('=')) {
            targets = Self::of(level(word)?);
        }
        for (target, word) in words().filter_map(|word| word.split_once('=')) {
            let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            if target.is_empty() || !target.chars().all(is_path) {
                return Err(format!("'{target}' is no part of a program: write leveret::store=debug"));
            }
            targets = targets.with_target(target, level(word)?);
        }
        // Also where only a part of them is named.
        for (target, _) in words().filter_map(|word| word.split_once('=')).chain([(HTTP, "")]) {
            if target.starts_with(HTTP) && targets.would_enable(target, &Level::TRACE) {
                targets = targets.with_target(target, LevelFilter::DEBUG);
            }
        }
        Ok(Self { text: text.into(), targets })
    }
}

fn level(word: &str) -> Result<LevelFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    if !LEVELS.contains(&word.to_ascii_lowercase().as_str()) {
        return Err(format!("'{word}' is no level: they are {}", LEVELS.join(", ")));
    }
    word.parse().map_err(|error| format!("'{word}': {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(filter: &str, target: &str, level: Level) -> bool {
        filter.parse::<LogFilter>().unwrap().targets().would_enable(target, &level)
    }

    #[test]
    fn what_is_sent_to_others_is_not_written_whatever_is_asked_for() {
        for filter in [
            "trace",
            "ureq=trace",
            "u=trace",
            "ureq::run=trace",
            "ureq_proto=trace",
            "ureq_proto::util=trace",
        ] {
            for target in ["ureq", "ureq::run", "ureq::util", "ureq_proto", "ureq_proto::util"] {
                assert!(!writes(filter, target, Level::TRACE), "{filter} {target}");
            }
        }
        assert!(writes("ureq=trace", "ureq::run", Level::DEBUG), "where it goes is");
    }

    #[test]
    fn a_level_is_the_brokers_and_libraries_speak_up_when_they_are_named() {
        for (filter, target, level, written) in [
            ("", "leveret::server", Level::INFO, true),
            ("", "leveret::server", Level::DEBUG, false),
            ("debug", "leveret::store::keeper", Level::DEBUG, true),
            ("debug", "sled::pagecache", Level::DEBUG, false),
            ("debug", "sled::pagecache", Level::WARN, true),
            ("debug,sled=debug", "sled::pagecache", Level::DEBUG, true),
            ("sled=debug", "leveret::server", Level::INFO, true),
            ("leveret::store=debug, WARN", "leveret::store::keeper", Level::DEBUG, true),
            ("leveret::store=debug, WARN", "leveret::server", Level::INFO, false),
            ("error", "sled", Level::WARN, false),
            ("", "rustls::msgs::handshake", Level::ERROR, false),
            ("debug", "rustls::msgs::handshake", Level::WARN, false),
            ("rustls=debug", "rustls::msgs::handshake", Level::DEBUG, true),
            ("off", "leveret", Level::ERROR, false),
            ("", "leveret::audit", Level::INFO, true),
            ("leveret::audit=off", "leveret::audit", Level::WARN, false),
            ("leveret::audit=off", "leveret::server", Level::INFO, true),
            ("warn", "leveret::audit", Level::INFO, false),
            ("warn,leveret::audit=info", "leveret::audit", Level::INFO, true),
        ] {
            assert_eq!(writes(filter, target, level), written, "{filter}: {target} {level}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for filter in
            ["inof", "][", "3", "leveret=", "leveret=inof", "=info", "le veret=info", "a[b]=info", "leveret"]
        {
            assert!(filter.parse::<LogFilter>().is_err(), "{filter}");
        }
        assert!("inof".parse::<LogFilter>().unwrap_err().contains("off, error, warn, info, debug, trace"));
    }
}
