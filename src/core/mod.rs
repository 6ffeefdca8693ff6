//! The rules of AMQP: messages, routing, queues, channels. Pure: no tokio, no I/O, no clock, no randomness; time is
//! given in ([`clock::Clock`]) where a rule needs it. Locks are the only thing here that knows of threads: a queue and an outbox
//! are shared by nature, and each is one short mutex. Lock order: queue, then outbox; never two of a kind.

pub mod access;
pub mod by_channel;
pub mod change;
pub mod client;
pub mod clock;
pub mod commit;
pub mod confirms;
pub mod counts;
pub mod dead_letter;
pub mod declared;
pub mod dedup;
pub mod delay;
pub mod effects;
pub mod entry;
pub mod error;
pub mod journal;
pub mod memory;
pub mod message;
pub mod moved_in;
pub mod numbers;
pub mod observing;
pub mod outbox;
pub mod outgoing;
pub mod overdue;
pub mod pager;
pub mod pattern;
pub mod placement;
pub mod policy;
pub mod queue;
pub mod redrive;
pub mod rewrite;
pub mod routing;
pub(crate) mod seldom;
pub mod source;
pub mod starved;
pub mod topology;
pub mod turn;
pub mod wakes;
pub mod window;

/// A connection, for as long as the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);
