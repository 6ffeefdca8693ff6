//! Prometheus's text format, written metric by metric: each with its rows.

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::{
        CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabel,
        EncodeLabelSet, GaugeValueEncoder, LabelSetEncoder, NoLabelSet,
    },
    metrics::MetricType,
};

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A count, or bytes.
    Whole(u64),
    /// Seconds, or a share.
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<bool> for Number {
    fn from(is: bool) -> Self {
        Self::Whole(is.into())
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl EncodeGaugeValue for Number {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => EncodeGaugeValue::encode(number, encoder),
            Self::Real(number) => EncodeGaugeValue::encode(number, encoder),
        }
    }
}

impl EncodeCounterValue for Number {
    fn encode(&self, encoder: &mut CounterValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => EncodeCounterValue::encode(number, encoder),
            Self::Real(number) => EncodeCounterValue::encode(number, encoder),
        }
    }
}

/// What tells the rows of a metric apart: names and values.
#[derive(Debug, Clone, Default)]
pub struct Labels(Vec<(&'static str, Arc<str>)>);

impl Labels {
    /// Some labels.
    pub fn of<const N: usize>(labels: [(&'static str, Arc<str>); N]) -> Self {
        Self(labels.into())
    }

    /// Some labels whose values are known from the start.
    pub fn known<const N: usize>(labels: [(&'static str, &str); N]) -> Self {
        Self(labels.into_iter().map(|(key, value)| (key, value.into())).collect())
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (key, value) in &self.0 {
            (*key, &**value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

/// Something that has metrics.
#[derive(Debug, Clone, Default)]
pub struct Row<T> {
    /// What tells it apart; nothing if there is only one.
    pub labels: Labels,
    /// Its figures.
    pub of: T,
}

impl<T> Row<T> {
    /// The only one of its kind.
    pub fn only(of: T) -> Self {
        Self { labels: Labels::default(), of }
    }
}

/// A metric of things of one kind.
pub struct Metric<T> {
    /// Without the prefix of its page.
    pub name: &'static str,
    kind: MetricType,
    help: &'static str,
    read: fn(&T) -> Number,
}

impl<T> Metric<T> {
    /// What it is of something.
    pub fn value(&self, of: &T) -> Number {
        (self.read)(of)
    }
}

/// A metric that rises and falls.
pub const fn gauge<T>(name: &'static str, help: &'static str, read: fn(&T) -> Number) -> Metric<T> {
    Metric { name, kind: MetricType::Gauge, help, read }
}

/// A metric that only rises. Its name ends with `_total`.
pub const fn counter<T>(name: &'static str, help: &'static str, read: fn(&T) -> Number) -> Metric<T> {
    Metric { name, kind: MetricType::Counter, help, read }
}

/// Where metrics are written to, and what their names begin with.
pub struct Sheet<'a> {
    encoder: DescriptorEncoder<'a>,
    prefix: &'static str,
}

impl<'a> Sheet<'a> {
    /// An empty one.
    pub fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self { encoder, prefix: "" }
    }

    /// From now on names begin like this.
    pub fn begin(&mut self, prefix: &'static str) -> &mut Self {
        self.prefix = prefix;
        self
    }

    /// Writes each metric, with all rows; nothing without any.
    pub fn table<T>(&mut self, metrics: &[Metric<T>], rows: &[Row<T>]) -> fmt::Result {
        metrics.iter().try_for_each(|metric| self.metric(metric, rows))
    }

    /// Writes a metric of one thing.
    pub fn one<T>(&mut self, metric: &Metric<T>, labels: &Labels, number: Number) -> fmt::Result {
        self.rows(metric.name, metric.kind, metric.help, [(labels, number)].into_iter())
    }

    fn metric<T>(&mut self, metric: &Metric<T>, rows: &[Row<T>]) -> fmt::Result {
        let rows = rows.iter().map(|row| (&row.labels, metric.value(&row.of)));
        self.rows(metric.name, metric.kind, metric.help, rows)
    }

    fn rows<'r>(
        &mut self,
        name: &str,
        kind: MetricType,
        help: &str,
        rows: impl Iterator<Item = (&'r Labels, Number)>,
    ) -> fmt::Result {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let is_counter = matches!(kind, MetricType::Counter);
        // What writes the format puts the end of a counter's name there itself.
        let name = if is_counter { name.trim_end_matches("_total") } else { name };
        let name = format!("{}{name}", self.prefix);
        let mut encoder = self.encoder.encode_descriptor(&name, help, None, kind)?;
        for (labels, number) in rows {
            let mut one = encoder.encode_family(labels)?;
            if is_counter {
                one.encode_counter::<NoLabelSet, _, u64>(&number, None)?;
            } else {
                one.encode_gauge(&number)?;
            }
        }
        Ok(())
    }

    /// Writes a metric whose labels say everything; its value is 1, its type not told (RabbitMQ).
    pub fn info(&mut self, name: &str, help: &str, labels: &Labels) -> fmt::Result {
        let name = format!("{}{name}", self.prefix);
        let mut encoder = self.encoder.encode_descriptor(&name, help, None, MetricType::Unknown)?;
        encoder.encode_family(labels)?.encode_gauge(&1_u64)
    }

    /// Writes a histogram: the upper bound of each class, and how many values were in it; the last class has no bound.
    pub fn histogram(&mut self, name: &str, help: &str, sum: f64, classes: &[(f64, u64)]) -> fmt::Result {
        let name = format!("{}{name}", self.prefix);
        let count = classes.iter().map(|(_, values)| values).sum();
        let mut encoder = self.encoder.encode_descriptor(&name, help, None, MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(sum, count, classes, None)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{collector::Collector, encoding::prometheus_text, registry::Registry};

    use super::*;

    #[derive(Debug)]
    struct Example;

    const TABLE: &[Metric<u64>] = &[
        gauge("depth", "Messages\\that wait", |number| (*number).into()),
        counter("seen_total", "Messages that were seen", |number| Number::Real(*number as f64 / 2.0)),
    ];

    impl Collector for Example {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let mut sheet = Sheet::new(encoder);
            sheet.begin("a_").info("info", "Who it is", &Labels::known([("name", "x")]))?;
            let row = |name: &str, of| Row { labels: Labels::known([("vhost", "/"), ("queue", name)]), of };
            sheet.begin("b_").table(TABLE, &[row("quote\"back\\slash\nline", 1), row("", 4)])?;
            sheet.table(&TABLE[..1], &[])?;
            sheet.histogram("took", "Time", 2.5, &[(0.1, 2), (f64::INFINITY, 1)])
        }
    }

    #[test]
    fn names_types_labels_and_values_are_written_as_prometheus_reads_them() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Example));
        let mut written = String::new();
        prometheus_text::encode(&mut written, &registry).unwrap();
        let wanted = [
            "# HELP a_info Who it is",
            "# TYPE a_info untyped",
            "a_info{name=\"x\"} 1",
            "# HELP b_depth Messages\\\\that wait",
            "# TYPE b_depth gauge",
            "b_depth{vhost=\"/\",queue=\"quote\\\"back\\\\slash\\nline\"} 1",
            "b_depth{vhost=\"/\",queue=\"\"} 4",
            "# HELP b_seen_total Messages that were seen",
            "# TYPE b_seen_total counter",
            "b_seen_total{vhost=\"/\",queue=\"quote\\\"back\\\\slash\\nline\"} 0.5",
            "b_seen_total{vhost=\"/\",queue=\"\"} 2.0",
            "# HELP b_took Time",
            "# TYPE b_took histogram",
            "b_took_bucket{le=\"0.1\"} 2",
            "b_took_bucket{le=\"+Inf\"} 3",
            "b_took_sum 2.5",
            "b_took_count 3",
        ];
        assert_eq!(written.lines().collect::<Vec<_>>(), wanted);
    }
}
