//! The messages of a queue that wait for their time.
//!
//! They are kept by time, so that each costs the same however many there are. What the journal has on disk need not be in
//! memory: beyond a budget only a message's position and size stay.

use std::collections::{BTreeMap, VecDeque};

use crate::core::{
    change::{Attempts, Change, Changes},
    clock::Millis,
    entry::Entry,
    message::{Message, Stage},
    placement::{Placement, QueueId},
    seldom::Empty,
};
use crate::limits::{PAGED_OUT_AT_ONCE_MAX, QUEUE_RESIDENT_BYTES_MAX, SPILL_BYTES_MAX};

/// The messages of a queue that wait for their time, by time.
#[derive(Default)]
pub struct Delayed {
    waiting: BTreeMap<(Millis, u64), Waiting>,
    /// Those that came in memory, oldest first; some of them have gone.
    resident: VecDeque<(Millis, u64)>,
    resident_count: usize,
    resident_bytes: usize,
    /// So many of the first in memory are known to the journal.
    journaled_first: usize,
}

impl Empty for Delayed {
    const EMPTY: &'static Self = &Self {
        waiting: BTreeMap::new(),
        resident: VecDeque::new(),
        resident_count: 0,
        resident_bytes: 0,
        journaled_first: 0,
    };
}

/// A message that waits, without its position.
struct Waiting {
    /// `None` if it is on disk alone.
    message: Option<Message>,
    attempts: Attempts,
    redelivered: bool,
    journaled: bool,
}

impl Waiting {
    fn entry(&self, position: u64) -> Option<Entry> {
        let Self { message, attempts, redelivered, journaled } = self;
        let (attempts, redelivered, journaled) = (*attempts, *redelivered, *journaled);
        message.clone().map(|message| Entry { message, position, attempts, redelivered, journaled })
    }
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
    /// Its position in the queue.
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

    /// Those in memory.
    #[cfg(test)]
    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.waiting.values().filter_map(|waiting| waiting.message.as_ref())
    }

    /// Bytes of those in memory.
    #[cfg(test)]
    pub(super) fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }

    /// Bytes that the room for entries takes, beside the messages.
    #[inline]
    pub fn capacity_bytes(&self) -> usize {
        self.waiting.len() * WAITING_BYTES + self.resident.capacity() * size_of::<(Millis, u64)>()
    }

    /// When the first of them is due.
    #[inline]
    pub fn first_due(&self) -> Option<Millis> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes in a message that waits until `due`.
    pub fn insert(&mut self, due: Millis, entry: Entry) {
        let Entry { message, position, attempts, redelivered, journaled } = entry;
        self.resident_count += 1;
        self.resident_bytes += message.size_bytes();
        let waiting = Waiting { message: Some(message), attempts, redelivered, journaled };
        self.waiting.insert((due, position), waiting);
        self.resident.push_back((due, position));
        if self.resident_bytes > QUEUE_RESIDENT_BYTES_MAX {
            self.page_out(QUEUE_RESIDENT_BYTES_MAX, &mut Vec::new());
        }
    }

    /// Takes the first one out that is due by `now`.
    pub fn pop_due(&mut self, now: Millis) -> Option<Due> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now)?;
        let ((_, position), waiting) = first.remove_entry();
        Some(self.taken(position, waiting))
    }

    /// Puts back what was taken out and is not wanted yet.
    pub fn put_back(&mut self, due: Millis, what: Due) {
        match what {
            Due::Entry(entry) => self.insert(due, entry),
            Due::OnDisk(Stored { position, attempts, redelivered }) => {
                let waiting = Waiting { message: None, attempts, redelivered, journaled: true };
                self.waiting.insert((due, position), waiting);
            }
        }
    }

    fn taken(&mut self, position: u64, waiting: Waiting) -> Due {
        let Waiting { message, attempts, redelivered, journaled } = waiting;
        if self.waiting.is_empty() {
            self.resident = VecDeque::new();
            self.journaled_first = 0;
        }
        match message {
            None => Due::OnDisk(Stored { position, attempts, redelivered }),
            Some(message) => {
                self.resident_count -= 1;
                self.resident_bytes -= message.size_bytes();
                self.forget_gone();
                Due::Entry(Entry { message, position, attempts, redelivered, journaled })
            }
        }
    }

    /// Drops the keys of those that have gone, once they are most of all.
    fn forget_gone(&mut self) {
        if self.resident.len() > 2 * self.resident_count + GONE_KEPT_MAX {
            let waiting = &self.waiting;
            self.resident.retain(|key| waiting.get(key).is_some_and(|waiting| waiting.message.is_some()));
            self.resident.shrink_to_fit();
            self.journaled_first = 0;
        }
    }

    /// Lets go of the oldest that are on disk, until no more than `bytes_max` are in memory, and no more of them at once than others should
    /// wait for. True when there is more to be done.
    pub fn page_out(&mut self, bytes_max: usize, dropped: &mut Vec<Message>) -> bool {
        let before = dropped.len();
        while self.resident_bytes > bytes_max
            && let Some(key) = self.resident.front()
        {
            if dropped.len() - before >= PAGED_OUT_AT_ONCE_MAX {
                return true;
            }
            if let Some(waiting) = self.waiting.get_mut(key)
                && let Some(message) = &waiting.message
            {
                if !waiting.journaled || message.stage() != Stage::Written {
                    return false;
                }
                self.resident_count -= 1;
                self.resident_bytes -= message.size_bytes();
                dropped.extend(waiting.message.take());
            }
            self.resident.pop_front();
            self.journaled_first = self.journaled_first.saturating_sub(1);
        }
        if self.resident.is_empty() {
            self.resident = VecDeque::new();
        }
        false
    }

    /// Lets go of what is on disk, which is `dropped`. Of what is not there yet a part is given to the journal. True when there is more to be
    /// done.
    pub fn page_out_all(
        &mut self,
        queue: QueueId,
        changes: &mut Changes,
        dropped: &mut Vec<Message>,
    ) -> bool {
        if self.page_out(0, dropped) {
            return true;
        }
        let mut spilled = 0;
        let until = self.journaled_first + PAGED_OUT_AT_ONCE_MAX;
        while let Some(key) = self.resident.get(self.journaled_first) {
            if spilled >= SPILL_BYTES_MAX || self.journaled_first == until {
                return true;
            }
            self.journaled_first += 1;
            let Some(waiting) = self.waiting.get_mut(key).filter(|waiting| !waiting.journaled) else {
                continue;
            };
            let Some(message) = &mut waiting.message else { continue };
            // The journal's notes in a message are about one placement: a queue that spills has a copy of its own.
            *message = message.duplicated();
            waiting.journaled = true;
            changes.push(Change::Publish {
                message: message.clone(),
                placements: [Placement { queue, position: key.1 }].into_iter().collect(),
                transient: true,
            });
            spilled += message.size_bytes();
        }
        false
    }

    /// Of those that were taken out of their queue: tells the journal that some have left `queue` for good, `max` at most. Whether
    /// there are more. Books are not kept any more.
    pub fn settle_some(&mut self, queue: QueueId, max: usize, changes: &mut Changes) -> bool {
        for _ in 0..max {
            let Some(((_, position), waiting)) = self.waiting.pop_first() else { return false };
            if waiting.journaled {
                let message = waiting.message.filter(|message| message.stage() != Stage::Written);
                changes.push(Change::Settle { placement: Placement { queue, position }, message });
            }
        }
        true
    }

    /// Those that wait, from a time and position on, first due first: when, their positions, and those that are in memory.
    pub fn from(&self, first: (Millis, u64)) -> impl Iterator<Item = (Millis, u64, Option<Entry>)> {
        self.waiting
            .range(first..)
            .map(|(&(due, position), waiting)| (due, position, waiting.entry(position)))
    }

    /// Takes one out that is not due yet.
    pub fn remove(&mut self, due: Millis, position: u64) -> Option<Due> {
        let waiting = self.waiting.remove(&(due, position))?;
        Some(self.taken(position, waiting))
    }
}

/// What each takes: time, position, what waits there, and its part of the map's nodes.
const WAITING_BYTES: usize = 56;
/// Keys of messages that have gone, beyond as many as there are messages in memory.
const GONE_KEPT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::{View, build_image};

    fn entry(position: u64) -> Entry {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"x"], false);
        let message = Message::uncounted(View::new(layout, &image), 0);
        Entry { message, position, attempts: Attempts::default(), redelivered: false, journaled: false }
    }

    #[test]
    fn what_has_gone_takes_no_memory_while_another_one_waits() {
        let mut delayed = Delayed::default();
        delayed.insert(Millis::MAX, entry(0));
        for n in 1..10_000 {
            delayed.insert(n, entry(n));
            assert!(delayed.pop_due(n).is_some());
        }
        assert_eq!((delayed.len(), delayed.resident_count), (1, 1));
        assert!(delayed.resident.len() <= GONE_KEPT_MAX + 2, "{} keys", delayed.resident.len());
    }
}
