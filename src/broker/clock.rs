//! The wall clock, made steady.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::core::clock::{Clock, Millis};

/// The time of day when the broker started, and what has passed since: it does not run backwards when an operator sets the
/// machine's clock.
#[derive(Debug)]
pub struct WallClock {
    start: Instant,
    start_ms: Millis,
    about: AtomicU64,
}

impl WallClock {
    /// Reads the machine's clock.
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_ms = since.as_millis() as Millis;
        Self { start: Instant::now(), start_ms, about: start_ms.into() }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Millis {
        let now = self.start_ms + self.start.elapsed().as_millis() as Millis;
        self.about.store(now, Ordering::Relaxed);
        now
    }

    fn about_now(&self) -> Millis {
        self.about.load(Ordering::Relaxed)
    }
}
