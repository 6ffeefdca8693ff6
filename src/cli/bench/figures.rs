//! The figures of a run of messages: totals at an instant, what happened between two of them, and the summary.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::report::{Record, Spread, rate};

/// What all workers counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    /// Published.
    pub sent: u64,
    /// Delivered.
    pub received: u64,
    /// Published and acknowledged.
    pub confirmed: u64,
    /// Published and refused.
    pub nacked: u64,
    /// Published and returned.
    pub returned: u64,
}

/// Which figures mean something in this run.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each column is there or not")]
pub(super) struct Columns {
    /// There are producers.
    pub sent: bool,
    /// There are consumers.
    pub received: bool,
    /// Publishes are confirmed.
    pub confirmed: bool,
    /// Publishes are mandatory.
    pub returned: bool,
}

/// One interval.
#[derive(Debug, Serialize)]
pub(super) struct Interval {
    #[serde(rename = "type")]
    kind: &'static str,
    time_seconds: f64,
    sent_per_second: f64,
    received_per_second: f64,
    confirmed_per_second: f64,
    nacked_per_second: f64,
    returned_per_second: f64,
    consumer_latency_us: Option<Spread>,
    confirm_latency_us: Option<Spread>,
    #[serde(skip)]
    columns: Columns,
}

impl Interval {
    /// From `before` to `after`, which is `seconds` long and ends `time_seconds` after the start.
    pub(super) fn between(
        before: &Totals,
        after: &Totals,
        seconds: f64,
        time_seconds: f64,
        columns: Columns,
    ) -> Self {
        Self {
            kind: "interval",
            time_seconds,
            sent_per_second: rate(after.sent - before.sent, seconds),
            received_per_second: rate(after.received - before.received, seconds),
            confirmed_per_second: rate(after.confirmed - before.confirmed, seconds),
            nacked_per_second: rate(after.nacked - before.nacked, seconds),
            returned_per_second: rate(after.returned - before.returned, seconds),
            consumer_latency_us: None,
            confirm_latency_us: None,
            columns,
        }
    }

    /// With the latencies of the interval.
    pub(super) fn with_latencies(mut self, consumer: &Histogram<u64>, confirm: &Histogram<u64>) -> Self {
        self.consumer_latency_us = Spread::of(consumer);
        self.confirm_latency_us = Spread::of(confirm);
        self
    }
}

impl Record for Interval {
    fn text(&self) -> String {
        let columns = self.columns;
        let mut text = listed(
            format!("time {:.3} s", self.time_seconds),
            [
                (columns.sent, "sent", self.sent_per_second),
                (columns.returned, "returned", self.returned_per_second),
                (columns.confirmed, "confirmed", self.confirmed_per_second),
                (columns.confirmed, "nacked", self.nacked_per_second),
                (columns.received, "received", self.received_per_second),
            ]
            .map(|(is_shown, name, rate)| is_shown.then(|| format!("{name}: {rate:.0} msg/s"))),
        );
        text += &self.consumer_latency_us.map(|spread| spread.interval_text("consumer")).unwrap_or_default();
        text += &self.confirm_latency_us.map(|spread| spread.interval_text("confirm")).unwrap_or_default();
        text
    }
}

/// The whole run.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    time_seconds: f64,
    #[serde(flatten)]
    totals: Totals,
    sent_per_second: f64,
    received_per_second: f64,
    confirmed_per_second: f64,
    consumer_latency_us: Option<Spread>,
    confirm_latency_us: Option<Spread>,
    #[serde(skip)]
    columns: Columns,
}

/// How long each kind of work took, in seconds from the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Durations {
    /// Of the run.
    pub run: f64,
    /// Until the last publish, or the run's end.
    pub sending: f64,
    /// Until the last confirm, or the run's end.
    pub confirming: f64,
    /// Until the last delivery, or the run's end.
    pub receiving: f64,
}

impl Summary {
    /// Rates over the time that each kind of work took.
    pub(super) fn new(id: &str, totals: Totals, took: Durations, columns: Columns) -> Self {
        Self {
            kind: "summary",
            id: id.to_owned(),
            time_seconds: took.run,
            totals,
            sent_per_second: rate(totals.sent, took.sending),
            received_per_second: rate(totals.received, took.receiving),
            confirmed_per_second: rate(totals.confirmed, took.confirming),
            consumer_latency_us: None,
            confirm_latency_us: None,
            columns,
        }
    }

    /// With the latencies of the run.
    pub(super) fn with_latencies(mut self, consumer: &Histogram<u64>, confirm: &Histogram<u64>) -> Self {
        self.consumer_latency_us = Spread::of(consumer);
        self.confirm_latency_us = Spread::of(confirm);
        self
    }
}

impl Record for Summary {
    fn text(&self) -> String {
        let (columns, totals) = (self.columns, &self.totals);
        let mut lines = Vec::new();
        for (is_shown, name, rate) in [
            (columns.sent, "sending", self.sent_per_second),
            (columns.confirmed, "confirming", self.confirmed_per_second),
            (columns.received, "receiving", self.received_per_second),
        ] {
            if is_shown {
                lines.push(format!("{name} rate avg: {rate:.0} msg/s"));
            }
        }
        lines.push(listed(
            format!("time {:.3} s", self.time_seconds),
            [
                (columns.sent, "sent", totals.sent),
                (columns.returned, "returned", totals.returned),
                (columns.confirmed, "confirmed", totals.confirmed),
                (columns.confirmed, "nacked", totals.nacked),
                (columns.received, "received", totals.received),
            ]
            .map(|(is_shown, name, count)| is_shown.then(|| format!("{name}: {count}"))),
        ));
        lines.extend(self.consumer_latency_us.map(|spread| spread.summary_text("consumer")));
        lines.extend(self.confirm_latency_us.map(|spread| spread.summary_text("confirm")));
        lines.join("\n")
    }
}

fn listed<const N: usize>(head: String, items: [Option<String>; N]) -> String {
    items.into_iter().flatten().fold(head, |text, item| text + ", " + &item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::stats::histogram;

    const ALL: Columns = Columns { sent: true, received: true, confirmed: true, returned: true };

    #[test]
    fn a_line_has_the_form_of_perftest() {
        let before = Totals { sent: 100, received: 50, ..Totals::default() };
        let after = Totals { sent: 300, received: 150, ..Totals::default() };
        let columns = Columns { confirmed: false, returned: false, ..ALL };
        let mut latencies = histogram();
        latencies.record(5_000).unwrap();
        let interval = Interval::between(&before, &after, 2.0, 4.0, columns);
        assert_eq!(interval.text(), "time 4.000 s, sent: 100 msg/s, received: 50 msg/s");
        let interval = interval.with_latencies(&latencies, &histogram());
        assert_eq!(
            interval.text(),
            "time 4.000 s, sent: 100 msg/s, received: 50 msg/s, \
             min/median/75th/95th/99th consumer latency: 5/5/5/5/5 µs"
        );
    }

    #[test]
    fn a_summary_rates_each_work_by_its_own_time() {
        let totals = Totals { sent: 100, received: 100, confirmed: 90, nacked: 10, returned: 0 };
        let took = Durations { run: 5.0, sending: 1.0, confirming: 2.0, receiving: 4.0 };
        let summary = Summary::new("x", totals, took, ALL);
        assert_eq!(
            summary.text(),
            "sending rate avg: 100 msg/s\nconfirming rate avg: 45 msg/s\nreceiving rate avg: 25 msg/s\n\
             time 5.000 s, sent: 100, returned: 0, confirmed: 90, nacked: 10, received: 100"
        );
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(
            (&json["type"], &json["sent"], &json["nacked"]),
            (&"summary".into(), &100.into(), &10.into())
        );
        assert!(json["consumer_latency_us"].is_null());
    }
}
