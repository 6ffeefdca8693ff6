//! Sending on the thread that has something to send, without waking the writer for it.
//!
//! To wake a task takes time: at low rates most of that in which a delivery is on its way, and now and then another thread.
//! So a few bytes go straight to the socket, if the writer sleeps. Many bytes, or more than the socket takes, are left to the
//! writer, which sends them while other tasks go on.

use std::{io, mem, sync::Arc, task::Waker};

use parking_lot::Mutex;

use super::{Outbox, SharedOutbox, Writer};
use crate::core::{outgoing::Outlet, wakes::wake_all};
use crate::limits::{DIRECT_BYTES_MAX, IDLE_BUFFER_BYTES_MAX};

/// A connection's socket, for code that must not wait for it.
pub trait Socket: Send + Sync {
    /// Sends what can be sent at once, and gives how many bytes that were.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

impl Outlet for Mutex<Outbox> {
    fn send(self: Arc<Self>) {
        send(&self);
    }

    fn wake_writer(self: Arc<Self>) {
        wake_writer(&self);
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
    let Some((socket, bytes)) = open.lend() else {
        let writer = open.wake_writer();
        drop(open);
        return wake_all(writer);
    };
    drop(open);
    // An error is one for the writer as well, which knows what follows from it.
    let sent = socket.try_write(&bytes).unwrap_or(0);
    let wakes = outbox.lock().take_back(bytes, sent);
    wake_all(wakes.into_iter().flatten());
}

impl Outbox {
    /// Lets a few bytes at a time be sent directly to `socket`; without one, the writer sends everything.
    pub fn set_socket(&mut self, socket: Arc<dyn Socket>) {
        self.socket = Some(socket);
    }

    /// Whether what waits would be sent directly.
    #[inline]
    pub fn is_direct(&self) -> bool {
        matches!(self.writer, Writer::Asleep(_))
            && !self.closed
            && self.socket.is_some()
            && self.held_back.is_empty()
            && (1..=DIRECT_BYTES_MAX).contains(&self.bytes.len())
    }

    /// What is to be sent directly, and where to. The writer is relieved until that is taken back.
    fn lend(&mut self) -> Option<(Arc<dyn Socket>, Vec<u8>)> {
        if !self.is_direct() {
            return None;
        }
        let socket = self.socket.clone()?;
        self.writer = Writer::Relieved(self.writer.take_sleeping()?);
        let bytes = mem::take(&mut self.bytes);
        self.in_flight_bytes = bytes.len();
        Some((socket, bytes))
    }

    /// So many of the bytes that were lent were sent. Gives whom to wake: the writer for what is left and for what has come meanwhile, a reader
    /// that waited for room.
    fn take_back(&mut self, mut bytes: Vec<u8>, sent: usize) -> [Option<Waker>; 2] {
        if let Writer::Relieved(waker) = mem::replace(&mut self.writer, Writer::Awake) {
            self.writer = Writer::Asleep(waker);
        }
        let reader = self.written();
        bytes.drain(..sent);
        if self.socket.is_none() {
            // The socket has gone meanwhile.
            bytes = Vec::new();
        }
        if !bytes.is_empty() {
            self.held_back.iter_mut().for_each(|(at, _)| *at += bytes.len());
            bytes.append(&mut self.bytes);
            self.bytes = bytes;
        } else if self.bytes.is_empty() && bytes.capacity() <= IDLE_BUFFER_BYTES_MAX {
            self.bytes = bytes;
        }
        [self.wake_writer(), reader]
    }
}

#[cfg(test)]
mod tests;
