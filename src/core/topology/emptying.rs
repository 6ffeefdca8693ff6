//! The end of a virtual host: everything in it goes, in pieces, whatever still uses it.

use super::Topology;
use crate::core::{change::TopologyChange, declared::PolicyKind, dedup::SEEN_QUEUE, queue::Deleted};
use crate::protocol::ShortString;

/// What one call of [`Topology::empty_some`] has left.
pub enum Emptied {
    /// There is more. What queues have left is to be let go when no lock is held.
    Some(Vec<Deleted>),
    /// Nothing that the virtual host was given is left.
    All,
}

impl Topology {
    /// Deletes up to so many queues, then exchanges, policies and parameters. Those that every virtual host has stay.
    pub fn empty_some(&mut self, max: usize) -> Emptied {
        let queues: Vec<_> = self.queues.values().take(max).cloned().collect();
        if !queues.is_empty() {
            return Emptied::Some(queues.iter().map(|queue| self.expire_queue(queue, |_| true)).collect());
        }
        if let Some(delays) = self.delay_queue.take() {
            self.changes.push(TopologyChange::QueueDeleted { id: delays.id, name: delays.spec.name.clone() });
            return Emptied::Some(delays.delete(|_| true).into_iter().collect());
        }
        let exchanges = self.exchanges.keys().filter(|name| self.refuse_deletion(name).is_ok());
        let exchanges: Vec<_> = exchanges.take(max).cloned().collect();
        if !exchanges.is_empty() {
            for name in exchanges {
                self.remove_exchange(name);
            }
            return Emptied::Some(Vec::new());
        }
        if self.clear_away(max) {
            return Emptied::Some(Vec::new());
        }
        self.empty_of_settings();
        if let Some(seen) = self.seen_queue.take() {
            let name = ShortString::from_static(SEEN_QUEUE);
            self.changes.push(TopologyChange::QueueDeleted { id: seen.id, name });
        }
        Emptied::All
    }

    fn empty_of_settings(&mut self) {
        for kind in [PolicyKind::User, PolicyKind::Operator] {
            let names: Vec<_> = self.policies.of(kind).keys().cloned().collect();
            for name in names {
                self.policies.delete(kind, &name);
                self.changes.push(TopologyChange::PolicyDeleted { kind, name });
            }
        }
        let parameters: Vec<_> =
            self.parameters().map(|(component, name, _)| (component.clone(), name.clone())).collect();
        for (component, name) in parameters {
            self.delete_parameter(component, name);
        }
    }
}
