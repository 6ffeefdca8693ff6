//! Messages as an operator looks at them: where they stand, without taking them and without an effect on consumers.
//!
//! What is looked at is a moment's picture. Messages on disk are read a block at a time, with no lock held, and do not come
//! into memory for it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Queue, SharedQueue,
    delayed::{Due, Stored},
    line::Stand,
    shared::due_of,
};
use crate::core::{
    ConnectionId,
    change::Change,
    clock::Millis,
    effects::Effects,
    entry::Entry,
    observing::What,
    outbox::SharedOutbox,
    pager::{Loaded, Page},
    placement::Placement,
    source::ConsumerId,
};
use crate::limits::{BLOCK_BYTES_MAX, PEEK_BYTES_MAX};

/// A message that was looked at.
#[derive(Debug, Clone)]
pub struct Peeked {
    /// The message, its position in the queue, its attempts, and whether its next delivery says `redelivered`.
    pub entry: Entry,
    /// It waits until then; zero if it does not wait.
    pub due: Millis,
    /// The client that holds it, if one does.
    pub held: Option<Holding>,
}

/// Which client holds a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Its connection.
    pub connection: ConnectionId,
    /// The channel.
    pub channel: u16,
    /// The consumer; `None` if it was `basic.get`.
    pub consumer: Option<ConsumerId>,
    /// Since when, or when its consumer last said that it is still at work.
    pub since: Millis,
}

/// Where looking goes on: messages that wait are in the order of their times, all others in that of their positions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The time of the next message; zero except for delayed ones.
    pub due: Millis,
    /// The lowest position of the next message.
    pub position: u64,
}

/// What was seen of a queue.
#[derive(Debug, Default)]
pub struct Peek {
    /// Messages, in order.
    pub messages: Vec<Peeked>,
    /// Where to go on, if there may be more.
    pub next: Option<Cursor>,
}

impl SharedQueue {
    /// Looks at messages that are ready, in the order of their delivery: from a position on, no more than `limit`, and no
    /// more than 1 MiB of those that must be read from disk.
    pub fn peek_ready(&self, from: Cursor, limit: usize) -> Peek {
        let mut messages = Vec::new();
        let mut next = Some(from.position);
        let mut is_read = false;
        while let Some(from) = next
            && messages.len() < limit
        {
            let seen = self.state.read().peek_ready(from, limit, &mut messages);
            next = match seen {
                Reach::Resident(next) => next,
                Reach::OnDisk(first, _) if is_read => return Peek { messages, next: at(Some(first)) },
                Reach::OnDisk(first, last) => {
                    is_read = true;
                    self.peek_on_disk(first, last, limit, &mut messages)
                }
            };
        }
        Peek { messages, next: at(next) }
    }

    /// Looks at messages that wait for their time, first due first; no more than `limit`, and not much more than 16 MiB.
    pub fn peek_delayed(&self, from: Cursor, limit: usize) -> Peek {
        let waiting: Vec<_> = {
            let queue = self.state.read();
            queue.delayed.from((from.due, from.position)).take(limit.saturating_add(1)).collect()
        };
        let mut peek = Peek::default();
        let mut bytes = 0;
        for (due, position, entry) in waiting {
            if peek.messages.len() == limit || bytes >= PEEK_BYTES_MAX {
                peek.next = Some(Cursor { due, position });
                break;
            }
            let Some(entry) = entry.or_else(|| self.read_one(position)) else { continue };
            bytes += entry.message.size_bytes();
            peek.messages.push(Peeked { entry, due, held: None });
        }
        peek
    }

    /// Looks at messages of this queue that clients hold, in the order of their positions; no more than `limit`. They may
    /// be in any of `connections`: a consumer may have gone, and who used `basic.get` is none. No more of these are looked at once as
    /// many messages were seen as clients held at the beginning.
    pub fn peek_unacked(
        self: &Arc<Self>,
        connections: impl IntoIterator<Item = (ConnectionId, SharedOutbox)>,
        from: Cursor,
        limit: usize,
    ) -> Peek {
        let mut held = BTreeMap::new();
        let (mut unseen, mut connections) = (self.state.read().unacked_count, connections.into_iter());
        while unseen > 0
            && let Some((connection, outbox)) = connections.next()
        {
            for (channel, unacked) in outbox.lock().unacked_of(self.id) {
                unseen = unseen.saturating_sub(1);
                if unacked.entry.position >= from.position {
                    let (consumer, since) = (unacked.consumer, unacked.since);
                    let holding = Holding { connection, channel, consumer, since };
                    let seen = Peeked { entry: unacked.entry.clone(), due: 0, held: Some(holding) };
                    held.insert(unacked.entry.position, seen);
                }
                if held.len() > limit.saturating_add(1) {
                    held.pop_last();
                }
            }
        }
        let more = if held.len() > limit { held.pop_last() } else { None };
        let messages = held.into_values().collect();
        Peek { messages, next: at(more.map(|(position, _)| position)) }
    }

    /// Takes a message out that waits until `due`: it will not be delivered. False if it does not wait any more.
    pub fn cancel_delayed(self: &Arc<Self>, due: Millis, position: u64, effects: &mut Effects) -> bool {
        let mut queue = self.lock();
        match queue.delayed.remove(due, position) {
            None => return false,
            Some(Due::Entry(entry)) => {
                queue.looks.tell(&entry, None, || What::Cancelled);
                entry.settle(self.id, &mut effects.changes);
            }
            Some(Due::OnDisk(Stored { position, .. })) => {
                queue.looks.tell_of_queue(Some(position), || What::Cancelled);
                let placement = Placement { queue: self.id, position };
                effects.changes.push(Change::Settle { placement, message: None });
            }
        }
        true
    }

    /// Has a message that waits until `due` wait until `later` instead, which is not zero; it comes at once if that is past. False if it
    /// does not wait any more.
    pub fn reschedule_delayed(
        self: &Arc<Self>,
        (due, position): (Millis, u64),
        later: Millis,
        effects: &mut Effects,
    ) -> bool {
        let mut queue = self.lock();
        let Some(taken) = queue.delayed.remove(due, position) else { return false };
        let (known, attempts, message) = match &taken {
            Due::Entry(entry) => {
                queue.looks.tell(entry, None, || What::Rescheduled { until: later });
                (entry.journaled, entry.attempts, Some(entry.message.clone()))
            }
            Due::OnDisk(stored) => {
                queue.looks.tell_of_queue(Some(position), || What::Rescheduled { until: later });
                (true, stored.attempts, None)
            }
        };
        if known {
            let placement = Placement { queue: self.id, position };
            effects.changes.push(Change::Return { placement, attempts, due: later, message });
        }
        queue.delayed.put_back(later, taken);
        true
    }

    /// Whether a message that was seen ready still is.
    pub fn holds(&self, position: u64) -> bool {
        self.state.read().ready.holds(position)
    }

    /// Takes a message that was seen ready out of its line, if it is still there. It has to be settled, or put back.
    pub fn take_out(self: &Arc<Self>, seen: &Entry) -> Option<Entry> {
        let mut queue = self.lock();
        let taken = queue.ready.take_out(seen);
        if let Some(entry) = &taken {
            queue.rare.redriven += 1;
            queue.looks.tell(entry, None, || What::Redriven);
        }
        drop(queue);
        taken
    }

    /// Puts a message that was taken out back to its position, as if nothing had been.
    pub fn put_back(self: &Arc<Self>, entry: Entry, effects: &mut Effects) {
        let mut queue = self.lock();
        if queue.deleted {
            return;
        }
        queue.rare.redriven -= 1;
        let attempts = entry.attempts.returned.into();
        queue.looks.tell(&entry, None, || What::Requeued { attempts });
        queue.ready.requeue(entry);
        drop(queue);
        self.dispatch(effects);
    }

    /// The counter of the next message's position: all that are in the queue have lower ones.
    pub fn next_counter(&self) -> u64 {
        self.state.read().next_counter
    }

    /// Appends what is ready on disk between two positions; gives where to go on.
    fn peek_on_disk(&self, first: u64, last: u64, limit: usize, messages: &mut Vec<Peeked>) -> Option<u64> {
        let page = self.surroundings.load(self.id, first, last, BLOCK_BYTES_MAX);
        // The broker is about to stop.
        let Page { messages: loaded, rest_from } = page?;
        let now = self.surroundings.clock.now();
        let queue = self.state.read();
        let mut ready = loaded.into_iter().filter(|loaded| queue.is_ready(loaded, now));
        for loaded in ready.by_ref() {
            if messages.len() == limit {
                return Some(loaded.position);
            }
            let mut entry = Entry::from(loaded);
            queue.ready.recall(&mut entry);
            messages.push(Peeked { entry, due: 0, held: None });
        }
        rest_from.or(last.checked_add(1))
    }

    fn read_one(&self, position: u64) -> Option<Entry> {
        let page = self.surroundings.load(self.id, position, position, BLOCK_BYTES_MAX)?;
        page.messages.into_iter().next().map(Entry::from)
    }
}

/// How far looking came.
enum Reach {
    /// What was in memory was looked at; there may be more from this position on.
    Resident(Option<u64>),
    /// The next ones must be read.
    OnDisk(u64, u64),
}

impl Queue {
    fn peek_ready(&self, from: u64, limit: usize, messages: &mut Vec<Peeked>) -> Reach {
        let mut next = Some(from);
        while let Some(from) = next {
            match self.ready.at_or_after(from) {
                None => return Reach::Resident(None),
                Some(Stand::OnDisk(first, last)) => return Reach::OnDisk(first, last),
                Some(Stand::Entry(entry)) if messages.len() == limit => {
                    return Reach::Resident(Some(entry.position));
                }
                Some(Stand::Entry(entry)) => {
                    messages.push(Peeked { entry: entry.clone(), due: 0, held: None });
                    next = entry.position.checked_add(1);
                }
            }
        }
        Reach::Resident(None)
    }

    /// Whether what was read from disk is in its line and does not wait.
    fn is_ready(&self, loaded: &Loaded, now: Millis) -> bool {
        let due = if self.traits.delays { due_of(&loaded.message, loaded.due) } else { loaded.due };
        due <= now && self.ready.holds(loaded.position)
    }
}

fn at(position: Option<u64>) -> Option<Cursor> {
    position.map(|position| Cursor { due: 0, position })
}
