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
    /// What is left to be done, once it has begun.
    pub left: Option<Left>,
    pub then: Then,
}

impl Leaving {
    /// One that has not begun.
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

/// What has not been given back yet.
#[derive(Default)]
pub(in crate::connection) struct Left {
    pub windows: VecDeque<Window>,
    pub consumers: VecDeque<hash_map::IntoValues<ShortString, ConsumerRef>>,
    /// Queues to whose consumers nothing has been given yet of what came back.
    pub returned_to: BTreeMap<QueueId, Arc<dyn Source>>,
    /// Queues that may go with their last consumer.
    pub abandoned: VecDeque<Arc<dyn Source>>,
    /// Queues that go with the connection.
    pub owned: Vec<Arc<SharedQueue>>,
}
