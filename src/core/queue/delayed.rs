//! The messages of a queue that wait for their time.
//!
//! They are kept by time, so that each costs the same however many there are. What the journal has on disk need not be in
//! memory: beyond a budget only a message's place and size stay.

use std::collections::{BTreeMap, VecDeque};

use super::line::Entry;
use crate::core::{
    clock::Millis,
    journal::{Attempts, Change, Changes, Placement, QueueId},
    message::{Message, Stage},
};
use crate::limits::{QUEUE_RESIDENT_BYTES_MAX, SPILL_BYTES_MAX};

/// See the module's text.
#[derive(Default)]
pub struct Delayed {
    waiting: BTreeMap<(Millis, u64), Waiting>,
    /// Those that came in memory, oldest first; some of them may have gone.
    resident: VecDeque<(Millis, u64)>,
    resident_bytes: usize,
}

/// A message that waits, without its place.
struct Waiting {
    /// `None` if it is on disk alone.
    message: Option<Message>,
    attempts: Attempts,
    redelivered: bool,
    journaled: bool,
}

/// A message whose time has come.
pub enum Due {
    /// It is here.
    Entry(Entry),
    /// It must be read.
    OnDisk(Stored),
}

/// What is known of a message that is on disk alone. The journal need not know how often it came back: a message that was
/// written only to make room may have come back before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the queue.
    pub position: u64,
    /// How often it was handed out and came back.
    pub attempts: Attempts,
    /// A delivery of it must say `redelivered`.
    pub redelivered: bool,
}

impl Delayed {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of those in memory.
    #[inline]
    pub fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }

    /// When the first of them is due.
    #[inline]
    pub fn first_due(&self) -> Option<Millis> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes in a message that waits until `due`.
    pub fn insert(&mut self, due: Millis, entry: Entry) {
        let Entry { message, position, attempts, redelivered, journaled } = entry;
        self.resident_bytes += message.size_bytes();
        let waiting = Waiting { message: Some(message), attempts, redelivered, journaled };
        self.waiting.insert((due, position), waiting);
        self.resident.push_back((due, position));
        self.page_out(QUEUE_RESIDENT_BYTES_MAX);
    }

    /// Takes the first one out that is due by `now`.
    pub fn pop_due(&mut self, now: Millis) -> Option<Due> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now)?;
        let ((_, position), waiting) = first.remove_entry();
        Some(self.taken(position, waiting))
    }

    fn taken(&mut self, position: u64, waiting: Waiting) -> Due {
        let Waiting { message, attempts, redelivered, journaled } = waiting;
        if self.resident.len() > 2 * self.waiting.len() + 16 {
            // Most of them have gone.
            self.resident.retain(|key| self.waiting.contains_key(key));
            self.resident.shrink_to_fit();
        }
        match message {
            None => Due::OnDisk(Stored { position, attempts, redelivered }),
            Some(message) => {
                self.resident_bytes -= message.size_bytes();
                Due::Entry(Entry { message, position, attempts, redelivered, journaled })
            }
        }
    }

    /// Lets go of the oldest that are on disk, until no more than `bytes_max` are in memory.
    pub fn page_out(&mut self, bytes_max: usize) {
        while self.resident_bytes > bytes_max
            && let Some(key) = self.resident.front()
        {
            if let Some(waiting) = self.waiting.get_mut(key)
                && let Some(message) = &waiting.message
            {
                if !waiting.journaled || message.stage() != Stage::Written {
                    return;
                }
                self.resident_bytes -= message.size_bytes();
                waiting.message = None;
            }
            self.resident.pop_front();
        }
    }

    /// Lets go of everything that is on disk. Of what is not there yet a part is given to the journal; true when there is
    /// more of it.
    pub fn page_out_all(&mut self, queue: QueueId, changes: &mut Changes) -> bool {
        self.page_out(0);
        let mut spilled = 0;
        for (&(_, position), waiting) in &mut self.waiting {
            let Some(message) = waiting.message.as_mut().filter(|_| !waiting.journaled) else { continue };
            // The journal's notes in a message are about one place: a queue that spills has a copy of its own.
            *message = Message::new(message.view(), message.published_at());
            waiting.journaled = true;
            changes.push(Change::Publish {
                message: message.clone(),
                placements: [Placement { queue, position }].into_iter().collect(),
                transient: true,
            });
            spilled += message.size_bytes();
            if spilled >= SPILL_BYTES_MAX {
                return true;
            }
        }
        false
    }

    /// Those that wait, first due first: when, their places, and the messages that are in memory.
    pub fn iter(&self) -> impl Iterator<Item = (Millis, u64, Option<&Message>)> {
        self.waiting.iter().map(|((due, position), waiting)| (*due, *position, waiting.message.as_ref()))
    }

    /// Takes one out that is not due yet.
    pub fn remove(&mut self, due: Millis, position: u64) -> Option<Due> {
        let waiting = self.waiting.remove(&(due, position))?;
        Some(self.taken(position, waiting))
    }

    /// Tells the journal that all of them have left `queue` for good.
    pub fn settle_all(self, queue: QueueId, changes: &mut Changes) {
        for ((_, position), Waiting { message, journaled, .. }) in self.waiting {
            if journaled {
                let message = message.filter(|message| message.stage() != Stage::Written);
                changes.push(Change::Settle { placement: Placement { queue, position }, message });
            }
        }
    }
}
