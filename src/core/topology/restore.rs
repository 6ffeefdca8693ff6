//! A virtual host as the journal remembers it.

use std::{collections::HashMap, sync::Arc};

use super::{Topology, bindings::Ends};
use crate::core::{
    dedup::SEEN_QUEUE,
    journal::{QueueId, RestoredQueue, TopologyChange},
    queue::{QueueSpec, SharedQueue},
};

impl Topology {
    /// Makes what was declared before the broker was last stopped, with the messages that its queues had.
    ///
    /// `declared` has exchanges, queues and bindings as they are, in any order, and nothing that is gone. Gives the
    /// bindings whose ends are missing: there are none unless something was damaged.
    pub fn restore(
        &mut self,
        declared: Vec<TopologyChange>,
        contents: &mut HashMap<QueueId, RestoredQueue>,
    ) -> Vec<super::Binding> {
        let mut bindings = Vec::new();
        for change in declared {
            match change {
                TopologyChange::ExchangeDeclared(spec) => self.insert_exchange(spec),
                TopologyChange::QueueDeclared { id, name, auto_delete, arguments } => {
                    let empty = || RestoredQueue { id, next_position: 0, ranges: Vec::new() };
                    let content = contents.remove(&id).unwrap_or_else(empty);
                    if *name == *SEEN_QUEUE.as_bytes() {
                        self.seen_queue = Some(content);
                        continue;
                    }
                    let spec = QueueSpec { name, durable: true, auto_delete, owner: None, arguments };
                    let queue = SharedQueue::restored(spec, &content, self.surroundings.clone());
                    self.insert_restored(Arc::new(queue));
                }
                TopologyChange::Bound(binding) => bindings.push(binding),
                TopologyChange::ExchangeDeleted(_)
                | TopologyChange::QueueDeleted { .. }
                | TopologyChange::Unbound(_) => {}
            }
        }
        let (whole, dangling) = bindings.into_iter().partition(|binding| self.ends(binding) == Ends::Durable);
        let whole: Vec<super::Binding> = whole;
        for binding in whole {
            self.insert_binding(binding, true);
        }
        self.changes.clear();
        dangling
    }

    fn insert_restored(&mut self, queue: Arc<SharedQueue>) {
        self.opened(queue.filter.as_ref());
        // Something may have become due while the broker was stopped.
        self.surroundings.timetable.call(&queue, 0);
        if queue.spec.is_delay_queue() {
            self.delay_queue = Some(queue);
        } else {
            self.queues.insert(queue.spec.name.clone(), queue);
        }
    }
}
