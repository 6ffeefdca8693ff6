//! Calls a virtual host's queues when something is due in them.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Vhost;
use crate::core::{
    clock::Millis,
    effects::Effects,
    journal::Timetable,
    queue::{SharedQueue, Tick},
};

/// When which queue is to be called.
#[derive(Default)]
pub struct Calls {
    state: Mutex<State>,
    /// Something is due earlier than before.
    sooner: Notify,
}

#[derive(Default)]
struct State {
    due: BTreeMap<(Millis, u64), Weak<SharedQueue>>,
    last: u64,
}

impl Timetable for Calls {
    fn call(&self, queue: &Arc<SharedQueue>, at: Millis) {
        let mut state = self.state.lock();
        let is_first = state.due.first_key_value().is_none_or(|((first, _), _)| at < *first);
        state.last += 1;
        let number = state.last;
        state.due.insert((at, number), Arc::downgrade(queue));
        drop(state);
        if is_first {
            self.sooner.notify_one();
        }
    }
}

impl Calls {
    /// The next queue that is due by `now`, or when there will be one.
    fn next(&self, now: Millis) -> Next {
        let mut state = self.state.lock();
        loop {
            match state.due.first_entry() {
                None => return Next::Idle,
                Some(first) if first.key().0 > now => return Next::At(first.key().0),
                Some(first) => {
                    if let Some(queue) = first.remove().upgrade() {
                        return Next::Due(queue);
                    }
                }
            }
        }
    }
}

enum Next {
    Due(Arc<SharedQueue>),
    At(Millis),
    Idle,
}

/// Calls queues in a row before other tasks get their turn.
const CALLS_IN_A_ROW: usize = 32;

impl Vhost {
    /// Calls queues when it is time, as long as the broker runs.
    pub async fn keep_time(&self) {
        let mut called = 0;
        loop {
            let now = self.clock.now();
            match self.calls.next(now) {
                Next::Due(queue) => {
                    self.tick(&queue);
                    poll_fn(|cx| self.journal.poll_room(cx)).await;
                    called += 1;
                    if called % CALLS_IN_A_ROW == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Next::At(at) => {
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(at - now)) => {}
                        () = self.calls.sooner.notified() => {}
                    }
                }
                Next::Idle => self.calls.sooner.notified().await,
            }
        }
    }

    fn tick(&self, queue: &Arc<SharedQueue>) {
        let mut effects = Effects::default();
        let tick = queue.tick(&mut effects);
        self.append(&mut effects, false);
        if tick == Tick::Unused {
            tracing::info!(vhost = %self.name, queue = %queue.spec.name, "queue expired");
            self.last_consumer_left(queue);
        }
    }
}
