//! Calls a virtual host's queues when something is due in them.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Vhost, bell::Bell};
use crate::core::{
    clock::Millis,
    effects::Effects,
    placement::QueueId,
    queue::{SharedQueue, Tick, Timetable},
};
use crate::limits::{CHANGES_PER_TICK, TICKS_AT_ONCE_MAX};

/// When which queue is to be called; for one time each queue is there once.
#[derive(Default)]
pub struct Calls {
    due: Mutex<Due>,
    /// Something is due earlier than before.
    sooner: Notify,
    /// Whatever there is to do for the virtual host rings it.
    pub(in crate::broker) bell: Arc<Bell>,
}

#[derive(Default)]
struct Due {
    calls: BTreeMap<(Millis, QueueId), Weak<SharedQueue>>,
    /// Calls up to this time were made. No queue is called for an earlier one: a queue that is never done would come before all
    /// others again and again.
    passed: Millis,
}

impl Timetable for Calls {
    fn call(&self, queue: &Arc<SharedQueue>, at: Millis) {
        let mut due = self.due.lock();
        let at = at.max(due.passed);
        let is_first = due.calls.first_key_value().is_none_or(|((first, _), _)| at < *first);
        due.calls.insert((at, queue.id), Arc::downgrade(queue));
        drop(due);
        if is_first {
            self.sooner.notify_one();
            self.bell.ring();
        }
    }
}

impl Calls {
    /// The next queue that is due by `now`, or when there will be one.
    fn next(&self, now: Millis) -> Next {
        let mut due = self.due.lock();
        due.passed = now;
        loop {
            match due.calls.first_entry() {
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

impl Vhost {
    /// Calls queues when it is time, as long as the broker runs.
    pub async fn keep_time(&self) {
        let mut done = 0;
        let mut held_up = Vec::new();
        loop {
            if !held_up.is_empty() && self.departures.has_room() {
                held_up.drain(..).for_each(|queue: Arc<SharedQueue>| self.calls.call(&queue, 0));
            }
            let now = self.clock.now();
            match self.calls.next(now) {
                Next::Due(queue) if queue.departs() && !self.departures.has_room() => {
                    held_up.push(queue);
                    done += 1;
                }
                Next::Due(queue) => {
                    done += 1 + self.tick(&queue);
                    poll_fn(|cx| self.journal.poll_room(cx)).await;
                }
                Next::At(at) => {
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(at - now)) => {}
                        () = self.calls.sooner.notified() => {}
                        () = self.room_for_departures(), if !held_up.is_empty() => {}
                    }
                }
                Next::Idle => {
                    tokio::select! {
                        () = self.calls.sooner.notified() => {}
                        () = self.room_for_departures(), if !held_up.is_empty() => {}
                    }
                }
            }
            if done >= TICKS_AT_ONCE_MAX {
                done = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Gives how much there was to do.
    fn tick(&self, queue: &Arc<SharedQueue>) -> usize {
        let mut effects = Effects::default();
        let tick = queue.tick(&mut effects);
        let work = effects.len();
        effects.outgoing.send();
        self.append(&mut effects, false);
        if tick == Tick::Unused {
            self.unused_for_long(queue);
        }
        work / CHANGES_PER_TICK
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        clock::ManualClock,
        declared::QueueSpec,
        journal::Forgetful,
        memory::{Gauge, Holder},
        message::{Publication, View, build_image},
        observing::Observers,
        queue::Surroundings,
    };

    fn delay_queue(clock: &Arc<ManualClock>, calls: &Arc<Calls>) -> Arc<SharedQueue> {
        let [queue] = delay_queues(clock, calls);
        queue
    }

    fn delay_queues<const N: usize>(clock: &Arc<ManualClock>, calls: &Arc<Calls>) -> [Arc<SharedQueue>; N] {
        let memory = Holder::new(Gauge::of_thread());
        let surroundings = Arc::new(Surroundings {
            observers: Arc::new(Observers::new(&memory)),
            memory,
            pager: Arc::new(Forgetful),
            ids: Arc::default(),
            clock: clock.clone(),
            timetable: calls.clone(),
        });
        let queue = || SharedQueue::new(QueueSpec::of_delays(), Arc::default(), surroundings.clone());
        [(); N].map(|()| Arc::new(queue()))
    }

    fn hold(queue: &Arc<SharedQueue>, due: Millis) {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"x"], false);
        queue.hold_until(&mut Publication::new(View::new(layout, &image)), due);
    }

    #[test]
    fn a_queue_is_called_once_for_each_time_however_many_messages_go_past_one_that_waits() {
        let (clock, calls) = (Arc::new(ManualClock::at(1)), Arc::new(Calls::default()));
        let queue = delay_queue(&clock, &calls);
        hold(&queue, 1_000_000);
        let mut ticks = 0;
        for now in 2..1_000 {
            hold(&queue, now);
            clock.advance(1);
            while let Next::Due(queue) = calls.next(now) {
                queue.tick(&mut Effects::default());
                ticks += 1;
            }
        }
        assert_eq!((ticks, calls.due.lock().calls.len()), (998, 1));
        assert!(matches!(calls.next(1_000), Next::At(1_000_000)));
    }

    #[test]
    fn a_queue_that_is_never_done_does_not_overtake_those_that_are_due() {
        let (clock, calls) = (Arc::new(ManualClock::at(1)), Arc::new(Calls::default()));
        let [busy, other] = delay_queues(&clock, &calls);
        calls.call(&busy, 0);
        calls.call(&other, 3);
        let mut called = Vec::new();
        for now in 1..6 {
            let Next::Due(queue) = calls.next(now) else { panic!("one of them is due") };
            if Arc::ptr_eq(&queue, &busy) {
                calls.call(&busy, 0);
            }
            called.push(Arc::ptr_eq(&queue, &other));
        }
        assert_eq!(called, [false, false, false, false, true]);
    }

    #[test]
    fn a_call_that_came_for_nothing_is_not_made_up_for() {
        let (clock, calls) = (Arc::new(ManualClock::at(1)), Arc::new(Calls::default()));
        let queue = delay_queue(&clock, &calls);
        hold(&queue, 1_000);
        for _ in 2..100 {
            clock.advance(1);
            queue.tick(&mut Effects::default());
        }
        assert_eq!(calls.due.lock().calls.len(), 1);
    }
}
