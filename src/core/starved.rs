//! Consumers that were turned away, in the order in which they are fed again.
//!
//! Each gets a place, which is never given out again; with it a consumer that leaves its source is forgotten without a search.

use std::{collections::BTreeMap, sync::Arc};

use crate::core::source::{ConsumerId, ConsumerRef, Source, is_same};

/// Consumers in the order in which they were turned away.
#[derive(Default)]
pub struct Starved {
    waiting: BTreeMap<u64, ConsumerRef>,
    last_place: u64,
}

impl Starved {
    /// Adds one at the end; gives its place.
    pub fn add(&mut self, who: ConsumerRef) -> u64 {
        self.last_place += 1;
        self.waiting.insert(self.last_place, who);
        self.last_place
    }

    /// Takes the one that has waited longest.
    pub fn pop(&mut self) -> Option<ConsumerRef> {
        self.waiting.pop_first().map(|(_, who)| who)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Forgets a consumer that has left its source, if it still stands in that place.
    pub fn forget(&mut self, place: u64, source: &Arc<dyn Source>, id: ConsumerId) {
        // Another channel with the same number may have begun to count anew meanwhile.
        if self.waiting.get(&place).is_some_and(|(its, other)| *other == id && is_same(its, source)) {
            self.waiting.remove(&place);
        }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}
