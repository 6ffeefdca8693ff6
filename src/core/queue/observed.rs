//! What a queue tells of single messages to who looks: under its lock, and nothing if nobody does.

use std::sync::Arc;

use super::ConsumerSpec;
#[cfg(feature = "opentelemetry")]
use super::spans::{Place, QueueSpans};
use crate::core::{
    client::Client,
    clock::Clock,
    effects::Effects,
    entry::Entry,
    message::{Message, View},
    observing::{DropReason, Event, Lookouts, Observers, Tap, Tapped, What, is_about_messages},
    outbox::Outbox,
};
use crate::protocol::ShortString;

/// Who looks at a queue, as long as it is locked.
#[derive(Default)]
pub(super) struct Looks(Option<Box<Look>>);

/// Who that is, and how they are told.
pub(super) struct Look {
    /// As long as the queue is locked.
    pub(super) lookouts: Option<Arc<Lookouts>>,
    pub(super) observers: Arc<Observers>,
    pub(super) clock: Arc<dyn Clock>,
    /// The queue's name.
    pub(super) queue: ShortString,
    /// Where spans go; they stay.
    #[cfg(feature = "opentelemetry")]
    pub(super) spans: Option<QueueSpans>,
}

/// Who gets a message.
pub(super) struct Receiver<'a> {
    client: Option<&'a Arc<Client>>,
    channel: u16,
    /// The tag of the consumer; `None` if it is got by `basic.get`.
    consumer: Option<&'a ShortString>,
    no_ack: bool,
}

impl<'a> Receiver<'a> {
    /// A consumer, whose outbox that is.
    pub(super) fn of(spec: &'a ConsumerSpec, outbox: &'a Outbox) -> Self {
        let (channel, no_ack) = (spec.channel, spec.no_ack);
        Self { client: outbox.client(), channel, consumer: Some(&spec.tag), no_ack }
    }

    /// Who asks for a message.
    pub(super) fn getting(client: Option<&'a Arc<Client>>, channel: u16, no_ack: bool) -> Self {
        Self { client, channel, consumer: None, no_ack }
    }
}

impl Look {
    /// Tells those who look.
    fn tell<'a>(&'a self, event: impl FnOnce() -> Event<'a>) {
        if let Some(lookouts) = &self.lookouts {
            self.observers.tell(lookouts, self.clock.now(), &event());
        }
    }

    fn tell_of(&self, entry: &Entry, by: Option<&Arc<Client>>, what: What) {
        // One that was not taken in has no position.
        let position = Some(entry.position).filter(|position| *position != u64::MAX);
        self.tell(|| Event::of(what, entry.message.view()).within(&self.queue, position).by(by));
    }

    #[cfg(feature = "opentelemetry")]
    fn place(&self) -> Place<'_> {
        Place { queue: &self.queue, clock: &*self.clock }
    }
}

impl Looks {
    /// These look as long as the queue is locked.
    pub(super) fn begin(&mut self, lookouts: Option<Arc<Lookouts>>, make: impl FnOnce() -> Look) {
        self.0.get_or_insert_with(|| Box::new(make())).lookouts = lookouts;
    }

    /// The queue's lock is released.
    pub(super) fn end(&mut self) {
        #[cfg(feature = "opentelemetry")]
        if let Some(look) = self.0.as_mut().filter(|look| look.spans.is_some()) {
            look.lookouts = None;
            return;
        }
        self.0 = None;
    }

    /// Whether anybody looks, or spans are followed.
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// Whether anybody wants to know of a message.
    #[inline]
    pub(super) fn want(&self, message: &View<'_>) -> bool {
        let wants = |look: &Look| {
            #[cfg(feature = "opentelemetry")]
            if look.spans.is_some() && QueueSpans::want(message) {
                return true;
            }
            let _ = message;
            look.lookouts.is_some()
        };
        self.0.as_deref().is_some_and(wants)
    }

    /// Something happens to a message of the queue; a client does it, or the queue itself.
    #[inline]
    pub(super) fn tell(&self, entry: &Entry, by: Option<&Arc<Client>>, what: impl FnOnce() -> What) {
        if let Some(look) = &self.0 {
            let what = what();
            #[cfg(feature = "opentelemetry")]
            if let Some(spans) = &look.spans {
                spans.told(look.place(), entry, &what);
            }
            look.tell_of(entry, by, what);
        }
    }

    /// A client is done with a message that it held.
    #[inline]
    pub(super) fn tell_settled(&self, entry: &Entry, by: Option<&Arc<Client>>, what: impl FnOnce() -> What) {
        if let Some(look) = &self.0 {
            let what = what();
            #[cfg(feature = "opentelemetry")]
            if let Some(spans) = &look.spans {
                spans.settled(look.place(), entry, by, &what);
            }
            look.tell_of(entry, by, what);
        }
    }

    /// A message has come to the queue. It has no position if it is delivered at once and need not be acknowledged.
    #[inline]
    pub(super) fn tell_enqueued(&self, message: &Message, position: Option<u64>) {
        if let Some(look) = &self.0 {
            look.tell(|| Event::of(What::Enqueued, message.view()).within(&look.queue, position));
        }
    }

    /// A message did not come to the queue.
    pub(super) fn tell_dropped(&self, reason: DropReason, message: &View<'_>, position: Option<u64>) {
        if let Some(look) = &self.0 {
            look.tell(|| Event::of(What::Dropped(reason), *message).within(&look.queue, position));
        }
    }

    /// Something happens to the queue as a whole, or to a message that is not looked at.
    #[inline]
    pub(super) fn tell_of_queue(&self, position: Option<u64>, what: impl FnOnce() -> What) {
        if let Some(look) = &self.0 {
            let what = what();
            #[cfg(feature = "opentelemetry")]
            if let Some(spans) = &look.spans {
                spans.told_of_queue(position, &what);
            }
            look.tell(|| Event::without_message(what).within(&look.queue, position));
        }
    }

    /// Somebody gets a message: its position, and what the delivery says.
    pub(super) fn tell_delivered(
        &self,
        to: &Receiver<'_>,
        message: &Message,
        (position, redelivered): (Option<u64>, bool),
        effects: &mut Effects,
    ) {
        let Some(look) = &self.0 else { return };
        #[cfg(feature = "opentelemetry")]
        if let Some(spans) = &look.spans {
            let at = (position, to.no_ack);
            spans.delivered(look.place(), message, at, to.client, (to.consumer, redelivered));
        }
        let Some(lookouts) = &look.lookouts else { return };
        let no_ack = to.no_ack;
        let what = match to.consumer {
            Some(tag) => What::Delivered { consumer: tag.clone(), redelivered, no_ack },
            None => What::Got { redelivered, no_ack },
        };
        let event = Event::of(what, message.view()).within(&look.queue, position);
        look.tell(|| event.by(to.client).on(to.channel));
        if lookouts.taps() && !is_about_messages(&message.view()) {
            let what = Tapped::Delivered { queue: look.queue.clone(), redelivered };
            let (by, channel) = (to.client.cloned(), to.channel);
            effects.taps.push(Tap { message: message.clone(), by, channel, what });
        }
    }
}
