//! How messages leave a queue: settled, rejected, returned, expired, pushed out.

use std::sync::Arc;

use super::{
    Queue, SharedQueue,
    allowance::Allowance,
    expiry,
    line::{Front, Paged},
};
use crate::core::{
    change::{Attempts, Change},
    clock::Millis,
    dead_letter::Reason,
    effects::{Cause, Departure, Effects},
    entry::Entry,
    message::{Publication, View},
    observing::{DropReason, What},
    placement::Placement,
    policy::Overflow,
    source::{Comeback, Unacked},
};

impl Queue {
    /// Books messages out of the unacknowledged ones for good. Those that the journal does not know of are dropped by the
    /// caller, when no lock is held.
    pub(super) fn settle(
        &mut self,
        me: &SharedQueue,
        unacked: Vec<Unacked>,
        effects: &mut Effects,
    ) -> Vec<Unacked> {
        let mut dropped = Vec::new();
        for unacked in unacked {
            self.looks.tell_settled(&unacked.entry, effects.by.as_ref(), || What::Acknowledged);
            self.book_out(&unacked);
            self.counters.acknowledged += 1;
            if unacked.entry.journaled {
                unacked.entry.settle(me.id, &mut effects.changes);
            } else {
                dropped.push(unacked);
            }
        }
        dropped
    }

    /// Books rejected messages out; they are dead.
    pub(super) fn reject(&mut self, me: &Arc<SharedQueue>, unacked: Vec<Unacked>, effects: &mut Effects) {
        for unacked in unacked {
            self.book_out(&unacked);
            if !self.deleted {
                self.looks.tell_settled(&unacked.entry, effects.by.as_ref(), || What::Rejected);
                self.die(me, unacked.entry, Reason::Rejected, effects);
            }
        }
    }

    /// Puts unacknowledged messages back to where they were, marked as redelivered; at once, or when their time has come.
    /// One that has failed too often is dead.
    pub(super) fn requeue(
        &mut self,
        me: &Arc<SharedQueue>,
        unacked: Vec<Unacked>,
        why: Comeback,
        effects: &mut Effects,
    ) {
        for unacked in unacked {
            self.book_out(&unacked);
            if self.deleted {
                continue;
            }
            let mut entry = unacked.entry;
            let retry = self.settings.retry_of(&entry.message.view());
            // A return that waits is an attempt of either kind: a limit must end it.
            let failed = why == Comeback::Failed || retry.when.covers(false);
            entry.attempts = entry.attempts.after_return(failed);
            entry.redelivered = true;
            let attempts = entry.attempts.returned.into();
            self.looks.tell_settled(&entry, effects.by.as_ref(), || What::Requeued { attempts });
            if failed
                && self.settings.delivery_limit.is_some_and(|limit| u32::from(entry.attempts.failed) > limit)
            {
                self.die(me, entry, Reason::DeliveryLimit, effects);
                continue;
            }
            let wait = retry.delay_ms(entry.attempts.failed.into(), why == Comeback::Failed, entry.chance());
            let due = wait.map(|wait| me.now().saturating_add(wait));
            if entry.journaled {
                effects.changes.push(Change::Return {
                    placement: Placement { queue: me.id, position: entry.position },
                    attempts: entry.attempts,
                    due: due.unwrap_or(0),
                    message: Some(entry.message.clone()),
                });
            }
            match due {
                Some(due) => {
                    self.rare.retried += 1;
                    self.looks.tell(&entry, None, || What::Waiting { until: due });
                    self.delayed.insert(due, entry);
                }
                None => self.put_back(entry),
            }
        }
    }

    /// Puts a message back to where it was.
    pub(super) fn put_back(&mut self, entry: Entry) {
        self.may_expire = self.may_expire || expiry::expiration(&entry.message.view()).is_some();
        self.ready.requeue(entry);
    }

    pub(super) fn book_out(&mut self, unacked: &Unacked) {
        self.unacked_count -= 1;
        self.unacked_bytes -= unacked.entry.message.size_bytes();
        if let Some(id) = unacked.consumer {
            self.consumers.settled(id, 1);
        }
    }

    /// Drops what has expired at the head, as far as it is in memory; nothing behind it is looked at (RabbitMQ). False if
    /// there was more than is done at once.
    pub(super) fn expire(
        &mut self,
        me: &Arc<SharedQueue>,
        now: Millis,
        allowance: &mut Allowance,
        effects: &mut Effects,
    ) -> bool {
        loop {
            let Some(Front::Entry(entry)) = self.ready.front() else { return true };
            if self.deadline(entry).is_none_or(|deadline| deadline > now) {
                return true;
            }
            if !allowance.drop_one() {
                return false;
            }
            if let Some(entry) = self.ready.pop() {
                self.die(me, entry, Reason::Expired, effects);
            }
        }
    }

    /// When an entry expires.
    pub(super) fn deadline(&self, entry: &Entry) -> Option<Millis> {
        expiry::deadline(&entry.message, self.settings.message_ttl)
    }

    /// Whether one message more would be too much.
    pub(super) fn would_overflow(&self, view: &View<'_>) -> bool {
        self.exceeds(1, view.layout.body_bytes as usize)
    }

    fn exceeds(&self, more: usize, more_bytes: usize) -> bool {
        let over = |max: Option<u64>, held: usize| max.is_some_and(|max| held as u64 > max);
        let settings = &self.settings;
        over(settings.max_length, self.ready.len() + more)
            || (settings.max_length_bytes.is_some()
                && over(settings.max_length_bytes, self.ready.body_bytes() + more_bytes))
    }

    /// Drops the oldest messages until what is left is within the limits, or no more are allowed to be. Gives what must be read
    /// first.
    pub(super) fn trim(
        &mut self,
        me: &Arc<SharedQueue>,
        allowance: &mut Allowance,
        effects: &mut Effects,
    ) -> Option<Paged> {
        if self.settings.overflow != Overflow::DropHead {
            return None;
        }
        while self.exceeds(0, 0) {
            match self.ready.front() {
                Some(Front::Paged(paged)) if allowance.read_page() => return Some(paged),
                Some(Front::Entry(_)) if allowance.drop_one() => {}
                Some(_) => {
                    self.unfinished = true;
                    return None;
                }
                None => return None,
            }
            if let Some(entry) = self.ready.pop() {
                self.die(me, entry, Reason::MaxLen, effects);
            }
        }
        None
    }

    /// A message is dead: it departs for the dead-letter exchange, if there is one.
    pub(super) fn die(&mut self, me: &Arc<SharedQueue>, entry: Entry, why: Reason, effects: &mut Effects) {
        if self.settings.dead_letter_exchange.is_some() {
            self.rare.dead_lettered[why as usize] += 1;
            self.looks.tell(&entry, None, || What::DeadLettered(why));
            self.depart(me, entry, Cause::Dead(why), effects);
        } else {
            self.rare.dropped[why as usize] += 1;
            me.note_dead(&self.looks, why.into(), &entry);
            entry.settle(me.id, &mut effects.changes);
        }
    }

    /// A message goes elsewhere.
    pub(super) fn depart(&self, me: &SharedQueue, entry: Entry, cause: Cause, effects: &mut Effects) {
        let (name, settings) = (me.spec.name.clone(), self.settings.clone());
        effects.departures.push(Departure { queue: me.id, name, settings, entry, cause });
    }

    /// A message was refused, and is dead if the queue says so.
    pub(super) fn refuse(
        &mut self,
        me: &Arc<SharedQueue>,
        publication: &mut Publication<'_>,
        effects: &mut Effects,
    ) {
        self.rare.refused += 1;
        if self.settings.overflow == Overflow::RejectPublishDlx {
            let message = publication.keep(me.surroundings.memory.gauge(), || me.now());
            let attempts = Attempts::default();
            // It has no placement: the journal never hears of it here.
            let entry = Entry { message, position: u64::MAX, attempts, redelivered: false, journaled: false };
            self.die(me, entry, Reason::MaxLen, effects);
        } else {
            me.note_dropped(&self.looks, DropReason::Refused, &publication.view(), None);
        }
    }
}
