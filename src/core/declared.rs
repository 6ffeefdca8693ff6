//! What clients and operators declare: exchanges, queues, bindings, policies, settings of virtual hosts. Values, as they were said;
//! what they lead to is known above.

use crate::core::{ConnectionId, access::Limits, routing::ExchangeKind};
use crate::limits::QUORUM_DELIVERY_LIMIT_DEFAULT;
use crate::protocol::{FieldTable, FieldValue, ShortString};

/// The queue of each virtual host that holds what was published with a delay.
pub const DELAY_QUEUE: &str = "amq.delayed";

/// What `x-queue-type` chooses. Both types are the same queue here; they differ in what may be asked of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueType {
    /// The one that is meant where none is named.
    Classic,
    /// Durable, shared, and with a limit of deliveries.
    Quorum,
}

impl QueueType {
    /// All that there are, each at its number (`as usize`).
    pub const ALL: [Self; 2] = [Self::Classic, Self::Quorum];

    /// By its wire name.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().as_bytes() == name)
    }

    /// Its wire name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }

    /// RabbitMQ's name for it in error texts, where it shows the module.
    pub fn module_name(self) -> &'static str {
        match self {
            Self::Classic => "rabbit_classic_queue",
            Self::Quorum => "rabbit_quorum_queue",
        }
    }

    /// The type that arguments ask for: classic if they name none. Whether they name one that [is known](Self::is_known) has been
    /// looked at before, when they were declared and when they were read back.
    pub fn of(arguments: &FieldTable) -> Self {
        let named = arguments.get("x-queue-type").and_then(FieldValue::as_str_bytes);
        named.and_then(Self::parse).unwrap_or(Self::Classic)
    }

    /// Whether arguments name a type that there is, or none.
    pub fn is_known(arguments: &FieldTable) -> bool {
        let named = arguments.get("x-queue-type");
        named.is_none_or(|named| named.as_str_bytes().and_then(Self::parse).is_some())
    }

    /// Failed deliveries of a message at most, where nothing else is said.
    pub fn delivery_limit(self) -> Option<u32> {
        match self {
            Self::Classic => None,
            Self::Quorum => Some(QUORUM_DELIVERY_LIMIT_DEFAULT),
        }
    }
}

/// Messages that survive a restart where they are, or whose deduplication keys do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// None: it does not survive one itself.
    None,
    /// Those that were published as persistent.
    Persistent,
    /// All, whatever they were published as (RabbitMQ: quorum queues).
    All,
}

impl Keeps {
    /// What a durable or transient queue or exchange keeps.
    pub fn of(durable: bool) -> Self {
        if durable { Self::Persistent } else { Self::None }
    }

    /// Whether a message is kept that was published as persistent, or not.
    #[inline]
    pub fn has(self, persistent: bool) -> bool {
        match self {
            Self::None => false,
            Self::Persistent => persistent,
            Self::All => true,
        }
    }
}

/// What `queue.declare` fixed for good.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSpec {
    /// Unique in its virtual host.
    pub name: ShortString,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// The one connection that may use it, and with which it goes.
    pub owner: Option<ConnectionId>,
    /// Arguments as declared. Some may have changed since: [`SharedQueue::arguments`](crate::core::queue::SharedQueue::arguments) has
    /// them as they are.
    pub arguments: FieldTable,
}

impl QueueSpec {
    /// `x-single-active-consumer`.
    pub fn single_active_consumer(&self) -> bool {
        matches!(self.arguments.get("x-single-active-consumer"), Some(FieldValue::Bool(true)))
    }

    /// Whether `x-queue-type` is `quorum`.
    pub fn is_quorum(&self) -> bool {
        self.queue_type() == QueueType::Quorum
    }

    /// Which of its messages survive a restart.
    pub fn keeps(&self) -> Keeps {
        if self.durable && self.is_quorum() { Keeps::All } else { Keeps::of(self.durable) }
    }

    /// Whether it holds what was published with a delay to its virtual host.
    pub fn is_delay_queue(&self) -> bool {
        self.name == *DELAY_QUEUE.as_bytes()
    }

    /// The queue that holds what is published with a delay: durable, and for the broker alone.
    pub fn of_delays() -> Self {
        Self {
            name: ShortString::from_static(DELAY_QUEUE),
            durable: true,
            auto_delete: false,
            owner: None,
            arguments: FieldTable::new(),
        }
    }

    /// `x-queue-type`.
    pub fn queue_type(&self) -> QueueType {
        QueueType::of(&self.arguments)
    }

    /// `x-max-priority`: the highest priority that is told apart, if the queue heeds any.
    pub fn max_priority(&self) -> Option<u8> {
        self.arguments.get("x-max-priority")?.as_i64()?.try_into().ok()
    }
}

/// What `exchange.declare` fixed.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeSpec {
    /// Unique in its virtual host.
    pub name: ShortString,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding.
    pub auto_delete: bool,
    /// Clients may not publish to it.
    pub internal: bool,
    /// Arguments as declared.
    pub arguments: FieldTable,
}

impl ExchangeSpec {
    /// The kind that it routes as: not its type when that is `x-delayed-message`.
    pub fn routes_as(&self) -> ExchangeKind {
        self.kind.routes_as(&self.arguments)
    }

    /// The argument `alternate-exchange`: where messages go that match no binding.
    pub fn alternate(&self) -> Option<&[u8]> {
        self.arguments.get("alternate-exchange").and_then(|value| value.as_str_bytes())
    }
}

/// Where a binding leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// A queue by name.
    Queue(ShortString),
    /// An exchange by name.
    Exchange(ShortString),
}

/// A binding; two are the same when all four parts are.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// The exchange that it reads from.
    pub source: ShortString,
    /// Where it leads.
    pub destination: Destination,
    /// `routing-key`; its meaning is the exchange's.
    pub key: ShortString,
    /// Arguments.
    pub arguments: FieldTable,
}

/// What a policy says, by its keys: RabbitMQ's names, and the values of JSON as those of field tables.
pub type Definition = FieldTable;

/// Whose policies. An object has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyKind {
    /// Those of a virtual host's users (`rabbitmqctl set_policy`).
    User,
    /// Those of the broker's operator, which limit what users ask for (`rabbitmqctl set_operator_policy`).
    Operator,
}

/// What a policy may apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApplyTo {
    /// Queues and exchanges.
    All,
    /// Exchanges.
    Exchanges,
    /// Queues of any type.
    Queues,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Streams, of which there are none.
    Streams,
}

/// What a policy is looked up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// An exchange.
    Exchange,
    /// A queue.
    Queue(QueueType),
}

/// A policy as it is set and shown.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySpec {
    /// Unique among those of its kind in its virtual host.
    pub name: ShortString,
    /// A regular expression that is looked for anywhere in an object's name.
    pub pattern: String,
    /// The objects that it may apply to.
    pub apply_to: ApplyTo,
    /// The highest one wins.
    pub priority: i64,
    /// What it says.
    pub definition: Definition,
}

impl ApplyTo {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::All, Self::Exchanges, Self::Queues, Self::ClassicQueues, Self::QuorumQueues, Self::Streams];

    /// By the word of `apply-to`.
    pub fn parse(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name().as_bytes() == word)
    }

    /// The word of `apply-to`.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
        }
    }

    /// Whether it may apply to such an object.
    pub fn covers(self, subject: Subject) -> bool {
        match self {
            Self::All => true,
            Self::Exchanges => subject == Subject::Exchange,
            Self::Queues => matches!(subject, Subject::Queue(_)),
            Self::ClassicQueues => subject == Subject::Queue(QueueType::Classic),
            Self::QuorumQueues => subject == Subject::Queue(QueueType::Quorum),
            Self::Streams => false,
        }
    }
}

/// What is set for a virtual host as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VhostSettings {
    /// For people.
    pub description: String,
    /// For people and programs; they have no meaning here.
    pub tags: Vec<ShortString>,
    /// The type of queues that are declared without one, as far as their other properties allow it (RabbitMQ's metadata
    /// `default_queue_type`).
    pub default_queue_type: Option<QueueType>,
    /// What is published and delivered is also sent to `amq.rabbitmq.trace` (RabbitMQ's `tracing`).
    pub tracing: bool,
    /// Its limits.
    pub limits: Limits,
}
