//! Queues and exchanges that take each message once, and the hidden queue that remembers it for the durable ones.

use std::sync::Arc;

use super::{Exchange, Topology};
use crate::core::{
    change::TopologyChange,
    declared::ExchangeSpec,
    dedup::{Filter, Owner, SEEN_QUEUE},
    memory::Holder,
    pager::RestoredQueue,
};
use crate::protocol::{FieldTable, ShortString};

/// A queue or an exchange that takes each message once came or went.
#[derive(Debug, Clone)]
pub enum FilterChange {
    /// It was made.
    Opened(Arc<Filter>),
    /// It is gone.
    Closed(Owner),
}

impl Topology {
    /// What came and went since the last call, in order. To be called before [`Self::take_changes`]: the first durable
    /// one brings the hidden queue with it.
    pub fn take_filters(&mut self) -> Vec<FilterChange> {
        let filters = std::mem::take(&mut self.filters);
        let is_durable = |change: &_| matches!(change, FilterChange::Opened(filter) if filter.durable);
        if self.seen_queue.is_none() && filters.iter().any(is_durable) {
            self.make_seen_queue();
        }
        filters
    }

    /// The hidden queue that remembers what durable queues and exchanges have seen, if there are any: as the journal had
    /// it when the broker was started, or empty.
    pub fn seen_queue(&self) -> Option<&RestoredQueue> {
        self.seen_queue.as_ref()
    }

    /// How many duplicates came to an exchange that takes each message once.
    pub fn exchange_duplicates(&self, name: &[u8]) -> Option<u64> {
        self.exchanges.get(name)?.filter.as_ref().map(|filter| filter.duplicates())
    }

    /// What memory is counted by.
    pub fn memory(&self) -> &Arc<Holder> {
        &self.surroundings.memory
    }

    pub(super) fn opened(&mut self, filter: Option<&Arc<Filter>>) {
        self.filters.extend(filter.map(|filter| FilterChange::Opened(filter.clone())));
    }

    pub(super) fn closed(&mut self, filter: Option<&Arc<Filter>>) {
        self.filters.extend(filter.map(|filter| FilterChange::Closed(filter.owner.clone())));
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
    /// The filter that an exchange's arguments ask for.
    pub(super) fn filter_of(spec: &ExchangeSpec) -> Option<Arc<Filter>> {
        Filter::of_exchange(&spec.name, &spec.arguments, spec.durable).map(Arc::new)
    }
}
