//! The program's log, on stderr.
//!
//! In the form for people, or in that for programs (`json`). Whatever a value holds, its record stays on one line, has no control characters and is bounded: peers' names and texts
//! come to the log as values of fields, and no place where something is logged has to think of it.

mod json;

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Registry,
    field::MakeExt,
    filter::Targets,
    fmt::{self, FormatFields, format},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use crate::config::{LogFilter, LogFormat};
use crate::protocol::Printable;

/// Which records are written, and can be told otherwise. What a place in the code writes is still looked up once, not for each record.
pub(super) struct Level(reload::Handle<Targets, Registry>);

impl Level {
    /// Writes what this filter lets through from now on.
    pub(super) fn set(&self, filter: LogFilter) -> Result<(), String> {
        self.0.reload(filter.targets()).map_err(|error| error.to_string())?;
        // What comes by way of `log` is looked at there first.
        log::set_max_level(log_level(LevelFilter::current()));
        Ok(())
    }
}

fn log_level(level: LevelFilter) -> log::LevelFilter {
    level.to_string().parse().unwrap_or(log::LevelFilter::Trace)
}

/// Writes what the filter lets through from now on.
pub(super) fn start(filter: LogFilter, format: LogFormat) -> Level {
    let (filter, handle) = reload::Layer::new(filter.targets());
    let filtered = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            filtered.with(lines.fmt_fields(fields()).with_ansi(io::stderr().is_terminal())).init();
        }
        LogFormat::Json => {
            filtered
                .with(lines.fmt_fields(json::Members).event_format(json::Objects).with_ansi(false))
                .init();
        }
    }
    Level(handle)
}

/// `text name=value other=value`. What `log` adds to records that come through it is left out.
fn fields() -> impl for<'a> FormatFields<'a> + 'static {
    format::debug_fn(|out, field, value| {
        let text = format_args!("{value:?}");
        match field.name() {
            // The broker's own words, as long as they may be.
            "message" => write!(out, "{}", Printable::new(text).cut_at(usize::MAX)),
            name => write!(out, "{name}={}", Printable::new(text)),
        }
    })
    .delimited(" ")
}
