//! The program's log, on stderr.
//!
//! Whatever a value holds, its record stays on one line, has no control characters and is bounded: peers' names and texts
//! come to the log as values of fields, and no place where something is logged has to think of it.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    field::MakeExt,
    fmt::{self, FormatFields, format},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::LogFilter;
use crate::protocol::Printable;

/// Writes what the filter lets through from now on.
pub(super) fn start(filter: LogFilter) {
    let lines =
        fmt::layer().fmt_fields(fields()).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry().with(filter.targets()).with(lines).init();
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
