//! Reads of messages from the disk: not by a worker of the runtime that others need, and not under a lock that others need.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::core::{
    pager::{Page, Pager},
    placement::QueueId,
};

thread_local! {
    /// How many locks this thread holds under which nothing is read; counted where assertions are.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// A lock's guard under which nothing is read from the disk.
pub struct Quiet<G>(G);

impl<G> Quiet<G> {
    pub(super) fn new(guard: G) -> Self {
        if cfg!(debug_assertions) {
            HELD.set(HELD.get() + 1);
        }
        Self(guard)
    }
}

impl<G> Drop for Quiet<G> {
    fn drop(&mut self) {
        if cfg!(debug_assertions) {
            HELD.set(HELD.get() - 1);
        }
    }
}

impl<G: Deref> Deref for Quiet<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.0
    }
}

impl<G: DerefMut> DerefMut for Quiet<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.0
    }
}

/// A pager whose reads keep no worker from its tasks: the runtime gives them to another thread meanwhile.
pub(super) struct OffWorker(pub(super) Arc<dyn Pager>);

impl Pager for OffWorker {
    fn load(&self, queue: QueueId, first: u64, last: u64, bytes_max: usize) -> Option<Page> {
        debug_assert_eq!(HELD.get(), 0, "nothing is read under a lock that others need");
        let load = || self.0.load(queue, first, last, bytes_max);
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(load),
            _ => load(),
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::core::journal::Forgetful;

    fn load() -> Option<Page> {
        OffWorker(Arc::new(Forgetful)).load(QueueId(1), 0, 1, 1)
    }

    #[test]
    fn reading_under_a_lock_is_noticed() {
        let lock = Mutex::new(());
        let held = Quiet::new(lock.lock());
        assert!(std::panic::catch_unwind(load).is_err());
        drop(held);
        assert!(load().is_some());
    }

    #[test]
    fn any_thread_may_read() {
        let both =
            [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()];
        for mut runtime in both {
            let runtime = runtime.build().unwrap();
            assert!(runtime.block_on(async { load() }).is_some());
            assert!(runtime.block_on(async { tokio::spawn(async { load() }).await }).unwrap().is_some());
            assert!(runtime.block_on(async { tokio::task::spawn_blocking(load).await }).unwrap().is_some());
        }
        assert!(load().is_some());
    }
}
