//! What is kept of single messages, and told to who looks: the last ones that were dropped, the history of those that are traced, what
//! comes in live, and RabbitMQ's firehose.
//!
//! A virtual host has one [`Observers`]. Queues, and sessions that publish, ask once for each run or lock whether anybody looks at all, which
//! reads one flag; if so they tell it [`Event`]s, under the locks that they hold: what is kept of them is copied, and nobody waits. All
//! of it has a bound.

mod drops;
mod event;
mod lookouts;
#[cfg(feature = "opentelemetry")]
mod spans;
mod subject;
mod tail;
mod tap;
mod trace;

#[cfg(feature = "opentelemetry")]
use std::sync::OnceLock;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

pub use drops::{DropReason, Dropped, LastDrops};
pub use event::{Event, Routed, What};
pub use lookouts::{Lookouts, TooManyTraces};
use parking_lot::{Mutex, RwLock};
#[cfg(feature = "opentelemetry")]
pub use spans::{Context, Span, SpanCounts, SpanId, SpanSink, Spans, Step, Told};
pub use subject::Subject;
pub use tail::{News, Seen, Tail};
pub use tap::{TRACE_EXCHANGE, Tap, Tapped, is_about_messages};
use trace::Trace;
pub use trace::{Named, Record, Wanted};

use crate::core::{client::Client, clock::Millis, memory::Holder, message::View};
use crate::protocol::ShortString;

/// What is observed in a virtual host.
///
/// Where something happens: [`Self::looks`] or [`Self::looks_at`], then [`Self::tell`] or [`Self::tell_published`]. Who looks:
/// [`Self::trace`], [`Self::tail`], [`Self::set_taps`].
pub struct Observers {
    /// The last messages that were dropped.
    pub drops: LastDrops,
    holder: Arc<Holder>,
    /// Somebody looks, or follows spans.
    is_anybody: AtomicBool,
    /// Somebody looks.
    #[cfg(feature = "opentelemetry")]
    is_looked_at: AtomicBool,
    /// Who, if anybody.
    lookouts: RwLock<Option<Arc<Lookouts>>>,
    /// What has happened to messages that are traced, once any are.
    trace: Mutex<Option<Box<Trace>>>,
    /// Where spans go, if they are followed.
    #[cfg(feature = "opentelemetry")]
    spans: OnceLock<Spans>,
}

impl Observers {
    /// Nothing was seen yet, and nobody looks. What is kept counts on `holder`.
    pub fn new(holder: &Arc<Holder>) -> Self {
        Self {
            drops: LastDrops::new(holder),
            holder: holder.clone(),
            is_anybody: AtomicBool::new(false),
            #[cfg(feature = "opentelemetry")]
            is_looked_at: AtomicBool::new(false),
            lookouts: RwLock::default(),
            trace: Mutex::default(),
            #[cfg(feature = "opentelemetry")]
            spans: OnceLock::new(),
        }
    }

    // ---- where something happens ----

    /// Whether anybody looks, or follows spans.
    #[inline]
    pub fn is_anybody(&self) -> bool {
        self.is_anybody.load(Ordering::Acquire)
    }

    /// Who looks, if anybody does.
    #[inline]
    pub fn looks(&self) -> Option<Arc<Lookouts>> {
        if !self.is_anybody() {
            return None;
        }
        // Whoever follows spans alone takes no lock.
        #[cfg(feature = "opentelemetry")]
        if !self.is_looked_at.load(Ordering::Acquire) {
            return None;
        }
        self.lookouts.read().clone()
    }

    /// The same for a queue.
    #[inline]
    pub fn looks_at(&self, queue: &[u8]) -> Option<Arc<Lookouts>> {
        self.looks().filter(|lookouts| lookouts.may_want(queue))
    }

    /// Something has happened, at that time.
    pub fn tell(&self, lookouts: &Lookouts, at: Millis, event: &Event<'_>) {
        if lookouts.traces(event) {
            self.record(at, event);
        }
        for tail in lookouts.tails_of(event) {
            tail.see(at, event);
        }
    }

    /// A message was published, and goes to these queues.
    pub fn tell_published<'a>(
        &self,
        lookouts: &Lookouts,
        at: Millis,
        (message, queues): (View<'_>, impl ExactSizeIterator<Item = &'a ShortString> + Clone),
        (by, channel): (Option<&Arc<Client>>, Option<u16>),
    ) {
        let is_traced = lookouts.traces_publish(&message, queues.clone());
        let routed = if is_traced { Routed::to(queues) } else { Routed::default() };
        let event = Event { channel, ..Event::of(What::Published(routed), message).by(by) };
        if is_traced {
            self.record(at, &event);
        }
        for tail in lookouts.tails_of(&event) {
            tail.see(at, &event);
        }
    }

    fn record(&self, at: Millis, event: &Event<'_>) {
        self.trace.lock().get_or_insert_with(|| Box::new(Trace::new(&self.holder))).note(at, event);
    }

    // ---- who looks ----

    /// Keeps the history of something from now on. False if it was kept already.
    pub fn trace(&self, subject: &Subject) -> Result<bool, TooManyTraces> {
        self.change(|lookouts| lookouts.trace(subject))
    }

    /// Keeps it no more; what has happened so far stays. False if it was not kept.
    pub fn untrace(&self, subject: &Subject) -> bool {
        self.change(|lookouts| lookouts.untrace(subject))
    }

    /// Of what the history is kept.
    pub fn traced(&self) -> Vec<Subject> {
        self.lookouts.read().as_ref().map(|lookouts| lookouts.traced()).unwrap_or_default()
    }

    /// What has happened to messages that are or were traced, in order. Queues wait for the lock, so what is wanted of all
    /// records is looked for without it.
    pub fn records(&self, wanted: &Wanted) -> Vec<Arc<Record>> {
        let all = self.trace.lock().as_ref().map(|trace| trace.all()).unwrap_or_default();
        wanted.of(&all)
    }

    /// How many things that have happened are kept, and how many were forgotten.
    pub fn record_counts(&self) -> (usize, u64) {
        self.trace.lock().as_ref().map(|trace| trace.counts()).unwrap_or_default()
    }

    /// Forgets all that has happened.
    pub fn forget_records(&self) {
        if let Some(trace) = self.trace.lock().as_mut() {
            trace.forget();
        }
    }

    /// Somebody sees from now on what comes in to a queue or an exchange: so many messages in a second, and so much of each body.
    pub fn tail(&self, subject: Subject, per_second: u32, payload_bytes_max: usize) -> Arc<Tail> {
        let tail = Arc::new(Tail::new(subject, per_second, payload_bytes_max, &self.holder));
        self.change(|lookouts| lookouts.add_tail(tail.clone()));
        tail
    }

    /// Somebody does so no more.
    pub fn end_tail(&self, tail: &Arc<Tail>) {
        self.change(|lookouts| lookouts.remove_tail(tail));
    }

    /// Whether published and delivered messages are also sent to `amq.rabbitmq.trace`.
    pub fn set_taps(&self, are_on: bool) {
        if self.lookouts.read().as_ref().is_some_and(|lookouts| lookouts.taps()) != are_on {
            self.change(|lookouts| lookouts.set_taps(are_on));
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Lookouts) -> T) -> T {
        let mut current = self.lookouts.write();
        let mut lookouts = current.as_deref().cloned().unwrap_or_default();
        let result = change(&mut lookouts);
        *current = (!lookouts.is_empty()).then(|| Arc::new(lookouts));
        let is_anybody = current.is_some();
        #[cfg(feature = "opentelemetry")]
        let is_anybody = {
            self.is_looked_at.store(is_anybody, Ordering::Release);
            is_anybody || self.spans.get().is_some()
        };
        self.is_anybody.store(is_anybody, Ordering::Release);
        result
    }

    // ---- who follows ----

    /// From now on spans of sampled messages go there.
    #[cfg(feature = "opentelemetry")]
    pub fn send_spans(&self, spans: Spans) {
        // Within the lock that `change` takes.
        let _current = self.lookouts.write();
        let _ = self.spans.set(spans);
        self.is_anybody.store(true, Ordering::Release);
    }

    /// Where spans go, if they are followed.
    #[cfg(feature = "opentelemetry")]
    #[inline]
    pub fn spans(&self) -> Option<&Spans> {
        self.spans.get()
    }
}

#[cfg(test)]
mod tests;
