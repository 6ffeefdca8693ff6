//! Redrive: an operator has messages of a queue moved or copied elsewhere, from a queue of dead ones back to work above all.
//!
//! It goes in steps. Each looks at some messages in the order of their delivery, takes those that are meant out of their
//! places, publishes them to their targets, and gives the journal both in one group: after a crash a message is in one place. The
//! next step begins when that group is safe. Nothing else moves: what the filter does not mean, what no queue can take, and
//! what clients hold stays where it is; consumers go on meanwhile and may be faster.
//!
//! A message that comes to the queue after the beginning is not looked at, so that a redrive ends even if its target is the
//! same queue.

use std::{collections::VecDeque, future::poll_fn, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Vhost, completed::completed};
use crate::core::{
    clock::Millis,
    commit::Commit,
    effects::Effects,
    entry::Entry,
    message::View,
    placement::{counter_of, line_of, position_of},
    queue::{Cursor, Enqueued, Peeked, SharedQueue},
    redrive::{Matcher, Redrive, Redriven, Target, redriven},
};
use crate::limits::{ALARM_INTERVAL, REDRIVE_AT_ONCE_MAX};
use crate::protocol::ShortString;

/// What a redrive has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages that were looked at.
    pub looked_at: u64,
    /// Of these, moved or copied. They are safe where they are now, but for those of the last step if it was stopped.
    pub sent: u64,
    /// Not meant by the filter.
    pub unmatched: u64,
    /// Meant, and left because no queue was found for them.
    pub unroutable: u64,
    /// Meant, and taken by a consumer meanwhile.
    pub missed: u64,
    /// Why it ended, if it has.
    pub ended: Option<Ended>,
}

impl Progress {
    /// Messages that were looked at and left where they were.
    pub fn left(&self) -> u64 {
        self.unmatched + self.unroutable
    }
}

/// Why a redrive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All messages that were ready at its beginning were looked at.
    AtEnd,
    /// As many as were wanted were sent.
    AtLimit,
    /// It was told to.
    Stopped,
}

/// Why a redrive cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedriveError {
    /// There is no queue to take messages from.
    #[error("no queue '{0}'")]
    NoQueue(ShortString),
    /// There is no queue to bring them to.
    #[error("no target queue '{0}'")]
    NoTargetQueue(ShortString),
    /// There is no exchange to publish them to.
    #[error("no target exchange '{0}'")]
    NoTargetExchange(ShortString),
}

impl Vhost {
    /// Moves or copies ready messages of a queue as `order` says; gives what was done when that is over, and shows
    /// it in `progress` after each step. Ends early when `stop` is cancelled.
    ///
    /// Dropping the future is safe, too: a step is whole or was not begun.
    pub async fn redrive(
        &self,
        queue: &ShortString,
        order: &Redrive,
        stop: &CancellationToken,
        progress: &watch::Sender<Progress>,
    ) -> Result<Progress, RedriveError> {
        let queue = self.source_of(queue, &order.to)?;
        let mut redriving = Redriving::new(self, &queue, order);
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ended::Stopped,
            ended = redriving.finish(progress) => ended,
        };
        redriving.progress.ended = Some(ended);
        progress.send_replace(redriving.progress);
        tracing::info!(vhost = %self.name, queue = %queue.spec.name, ?order, progress = ?redriving.progress, "redriven");
        Ok(redriving.progress)
    }

    /// The queue, if it and the target are there.
    fn source_of(&self, queue: &ShortString, target: &Target) -> Result<Arc<SharedQueue>, RedriveError> {
        self.read(|topology| {
            let source =
                topology.queue(queue).cloned().ok_or_else(|| RedriveError::NoQueue(queue.clone()))?;
            match target {
                Target::Queue(name) if topology.queue(name).is_none() => {
                    Err(RedriveError::NoTargetQueue(name.clone()))
                }
                Target::Exchange { name, .. } if !topology.has_exchange(name) => {
                    Err(RedriveError::NoTargetExchange(name.clone()))
                }
                _ => Ok(source),
            }
        })
    }

    /// Takes a delayed message of a queue out before it is due: one that was published with a delay, or that comes
    /// again later. Gives the commit to wait for; `None` if it does not wait any more.
    pub fn cancel_delayed(&self, queue: &Arc<SharedQueue>, at: Cursor) -> Option<Commit> {
        let mut effects = Effects::default();
        let cancelled = queue.cancel_delayed(at.due, at.position, &mut effects);
        let commit = self.append(&mut effects, false);
        cancelled.then_some(commit)
    }

    /// Has such a message come at another moment, in milliseconds since the epoch: at once if that is past. Gives where it stands then, and
    /// the commit to wait for; `None` if it does not wait any more.
    pub fn reschedule_delayed(
        &self,
        queue: &Arc<SharedQueue>,
        at: Cursor,
        due: Millis,
    ) -> Option<(Cursor, Commit)> {
        let mut effects = Effects::default();
        let due = due.max(1);
        let rescheduled = queue.reschedule_delayed((at.due, at.position), due, &mut effects);
        let commit = self.append(&mut effects, false);
        rescheduled.then_some((Cursor { due, ..at }, commit))
    }
}

/// A redrive on its way.
struct Redriving<'a> {
    vhost: &'a Vhost,
    queue: &'a Arc<SharedQueue>,
    order: &'a Redrive,
    matcher: Matcher<'a>,
    /// Messages with this counter and higher ones came later.
    end: u64,
    next: Option<Cursor>,
    /// Messages that were looked at, and not yet decided on.
    seen: VecDeque<Peeked>,
    /// When the next step may begin, at the rate that is wanted.
    due: Instant,
    progress: Progress,
}

/// What became of a message that the filter means.
enum MoveOutcome {
    Sent,
    Unroutable,
    Missed,
}

impl<'a> Redriving<'a> {
    fn new(vhost: &'a Vhost, queue: &'a Arc<SharedQueue>, order: &'a Redrive) -> Self {
        Self {
            vhost,
            queue,
            order,
            matcher: order.filter.matcher(),
            end: queue.next_counter(),
            next: Some(Cursor::default()),
            seen: VecDeque::new(),
            due: Instant::now(),
            progress: Progress::default(),
        }
    }

    async fn finish(&mut self, progress: &watch::Sender<Progress>) -> Ended {
        loop {
            if self.order.limit.is_some_and(|limit| self.progress.sent >= limit) {
                return Ended::AtLimit;
            }
            self.look();
            if self.seen.is_empty() && self.next.is_none() {
                return Ended::AtEnd;
            }
            // As publishers do.
            while self.vhost.gauge.is_over() || self.vhost.share.is_exceeded() {
                tokio::time::sleep(ALARM_INTERVAL).await;
            }
            poll_fn(|cx| self.vhost.journal.poll_room(cx)).await;
            self.vhost.room_for_departures().await;
            tokio::time::sleep_until(self.due).await;
            let commit = self.step();
            completed(&*self.vhost.journal, commit).await;
            progress.send_replace(self.progress);
            tokio::task::yield_now().await;
        }
    }

    /// Looks at the next messages, if none is left of those before.
    fn look(&mut self) {
        if !self.seen.is_empty() {
            return;
        }
        let Some(from) = self.next else { return };
        let peek = self.queue.peek_ready(from, REDRIVE_AT_ONCE_MAX);
        let all = peek.messages.len();
        let end = self.end;
        let earlier =
            peek.messages.iter().take_while(|peeked| counter_of(peeked.entry.position) < end).count();
        // What is behind the first that came later has come later still, up to the end of its line.
        let later = peek.messages.get(earlier).map(|peeked| peeked.entry.position);
        self.next = if earlier < all { later.and_then(next_line) } else { peek.next };
        self.seen.extend(peek.messages.into_iter().take(earlier));
    }

    /// Decides on what was looked at, as far as one step goes.
    fn step(&mut self) -> Commit {
        let now = self.vhost.clock.now();
        let (mut enqueued, mut effects) = (Enqueued::default(), Effects::default());
        let (room, mut sent) = (self.room(), 0);
        while sent < room
            && let Some(Peeked { entry, .. }) = self.seen.pop_front()
        {
            self.progress.looked_at += 1;
            if !self.matcher.matches(&entry.message, now) {
                self.progress.unmatched += 1;
                continue;
            }
            match self.send(&entry, &mut enqueued, &mut effects) {
                MoveOutcome::Sent => sent += 1,
                MoveOutcome::Unroutable => self.progress.unroutable += 1,
                MoveOutcome::Missed => self.progress.missed += 1,
            }
        }
        self.progress.sent += u64::from(sent);
        if let Some(rate) = self.order.per_second {
            self.due = self.due.max(Instant::now()) + Duration::from_secs(1) * sent / rate.get();
        }
        effects.outgoing.send();
        self.vhost.append(&mut effects, true)
    }

    /// How many messages one step may send: with a rate, what it allows in a tenth of a second.
    fn room(&self) -> u32 {
        let by_rate = self.order.per_second.map_or(u32::MAX, |rate| (rate.get() / 10).max(1));
        let by_limit = self.order.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.progress.sent));
        by_rate.min(u32::try_from(by_limit).unwrap_or(u32::MAX)).min(REDRIVE_AT_ONCE_MAX as u32)
    }

    /// Publishes a message to its targets, and settles it where it is unless that is to be a copy.
    fn send(&self, seen: &Entry, enqueued: &mut Enqueued, effects: &mut Effects) -> MoveOutcome {
        let message = redriven(&seen.message.view(), &self.order.to);
        let targets = self.targets(&message);
        if targets.is_empty() {
            return MoveOutcome::Unroutable;
        }
        let taken = match self.order.copy {
            true if !self.queue.holds(seen.position) => return MoveOutcome::Missed,
            true => None,
            false => match self.queue.take_out(seen) {
                None => return MoveOutcome::Missed,
                taken => taken,
            },
        };
        enqueued.gone = 0;
        self.vhost.deliver(&targets, message.layout, &message.image, enqueued, effects);
        let is_lost = enqueued.gone == targets.len();
        match taken {
            Some(entry) if is_lost => self.queue.put_back(entry, effects),
            Some(entry) => entry.settle(self.queue.id, &mut effects.changes),
            None => {}
        }
        if is_lost { MoveOutcome::Unroutable } else { MoveOutcome::Sent }
    }

    /// The queues that a message goes to; none if it had better stay.
    fn targets(&self, message: &Redriven) -> Vec<Arc<SharedQueue>> {
        let view = View::new(message.layout, &message.image);
        let mut targets = self.vhost.targets(&view, &message.extra_keys).unwrap_or_default();
        if self.order.to == Target::Origin {
            let found = targets.len();
            targets.retain(|target| !Arc::ptr_eq(target, self.queue));
            if targets.len() < found && !message.goes_back {
                // It is here because it was published there: its other queues have had it.
                targets.clear();
            }
        }
        targets
    }
}

/// Where the line behind that of a position begins.
fn next_line(position: u64) -> Option<Cursor> {
    let line = line_of(position).checked_add(1)?;
    Some(Cursor { due: 0, position: position_of(line, 0) })
}

#[cfg(test)]
mod tests;
