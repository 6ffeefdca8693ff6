//! Whose state a panic may have broken: something that can be given up, or what all connections share.
//!
//! Decoding touches nothing but the bytes and the state of one connection, and the engine of the key-value store nothing but
//! itself; both say so by [`own`], and whoever runs them ends the connection, or makes the store anew. Everything else may have
//! left a queue or the topology half changed, so that the process ends with it; the hook that does so asks [`is_own`]. Whoever
//! forgets to say anything is on the safe side.

use std::{
    any::Any,
    cell::Cell,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll},
};

thread_local! {
    static OWN: Cell<bool> = const { Cell::new(false) };
}

/// Does something that touches nothing but what can be given up if it panics.
#[inline]
pub fn own<T>(work: impl FnOnce() -> T) -> T {
    let _within = Within(OWN.replace(true));
    #[cfg(test)]
    failpoint::pass();
    work()
}

/// The same; gives the panic instead of going on with it.
pub fn contained<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(|| own(work)))
}

/// The same for a future, which is run to its end; nothing if it panicked.
pub async fn contained_future<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut poll = |cx: &mut Context<'_>| contained(|| future.as_mut().poll(cx));
    poll_fn(|cx| match poll(cx) {
        Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_told_by_the_hook) => Poll::Ready(None),
    })
    .await
}

/// Whether this thread is in the midst of [`own`].
pub fn is_own() -> bool {
    OWN.get()
}

/// Puts things back as they were, by a panic too.
struct Within(bool);

impl Drop for Within {
    fn drop(&mut self) {
        OWN.set(self.0);
    }
}

/// Panics that tests ask for.
#[cfg(test)]
pub(crate) mod failpoint {
    use std::cell::Cell;

    thread_local! {
        static PASSES_LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// This thread panics in its `n`-th [`own`](super::own) from now; the next one is the first.
    pub(crate) fn panic_at(n: usize) {
        PASSES_LEFT.set(Some(n));
    }

    /// Nothing is asked for any more; whether something still was.
    pub(crate) fn disarm() -> bool {
        PASSES_LEFT.take().is_some()
    }

    pub(super) fn pass() {
        match PASSES_LEFT.get() {
            Some(1) => {
                PASSES_LEFT.set(None);
                panic!("asked for by a test");
            }
            left => PASSES_LEFT.set(left.map(|left| left - 1)),
        }
    }
}
