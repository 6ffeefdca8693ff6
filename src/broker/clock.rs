//! The wall clock, made steady.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::core::clock::{Clock, Millis};

/// The time of day when the broker started, and what has passed since: it does not run backwards when somebody sets the
/// machine's clock.
#[derive(Debug)]
pub struct WallClock {
    start: Instant,
    start_ms: Millis,
}

impl WallClock {
    /// Reads the machine's clock.
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_ms: since.as_millis() as Millis }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Millis {
        self.start_ms + self.start.elapsed().as_millis() as Millis
    }
}
