//! A virtual host: its topology behind its lock.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::core::{
    ConnectionId,
    error::AmqpError,
    journal::{Change, Commit, Journal, TopologyChange},
    policy::{Policy, PolicyError, PolicyKind, PolicySpec},
    queue::{Deleted, SharedQueue},
    topology::{Route, Topology, VhostSettings},
};
use crate::protocol::{FieldTable, ShortString};

/// See the module's text.
pub struct Vhost {
    /// Its name.
    pub name: ShortString,
    topology: RwLock<Topology>,
    journal: Arc<dyn Journal>,
}

impl Vhost {
    /// A virtual host whose changes go to `journal`.
    pub fn new(name: ShortString, topology: Topology, journal: Arc<dyn Journal>) -> Self {
        Self { name, topology: RwLock::new(topology), journal }
    }

    /// Reads the topology.
    pub fn read<T>(&self, operation: impl FnOnce(&Topology) -> T) -> T {
        operation(&self.topology.read())
    }

    /// Changes the topology. Gives the commit to wait for, if something durable changed.
    pub fn change<T>(&self, operation: impl FnOnce(&mut Topology) -> T) -> (T, Option<Commit>) {
        let mut topology = self.topology.write();
        let result = operation(&mut topology);
        let changes = topology.take_changes();
        if changes.is_empty() {
            return (result, None);
        }
        let transient =
            |change: &_| matches!(change, TopologyChange::QueueDeleted { id, .. } if !id.is_durable());
        let waits = !changes.iter().all(transient);
        let named = |change| Change::Topology { vhost: self.name.clone(), change };
        // Under the lock: the journal gets changes of topology in the order in which they happened.
        let commit = self.journal.append(&mut changes.into_iter().map(named).collect(), true);
        (result, waits.then_some(commit))
    }

    /// Sets a policy; see [`Topology::set_policy`]. Gives the commit to wait for.
    pub fn set_policy(&self, kind: PolicyKind, spec: PolicySpec) -> Result<Option<Commit>, PolicyError> {
        let policy = Policy::new(kind, spec)?;
        let ((), commit) = self.change(|topology| topology.set_policy(kind, policy));
        Ok(commit)
    }

    /// Removes a policy: whether it was there, and the commit to wait for.
    pub fn delete_policy(&self, kind: PolicyKind, name: &[u8]) -> (bool, Option<Commit>) {
        self.change(|topology| topology.delete_policy(kind, name))
    }

    /// Sets what counts for the virtual host as a whole. Gives the commit to wait for.
    pub fn set_settings(&self, settings: VhostSettings) -> Option<Commit> {
        self.change(|topology| topology.set_settings(settings)).1
    }

    /// See [`Topology::route`].
    pub fn route(
        &self,
        exchange: &[u8],
        keys: &[&[u8]],
        headers: Option<&FieldTable>,
    ) -> Result<Route, AmqpError> {
        self.topology.read().route(exchange, keys, headers)
    }

    /// A queue that the connection may use: 404 if missing, 405 if exclusive to another connection.
    pub fn accessible_queue(
        &self,
        name: &[u8],
        connection: ConnectionId,
    ) -> Result<Arc<SharedQueue>, AmqpError> {
        self.topology.read().accessible_queue(name, connection).cloned()
    }

    /// Deletes a queue that went with its last consumer, unless it has got another one meanwhile.
    pub fn last_consumer_left(&self, queue: &Arc<SharedQueue>) {
        let (deleted, _) = self.change(|topology| topology.expire_queue(queue, |consumers| consumers == 0));
        drop(deleted);
    }

    /// Deletes the exclusive queues of a connection that ended.
    pub fn owner_left(&self, queues: impl Iterator<Item = Arc<SharedQueue>>) {
        let (deleted, _): (Vec<Deleted>, _) =
            self.change(|topology| queues.map(|queue| topology.expire_queue(&queue, |_| true)).collect());
        drop(deleted);
    }
}
