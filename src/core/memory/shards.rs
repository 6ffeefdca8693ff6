//! A sum that many threads add to.

use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

use crate::limits::MEMORY_GRAIN_BYTES_MAX;

/// A sum, and what threads have added that is not in it yet: less than a grain in each shard, up or down.
#[derive(Debug)]
pub(super) struct Shards {
    grain: usize,
    sum: AtomicIsize,
    parts: [Shard; SHARDS],
}

/// Written by one thread alone, but for the last. Two cache lines: some processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(AtomicIsize);

/// The sum before and after a change.
pub(super) struct Passed {
    pub(super) before: usize,
    pub(super) after: usize,
}

const SHARDS: usize = 16;
/// The shard of all threads that came when the others had their threads.
const SHARED: usize = SHARDS - 1;

impl Shards {
    /// A sum of nothing. All shards together do not hide more than about a sixtieth of `limit_bytes`.
    pub(super) fn of(limit_bytes: usize) -> Self {
        let grain = (limit_bytes / 1024).clamp(1, MEMORY_GRAIN_BYTES_MAX);
        Self { grain, sum: AtomicIsize::new(0), parts: Default::default() }
    }

    /// Adds on this thread's shard. Gives how the sum has changed, if a grain was full.
    #[inline]
    pub(super) fn add(&self, bytes: isize) -> Option<Passed> {
        let own = own_shard();
        let shard = &self.parts[own].0;
        if own == SHARED {
            let now = shard.fetch_add(bytes, Ordering::Relaxed) + bytes;
            return self.is_full(now).then(|| self.add_to_sum(shard.swap(0, Ordering::Relaxed)));
        }
        // No other thread writes here, so it need not be one atomic step.
        let now = shard.load(Ordering::Relaxed) + bytes;
        let is_full = self.is_full(now);
        shard.store(if is_full { 0 } else { now }, Ordering::Relaxed);
        is_full.then(|| self.add_to_sum(now))
    }

    fn is_full(&self, part: isize) -> bool {
        part.unsigned_abs() >= self.grain
    }

    #[cold]
    pub(super) fn add_to_sum(&self, bytes: isize) -> Passed {
        let before = self.sum.fetch_add(bytes, Ordering::Relaxed);
        Passed { before: positive(before), after: positive(before + bytes) }
    }

    /// The sum, without what is in the shards.
    #[inline]
    pub(super) fn sum(&self) -> usize {
        positive(self.sum.load(Ordering::Relaxed))
    }

    /// The sum with what is in the shards; exact while no thread adds.
    pub(super) fn exact_sum(&self) -> usize {
        let parts = self.parts.iter().map(|shard| shard.0.load(Ordering::Relaxed));
        positive(self.sum.load(Ordering::Relaxed) + parts.sum::<isize>())
    }
}

/// A message that one thread makes and another one drops may be taken off before it is added.
fn positive(bytes: isize) -> usize {
    bytes.max(0).unsigned_abs()
}

#[inline]
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed).min(SHARED);
    }
    // When a thread ends, what it drops last may come after its own number.
    OWN.try_with(|own| *own).unwrap_or(SHARED)
}
