//! A message in a queue, with its position and what became of it there.

use std::ops::{AddAssign, SubAssign};

use crate::core::{
    change::{Attempts, Change, Changes},
    message::{Layout, Message, Stage},
    pager::Loaded,
    placement::{Placement, QueueId},
};
use crate::protocol::{Properties, ShortString};

/// A message in a queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The message, shared with other queues that hold it.
    pub message: Message,
    /// Its position in this queue: strictly increasing as messages are published.
    pub position: u64,
    /// How often it was handed out and came back.
    pub attempts: Attempts,
    /// A delivery of it must say `redelivered`.
    pub redelivered: bool,
    /// The journal knows of it, and has to be told when it goes.
    pub journaled: bool,
}

/// A message as a consumer is to see it, where that is not as it came.
pub type Shown = (Layout, Vec<u8>);

/// What messages take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Bytes of memory, for those that are there.
    pub bytes: usize,
    /// Bytes of their bodies.
    pub bodies: usize,
}

/// What stands in lines.
#[derive(Debug, Clone, Copy, Default)]
pub struct Total {
    /// How many there are.
    pub count: usize,
    /// Those that are in memory.
    pub resident: Size,
    /// Those that are on disk alone.
    pub paged: Size,
    /// What they take beside the messages.
    pub capacity_bytes: usize,
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.bodies += other.bodies;
    }
}

impl SubAssign for Size {
    fn sub_assign(&mut self, other: Self) {
        self.bytes -= other.bytes;
        self.bodies -= other.bodies;
    }
}

impl Entry {
    /// What it takes.
    #[inline]
    pub fn size(&self) -> Size {
        let bodies = self.message.view().layout.body_bytes as usize;
        Size { bytes: self.message.size_bytes(), bodies }
    }

    /// Its name for the journal, if that knows of it.
    #[inline]
    pub fn placement(&self, queue: QueueId) -> Option<Placement> {
        self.journaled.then_some(Placement { queue, position: self.position })
    }

    /// A number from 0 to 1 that looks random and is the same each time: other after each return.
    pub(super) fn chance(&self) -> f64 {
        let seed =
            self.position ^ self.message.published_at() << 20 ^ u64::from(self.attempts.returned) << 48;
        // The finish of SplitMix64.
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The message with `x-delivery-count` and `x-acquired-count` (RabbitMQ 4.3). None if its properties cannot be read.
    pub fn with_attempts(&self) -> Option<Shown> {
        let view = self.message.view();
        let mut properties = Properties::decode(view.properties()).ok()?;
        let headers = properties.headers.get_or_insert_default();
        headers.insert(ShortString::from_static("x-delivery-count"), i64::from(self.attempts.failed));
        headers.insert(ShortString::from_static("x-acquired-count"), i64::from(self.attempts.returned));
        Some(view.with_properties(&properties))
    }

    /// The message has left `queue` for good.
    #[inline]
    pub fn settle(self, queue: QueueId, changes: &mut Changes) {
        if self.journaled {
            let placement = Placement { queue, position: self.position };
            let message = Some(self.message).filter(|message| message.stage() != Stage::Written);
            changes.push(Change::Settle { placement, message });
        }
    }
}

impl From<Loaded> for Entry {
    fn from(loaded: Loaded) -> Self {
        Self {
            redelivered: loaded.redelivered || loaded.attempts.returned > 0,
            message: loaded.message,
            position: loaded.position,
            attempts: loaded.attempts,
            journaled: true,
        }
    }
}
