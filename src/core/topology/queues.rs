//! `queue.declare` and `queue.delete` (AMQP 1.7.2; texts of RabbitMQ).

use std::{ops::RangeInclusive, sync::Arc};

use super::{Destination, Topology, equivalence};
use crate::core::{
    ConnectionId,
    error::{AmqpError, access_refused, not_found, not_implemented, precondition_failed, resource_locked},
    journal::TopologyChange,
    queue::{DELAY_QUEUE, Deleted, QueueSpec, SharedQueue},
};
use crate::protocol::{FieldTable, FieldValue, ShortString};

/// `queue.declare` as it came, its name already drawn when it was empty.
#[allow(clippy::struct_excessive_bools, reason = "the method has these bits")]
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

/// Arguments that decide whether two declarations are the same, with the check of their value and whether the rule
/// behind it is built: a queue that forgets to dead-letter would be worse than one that is refused. Arguments that
/// are not listed are kept and shown, and not compared (RabbitMQ).
const ARGUMENTS: &[(&str, Check, bool)] = &[
    ("x-expires", Check::Integer(1..=i64::MAX), true),
    ("x-message-ttl", Check::Integer(0..=i64::MAX), true),
    ("x-dead-letter-exchange", Check::Text, true),
    ("x-dead-letter-routing-key", Check::DeadLetterKey, true),
    ("x-max-length", Check::Integer(0..=i64::MAX), true),
    ("x-max-length-bytes", Check::Integer(0..=i64::MAX), true),
    ("x-max-priority", Check::Integer(0..=255), true),
    ("x-overflow", Check::OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]), true),
    ("x-single-active-consumer", Check::Bool, true),
    ("x-queue-type", Check::OneOf(&["classic", "quorum", "stream"]), true),
    ("x-queue-mode", Check::OneOf(&["default", "lazy"]), true),
    ("x-queue-version", Check::Integer(1..=2), true),
    ("x-delivery-limit", Check::Integer(i64::MIN..=i64::MAX), true),
];

/// What a value of an argument must be.
enum Check {
    Integer(RangeInclusive<i64>),
    Bool,
    Text,
    OneOf(&'static [&'static str]),
    /// A text, and only beside `x-dead-letter-exchange`.
    DeadLetterKey,
}

impl Check {
    /// Erlang's term for what is wrong, as RabbitMQ's texts show it.
    fn complaint(&self, value: &FieldValue, all: &FieldTable) -> Option<String> {
        let unacceptable = || format!("{{unacceptable_type,{}}}", value.type_name());
        match self {
            Self::Integer(range) => match value.as_i64() {
                None => Some(unacceptable()),
                Some(number) if range.contains(&number) => None,
                Some(0) => Some("{value_zero,0}".into()),
                Some(number @ ..0) => Some(format!("{{value_negative,{number}}}")),
                Some(number) => Some(format!("{{value_out_of_range,{number}}}")),
            },
            Self::Bool => value.as_bool().is_none().then(unacceptable),
            Self::Text => value.as_str_bytes().is_none().then(unacceptable),
            Self::OneOf(words) => match value.as_str_bytes() {
                None => Some(unacceptable()),
                Some(word) if words.iter().any(|known| known.as_bytes() == word) => None,
                Some(word) => Some(format!("{{unknown_value,<<\"{}\">>}}", String::from_utf8_lossy(word))),
            },
            Self::DeadLetterKey if value.as_str_bytes().is_none() => Some(unacceptable()),
            Self::DeadLetterKey => {
                let alone = all.get("x-dead-letter-exchange").is_none();
                alone.then(|| "routing_key_but_no_dlx_defined".into())
            }
        }
    }
}

impl Topology {
    /// A queue that the connection may use: 404 if missing, 405 if exclusive to another connection.
    pub fn accessible_queue(
        &self,
        name: &[u8],
        connection: ConnectionId,
    ) -> Result<&Arc<SharedQueue>, AmqpError> {
        let queue = self.queue(name).ok_or_else(|| not_found(format!("no {}", self.named_queue(name))))?;
        self.check_owner(queue, connection)?;
        Ok(queue)
    }

    /// Makes a queue, or checks that the one of this name is the same.
    pub fn declare_queue(
        &mut self,
        wanted: QueueDeclaration,
        connection: ConnectionId,
    ) -> Result<Arc<SharedQueue>, AmqpError> {
        if !wanted.server_named && wanted.name.starts_with(b"amq.") {
            return Err(access_refused(format!(
                "queue name '{}' contains reserved prefix 'amq.*'",
                wanted.name
            )));
        }
        if let Some(current) = self.queue(&wanted.name) {
            self.check_same_queue(&current.spec, &wanted, connection)?;
            current.touch();
            return Ok(current.clone());
        }
        self.check_arguments(&wanted.name, &wanted.arguments)?;
        let spec = QueueSpec {
            name: wanted.name.clone(),
            durable: wanted.durable,
            auto_delete: wanted.auto_delete,
            owner: wanted.exclusive.then_some(connection),
            arguments: wanted.arguments,
        };
        let queue = Arc::new(SharedQueue::new(spec, self.surroundings.clone()));
        if queue.spec.durable {
            self.changes.push(queue_declared(&queue));
        }
        self.opened(queue.filter.as_ref());
        self.queues.insert(wanted.name, queue.clone());
        Ok(queue)
    }

    /// The queue that holds what is published with a delay: durable, and for the broker alone.
    pub fn make_delay_queue(&mut self) -> Arc<SharedQueue> {
        if let Some(queue) = &self.delay_queue {
            return queue.clone();
        }
        let spec = QueueSpec {
            name: ShortString::from_static(DELAY_QUEUE),
            durable: true,
            auto_delete: false,
            owner: None,
            arguments: FieldTable::new(),
        };
        let queue = Arc::new(SharedQueue::new(spec, self.surroundings.clone()));
        self.changes.push(queue_declared(&queue));
        self.delay_queue.insert(queue).clone()
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
                () if if_empty && status.ready > 0 => Some("not empty"),
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
            self.closed(queue.filter.as_ref());
            for exchange in self.unbind_all(&Destination::Queue(name.clone())) {
                self.remove_exchange(exchange);
            }
            if queue.is_journaled() {
                self.changes.push(TopologyChange::QueueDeleted { id: queue.id, name: name.clone() });
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
        for (name, ..) in ARGUMENTS {
            equivalence::check_argument(name, &named, &wanted.arguments, &current.arguments)?;
        }
        Ok(())
    }

    /// Checks each known argument's value, then whether its rule is built.
    fn check_arguments(&self, queue: &[u8], arguments: &FieldTable) -> Result<(), AmqpError> {
        let named = self.named_queue(queue);
        let given = || ARGUMENTS.iter().filter_map(|known| Some((known, arguments.get(known.0)?)));
        for ((name, check, _), value) in given() {
            if *name == "x-dead-letter-exchange" && value.as_str_bytes().is_none() {
                let kind = value.type_name();
                return Err(precondition_failed(format!(
                    "invalid type '{kind}' for arg '{name}' in {named}"
                )));
            }
            if let Some(complaint) = check.complaint(value, arguments) {
                return Err(precondition_failed(format!("invalid arg '{name}' for {named}: {complaint}")));
            }
        }
        for ((name, _, is_built), value) in given() {
            let other_type = *name == "x-queue-type" && value.as_str_bytes() == Some(b"stream");
            if !is_built || other_type {
                return Err(not_implemented(format!("argument '{name}' of {named}")));
            }
        }
        Ok(())
    }
}

fn queue_declared(queue: &SharedQueue) -> TopologyChange {
    TopologyChange::QueueDeclared {
        id: queue.id,
        name: queue.spec.name.clone(),
        auto_delete: queue.spec.auto_delete,
        arguments: queue.spec.arguments.clone(),
    }
}
