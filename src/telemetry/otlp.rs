//! What spans are in OpenTelemetry's words: its protocol (OTLP 1), and its names for messaging.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1,
    trace::v1::{ResourceSpans, ScopeSpans, Span as Encoded, span::SpanKind},
};
use prost::Message as _;

use crate::core::observing::{Span, Step};
use crate::protocol::ShortString;

/// Who tells spans.
pub(super) struct Resource(v1::Resource);

impl Resource {
    /// A broker of this name.
    pub(super) fn of(node: &str) -> Self {
        let attributes = vec![
            text("service.name", "leveret"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", node),
        ];
        Self(v1::Resource { attributes, ..Default::default() })
    }
}

/// A request that has a collector take spans.
pub(super) fn request(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: "leveret".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..Default::default()
    };
    let spans = spans.iter().map(encoded).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
    let resource = Some(resource.0.clone());
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn encoded(span: &Span) -> Encoded {
    let (operation, kind) = match &span.step {
        Step::Publish(_) => ("publish", SpanKind::Server),
        Step::Wait(_) => ("wait in queue", SpanKind::Internal),
        Step::Deliver { .. } => ("deliver", SpanKind::Internal),
        Step::Settle(_) => ("settle", SpanKind::Server),
    };
    let where_from = if span.is_of_publisher { PARENT_IS_REMOTE } else { 0 };
    Encoded {
        trace_id: span.trace.into(),
        span_id: span.id.into(),
        trace_state: span.state.to_string(),
        parent_span_id: span.parent.into(),
        flags: SAMPLED | PARENT_IS_KNOWN | where_from,
        name: format!("{operation} {}", subject(span)),
        kind: kind.into(),
        start_time_unix_nano: span.start.saturating_mul(1_000_000),
        end_time_unix_nano: span.end.saturating_mul(1_000_000),
        attributes: attributes(span, operation),
        ..Default::default()
    }
}

/// The queue; of a publish the exchange, or the queue that the default exchange leads to.
fn subject(span: &Span) -> &ShortString {
    match &span.queue {
        Some(queue) => queue,
        None if span.exchange.is_empty() => &span.routing_key,
        None => &span.exchange,
    }
}

/// By OpenTelemetry's conventions for messaging and for RabbitMQ; what these have no name for begins with `leveret.`.
fn attributes(span: &Span, operation: &str) -> Vec<KeyValue> {
    let mut all = vec![
        text("messaging.system", "rabbitmq"),
        text("messaging.operation.name", operation),
        text("messaging.destination.name", &destination(span)),
        whole("messaging.message.body.size", span.body_bytes.into()),
        text("leveret.vhost", &span.vhost.to_string()),
    ];
    if !span.routing_key.is_empty() {
        all.push(text("messaging.rabbitmq.destination.routing_key", &span.routing_key.to_string()));
    }
    if let Some(id) = &span.message_id {
        all.push(text("messaging.message.id", &id.to_string()));
    }
    if let Some(by) = &span.by {
        all.push(text("leveret.connection", &by.connection));
        all.push(text("user.name", &by.user.to_string()));
    }
    match &span.step {
        Step::Publish(routed) => {
            all.push(text("messaging.operation.type", "send"));
            all.push(whole("leveret.queue_count", routed.count as i64));
            let queues = routed.queues.iter().map(|queue| any(Value::StringValue(queue.to_string())));
            let queues = ArrayValue { values: queues.collect() };
            all.push(pair("leveret.queues", Value::ArrayValue(queues)));
        }
        Step::Wait(how) => all.push(text("leveret.outcome", how)),
        Step::Deliver { consumer, redelivered } => {
            all.push(text("messaging.operation.type", "receive"));
            if let Some(tag) = consumer {
                all.push(text("leveret.consumer_tag", &tag.to_string()));
            }
            all.push(pair("leveret.redelivered", Value::BoolValue(*redelivered)));
        }
        Step::Settle(how) => {
            all.push(text("messaging.operation.type", "settle"));
            all.push(text("leveret.outcome", how));
        }
    }
    all
}

/// Exchange, routing key and queue, as far as there are and each once, with colons between them.
fn destination(span: &Span) -> String {
    let queue = span.queue.as_ref().filter(|queue| **queue != span.routing_key);
    let parts = [Some(&span.exchange), Some(&span.routing_key), queue].into_iter().flatten();
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).map(ToString::to_string).collect();
    if parts.is_empty() { "amq.default".into() } else { parts.join(":") }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

fn whole(key: &str, value: i64) -> KeyValue {
    pair(key, Value::IntValue(value))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any(value)), ..Default::default() }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

/// Flags of a span: those of the trace, and whether its parent is in another process.
const SAMPLED: u32 = 1;
const PARENT_IS_KNOWN: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;
