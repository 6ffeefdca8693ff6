//! The journal: what takes the [`Changes`] that must outlive the process.
//!
//! *Journal* is the core's word for this trait; *log* is the store's word for the files in which its journal keeps the changes.
//!
//! The core says what changed; it knows no file. The session or task that runs an operation hands its changes to a [`Journal`]
//! afterwards, and gets the [`Commit`] that they are part of. Answers that a client must not see before the changes are safe
//! (confirms, `declare-ok`, `commit-ok`) wait in the connection's outbox for that commit.
//!
//! Two sessions may append in another order than their queue took the messages: a settlement can come before the
//! publish that it settles. Changes of topology come in the order in which they happened.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use crate::core::{
    change::Changes,
    commit::{Commit, Done, Waiter},
    outgoing::Outgoing,
    pager::{Page, Pager},
    placement::QueueId,
};

/// Makes changes outlive the process.
pub trait Journal: Send + Sync {
    /// Takes changes over, in order; gives the commit after which they are safe: the zeroth if there are none. Does not wait
    /// for it.
    ///
    /// With `atomic`, a crash leaves all of them or none.
    fn append(&self, changes: &mut Changes, atomic: bool) -> Commit;

    /// Tells the waiter when the commit is complete; at once if it is already.
    fn notify(&self, commit: Commit, waiter: Arc<dyn Waiter>);

    /// Pending while so much waits to be written that publishers should not bring more.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Pending until a commit was seen to: messages that it has brought to the disk are [written](super::message::Stage) then.
    /// For one task at a time.
    fn poll_seen_to(&self, _commit: Commit, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// A journal that forgets: for brokers without a disk, in tests.
#[derive(Debug, Default, Clone, Copy)]
pub struct Forgetful;

impl Journal for Forgetful {
    fn append(&self, changes: &mut Changes, _atomic: bool) -> Commit {
        changes.clear();
        Commit::default()
    }

    fn notify(&self, commit: Commit, waiter: Arc<dyn Waiter>) {
        waiter.committed(&Done::up_to(commit), &mut Outgoing::default());
    }

    fn poll_room(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Pager for Forgetful {
    fn load(&self, _queue: QueueId, _first: u64, _last: u64, _bytes_max: usize) -> Option<Page> {
        Some(Page::default())
    }
}
