//! The resource alarms: publishers are told and held up while messages take more memory than their budget, or the disk has
//! less room than it should.

use std::{
    future,
    sync::atomic::{AtomicU8, Ordering},
};

use tokio::sync::watch;

use crate::audit;
use crate::core::memory::Gauge;
use crate::limits::ALARM_INTERVAL;

/// Why publishers are held up, in RabbitMQ's words.
pub type Reason = &'static str;

/// Raised by the code that notices, cleared by its own task.
pub struct Alarm {
    /// [`MEMORY`] and [`DISK`].
    raised: AtomicU8,
    reason: watch::Sender<Option<Reason>>,
}

const MEMORY: u8 = 1;
const DISK: u8 = 2;

impl Default for Alarm {
    fn default() -> Self {
        Self { raised: AtomicU8::new(0), reason: watch::Sender::new(None) }
    }
}

impl Alarm {
    /// Raises the memory alarm if the budget is exceeded; gives whether any is raised. Cheap: two relaxed loads.
    #[inline]
    pub fn check(&self, gauge: &Gauge) -> bool {
        if gauge.is_over() && self.raised.fetch_or(MEMORY, Ordering::Relaxed) & MEMORY == 0 {
            audit::memory_alarm_raised(gauge.used_bytes(), gauge.limit_bytes());
            self.tell();
        }
        self.raised.load(Ordering::Relaxed) != 0
    }

    /// Follows the reason from now on.
    pub fn subscribe(&self) -> watch::Receiver<Option<Reason>> {
        self.reason.subscribe()
    }

    /// Clears the memory alarm when memory has been given back; runs as long as the broker.
    pub async fn watch_memory(&self, gauge: &Gauge) {
        let mut reason = self.subscribe();
        loop {
            if reason.wait_for(|_| self.is_raised(MEMORY)).await.is_err() {
                return;
            }
            while !gauge.has_recovered() {
                tokio::time::sleep(ALARM_INTERVAL).await;
            }
            audit::memory_alarm_cleared(gauge.used_bytes());
            self.raised.fetch_and(!MEMORY, Ordering::Relaxed);
            self.tell();
        }
    }

    /// Raises and clears the disk alarm as the store says; runs as long as the broker.
    pub async fn watch_disk(&self, mut low: watch::Receiver<bool>) {
        loop {
            if *low.borrow_and_update() {
                self.raised.fetch_or(DISK, Ordering::Relaxed);
            } else {
                self.raised.fetch_and(!DISK, Ordering::Relaxed);
            }
            self.tell();
            if low.changed().await.is_err() {
                // The store has ended: nothing changes any more.
                future::pending::<()>().await;
            }
        }
    }

    /// Whether publishers are held up for memory.
    pub fn has_memory(&self) -> bool {
        self.is_raised(MEMORY)
    }

    fn is_raised(&self, alarm: u8) -> bool {
        self.raised.load(Ordering::Relaxed) & alarm != 0
    }

    /// Lets everybody know. Under the channel's lock, so that the last reason that is told is the one that holds.
    fn tell(&self) {
        self.reason.send_modify(|reason| {
            *reason = match (self.is_raised(MEMORY), self.is_raised(DISK)) {
                (false, false) => None,
                (true, false) => Some("low on memory"),
                (false, true) => Some("low on disk"),
                (true, true) => Some("low on memory & low on disk"),
            };
        });
    }
}
