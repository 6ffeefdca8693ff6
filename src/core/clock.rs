//! Time, as the core is given it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Milliseconds since the Unix epoch; as a span, milliseconds.
pub type Millis = u64;

/// Tells the time. It must not run backwards.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Millis;

    /// About now, up to a second late, for what asks often.
    fn about_now(&self) -> Millis {
        self.now()
    }
}

/// The time at which something happens: the clock is read at most once, and only when it is asked for.
pub struct Moment<'a> {
    clock: &'a dyn Clock,
    read: Option<Millis>,
}

impl<'a> Moment<'a> {
    /// The time of the first call of this.
    pub fn of(clock: &'a dyn Clock) -> Self {
        Self { clock, read: None }
    }

    /// When it is.
    #[inline]
    pub fn get(&mut self) -> Millis {
        *self.read.get_or_insert_with(|| self.clock.now())
    }
}

/// A clock that stands still until it is set: for tests, and where nothing depends on time.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// It is `now`.
    pub fn at(now: Millis) -> Self {
        Self(AtomicU64::new(now))
    }

    /// Time passes.
    pub fn advance(&self, by: Millis) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }
}
