//! What the arguments of a declaration fix for good.

use super::{DELAY_QUEUE, QueueSpec};
use crate::protocol::{FieldTable, FieldValue, ShortString};

/// Failed deliveries of a message in a quorum queue that asks for no other limit (RabbitMQ 4).
pub(super) const QUORUM_DELIVERY_LIMIT: u32 = 20;

/// What `x-queue-type` chooses. Both types are the same queue here; they differ in what may be asked of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueType {
    /// The one that is meant where none is named.
    Classic,
    /// Durable, shared, and with a limit of deliveries.
    Quorum,
}

impl QueueType {
    /// By its wire name.
    pub fn parse(name: &[u8]) -> Option<Self> {
        [Self::Classic, Self::Quorum].into_iter().find(|kind| kind.name().as_bytes() == name)
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

    /// The type that arguments ask for.
    pub fn of(arguments: &FieldTable) -> Self {
        let named = arguments.get("x-queue-type").and_then(FieldValue::as_str_bytes);
        named.and_then(Self::parse).unwrap_or(Self::Classic)
    }

    /// Failed deliveries of a message at most, where nothing else is said.
    pub fn delivery_limit(self) -> Option<u32> {
        match self {
            Self::Classic => None,
            Self::Quorum => Some(QUORUM_DELIVERY_LIMIT),
        }
    }
}

impl QueueSpec {
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
