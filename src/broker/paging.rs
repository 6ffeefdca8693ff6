//! Makes room in memory while it is short.
//!
//! What is on disk is let go of. What is not is given to the journal first: a little of it, which is let go of before more is given,
//! for until then it takes memory twice.

use std::{future::poll_fn, panic::resume_unwind, sync::Arc};

use tracing::warn;

use super::Broker;
use crate::core::{
    change::{Change, Changes, TopologyChange},
    commit::Commit,
    queue::SharedQueue,
};
use crate::limits::{PAGING_INTERVAL, SPILL_BYTES_MAX};
use crate::process;
use crate::protocol::ShortString;

/// What queues have given to the journal and have not let go of.
#[derive(Default)]
struct Spilled {
    queues: Vec<Arc<SharedQueue>>,
    /// Bytes of messages.
    bytes: usize,
    commit: Commit,
}

impl Spilled {
    fn add(&mut self, queue: &Arc<SharedQueue>, changes: &Changes) {
        let bytes = changes.iter().map(|change| match change {
            Change::Publish { message, .. } => message.size_bytes() + size_of::<Change>(),
            _ => 0,
        });
        self.bytes += bytes.sum::<usize>();
        if !self.queues.last().is_some_and(|last| Arc::ptr_eq(last, queue)) {
            self.queues.push(queue.clone());
        }
    }
}

impl Broker {
    /// Makes room while more than half of the memory limit is in use: queues let go of what is far from its turn, and of what is next, too,
    /// when more is in use. Runs as long as the broker, a part of a queue at a time.
    pub async fn page_out(&self) {
        loop {
            poll_fn(|cx| self.gauge.poll_half(cx)).await;
            for vhost in self.vhosts.all() {
                let queues = vhost.read(|topology| topology.queues().cloned().collect::<Vec<_>>());
                let mut spilled = Spilled::default();
                for queue in queues {
                    self.page_out_queue(&vhost.name, &queue, &mut spilled).await;
                    if spilled.bytes >= SPILL_BYTES_MAX {
                        self.let_go(&vhost.name, &mut spilled).await;
                    }
                }
                self.let_go(&vhost.name, &mut spilled).await;
            }
            self.give_back_freed().await;
            tokio::time::sleep(PAGING_INTERVAL).await;
        }
    }

    /// What was let go of is of use to others only when the process has given it back, which it does in its own time as long as it
    /// has no more than messages may take.
    async fn give_back_freed(&self) {
        let giving = tokio::task::spawn_blocking({
            let limit = self.gauge.limit_bytes() as u64;
            move || if process::resident_bytes() > limit { process::give_back_freed() } else { Ok(()) }
        });
        match giving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "freed memory is not given back at once"),
            Err(error) => {
                // Else the runtime ends, and this task with it.
                if let Ok(panic) = error.try_into_panic() {
                    resume_unwind(panic)
                }
            }
        }
    }

    async fn page_out_queue(&self, vhost: &ShortString, queue: &Arc<SharedQueue>, spilled: &mut Spilled) {
        let mut more = true;
        while more {
            let mut changes = Changes::new();
            more = queue.page_out(self.gauge.is_pressed(), &mut changes);
            if !changes.is_empty() {
                spilled.add(queue, &changes);
                spilled.commit = self.journal.append(&mut changes, false);
                if queue.is_deleted() && !queue.spec.durable {
                    // It went meanwhile, and the journal was told before it got these.
                    let change = TopologyChange::QueueDeleted { id: queue.id, name: queue.spec.name.clone() };
                    changes.push(Change::Topology { vhost: vhost.clone(), change });
                    self.journal.append(&mut changes, false);
                    return;
                }
            }
            if more && spilled.bytes >= SPILL_BYTES_MAX {
                self.wait_for(spilled).await;
                self.give_back_freed().await;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Has queues let go of what they have given to the journal.
    async fn let_go(&self, vhost: &ShortString, spilled: &mut Spilled) {
        self.wait_for(spilled).await;
        for queue in std::mem::take(&mut spilled.queues) {
            self.page_out_queue(vhost, &queue, spilled).await;
        }
    }

    async fn wait_for(&self, spilled: &mut Spilled) {
        poll_fn(|cx| self.journal.poll_seen_to(spilled.commit, cx)).await;
        spilled.bytes = 0;
    }
}
