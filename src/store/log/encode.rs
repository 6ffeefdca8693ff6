//! From changes to records in a buffer, and what the index is to be told of them.
//!
//! A message that all its queues were done with before its turn came is not written at all, nor are its settlements; its
//! stage says so to the steps that come later. Settlements and returns that are no part of a group are gathered, one record for
//! each queue. A settlement that came before its publish waits for the next batch.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    mem,
    ops::RangeInclusive,
};

use foldhash::fast::RandomState;

use super::{moving::Move, pending::Batch};
use crate::core::{
    change::{Change, Changes},
    message::{Message, Stage},
    placement::{Placement, Placements, QueueId},
};
use crate::limits::LOG_SETTLED_QUEUES_KEPT_MAX;
use crate::store::{
    format::{
        Flags, Kind, Publish, Return, Returned, Settle, TopologyRecord, access,
        record::{RECORD_HEADER_BYTES, begin, finish},
    },
    recorded::{Back, Encoded, Recorded},
};

/// Messages that were encoded and are not on disk, by their places.
pub(in crate::store) type Unwritten = BTreeMap<Placement, Message>;

/// The changes that say the same.
pub(in crate::store) fn take_back(recorded: Recorded, unwritten: &Unwritten, changes: &mut Changes) {
    match recorded {
        Recorded::Place { message, placements, transient, .. } => {
            if message.stage() == Stage::Writing {
                message.set_stage(Stage::Waiting);
            }
            changes.push(Change::Publish { message, placements, transient });
        }
        Recorded::Relocate { .. } => {}
        Recorded::Settle { queue, ranges } => {
            for range in ranges {
                take_back_settled(queue, &range, unwritten, changes);
            }
        }
        Recorded::Return { queue, returned } => take_back_returned(queue, returned, changes),
        Recorded::Topology { vhost, change } => changes.push(Change::Topology { vhost, change }),
        Recorded::Access(change) => changes.push(Change::Access(change)),
    }
}

fn take_back_returned(queue: QueueId, returned: Vec<Back>, changes: &mut Changes) {
    changes.extend(returned.into_iter().map(|Back { position, returned, message }| {
        let Returned { attempts, due } = returned;
        Change::Return { placement: Placement { queue, position }, attempts, due, message }
    }));
}

/// With the messages that are not on disk: without room for them their settlements must wait for them. Between them are
/// ranges, which may be as long as a purge of a priority queue makes them.
fn take_back_settled(
    queue: QueueId,
    range: &RangeInclusive<u64>,
    unwritten: &Unwritten,
    changes: &mut Changes,
) {
    let at = |position| Placement { queue, position };
    let (mut first, last) = (*range.start(), *range.end());
    for (placement, message) in unwritten.range(at(first)..=at(last)) {
        if first < placement.position {
            changes.push(settled_on_disk(queue, first, placement.position - 1));
        }
        changes.push(Change::Settle { placement: *placement, message: Some(message.clone()) });
        if placement.position == last {
            return;
        }
        first = placement.position + 1;
    }
    changes.push(settled_on_disk(queue, first, last));
}

/// Of messages that are on disk.
fn settled_on_disk(queue: QueueId, first: u64, last: u64) -> Change {
    if first == last {
        return Change::Settle { placement: Placement { queue, position: first }, message: None };
    }
    Change::SettleRange { queue, first, last }
}

/// Turns changes into records.
#[derive(Default)]
pub(in crate::store) struct Encoder {
    /// Records whose place in the segment is behind what was written.
    pub(in crate::store) bytes: Vec<u8>,
    /// What they say, in order.
    pub(in crate::store) encoded: Vec<Encoded>,
    /// Which of these are all or nothing, by where they begin and end, ascending.
    pub(in crate::store) groups: Vec<(usize, usize)>,
    settled: HashMap<QueueId, Vec<u64>, RandomState>,
    returned: HashMap<QueueId, Vec<Back>, RandomState>,
    /// Settlements and returns whose messages have not come yet.
    early: Changes,
}

/// Where the next record goes.
#[derive(Clone, Copy)]
pub(in crate::store) struct AppendPoint {
    /// The segment's.
    pub(in crate::store) salt: u32,
    /// Offset of the first byte of the buffer.
    pub(in crate::store) offset: u32,
}

impl Encoder {
    /// Decides which messages of a batch are written: the first of three steps.
    ///
    /// The first `known` of its changes were held back before: their settlements have been counted. A message that is
    /// skipped stays so, whatever the disk has no room for: its settlements are not written either.
    ///
    /// `groups` are those of the batch, by their first change and the one after their last.
    pub(in crate::store) fn decide(
        &mut self,
        changes: &mut Changes,
        groups: &[(usize, usize)],
        known: usize,
    ) {
        let moved_on = moved_on(changes, groups);
        for change in &changes[known..] {
            if let Change::Settle { placement, message: Some(message) } = change
                && message.stage() == Stage::Waiting
                && !moved_on.contains(placement)
            {
                message.count_early_settlement();
            }
        }
        let mut settled = None;
        for at in 0..changes.len() {
            let Change::Publish { message, placements, .. } = &changes[at] else { continue };
            if message.stage() == Stage::Skipped {
                continue;
            }
            let early_count = message.early_settlements();
            if early_count >= placements.len() {
                message.set_stage(Stage::Skipped);
                continue;
            }
            if early_count > 0 {
                let settled = settled.get_or_insert_with(|| {
                    let mut settled = unwritten_settlements(changes, &self.early);
                    settled.retain(|placement| !moved_on.contains(placement));
                    settled
                });
                let settled = &*settled;
                let left = placements.iter().copied().filter(|placement| !settled.contains(placement));
                let left: Placements = left.collect();
                if left.is_empty() {
                    message.set_stage(Stage::Skipped);
                    continue;
                }
                if let Change::Publish { placements, .. } = &mut changes[at] {
                    *placements = left;
                }
            }
            if let Change::Publish { message, .. } = &changes[at] {
                message.set_stage(Stage::Writing);
            }
        }
    }

    /// Notes what came too early, if its message has come by now: at the end of the second step. It was before all that was noted since of
    /// the same message, whose last word holds.
    pub(in crate::store) fn note_early(&mut self) {
        if self.early.is_empty() {
            return;
        }
        let later = mem::take(&mut self.returned);
        for change in mem::take(&mut self.early) {
            match change {
                Change::Return { placement, attempts, due, message }
                    if stage(message.as_ref()) == Stage::Writing =>
                {
                    self.note_return(placement, Returned { attempts, due }, message);
                }
                _ => self.note(change),
            }
        }
        for (queue, returned) in later {
            self.returned.entry(queue).or_default().extend(returned);
        }
    }

    /// Encodes one change that stands for itself: the second step. Settlements and returns are only noted.
    pub(in crate::store) fn single(&mut self, change: Change, point: AppendPoint) {
        match change {
            Change::Publish { message, .. } if message.stage() == Stage::Skipped => {}
            Change::Publish { message, placements, transient } => {
                let recorded = Recorded::Place { message, placements, payload_bytes: 0, transient };
                self.record(recorded, Flags::SINGLE, point);
            }
            Change::Settle { .. } | Change::Return { .. } => self.note(change),
            Change::SettleRange { queue, first, last } => {
                let ranges = vec![first..=last];
                self.record(Recorded::Settle { queue, ranges }, Flags::SINGLE, point);
            }
            Change::Topology { vhost, change } => {
                self.record(Recorded::Topology { vhost, change }, Flags::SINGLE, point);
            }
            Change::Access(change) => self.record(Recorded::Access(change), Flags::SINGLE, point),
        }
    }

    /// Encodes changes that are all or nothing.
    pub(in crate::store) fn group(&mut self, changes: Vec<Change>, point: AppendPoint) {
        let records = self.records_of(changes);
        let begin = self.encoded.len();
        for (recorded, flags) in flagged(records) {
            self.record(recorded, flags, point);
        }
        if self.encoded.len() > begin {
            self.groups.push((begin, self.encoded.len()));
        }
    }

    /// The records that changes make which are all or nothing: of messages first.
    pub(in crate::store) fn records_of(&mut self, changes: Vec<Change>) -> Vec<Recorded> {
        let before = (mem::take(&mut self.settled), mem::take(&mut self.returned));
        let mut records = Vec::with_capacity(changes.len());
        for change in changes {
            match change {
                Change::Publish { message, .. } if message.stage() == Stage::Skipped => {}
                Change::Publish { message, placements, transient } => {
                    records.push(Recorded::Place { message, placements, payload_bytes: 0, transient });
                }
                Change::Settle { .. } | Change::Return { .. } => self.note(change),
                Change::SettleRange { queue, first, last } => {
                    records.push(Recorded::Settle { queue, ranges: vec![first..=last] });
                }
                Change::Topology { vhost, change } => records.push(Recorded::Topology { vhost, change }),
                Change::Access(change) => records.push(Recorded::Access(change)),
            }
        }
        self.gathered(&mut records);
        (self.settled, self.returned) = before;
        records
    }

    /// Encodes a record that moves.
    pub(in crate::store) fn moved(&mut self, moved: Move, point: AppendPoint) {
        let Move { message, placements, transient, from } = moved;
        let (begun, offset) = self.begin(Kind::Publish, Flags::SINGLE | Flags::MOVED, transient, point);
        Publish::encode(&mut self.bytes, message.view(), message.published_at(), &placements);
        let payload_bytes = self.finish(begun, offset, point);
        let recorded = Recorded::Relocate { placements, payload_bytes, transient, from };
        self.encoded.push(Encoded { offset, recorded });
    }

    /// Encodes what was gathered: the third step.
    pub(in crate::store) fn rest(&mut self, point: AppendPoint) {
        let mut records = Vec::new();
        self.gathered(&mut records);
        for recorded in records {
            self.record(recorded, Flags::SINGLE, point);
        }
    }

    /// How many bytes [`Self::rest`] would take at most.
    pub(in crate::store) fn rest_bytes(&self) -> usize {
        let settled: usize = self.settled.values().map(|positions| 32 + 16 * positions.len()).sum();
        let returned: usize = self.returned.values().map(|entries| 32 + 20 * entries.len()).sum();
        settled + returned
    }

    /// Gives up what was encoded: the changes that it was, to be written again. Their messages wait as before, and what came
    /// early for them has been counted. Records that only move stay where they are.
    pub(in crate::store) fn take_back(&mut self) -> Batch {
        self.bytes.clear();
        let mut unwritten = Unwritten::new();
        for one in &self.encoded {
            if let Recorded::Place { message, placements, .. } = &one.recorded {
                unwritten.extend(placements.iter().map(|placement| (*placement, message.clone())));
            }
        }
        self.gather_later(&unwritten);
        let mut changes = Changes::new();
        let mut begins = Vec::with_capacity(self.encoded.len() + 1);
        for Encoded { recorded, .. } in self.encoded.drain(..) {
            begins.push(changes.len());
            take_back(recorded, &unwritten, &mut changes);
        }
        begins.push(changes.len());
        let groups = self.groups.drain(..).map(|(begin, end)| (begins[begin], begins[end])).collect();
        // They came after what was encoded of the same messages.
        for (queue, returned) in self.returned.drain() {
            take_back_returned(queue, returned, &mut changes);
        }
        Batch { changes, groups, ..Batch::default() }
    }

    /// Settlements that were noted and are in no record.
    pub(in crate::store) fn noted_settlements(&self) -> impl Iterator<Item = Placement> {
        let noted = self.settled.iter().flat_map(|(&queue, positions)| {
            positions.iter().map(move |&position| Placement { queue, position })
        });
        let early = self.early.iter().filter_map(|change| match change {
            Change::Settle { placement, .. } => Some(*placement),
            _ => None,
        });
        noted.chain(early)
    }

    /// Returns that were noted of messages that are not on disk now wait for them again.
    pub(in crate::store) fn return_later(&mut self) {
        for (&queue, returned) in &mut self.returned {
            let (later, now) = mem::take(returned).into_iter().partition(|back: &Back| {
                back.message.as_ref().is_some_and(|message| message.stage() == Stage::Waiting)
            });
            *returned = now;
            take_back_returned(queue, later, &mut self.early);
        }
    }

    /// Settlements that were gathered of messages that are not on disk now wait for them again.
    fn gather_later(&mut self, unwritten: &Unwritten) {
        let early = &mut self.early;
        for (&queue, positions) in &mut self.settled {
            positions.retain(|&position| {
                let placement = Placement { queue, position };
                let Some(message) = unwritten.get(&placement) else { return true };
                early.push(Change::Settle { placement, message: Some(message.clone()) });
                false
            });
        }
    }

    /// A record without a payload.
    pub(in crate::store) fn empty_record(&mut self, kind: Kind, point: AppendPoint) -> u32 {
        let (begun, offset) = self.begin(kind, Flags::SINGLE, false, point);
        self.finish(begun, offset, point);
        offset
    }

    fn note(&mut self, change: Change) {
        let stage = match &change {
            Change::Settle { message, .. } | Change::Return { message, .. } => stage(message.as_ref()),
            _ => Stage::Written,
        };
        match (stage, change) {
            (Stage::Skipped, _) => {}
            // There may be no room for the message of a return yet.
            (Stage::Waiting, change) | (Stage::Writing, change @ Change::Return { .. }) => {
                self.early.push(change);
            }
            (_, Change::Settle { placement: Placement { queue, position }, .. }) => {
                self.settled.entry(queue).or_default().push(position);
            }
            (_, Change::Return { placement, attempts, due, message }) => {
                self.note_return(placement, Returned { attempts, due }, message);
            }
            (
                _,
                Change::Publish { .. }
                | Change::SettleRange { .. }
                | Change::Topology { .. }
                | Change::Access(_),
            ) => {}
        }
    }

    fn note_return(&mut self, placement: Placement, returned: Returned, message: Option<Message>) {
        let Placement { queue, position } = placement;
        self.returned.entry(queue).or_default().push(Back { position, returned, message });
    }

    /// In the order of their queues: the same changes give the same bytes.
    fn gathered(&mut self, records: &mut Vec<Recorded>) {
        let mut returned: Vec<_> = self.returned.drain().collect();
        returned.sort_unstable_by_key(|(queue, _)| *queue);
        records.extend(returned.into_iter().map(|(queue, returned)| Recorded::Return { queue, returned }));
        let mut settled: Vec<_> =
            self.settled.iter_mut().filter(|(_, positions)| !positions.is_empty()).collect();
        settled.sort_unstable_by_key(|(queue, _)| **queue);
        for (queue, positions) in settled {
            positions.sort_unstable();
            records.push(Recorded::Settle { queue: *queue, ranges: ranges(positions) });
            positions.clear();
        }
        if self.settled.len() > LOG_SETTLED_QUEUES_KEPT_MAX {
            self.settled = HashMap::default();
        }
    }

    fn record(&mut self, mut recorded: Recorded, flags: Flags, point: AppendPoint) {
        let offset = match encode_record(&mut self.bytes, &recorded, flags, point) {
            None => 0,
            Some((offset, bytes)) => {
                if let Recorded::Place { payload_bytes, .. } = &mut recorded {
                    *payload_bytes = bytes;
                }
                offset
            }
        };
        self.encoded.push(Encoded { offset, recorded });
    }

    fn begin(&mut self, kind: Kind, flags: Flags, transient: bool, point: AppendPoint) -> (usize, u32) {
        let flags = if transient { flags | Flags::TRANSIENT } else { flags };
        let begun = begin(&mut self.bytes, kind, flags);
        (begun, point.offset + begun as u32)
    }

    /// Gives the length of the payload.
    fn finish(&mut self, begun: usize, offset: u32, point: AppendPoint) -> u32 {
        let payload_bytes = self.bytes.len() - begun - RECORD_HEADER_BYTES;
        finish(&mut self.bytes, begun, point.salt, offset);
        payload_bytes as u32
    }
}

/// Records of a group, which say where it begins and ends.
pub(in crate::store) fn flagged(records: Vec<Recorded>) -> impl Iterator<Item = (Recorded, Flags)> {
    let written = records.iter().filter(|recorded| recorded.is_written()).count();
    let mut at = 0;
    records.into_iter().map(move |recorded| {
        let mut flags = if at == 0 { Flags::FIRST } else { Flags::NONE };
        if at + 1 == written {
            flags = flags | Flags::LAST;
        }
        at += usize::from(recorded.is_written());
        (recorded, flags)
    })
}

/// Appends a record; gives its place in the segment and the length of its payload, or `None` if there is no record of it.
pub(in crate::store) fn encode_record(
    bytes: &mut Vec<u8>,
    recorded: &Recorded,
    flags: Flags,
    point: AppendPoint,
) -> Option<(u32, u32)> {
    if !recorded.is_written() {
        return None;
    }
    let transient = matches!(recorded, Recorded::Place { transient: true, .. });
    let flags = if transient { flags | Flags::TRANSIENT } else { flags };
    let begun = begin(bytes, kind(recorded), flags);
    let offset = point.offset + begun as u32;
    match recorded {
        Recorded::Place { message, placements, .. } => {
            Publish::encode(bytes, message.view(), message.published_at(), placements);
        }
        Recorded::Settle { queue, ranges } => Settle::encode(bytes, *queue, ranges.iter().cloned()),
        Recorded::Return { queue, returned } => {
            let entries = returned.iter().map(|back| (back.position, back.returned));
            Return::encode(bytes, *queue, entries);
        }
        Recorded::Topology { vhost, change } => TopologyRecord::encode(bytes, vhost, change),
        Recorded::Access(change) => access::encode(bytes, change),
        Recorded::Relocate { .. } => {}
    }
    let payload_bytes = bytes.len() - begun - RECORD_HEADER_BYTES;
    finish(bytes, begun, point.salt, offset);
    Some((offset, payload_bytes as u32))
}

/// One that a change does not have is on disk.
fn stage(message: Option<&Message>) -> Stage {
    message.map_or(Stage::Written, Message::stage)
}

fn kind(recorded: &Recorded) -> Kind {
    match recorded {
        Recorded::Place { .. } | Recorded::Relocate { .. } => Kind::Publish,
        Recorded::Settle { .. } => Kind::Settle,
        Recorded::Return { .. } => Kind::Return,
        Recorded::Topology { .. } => Kind::Topology,
        Recorded::Access(_) => Kind::Access,
    }
}

/// Placements that one group of a batch takes a message to, and a later one takes it on from. A crash may come between the
/// two: what the first one took it from is settled then, so the first must be written although the second settles it.
fn moved_on(changes: &Changes, groups: &[(usize, usize)]) -> HashSet<Placement, RandomState> {
    let mut brought: HashSet<Placement, RandomState> = HashSet::default();
    let mut moved_on = HashSet::default();
    for &(begin, end) in groups {
        let group = &changes[begin..end];
        let its_places = || {
            group.iter().filter_map(|change| match change {
                Change::Publish { placements, .. } => Some(placements),
                _ => None,
            })
        };
        if its_places().next().is_none() {
            continue;
        }
        if !brought.is_empty() {
            moved_on.extend(group.iter().filter_map(|change| match change {
                Change::Settle { placement, .. } if brought.contains(placement) => Some(*placement),
                _ => None,
            }));
        }
        brought.extend(its_places().flatten().copied());
    }
    moved_on
}

/// Settlements of messages that are not written, by place.
fn unwritten_settlements(changes: &Changes, early: &Changes) -> HashSet<Placement, RandomState> {
    let settled = |change: &Change| match change {
        Change::Settle { placement, message: Some(message) }
            if matches!(message.stage(), Stage::Waiting | Stage::Writing) =>
        {
            Some(*placement)
        }
        _ => None,
    };
    changes.iter().chain(early).filter_map(settled).collect()
}

/// Ascending positions as ranges.
fn ranges(positions: &[u64]) -> Vec<RangeInclusive<u64>> {
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for &position in positions {
        match ranges.last_mut() {
            Some(last) if *last.end() + 1 == position => *last = *last.start()..=position,
            Some(last) if *last.end() == position => {}
            _ => ranges.push(position..=position),
        }
    }
    ranges
}
