//! The memory alarm: publishers are told and held up while messages take more than their budget.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::core::memory::Gauge;
use crate::limits::ALARM_INTERVAL;

/// Why publishers are held up, in RabbitMQ's words.
pub type Reason = &'static str;

/// Raised by whoever notices, cleared by its own task.
pub struct Alarm {
    raised: AtomicBool,
    reason: watch::Sender<Option<Reason>>,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { raised: AtomicBool::new(false), reason: watch::Sender::new(None) }
    }
}

impl Alarm {
    /// Raises it if the budget is exceeded; gives whether it is raised. Cheap: two relaxed loads.
    #[inline]
    pub fn check(&self, gauge: &Gauge) -> bool {
        if gauge.is_over() && !self.raised.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                used_bytes = gauge.used_bytes(),
                limit_bytes = gauge.limit_bytes(),
                "memory alarm: publishers are blocked"
            );
            self.reason.send_replace(Some("low on memory"));
        }
        self.raised.load(Ordering::Relaxed)
    }

    /// Follows the reason from now on.
    pub fn subscribe(&self) -> watch::Receiver<Option<Reason>> {
        self.reason.subscribe()
    }

    /// Clears the alarm when memory has been given back; runs as long as the broker.
    pub async fn watch(&self, gauge: &Gauge) {
        let mut reason = self.subscribe();
        loop {
            if reason.wait_for(Option::is_some).await.is_err() {
                return;
            }
            while !gauge.has_recovered() {
                tokio::time::sleep(ALARM_INTERVAL).await;
            }
            tracing::info!(used_bytes = gauge.used_bytes(), "memory alarm cleared");
            // In this order: whoever checks in between finds it raised, and the next one raises it again.
            self.reason.send_replace(None);
            self.raised.store(false, Ordering::Relaxed);
        }
    }
}
