//! What a queue tells of single messages to who looks: under its lock, and nothing if nobody does.

use std::sync::Arc;

use super::ConsumerSpec;
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
    pub(super) lookouts: Arc<Lookouts>,
    pub(super) observers: Arc<Observers>,
    pub(super) clock: Arc<dyn Clock>,
    /// The queue's name.
    pub(super) queue: ShortString,
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
    fn tell(&self, event: &Event<'_>) {
        self.observers.tell(&self.lookouts, self.clock.now(), event);
    }
}

impl Looks {
    /// Those.
    pub(super) fn of(look: Look) -> Self {
        Self(Some(Box::new(look)))
    }

    /// Whether anybody looks.
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// Something happens to a message of the queue; a client does it, or the queue itself.
    #[inline]
    pub(super) fn tell(&self, entry: &Entry, by: Option<&Arc<Client>>, what: impl FnOnce() -> What) {
        if let Some(look) = &self.0 {
            // One that was not taken in has no position.
            let position = Some(entry.position).filter(|position| *position != u64::MAX);
            let event = Event::of(what(), entry.message.view()).within(&look.queue, position);
            look.tell(&event.by(by));
        }
    }

    /// A message has come to the queue. It has no position if it is delivered at once and need not be acknowledged.
    #[inline]
    pub(super) fn tell_enqueued(&self, message: &Message, position: Option<u64>) {
        if let Some(look) = &self.0 {
            look.tell(&Event::of(What::Enqueued, message.view()).within(&look.queue, position));
        }
    }

    /// A message of the queue is gone, or did not come to it.
    pub(super) fn tell_dropped(&self, reason: DropReason, message: &View<'_>, position: Option<u64>) {
        if let Some(look) = &self.0 {
            look.tell(&Event::of(What::Dropped(reason), *message).within(&look.queue, position));
        }
    }

    /// Something happens to the queue as a whole, or to a message that is not looked at.
    #[inline]
    pub(super) fn tell_of_queue(&self, position: Option<u64>, what: impl FnOnce() -> What) {
        if let Some(look) = &self.0 {
            look.tell(&Event::without_message(what()).within(&look.queue, position));
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
        let no_ack = to.no_ack;
        let what = match to.consumer {
            Some(tag) => What::Delivered { consumer: tag.clone(), redelivered, no_ack },
            None => What::Got { redelivered, no_ack },
        };
        let event = Event::of(what, message.view()).within(&look.queue, position);
        look.tell(&event.by(to.client).on(to.channel));
        if look.lookouts.taps() && !is_about_messages(&message.view()) {
            let what = Tapped::Delivered { queue: look.queue.clone(), redelivered };
            let (by, channel) = (to.client.cloned(), to.channel);
            effects.taps.push(Tap { message: message.clone(), by, channel, what });
        }
    }
}
