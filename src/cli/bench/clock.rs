//! The benchmark's time: nanoseconds since it began, the same in every thread; and the schedule of a fixed rate.

use std::time::{Duration, Instant};

/// Counts nanoseconds since it was made. Copies agree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    /// Starts at zero now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start; never 0, which means "no time" where times are kept in atomics.
    #[inline]
    pub(super) fn now_ns(self) -> u64 {
        (self.0.elapsed().as_nanos() as u64).max(1)
    }
}

/// When each event of a fixed rate is due, however late the one before it was: latencies that are counted from the
/// due time include what a stall did to the events behind it (no coordinated omission).
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    start_ns: u64,
    per_second: f64,
}

#[allow(clippy::cast_sign_loss, reason = "numbers of events and rates are not negative")]
impl Pace {
    /// Event 0 is due at `start_ns`; `per_second` is greater than 0.
    pub(super) fn new(start_ns: u64, per_second: f64) -> Self {
        Self { start_ns, per_second }
    }

    /// When the event with this number, counted from 0, is due.
    pub(super) fn due_ns(self, event: u64) -> u64 {
        self.start_ns + (event as f64 * 1e9 / self.per_second) as u64
    }

    /// How many events have become due by `now_ns`.
    pub(super) fn due_by(self, now_ns: u64) -> u64 {
        match now_ns.checked_sub(self.start_ns) {
            Some(elapsed_ns) => (elapsed_ns as f64 * self.per_second / 1e9) as u64 + 1,
            None => 0,
        }
    }
}

/// Asks the kernel for exact wake-ups in place of its 50 microseconds of slack, which would be in every latency at a
/// fixed rate. Threads inherit it, so it is called before any is started; best effort, Linux only.
pub(super) fn sharpen_sleeps() {
    let _ = std::fs::write("/proc/self/timerslack_ns", "1000");
}

/// From nanoseconds.
pub(super) fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_due_at_even_distances_from_the_start() {
        let pace = Pace::new(1_000, 1e6);
        assert_eq!([0, 1, 10].map(|event| pace.due_ns(event)), [1_000, 2_000, 11_000]);
        assert_eq!([0, 999, 1_000, 1_999, 2_000, 11_000].map(|now| pace.due_by(now)), [0, 0, 1, 1, 2, 11]);
    }
}
