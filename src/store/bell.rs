//! Wakes a thread that sleeps until there is something to do.
//!
//! A ring that comes while the thread is awake is not lost: the thread does not sleep then. The bell does not know what there is to
//! do.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Wakes the thread that waits. Ringing it twice is ringing it once.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Default)]
struct State {
    has_rung: bool,
    is_over: bool,
}

impl Bell {
    /// There is something to do.
    pub(super) fn ring(&self) {
        self.state.lock().has_rung = true;
        self.rung.notify_one();
    }

    /// There will be nothing to do any more.
    pub(super) fn end(&self) {
        self.state.lock().is_over = true;
        self.rung.notify_one();
    }

    /// Sleeps until it rings, no longer than `at_most`. False when it is over.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.has_rung && !state.is_over {
            self.rung.wait_for(&mut state, at_most);
        }
        state.has_rung = false;
        !state.is_over
    }
}
