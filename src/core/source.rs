//! A source is what a consumer takes messages from, as windows and consumers see it: a queue is one.
//!
//! A window owns what its client holds, a source owns messages and consumers. What a client settles goes back to its source a run
//! at a time: one virtual call for each run, none for each message.

use std::{num::NonZeroU32, ptr, sync::Arc};

use crate::core::{clock::Millis, effects::Effects, entry::Entry, placement::QueueId};
use crate::protocol::ShortString;

/// A consumer's handle in its source. Never used again for another consumer of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsumerId {
    pub(in crate::core) slot: u32,
    generation: NonZeroU32,
}

impl ConsumerId {
    /// The consumer in a slot; `generation` tells it from those that had the slot before.
    pub(in crate::core) fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation: NonZeroU32::new(generation).unwrap_or(NonZeroU32::MIN) }
    }
}

/// A consumer of a channel, by its source and handle.
pub type ConsumerRef = (Arc<dyn Source>, ConsumerId);

/// Why a message comes back to its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comeback {
    /// `basic.reject` with requeue, or its client has gone: it counts against the delivery limit (RabbitMQ 4.3).
    Failed,
    /// `basic.nack` with requeue, `basic.recover`, a consumer that took too long.
    Returned,
}

/// A message that a client has and has not settled.
pub struct Unacked {
    /// Its delivery tag on this channel.
    pub tag: u64,
    /// Where it comes from.
    pub source: Arc<dyn Source>,
    /// Who got it; `None` for `basic.get`.
    pub consumer: Option<ConsumerId>,
    /// The message and its position in the source.
    pub entry: Entry,
    /// When it was delivered, or its consumer last said that it is still at work.
    pub since: Millis,
}

// There is one for each message that clients hold.
const _: () = assert!(size_of::<Unacked>() <= 64);

/// What a consumer takes messages from.
pub trait Source: Send + Sync {
    /// Its number, never given to another one.
    fn id(&self) -> QueueId;

    /// Its name in its virtual host.
    fn name(&self) -> &ShortString;

    /// How long a consumer of it may hold a message, in milliseconds, if it asked for nothing itself; `default` is the broker's.
    fn consumer_timeout(&self, default: Option<Millis>) -> Option<Millis>;

    /// The client acknowledged these.
    fn settle(self: Arc<Self>, unacked: Vec<Unacked>, effects: &mut Effects);

    /// The client rejected these for good: they are dead.
    fn reject(self: Arc<Self>, unacked: Vec<Unacked>, effects: &mut Effects);

    /// These come back to where they were, marked as redelivered.
    fn requeue(self: Arc<Self>, unacked: Vec<Unacked>, why: Comeback, effects: &mut Effects);

    /// Like [`Self::requeue`], for one part of many messages: none of them is delivered again before [`Self::dispatch`].
    fn give_back(self: Arc<Self>, unacked: Vec<Unacked>, why: Comeback, effects: &mut Effects);

    /// Delivers what waits to consumers that can take it.
    fn dispatch(self: Arc<Self>, effects: &mut Effects);

    /// A consumer that was starved, by its outbox or its channel's prefetch, may have deliveries again: it is put back into
    /// the rotation, and what waits is dispatched.
    fn fed(self: Arc<Self>, id: ConsumerId, effects: &mut Effects);

    /// Removes a consumer; `returned` goes back to where it was before other consumers get messages, and is no failure. True when
    /// the source was to go with its last consumer and this was it.
    fn cancel_returning(
        self: Arc<Self>,
        id: ConsumerId,
        returned: Vec<Unacked>,
        effects: &mut Effects,
    ) -> bool;

    /// Removes a consumer; what it holds stays with its channel. See [`Self::cancel_returning`].
    fn cancel(self: Arc<Self>, id: ConsumerId, effects: &mut Effects) -> bool {
        self.cancel_returning(id, Vec::new(), effects)
    }
}

/// Whether two are the same source.
#[inline]
pub fn is_same(one: &Arc<dyn Source>, other: &Arc<dyn Source>) -> bool {
    ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

/// Gives messages of any sources back or settles them, each source's in one go, in order.
pub fn settle_by_source(mut unacked: Vec<Unacked>, mut operation: impl FnMut(Arc<dyn Source>, Vec<Unacked>)) {
    let Some(source) = unacked.first().map(|first| first.source.clone()) else { return };
    if unacked.iter().all(|other| is_same(&other.source, &source)) {
        operation(source, unacked);
        return;
    }
    // A stable sort: each source's messages keep their order.
    unacked.sort_by_key(|unacked| Arc::as_ptr(&unacked.source).addr());
    let mut rest = unacked.into_iter().peekable();
    while let Some(first) = rest.next() {
        let source = first.source.clone();
        let mut its = vec![first];
        while let Some(next) = rest.next_if(|next| is_same(&next.source, &source)) {
            its.push(next);
        }
        operation(source, its);
    }
}
