//! Messages move in from a queue of another broker: into the queue of the same name, in steps, and onto the disk.
//!
//! Nothing is routed and nobody is asked whether it may be published: it has its place in a queue already. As publishers do, it
//! waits for memory, disk and the journal, but not for ever: whoever brings messages has them until it is told that they are safe.

use std::{future::poll_fn, sync::Arc};

use tokio::time::{sleep, timeout};

use super::{Broker, Vhost, completed::completed};
use crate::core::{commit::Commit, effects::Effects, moved_in::MovedIn, queue::SharedQueue};
use crate::limits::{ALARM_INTERVAL, MOVED_IN_AT_ONCE_MAX, OPERATOR_WAITS_MAX};

/// What became of messages that were to move in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// So many of them, the first ones, are in the queue, and on the disk if they are to be.
    pub taken: usize,
    /// Why the others are not.
    pub stopped: Option<Stopped>,
}

/// Why no more messages moved in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The queue has as many as it may.
    Full,
    /// Memory or disk is short, or the virtual host has as much as it may.
    HeldUp,
    /// The queue was deleted.
    Gone,
}

impl Broker {
    /// Takes messages in, and gives what became of them when that is safe. Dropping the future leaves some of them in the queue.
    pub async fn move_in(&self, vhost: &Vhost, queue: &Arc<SharedQueue>, messages: &[MovedIn]) -> Arrived {
        let (mut arrived, mut commits) = (Arrived { taken: 0, stopped: None }, Vec::new());
        for step in messages.chunks(MOVED_IN_AT_ONCE_MAX) {
            if timeout(OPERATOR_WAITS_MAX, self.room_to_move_in(vhost)).await.is_err() {
                arrived.stopped = Some(Stopped::HeldUp);
                break;
            }
            let (taken, commit) = vhost.take_in(queue, step);
            commits.push(commit);
            arrived.taken += taken.unwrap_or_default();
            arrived.stopped = match taken {
                None => Some(Stopped::Gone),
                Some(taken) if taken < step.len() => Some(Stopped::Full),
                Some(_) => None,
            };
            if arrived.stopped.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        for commit in commits {
            completed(&*self.journal, commit).await;
        }
        arrived
    }

    async fn room_to_move_in(&self, vhost: &Vhost) {
        while self.alarm.check(self.gauge) || vhost.share.is_exceeded() {
            sleep(ALARM_INTERVAL).await;
        }
        poll_fn(|cx| self.journal.poll_room(cx)).await;
        vhost.room_for_departures().await;
    }
}

impl Vhost {
    /// One step: how many messages the queue has taken, and the commit to wait for.
    fn take_in(&self, queue: &Arc<SharedQueue>, step: &[MovedIn]) -> (Option<usize>, Commit) {
        let mut effects = Effects::default();
        let taken = queue.move_in(step, &mut effects);
        effects.outgoing.send();
        (taken, self.append(&mut effects, false))
    }
}

#[cfg(test)]
mod tests;
