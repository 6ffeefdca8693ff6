//! Arguments of a queue that are no longer those of its declaration, and what others would lead to at once.

use std::{borrow::Cow, sync::Arc};

use super::{SharedQueue, expiry};
use crate::core::{
    clock::Millis,
    memory::{Held, Kind, entity_bytes},
    message::Message,
    policy::{Overflow, QueueSettings},
};
use crate::protocol::FieldTable;

/// Arguments that were changed.
#[derive(Debug)]
pub(super) struct ChangedArguments {
    arguments: FieldTable,
    /// The memory that they take.
    _held: Held,
}

/// What a queue does at once when other settings count, beside what becomes of messages that are too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Foreseen {
    /// Messages that it drops because there are too many.
    pub messages_beyond: usize,
    /// Bytes of bodies that it holds too many, and drops messages for.
    pub bytes_beyond: usize,
    /// It is deleted: no client has used it for as long as it may be without use.
    pub is_deleted: bool,
}

impl SharedQueue {
    /// Its arguments as they are now.
    pub fn arguments(&self) -> Cow<'_, FieldTable> {
        match &self.state.read().changed {
            None => Cow::Borrowed(&self.spec.arguments),
            Some(changed) => Cow::Owned(changed.arguments.clone()),
        }
    }

    /// From now on it has these. What follows from them counts when it is [applied](Self::apply).
    pub fn change_arguments(self: &Arc<Self>, arguments: FieldTable) {
        let held = Held::of(&self.surroundings.memory, Kind::Topology, entity_bytes(&arguments));
        let changed = Some(Box::new(ChangedArguments { arguments, _held: held }));
        let before = std::mem::replace(&mut self.lock().changed, changed);
        drop(before);
    }

    /// What the queue would do at once if these settings counted.
    pub fn foresee(&self, settings: &QueueSettings) -> Foreseen {
        let now = self.now();
        let queue = self.state.read();
        let drops = settings.overflow == Overflow::DropHead;
        let beyond = |max: Option<u64>, held: usize| {
            let max =
                max.filter(|_| drops).map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
            held.saturating_sub(max)
        };
        let unused_for = now.saturating_sub(queue.used_at);
        Foreseen {
            messages_beyond: beyond(settings.max_length, queue.ready.len()),
            bytes_beyond: beyond(settings.max_length_bytes, queue.ready.body_bytes()),
            is_deleted: queue.consumers.is_empty()
                && settings.expires.is_some_and(|expires| expires <= unused_for),
        }
    }
}

impl QueueSettings {
    /// Whether a message that is ready has been there for as long as it may.
    pub fn is_too_old(&self, message: &Message, now: Millis) -> bool {
        expiry::deadline(message, self.message_ttl).is_some_and(|deadline| deadline <= now)
    }
}
