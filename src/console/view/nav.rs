//! The pages that can be reached from each page, and who sees them.

use super::Frame;

/// A page in the list of pages, or what belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What goes on in all, and what needs attention first.
    Overview,
    /// Queues and their messages.
    Queues,
    /// Exchanges and bindings.
    Exchanges,
    /// Clients, their channels and consumers.
    Connections,
    /// Messages that are moved.
    Redrives,
    /// Messages that wait for their time.
    Delayed,
    /// Messages that were dropped.
    Drops,
    /// The history of single messages.
    Traces,
    /// The program's log and its audit.
    Log,
    /// Virtual hosts.
    Vhosts,
    /// Users and what they may do.
    Users,
    /// Policies.
    Policies,
    /// Everything that is declared and set, as a document.
    Definitions,
    /// None of them.
    Other,
}

impl Section {
    /// Those in the list, in its order.
    pub const ALL: [Self; 13] = [
        Self::Overview,
        Self::Queues,
        Self::Exchanges,
        Self::Connections,
        Self::Redrives,
        Self::Delayed,
        Self::Drops,
        Self::Traces,
        Self::Log,
        Self::Vhosts,
        Self::Users,
        Self::Policies,
        Self::Definitions,
    ];

    /// Its name and its address.
    pub fn shown(self) -> (&'static str, &'static str) {
        match self {
            Self::Overview => ("Overview", "/"),
            Self::Queues => ("Queues", "/queues"),
            Self::Exchanges => ("Exchanges", "/exchanges"),
            Self::Connections => ("Connections", "/connections"),
            Self::Redrives => ("Redrives", "/redrives"),
            Self::Delayed => ("Delayed", "/delayed"),
            Self::Drops => ("Drops", "/drops"),
            Self::Traces => ("Traces", "/traces"),
            Self::Log => ("Log", "/log"),
            Self::Vhosts => ("Virtual hosts", "/vhosts"),
            Self::Users => ("Users", "/users"),
            Self::Policies => ("Policies", "/policies"),
            Self::Definitions => ("Definitions", "/definitions"),
            Self::Other => ("", ""),
        }
    }

    /// Whether somebody sees it in the list.
    pub fn is_for(self, frame: &Frame) -> bool {
        match self {
            Self::Other => false,
            Self::Users | Self::Definitions => frame.is_administrator,
            Self::Vhosts | Self::Log => frame.is_monitor,
            Self::Policies | Self::Traces => frame.is_policymaker || frame.is_monitor,
            Self::Overview
            | Self::Queues
            | Self::Exchanges
            | Self::Connections
            | Self::Redrives
            | Self::Delayed
            | Self::Drops => !frame.user.is_empty(),
        }
    }
}
