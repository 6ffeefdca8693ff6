//! How messages come back that are on disk alone, and what a queue is told of them when the broker starts.

use crate::core::{change::Attempts, clock::Millis, message::Message, placement::QueueId};

/// A message that a pager has read.
#[derive(Debug)]
pub struct Loaded {
    /// Its position in the queue.
    pub position: u64,
    /// How often it came back to the queue.
    pub attempts: Attempts,
    /// It waits until then before it is delivered again; zero: it does not wait.
    pub due: Millis,
    /// It may have been delivered before the broker was last started.
    pub redelivered: bool,
    /// The message.
    pub message: Message,
}

/// What a pager gave for a range of positions.
#[derive(Debug, Default)]
pub struct Page {
    /// Messages that are there, in order.
    pub messages: Vec<Loaded>,
    /// Where to go on, when there were more than one page holds.
    pub rest_from: Option<u64>,
}

/// Reads back messages that only the journal has.
pub trait Pager: Send + Sync {
    /// The messages of a queue from `first` to `last`, both included: at least one, if there is one, and no more than
    /// `bytes_max` if that is more than one. `None` when they cannot be read now: the broker is about to stop.
    fn load(&self, queue: QueueId, first: u64, last: u64, bytes_max: usize) -> Option<Page>;
}

/// What a journal remembers of a durable queue when the broker starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredQueue {
    /// Its name in the journal.
    pub id: QueueId,
    /// The counter that the next message's position gets: higher than those of all lines.
    pub next_position: u64,
    /// Where messages are, in the order of their positions and without overlap. None spans two lines.
    pub ranges: Vec<RestoredRange>,
}

/// Messages of a queue that are on disk: how many lie between two positions, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoredRange {
    /// First position.
    pub first: u64,
    /// Last position.
    pub last: u64,
    /// How many messages there are; at least one.
    pub count: u32,
    /// About how many bytes they take.
    pub bytes: u64,
}
