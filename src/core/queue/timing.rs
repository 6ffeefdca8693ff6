//! What a queue does when it is time: messages expire, come again, are released; an unused queue goes.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Queue, SharedQueue,
    allowance::Allowance,
    delayed::{Due, Stored},
    line::{Front, Paged},
};
use crate::core::{
    clock::Millis,
    effects::{Cause, Effects},
    entry::Entry,
    message::Publication,
    observing::What,
    placement::Placement,
};
use crate::limits::{BLOCK_BYTES_MAX, DUE_AT_ONCE_MAX};

/// The work that is left after a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Nothing: the queue has seen to its next call.
    Done,
    /// No client has used the queue for as long as `x-expires` says: it is to be deleted.
    Unused,
}

impl SharedQueue {
    /// Does what is due. The timetable calls this when it was asked to; at any other time it does no harm.
    pub fn tick(self: &Arc<Self>, effects: &mut Effects) -> Tick {
        let now = self.now();
        let mut queue = self.lock();
        // A call for an earlier time may come late: the one that is still to come counts.
        queue.called_at = queue.called_at.filter(|called| *called > now);
        if queue.deleted {
            return Tick::Done;
        }
        if queue.is_unused(now) {
            return Tick::Unused;
        }
        queue.called_at = Some(0); // no other call need ask before the end of this one
        queue.unfinished = false;
        let due = queue.take_due(now);
        drop(queue);
        self.release_due(due, effects);
        self.make_room(effects);
        self.look_at_front(effects);
        self.dispatch(effects);
        self.ask_anew();
        Tick::Done
    }

    /// Whether the queue is to be deleted because no client uses it. If not, the timetable is asked for a call when that may be.
    pub fn is_unused(self: &Arc<Self>) -> bool {
        let now = self.now();
        let is_unused = self.state.read().is_unused(now);
        if !is_unused {
            self.ask_anew();
        }
        is_unused
    }

    /// Asks the timetable for what is due next.
    fn ask_anew(self: &Arc<Self>) {
        self.lock().called_at = None;
    }

    /// Takes in a message that waits here until `due`; gives its placement if that is for the journal.
    pub fn hold_until(self: &Arc<Self>, publication: &mut Publication<'_>, due: Millis) -> Option<Placement> {
        let mut queue = self.lock();
        if queue.deleted {
            return None;
        }
        queue.hold_until(self, publication, due)
    }

    /// Those whose time has come, in order; what is on disk alone is read first. What is more than may be read goes on waiting.
    fn release_due(self: &Arc<Self>, mut due: VecDeque<(Millis, Due)>, effects: &mut Effects) {
        if due.is_empty() {
            return;
        }
        let mut allowance = Allowance::of_a_call();
        let mut entries = Vec::with_capacity(due.len());
        while let Some((at, next)) = due.pop_front() {
            match next {
                Due::Entry(entry) => entries.push(entry),
                Due::OnDisk(first) if !allowance.read_page() => {
                    due.push_front((at, Due::OnDisk(first)));
                    break;
                }
                Due::OnDisk(first) => {
                    let mut row = vec![(at, first)];
                    while let Some((at, next)) = next_of_row(&mut due, &row) {
                        row.push((at, next));
                    }
                    let read = self.read(&row, &mut entries);
                    for (at, unread) in row.drain(read..).rev() {
                        due.push_front((at, Due::OnDisk(unread)));
                    }
                }
            }
        }
        let mut queue = self.lock();
        if queue.deleted {
            return;
        }
        for entry in entries {
            queue.come_back(self, entry, effects);
        }
        for (at, later) in due {
            queue.delayed.put_back(at, later);
        }
        drop(queue);
    }

    /// Reads the first of messages in a row that are on disk alone, a page of them; gives how many these are. What is remembered
    /// of them here is newer than what the journal may have written. All that cannot be read count as read: the broker is
    /// about to stop.
    fn read(&self, row: &[(Millis, Stored)], entries: &mut Vec<Entry>) -> usize {
        let (Some((_, first)), Some((_, last))) = (row.first(), row.last()) else { return 0 };
        let page = self.surroundings.load(self.id, first.position, last.position, BLOCK_BYTES_MAX);
        let Some(page) = page else { return row.len() };
        let index = |position: u64| (position - first.position) as usize;
        for loaded in page.messages {
            let Stored { attempts, redelivered, .. } = row[index(loaded.position)].1;
            entries.push(Entry { attempts, redelivered, ..Entry::from(loaded) });
        }
        page.rest_from.map_or(row.len(), index)
    }

    /// Reads the front if it must be known when it expires, or what in it waits; drops what has expired. Stops when there is
    /// much to carry out: the timetable calls for the rest.
    fn look_at_front(self: &Arc<Self>, effects: &mut Effects) {
        let mut allowance = Allowance::of_a_call();
        loop {
            let mut queue = self.lock();
            if queue.may_expire && !queue.expire(self, self.now(), &mut allowance, effects) {
                return;
            }
            let unread = queue.unread_front().filter(|_| allowance.read_page());
            let delays = queue.traits.delays;
            queue.loading |= unread.is_some();
            drop(queue);
            let Some(paged) = unread else { return };
            // What was published with a delay may be much: the timetable calls for the next part.
            if !self.load(paged) || delays {
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
        // What is due waits until all of what waits is known.
        let is_known = !self.traits.delays || self.ready.is_empty();
        let mut next = self.delayed.first_due().filter(|_| is_known);
        let mut sooner = |at: Millis| next = Some(next.map_or(at, |next| next.min(at)));
        if self.unfinished {
            sooner(0);
        }
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

    /// Those of the waiting whose time has come, in order, with that time. None before it is known what waits.
    fn take_due(&mut self, now: Millis) -> VecDeque<(Millis, Due)> {
        if self.traits.delays && !self.ready.is_empty() {
            return VecDeque::new();
        }
        let next = || Some((self.delayed.first_due()?, self.delayed.pop_due(now)?));
        std::iter::from_fn(next).take(DUE_AT_ONCE_MAX).collect()
    }

    /// A message has waited long enough.
    fn come_back(&mut self, me: &Arc<SharedQueue>, entry: Entry, effects: &mut Effects) {
        if self.traits.delays {
            self.looks.tell(&entry, None, || What::Due);
            self.depart(me, entry, Cause::Due, effects);
        } else {
            self.looks.tell(&entry, None, || What::Ready);
            self.put_back(entry);
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

/// Takes the next message that is due, if it is on disk right behind those of a row.
fn next_of_row(due: &mut VecDeque<(Millis, Due)>, row: &[(Millis, Stored)]) -> Option<(Millis, Stored)> {
    let last = row.last()?.1.position;
    let (at, Due::OnDisk(next)) = due.front()? else { return None };
    let next = (*at, *next);
    (next.1.position == last + 1).then(|| {
        due.pop_front();
        next
    })
}
