//! The way of messages whose publishers follow them, as spans of OpenTelemetry: which messages these are, and what is told of each.
//!
//! A message says so by its header `traceparent` (W3C Trace Context) with the flag *sampled*. Of all others nothing is told, and of
//! these nothing is kept in them: their spans are children of the publisher's, by what the header says. Where spans go, and which form they
//! have there, is not known here.

use std::sync::Arc;

use super::Routed;
use crate::core::{client::Client, clock::Millis, message::View};
use crate::limits::TRACE_STATE_BYTES_MAX;
use crate::protocol::{
    PropertiesView, ShortString, TableView, properties::FLAG_HEADERS, property_flags, table::TableEntry,
};

/// The number of a span, which is not zero.
pub type SpanId = [u8; 8];

/// In which trace a message was published that is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The trace.
    pub trace: [u8; 16],
    /// The span of its publisher.
    pub parent: SpanId,
    /// The header `tracestate`; empty if there is none, or none that can be carried on.
    pub state: &'a str,
}

impl<'a> Context<'a> {
    /// That of a message, if it has one and is sampled.
    #[inline]
    pub fn of(message: &View<'a>) -> Option<Self> {
        let flags = property_flags(message.properties())?;
        if flags & FLAG_HEADERS == 0 { None } else { Self::of_headers(message) }
    }

    fn of_headers(message: &View<'a>) -> Option<Self> {
        let headers = TableView::new(PropertiesView::of_checked(message.properties()).ok()?.headers?);
        let (trace, parent) = traceparent(text(&headers.get("traceparent")?)?)?;
        let state = headers.get("tracestate").and_then(|entry| std::str::from_utf8(text(&entry)?).ok());
        let is_carried = |state: &&str| {
            state.len() <= TRACE_STATE_BYTES_MAX && state.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        Some(Self { trace, parent, state: state.filter(is_carried).unwrap_or_default() })
    }
}

/// A text, whichever way a client has sent it.
fn text<'a>(entry: &TableEntry<'a>) -> Option<&'a [u8]> {
    matches!(entry.tag, b'S' | b'x').then_some(entry.value)
}

/// The trace and the publisher's span, if the trace is sampled. Later versions begin as version 0 does (W3C Trace Context, 3.2.2 and 4.3).
fn traceparent(text: &[u8]) -> Option<([u8; 16], SpanId)> {
    let (fields, more) = text.split_at_checked(TRACEPARENT_BYTES)?;
    let [version] = hex(&fields[..2])?;
    let has_its_length = if version == 0 { more.is_empty() } else { matches!(more, [] | [b'-', ..]) };
    let has_dashes = [2, 35, 52].into_iter().all(|at| fields[at] == b'-');
    let (trace, parent) = (hex(&fields[3..35])?, hex(&fields[36..52])?);
    let [flags] = hex(&fields[53..])?;
    let is_valid = version != 0xff && has_its_length && has_dashes && trace != [0; 16] && parent != [0; 8];
    (is_valid && flags & SAMPLED != 0).then_some((trace, parent))
}

/// As many octets as there are pairs of digits, which are lower-case letters.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(octets)
}

/// Version, trace, span and flags, with dashes between them.
const TRACEPARENT_BYTES: usize = 55;
const SAMPLED: u8 = 1;

/// A part of a message's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace.
    pub trace: [u8; 16],
    /// Which span of it.
    pub id: SpanId,
    /// The span that it belongs to.
    pub parent: SpanId,
    /// That one is not the broker's, but the publisher's.
    pub is_of_publisher: bool,
    /// See [`Context::state`].
    pub state: Box<str>,
    /// What happened.
    pub step: Step,
    /// From then on.
    pub start: Millis,
    /// Until then.
    pub end: Millis,
    /// The virtual host.
    pub vhost: ShortString,
    /// The queue, if it happened in one.
    pub queue: Option<ShortString>,
    /// The exchange that the message was published to.
    pub exchange: ShortString,
    /// Its routing key.
    pub routing_key: ShortString,
    /// Its property `message-id`.
    pub message_id: Option<ShortString>,
    /// Bytes of its body.
    pub body_bytes: u32,
    /// Who did it, if that was a client.
    pub by: Option<Arc<Client>>,
}

/// What happens to a message in the time of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It was published, by a client or by the broker itself, and goes to these queues.
    Publish(Routed),
    /// It waited in a queue; a word for how that ended.
    Wait(&'static str),
    /// It was handed to a client.
    Deliver {
        /// The consumer's tag; `None` if it was asked for by `basic.get`.
        consumer: Option<ShortString>,
        /// The delivery says that there may have been one before.
        redelivered: bool,
    },
    /// A client held it; a word for what the client did with it then.
    Settle(&'static str),
}

/// Takes spans. It never waits: what it has no room for it counts.
pub trait SpanSink: Send + Sync {
    /// A number for a span that no other one has.
    fn draw(&self) -> SpanId;

    /// A span is over.
    fn take(&self, span: Span);

    /// What has become of spans.
    fn counts(&self) -> SpanCounts;
}

/// What has become of spans, since the broker was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// A collector has taken them.
    pub sent: u64,
    /// There was no room for them.
    pub dropped: u64,
    /// No collector has taken them.
    pub failed: u64,
}

/// Where the spans of a virtual host go.
#[derive(Clone)]
pub struct Spans {
    sink: Arc<dyn SpanSink>,
    vhost: ShortString,
}

/// What is told of a span beside its message.
pub struct Told<'a> {
    /// Its parent in the broker; `None` if that is the publisher's span.
    pub parent: Option<SpanId>,
    /// What happened.
    pub step: Step,
    /// From when until when.
    pub time: (Millis, Millis),
    /// In which queue.
    pub queue: Option<&'a ShortString>,
    /// Who did it.
    pub by: Option<&'a Arc<Client>>,
}

impl Spans {
    /// Those of a virtual host go there.
    pub fn new(sink: Arc<dyn SpanSink>, vhost: ShortString) -> Self {
        Self { sink, vhost }
    }

    /// A message was published and goes to these queues.
    pub fn published<'a>(
        &self,
        at: impl FnOnce() -> Millis,
        message: &View<'_>,
        queues: impl ExactSizeIterator<Item = &'a ShortString>,
        by: Option<&Arc<Client>>,
    ) {
        if let Some(context) = Context::of(message) {
            let (step, at) = (Step::Publish(Routed::to(queues)), at());
            self.tell(&context, message, Told { parent: None, step, time: (at, at), queue: None, by });
        }
    }

    /// Something has happened to a message that was published in this context. Gives the span's number.
    pub fn tell(&self, context: &Context<'_>, message: &View<'_>, told: Told<'_>) -> SpanId {
        let name = |bytes| ShortString::try_from(bytes).unwrap_or_default();
        let Told { parent, step, time: (start, end), queue, by } = told;
        let id = self.sink.draw();
        self.sink.take(Span {
            trace: context.trace,
            id,
            parent: parent.unwrap_or(context.parent),
            is_of_publisher: parent.is_none(),
            state: context.state.into(),
            step,
            // What was published by another broker's clock may be ahead of ours.
            start: start.min(end),
            end,
            vhost: self.vhost.clone(),
            queue: queue.cloned(),
            exchange: name(message.exchange()),
            routing_key: name(message.routing_key()),
            message_id: message.message_id().map(name),
            body_bytes: message.layout.body_bytes,
            by: by.cloned(),
        });
        id
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::message::build_image;
    use crate::protocol::{FieldTable, FieldValue, Properties};

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn with_context<T>(headers: FieldTable, look: impl FnOnce(Option<Context<'_>>) -> T) -> T {
        let mut properties = Vec::new();
        Properties { headers: Some(headers), ..Properties::default() }.encode(&mut properties);
        let (layout, image) = build_image(b"e", b"k", &properties, &[b"x"], false);
        look(Context::of(&View::new(layout, &image)))
    }

    fn is_sampled(parent: impl Into<FieldValue>) -> bool {
        with_context(FieldTable::new().with("traceparent", parent), |context| context.is_some())
    }

    #[test]
    fn a_header_tells_the_trace_and_the_publisher_s_span() {
        let headers =
            FieldTable::new().with("a", 1).with("tracestate", "a=1,b=2").with("traceparent", PARENT);
        with_context(headers, |context| {
            let context = context.unwrap();
            assert_eq!(context.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
            assert_eq!(context.parent, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
            assert_eq!(context.state, "a=1,b=2");
        });
    }

    #[test]
    fn a_state_that_is_too_long_or_no_text_is_not_carried_on() {
        let long = "x".repeat(TRACE_STATE_BYTES_MAX + 1);
        for state in [FieldValue::from(&*long), "a=\n".into(), "a=ü".into(), 5.into()] {
            let headers = FieldTable::new().with("traceparent", PARENT).with("tracestate", state);
            with_context(headers, |context| assert_eq!(context.unwrap().state, ""));
        }
    }

    #[test]
    fn what_is_not_sampled_or_no_context_counts_for_nothing() {
        assert!(is_sampled(PARENT) && is_sampled(PARENT.replace("-01", "-03").as_str()));
        assert!(is_sampled(PARENT.replacen("00", "cc", 1).as_str()));
        assert!(is_sampled(format!("{}-more", PARENT.replacen("00", "01", 1)).as_str()));
        for wrong in [
            PARENT.replace("-01", "-00"),
            PARENT.replacen("00", "ff", 1),
            PARENT.to_uppercase(),
            format!("{PARENT}-more"),
            format!("{}x", PARENT.replacen("00", "01", 1)),
            PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            PARENT.replace('-', "_"),
            PARENT[..54].into(),
            String::new(),
        ] {
            assert!(!is_sampled(&*wrong), "{wrong}");
        }
        assert!(!is_sampled(5));
        with_context(FieldTable::new().with("a", 1), |context| assert_eq!(context, None));
        let (layout, image) = build_image(b"", b"k", &[0, 0], &[], false);
        assert_eq!(Context::of(&View::new(layout, &image)), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(text: Vec<u8>, at in 0..TRACEPARENT_BYTES, byte: u8, properties in prop::collection::vec(any::<u8>(), 2..64)) {
            let _ = traceparent(&text);
            let mut parent = PARENT.as_bytes().to_vec();
            parent[at] = byte;
            let _ = traceparent(&parent);
            let (layout, image) = build_image(b"e", b"k", &properties, &[b"x"], false);
            let _ = Context::of(&View::new(layout, &image));
        }
    }
}
