//! Who looks at a queue, and what is kept of the messages that it drops.

use super::SharedQueue;
use crate::core::{
    message::View,
    observing::DropReason,
    queue::observed::{Look, Looks},
};

impl SharedQueue {
    /// Who looks at it now, if anybody does.
    #[inline]
    pub(super) fn looks(&self) -> Option<Looks> {
        let lookouts = self.surroundings.observers.looks_at(&self.spec.name)?;
        let (observers, clock) = (self.surroundings.observers.clone(), self.surroundings.clock.clone());
        Some(Looks::of(Look { lookouts, observers, clock, queue: self.spec.name.clone() }))
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
}
