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
    /// Clients.
    Connections,
    /// Their channels.
    Channels,
    /// Their consumers.
    Consumers,
    /// Messages that are moved.
    Redrives,
    /// None of them.
    Other,
}

impl Section {
    /// Those in the list, in its order.
    pub const ALL: [Self; 7] = [
        Self::Overview,
        Self::Queues,
        Self::Exchanges,
        Self::Connections,
        Self::Channels,
        Self::Consumers,
        Self::Redrives,
    ];

    /// Its name and its address.
    pub fn shown(self) -> (&'static str, &'static str) {
        match self {
            Self::Overview => ("Overview", "/"),
            Self::Queues => ("Queues", "/queues"),
            Self::Exchanges => ("Exchanges", "/exchanges"),
            Self::Connections => ("Connections", "/connections"),
            Self::Channels => ("Channels", "/channels"),
            Self::Consumers => ("Consumers", "/consumers"),
            Self::Redrives => ("Redrives", "/redrives"),
            Self::Other => ("", ""),
        }
    }

    /// Whether somebody sees it in the list.
    pub fn is_for(self, frame: &Frame) -> bool {
        match self {
            Self::Other => false,
            Self::Overview
            | Self::Queues
            | Self::Exchanges
            | Self::Connections
            | Self::Channels
            | Self::Consumers
            | Self::Redrives => !frame.user.is_empty(),
        }
    }
}
