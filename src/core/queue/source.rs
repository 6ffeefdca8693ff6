//! A queue as a source: see [`Source`].

use std::sync::Arc;

use super::SharedQueue;
use crate::core::{
    clock::Millis,
    effects::Effects,
    entry::Entry,
    placement::QueueId,
    source::{Comeback, ConsumerId, Source, Unacked},
};
use crate::protocol::ShortString;

impl SharedQueue {
    /// A message of it that is delivered now.
    #[inline]
    pub fn handed_out(self: &Arc<Self>, tag: u64, consumer: Option<ConsumerId>, entry: Entry) -> Unacked {
        Unacked { tag, source: self.clone(), consumer, entry, since: self.about_now() }
    }
}

impl Source for SharedQueue {
    fn id(&self) -> QueueId {
        self.id
    }

    fn name(&self) -> &ShortString {
        &self.spec.name
    }

    fn consumer_timeout(&self, default: Option<Millis>) -> Option<Millis> {
        Self::consumer_timeout(self, default)
    }

    fn settle(self: Arc<Self>, unacked: Vec<Unacked>, effects: &mut Effects) {
        Self::settle(&self, unacked, effects);
    }

    fn reject(self: Arc<Self>, unacked: Vec<Unacked>, effects: &mut Effects) {
        Self::reject(&self, unacked, effects);
    }

    fn requeue(self: Arc<Self>, unacked: Vec<Unacked>, why: Comeback, effects: &mut Effects) {
        Self::requeue(&self, unacked, why, effects);
    }

    fn give_back(self: Arc<Self>, unacked: Vec<Unacked>, why: Comeback, effects: &mut Effects) {
        Self::give_back(&self, unacked, why, effects);
    }

    fn dispatch(self: Arc<Self>, effects: &mut Effects) {
        Self::dispatch(&self, effects);
    }

    fn fed(self: Arc<Self>, id: ConsumerId, effects: &mut Effects) {
        Self::fed(&self, id, effects);
    }

    fn cancel_returning(
        self: Arc<Self>,
        id: ConsumerId,
        returned: Vec<Unacked>,
        effects: &mut Effects,
    ) -> bool {
        Self::cancel_returning(&self, id, returned, effects)
    }
}
