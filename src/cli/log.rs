//! The program's log, on stderr.
//!
//! In the form for people, or in that for programs (`json`). Whatever a value holds, its record stays on one line, has no control characters and is bounded: peers' names and texts
//! come to the log as values of fields, and no place where something is logged has to think of it.
//!
//! The last lines are kept in the process as well, as the objects of the form for programs.

mod json;

use std::{
    io::{self, IsTerminal},
    sync::Arc,
};

use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    Registry,
    field::MakeExt,
    filter::Targets,
    fmt::{self, FormatFields, MakeWriter, format, writer::MakeWriterExt},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use crate::config::{LogFilter, LogFormat};
use crate::management::{Part, Recent};
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

/// Writes what the filter lets through from now on, and keeps the last of it.
pub(super) fn start(filter: LogFilter, format: LogFormat, recent: Arc<Recent>) -> Level {
    let (filter, handle) = reload::Layer::new(filter.targets());
    let filtered = tracing_subscriber::registry().with(filter);
    let objects = fmt::layer().fmt_fields(json::Members).event_format(json::Objects).with_ansi(false);
    let kept = Keeping(recent);
    match format {
        LogFormat::Text => {
            let text = fmt::layer()
                .with_writer(io::stderr)
                .fmt_fields(fields())
                .with_ansi(io::stderr().is_terminal());
            filtered.with(objects.with_writer(kept)).with(text).init();
        }
        LogFormat::Json => filtered.with(objects.with_writer(io::stderr.and(kept))).init(),
    }
    Level(handle)
}

/// Gives each line to where the last ones are kept.
struct Keeping(Arc<Recent>);

/// Takes a line, which is written at once.
struct Taking<'a> {
    recent: &'a Recent,
    part: Part,
}

impl<'a> MakeWriter<'a> for Keeping {
    type Writer = Taking<'a>;

    fn make_writer(&'a self) -> Taking<'a> {
        Taking { recent: &self.0, part: Part::Log }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Taking<'a> {
        Taking { recent: &self.0, part: Part::of(metadata.target()) }
    }
}

impl io::Write for Taking<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.recent.add(self.part, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
