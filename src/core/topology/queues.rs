//! `queue.declare` and `queue.delete` (AMQP 1.7.2; texts of RabbitMQ).

use std::sync::Arc;

use super::{Destination, Topology, equivalence};
use crate::core::{
    ConnectionId,
    error::{AmqpError, access_refused, not_found, not_implemented, precondition_failed, resource_locked},
    queue::{Deleted, QueueSpec, SharedQueue},
};
use crate::protocol::{FieldTable, FieldValue, ShortString};

/// `queue.declare` as it came, its name already drawn when it was empty.
pub struct QueueDeclaration {
    /// Name.
    pub name: ShortString,
    /// The broker drew the name: the reserved prefix is in order.
    pub server_named: bool,
    /// Survives a restart.
    pub durable: bool,
    /// For the declaring connection alone.
    pub exclusive: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// Arguments.
    pub arguments: FieldTable,
}

/// Arguments that decide whether two declarations are the same, with the check of their value. Others are kept and
/// shown, and not compared (RabbitMQ).
const ARGUMENTS: &[(&str, Check)] = &[
    ("x-expires", Check::Positive),
    ("x-message-ttl", Check::NonNegative),
    ("x-single-active-consumer", Check::Bool),
    ("x-queue-type", Check::QueueType),
    ("x-queue-mode", Check::Text),
    ("x-queue-version", Check::NonNegative),
    ("x-dead-letter-exchange", Check::Missing),
    ("x-dead-letter-routing-key", Check::Missing),
    ("x-max-length", Check::Missing),
    ("x-max-length-bytes", Check::Missing),
    ("x-max-priority", Check::Missing),
    ("x-overflow", Check::Missing),
    ("x-delivery-limit", Check::Missing),
];

/// What a value of an argument must be.
#[derive(Clone, Copy)]
enum Check {
    NonNegative,
    Positive,
    Bool,
    Text,
    QueueType,
    /// Known in the field, not built here: refusing is better than a queue that forgets to dead-letter.
    Missing,
}

impl Topology {
    /// A queue that the connection may use: 404 if missing, 405 if exclusive to another connection.
    pub fn accessible_queue(
        &self,
        name: &[u8],
        connection: ConnectionId,
    ) -> Result<&Arc<SharedQueue>, AmqpError> {
        let queue =
            self.queue(name).ok_or_else(|| not_found(format!("no {}", self.named_queue(name))))?;
        self.check_owner(queue, connection)?;
        Ok(queue)
    }

    /// Makes a queue, or checks that the one of this name is the same.
    pub fn declare_queue(
        &mut self,
        wanted: QueueDeclaration,
        connection: ConnectionId,
    ) -> Result<Arc<SharedQueue>, AmqpError> {
        if let Some(current) = self.queue(&wanted.name) {
            self.check_same_queue(&current.spec, &wanted, connection)?;
            return Ok(current.clone());
        }
        if !wanted.server_named && wanted.name.starts_with(b"amq.") {
            return Err(access_refused(format!(
                "queue name '{}' contains reserved prefix 'amq.*'",
                wanted.name
            )));
        }
        for (name, check) in ARGUMENTS {
            if let Some(value) = wanted.arguments.get(name) {
                self.check_argument(&wanted.name, name, value, *check)?;
            }
        }
        let spec = QueueSpec {
            name: wanted.name.clone(),
            durable: wanted.durable,
            auto_delete: wanted.auto_delete,
            owner: wanted.exclusive.then_some(connection),
            arguments: wanted.arguments,
        };
        let queue = Arc::new(SharedQueue::new(spec, self.gauge.clone()));
        self.queues.insert(wanted.name, queue.clone());
        Ok(queue)
    }

    /// `queue.delete`: gives the messages that went; a missing queue is no error.
    pub fn delete_queue(
        &mut self,
        name: &[u8],
        connection: ConnectionId,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Deleted, AmqpError> {
        let Some(queue) = self.queue(name) else { return Ok(Deleted::default()) };
        self.check_owner(queue, connection)?;
        let mut refusal = None;
        let deleted = queue.delete(|status| {
            refusal = match () {
                () if if_unused && status.consumers > 0 => Some("in use"),
                () if if_empty && status.ready + status.unacked > 0 => Some("not empty"),
                () => None,
            };
            refusal.is_none()
        });
        if let Some(refusal) = refusal {
            return Err(precondition_failed(format!("{} {refusal}", self.named_queue(name))));
        }
        let queue = queue.clone();
        self.forget_queue(&queue);
        Ok(deleted.unwrap_or_default())
    }

    /// Deletes a queue that went with its last consumer or its connection.
    ///
    /// `still_due` sees how many consumers it has now.
    pub fn expire_queue(
        &mut self,
        queue: &Arc<SharedQueue>,
        still_due: impl FnOnce(usize) -> bool,
    ) -> Deleted {
        let Some(deleted) = queue.delete(|status| still_due(status.consumers)) else {
            return Deleted::default();
        };
        self.forget_queue(queue);
        deleted
    }

    /// Takes a deleted queue and its bindings out.
    fn forget_queue(&mut self, queue: &Arc<SharedQueue>) {
        let name = &queue.spec.name;
        if self.queue(name).is_some_and(|current| Arc::ptr_eq(current, queue)) {
            self.queues.remove(name);
            for exchange in self.unbind_all(&Destination::Queue(name.clone())) {
                self.remove_exchange(exchange);
            }
        }
    }

    fn check_owner(&self, queue: &SharedQueue, connection: ConnectionId) -> Result<(), AmqpError> {
        match queue.spec.owner {
            Some(owner) if owner != connection => Err(self.locked(&queue.spec.name)),
            _ => Ok(()),
        }
    }

    fn locked(&self, name: &[u8]) -> AmqpError {
        resource_locked(format!(
            "cannot obtain exclusive access to locked {}. It could be originally declared on another connection \
             or the exclusive property value does not match that of the original declaration.",
            self.named_queue(name)
        ))
    }

    fn check_same_queue(
        &self,
        current: &QueueSpec,
        wanted: &QueueDeclaration,
        connection: ConnectionId,
    ) -> Result<(), AmqpError> {
        let named = self.named_queue(&wanted.name);
        if current.owner != wanted.exclusive.then_some(connection) {
            return Err(self.locked(&wanted.name));
        }
        equivalence::check("durable", &named, wanted.durable, current.durable)?;
        equivalence::check("auto_delete", &named, wanted.auto_delete, current.auto_delete)?;
        for (name, _) in ARGUMENTS {
            equivalence::check_argument(name, &named, &wanted.arguments, &current.arguments)?;
        }
        Ok(())
    }

    fn check_argument(
        &self,
        queue: &[u8],
        name: &str,
        value: &FieldValue,
        check: Check,
    ) -> Result<(), AmqpError> {
        let invalid = |why: String| {
            precondition_failed(format!("invalid arg '{name}' for {}: {why}", self.named_queue(queue)))
        };
        let unacceptable = || invalid(format!("{{unacceptable_type,{}}}", value.type_name()));
        match check {
            Check::NonNegative | Check::Positive => {
                let number = value.as_i64().ok_or_else(unacceptable)?;
                match (check, number) {
                    (_, ..0) => Err(invalid(format!("{{value_negative,{number}}}"))),
                    (Check::Positive, 0) => Err(invalid("{value_zero,0}".into())),
                    _ => Ok(()),
                }
            }
            Check::Bool => value.as_bool().map(drop).ok_or_else(unacceptable),
            Check::Text => value.as_str_bytes().map(drop).ok_or_else(unacceptable),
            Check::QueueType => match value.as_str_bytes().ok_or_else(unacceptable)? {
                b"classic" => Ok(()),
                b"quorum" | b"stream" => Err(self.missing(queue, name)),
                _ => Err(invalid("unsupported queue type".into())),
            },
            Check::Missing => Err(self.missing(queue, name)),
        }
    }

    fn missing(&self, queue: &[u8], argument: &str) -> AmqpError {
        not_implemented(format!("argument '{argument}' of {}", self.named_queue(queue)))
    }
}

/// Whether a queue name belongs to direct reply-to.
pub fn is_reply_to_name(name: &[u8]) -> bool {
    name.starts_with(b"amq.rabbitmq.reply-to")
}

