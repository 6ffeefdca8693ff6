//! `queue.declare` and `queue.delete` (AMQP 1.7.2; texts of RabbitMQ).

use std::sync::{Arc, atomic::Ordering};

use super::{Topology, arguments, equivalence};
use crate::core::{
    ConnectionId,
    access::Limit,
    change::TopologyChange,
    counts::QueueChurn,
    declared::{Destination, QueueSpec, QueueType},
    error::{AmqpError, access_refused, not_found, not_implemented, precondition_failed, resource_locked},
    queue::{Deleted, SharedQueue},
};
use crate::protocol::{FieldTable, ShortString};

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

impl QueueDeclaration {
    /// 403 for names that clients cannot take.
    pub fn refuse_reserved_name(&self) -> Result<(), AmqpError> {
        if !self.server_named && self.name.starts_with(b"amq.") {
            let name = &self.name;
            return Err(access_refused(format!("queue name '{name}' contains reserved prefix 'amq.*'")));
        }
        Ok(())
    }

    /// The property that keeps it from being a quorum queue.
    fn unfit_for_quorum(&self) -> Option<&'static str> {
        match () {
            () if self.auto_delete => Some("auto-delete"),
            () if self.exclusive => Some("exclusive-owner"),
            () if !self.durable => Some("non-durable"),
            () => None,
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
        mut wanted: QueueDeclaration,
        connection: ConnectionId,
    ) -> Result<Arc<SharedQueue>, AmqpError> {
        self.name_default_type(&mut wanted);
        wanted.refuse_reserved_name()?;
        if let Some(current) = self.queue(&wanted.name) {
            self.check_same_queue(current, &wanted, connection)?;
            current.touch();
            let current = current.clone();
            self.churn.declared += 1;
            return Ok(current);
        }
        self.check_new_queue(&wanted)?;
        self.check_memory(&wanted.arguments)?;
        self.clear_name(&Destination::Queue(wanted.name.clone()));
        let spec = QueueSpec {
            name: wanted.name.clone(),
            durable: wanted.durable,
            auto_delete: wanted.auto_delete,
            owner: wanted.exclusive.then_some(connection),
            arguments: wanted.arguments,
        };
        self.churn += QueueChurn { declared: 1, created: 1, deleted: 0 };
        let settings = self.settings_of(&spec, &spec.arguments);
        let queue = Arc::new(SharedQueue::new(spec, settings, self.surroundings.clone()));
        if queue.spec.durable {
            self.changes.push(queue_declared(&queue));
        }
        self.opened(queue.deduplicator.as_ref());
        self.queues.insert(wanted.name, queue.clone());
        queue.touch();
        Ok(queue)
    }

    /// The queue that holds what is published with a delay: durable, and for the broker alone.
    pub fn make_delay_queue(&mut self) -> Arc<SharedQueue> {
        if let Some(queue) = &self.delay_queue {
            return queue.clone();
        }
        let queue =
            Arc::new(SharedQueue::new(QueueSpec::of_delays(), Arc::default(), self.surroundings.clone()));
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
        if queue.spec.queue_type() == QueueType::Quorum {
            self.refuse_conditions(name, if_unused, if_empty)?;
        }
        let mut refusal = None;
        let deleted = queue.delete(|status| {
            refusal = match () {
                () if if_unused && status.consumers > 0 => Some("in use"),
                () if if_empty && status.ready + status.delayed > 0 => Some("not empty"),
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

    /// Takes a deleted queue out, and its bindings as far as those are few.
    fn forget_queue(&mut self, queue: &Arc<SharedQueue>) {
        let name = &queue.spec.name;
        if self.queue(name).is_some_and(|current| Arc::ptr_eq(current, queue)) {
            self.queues.remove(name);
            self.keep_queue_totals(queue);
            self.churn.deleted += 1;
            self.closed(queue.deduplicator.as_ref());
            self.stamp.fetch_add(1, Ordering::Release);
            if queue.is_journaled() {
                self.changes.push(TopologyChange::QueueDeleted { id: queue.id, name: name.clone() });
            }
            self.leave_behind(Destination::Queue(name.clone()));
            self.clear_away(self.cleared_at_once);
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

    /// A queue without a type gets the virtual host's default, if it can be of that type, else it is classic.
    fn name_default_type(&self, wanted: &mut QueueDeclaration) {
        let Some(default) = self.settings.default_queue_type else { return };
        if wanted.arguments.get("x-queue-type").is_none() {
            let fits = default == QueueType::Classic || wanted.unfit_for_quorum().is_none();
            let queue_type = if fits { default } else { QueueType::Classic };
            wanted.arguments.insert(ShortString::from_static("x-queue-type"), queue_type.name());
        }
    }

    fn check_new_queue(&self, wanted: &QueueDeclaration) -> Result<(), AmqpError> {
        if let Some(max) = self.settings.limits.get(Limit::MaxQueues)
            && self.queues.len() as u64 >= max
        {
            let (name, vhost) = (&wanted.name, &self.vhost);
            return Err(precondition_failed(format!(
                "cannot declare queue '{name}': queue limit in vhost '{vhost}' ({max}) is reached"
            )));
        }
        let named = self.named_queue(&wanted.name);
        let queue_type = arguments::queue_type(&named, &wanted.arguments)?;
        if queue_type == QueueType::Quorum && wanted.server_named {
            let module = queue_type.module_name();
            let text = format!("Cannot declare a server-named queue for type {module}");
            return Err(precondition_failed(text));
        }
        arguments::check(&named, queue_type, &wanted.arguments)?;
        match wanted.unfit_for_quorum() {
            Some(property) if queue_type == QueueType::Quorum => {
                Err(precondition_failed(format!("invalid property '{property}' for {named}")))
            }
            _ => Ok(()),
        }
    }

    /// Quorum queues are deleted as they are, or not.
    fn refuse_conditions(&self, name: &[u8], if_unused: bool, if_empty: bool) -> Result<(), AmqpError> {
        let flag = match (if_unused, if_empty) {
            (true, _) => "if-unused",
            (_, true) => "if-empty",
            _ => return Ok(()),
        };
        let named = self.named_queue(name);
        Err(not_implemented(format!(
            "cannot delete {named}. queue.delete operations with {flag} flag set are not supported by quorum queues"
        )))
    }

    fn check_same_queue(
        &self,
        current: &SharedQueue,
        wanted: &QueueDeclaration,
        connection: ConnectionId,
    ) -> Result<(), AmqpError> {
        let named = self.named_queue(&wanted.name);
        if current.spec.owner != wanted.exclusive.then_some(connection) {
            return Err(self.locked(&wanted.name));
        }
        equivalence::check("durable", &named, wanted.durable, current.spec.durable)?;
        equivalence::check("auto_delete", &named, wanted.auto_delete, current.spec.auto_delete)?;
        arguments::check_same(&named, &wanted.arguments, &current.arguments())
    }
}

/// What the journal is told of a queue that is made, and of one whose arguments have changed: the last one counts.
pub(super) fn queue_declared(queue: &SharedQueue) -> TopologyChange {
    TopologyChange::QueueDeclared {
        id: queue.id,
        name: queue.spec.name.clone(),
        auto_delete: queue.spec.auto_delete,
        arguments: queue.arguments().into_owned(),
    }
}
