//! A channel or a connection that ends: what it still holds, and what its client is told at last.

use std::{
    collections::{BTreeMap, VecDeque, hash_map},
    sync::Arc,
};

use crate::core::{
    placement::QueueId,
    queue::SharedQueue,
    source::{ConsumerRef, Source},
    window::Window,
};
use crate::protocol::{ShortString, channel, connection};

/// The end of a channel or connection.
pub(in crate::connection) struct Leaving {
    pub who: Who,
    /// What is still held; `None` before the first turn.
    pub left: Option<Left>,
    pub then: Then,
}

impl Leaving {
    /// An end that has not begun.
    pub(in crate::connection) fn new(who: Who, then: Then) -> Self {
        Self { who, left: None, then }
    }
}

/// Who ends.
#[derive(Debug, Clone, Copy)]
pub(in crate::connection) enum Who {
    Channel(u16),
    Connection,
}

/// What the client is told at the end.
pub(in crate::connection) enum Then {
    /// Nothing: it has gone.
    Nothing,
    /// It has closed a channel.
    AnswerChannelClose(u16),
    /// We close a channel.
    CloseChannel(u16, channel::Close),
    /// It has closed the connection.
    AnswerConnectionClose,
    /// We close the connection.
    CloseConnection(connection::Close),
}

/// What the channel or connection still holds.
#[derive(Default)]
pub(in crate::connection) struct Left {
    pub windows: VecDeque<Window>,
    pub consumers: VecDeque<hash_map::IntoValues<ShortString, ConsumerRef>>,
    /// Queues to which messages have returned. They are told to deliver them when all have.
    pub returned_to: BTreeMap<QueueId, Arc<dyn Source>>,
    /// Queues that have lost a consumer and may be deleted with their last one.
    pub abandoned: VecDeque<Arc<dyn Source>>,
    /// Exclusive queues, which are deleted with the connection.
    pub owned: Vec<Arc<SharedQueue>>,
}
