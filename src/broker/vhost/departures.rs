//! Messages on their way from one queue to others: dead ones, and those whose delay is over.
//!
//! They stand in line for their virtual host and are carried out in *turns*. A turn is bounded by what it does, and
//! what its messages drop in the queues that they come to joins the line, so that neither long chains nor wide ones
//! hold up a session. One turn goes on at a time, and a queue's messages leave in its order. Who makes messages depart
//! while nothing stands in line takes a short turn itself, in one group of the journal with its own changes: that is the
//! usual case. The rest is done by a task of the virtual host.
//!
//! Each message enters its targets before it is settled where it was, and the journal gets both in one group. Until
//! then it is still in its old queue for the journal, and a restart finds it there. When much stands in line, those that
//! bring more have to wait.

mod letters;
mod round_robin;
#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Vhost, bell::Bell};
use crate::core::{
    commit::Commit,
    effects::{Departure, Effects},
    queue::Enqueued,
    wakes::wake_all,
};
use crate::limits::{
    DEPARTURES_AT_ONCE_MAX, DEPARTURES_BYTES_AT_ONCE_MAX, DEPARTURES_INLINE_MAX,
    DEPARTURES_WAITING_BYTES_MAX, DEPARTURES_WAITING_MAX, TAP_STEPS,
};
use round_robin::RoundRobin;

/// The departures of a virtual host.
#[derive(Default)]
pub(in crate::broker) struct Departures {
    state: Mutex<State>,
    /// A departure waits, and no turn is going on.
    called: Notify,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct State {
    waiting: RoundRobin,
    is_turn: bool,
    /// Publishers that wait for room.
    feeders: Vec<Waker>,
}

/// The right to carry departures out. There is one of them at a time.
struct Turn<'a>(&'a Departures);

/// How much one turn may do.
struct Budget {
    steps: usize,
    bytes: usize,
}

impl Departures {
    /// None. The bell rings when there are some for the task.
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self { bell, ..Self::default() }
    }

    fn call(&self) {
        self.called.notify_one();
        self.bell.ring();
    }

    /// Puts departures in line behind those of others.
    fn join(&self, departures: &mut Vec<Departure>) {
        let mut state = self.state.lock();
        departures.drain(..).for_each(|departure| state.waiting.push(departure));
        let is_turn = state.is_turn;
        drop(state);
        if !is_turn {
            self.call();
        }
    }

    /// Puts departures in line and gives the turn, if no other waits and none is carried out.
    fn join_first(&self, departures: &mut Vec<Departure>) -> Option<Turn<'_>> {
        let mut state = self.state.lock();
        if departures.is_empty() || state.is_turn || !state.waiting.is_empty() {
            return None;
        }
        departures.drain(..).for_each(|departure| state.waiting.push(departure));
        Some(self.turn(&mut state))
    }

    /// The next turn, if a departure waits and no turn is going on.
    fn begin(&self) -> Option<Turn<'_>> {
        let mut state = self.state.lock();
        let is_due = !state.is_turn && !state.waiting.is_empty();
        is_due.then(|| self.turn(&mut state))
    }

    fn turn(&self, state: &mut State) -> Turn<'_> {
        state.is_turn = true;
        Turn(self)
    }

    /// Whether more departures may be brought.
    pub(in crate::broker) fn has_room(&self) -> bool {
        self.state.lock().has_room(1)
    }

    /// Pending while so many departures wait that sessions that bring more should wait.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.has_room(1) {
            return Poll::Ready(());
        }
        if !state.feeders.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.feeders.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl State {
    /// Whether there is room, and `share` times as much of it.
    fn has_room(&self, share: usize) -> bool {
        self.waiting.len() <= DEPARTURES_WAITING_MAX / share
            && self.waiting.bytes() <= DEPARTURES_WAITING_BYTES_MAX / share
    }
}

impl Turn<'_> {
    fn next(&self) -> Option<Departure> {
        self.0.state.lock().waiting.pop()
    }

    fn join(&self, departures: &mut Vec<Departure>) {
        if !departures.is_empty() {
            let mut state = self.0.state.lock();
            departures.drain(..).for_each(|departure| state.waiting.push(departure));
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_turn = false;
        let is_more = !state.waiting.is_empty();
        let feeders = if state.has_room(2) { std::mem::take(&mut state.feeders) } else { Vec::new() };
        drop(state);
        if is_more {
            self.0.call();
        }
        wake_all(feeders);
    }
}

impl Budget {
    fn of_steps(steps: usize) -> Self {
        Self { steps, bytes: DEPARTURES_BYTES_AT_ONCE_MAX }
    }

    fn is_spent(&self) -> bool {
        self.steps == 0 || self.bytes == 0
    }

    fn spend(&mut self, steps: usize, bytes: usize) {
        self.steps = self.steps.saturating_sub(steps);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Vhost {
    /// Gives the journal the changes; messages that left their queue for another one are sent on now or in a later turn.
    ///
    /// Gives the commit of the caller's own changes. With `atomic` these are one group.
    pub fn append(&self, effects: &mut Effects, atomic: bool) -> Commit {
        self.publish_taps(effects);
        if effects.departures.is_empty() {
            return self.append_changes(effects, atomic);
        }
        if let Some(turn) = self.departures.join_first(&mut effects.departures) {
            self.carry_out(&turn, Budget::of_steps(DEPARTURES_INLINE_MAX), effects);
            return self.append_changes(effects, true);
        }
        // Before others carry them out: what departs has come to its old queue, for the journal, when it leaves that.
        let commit = self.append_changes(effects, atomic);
        self.departures.join(&mut effects.departures);
        commit
    }

    fn append_changes(&self, effects: &mut Effects, atomic: bool) -> Commit {
        if effects.changes.is_empty() {
            return Commit::default();
        }
        self.journal.append(&mut effects.changes, atomic)
    }

    /// Carries out departures that wait, as long as the broker runs.
    pub async fn send_departures(&self) {
        loop {
            self.departures.called.notified().await;
            poll_fn(|cx| self.journal.poll_room(cx)).await;
            self.take_turn();
            tokio::task::yield_now().await;
        }
    }

    /// Whether so few departures wait that publishers may bring more.
    pub fn has_room_for_departures(&self) -> bool {
        self.departures.has_room()
    }

    /// Waits until that is so.
    pub async fn room_for_departures(&self) {
        poll_fn(|cx| self.departures.poll_room(cx)).await;
    }

    /// One turn of the task; none if a session has the turn.
    fn take_turn(&self) {
        let Some(turn) = self.departures.begin() else { return };
        let mut effects = Effects::default();
        self.carry_out(&turn, Budget::of_steps(DEPARTURES_AT_ONCE_MAX), &mut effects);
        // Deliveries first: the disk takes longer than they do.
        effects.outgoing.send();
        self.append_changes(&mut effects, true);
    }

    /// Carries out departures that wait, as far as the budget goes.
    fn carry_out(&self, turn: &Turn<'_>, mut budget: Budget, effects: &mut Effects) {
        let mut enqueued = Enqueued::default();
        while !budget.is_spent()
            && let Some(departure) = turn.next()
        {
            let targets = self.depart(&departure, &mut enqueued, effects);
            let tap_steps = effects.taps.len() * TAP_STEPS;
            self.publish_taps(effects);
            let Departure { queue, entry, .. } = departure;
            budget.spend(1 + targets + tap_steps, entry.message.size_bytes());
            entry.settle(queue, &mut effects.changes);
            turn.join(&mut effects.departures);
        }
    }
}
