//! Token buckets: what may happen so often a second, and how long to wait when it has.

use crate::core::clock::Millis;

/// Microseconds in a second.
const SECOND_US: u64 = 1_000_000;

/// A bucket of units of one kind. It holds as many as come in a second; who takes more waits until they have come.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// When all that was taken has come, in microseconds.
    even_us: u64,
}

impl Bucket {
    /// Takes units, of which `per_second` come. Whoever takes them waits afterwards, as [`Self::wait_ms`] says.
    pub fn take(&mut self, units: u64, per_second: u64, now: Millis) {
        let full_us = now.saturating_mul(1_000).saturating_sub(SECOND_US);
        let cost_us = units.saturating_mul(SECOND_US) / per_second.max(1);
        self.even_us = self.even_us.max(full_us).saturating_add(cost_us);
    }

    /// Takes units if all of them have come; else says in how many milliseconds they will have.
    pub fn take_what_came(&mut self, units: u64, per_second: u64, now: Millis) -> Result<(), u64> {
        let mut after = self.clone();
        after.take(units, per_second, now);
        match after.wait_ms(now) {
            0 => {
                *self = after;
                Ok(())
            }
            wait_ms => Err(wait_ms),
        }
    }

    /// Milliseconds until nobody owes anything, rounded up; zero if that is so now.
    pub fn wait_ms(&self, now: Millis) -> u64 {
        self.even_us.saturating_sub(now.saturating_mul(1_000)).div_ceil(1_000)
    }
}
