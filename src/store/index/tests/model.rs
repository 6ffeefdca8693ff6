//! Random operations on an index, compared after each with a model that keeps every placement on its own; and a
//! shadow checkpoint to which changes are applied, from which an index is made again now and then.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::super::*;
use crate::core::{
    change::Attempts,
    placement::{counter_of, position_of},
};

/// What can happen. The last two of the queues are transient.
#[derive(Debug, Clone)]
pub(in crate::store) enum Operation {
    AddQueue(u64),
    RemoveQueue(u64),
    Publish { queue: u64, count: u64, skipped: u64, transient: bool },
    Place { placement: (u64, u64), segment: u64, bytes: u32, transient: bool },
    Settle(u64, u64),
    SettleHead { queue: u64, count: usize },
    SettleRange(u64, u64, u64),
    Return(u64, u64, Returned),
    Relocate { placement: (u64, u64), from: u64, to: u64, bytes: u32 },
    Reclaim { from: u64, to: u64 },
    LoseSegment(u64),
    MarkAllRedelivered,
    BumpPositions(u64),
    TakeChanges,
    Restart,
    ForgetCheckpoint,
}

const QUEUES: u64 = 4;
const SEGMENTS: u64 = 5;
/// Counters of positions.
const POSITIONS: u64 = 1600;
/// Lines that the queues have.
const LINES: [u8; 3] = [0, 4, 255];

pub(in crate::store) fn operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    let queue = || 0..QUEUES;
    let position = || prop_oneof![0..POSITIONS, 500..530_u64].prop_map(position_in_line);
    let segment = || 1..=SEGMENTS;
    prop_oneof![
        2 => queue().prop_map(O::AddQueue),
        1 => queue().prop_map(O::RemoveQueue),
        8 => (queue(), 0..700_u64, 0..3_u64, prop::bool::weighted(0.2))
            .prop_map(|(queue, count, skipped, transient)| O::Publish { queue, count, skipped, transient }),
        6 => ((queue(), position()), segment(), 0..90_u32, any::<bool>())
            .prop_map(|(placement, segment, bytes, transient)| O::Place { placement, segment, bytes, transient }),
        4 => (queue(), position()).prop_map(|(queue, position)| O::Settle(queue, position)),
        6 => (queue(), 0..700_usize).prop_map(|(queue, count)| O::SettleHead { queue, count }),
        4 => (queue(), position(), position()).prop_map(|(queue, first, last)| O::SettleRange(queue, first, last)),
        4 => (queue(), position(), returned())
            .prop_map(|(queue, position, returned)| O::Return(queue, position, returned)),
        4 => ((queue(), position()), segment(), segment(), 0..90_u32)
            .prop_map(|(placement, from, to, bytes)| O::Relocate { placement, from, to, bytes }),
        2 => (segment(), segment()).prop_map(|(from, to)| O::Reclaim { from, to }),
        1 => segment().prop_map(O::LoseSegment),
        1 => Just(O::MarkAllRedelivered),
        1 => (0..2000_u64).prop_map(O::BumpPositions),
        3 => Just(O::TakeChanges),
        1 => Just(O::Restart),
        1 => Just(O::ForgetCheckpoint),
    ]
}

fn returned() -> impl Strategy<Value = Returned> {
    (0..5_u16, 0..3_u16, 0..3_u64)
        .prop_map(|(returned, failed, due)| Returned { attempts: Attempts { returned, failed }, due })
}

/// The position of a counter: neighbours are in another line now and then.
fn position_in_line(counter: u64) -> u64 {
    position_of(LINES[(counter / 7 % 3) as usize], counter)
}

/// The queue of a number in an operation.
pub(in crate::store) fn queue_id(number: u64) -> QueueId {
    if number < QUEUES - 2 { QueueId(number + 1) } else { QueueId::transient(number) }
}

fn placement((queue, position): (u64, u64)) -> Placement {
    Placement { queue: queue_id(queue), position }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Message {
    segment: SegmentId,
    transient: bool,
    returned: Returned,
}

#[derive(Debug, Default, Clone)]
struct ModelQueue {
    next_position: u64,
    redelivered_below: u64,
    messages: BTreeMap<u64, Message>,
}

/// What an index should say, kept naively.
#[derive(Debug, Default)]
struct Model {
    queues: BTreeMap<QueueId, ModelQueue>,
}

impl Model {
    fn place(&mut self, at: Placement, segment: SegmentId, transient: bool) {
        if !at.queue.is_durable() {
            self.queues.entry(at.queue).or_default();
        }
        let Some(queue) = self.queues.get_mut(&at.queue) else { return };
        queue.next_position = queue.next_position.max(counter_of(at.position) + 1);
        let returned = queue.messages.get(&at.position).map(|message| message.returned).unwrap_or_default();
        let transient = transient || !at.queue.is_durable();
        queue.messages.insert(at.position, Message { segment, transient, returned });
    }

    fn settle_where(&mut self, doomed: impl Fn(QueueId, u64, &Message) -> bool) -> RangeSettled {
        let mut settled = RangeSettled::default();
        for (&id, queue) in &mut self.queues {
            queue.messages.retain(|&position, message| {
                let dies = doomed(id, position, message);
                settled.count += u64::from(dies);
                settled.durable |= dies && !message.transient;
                !dies
            });
        }
        settled
    }

    fn message(&mut self, at: Placement) -> Option<&mut Message> {
        self.queues.get_mut(&at.queue)?.messages.get_mut(&at.position)
    }

    fn live(&self, id: QueueId) -> Vec<Live> {
        let Some(queue) = self.queues.get(&id) else { return Vec::new() };
        let live = |(&position, message): (&u64, &Message)| Live {
            position,
            segment: message.segment,
            returned: message.returned,
            redelivered: counter_of(position) < queue.redelivered_below,
            transient: message.transient,
        };
        queue.messages.iter().map(live).collect()
    }

    fn durable(&mut self) -> impl Iterator<Item = &mut ModelQueue> {
        self.queues.iter_mut().filter(|(id, _)| id.is_durable()).map(|(_, queue)| queue)
    }

    fn restart(&mut self) {
        self.queues.retain(|id, _| id.is_durable());
        self.settle_where(|_, _, message| message.transient);
    }

    fn uses(&self) -> BTreeMap<SegmentId, u64> {
        let mut uses = BTreeMap::new();
        for message in self.queues.values().flat_map(|queue| queue.messages.values()) {
            *uses.entry(message.segment).or_default() += 1;
        }
        uses
    }
}

/// A checkpoint as plain maps.
#[derive(Debug, Default)]
struct Shadow {
    last_queue: u64,
    queues: BTreeMap<QueueId, QueueState>,
    blocks: BTreeMap<(QueueId, u64), BlockImage>,
}

impl Shadow {
    fn apply(&mut self, changes: IndexChanges) {
        self.last_queue = changes.last_queue;
        for change in changes.changes {
            match change {
                IndexChange::Queue(state) => drop(self.queues.insert(state.id, state)),
                IndexChange::QueueGone(id) => assert!(self.queues.remove(&id).is_some(), "{id:?} was there"),
                IndexChange::Block { queue, number, image } => {
                    self.blocks.insert((queue, number), image);
                }
                IndexChange::BlockGone { queue, number } => {
                    assert!(self.blocks.remove(&(queue, number)).is_some(), "{queue:?} {number} was there");
                }
            }
        }
    }

    fn load(&self) -> Index {
        let mut index = Index::new();
        index.restore_last_queue(self.last_queue);
        self.queues.values().for_each(|state| index.restore_queue(state).unwrap());
        for ((queue, number), image) in &self.blocks {
            index.restore_block(*queue, *number, image).unwrap();
        }
        index
    }
}

/// Durable state of an index, for comparison.
pub(in crate::store) fn durable_state(index: &Index) -> Vec<(QueueState, RestoredQueue, Vec<Live>)> {
    let mut states: Vec<_> = index.queues().collect();
    states.sort_by_key(|state| state.id);
    let with_messages = |state: QueueState| {
        let mut live = index.live_in(state.id, 0, u64::MAX, usize::MAX);
        live.retain(|live| !live.transient);
        (state, index.restored(state.id).unwrap(), live)
    };
    states.into_iter().map(with_messages).collect()
}

/// Does what only an index needs for an operation, without a model.
pub(in crate::store) fn apply(index: &mut Index, operation: &Operation) {
    let mut model = Model::default();
    let mut shadow = Shadow::default();
    let copied = index.queues().map(|state| {
        let queue = ModelQueue { next_position: state.next_position, ..ModelQueue::default() };
        (state.id, queue)
    });
    model.queues.extend(copied);
    run(index, &mut model, &mut shadow, operation, false);
}

/// Applies an operation to both, and compares their answers if `compared`.
fn run(index: &mut Index, model: &mut Model, shadow: &mut Shadow, operation: &Operation, compared: bool) {
    macro_rules! same {
        ($left:expr, $right:expr) => {
            let (left, right) = ($left, $right);
            assert!(!compared || left == right, "{operation:?}: {left:?}, not {right:?}");
        };
    }
    match *operation {
        Operation::AddQueue(queue) => {
            index.add_queue(queue_id(queue));
            model.queues.entry(queue_id(queue)).or_default();
        }
        Operation::RemoveQueue(queue) => {
            index.remove_queue(queue_id(queue));
            model.queues.remove(&queue_id(queue));
        }
        Operation::Publish { queue, count, skipped, transient } => {
            let id = queue_id(queue);
            let next = model.queues.get(&id).map_or(0, |queue| queue.next_position) + skipped;
            for counter in next..next + count {
                let at = Placement { queue: id, position: position_in_line(counter) };
                let segment = SegmentId(1 + (counter / 300) % SEGMENTS);
                index.place(at, segment, counter as u32 % 100, transient);
                model.place(at, segment, transient);
            }
        }
        Operation::Place { placement: at, segment, bytes, transient } => {
            index.place(placement(at), SegmentId(segment), bytes, transient);
            model.place(placement(at), SegmentId(segment), transient);
        }
        Operation::Settle(queue, position) => {
            let at = placement((queue, position));
            let expected = model.message(at).map(|message| Settled { transient: message.transient });
            same!(index.settle(at), expected);
            model.settle_where(|id, position, _| Placement { queue: id, position } == at);
        }
        Operation::SettleHead { queue, count } => {
            let id = queue_id(queue);
            for live in index.live_in(id, 0, u64::MAX, count) {
                assert!(index.settle(Placement { queue: id, position: live.position }).is_some());
                if let Some(queue) = model.queues.get_mut(&id) {
                    queue.messages.remove(&live.position);
                }
            }
        }
        Operation::SettleRange(queue, first, last) => {
            let there =
                |id, position, _: &Message| id == queue_id(queue) && (first..=last).contains(&position);
            same!(index.settle_range(queue_id(queue), first, last), model.settle_where(there));
        }
        Operation::Return(queue, position, returned) => {
            let at = placement((queue, position));
            index.returned(at, returned);
            let count = returned.attempts.returned;
            if let Some(message) = model.message(at)
                && returned != Returned::default()
                && count >= message.returned.attempts.returned
            {
                message.returned = returned;
            }
        }
        Operation::Relocate { placement: at, from, to, bytes } => {
            relocate(index, model, placement(at), (from, to), bytes, compared);
        }
        Operation::Reclaim { from, to } if from != to => {
            for queue in 0..QUEUES {
                for position in 0..POSITIONS {
                    let at = placement((queue, position_in_line(position)));
                    relocate(index, model, at, (from, to), 5, compared);
                }
            }
        }
        Operation::LoseSegment(segment) => {
            let lost = |_, _, message: &Message| message.segment.0 == segment;
            same!(index.settle_segment(SegmentId(segment)), model.settle_where(lost));
            assert!(index.forget_segment(SegmentId(segment)));
        }
        Operation::Reclaim { .. } => {}
        Operation::MarkAllRedelivered
        | Operation::BumpPositions(_)
        | Operation::TakeChanges
        | Operation::Restart
        | Operation::ForgetCheckpoint => run_on_all(index, model, shadow, operation, compared),
    }
}

/// The same of those that concern all queues, and what is kept of them.
fn run_on_all(
    index: &mut Index,
    model: &mut Model,
    shadow: &mut Shadow,
    operation: &Operation,
    compared: bool,
) {
    match *operation {
        Operation::MarkAllRedelivered => {
            index.mark_all_redelivered();
            model.durable().for_each(|queue| queue.redelivered_below = queue.next_position);
        }
        Operation::BumpPositions(by) => {
            index.bump_positions(by);
            model.durable().for_each(|queue| queue.next_position += by);
        }
        Operation::TakeChanges if compared => shadow.apply(index.take_changes()),
        Operation::Restart if compared => {
            shadow.apply(index.take_changes());
            *index = shadow.load();
            model.restart();
        }
        Operation::ForgetCheckpoint if compared => {
            *shadow = Shadow::default();
            index.forget_checkpoint();
        }
        _ => assert!(!compared, "{operation:?} concerns single queues"),
    }
}

fn relocate(
    index: &mut Index,
    model: &mut Model,
    at: Placement,
    way: (u64, u64),
    bytes: u32,
    compared: bool,
) {
    let (from, to) = (SegmentId(way.0), SegmentId(way.1));
    let moved = index.relocate(at, from, to, bytes);
    let message = model.message(at).filter(|message| message.segment == from);
    assert!(!compared || moved == message.is_some(), "{at:?}");
    if let Some(message) = message {
        message.segment = to;
    }
}

fn compare(index: &Index, model: &Model) {
    for id in (0..QUEUES).map(queue_id) {
        let live = index.live_in(id, 0, u64::MAX, usize::MAX);
        assert_eq!(live, model.live(id), "{id:?}");
        for live in live.iter().step_by(37) {
            let at = Placement { queue: id, position: live.position };
            assert!(index.is_live(at) && index.is_live_in(at, live.segment));
            assert_eq!(index.is_transient(at), Some(live.transient));
        }
    }
    let queues: BTreeSet<_> =
        index.queues().map(|state| (state.id, state.next_position, state.redelivered_below)).collect();
    let expected = model.queues.iter().filter(|(id, _)| id.is_durable());
    let expected: BTreeSet<_> =
        expected.map(|(&id, queue)| (id, queue.next_position, queue.redelivered_below)).collect();
    assert_eq!(queues, expected);
    let mut uses = model.uses();
    for (segment, used) in index.segments() {
        assert_eq!(used.live, uses.remove(segment).unwrap_or(0));
        assert!(used.live > 0 || used.bytes == 0, "nothing is left of an empty segment");
    }
    assert!(uses.is_empty());
}

/// What the index kept of bytes for each segment is what its blocks say.
fn check_sums(index: &Index) {
    let mut sums: BTreeMap<SegmentId, SegmentUse> = BTreeMap::new();
    for queue in index.queues.values() {
        for (segment, live, bytes) in queue.uses() {
            let sum = sums.entry(segment).or_default();
            sum.live += live;
            sum.bytes += bytes;
        }
    }
    let mut used = index.segments().clone();
    used.retain(|_, used| used.live > 0);
    assert_eq!(used, sums);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn an_index_says_what_the_model_says(operations in vec(operation(), 1..60)) {
        let (mut index, mut model, mut shadow) = (Index::new(), Model::default(), Shadow::default());
        (0..QUEUES).for_each(|queue| run(&mut index, &mut model, &mut shadow, &Operation::AddQueue(queue), true));
        for operation in operations {
            run(&mut index, &mut model, &mut shadow, &operation, true);
            compare(&index, &model);
            check_sums(&index);
        }
        shadow.apply(index.take_changes());
        assert_eq!(durable_state(&shadow.load()), durable_state(&index));
    }
}
