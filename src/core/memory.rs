//! How many bytes all messages take, and whether that is too much.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes of all kept messages, against a limit.
#[derive(Debug)]
pub struct Gauge {
    used_bytes: AtomicUsize,
    limit_bytes: usize,
}

impl Gauge {
    /// A gauge whose alarm is due above `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self { used_bytes: AtomicUsize::new(0), limit_bytes }
    }

    /// Something that took `before` bytes takes `after` now.
    #[inline]
    pub fn change(&self, before: usize, after: usize) {
        if after > before {
            self.used_bytes.fetch_add(after - before, Ordering::Relaxed);
        } else if before > after {
            self.used_bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that may be used.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Whether publishers must be held up.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.used_bytes() > self.limit_bytes
    }

    /// Whether they may go on: use has fallen to nine tenths of the limit.
    pub fn has_recovered(&self) -> bool {
        self.used_bytes() <= self.limit_bytes / 100 * crate::limits::MEMORY_RESUME_PERCENT
    }
}

/// Bytes that count against a gauge as long as this lives.
#[derive(Debug)]
pub struct Held {
    gauge: Arc<Gauge>,
    bytes: usize,
}

impl Held {
    /// Nothing yet.
    pub fn new(gauge: Arc<Gauge>) -> Self {
        Self { gauge, bytes: 0 }
    }

    /// So many more.
    pub fn add(&mut self, bytes: usize) {
        self.gauge.change(self.bytes, self.bytes + bytes);
        self.bytes += bytes;
    }

    /// How many there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.change(self.bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_has_hysteresis() {
        let gauge = Gauge::new(1_000);
        gauge.change(0, 1_001);
        assert!(gauge.is_over());
        gauge.change(1_001, 950);
        assert!(!gauge.is_over() && !gauge.has_recovered());
        gauge.change(950, 900);
        assert!(gauge.has_recovered());
    }
}
