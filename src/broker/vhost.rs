//! A virtual host: its topology behind its lock.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::core::{
    ConnectionId,
    error::AmqpError,
    memory::Gauge,
    queue::{Deleted, SharedQueue},
    topology::{Route, Topology},
};
use crate::protocol::{FieldTable, ShortString};

/// See the module's text.
pub struct Vhost {
    /// Its name.
    pub name: ShortString,
    topology: RwLock<Topology>,
}

impl Vhost {
    /// A virtual host with the exchanges that every one has.
    pub fn new(name: ShortString, gauge: Arc<Gauge>) -> Self {
        Self { topology: RwLock::new(Topology::new(name.clone(), gauge)), name }
    }

    /// Reads the topology.
    pub fn read<T>(&self, operation: impl FnOnce(&Topology) -> T) -> T {
        operation(&self.topology.read())
    }

    /// Changes the topology.
    pub fn change<T>(&self, operation: impl FnOnce(&mut Topology) -> T) -> T {
        operation(&mut self.topology.write())
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
        let deleted = self.change(|topology| topology.expire_queue(queue, |consumers| consumers == 0));
        drop(deleted);
    }

    /// Deletes the exclusive queues of a connection that ended.
    pub fn owner_left(&self, queues: impl Iterator<Item = Arc<SharedQueue>>) {
        let deleted: Vec<Deleted> =
            self.change(|topology| queues.map(|queue| topology.expire_queue(&queue, |_| true)).collect());
        drop(deleted);
    }
}
