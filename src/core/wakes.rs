//! Tasks to wake, once no lock is held.

use std::task::Waker;

use smallvec::SmallVec;

/// Tasks to wake once all locks are released.
pub type Wakes = SmallVec<[Waker; 4]>;

/// Wakes tasks; no lock may be held.
pub fn wake_all(wakes: impl IntoIterator<Item = Waker>) {
    wakes.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    /// A task that is only counted when it is woken.
    #[derive(Default)]
    pub(in crate::core) struct Count(AtomicUsize);

    impl Count {
        /// How often it was woken since this was last asked.
        pub(in crate::core) fn take(&self) -> usize {
            self.0.swap(0, Ordering::AcqRel)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }
}
