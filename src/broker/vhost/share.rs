//! The share of memory and disk that a virtual host may have: who exceeds it is blocked before others are.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use super::Vhost;
use crate::audit;
use crate::broker::alarm::Reason;
use crate::core::access::Limit;
use crate::limits::SHARES_LOOKED_AT_ONCE_MAX;

/// Whether a virtual host has more messages than it may.
#[derive(Default)]
pub struct Share {
    exceeded: AtomicBool,
    /// Made when somebody asks, or there is something to tell: most virtual hosts have no share.
    reason: OnceLock<watch::Sender<Option<Reason>>>,
}

impl Share {
    /// Whether publishers have to wait.
    #[inline]
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// Follows the reason from now on; it is one of the words of RabbitMQ's alarms.
    pub fn subscribe(&self) -> watch::Receiver<Option<Reason>> {
        self.reason().subscribe()
    }

    fn reason(&self) -> &watch::Sender<Option<Reason>> {
        self.reason.get_or_init(|| watch::Sender::new(None))
    }

    /// Whether that is news.
    fn set(&self, reason: Option<Reason>) -> bool {
        self.exceeded.store(reason.is_some(), Ordering::Relaxed);
        if reason.is_none() && self.reason.get().is_none() {
            return false;
        }
        self.reason().send_if_modified(|told| std::mem::replace(told, reason) != reason)
    }
}

/// Bytes of a virtual host's messages.
#[derive(Debug, Default, Clone, Copy)]
struct Used {
    memory: u64,
    /// All messages of durable queues are taken for persistent ones.
    disk: u64,
}

impl Vhost {
    /// Looks at what it has, if that is limited, and tells its publishers. A share that was exceeded is free again at nine tenths.
    pub async fn watch_share(&self) {
        let limits = self.limits();
        let bounds = (limits.get(Limit::MaxMemoryBytes), limits.get(Limit::MaxDiskBytes));
        let used = if bounds == (None, None) { Used::default() } else { self.used().await };
        let is_over = |used: u64, max: Option<u64>| {
            max.is_some_and(|max| used >= if self.share.is_exceeded() { max - max / 10 } else { max })
        };
        let reason = match (is_over(used.memory, bounds.0), is_over(used.disk, bounds.1)) {
            (false, false) => None,
            (true, false) => Some("low on memory"),
            (false, true) => Some("low on disk"),
            (true, true) => Some("low on memory & low on disk"),
        };
        if self.share.set(reason) {
            let Used { memory, disk } = used;
            if let Some(reason) = reason {
                audit::vhost_alarm_raised(&self.name, reason, memory, disk);
            } else {
                audit::vhost_alarm_cleared(&self.name, memory, disk);
            }
        }
    }

    async fn used(&self) -> Used {
        let queues: Vec<_> =
            self.read(|topology| topology.queues().chain(topology.delay_queue()).cloned().collect());
        let mut used = Used::default();
        for some in queues.chunks(SHARES_LOOKED_AT_ONCE_MAX) {
            for queue in some {
                let status = queue.status();
                used.memory += status.resident_bytes as u64;
                if queue.spec.durable {
                    used.disk += status.bytes as u64;
                }
            }
            tokio::task::yield_now().await;
        }
        used
    }
}
