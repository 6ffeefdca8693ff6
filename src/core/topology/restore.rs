//! A virtual host as the journal remembers it.

use std::{collections::HashMap, sync::Arc};

use super::{Topology, bindings::Ends};
use crate::core::{
    change::TopologyChange,
    declared::{Binding, PolicySpec, QueueSpec},
    dedup::SEEN_QUEUE,
    pager::RestoredQueue,
    placement::QueueId,
    policy::{Policy, PolicyError},
    queue::SharedQueue,
};

/// What could not be made again: nothing, unless something was damaged.
#[derive(Debug, Default)]
pub struct Unrestored {
    /// Bindings whose ends are missing: they are gone now.
    pub bindings: Vec<Binding>,
    /// Policies whose pattern cannot be read.
    pub policies: Vec<(PolicySpec, PolicyError)>,
}

impl Topology {
    /// Makes what was declared before the broker was last stopped, with the messages that its queues had.
    ///
    /// `declared` has what there is, in any order, and nothing that is gone; but a virtual host that was deleted and not yet cleared
    /// away has [`VhostDeleted`](TopologyChange::VhostDeleted) in the place of its settings, and whatever is left of it. It is made
    /// like any other one then: [`is_deleted`](Self::is_deleted) tells it apart.
    pub fn restore(
        &mut self,
        declared: Vec<TopologyChange>,
        contents: &mut HashMap<QueueId, RestoredQueue>,
    ) -> Unrestored {
        let mut unrestored = Unrestored::default();
        let mut bindings = Vec::new();
        let mut queues = Vec::new();
        for change in declared {
            match change {
                TopologyChange::ExchangeDeclared(spec) => self.insert_exchange(spec),
                TopologyChange::QueueDeclared { id, name, auto_delete, arguments } => {
                    if *name == *SEEN_QUEUE.as_bytes() {
                        self.seen_queue = Some(content_of(id, contents));
                        continue;
                    }
                    let spec = QueueSpec { name, durable: true, auto_delete, owner: None, arguments };
                    queues.push((id, spec));
                }
                TopologyChange::PolicySet { kind, spec } => match Policy::restored(spec.clone()) {
                    Ok(policy) => self.policies.set(kind, policy),
                    Err(error) => unrestored.policies.push((spec, error)),
                },
                TopologyChange::VhostSet(settings) => {
                    self.surroundings.observers.set_taps(settings.tracing);
                    self.settings = settings;
                }
                TopologyChange::VhostDeleted => self.is_deleted = true,
                TopologyChange::ParameterSet { component, name, value } => {
                    self.parameters.insert((component, name), value);
                }
                TopologyChange::Bound(binding) => bindings.push(binding),
                TopologyChange::ExchangeDeleted(_)
                | TopologyChange::QueueDeleted { .. }
                | TopologyChange::Unbound(_)
                | TopologyChange::PolicyDeleted { .. }
                | TopologyChange::ParameterDeleted { .. }
                | TopologyChange::VhostCleared => {}
            }
        }
        self.apply_policies(); // to exchanges
        for (id, spec) in queues {
            self.restore_queue(id, spec, contents);
        }
        for binding in bindings {
            match self.ends(&binding) {
                Ends::Durable => drop(self.insert_binding(binding, true)),
                Ends::Transient | Ends::Missing => unrestored.bindings.push(binding),
            }
        }
        self.changes.clear();
        self.drop_unrestored(&unrestored.bindings);
        unrestored
    }

    /// Whether the virtual host was deleted before the broker was last stopped, and not all of it was cleared away.
    pub fn is_deleted(&self) -> bool {
        self.is_deleted
    }

    /// Bindings whose ends are missing were left by a deletion that a crash cut short: it is completed, or they would be
    /// somebody else's who takes the name.
    fn drop_unrestored(&mut self, bindings: &[Binding]) {
        self.changes.extend(bindings.iter().cloned().map(TopologyChange::Unbound));
        for Binding { source, .. } in bindings {
            if self.is_finished(source) {
                self.remove_exchange(source.clone());
            }
        }
        while self.clear_away(self.cleared_at_once) {}
    }

    fn restore_queue(
        &mut self,
        id: QueueId,
        spec: QueueSpec,
        contents: &mut HashMap<QueueId, RestoredQueue>,
    ) {
        let content = content_of(id, contents);
        let settings = self.settings_of(&spec, &spec.arguments);
        let queue = Arc::new(SharedQueue::restored(spec, settings, &content, self.surroundings.clone()));
        self.opened(queue.deduplicator.as_ref());
        queue.touch(); // something may have become due while the broker was stopped
        if queue.spec.is_delay_queue() {
            self.delay_queue = Some(queue);
        } else {
            self.queues.insert(queue.spec.name.clone(), queue);
        }
    }
}

/// What a queue had when the broker was last stopped.
fn content_of(id: QueueId, contents: &mut HashMap<QueueId, RestoredQueue>) -> RestoredQueue {
    contents.remove(&id).unwrap_or(RestoredQueue { id, next_position: 0, ranges: Vec::new() })
}
