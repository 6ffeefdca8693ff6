//! What people and programs read: a line for each interval in PerfTest's form, a summary, or both as JSON.
//!
//! Lines go to stdout, notices and the progress bar to stderr. A reader who goes away (`| head`) is no error.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::plan::Plan;

/// Prints. Knows nothing of what is measured.
pub(super) struct Report {
    id: String,
    json: bool,
    bar: ProgressBar,
}

impl Report {
    /// With a progress bar if the end is known and somebody may be looking.
    pub(super) fn new(plan: &Plan) -> Self {
        let messages = plan.publishing.messages.map(|each| each.saturating_mul(u64::from(plan.producers)));
        let bar = match (plan.time, messages) {
            _ if !io::stderr().is_terminal() => ProgressBar::hidden(),
            (Some(time), _) => bar(time.as_millis() as u64, "{wide_bar} {elapsed}, {eta} left"),
            (None, Some(messages)) => bar(messages, "{wide_bar} {human_pos} of {human_len}, {eta} left"),
            (None, None) => ProgressBar::hidden(),
        };
        Self { id: plan.id.clone(), json: plan.json, bar }
    }

    /// Moves the progress bar, whichever it is.
    pub(super) fn progress(&self, elapsed: Duration, sent: u64, plan: &Plan) {
        self.bar.set_position(if plan.time.is_some() { elapsed.as_millis() as u64 } else { sent });
    }

    /// One line, as JSON or as text.
    pub(super) fn line(&self, record: &impl Record) {
        let line = if self.json { json(record) } else { format!("id: {}, {}", self.id, record.text()) };
        self.print(&line);
    }

    /// The last words: one JSON object, or several lines of text.
    pub(super) fn summary(&self, record: &impl Record) {
        self.bar.finish_and_clear();
        if self.json {
            return self.print(&json(record));
        }
        for line in record.text().lines() {
            self.print(&format!("id: {}, {line}", self.id));
        }
    }

    /// Something to know that is no figure.
    pub(super) fn notice(&self, text: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(io::stderr(), "leveret: {text}");
        });
    }

    /// Takes the progress bar away.
    pub(super) fn abandon(&self) {
        self.bar.finish_and_clear();
    }

    fn print(&self, line: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(io::stdout().lock(), "{line}");
        });
    }
}

/// Figures that can be printed.
pub(super) trait Record: Serialize {
    /// For people, without the run's name.
    fn text(&self) -> String;
}

/// How latencies are spread, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    /// How many there were.
    pub count: u64,
    /// Fastest.
    pub min: f64,
    /// Median.
    pub p50: f64,
    /// 75 of 100 are no slower.
    pub p75: f64,
    /// 95 of 100 are no slower.
    pub p95: f64,
    /// 99 of 100 are no slower.
    pub p99: f64,
    /// 999 of 1000 are no slower.
    pub p999: f64,
    /// Slowest.
    pub max: f64,
}

impl Spread {
    /// Of a histogram of nanoseconds; none of an empty one.
    pub(super) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            min: micros(histogram.min()),
            p50: at(0.5),
            p75: at(0.75),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(histogram.max()),
        })
    }

    /// As in the line of an interval.
    pub(super) fn interval_text(&self, what: &str) -> String {
        let Self { min, p50, p75, p95, p99, .. } = self;
        format!(", min/median/75th/95th/99th {what} latency: {min:.0}/{p50:.0}/{p75:.0}/{p95:.0}/{p99:.0} µs")
    }

    /// As in the summary.
    pub(super) fn summary_text(&self, what: &str) -> String {
        let Self { p50, p95, p99, p999, max, .. } = self;
        format!("{what} latency p50/p95/p99/p99.9/max: {p50:.0}/{p95:.0}/{p99:.0}/{p999:.0}/{max:.0} µs")
    }
}

/// `count` in `seconds`, by the second; 0 in no time.
pub(super) fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn json(record: &impl Record) -> String {
    serde_json::to_string(record).expect("numbers and literal keys are always JSON")
}

fn micros(ns: u64) -> f64 {
    ns as f64 / 1e3
}

fn bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::stats::histogram;

    #[test]
    fn nanoseconds_become_microseconds_to_three_digits() {
        let mut latencies = histogram();
        for microsecond in 1..=1000 {
            latencies.record(microsecond * 1000).unwrap();
        }
        let spread = Spread::of(&latencies).unwrap();
        assert_eq!(spread.count, 1000);
        for (figure, expected) in
            [(spread.min, 1.0), (spread.p50, 500.0), (spread.p999, 999.0), (spread.max, 1000.0)]
        {
            assert!((figure - expected).abs() <= expected / 500.0, "{figure} {expected}");
        }
        assert_eq!(spread.interval_text("consumer").matches('/').count(), 8);
    }

    #[test]
    fn nothing_has_no_spread_and_no_rate() {
        assert_eq!(Spread::of(&histogram()), None);
        assert!(rate(5, 0.0).abs() < f64::EPSILON);
        assert!((rate(5, 2.0) - 2.5).abs() < f64::EPSILON);
    }
}
