//! Class queue (AMQP 1.7).

use std::sync::Arc;

use super::exchange::strip_line_ends;
use crate::broker::{REPLY_TO, draw_name, reply_token};
use crate::connection::{
    session::{
        Session,
        permission::{Permission, Resource},
    },
    work::{Answer, Clearing, Purging, Work},
};
use crate::core::{
    declared::{Binding, Destination},
    error::{AmqpError, Named, not_found, precondition_failed},
    queue::SharedQueue,
    topology::{Declared, QueueDeclaration},
};
use crate::limits::NAME_PREFIX_BYTES_MAX;
use crate::protocol::{FieldTable, ShortString, queue};

impl Session {
    pub(super) fn queue_declare(&mut self, number: u16, declare: &queue::Declare) -> Result<(), AmqpError> {
        let name = strip_line_ends(declare.queue.clone());
        if reply_token(&name).is_some() || *name == *REPLY_TO.as_bytes() {
            return self.reply_queue_declare(number, declare, &name);
        }
        let queue = if declare.passive {
            self.may_ask_for(Resource::Queue(&name))?;
            let queue = self.vhost.accessible_queue(&name, self.id)?;
            queue.touch(); // to ask for its counts is to use it (RabbitMQ)
            queue
        } else {
            self.make_queue(declare, name)?
        };
        self.channel(number).last_queue = Some(queue.spec.name.clone());
        if queue.spec.durable {
            self.hold_back_for_topology();
        }
        if !declare.no_wait {
            let status = queue.status();
            self.reply(
                number,
                &queue::DeclareOk {
                    queue: queue.spec.name.clone(),
                    message_count: status.ready as u32,
                    consumer_count: status.consumers as u32,
                },
            );
        }
        Ok(())
    }

    fn make_queue(
        &mut self,
        declare: &queue::Declare,
        name: ShortString,
    ) -> Result<Arc<SharedQueue>, AmqpError> {
        let server_named = name.is_empty();
        let declaration = QueueDeclaration {
            name: if server_named { self.drawn_once(|| server_name(&declare.arguments))? } else { name },
            server_named,
            // An exclusive queue is deleted with its connection, so it is never durable (RabbitMQ).
            durable: declare.durable && !declare.exclusive,
            exclusive: declare.exclusive,
            auto_delete: declare.auto_delete,
            arguments: declare.arguments.clone(),
        };
        declaration.refuse_reserved_name()?;
        self.may_declare_queue(&declaration.name, &declaration.arguments)?;
        let id = self.id;
        self.vhost.make_free(&Destination::Queue(declaration.name.clone()));
        let (queue, is_new) = self.change_topology(|topology| {
            let known = topology.queue(&declaration.name).is_some();
            topology.declare_queue(declaration, id).map(|queue| (queue, !known))
        })?;
        if is_new {
            self.tell_of_unknown(Declared::Queue, &queue.spec.name, &queue.spec.arguments);
        }
        if queue.spec.owner.is_some() {
            self.exclusive_queues.insert(queue.spec.name.clone(), queue.clone());
        }
        Ok(queue)
    }

    /// Asks for what a declaration needs: a new queue with a dead-letter exchange needs the permission to write to that.
    fn may_declare_queue(&mut self, name: &ShortString, arguments: &FieldTable) -> Result<(), AmqpError> {
        self.may(Permission::Configure, Resource::Queue(name))?;
        if let Some(exchange) = arguments.get("x-dead-letter-exchange").and_then(|value| value.as_str_bytes())
            && self.vhost.read(|topology| topology.queue(name).is_none())
        {
            self.may(Permission::Read, Resource::Queue(name))?;
            self.may(Permission::Write, Resource::Exchange(exchange))?;
        }
        Ok(())
    }

    /// Direct reply-to: declaring one of its names asks whether a consumer still waits for replies there.
    fn reply_queue_declare(
        &mut self,
        number: u16,
        declare: &queue::Declare,
        name: &ShortString,
    ) -> Result<(), AmqpError> {
        let waits = reply_token(name).is_none_or(|token| self.broker.reply_consumers.exists(token));
        if !waits {
            let named = Named { kind: "queue", name, vhost: &self.vhost.name };
            return Err(not_found(format!("no {named}")));
        }
        if !declare.no_wait {
            let answer = queue::DeclareOk { queue: name.clone(), message_count: 0, consumer_count: 1 };
            self.reply(number, &answer);
        }
        Ok(())
    }

    pub(super) fn queue_bind(&mut self, number: u16, bind: queue::Bind) -> Result<(), AmqpError> {
        let no_wait = bind.no_wait;
        let binding = self.binding(number, bind.queue, bind.exchange, bind.routing_key, bind.arguments)?;
        self.may_bind(&binding)?;
        let id = self.id;
        let to_durable = self.vhost.read(|topology| match &binding.destination {
            Destination::Queue(name) => topology.queue(name).is_some_and(|queue| queue.spec.durable),
            Destination::Exchange(_) => false,
        });
        let replayed = self.change_topology(|topology| topology.bind(binding, id))?;
        if to_durable {
            self.hold_back_for_topology();
        }
        self.replayed(replayed);
        if !no_wait {
            self.reply(number, &queue::BindOk {});
        }
        Ok(())
    }

    pub(super) fn queue_unbind(&mut self, number: u16, unbind: queue::Unbind) -> Result<(), AmqpError> {
        let binding =
            self.binding(number, unbind.queue, unbind.exchange, unbind.routing_key, unbind.arguments)?;
        self.may_bind(&binding)?;
        let id = self.id;
        self.change_topology(|topology| topology.unbind(&binding, id))?;
        self.reply(number, &queue::UnbindOk {});
        Ok(())
    }

    /// A queue binding; with neither queue nor key given, the last queue's name is both (AMQP 1.7.2.3).
    fn binding(
        &mut self,
        number: u16,
        queue: ShortString,
        exchange: ShortString,
        key: ShortString,
        arguments: FieldTable,
    ) -> Result<Binding, AmqpError> {
        let queue = strip_line_ends(queue);
        let name = self.named_queue(number, &queue)?;
        let key = if queue.is_empty() && key.is_empty() { name.clone() } else { key };
        Ok(Binding {
            source: strip_line_ends(exchange),
            destination: Destination::Queue(name),
            key,
            arguments,
        })
    }

    pub(super) fn queue_purge(&mut self, number: u16, purge: &queue::Purge) -> Result<(), AmqpError> {
        let name = self.named_queue(number, &purge.queue)?;
        self.may(Permission::Read, Resource::Queue(&name))?;
        let queue = self.vhost.accessible_queue(&name, self.id)?;
        let purging = Purging { number, purged: queue.purge(), no_wait: purge.no_wait };
        self.begin(Work::Purge(Box::new(purging)));
        Ok(())
    }

    /// Gives what is left when the turn is over.
    pub(in crate::connection) fn resume_purging(
        &mut self,
        mut purging: Box<Purging>,
    ) -> Option<Box<Purging>> {
        let share = self.turn.share(usize::MAX, 1);
        let before = self.effects.len();
        let more = purging.purged.settle_some(share, &mut self.effects.changes);
        self.turn.spend(if more { share } else { self.effects.len() - before });
        // The answer is held back until all of these are durable.
        let commit = self.append(false);
        self.hold_back(commit);
        if more {
            return Some(purging);
        }
        if !purging.no_wait {
            let message_count = purging.purged.message_count() as u32;
            self.reply(purging.number, &queue::PurgeOk { message_count });
        }
        None
    }

    pub(super) fn queue_delete(&mut self, number: u16, delete: &queue::Delete) -> Result<(), AmqpError> {
        let name = self.named_queue(number, &delete.queue)?;
        self.may(Permission::Configure, Resource::Queue(&name))?;
        let id = self.id;
        let deleted = self.change_topology(|topology| {
            topology.delete_queue(&name, id, delete.if_unused, delete.if_empty)
        })?;
        self.exclusive_queues.remove(&name);
        let answer = queue::DeleteOk { message_count: deleted.message_count() as u32 };
        self.clear(Clearing {
            channel: number,
            name: Destination::Queue(name),
            answer: (!delete.no_wait).then_some(Answer::Queue(answer)),
        });
        // Its consumers are told after that, as in RabbitMQ: clients take an earlier `basic.cancel` for an error.
        self.let_go(deleted);
        Ok(())
    }

    /// The queue's name: where a method gives none, that of the last queue declared on the channel.
    pub(super) fn named_queue(&mut self, number: u16, name: &ShortString) -> Result<ShortString, AmqpError> {
        if !name.is_empty() {
            return Ok(name.clone());
        }
        self.channel(number).last_queue.clone().ok_or_else(|| not_found("no previously declared queue"))
    }
}

/// A name drawn by the broker: `amq.gen-...`, or with the prefix that `x-name-prefix` asks for.
fn server_name(arguments: &FieldTable) -> Result<ShortString, AmqpError> {
    let Some(prefix) = arguments.get("x-name-prefix").and_then(|value| value.as_str_bytes()) else {
        return Ok(draw_name("amq.gen-"));
    };
    let prefix = String::from_utf8_lossy(prefix);
    if prefix.len() > NAME_PREFIX_BYTES_MAX {
        return Err(precondition_failed(format!(
            "Queue name prefix '{prefix}' exceeds the {NAME_PREFIX_BYTES_MAX}-byte limit"
        )));
    }
    Ok(draw_name(&prefix))
}
