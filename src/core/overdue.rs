//! Watches for messages that a channel holds longer than it may (RabbitMQ's `consumer_timeout`).
//!
//! A message is looked at once, some time after it was delivered; then it is known when the first of all may be overdue, and
//! until that moment nothing is looked at again, however much is held. What is settled or renewed before makes that moment too
//! early, never too late.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use foldhash::fast::RandomState;

use crate::core::{
    clock::Millis,
    placement::QueueId,
    source::{ConsumerId, ConsumerRef, Source, Unacked},
};
use crate::limits::CONSUMER_TIMEOUT_MS_MIN;

/// A message that is held for too long.
pub struct Overdue {
    /// Its delivery tag.
    pub tag: u64,
    /// Where it comes from.
    pub source: Arc<dyn Source>,
    /// Who holds it; `None` after `basic.get`.
    pub consumer: Option<ConsumerId>,
    /// For how long, in milliseconds.
    pub held_ms: Millis,
    /// For how long it might have been.
    pub timeout_ms: Millis,
}

/// What a channel's window knows of the time that its messages are held.
#[derive(Default)]
pub(super) struct Watch {
    /// Messages up to this delivery tag have been looked at.
    pub(super) looked_up_to: u64,
    /// When the first of those may be overdue.
    pub(super) next_overdue_at: Option<Millis>,
    /// The client is still at work on all that it had then.
    pub(super) renewed_at: Millis,
    /// Most channels have nothing of this.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    /// Timeouts that consumers asked for themselves.
    timeouts: HashMap<(QueueId, ConsumerId), Millis, RandomState>,
    /// The first one that was found of each consumer.
    overdue: Vec<Overdue>,
    holders: HashSet<(QueueId, Option<ConsumerId>), RandomState>,
}

impl Watch {
    /// Timeouts may have changed, or something may be overdue.
    pub(super) fn look_anew(&mut self) {
        self.looked_up_to = 0;
        self.next_overdue_at = None;
        if let Some(rare) = &mut self.rare {
            rare.overdue.clear();
            rare.holders.clear();
        }
    }

    /// Looks at a message, if it is still held.
    pub(super) fn note(&mut self, held: Option<&Unacked>, now: Millis, default: Option<Millis>) {
        let Some(held) = held else { return };
        let Some(timeout_ms) = self.timeout_of(held, default) else { return };
        let at = self.end_of(held, timeout_ms);
        self.next_overdue_at = Some(self.next_overdue_at.map_or(at, |next| next.min(at)));
        if at > now {
            return;
        }
        let held_ms = now.saturating_sub(self.since(held));
        let rare = self.rare.get_or_insert_default();
        if rare.holders.insert((held.source.id(), held.consumer)) {
            let (tag, source, consumer) = (held.tag, held.source.clone(), held.consumer);
            rare.overdue.push(Overdue { tag, source, consumer, held_ms, timeout_ms });
        }
    }

    /// Whether something was found.
    pub(super) fn has_overdue(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.overdue.is_empty())
    }

    pub(super) fn take_overdue(&mut self) -> Vec<Overdue> {
        let Some(rare) = &mut self.rare else { return Vec::new() };
        rare.holders.clear();
        std::mem::take(&mut rare.overdue)
    }

    /// When a message is overdue.
    pub(super) fn overdue_at(&self, held: &Unacked, default: Option<Millis>) -> Option<Millis> {
        Some(self.end_of(held, self.timeout_of(held, default)?))
    }

    fn end_of(&self, held: &Unacked, timeout: Millis) -> Millis {
        self.since(held).saturating_add(timeout.max(CONSUMER_TIMEOUT_MS_MIN))
    }

    pub(super) fn set_timeout(&mut self, (source, id): &ConsumerRef, timeout: Option<Millis>) {
        let who = (source.id(), *id);
        if let Some(timeout) = timeout {
            self.rare.get_or_insert_default().timeouts.insert(who, timeout);
        } else if self.rare.as_mut().is_some_and(|rare| rare.timeouts.remove(&who).is_some()) {
            self.look_anew(); // what it still holds may be overdue sooner now
        }
    }

    fn since(&self, held: &Unacked) -> Millis {
        held.since.max(self.renewed_at)
    }

    /// As the consumer says, else the queue.
    fn timeout_of(&self, held: &Unacked, default: Option<Millis>) -> Option<Millis> {
        let its = |rare: &Rare| rare.timeouts.get(&(held.source.id(), held.consumer?)).copied();
        let asked = self.rare.as_deref().and_then(its);
        asked.or_else(|| held.source.consumer_timeout(default))
    }
}
