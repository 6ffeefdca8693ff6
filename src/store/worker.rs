//! A thread of the store, and how long somebody waits for its end.
//!
//! A thread that does not end in time goes on by itself, and one that panics is a failure of the store. This file does not know what
//! the thread does.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::{self, JoinHandle},
    time::Instant,
};

use super::failure::Failure;

/// A thread of the store.
pub(super) struct Worker {
    thread: JoinHandle<()>,
    /// Nothing ever comes: it is closed when the thread has ended, by a panic too.
    ended: Receiver<()>,
}

impl Worker {
    /// Starts a thread that does this.
    pub(super) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (running, ended) = channel::<()>();
        let work = move || {
            let _running = running;
            work();
        };
        Ok(Self { thread: thread::Builder::new().name(name.into()).spawn(work)?, ended })
    }

    /// Waits for its end; false if that does not come in time: then it goes on by itself. A panic is a failure.
    pub(super) fn ends_by(self, deadline: Instant, failure: &Failure) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(left) {
            return false;
        }
        if self.thread.join().is_err() {
            failure.report("a thread of the store panicked");
        }
        true
    }
}
