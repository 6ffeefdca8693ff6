//! The gate: how many sockets there may be at once, and which of them has to go when there are too many.
//!
//! A socket has a place from when it is accepted until it is closed. While its client has not logged in, or has said good-bye,
//! the place is only lent: the oldest such socket is closed when a new one needs it, and one that has not logged in before one
//! that says good-bye: it is owed nothing, and ends at once. So silent sockets keep no client out, however many there are, and a
//! client that logs in at once is never asked to go.

use std::{collections::BTreeMap, fmt::Display, net::SocketAddr, sync::Arc, time::Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{newcomers::Newcomers, sparing::Sparing};
use crate::audit;
use crate::limits::{REFUSALS_LOGGED_MAX, REFUSALS_LOGGED_REFILL};

/// Counts sockets and their places. One for all listeners.
pub struct Gate {
    places: Arc<Semaphore>,
    lent: Mutex<Lent>,
    /// Those who have not logged in.
    pub(super) newcomers: Newcomers,
    /// Lines of the log about clients that were not let in.
    refusals: Mutex<Sparing>,
}

/// Sockets that may be closed for a new one: first those that have not logged in, then those that say good-bye, the oldest first.
#[derive(Default)]
struct Lent {
    last: u64,
    sockets: BTreeMap<(Why, u64), Arc<Notify>>,
}

/// Why a place is only lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// The client has not logged in.
    Silent,
    /// The client may still read our last words.
    Leaving,
}

impl Gate {
    /// A gate for so many sockets.
    pub fn new(sockets_max: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(sockets_max.min(Semaphore::MAX_PERMITS))),
            lent: Mutex::default(),
            newcomers: Newcomers::default(),
            refusals: Mutex::new(Sparing::new(REFUSALS_LOGGED_MAX, REFUSALS_LOGGED_REFILL)),
        }
    }

    /// A place for a new socket, if need be that of the oldest one that may be closed; `None` if there is none such.
    pub(super) async fn place(self: &Arc<Self>) -> Option<Place> {
        let permit = if let Ok(permit) = self.places.clone().try_acquire_owned() {
            permit
        } else {
            let (_, oldest) = self.lent.lock().sockets.pop_first()?;
            oldest.notify_one();
            self.places.clone().acquire_owned().await.ok()?
        };
        let mut place = Place { gate: self.clone(), _permit: permit, lent: None };
        place.lend(Why::Silent);
        Some(place)
    }

    /// Tells the audit that a client was not let in, and as whom it has come if it has said that; of a flood of them only some, with how
    /// many were left out.
    pub(super) fn refused(&self, peer: SocketAddr, user: Option<&dyn Display>, why: &dyn Display) {
        let left_out = self.refusals.lock().take(Instant::now());
        if let Some(left_out) = left_out {
            audit::refused(peer, user, why, left_out);
        }
    }
}

/// A socket's place; given back when it is dropped.
pub(super) struct Place {
    gate: Arc<Gate>,
    _permit: OwnedSemaphorePermit,
    /// Set while the place is only lent.
    lent: Option<((Why, u64), Arc<Notify>)>,
}

impl Place {
    /// From now on the socket may be asked to go.
    pub(super) fn lend(&mut self, why: Why) {
        let wanted = Arc::new(Notify::new());
        let mut lent = self.gate.lent.lock();
        lent.last += 1;
        let number = (why, lent.last);
        lent.sockets.insert(number, wanted.clone());
        drop(lent);
        self.lent = Some((number, wanted));
    }

    /// From now on it may stay. False if it is too late for that.
    pub(super) fn keep(&mut self) -> bool {
        let Some((number, _)) = self.lent.take() else { return true };
        self.gate.lent.lock().sockets.remove(&number).is_some()
    }

    /// Waits until another client wants the place.
    pub(super) async fn wanted(&self) {
        match &self.lent {
            Some((_, wanted)) => wanted.notified().await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keep();
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::poll_once;

    use super::*;

    async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        poll_once(Box::pin(future)).await
    }

    #[tokio::test]
    async fn the_oldest_silent_socket_makes_room_for_a_new_one() {
        let gate = Arc::new(Gate::new(2));
        let mut first = gate.place().await.unwrap();
        let second = gate.place().await.unwrap();
        assert!(now(first.wanted()).await.is_none());
        let third = tokio::spawn({
            let gate = gate.clone();
            async move { gate.place().await.is_some() }
        });
        first.wanted().await;
        assert!(now(second.wanted()).await.is_none());
        assert!(!first.keep(), "its place is promised");
        drop(first);
        assert!(third.await.unwrap());
    }

    #[tokio::test]
    async fn who_has_logged_in_is_not_asked_to_go_before_it_says_good_bye() {
        let gate = Arc::new(Gate::new(1));
        let mut only = gate.place().await.unwrap();
        assert!(only.keep() && only.keep());
        assert!(gate.place().await.is_none());
        only.lend(Why::Leaving);
        let next = tokio::spawn({
            let gate = gate.clone();
            async move { gate.place().await.is_some() }
        });
        only.wanted().await;
        drop(only);
        assert!(next.await.unwrap());
    }

    #[tokio::test]
    async fn a_silent_socket_goes_before_an_older_one_that_says_good_bye() {
        let gate = Arc::new(Gate::new(2));
        let mut leaving = gate.place().await.unwrap();
        assert!(leaving.keep());
        leaving.lend(Why::Leaving);
        let silent = gate.place().await.unwrap();
        let next = tokio::spawn({
            let gate = gate.clone();
            async move { gate.place().await.is_some() }
        });
        silent.wanted().await;
        assert!(now(leaving.wanted()).await.is_none());
        drop(silent);
        assert!(next.await.unwrap());
    }

    #[tokio::test]
    async fn a_socket_that_has_gone_by_itself_is_not_asked() {
        let gate = Arc::new(Gate::new(1));
        for _ in 0..3 {
            drop(gate.place().await.unwrap());
        }
        assert!(gate.lent.lock().sockets.is_empty());
    }
}
