//! Work that takes tens of milliseconds and megabytes of memory: off the threads that serve clients, so much of it at once, and so
//! much of it in line. One address has only its share of the line; what else comes from there waits for that, and keeps nobody out.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::failures::Origin;
use crate::limits::{PASSWORDS_WAITING_MAX, PASSWORDS_WAITING_PER_ADDRESS_MAX};

/// Where passwords are checked.
pub(super) struct Checks {
    at_once: Arc<Semaphore>,
    line: Mutex<Line>,
}

/// Who waits for a check, or has one.
#[derive(Default)]
struct Line {
    length: usize,
    /// The places of each origin that has any, or waits for one.
    of: HashMap<Origin, Arc<Semaphore>>,
}

/// Why a password is not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

impl Checks {
    /// So many at once.
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS))),
            line: Mutex::default(),
        }
    }

    /// Waits in line for a turn, and before that for a place in the origin's share of the line. An error if the line is full.
    pub(super) async fn turn(&self, origin: Option<Origin>) -> Result<Turn<'_>, Busy> {
        let share = match origin {
            Some(origin) => Some(Share::wait(self, origin).await?),
            None => None,
        };
        let place = Place::take(self, share)?;
        let permit = self.at_once.clone().acquire_owned().await.map_err(|_closed| Busy)?;
        Ok(Turn { _place: place, permit })
    }
}

/// A turn: something may be worked on now.
pub(super) struct Turn<'a> {
    _place: Place<'a>,
    permit: OwnedSemaphorePermit,
}

impl Turn<'_> {
    /// Does the work. It goes on if nobody waits for it any longer, and until then nothing else has its turn. An error if the process
    /// ends meanwhile.
    pub(super) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let permit = self.permit;
        let working = spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        working.await.map_err(|_ended| Busy)
    }
}

/// One of an origin's places; given back when it is dropped, before it is asked whether that was the last one.
struct Share<'a> {
    _place: OwnedSemaphorePermit,
    _waiting: Waiting<'a>,
}

impl<'a> Share<'a> {
    async fn wait(checks: &'a Checks, origin: Origin) -> Result<Self, Busy> {
        let places = || Arc::new(Semaphore::new(PASSWORDS_WAITING_PER_ADDRESS_MAX));
        let own = checks.line.lock().of.entry(origin).or_insert_with(places).clone();
        let waiting = Waiting { checks, origin };
        let place = own.acquire_owned().await.map_err(|_closed| Busy)?;
        Ok(Self { _place: place, _waiting: waiting })
    }
}

/// Somebody of an origin; the last one to leave takes the origin out of the line.
struct Waiting<'a> {
    checks: &'a Checks,
    origin: Origin,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut line = self.checks.line.lock();
        // Whoever has a place, or waits for one, has another reference.
        if let Entry::Occupied(own) = line.of.entry(self.origin)
            && Arc::strong_count(own.get()) == 1
        {
            own.remove();
        }
    }
}

/// A place in line; given back when it is dropped.
struct Place<'a> {
    checks: &'a Checks,
    _share: Option<Share<'a>>,
}

impl<'a> Place<'a> {
    fn take(checks: &'a Checks, share: Option<Share<'a>>) -> Result<Self, Busy> {
        {
            let mut line = checks.line.lock();
            if line.length >= PASSWORDS_WAITING_MAX {
                return Err(Busy);
            }
            line.length += 1;
        }
        Ok(Self { checks, _share: share })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.checks.line.lock().length -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::mpsc};

    use futures_lite::future::poll_once;
    use tokio::task::{unconstrained, yield_now};

    use super::*;

    fn origin(n: u32) -> Origin {
        IpAddr::V4(n.into()).into()
    }

    /// Waiting turns are pending futures: none of them is done, and all of them stand in line.
    async fn wait(
        checks: &Checks,
        origin: Option<Origin>,
    ) -> Result<std::pin::Pin<Box<impl Future<Output = Result<Turn<'_>, Busy>>>>, Busy> {
        let mut turn = Box::pin(checks.turn(origin));
        match unconstrained(poll_once(turn.as_mut())).await {
            Some(Err(busy)) => Err(busy),
            Some(Ok(_)) => panic!("it has its turn"),
            None => Ok(turn),
        }
    }

    #[tokio::test]
    async fn one_address_has_a_share_of_the_line_and_the_line_is_bounded() {
        let checks = Checks::new(1);
        let working = checks.turn(None).await.unwrap();
        let (mut line, mut beyond) = (vec![], vec![]);
        for n in 0..PASSWORDS_WAITING_MAX - 1 {
            let own = n / PASSWORDS_WAITING_PER_ADDRESS_MAX;
            line.push(wait(&checks, Some(origin(own as u32))).await.unwrap());
            if n + 1 == PASSWORDS_WAITING_PER_ADDRESS_MAX {
                for _ in 0..100 {
                    beyond.push(wait(&checks, Some(origin(0))).await.unwrap());
                }
                assert_eq!(checks.line.lock().length, 1 + n + 1, "who waits for a place has none");
            }
        }
        assert!(wait(&checks, Some(origin(1_000))).await.is_err(), "the line is full");
        drop(line.pop());
        line.push(wait(&checks, Some(origin(1_000))).await.unwrap());
        drop(line.remove(0));
        assert!(unconstrained(poll_once(beyond[0].as_mut())).await.is_none());
        assert_eq!(checks.line.lock().length, PASSWORDS_WAITING_MAX, "it has the place that was left");
        drop(line);
        drop(beyond);
        assert!(checks.line.lock().of.is_empty());
        assert_eq!(checks.line.lock().length, 1);
        drop(working);
        assert!(checks.turn(Some(origin(0))).await.is_ok());
        assert_eq!(checks.line.lock().length, 0);
        assert!(checks.line.lock().of.is_empty());
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_turn_until_it_is_done() {
        let checks = Checks::new(1);
        let (finish, finished) = mpsc::channel::<()>();
        let turn = checks.turn(None).await.unwrap();
        let mut abandoned = Box::pin(turn.run(move || finished.recv()));
        assert!(poll_once(abandoned.as_mut()).await.is_none());
        drop(abandoned);
        let mut next = wait(&checks, None).await.unwrap();
        for _ in 0..100 {
            yield_now().await;
            assert!(poll_once(next.as_mut()).await.is_none());
        }
        finish.send(()).unwrap();
        assert_eq!(next.await.unwrap().run(|| 7).await, Ok(7));
    }
}
