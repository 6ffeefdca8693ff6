//! What memory is used for, and which share of the limit is for it.

use crate::limits::{
    MEMORY_ASSEMBLIES_PERCENT, MEMORY_DEDUPLICATION_PERCENT, MEMORY_FLOOR_BYTES, MEMORY_HISTORIES_PERCENT,
    MEMORY_INBOUND_PERCENT, MEMORY_OBSERVING_PERCENT, MEMORY_OUTBOXES_PERCENT, MEMORY_ROUTES_PERCENT,
    MEMORY_TOPOLOGY_PERCENT, MEMORY_TRANSACTIONS_PERCENT, MEMORY_UNACKED_PERCENT, MEMORY_WINDOWS_PERCENT,
};

/// What memory is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Messages that are published and what a queue needs to hold them. They have no share: the alarm is for them.
    Messages,
    /// Messages whose last byte has not come.
    Assemblies,
    /// What is kept of each delivery until it is settled, beside the message.
    Windows,
    /// The messages of these. They count as messages already, but cannot be paged out.
    Unacked,
    /// Routes that connections remember.
    Routes,
    /// What waits to be sent to clients.
    Outboxes,
    /// What has come from clients and cannot be handled yet.
    Inbound,
    /// Exchanges, queues, bindings and consumers, with their arguments; channels.
    Topology,
    /// Messages that `x-recent-history` exchanges keep.
    Histories,
    /// Publishes and settlements of transactions that are not committed.
    Transactions,
    /// What queues and exchanges have seen that take each message once.
    Deduplication,
    /// What is kept of single messages for who looks: the last ones that were dropped, traces, what is shown live.
    Observing,
}

/// Kinds beside messages, and messages.
pub(super) const KINDS: usize = 12;

impl Kind {
    /// All but messages, in order.
    pub const ALL: [Self; KINDS - 1] = [
        Self::Assemblies,
        Self::Windows,
        Self::Unacked,
        Self::Routes,
        Self::Outboxes,
        Self::Inbound,
        Self::Topology,
        Self::Histories,
        Self::Transactions,
        Self::Deduplication,
        Self::Observing,
    ];

    /// The share of the limit that may be used for it.
    pub(super) const fn share_percent(self) -> usize {
        match self {
            Self::Messages => 100,
            Self::Assemblies => MEMORY_ASSEMBLIES_PERCENT,
            Self::Windows => MEMORY_WINDOWS_PERCENT,
            Self::Unacked => MEMORY_UNACKED_PERCENT,
            Self::Routes => MEMORY_ROUTES_PERCENT,
            Self::Outboxes => MEMORY_OUTBOXES_PERCENT,
            Self::Inbound => MEMORY_INBOUND_PERCENT,
            Self::Topology => MEMORY_TOPOLOGY_PERCENT,
            Self::Histories => MEMORY_HISTORIES_PERCENT,
            Self::Transactions => MEMORY_TRANSACTIONS_PERCENT,
            Self::Deduplication => MEMORY_DEDUPLICATION_PERCENT,
            Self::Observing => MEMORY_OBSERVING_PERCENT,
        }
    }

    /// What a connection may have of it however much others use: enough to go on, slowly.
    pub(super) const fn floor_bytes(self) -> usize {
        match self {
            Self::Windows | Self::Unacked | Self::Routes | Self::Outboxes | Self::Inbound => {
                MEMORY_FLOOR_BYTES
            }
            _ => 0,
        }
    }

    /// Whether more than its share may be used while memory is plentiful: clients wait for it, and it comes back with them.
    pub(super) const fn may_exceed_share(self) -> bool {
        matches!(self, Self::Windows | Self::Unacked)
    }

    /// Whether its bytes are among those of messages.
    pub(super) const fn is_counted_elsewhere(self) -> bool {
        matches!(self, Self::Unacked)
    }

    /// What its share is for, as clients are told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Assemblies => "unfinished messages",
            Self::Windows | Self::Unacked => "unacknowledged messages",
            Self::Routes => "remembered routes",
            Self::Outboxes => "what waits to be sent",
            Self::Inbound => "incomplete frames",
            Self::Topology => "exchanges, queues, bindings, consumers and channels",
            Self::Histories => "recent-history exchanges",
            Self::Transactions => "uncommitted transactions",
            Self::Deduplication => "deduplication",
            Self::Observing => "traces and what is shown live",
        }
    }
}
