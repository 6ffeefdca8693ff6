//! A queue's lock, and what its release owes to others.
//!
//! A change of a queue may make room in it, fill outboxes, and bring a deadline forward. So a call that locks a queue to
//! change it holds a [`Locked`], and however that ends, it counts what the queue's room for entries takes, releases the lock, and then
//! wakes writers and paused publishers and asks the timetable. There is no other way to change a queue.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};

use crate::core::queue::{DispatchRound, Queue, SharedQueue};
use crate::core::{effects::Effects, outgoing::Outgoing, wakes::wake_all};

/// A queue's state behind its lock.
pub(in crate::core::queue) struct State(Mutex<Queue>);

impl State {
    pub(super) fn new(queue: Queue) -> Self {
        Self(Mutex::new(queue))
    }

    /// Locks the state of `owner` to change it.
    #[inline]
    pub(super) fn lock<'a>(&'a self, owner: &'a Arc<SharedQueue>) -> Locked<'a> {
        let mut queue = self.0.lock();
        if owner.is_looked_at() {
            owner.look(&mut queue.looks);
        }
        let capacity_bytes = queue.capacity_bytes();
        Locked { owner, capacity_bytes, queue: Some(queue), round: DispatchRound::default() }
    }

    /// Locks the state to look at it.
    pub(in crate::core::queue) fn read(&self) -> impl Deref<Target = Queue> {
        self.0.lock()
    }

    /// The state of a queue to which this is the last reference.
    pub(super) fn get_mut(&mut self) -> &mut Queue {
        self.0.get_mut()
    }
}

/// A queue that is locked to be changed.
pub(in crate::core::queue) struct Locked<'a> {
    owner: &'a Arc<SharedQueue>,
    capacity_bytes: usize,
    /// `None` once it is released.
    queue: Option<MutexGuard<'a, Queue>>,
    round: DispatchRound,
}

impl Locked<'_> {
    /// The queue, and the round of deliveries that ends with the lock's release.
    #[inline]
    pub(in crate::core::queue) fn parts(&mut self) -> (&mut Queue, &mut DispatchRound) {
        (self.queue.as_mut().expect(HELD), &mut self.round)
    }

    /// Releases the lock. What was delivered is sent with what else the operation leads to.
    #[inline]
    pub(in crate::core::queue) fn finish(mut self, effects: &mut Effects) {
        effects.outgoing.append(self.release());
    }

    fn release(&mut self) -> Outgoing {
        let Some(mut queue) = self.queue.take() else { return Outgoing::default() };
        let (mut wakes, outgoing) = std::mem::take(&mut self.round).finish();
        if !queue.paused.is_empty() {
            wakes.extend(queue.resumed());
        }
        let surroundings = &self.owner.surroundings;
        let capacity_bytes = queue.capacity_bytes();
        if capacity_bytes != self.capacity_bytes {
            surroundings
                .memory
                .gauge()
                .change_messages(capacity_bytes as isize - self.capacity_bytes as isize);
        }
        if queue.looks.is_any() {
            queue.looks.end();
        }
        let call = queue.next_call();
        drop(queue);
        wake_all(wakes);
        if let Some(at) = call {
            surroundings.timetable.call(self.owner, at);
        }
        outgoing
    }
}

impl Deref for Locked<'_> {
    type Target = Queue;

    #[inline]
    fn deref(&self) -> &Queue {
        self.queue.as_ref().expect(HELD)
    }
}

impl DerefMut for Locked<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Queue {
        self.queue.as_mut().expect(HELD)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Another lock may be held here: sockets are left to their writers.
        self.release().wake_writers();
    }
}

const HELD: &str = "the lock is held until it is released, which ends the guard";
