//! The exchanges, queues and bindings of one virtual host, and the way from a routing key to queues.
//!
//! One structure behind one lock in the shell: declarations change it, routing reads it. A publisher asks it once
//! for each new key and remembers the answer with the [`Stamp`]s that it depends on, so publishing itself takes no lock here.

mod arguments;
mod bindings;
mod changing;
mod counted;
mod deduplicators;
mod emptying;
mod equivalence;
mod exchanges;
mod history;
mod parameters;
mod policies;
mod queues;
mod remains;
mod replay;
mod restore;
mod route;
mod spelling;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, OnceLock, Weak, atomic::AtomicU64},
};

use foldhash::quality::RandomState;
use parking_lot::Mutex;

pub use changing::{ArgumentChanges, SettingsChange, Unchangeable};
pub use deduplicators::DeduplicatorChange;
pub use emptying::Emptied;
pub use exchanges::{ExchangeDeclaration, exchange_kind, refuse_default_exchange};
pub use queues::QueueDeclaration;
pub use replay::Replayed;
pub use restore::Unrestored;
pub use route::Route;
pub use spelling::{Declared, Unknown};

use crate::core::{
    change::TopologyChange,
    counts::{ExchangeTally, QueueChurn},
    declared::{Destination, ExchangeSpec, VhostSettings},
    dedup::Deduplicator,
    error::{AmqpError, Named, precondition_failed},
    memory::{Held, Kind, entity_bytes},
    pager::RestoredQueue,
    policy::Policies,
    queue::{SharedQueue, Surroundings},
    routing::{ExchangeKind, Router},
};
use crate::limits::BINDINGS_CLEARED_AT_ONCE_MAX;
use crate::protocol::{FieldTable, ShortString};
use bindings::BindingId;
use counted::Past;
use history::History;
use remains::Remains;

/// Counts the changes of one exchange's bindings or of one queue's existence.
pub type Stamp = Arc<AtomicU64>;

/// Bindings that lead to one destination, with the exchange that each begins at.
type Sources = griddle::HashSet<(ShortString, Arc<BindingId>), RandomState>;

/// The exchanges, queues, bindings and policies of one virtual host.
pub struct Topology {
    vhost: ShortString,
    surroundings: Arc<Surroundings>,
    exchanges: HashMap<ShortString, Exchange, RandomState>,
    queues: HashMap<ShortString, Arc<SharedQueue>, RandomState>,
    /// What was published with a delay; no client can name it.
    delay_queue: Option<Arc<SharedQueue>>,
    /// What durable queues and exchanges have seen; no client can name it.
    seen_queue: Option<RestoredQueue>,
    /// Bindings by where they lead, each with its source.
    leading_to: HashMap<Destination, Sources, RandomState>,
    /// What all exchanges and bindings take.
    routing_held: Held,
    remains: Remains,
    /// Bindings of a deleted queue or exchange that a change takes out at once; the rest is left for [`Self::clear_away`].
    cleared_at_once: usize,
    /// Counts all changes that the stamps of exchanges and queues count.
    stamp: Stamp,
    policies: Policies,
    settings: VhostSettings,
    /// The virtual host was deleted: what it has is to be cleared away.
    is_deleted: bool,
    /// RabbitMQ's parameters by component and name: their JSON.
    parameters: BTreeMap<(ShortString, ShortString), String>,
    /// What the journal has not been told yet.
    changes: Vec<TopologyChange>,
    /// Deduplicators that came and went since they were last asked for.
    deduplicators: Vec<DeduplicatorChange>,
    /// What exchanges and queues counted that are gone, if any are.
    past: Option<Box<Past>>,
    churn: QueueChurn,
}

/// An exchange. Small: every virtual host has seven of them, most of which nobody uses.
struct Exchange {
    spec: ExchangeSpec,
    /// What is bound to it. None if every virtual host has it, and nothing was ever bound to it here.
    bindings: Option<Box<Bindings>>,
    /// What few have.
    extras: Option<Box<Extras>>,
    /// What has come through it, if anything has.
    tally: OnceLock<Arc<ExchangeTally>>,
}

/// The bindings of an exchange.
struct Bindings {
    router: Router<Destination>,
    by_id: griddle::HashMap<Arc<BindingId>, Bound, RandomState>,
    /// Counts their changes, and those of the alternate exchange. Where there are none yet, the topology's one counts.
    stamp: Stamp,
    /// The route of all its messages, if it is the same for all, as long as a channel remembers it.
    common_route: Mutex<Weak<Route>>,
}

/// What few exchanges have.
#[derive(Default)]
struct Extras {
    /// The alternate exchange that a policy gives it.
    policy_alternate: Option<ShortString>,
    /// The last messages, of an exchange that keeps them for queues that are bound later.
    history: Option<Arc<History>>,
    /// It takes each message once.
    deduplicator: Option<Arc<Deduplicator>>,
}

/// What an exchange knows of a binding beside its identity.
struct Bound {
    arguments: FieldTable,
    /// Both its ends are.
    durable: bool,
}

impl Topology {
    /// A virtual host with the exchanges that every one has (AMQP 3.1.3.1; RabbitMQ adds `amq.match` and
    /// `amq.rabbitmq.trace`).
    pub fn new(vhost: ShortString, surroundings: Arc<Surroundings>) -> Self {
        let routing_held = Held::new(&surroundings.memory, Kind::Topology);
        let mut topology = Self {
            vhost,
            surroundings,
            routing_held,
            exchanges: HashMap::default(),
            queues: HashMap::default(),
            delay_queue: None,
            seen_queue: None,
            leading_to: HashMap::default(),
            remains: Remains::default(),
            cleared_at_once: BINDINGS_CLEARED_AT_ONCE_MAX,
            stamp: Stamp::default(),
            policies: Policies::default(),
            settings: VhostSettings::default(),
            is_deleted: false,
            parameters: BTreeMap::new(),
            changes: Vec::new(),
            deduplicators: Vec::new(),
            past: None,
            churn: QueueChurn::default(),
        };
        topology.exchanges.reserve(PREDECLARED.len());
        for spec in &*PREDECLARED {
            topology.insert_unused(spec.clone());
        }
        topology.changes.clear(); // every virtual host has these
        topology
    }

    /// What changed since the last call and must outlive the process, in order.
    pub fn take_changes(&mut self) -> Vec<TopologyChange> {
        std::mem::take(&mut self.changes)
    }

    /// Notes a change of the virtual host as a whole for the journal.
    pub fn note(&mut self, change: TopologyChange) {
        self.changes.push(change);
    }

    /// A queue by name.
    pub fn queue(&self, name: &[u8]) -> Option<&Arc<SharedQueue>> {
        self.queues.get(name)
    }

    /// The queue that holds what was published with a delay, if there was any.
    pub fn delay_queue(&self) -> Option<&Arc<SharedQueue>> {
        self.delay_queue.as_ref()
    }

    /// Whether there is an exchange of that name.
    pub fn has_exchange(&self, name: &[u8]) -> bool {
        self.exchanges.contains_key(name)
    }

    /// All queues, in no order.
    pub fn queues(&self) -> impl Iterator<Item = &Arc<SharedQueue>> {
        self.queues.values().chain(&self.delay_queue)
    }

    /// The queues that clients can name, in no order.
    pub fn named_queues(&self) -> impl ExactSizeIterator<Item = &Arc<SharedQueue>> {
        self.queues.values()
    }

    /// All exchanges, in no order.
    pub fn exchanges(&self) -> impl Iterator<Item = &ExchangeSpec> {
        self.exchanges.values().map(|exchange| &exchange.spec)
    }

    /// Whether there is memory for one thing more with such arguments.
    fn check_memory(&self, arguments: &FieldTable) -> Result<(), AmqpError> {
        let room = self.surroundings.memory.may_have(Kind::Topology, entity_bytes(arguments));
        room.map_err(|exceeded| precondition_failed(exceeded.to_string()))
    }

    fn named_queue<'a>(&'a self, name: &'a [u8]) -> Named<'a> {
        Named { kind: "queue", name, vhost: &self.vhost }
    }

    fn named_exchange<'a>(&'a self, name: &'a [u8]) -> Named<'a> {
        Named { kind: "exchange", name, vhost: &self.vhost }
    }
}

/// The exchanges that every virtual host has. All of them share the names.
static PREDECLARED: LazyLock<[ExchangeSpec; 7]> = LazyLock::new(|| {
    [
        ("", ExchangeKind::Direct, false),
        ("amq.direct", ExchangeKind::Direct, false),
        ("amq.fanout", ExchangeKind::Fanout, false),
        ("amq.topic", ExchangeKind::Topic, false),
        ("amq.headers", ExchangeKind::Headers, false),
        ("amq.match", ExchangeKind::Headers, false),
        ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
    ]
    .map(|(name, kind, internal)| ExchangeSpec {
        name: ShortString::from_static(name),
        kind,
        durable: true,
        auto_delete: false,
        internal,
        arguments: FieldTable::new(),
    })
});

#[cfg(test)]
mod tests;
