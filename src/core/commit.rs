//! Commits: numbers for groups of changes, and which of them are safe on the disk.

use std::sync::Arc;

use smallvec::SmallVec;

use super::outgoing::Outgoing;

/// Changes that become durable together. The zeroth is complete from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Commit(pub u64);

/// Several commits: complete when the last of them is, in whatever order they become so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commits(SmallVec<[Commit; 2]>);

impl Commits {
    /// One more; the zeroth, which is complete from the start, is left out.
    pub fn add(&mut self, commit: Commit) {
        if commit != Commit::default()
            && let Err(at) = self.0.binary_search(&commit)
        {
            self.0.insert(at, commit);
        }
    }

    /// These and some others.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        for commit in others.iter() {
            self.add(commit);
        }
        self
    }

    /// Each once.
    pub fn iter(&self) -> impl Iterator<Item = Commit> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none: then all of them are complete.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets those that are complete; true if all were.
    pub fn forget_done(&mut self, done: &Done) -> bool {
        self.0.retain(|commit| !done.contains(*commit));
        self.0.is_empty()
    }
}

impl From<Commit> for Commits {
    fn from(commit: Commit) -> Self {
        let mut commits = Self::default();
        commits.add(commit);
        commits
    }
}

/// Who waits for commits.
pub trait Waiter: Send + Sync {
    /// These are complete. What has something to send because of that is added to `outgoing`. The journal holds no lock.
    fn committed(self: Arc<Self>, done: &Done, outgoing: &mut Outgoing);
}

/// Which commits are complete: all up to one, with exceptions while a full disk holds some of them back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    last: Commit,
    held_back: Arc<[Commit]>,
}

impl Done {
    /// All up to and with `last`.
    pub fn up_to(last: Commit) -> Self {
        Self { last, held_back: Arc::default() }
    }

    /// All up to and with `last`, but for those in `held_back`.
    pub fn except(last: Commit, held_back: &[Commit]) -> Self {
        Self { last, held_back: held_back.into() }
    }

    /// Whether a commit is complete.
    #[inline]
    pub fn contains(&self, commit: Commit) -> bool {
        commit <= self.last && !self.held_back.contains(&commit)
    }
}
