//! What has something to send when the work that led to it is done: no lock may be held then.

use std::{mem, sync::Arc};

use smallvec::SmallVec;

use crate::limits::DIRECT_OUTBOXES_MAX;

/// Something with bytes for a client.
pub trait Outlet: Send + Sync {
    /// Sends what it has, or wakes its writer. No lock may be held.
    fn send(self: Arc<Self>);

    /// Wakes its writer, if that sleeps and there is something to send.
    fn wake_writer(self: Arc<Self>);
}

/// Outlets that have something to send, each once.
#[derive(Default)]
pub struct Outgoing(SmallVec<[Arc<dyn Outlet>; DIRECT_OUTBOXES_MAX]>);

impl Outgoing {
    /// Whether there is room for another one.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.0.len() < DIRECT_OUTBOXES_MAX
    }

    /// One more. When there are too many for one thread, its writer is woken at once.
    pub fn add(&mut self, outlet: Arc<dyn Outlet>) {
        if self.0.iter().any(|known| Arc::ptr_eq(known, &outlet)) {
            return;
        }
        if self.has_room() {
            self.0.push(outlet);
        } else {
            outlet.wake_writer();
        }
    }

    /// Takes over others.
    pub fn append(&mut self, mut others: Self) {
        if self.0.is_empty() {
            mem::swap(self, &mut others);
        }
        others.0.drain(..).for_each(|outlet| self.add(outlet));
    }

    /// Sends what they have.
    #[inline]
    pub fn send(&mut self) {
        self.0.drain(..).for_each(Outlet::send);
    }

    /// Leaves it to their writers: for those who hold a lock, or have something to do first that takes longer.
    pub fn wake_writers(&mut self) {
        self.0.drain(..).for_each(Outlet::wake_writer);
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.send();
    }
}
