//! Which placements are live, and in which segment of the log. In memory, without I/O: the log's writer tells
//! it of each record that was written, and asks it what a segment is still needed for.
//!
//! A queue is cut into blocks of 512 positions, and a backlog in order costs less than a byte for each message. A block
//! lies in one line of the queue, and none costs anything without messages. What grows with time is a position's
//! counter, whatever its line. Nothing is allocated for a single message. The index remembers what the last checkpoint does not know
//! ([`Index::take_changes`]); it does not know what a checkpoint is written to, what a message is, nor where in
//! its segment it stands.
//!
//! Placements of queues that it was not told of belong to deleted queues, and are ignored. Only transient queues
//! are there from their first placement on; all of their placements are transient.

mod answers;
mod bitmap;
mod block;
mod blocks;
mod changes;
mod queue;
mod segments;

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

pub use answers::{Live, RangeSettled, Settled};
pub use bitmap::{BLOCK_POSITIONS, Bitmap};
pub use changes::{BlockImage, Inconsistent, IndexChange, IndexChanges, Part, QueueState};
pub use segments::SegmentUse;

use crate::core::{
    pager::RestoredQueue,
    placement::{COUNTER_MAX, Placement, QueueId},
};
use crate::store::{format::Returned, position::SegmentId};
use queue::{Queue, Record};
use segments::Segments;

/// The live messages of all queues.
///
/// Queues: [`add_queue`](Self::add_queue), [`remove_queue`](Self::remove_queue). Records that were written:
/// [`place`](Self::place), [`settle`](Self::settle), [`settle_range`](Self::settle_range),
/// [`returned`](Self::returned). Reclaiming: [`segments`](Self::segments), [`is_live_in`](Self::is_live_in),
/// [`relocate`](Self::relocate). Paging: [`live_in`](Self::live_in). Checkpoints:
/// [`take_changes`](Self::take_changes), and back `restore_*`, which come before everything else.
#[derive(Debug, Default)]
pub struct Index {
    queues: HashMap<QueueId, Queue, RandomState>,
    segments: Segments,
    /// Durable queues that may differ from the last checkpoint, each once; some may be gone.
    changed: Vec<QueueId>,
    /// Takes queues that are gone out of the last checkpoint.
    removals: Vec<IndexChange>,
    last_queue: u64,
}

impl Index {
    /// Without queues.
    pub fn new() -> Self {
        Self::default()
    }

    /// A queue was made. One that is there already stays as it is.
    pub fn add_queue(&mut self, id: QueueId) {
        let queue = self.queues.entry(id).or_default();
        if id.is_durable() {
            self.last_queue = self.last_queue.max(id.0);
            list(&mut self.changed, id, queue);
        }
    }

    /// A queue is gone, and all its messages are dead.
    pub fn remove_queue(&mut self, id: QueueId) {
        let Some(queue) = self.queues.remove(&id) else { return };
        queue.release_all(&mut self.segments);
        if id.is_durable() {
            queue.take_removal(id, &mut self.removals);
        }
    }

    /// A record of a message was written, which takes about `bytes`. Raises the queue's next counter. If the
    /// message is live already, it has moved.
    pub fn place(&mut self, placement: Placement, segment: SegmentId, bytes: u32, transient: bool) {
        let Placement { queue: id, position } = placement;
        let durable = id.is_durable();
        if !durable {
            self.queues.entry(id).or_default();
        }
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let record = Record { segment, bytes, transient: transient || !durable };
        queue.place(position, record, &mut self.segments);
        if durable {
            list(&mut self.changed, id, queue);
        }
    }

    /// A message left its queue. `None` if it was not live.
    pub fn settle(&mut self, placement: Placement) -> Option<Settled> {
        let queue = self.queues.get_mut(&placement.queue)?;
        let settled = queue.settle(placement.position, &mut self.segments)?;
        if !settled.transient {
            list(&mut self.changed, placement.queue, queue);
        }
        Some(settled)
    }

    /// All messages from `first` to `last`, both included, left a queue.
    pub fn settle_range(&mut self, queue: QueueId, first: u64, last: u64) -> RangeSettled {
        let id = queue;
        let Some(queue) = self.queues.get_mut(&id) else { return RangeSettled::default() };
        let settled = queue.settle_range(first, last, &mut self.segments);
        if settled.durable {
            list(&mut self.changed, id, queue);
        }
        settled
    }

    /// A message came back to its queue. What holds is what was said with the highest count of returns, and last; dead
    /// messages have none.
    pub fn returned(&mut self, placement: Placement, returned: Returned) {
        let Some(queue) = self.queues.get_mut(&placement.queue) else { return };
        if queue.came_back(placement.position, returned) && placement.queue.is_durable() {
            list(&mut self.changed, placement.queue, queue);
        }
    }

    /// A message's record was written again, from `from` to `to`, where it takes about `bytes`. False, and
    /// nothing happens, if it is not live in `from` any more.
    pub fn relocate(&mut self, placement: Placement, from: SegmentId, to: SegmentId, bytes: u32) -> bool {
        let Some(queue) = self.queues.get_mut(&placement.queue) else { return false };
        let moved = queue.relocate(placement.position, from, (to, bytes), &mut self.segments);
        if moved && placement.queue.is_durable() {
            list(&mut self.changed, placement.queue, queue);
        }
        moved
    }

    /// Whether a message is still needed.
    pub fn is_live(&self, placement: Placement) -> bool {
        self.queues.get(&placement.queue).is_some_and(|queue| queue.is_live(placement.position))
    }

    /// Whether a message is still needed, and this is the segment that has it.
    pub fn is_live_in(&self, placement: Placement, segment: SegmentId) -> bool {
        let queue = self.queues.get(&placement.queue);
        queue.and_then(|queue| queue.segment_of(placement.position)) == Some(segment)
    }

    /// Whether a message ends with this run of the broker. `None` if it is not live.
    pub fn is_transient(&self, placement: Placement) -> Option<bool> {
        self.queues.get(&placement.queue)?.is_transient(placement.position)
    }

    /// The first `max` live messages of a queue from `first` to `last`, both included, in order.
    pub fn live_in(&self, queue: QueueId, first: u64, last: u64, max: usize) -> Vec<Live> {
        let queue = self.queues.get(&queue);
        queue.into_iter().flat_map(|queue| queue.live_in(first, last)).take(max).collect()
    }

    /// All durable queues, in no order.
    pub fn queues(&self) -> impl Iterator<Item = QueueState> {
        let durable = self.queues.iter().filter(|(id, _)| id.is_durable());
        durable.map(|(&id, queue)| queue.state(id))
    }

    /// The highest id that a durable queue ever had; 0 if there was none.
    pub fn last_queue(&self) -> u64 {
        self.last_queue
    }

    /// What a durable queue begins with: a range for each block, and so within one line, from its first live message
    /// to its last, without transient ones.
    pub fn restored(&self, queue: QueueId) -> Option<RestoredQueue> {
        self.queues.get(&queue).filter(|_| queue.is_durable()).map(|found| found.as_restored(queue))
    }

    /// After an unclean stop: anything may have been delivered already.
    pub fn mark_all_redelivered(&mut self) {
        self.change_all(|queue| queue.set_state(queue.next_position, queue.next_position));
    }

    /// After derived state was lost: keeps away from positions that were used, and that no record tells of any more.
    pub fn bump_positions(&mut self, by: u64) {
        self.change_all(|queue| {
            let next_position = queue.next_position.saturating_add(by).min(COUNTER_MAX + 1);
            queue.set_state(next_position, queue.redelivered_below);
        });
    }

    /// What is live in each segment. Segments are there from [`add_segment`](Self::add_segment) or their first
    /// placement on.
    pub fn segments(&self) -> &BTreeMap<SegmentId, SegmentUse> {
        self.segments.uses()
    }

    /// A segment was begun.
    pub fn add_segment(&mut self, segment: SegmentId) {
        self.segments.add(segment, 0, 0);
    }

    /// A segment is gone. False, and nothing happens, if it has live messages.
    pub fn forget_segment(&mut self, segment: SegmentId) -> bool {
        self.segments.forget(segment)
    }

    /// A segment's file is missing: everything in it is dead.
    pub fn settle_segment(&mut self, segment: SegmentId) -> RangeSettled {
        let mut all = RangeSettled::default();
        for (&id, queue) in &mut self.queues {
            let settled = queue.settle_segment(segment, &mut self.segments);
            all.count += settled.count;
            all.durable |= settled.durable;
            if settled.durable {
                list(&mut self.changed, id, queue);
            }
        }
        all
    }

    /// What differs from the last checkpoint, by queue. What is given out counts as the last checkpoint from
    /// then on; if it cannot be kept, [`forget_checkpoint`](Self::forget_checkpoint).
    pub fn take_changes(&mut self) -> IndexChanges {
        let mut changes = std::mem::take(&mut self.removals);
        let mut ids = std::mem::take(&mut self.changed);
        ids.sort_unstable();
        for id in ids {
            if let Some(queue) = self.queues.get_mut(&id).filter(|queue| queue.listed) {
                queue.take_changes(id, &mut changes);
            }
        }
        IndexChanges { last_queue: self.last_queue, changes }
    }

    /// Whether the last checkpoint does not know of so many changes or more. Looks at no more queues than that, some of which may be
    /// gone, so it may find fewer than there are.
    pub fn has_changes(&self, at_least: usize) -> bool {
        let mut known = self.removals.len();
        for id in self.changed.iter().take(at_least) {
            if known >= at_least {
                break;
            }
            known += self.queues.get(id).map_or(0, Queue::changes);
        }
        known >= at_least
    }

    /// The last checkpoint is lost, and an empty one takes its place: the next changes are everything.
    pub fn forget_checkpoint(&mut self) {
        self.removals.clear();
        self.change_all(Queue::forget_checkpoint);
    }

    /// The highest id that a durable queue had by the last checkpoint.
    pub fn restore_last_queue(&mut self, last: u64) {
        self.last_queue = self.last_queue.max(last);
    }

    /// A queue as the last checkpoint has it.
    pub fn restore_queue(&mut self, state: &QueueState) -> Result<(), Inconsistent> {
        if !state.id.is_durable() {
            return Err(Inconsistent::Queue);
        }
        if self.queues.contains_key(&state.id) {
            return Err(Inconsistent::Twice);
        }
        if state.redelivered_below > state.next_position || state.next_position > COUNTER_MAX + 1 {
            return Err(Inconsistent::Position);
        }
        self.last_queue = self.last_queue.max(state.id.0);
        self.queues.insert(state.id, Queue::restored(state));
        Ok(())
    }

    /// A block as the last checkpoint has it, after its queue.
    pub fn restore_block(
        &mut self,
        queue: QueueId,
        number: u64,
        image: &BlockImage,
    ) -> Result<(), Inconsistent> {
        let queue = self.queues.get_mut(&queue).ok_or(Inconsistent::Queue)?;
        queue.restore_block(number, image, &mut self.segments)
    }

    /// Changes every durable queue.
    fn change_all(&mut self, change: impl Fn(&mut Queue)) {
        for (&id, queue) in self.queues.iter_mut().filter(|(id, _)| id.is_durable()) {
            change(queue);
            list(&mut self.changed, id, queue);
        }
    }
}

/// Notes that a queue may differ from the last checkpoint.
fn list(changed: &mut Vec<QueueId>, id: QueueId, queue: &mut Queue) {
    if !queue.listed {
        queue.listed = true;
        changed.push(id);
    }
}

#[cfg(test)]
pub(in crate::store) mod tests;
