//! A queue's figures, to be shown.

use crate::core::{
    clock::Millis,
    queue::{Queue, QueueCounters, QueueTotals, RareCounters},
};

/// A queue's figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueStatus {
    /// Messages that wait.
    pub ready: usize,
    /// Messages that wait for their time.
    pub delayed: usize,
    /// Messages that clients hold.
    pub unacked: usize,
    /// Bytes of both.
    pub bytes: usize,
    /// Those of them that clients hold.
    pub unacked_bytes: usize,
    /// When a client last consumed, got or declared.
    pub used_at: Millis,
    /// Those of them that are in memory.
    pub resident_bytes: usize,
    /// Consumers.
    pub consumers: usize,
    /// What it has done.
    pub counters: QueueCounters,
    /// What else it has done.
    pub rare: RareCounters,
}

impl QueueStatus {
    pub(super) fn of(queue: &Queue) -> Self {
        Self {
            ready: queue.ready.len(),
            delayed: queue.delayed.len(),
            unacked: queue.unacked_count,
            bytes: queue.ready.bytes() + queue.unacked_bytes,
            unacked_bytes: queue.unacked_bytes,
            used_at: queue.used_at,
            resident_bytes: queue.ready.resident_bytes() + queue.unacked_bytes,
            consumers: queue.consumers.len(),
            counters: queue.counters,
            rare: *queue.rare,
        }
    }
    /// What it has done, to be added up.
    pub fn totals(&self) -> QueueTotals {
        QueueTotals { counts: self.counters.into(), rare: self.rare }
    }
}
