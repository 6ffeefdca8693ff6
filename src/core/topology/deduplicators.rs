//! Queues and exchanges that take each message once, and the hidden queue that remembers it for the durable ones.

use std::sync::Arc;

use super::{Exchange, Topology};
use crate::core::{
    change::TopologyChange,
    declared::{ExchangeSpec, Keeps},
    dedup::{Deduplicator, Owner, SEEN_QUEUE},
    memory::Holder,
    observing::Observers,
    pager::RestoredQueue,
};
use crate::protocol::{FieldTable, ShortString};

/// A queue or an exchange that takes each message once came or went.
#[derive(Debug, Clone)]
pub enum DeduplicatorChange {
    /// It was made.
    Opened(Arc<Deduplicator>),
    /// It is gone.
    Closed(Owner),
}

impl Topology {
    /// What came and went since the last call, in order. To be called before [`Self::take_changes`]: the first durable
    /// one brings the hidden queue with it.
    pub fn take_deduplicators(&mut self) -> Vec<DeduplicatorChange> {
        let deduplicators = std::mem::take(&mut self.deduplicators);
        let is_durable = |change: &_| matches!(change, DeduplicatorChange::Opened(deduplicator) if deduplicator.keeps != Keeps::None);
        if self.seen_queue.is_none() && deduplicators.iter().any(is_durable) {
            self.make_seen_queue();
        }
        deduplicators
    }

    /// The hidden queue that remembers what durable queues and exchanges have seen, if there are any: as the journal had
    /// it when the broker was started, or empty.
    pub fn seen_queue(&self) -> Option<&RestoredQueue> {
        self.seen_queue.as_ref()
    }

    /// How many duplicates came to an exchange that takes each message once.
    pub fn exchange_duplicates(&self, name: &[u8]) -> Option<u64> {
        self.exchanges.get(name)?.deduplicator().map(|deduplicator| deduplicator.duplicates())
    }

    /// What memory is counted by.
    pub fn memory(&self) -> &Arc<Holder> {
        &self.surroundings.memory
    }

    /// What is observed of single messages here.
    pub fn observers(&self) -> &Arc<Observers> {
        &self.surroundings.observers
    }

    pub(super) fn opened(&mut self, deduplicator: Option<&Arc<Deduplicator>>) {
        self.deduplicators
            .extend(deduplicator.map(|deduplicator| DeduplicatorChange::Opened(deduplicator.clone())));
    }

    pub(super) fn closed(&mut self, deduplicator: Option<&Arc<Deduplicator>>) {
        self.deduplicators
            .extend(deduplicator.map(|deduplicator| DeduplicatorChange::Closed(deduplicator.owner.clone())));
    }

    fn make_seen_queue(&mut self) {
        let id = self.surroundings.ids.draw(true);
        self.changes.push(TopologyChange::QueueDeclared {
            id,
            name: ShortString::from_static(SEEN_QUEUE),
            auto_delete: false,
            arguments: FieldTable::new(),
        });
        self.seen_queue = Some(RestoredQueue { id, next_position: 0, ranges: Vec::new() });
    }
}

impl Exchange {
    /// The deduplicator that an exchange's arguments ask for.
    pub(super) fn deduplicator_of(spec: &ExchangeSpec) -> Option<Arc<Deduplicator>> {
        Deduplicator::of_exchange(&spec.name, &spec.arguments, spec.durable).map(Arc::new)
    }
}
