//! What is in the log and durable: the index of live messages, each segment with where its records are, and what changed since
//! the last checkpoint. The writer fills it after each sync; the keeper and the pager read it. One short lock; no I/O under it.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
};

use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard};

use super::{
    format::{Flags, Footer, Kind, Publish, Slot},
    index::Index,
    log::encode::{Effect, Encoded},
    position::{LogPosition, SegmentId},
    segment::{FIRST_RECORD_OFFSET, Scanned, Segment},
};
use crate::core::{
    change::TopologyChange,
    placement::{Placement, QueueId, line_of},
};
use crate::protocol::ShortString;

/// See the module's text.
pub(super) struct Catalog(Mutex<State>);

/// What the lock guards.
#[derive(Default)]
pub(super) struct State {
    /// Which messages are live, and in which segment.
    pub(super) index: Index,
    /// The segments that are there.
    pub(super) segments: BTreeMap<SegmentId, Known>,
    /// Changes of the topology since the last checkpoint.
    pub(super) topology: Vec<(ShortString, TopologyChange)>,
    /// Everything before it is in here.
    pub(super) applied: LogPosition,
}

/// A segment.
pub(super) struct Known {
    /// Its file.
    pub(super) segment: Arc<Segment>,
    /// Whether it is still written to, and where its records are until a footer says so.
    pub(super) stage: Stage,
}

/// How far a segment is.
pub(super) enum Stage {
    /// The writer writes to it.
    Open(Table),
    /// It is full; its records end at `end`.
    Closed {
        /// Where its records are.
        table: Arc<Table>,
        /// Where they end.
        end: u32,
    },
    /// Its footer says where its records are.
    Sealed {
        /// Bytes of its file.
        bytes: u64,
    },
}

impl Stage {
    /// Where the records are, if no footer says so.
    pub(super) fn table(&self) -> Option<&Table> {
        match self {
            Self::Open(table) => Some(table),
            Self::Closed { table, .. } => Some(table),
            Self::Sealed { .. } => None,
        }
    }
}

/// Where the records of a segment are that has no footer yet.
#[derive(Default)]
pub(super) struct Table {
    /// In order of position, by queue and line: messages of different lines come in any order.
    slots: HashMap<(QueueId, u8), Vec<Slot>, RandomState>,
    /// Those that came after one with a higher position: two publishers to one queue may append in another order than
    /// the queue took their messages, and reclaiming writes old messages behind new ones.
    late: BTreeMap<Placement, Slot>,
    others: Vec<u32>,
}

impl Catalog {
    /// With what was found when the broker started.
    pub(super) fn new(state: State) -> Self {
        Self(Mutex::new(state))
    }

    /// Locks it.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl State {
    /// The writer goes on in a new segment.
    pub(super) fn open(&mut self, segment: Arc<Segment>) {
        self.index.add_segment(segment.id());
        self.segments.insert(segment.id(), Known { segment, stage: Stage::Open(Table::default()) });
    }

    /// The writer is done with a segment.
    pub(super) fn close(&mut self, id: SegmentId, end: u32) {
        if let Some(known) = self.segments.get_mut(&id)
            && let Stage::Open(table) = &mut known.stage
        {
            known.stage = Stage::Closed { table: Arc::new(std::mem::take(table)), end };
        }
    }

    /// A segment has its footer; it is only read from now on.
    pub(super) fn sealed(&mut self, segment: Segment, bytes: u64) {
        if let Some(known) = self.segments.get_mut(&segment.id()) {
            known.segment = Arc::new(segment);
            known.stage = Stage::Sealed { bytes };
        }
    }

    /// A record that is no publish was written.
    pub(super) fn note_other(&mut self, segment: SegmentId, offset: u32) {
        if let Some(table) = self.table(segment) {
            table.others.push(offset);
        }
    }

    /// A record is durable.
    pub(super) fn apply(&mut self, segment: SegmentId, encoded: &Encoded) {
        let Encoded { offset, effect } = encoded;
        match effect {
            Effect::Place { placements, payload_bytes, transient, .. } => {
                let bytes = payload_bytes / placements.len() as u32;
                for placement in placements {
                    self.index.place(*placement, segment, bytes, *transient);
                }
                self.note_slots(segment, placements, *offset, *payload_bytes, *transient);
                return;
            }
            Effect::Relocate { placements, payload_bytes, transient, from } => {
                let bytes = payload_bytes / placements.len() as u32;
                for placement in placements {
                    self.index.relocate(*placement, *from, segment, bytes);
                }
                self.note_slots(segment, placements, *offset, *payload_bytes, *transient);
                return;
            }
            Effect::Settle { queue, ranges } => {
                for range in ranges {
                    self.settle(*queue, *range.start(), *range.end());
                }
            }
            Effect::Return { queue, returned } => {
                for back in returned {
                    self.index.returned(Placement { queue: *queue, position: back.position }, back.returned);
                }
            }
            Effect::Topology { vhost, change } => self.apply_topology(vhost, change),
        }
        if *offset > 0 {
            self.note_other(segment, *offset);
        }
    }

    /// Messages left a queue.
    pub(super) fn settle(&mut self, queue: QueueId, first: u64, last: u64) {
        if first == last {
            self.index.settle(Placement { queue, position: first });
        } else {
            self.index.settle_range(queue, first, last);
        }
    }

    /// The topology changed.
    pub(super) fn apply_topology(&mut self, vhost: &ShortString, change: &TopologyChange) {
        match change {
            TopologyChange::QueueDeclared { id, .. } => self.index.add_queue(*id),
            TopologyChange::QueueDeleted { id, .. } => {
                self.index.remove_queue(*id);
                if !id.is_durable() {
                    return;
                }
            }
            TopologyChange::ExchangeDeclared(_)
            | TopologyChange::ExchangeDeleted(_)
            | TopologyChange::Bound(_)
            | TopologyChange::Unbound(_)
            | TopologyChange::PolicySet { .. }
            | TopologyChange::PolicyDeleted { .. }
            | TopologyChange::VhostSet(_) => {}
        }
        self.topology.push((vhost.clone(), change.clone()));
    }

    fn note_slots(
        &mut self,
        segment: SegmentId,
        placements: &[Placement],
        offset: u32,
        payload_bytes: u32,
        transient: bool,
    ) {
        let Some(table) = self.table(segment) else { return };
        for &placement in placements {
            table.insert(Slot { placement, offset, payload_bytes, transient });
        }
    }

    fn table(&mut self, segment: SegmentId) -> Option<&mut Table> {
        match &mut self.segments.get_mut(&segment)?.stage {
            Stage::Open(table) => Some(table),
            Stage::Closed { .. } | Stage::Sealed { .. } => None,
        }
    }
}

impl Table {
    /// Of a segment without a footer that can be used: reads it through. Gives damaged places and records to `seen`.
    pub(super) fn scan(segment: &Segment, mut seen: impl FnMut(&Scanned<'_>)) -> io::Result<Footer> {
        let mut table = Self::default();
        let mut scan = segment.scan(FIRST_RECORD_OFFSET)?;
        while let Some(scanned) = scan.advance()? {
            if let Scanned::Record { offset, kind, flags, payload } = scanned {
                table.note(offset, kind, flags, payload);
            }
            seen(&scanned);
        }
        if scan.dropped() > 0 {
            let (segment, dropped) = (segment.id(), scan.dropped());
            tracing::info!(%segment, dropped, "records of an unfinished transaction are left out");
        }
        Ok(table.footer(scan.end()))
    }

    fn note(&mut self, offset: u32, kind: Kind, flags: Flags, payload: &[u8]) {
        match kind {
            Kind::Publish => {
                let Ok(publish) = Publish::decode(payload) else { return };
                let (payload_bytes, transient) = (payload.len() as u32, flags.contains(Flags::TRANSIENT));
                for placement in publish.placements() {
                    self.insert(Slot { placement, offset, payload_bytes, transient });
                }
            }
            Kind::Footer => {}
            Kind::Settle | Kind::Return | Kind::ReturnV1 | Kind::Topology | Kind::Shutdown => {
                self.others.push(offset);
            }
        }
    }

    fn insert(&mut self, slot: Slot) {
        let slots = self.slots.entry(line(slot.placement)).or_default();
        if slots.last().is_some_and(|last| last.placement >= slot.placement) {
            self.late.insert(slot.placement, slot);
        } else {
            slots.push(slot);
        }
    }

    /// The slot of a message.
    pub(super) fn find(&self, placement: Placement) -> Option<Slot> {
        if let Some(late) = self.late.get(&placement) {
            return Some(*late);
        }
        let slots = self.slots.get(&line(placement))?;
        let at = slots.binary_search_by_key(&placement, |slot| slot.placement).ok()?;
        Some(slots[at])
    }

    /// All of it as a footer, for a segment whose records end at `end`.
    pub(super) fn footer(&self, end: u32) -> Footer {
        let count = self.slots.values().map(Vec::len).sum::<usize>() + self.late.len();
        let mut slots: Vec<Slot> = Vec::with_capacity(count);
        slots.extend(self.slots.values().flatten().chain(self.late.values()));
        slots.sort_unstable_by_key(|slot| (slot.placement, slot.offset));
        Footer { slots, others: self.others.clone(), end }
    }
}

fn line(placement: Placement) -> (QueueId, u8) {
    (placement.queue, line_of(placement.position))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::placement::position_of;

    fn slot(queue: u64, position: u64) -> Slot {
        let placement = Placement { queue: QueueId(queue), position };
        Slot { placement, offset: position as u32 * 8, payload_bytes: 40, transient: false }
    }

    #[test]
    fn a_table_finds_what_came_out_of_order() {
        let mut table = Table::default();
        for position in [0, 1, 4, 2, 3, 5] {
            table.insert(slot(7, position));
            table.insert(slot(8, position));
        }
        for position in 0..6 {
            assert_eq!(table.find(slot(7, position).placement), Some(slot(7, position)));
        }
        assert_eq!(table.find(slot(7, 6).placement), None);
        let footer = table.footer(1_000);
        assert_eq!(footer.slots.len(), 12);
        assert!(footer.slots.is_sorted_by_key(|slot| slot.placement));
    }

    #[test]
    fn messages_of_several_lines_are_not_late() {
        let mut table = Table::default();
        let slots: Vec<Slot> = [(9, 0), (0, 1), (4, 2), (0, 3), (9, 4)]
            .map(|(line, counter)| slot(7, position_of(line, counter)))
            .into();
        for slot in &slots {
            table.insert(*slot);
        }
        assert!(table.late.is_empty());
        assert!(slots.iter().all(|slot| table.find(slot.placement) == Some(*slot)));
        assert!(table.footer(1_000).slots.is_sorted_by_key(|slot| slot.placement));
    }
}
