//! Consumers that are looked at again, because they may not be permitted any more.

use std::collections::VecDeque;

use crate::core::source::ConsumerRef;
use crate::protocol::ShortString;

/// Why consumers are looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::connection) enum Why {
    /// Their user's new token may not permit them.
    TokenRenewed,
    /// Their virtual host is deleted: all of them end.
    VhostDeleted,
}

/// A look at all consumers of a connection that is under way.
pub(in crate::connection) struct Revoking {
    pub why: Why,
    /// Channels whose consumers come next.
    pub channels: VecDeque<u16>,
    /// The channel at hand, and those of its consumers that were not looked at yet.
    pub consumers: (u16, Vec<(ShortString, ConsumerRef)>),
    /// How many were cancelled.
    pub cancelled: usize,
}
