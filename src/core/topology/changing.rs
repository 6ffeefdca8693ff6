//! A queue's arguments are changed while it stands: those that say what a policy could say as well. RabbitMQ knows no such thing; to
//! a client that declares the queue again it looks as if somebody had deleted and declared it.

use std::sync::Arc;

use super::{Topology, arguments, queues::queue_declared};
use crate::core::{
    error::AmqpError,
    policy::{QueueSettings, origin::Counting},
};
use crate::protocol::{FieldTable, FieldValue, ShortString};

/// Arguments that are to be, each with its value; without one it is taken away.
pub type ArgumentChanges = [(ShortString, Option<FieldValue>)];

/// Why a queue's arguments cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum Unchangeable {
    /// There is no such queue.
    #[error("there is no such queue")]
    NoQueue,
    /// The queue is for one connection alone.
    #[error("the queue is exclusive to a connection")]
    Exclusive,
    /// Some of them are for good, or unknown: what, and why, in a sentence.
    #[error("{}", .0.join("; "))]
    ForGood(Vec<String>),
    /// They cannot be together, or are of the wrong type.
    #[error("{}", .0.text)]
    Refused(AmqpError),
}

/// What a queue would be with other arguments.
#[derive(Debug)]
pub struct SettingsChange {
    /// All of its arguments.
    pub arguments: FieldTable,
    /// What counts then.
    pub settings: Arc<QueueSettings>,
    /// What counts now.
    pub before: Vec<Counting>,
    /// What counts then.
    pub after: Vec<Counting>,
}

/// Arguments that a queue has for good, and why.
const FOR_GOOD: [(&str, &str); 7] = [
    ("x-queue-type", "a queue is of one type"),
    ("x-max-priority", "messages are kept by their priorities"),
    ("x-single-active-consumer", "consumers that are there were taken in by it"),
    ("x-message-deduplication", "what was seen is kept by it"),
    ("x-deduplication-header", "what was seen is kept by it"),
    ("x-cache-size", "what was seen is kept by it"),
    ("x-cache-ttl", "what was seen is kept by it"),
];

impl Topology {
    /// What a change of a queue's arguments would make of it. Nothing is changed.
    pub fn look_at_change(
        &self,
        name: &[u8],
        changes: &ArgumentChanges,
    ) -> Result<SettingsChange, Unchangeable> {
        let queue = self.queue(name).ok_or(Unchangeable::NoQueue)?;
        if queue.spec.owner.is_some() {
            return Err(Unchangeable::Exclusive);
        }
        let before = queue.arguments().into_owned();
        let mut after = before.clone();
        let mut refused = Vec::new();
        for (argument, value) in changes {
            match (refusal(argument), value) {
                // It stays as it is.
                _ if is_same(before.get(argument), value.as_ref()) => {}
                (Some(why), _) => refused.push(why),
                (None, Some(value)) => drop(after.insert(argument.clone(), value.clone())),
                (None, None) => drop(after.remove(argument)),
            }
        }
        if !refused.is_empty() {
            return Err(Unchangeable::ForGood(refused));
        }
        let named = self.named_queue(name);
        arguments::check(&named, queue.spec.queue_type(), &after).map_err(Unchangeable::Refused)?;
        Ok(SettingsChange {
            settings: self.settings_of(&queue.spec, &after),
            before: self.counting_with(&queue.spec, &before),
            after: self.counting_with(&queue.spec, &after),
            arguments: after,
        })
    }

    /// Changes a queue's arguments, as [`Self::look_at_change`] says it. What counts from then on does so at once.
    pub fn change_arguments(
        &mut self,
        name: &[u8],
        changes: &ArgumentChanges,
    ) -> Result<SettingsChange, Unchangeable> {
        let change = self.look_at_change(name, changes)?;
        let queue = self.queue(name).ok_or(Unchangeable::NoQueue)?.clone();
        if *queue.arguments() == change.arguments {
            return Ok(change);
        }
        self.check_memory(&change.arguments).map_err(Unchangeable::Refused)?;
        queue.change_arguments(change.arguments.clone());
        queue.apply(change.settings.clone());
        if queue.spec.durable {
            self.changes.push(queue_declared(&queue));
        }
        Ok(change)
    }
}

/// Integers are the same whatever their width, as where a queue is declared again.
fn is_same(one: Option<&FieldValue>, other: Option<&FieldValue>) -> bool {
    let numbers = one.and_then(FieldValue::as_i64).zip(other.and_then(FieldValue::as_i64));
    one == other || numbers.is_some_and(|(one, other)| one == other)
}

/// Why an argument cannot be changed, if it cannot.
fn refusal(argument: &ShortString) -> Option<String> {
    if let Some((name, why)) = FOR_GOOD.iter().find(|(name, _)| name.as_bytes() == &**argument) {
        return Some(format!("{name} cannot change while the queue stands: {why}"));
    }
    let is_known = arguments::names().any(|name| name.as_bytes() == &**argument);
    (!is_known).then(|| format!("there is no argument '{argument}' of queues"))
}
