//! How fast the clients of a user or of a virtual host may publish, all together.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::core::{
    access::{Bucket, Limit, Limits},
    clock::Millis,
};

/// No limit.
const ANY: u64 = u64::MAX;

/// Messages and bytes a second, and what was taken of them.
#[derive(Debug)]
pub struct Rates {
    messages_per_second: AtomicU64,
    bytes_per_second: AtomicU64,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    messages: Bucket,
    bytes: Bucket,
}

impl Default for Rates {
    fn default() -> Self {
        Self { messages_per_second: ANY.into(), bytes_per_second: ANY.into(), taken: Mutex::default() }
    }
}

impl Rates {
    /// Sets what the limits say. Zero permits nothing.
    pub fn set(&self, limits: &Limits) {
        let of = |limit| limits.get(limit).unwrap_or(ANY);
        self.messages_per_second.store(of(Limit::MaxMessagesPerSecond), Ordering::Relaxed);
        self.bytes_per_second.store(of(Limit::MaxBytesPerSecond), Ordering::Relaxed);
    }

    fn get(&self) -> (u64, u64) {
        (self.messages_per_second.load(Ordering::Relaxed), self.bytes_per_second.load(Ordering::Relaxed))
    }

    /// Notes that so much was published. Two relaxed loads where there is no limit.
    #[inline]
    pub fn take(&self, messages: u64, bytes: u64, now: impl FnOnce() -> Millis) {
        let limits = self.get();
        if limits != (ANY, ANY) {
            let mut taken = self.taken.lock();
            let now = now();
            taken.messages.take(messages, limits.0, now);
            taken.bytes.take(bytes, limits.1, now);
        }
    }

    /// Milliseconds to wait before more is published; zero if not at all.
    #[inline]
    pub fn wait_ms(&self, now: impl FnOnce() -> Millis) -> u64 {
        let limits = self.get();
        match limits {
            (ANY, ANY) => 0,
            (0, _) | (_, 0) => u64::MAX,
            _ => {
                let taken = self.taken.lock();
                let now = now();
                let of = |bucket: &Bucket, limit| if limit == ANY { 0 } else { bucket.wait_ms(now) };
                of(&taken.messages, limits.0).max(of(&taken.bytes, limits.1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(messages: Option<u64>, bytes: Option<u64>) -> Limits {
        let mut limits = Limits::default();
        limits.set(Limit::MaxMessagesPerSecond, messages);
        limits.set(Limit::MaxBytesPerSecond, bytes);
        limits
    }

    #[test]
    fn what_is_beyond_a_second_s_worth_is_waited_for() {
        let at = |ms| move || 1_000_000 + ms;
        for (limits, messages, bytes, wait_ms) in [
            (limits(None, None), 1_000_000, u64::MAX, 0),
            (limits(Some(100), None), 100, 1 << 30, 0),
            (limits(Some(100), None), 101, 0, 10),
            (limits(Some(100), None), 300, 0, 2_000),
            (limits(None, Some(1_000)), 1 << 30, 1_000, 0),
            (limits(None, Some(1_000)), 0, 1_500, 500),
            (limits(Some(100), Some(1_000)), 101, 3_000, 2_000),
        ] {
            let rates = Rates::default();
            rates.set(&limits);
            rates.take(messages, bytes, at(0));
            assert_eq!(rates.wait_ms(at(0)), wait_ms, "{limits:?} {messages} {bytes}");
            assert_eq!(rates.wait_ms(at(wait_ms)), 0);
        }
    }

    #[test]
    fn who_rested_has_a_second_s_worth_and_no_more() {
        let rates = Rates::default();
        rates.set(&limits(Some(100), None));
        for at in [0, 3_600_000] {
            rates.take(150, 0, || 10_000_000 + at);
            assert_eq!(rates.wait_ms(|| 10_000_000 + at), 500);
        }
    }

    #[test]
    fn a_limit_that_is_lifted_lets_everybody_go_on() {
        let rates = Rates::default();
        rates.set(&limits(Some(0), None));
        assert_eq!(rates.wait_ms(|| 5_000), u64::MAX);
        rates.set(&limits(None, None));
        assert_eq!(rates.wait_ms(|| 5_000), 0);
    }
}
