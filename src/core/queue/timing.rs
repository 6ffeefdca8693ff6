//! What a queue does when it is time: messages expire, come again, are released; an unused queue goes.

use std::sync::Arc;

use super::{
    Feed, Queue, SharedQueue,
    delayed::{Due, Stored},
    line::{Entry, Front, Paged},
};
use crate::core::{
    clock::Millis,
    effects::{Cause, Departure, Effects},
    journal::Placement,
    message::Publication,
};
use crate::limits::{BLOCK_BYTES_MAX, EXPIRED_AT_ONCE_MAX};

/// What is left to do after a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Nothing: the queue has seen to its next call.
    Done,
    /// Nobody has used the queue for as long as `x-expires` says: it is to be deleted.
    Unused,
}

impl SharedQueue {
    /// Does what is due. The timetable calls this when it was asked to; at any other time it does no harm.
    pub fn tick(self: &Arc<Self>, effects: &mut Effects) -> Tick {
        let now = self.surroundings.clock.now();
        let mut missing = Vec::new();
        let mut queue = self.state.lock();
        queue.called_at = None;
        if queue.deleted {
            return Tick::Done;
        }
        if queue.is_unused(now) {
            return Tick::Unused;
        }
        queue.called_at = Some(0); // nobody need ask before the end of this
        let held = queue.held_bytes();
        queue.release_due(self, now, effects, &mut missing);
        self.release(queue, held, Feed::default());
        for stored in missing {
            self.release_from_disk(stored, effects);
        }
        self.make_room(effects);
        self.look_at_front(effects);
        self.dispatch(effects);
        self.ask_anew();
        Tick::Done
    }

    /// Asks the timetable for what is due next.
    fn ask_anew(self: &Arc<Self>) {
        let mut queue = self.state.lock();
        queue.called_at = None;
        let held = queue.held_bytes();
        self.release(queue, held, Feed::default());
    }

    /// Takes in a message that waits here until `due`; gives its place if that is for the journal.
    pub fn hold_until(self: &Arc<Self>, publication: &mut Publication<'_>, due: Millis) -> Option<Placement> {
        let mut queue = self.state.lock();
        if queue.deleted {
            return None;
        }
        let held = queue.held_bytes();
        let placement = queue.hold_until(self, publication, due);
        self.release(queue, held, Feed::default());
        placement
    }

    /// A message whose time has come, and that is on disk alone.
    fn release_from_disk(self: &Arc<Self>, stored: Stored, effects: &mut Effects) {
        let Stored { position, attempts, redelivered } = stored;
        let Some(page) = self.surroundings.pager.load(self.id, position, position, BLOCK_BYTES_MAX) else {
            return;
        };
        let mut queue = self.state.lock();
        let held = queue.held_bytes();
        for loaded in page.messages {
            let entry = Entry { attempts, redelivered, ..Entry::from(loaded) };
            queue.come_back(self, entry, effects);
        }
        self.release(queue, held, Feed::default());
    }

    /// Reads the front if it must be known when it expires, or what in it waits; drops what has expired.
    fn look_at_front(self: &Arc<Self>, effects: &mut Effects) {
        loop {
            let mut queue = self.state.lock();
            let held = queue.held_bytes();
            if queue.traits.delays {
                queue.release_ready(self, effects);
            } else if queue.may_expire {
                queue.expire(self, effects);
            }
            let unread = queue.unread_front();
            if unread.is_some() {
                queue.loading = true;
            }
            self.release(queue, held, Feed::default());
            let Some(paged) = unread else { return };
            if !self.load(paged) {
                return;
            }
        }
    }
}

impl Queue {
    /// When the timetable has to call next, if it does not know yet.
    pub(super) fn next_call(&mut self) -> Option<Millis> {
        if self.deleted {
            return None;
        }
        let mut next = self.delayed.first_due();
        let mut sooner = |at: Millis| next = Some(next.map_or(at, |next| next.min(at)));
        if self.may_expire || self.traits.delays {
            match self.ready.front() {
                Some(Front::Entry(entry)) => {
                    if let Some(deadline) = self.deadline(entry) {
                        sooner(deadline);
                    }
                }
                Some(Front::Paged(_)) if !self.loading => sooner(0),
                Some(Front::Paged(_)) | None => {}
            }
        }
        if let Some(expires) = self.settings.expires
            && self.consumers.is_empty()
        {
            sooner(self.used_at.saturating_add(expires));
        }
        let next = next.filter(|next| self.called_at.is_none_or(|called| *next < called))?;
        self.called_at = Some(next);
        Some(next)
    }

    fn is_unused(&self, now: Millis) -> bool {
        let expires = self.settings.expires.filter(|_| self.consumers.is_empty());
        expires.is_some_and(|expires| self.used_at.saturating_add(expires) <= now)
    }

    /// Those of the waiting whose time has come.
    fn release_due(
        &mut self,
        me: &Arc<SharedQueue>,
        now: Millis,
        effects: &mut Effects,
        missing: &mut Vec<Stored>,
    ) {
        for _ in 0..EXPIRED_AT_ONCE_MAX {
            match self.delayed.pop_due(now) {
                None => return,
                Some(Due::Entry(entry)) => self.come_back(me, entry, effects),
                Some(Due::OnDisk(stored)) => missing.push(stored),
            }
        }
    }

    /// A message has waited long enough.
    fn come_back(&mut self, me: &Arc<SharedQueue>, entry: Entry, effects: &mut Effects) {
        if self.traits.delays {
            effects.departures.push(Departure { queue: me.clone(), entry, cause: Cause::Due });
        } else {
            self.put_back(entry);
        }
    }

    /// What was due when the broker was started again.
    fn release_ready(&mut self, me: &Arc<SharedQueue>, effects: &mut Effects) {
        while let Some(entry) = self.ready.pop() {
            self.come_back(me, entry, effects);
        }
    }

    fn unread_front(&self) -> Option<Paged> {
        match self.ready.front() {
            Some(Front::Paged(paged)) if !self.loading && (self.may_expire || self.traits.delays) => {
                Some(paged)
            }
            _ => None,
        }
    }
}
