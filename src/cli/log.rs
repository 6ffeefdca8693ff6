//! The program's log, on stderr.
//!
//! In the form for people, or in that for programs (`json`). Whatever a value holds, its record stays on one line, has no control characters and is bounded: peers' names and texts
//! come to the log as values of fields, and no place where something is logged has to think of it.

mod json;

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    field::MakeExt,
    fmt::{self, FormatFields, format},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::{LogFilter, LogFormat};
use crate::protocol::Printable;

/// Writes what the filter lets through from now on.
pub(super) fn start(filter: LogFilter, format: LogFormat) {
    let filtered = tracing_subscriber::registry().with(filter.targets());
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
