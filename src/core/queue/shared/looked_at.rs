//! Who looks at a queue, and what is kept of the messages that it drops.

use super::SharedQueue;
#[cfg(feature = "opentelemetry")]
use crate::core::queue::spans::QueueSpans;
use crate::core::{
    entry::Entry,
    message::View,
    observing::{DropReason, What},
    queue::observed::{Look, Looks},
};

impl SharedQueue {
    /// Whether anybody may look at it now.
    #[inline]
    pub(super) fn is_looked_at(&self) -> bool {
        self.surroundings.observers.is_anybody()
    }

    /// Notes who does.
    #[cold]
    pub(super) fn look(&self, looks: &mut Looks) {
        let (observers, clock) = (&self.surroundings.observers, &self.surroundings.clock);
        let lookouts = observers.looks_at(&self.spec.name);
        #[cfg(feature = "opentelemetry")]
        let follows = observers.spans().is_some();
        #[cfg(not(feature = "opentelemetry"))]
        let follows = false;
        if lookouts.is_some() || follows {
            looks.begin(lookouts, || Look {
                lookouts: None,
                observers: observers.clone(),
                clock: clock.clone(),
                queue: self.spec.name.clone(),
                #[cfg(feature = "opentelemetry")]
                spans: observers
                    .spans()
                    .map(|spans| QueueSpans::new(spans.clone(), &self.surroundings.memory)),
            });
        }
    }

    /// A message of it is dropped, or one that should have come to it.
    pub(in crate::core::queue) fn note_dropped(
        &self,
        looks: &Looks,
        reason: DropReason,
        message: &View<'_>,
        position: Option<u64>,
    ) {
        let surroundings = &self.surroundings;
        surroundings.observers.drops.note(reason, &*surroundings.clock, Some(&self.spec.name), message);
        looks.tell_dropped(reason, message, position);
    }

    /// A message that was in it is dropped.
    pub(in crate::core::queue) fn note_dead(&self, looks: &Looks, reason: DropReason, entry: &Entry) {
        let (surroundings, message) = (&self.surroundings, entry.message.view());
        surroundings.observers.drops.note(reason, &*surroundings.clock, Some(&self.spec.name), &message);
        looks.tell(entry, None, || What::Dropped(reason));
    }
}
