//! Sending on the thread that has something to send, without waking the writer for it.
//!
//! To wake a task takes time: at low rates most of that in which a delivery is on its way, and now and then another thread.
//! So a few bytes go straight to the socket, if the writer sleeps. Many bytes, or more than the socket takes, are left to the
//! writer, which sends them while other tasks go on.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Outbox, SharedOutbox};
use crate::core::{
    commit::{Done, Waiter},
    outgoing::{Outgoing, Outlet},
    wakes::wake_all,
};

impl Outlet for Mutex<Outbox> {
    fn send(self: Arc<Self>) {
        send(&self);
    }

    fn wake_writer(self: Arc<Self>) {
        wake_writer(&self);
    }
}

impl Waiter for Mutex<Outbox> {
    fn committed(self: Arc<Self>, done: &Done, outgoing: &mut Outgoing) {
        self.lock().committed(done);
        outgoing.add(self);
    }
}

/// Wakes an outbox's writer, if it sleeps and there is something to send.
pub fn wake_writer(outbox: &SharedOutbox) {
    let writer = outbox.lock().wake_writer();
    wake_all(writer);
}

/// Sends what an outbox has, or wakes its writer. No lock may be held.
pub fn send(outbox: &SharedOutbox) {
    let mut open = outbox.lock();
    let Some((socket, bytes)) = open.pipe.lend() else {
        let writer = open.wake_writer();
        drop(open);
        return wake_all(writer);
    };
    drop(open);
    // An error is one for the writer as well, which knows what follows from it.
    let sent = socket.try_write(&bytes).unwrap_or(0);
    let wakes = outbox.lock().pipe.take_back(bytes, sent);
    wake_all(wakes.into_iter().flatten());
}

#[cfg(test)]
mod tests;
