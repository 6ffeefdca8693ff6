//! The log for programs: an object on each line.
//!
//! ```json
//! {"timestamp":"2026-01-31T12:00:00.000000Z","level":"INFO","target":"leveret::audit","message":"connection opened",
//!  "fields":{"event":"login","user":"guest"},"connection":{"number":1,"peer":"127.0.0.1:50000"}}
//! ```
//!
//! `fields` is always there. Each span round the record is a member with its name: `connection` is the only one of the broker's own.
//! Numbers and truth values are such; every other value is the text that stands in the form for people, escaped and cut as there, so that
//! no terminal obeys it when a program shows it.

use std::fmt::{self, Debug, Write};

use serde_json::Value;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::protocol::Printable;

/// A record as an object.
pub(super) struct Objects;

/// Fields as the members of an object, without its braces.
pub(super) struct Members;

impl<S, N> FormatEvent<S, N> for Objects
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut told = Told::default();
        event.record(&mut told);
        let metadata = event.metadata();
        out.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut out)?;
        write!(out, "\",\"level\":\"{}\",\"target\":", metadata.level())?;
        write_text(&mut out, told.target.as_deref().unwrap_or(metadata.target()))?;
        out.write_str(",\"message\":")?;
        write_text(&mut out, &told.message)?;
        write!(out, ",\"fields\":{{{}}}", told.members)?;
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            out.write_char(',')?;
            write_text(&mut out, span.name())?;
            let extensions = span.extensions();
            let members = extensions.get::<FormattedFields<N>>().map_or("", |members| &members.fields);
            write!(out, ":{{{members}}}")?;
        }
        out.write_str("}\n")
    }
}

impl<'writer> FormatFields<'writer> for Members {
    fn format_fields<R: RecordFields>(&self, mut out: Writer<'writer>, fields: R) -> fmt::Result {
        let mut told = Told::default();
        fields.record(&mut told);
        out.write_str(&told.members)
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        if !current.fields.is_empty() && !fields.is_empty() {
            current.fields.push(',');
        }
        self.format_fields(current.as_writer(), fields)
    }
}

/// What a record or a span says.
#[derive(Default)]
struct Told {
    message: String,
    /// Where it comes from, if it came through `log`.
    target: Option<String>,
    /// The other fields, with commas between them.
    members: String,
}

impl Told {
    fn add(&mut self, field: &Field, value: &Value) {
        let comma = if self.members.is_empty() { "" } else { "," };
        let name = Value::from(field.name());
        // A text takes whatever is written to it.
        let _written = write!(self.members, "{comma}{name}:{value}");
    }

    fn add_text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        match field.name() {
            // The broker's own words, as long as they may be.
            "message" => self.message = Printable::new(text).cut_at(usize::MAX).to_string(),
            "log.target" => self.target = Some(Printable::new(text).to_string()),
            // The rest of what `log` adds to records that come through it is left out.
            name if name.starts_with("log.") => {}
            _ => self.add(field, &Printable::new(text).to_string().into()),
        }
    }
}

impl Visit for Told {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // `log` gives lines of its sources in this way.
        if !field.name().starts_with("log.") {
            self.add(field, &value.into());
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_text(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add_text(field, format_args!("{value:?}"));
    }
}

fn write_text(out: &mut Writer<'_>, text: &str) -> fmt::Result {
    write!(out, "{}", Value::from(text))
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::json;
    use tracing::{Span, field::Empty};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::audit::captured;
    use crate::limits::SHOWN_CHARS_MAX;

    /// What is logged meanwhile: an object for each line.
    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let subscriber = |written: captured::Written| {
            let layer = tracing_subscriber::fmt::layer()
                .with_writer(move || written.clone())
                .fmt_fields(Members)
                .event_format(Objects)
                .with_ansi(false);
            tracing_subscriber::registry().with(layer)
        };
        let lines = captured::lines(subscriber, work);
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_record_is_an_object_on_a_line() {
        let lines = logged(|| {
            let error = io::Error::other("no");
            tracing::warn!(target: "a::b", n = 7, below = -1, part = 0.5, is = true, text = "t", shown = %"s", ?error, none = Empty, "words {}", 1);
            tracing::info!("alone");
        });
        let object = lines[0].as_object().unwrap();
        let names: Vec<_> = object.keys().map(String::as_str).collect();
        assert_eq!(names.len(), 5, "{names:?}");
        assert!(object["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!((&object["level"], &object["target"]), (&json!("WARN"), &json!("a::b")));
        assert_eq!(object["message"], "words 1");
        let error = r#"Custom { kind: Other, error: "no" }"#;
        let fields =
            json!({"n": 7, "below": -1, "part": 0.5, "is": true, "text": "t", "shown": "s", "error": error});
        assert_eq!(object["fields"], fields);
        assert_eq!((&lines[1]["message"], &lines[1]["fields"]), (&json!("alone"), &json!({})));
    }

    #[test]
    fn spans_are_members_with_what_was_added_to_them() {
        let lines = logged(|| {
            let span = tracing::error_span!("connection", number = 1, name = Empty, user = Empty);
            span.record("name", "a").record("user", tracing::field::display("b"));
            tracing::info!(parent: &span, x = 1, "within");
            tracing::info!(parent: Span::none(), "without");
        });
        assert_eq!(lines[0]["connection"], json!({"number": 1, "name": "a", "user": "b"}));
        assert_eq!(lines[0]["fields"], json!({"x": 1}));
        assert_eq!(lines[1].get("connection"), None);
    }

    #[test]
    fn what_peers_send_is_escaped_and_cut() {
        let evil = format!("a\"\\\n\x1b[31m\u{202e}{}", "x".repeat(10 * SHOWN_CHARS_MAX));
        let shown = Printable::new(&evil).to_string();
        let lines = logged(|| {
            let span = tracing::error_span!("connection", name = %evil);
            tracing::info!(parent: &span, text = evil, shown = %evil, "{evil}");
        });
        assert_eq!(lines.len(), 1);
        for part in
            [&lines[0]["fields"]["text"], &lines[0]["fields"]["shown"], &lines[0]["connection"]["name"]]
        {
            assert_eq!(*part, shown);
        }
        let message = lines[0]["message"].as_str().unwrap();
        assert!(
            message.starts_with(r#"a"\\n\u{1b}[31m\u{202e}xxx"#) && !message.ends_with("..."),
            "{message}"
        );
    }
}
