//! Spans of a queue's messages: how long they wait, that they are delivered, and how long clients hold them.

use std::{cell::RefCell, collections::BTreeMap, mem::size_of, sync::Arc};

use crate::core::{
    client::Client,
    clock::{Clock, Millis},
    dead_letter::Reason,
    entry::Entry,
    memory::{Held, Holder, Kind},
    message::{Message, View},
    observing::{Context, DropReason, SpanId, Spans, Step, Told, What},
};
use crate::limits::SPAN_MARKS_MAX;
use crate::protocol::ShortString;

/// Tells the spans of a queue's messages, under its lock.
pub(in crate::core::queue) struct QueueSpans {
    spans: Spans,
    marks: RefCell<Marks>,
}

/// What is noted of sampled messages that were delivered, or came back, by their positions.
struct Marks {
    by_position: BTreeMap<u64, Mark>,
    held: Held,
}

/// What a message's next span begins with.
struct Mark {
    since: Millis,
    /// Its delivery, if a client holds it.
    delivery: Option<SpanId>,
}

/// The queue in which something happens.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) queue: &'a ShortString,
    pub(super) clock: &'a dyn Clock,
}

impl QueueSpans {
    /// What it notes counts on `holder`.
    pub(in crate::core::queue) fn new(spans: Spans, holder: &Arc<Holder>) -> Self {
        let held = Held::new(holder, Kind::Observing);
        Self { spans, marks: RefCell::new(Marks { by_position: BTreeMap::new(), held }) }
    }

    /// Whether the spans of a message are told.
    #[inline]
    pub(super) fn want(message: &View<'_>) -> bool {
        Context::of(message).is_some()
    }

    /// A client gets a message, which has waited until now. With a position it holds the message from now on, unless `no_ack`.
    pub(super) fn delivered(
        &self,
        place: Place<'_>,
        message: &Message,
        (position, no_ack): (Option<u64>, bool),
        by: Option<&Arc<Client>>,
        (consumer, redelivered): (Option<&ShortString>, bool),
    ) {
        let view = message.view();
        let Some(context) = Context::of(&view) else { return };
        let now = place.clock.now();
        let wait = self.waited(place, (&context, message), position, (now, "delivered"));
        let step = Step::Deliver { consumer: consumer.cloned(), redelivered };
        let told = Told { parent: Some(wait), step, time: (now, now), queue: Some(place.queue), by };
        let delivery = self.spans.tell(&context, &view, told);
        if let Some(position) = position.filter(|_| !no_ack) {
            self.marks.borrow_mut().note(position, Mark { since: now, delivery: Some(delivery) });
        }
    }

    /// A client is done with a message that it held.
    pub(super) fn settled(&self, place: Place<'_>, entry: &Entry, by: Option<&Arc<Client>>, what: &What) {
        let view = entry.message.view();
        let Some(context) = Context::of(&view) else { return };
        let now = place.clock.now();
        let mark = self.marks.borrow_mut().remove(entry.position);
        let mark = mark.unwrap_or(Mark { since: now, delivery: None });
        let step = Step::Settle(what.name());
        let time = (mark.since, now);
        let told = Told { parent: mark.delivery, step, time, queue: Some(place.queue), by };
        self.spans.tell(&context, &view, told);
        if matches!(what, What::Requeued { .. }) {
            self.marks.borrow_mut().note(entry.position, Mark { since: now, delivery: None });
        }
    }

    /// Something happens to a message that no client holds.
    pub(super) fn told(&self, place: Place<'_>, entry: &Entry, what: &What) {
        let ends_waiting = match what {
            What::Due | What::Cancelled | What::Redriven => true,
            What::DeadLettered(why) => matches!(why, Reason::Expired | Reason::MaxLen),
            What::Dropped(why) => matches!(why, DropReason::Expired | DropReason::MaxLen),
            _ => false,
        };
        let is_gone = ends_waiting || matches!(what, What::DeadLettered(_) | What::Dropped(_));
        // A message that was refused has never been here.
        if !is_gone || entry.position == u64::MAX {
            return;
        }
        let Some(context) = Context::of(&entry.message.view()) else { return };
        if ends_waiting {
            let end = (place.clock.now(), end_of_waiting(what));
            self.waited(place, (&context, &entry.message), Some(entry.position), end);
        } else {
            self.marks.borrow_mut().remove(entry.position);
        }
    }

    /// Something happens to a message that is not looked at, or to all that no client holds.
    pub(super) fn told_of_queue(&self, position: Option<u64>, what: &What) {
        let mut marks = self.marks.borrow_mut();
        match (position, what) {
            (None, _) => marks.retain_held(),
            (Some(_), What::Rescheduled { .. }) => {}
            (Some(position), _) => drop(marks.remove(position)),
        }
    }

    /// A message does not wait any more: since it was published, or came back.
    fn waited(
        &self,
        place: Place<'_>,
        (context, message): (&Context<'_>, &Message),
        position: Option<u64>,
        (now, how): (Millis, &'static str),
    ) -> SpanId {
        let mark = position.and_then(|position| self.marks.borrow_mut().remove(position));
        let published_at = Some(message.published_at()).filter(|at| *at > 0);
        let since = mark.map(|mark| mark.since).or(published_at).unwrap_or(now);
        let step = Step::Wait(how);
        let told = Told { parent: None, step, time: (since, now), queue: Some(place.queue), by: None };
        self.spans.tell(context, &message.view(), told)
    }
}

impl Marks {
    /// Without room the message's next span begins when it ends.
    fn note(&mut self, position: u64, mark: Mark) {
        let count = self.by_position.len();
        if count < SPAN_MARKS_MAX && self.held.try_set((count + 1) * MARK_BYTES).is_ok() {
            self.by_position.insert(position, mark);
            self.count();
        }
    }

    fn remove(&mut self, position: u64) -> Option<Mark> {
        let mark = self.by_position.remove(&position);
        self.count();
        mark
    }

    /// Only what clients hold is left.
    fn retain_held(&mut self) {
        self.by_position.retain(|_, mark| mark.delivery.is_some());
        self.count();
    }

    fn count(&mut self) {
        self.held.set(self.by_position.len() * MARK_BYTES);
    }
}

/// Of a position and a mark, in nodes that are half full at least.
const MARK_BYTES: usize = 2 * size_of::<(u64, Mark)>();

/// A word for why a message waits no more that is not delivered.
fn end_of_waiting(what: &What) -> &'static str {
    match what {
        What::DeadLettered(why) => why.name(),
        What::Dropped(why) => why.name(),
        what => what.name(),
    }
}
