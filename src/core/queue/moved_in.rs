//! Messages that move in from a queue of another broker.
//!
//! They stand behind all that are here. None of them is dropped, and none drops another one: when the queue is full, the rest is
//! refused, whatever the queue does with what clients publish. Whoever moves them still has them then.

use std::sync::Arc;

use super::{Queue, SharedQueue, expiry};
use crate::core::{
    change::{Attempts, Change},
    clock::Moment,
    effects::Effects,
    entry::Entry,
    message::Publication,
    moved_in::MovedIn,
};
use crate::limits::QUEUE_RESIDENT_BYTES_MAX;

impl SharedQueue {
    /// Takes in messages that move in, in their order, as they were where they come from. Gives how many of them: the first ones, as
    /// many as there is room for. `None` if the queue was deleted.
    pub fn move_in(self: &Arc<Self>, messages: &[MovedIn], effects: &mut Effects) -> Option<usize> {
        let mut now = Moment::of(&*self.surroundings.clock);
        let mut queue = self.lock();
        if queue.deleted {
            return None;
        }
        let mut taken = 0;
        for message in messages {
            if queue.would_overflow(&message.view()) {
                break;
            }
            let entry = queue.move_in(self, message, &mut now);
            note(self, &entry, effects);
            taken += 1;
        }
        drop(queue);
        self.dispatch(effects);
        Some(taken)
    }
}

impl Queue {
    /// Puts a message at the end of its line.
    fn move_in(&mut self, me: &SharedQueue, moved: &MovedIn, now: &mut Moment<'_>) -> Entry {
        self.counters.published += 1;
        let mut publication = Publication::new(moved.view());
        let line = self.traits.line(&publication);
        let entry = Entry {
            attempts: moved.attempts,
            redelivered: moved.redelivered,
            ..Self::entry((&mut self.next_counter, self.traits.keeps), line, me, &mut publication, now)
        };
        self.may_expire = self.may_expire || expiry::expiration(&moved.view()).is_some();
        if self.ready.push(entry.clone()) && self.ready.resident_bytes() > QUEUE_RESIDENT_BYTES_MAX {
            self.ready.page_out(QUEUE_RESIDENT_BYTES_MAX);
        }
        entry
    }
}

/// Tells the journal of a message that has moved in, and of what became of it before.
fn note(me: &SharedQueue, entry: &Entry, effects: &mut Effects) {
    let Some(placement) = entry.placement(me.id) else { return };
    let message = entry.message.clone();
    effects.changes.push(Change::Publish {
        message,
        placements: [placement].into_iter().collect(),
        transient: false,
    });
    if entry.attempts != Attempts::default() {
        let (attempts, message) = (entry.attempts, entry.message.clone());
        effects.changes.push(Change::Return { placement, attempts, due: 0, message: Some(message) });
    }
}
