//! What must outlive the process, as values: what happened to messages, and to the topology.
//!
//! The session or task that runs an operation collects its [`Changes`] and hands them to a
//! [`Journal`](super::journal::Journal) afterwards.

use crate::core::{
    access::AccessChange,
    clock::Millis,
    declared::{Binding, ExchangeSpec, PolicyKind, PolicySpec, VhostSettings},
    message::{Message, Publication},
    placement::{Placement, Placements, QueueId},
};
use crate::protocol::{FieldTable, ShortString};

/// How often a message was handed out and came back to its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Attempts {
    /// All of them (RabbitMQ's `x-acquired-count`).
    pub returned: u16,
    /// Those that count against the delivery limit (RabbitMQ's `x-delivery-count`).
    pub failed: u16,
}

impl Attempts {
    /// One more; both numbers stay where they are when they are full.
    #[must_use]
    pub fn after_return(self, failed: bool) -> Self {
        Self {
            returned: self.returned.saturating_add(1),
            failed: self.failed.saturating_add(u16::from(failed)),
        }
    }
}

/// Something that must be remembered.
///
/// Settlements of messages that were in memory carry the message, so that one that is settled before it was written need not be
/// written at all: see [`Message::stage`].
#[derive(Debug)]
pub enum Change {
    /// A message entered queues. A message is in at most one such change.
    Publish {
        /// Its image.
        message: Message,
        /// Where it went.
        placements: Placements,
        /// Written only to make room in memory: it need not survive a restart, and no confirm waits for it.
        transient: bool,
    },
    /// A message left a queue for good.
    Settle {
        /// Where it was.
        placement: Placement,
        /// The message, unless it is on disk already.
        message: Option<Message>,
    },
    /// Messages that are on disk alone left a queue for good: all that are there between two positions, both included.
    SettleRange {
        /// The queue.
        queue: QueueId,
        /// First position.
        first: u64,
        /// Last position.
        last: u64,
    },
    /// A message came back to its queue, or waits there until another time.
    Return {
        /// Where it is.
        placement: Placement,
        /// How often that has happened to it.
        attempts: Attempts,
        /// It waits until then before it is delivered again; zero: it does not wait.
        due: Millis,
        /// The message, unless it is on disk already.
        message: Option<Message>,
    },
    /// Exchanges, queues or bindings changed.
    Topology {
        /// The virtual host.
        vhost: ShortString,
        /// What changed.
        change: TopologyChange,
    },
    /// Users, their permissions, or something that is set for the whole broker changed. Boxed: it is seldom, and would make all the
    /// others larger.
    Access(Box<AccessChange>),
}

/// Each message that is published or settled is moved as one of these.
const _: () = assert!(size_of::<Change>() <= 104);

impl From<AccessChange> for Change {
    fn from(change: AccessChange) -> Self {
        Self::Access(Box::new(change))
    }
}

/// A durable change of a virtual host's topology; or the end of a transient queue, which may have had messages on disk.
#[derive(Debug, Clone, PartialEq)]
pub enum TopologyChange {
    /// An exchange was made.
    ExchangeDeclared(ExchangeSpec),
    /// An exchange is gone. Its bindings follow, each with its own change; a start drops those whose ends are missing.
    ExchangeDeleted(ShortString),
    /// A queue was made; or, with a number that there is already, its arguments have changed.
    QueueDeclared {
        /// Its name in the journal.
        id: QueueId,
        /// What was declared.
        name: ShortString,
        /// Goes with its last consumer.
        auto_delete: bool,
        /// Its arguments.
        arguments: FieldTable,
    },
    /// A queue is gone with all its messages. Its bindings follow, as those of an exchange do.
    QueueDeleted {
        /// Its name in the journal.
        id: QueueId,
        /// Its name.
        name: ShortString,
    },
    /// A binding was made.
    Bound(Binding),
    /// A binding is gone.
    Unbound(Binding),
    /// A policy was set, perhaps in the place of another one.
    PolicySet {
        /// Whose it is.
        kind: PolicyKind,
        /// What was set.
        spec: PolicySpec,
    },
    /// A policy is gone.
    PolicyDeleted {
        /// Whose it was.
        kind: PolicyKind,
        /// Its name.
        name: ShortString,
    },
    /// Something was set for the virtual host as a whole: it is there, whether or not it has anything else.
    VhostSet(VhostSettings),
    /// The virtual host is gone with all that is in it, which is cleared away from now on, each thing with its own change. Until
    /// [`VhostCleared`](Self::VhostCleared) a start finds this in the place of its settings, and has the rest to clear away.
    VhostDeleted,
    /// Nothing is left of a virtual host that was deleted: its name is free.
    VhostCleared,
    /// A parameter was set (RabbitMQ's parameters of a virtual host, such as those of shovels), perhaps in the place of another one.
    ParameterSet {
        /// What it is for.
        component: ShortString,
        /// Its name, unique among those of its component.
        name: ShortString,
        /// What was set, as JSON.
        value: String,
    },
    /// A parameter is gone.
    ParameterDeleted {
        /// What it was for.
        component: ShortString,
        /// Its name.
        name: ShortString,
    },
}

/// Changes in the order in which one task made them.
pub type Changes = Vec<Change>;

/// Notes that the messages of a run entered queues: `placed` has their placements by their index in the run, and is emptied.
pub fn note_published(
    run: &mut [Publication<'_>],
    placed: &mut Vec<(usize, Placement)>,
    changes: &mut Changes,
) {
    if placed.is_empty() {
        return;
    }
    if !placed.is_sorted_by_key(|(index, _)| *index) {
        placed.sort_by_key(|(index, _)| *index);
    }
    for same in placed.chunk_by(|one, other| one.0 == other.0) {
        // A message that has a placement is kept.
        let Publication::Kept(message) = &run[same[0].0] else { continue };
        changes.push(Change::Publish {
            message: message.clone(),
            placements: same.iter().map(|(_, placement)| *placement).collect(),
            transient: false,
        });
    }
    placed.clear();
}
