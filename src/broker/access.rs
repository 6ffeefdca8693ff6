//! Users and permissions as all connections share them. What is changed here holds for the next frame of every client.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::{Mutex, RwLock};

use crate::audit;
use crate::core::{
    access::{AccessChange, Grant, Registry, UserSpec},
    change::{Change, Changes},
    commit::Commit,
    journal::Journal,
    pattern::BadPattern,
};
use crate::protocol::ShortString;

/// Who may do what, behind its lock.
pub struct Access {
    registry: RwLock<Registry>,
    /// Who changes something tells the audit, too, and in the same order: longer than anybody else should wait for the registry.
    changing: Mutex<()>,
    journal: Arc<dyn Journal>,
    last_change: AtomicU64,
    /// Counts changes: whoever remembers an answer remembers this with it.
    stamp: AtomicU64,
}

impl Access {
    /// What changes of before have led to; further ones go to `journal`.
    pub fn new(registry: Registry, journal: Arc<dyn Journal>) -> Self {
        Self {
            registry: RwLock::new(registry),
            changing: Mutex::default(),
            journal,
            last_change: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
        }
    }

    /// How often something was changed. An answer that was given at another stamp may be wrong by now.
    #[inline]
    pub fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Acquire)
    }

    /// The commit of the last change.
    pub(super) fn last_change(&self) -> Commit {
        Commit(self.last_change.load(Ordering::Acquire))
    }

    /// Reads users and permissions.
    pub fn read<T>(&self, operation: impl FnOnce(&Registry) -> T) -> T {
        operation(&self.registry.read())
    }

    /// A user by name.
    pub fn user(&self, name: &[u8]) -> Option<Arc<UserSpec>> {
        self.registry.read().user(name).cloned()
    }

    /// What a user may do in a virtual host, and the stamp of that answer. `None` if it may not even open it.
    pub fn grant(&self, user: &ShortString, vhost: &ShortString) -> (Option<Arc<Grant>>, u64) {
        let registry = self.registry.read();
        // Under the lock: no change comes between the two.
        (registry.grant(user, vhost).cloned(), self.stamp())
    }

    /// Carries changes out, in order, and remembers them together. Gives the commit to wait for. An error, and only what came before
    /// it is changed, at the first that cannot be.
    pub fn change(&self, changes: impl IntoIterator<Item = AccessChange>) -> Result<Commit, BadPattern> {
        self.change_by(|_| changes)
    }

    /// The same with changes that depend on what there is. They are carried out before anybody else sees or changes something.
    pub fn change_by<C: IntoIterator<Item = AccessChange>>(
        &self,
        changes: impl FnOnce(&Registry) -> C,
    ) -> Result<Commit, BadPattern> {
        self.change_with(changes, |mut done| (self.journal.append(&mut done, true), ()))
            .map(|(commit, ())| commit)
    }

    /// The same beside something else that changes: `append` gives the journal both as one group. It may lock virtual hosts and their
    /// topology, which nobody does who waits for users and permissions.
    pub(super) fn change_with<C: IntoIterator<Item = AccessChange>, T>(
        &self,
        changes: impl FnOnce(&Registry) -> C,
        append: impl FnOnce(Changes) -> (Commit, T),
    ) -> Result<(Commit, T), BadPattern> {
        let _alone = self.changing.lock();
        let mut registry = self.registry.write();
        let mut done = Changes::new();
        let changes: Vec<_> = changes(&registry).into_iter().collect();
        let mut count = 0;
        let result = changes.iter().try_for_each(|change| {
            registry.apply(change.clone())?;
            done.push(Change::from(change.clone()));
            count += 1;
            Ok(())
        });
        // Under the lock: the journal gets changes in the order in which they happened.
        let (commit, beside) = append(done);
        self.last_change.fetch_max(commit.0, Ordering::Release);
        self.stamp.fetch_add(1, Ordering::Release);
        drop(registry);
        changes[..count].iter().for_each(audit::access_changed);
        result.map(|()| (commit, beside))
    }
}
