//! How many bytes all messages take, and whether that is too much.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering, fence},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::core::wakes::wake_all;

/// Bytes of all kept messages, against a limit.
#[derive(Debug)]
pub struct Gauge {
    used_bytes: AtomicUsize,
    limit_bytes: usize,
    /// To be told when half of the limit is passed.
    watcher: Mutex<Option<Waker>>,
}

impl Gauge {
    /// A gauge whose alarm is due above `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self { used_bytes: AtomicUsize::new(0), limit_bytes, watcher: Mutex::default() }
    }

    /// Something that took `before` bytes takes `after` now.
    #[inline]
    pub fn change(&self, before: usize, after: usize) {
        if after > before {
            let more = after - before;
            let used = self.used_bytes.fetch_add(more, Ordering::Relaxed);
            if used < self.half() && used + more >= self.half() {
                self.wake_watcher();
            }
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

    fn half(&self) -> usize {
        self.limit_bytes / 2
    }

    #[cold]
    fn wake_watcher(&self) {
        // Either this finds the watcher, or the watcher what is in use now.
        fence(Ordering::SeqCst);
        let watcher = self.watcher.lock().take();
        wake_all(watcher);
    }

    /// Pending while less than half of the limit is in use. For one task.
    pub fn poll_half(&self, cx: &mut Context<'_>) -> Poll<()> {
        *self.watcher.lock() = Some(cx.waker().clone());
        fence(Ordering::SeqCst);
        if self.used_bytes() < self.half() { Poll::Pending } else { Poll::Ready(()) }
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
    use crate::core::wakes::tests::Count;

    #[test]
    fn whoever_waits_for_half_of_the_limit_is_woken_once_by_who_passes_it() {
        let woken = Arc::new(Count::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let gauge = Gauge::new(1_000);
        assert_eq!(gauge.poll_half(&mut context), Poll::Pending);
        gauge.change(0, 499);
        assert_eq!(woken.take(), 0);
        gauge.change(0, 1);
        gauge.change(0, 100);
        assert_eq!((woken.take(), gauge.poll_half(&mut context)), (1, Poll::Ready(())));
        gauge.change(600, 0);
        assert_eq!(gauge.poll_half(&mut context), Poll::Pending);
        gauge.change(0, 2_000);
        assert_eq!(woken.take(), 1);
    }

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
