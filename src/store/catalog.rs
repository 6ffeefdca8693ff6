//! What is in the log and durable: the index of live messages, each segment with where its records are, and what changed since
//! the last checkpoint. The writer fills it after each sync; the keeper and the pager read it. One short lock; no I/O under it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};

use super::{
    checkpoint::Entity,
    format::Slot,
    index::Index,
    position::{LogPosition, SegmentId},
    recorded::{Encoded, Recorded},
    segment::{FIRST_RECORD_OFFSET, Segment, table::Table},
};
use crate::core::{
    change::TopologyChange,
    placement::{Placement, QueueId},
};
use crate::protocol::ShortString;

/// What is durable, behind a lock.
pub(super) struct Catalog(Mutex<State>);

/// What the lock guards.
#[derive(Default)]
pub(super) struct State {
    /// Which messages are live, and in which segment.
    pub(super) index: Index,
    /// The segments that are there.
    pub(super) segments: BTreeMap<SegmentId, Known>,
    /// Changes of what is declared and set since the last checkpoint.
    pub(super) entities: Vec<Entity>,
    /// Everything before it is in here.
    pub(super) applied: LogPosition,
    /// Segments of groups that are written aside and are not whole: the index has their placements already, so nothing that it says may
    /// be kept, and nobody may read them.
    pub(super) unfinished: BTreeSet<SegmentId>,
    /// There should have been a checkpoint long ago, had nothing been unfinished: for a while nothing more is written aside.
    pub(super) checkpoint_waits: bool,
}

/// A segment.
pub(super) struct Known {
    /// Its file.
    pub(super) segment: Arc<Segment>,
    /// Whether it is still written to, and where its records are until a footer says so.
    pub(super) stage: SegmentStage,
}

/// How far a segment is.
pub(super) enum SegmentStage {
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

impl SegmentStage {
    /// Where the records are, if no footer says so.
    pub(super) fn table(&self) -> Option<&Table> {
        match self {
            Self::Open(table) => Some(table),
            Self::Closed { table, .. } => Some(table),
            Self::Sealed { .. } => None,
        }
    }
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
        self.segments.insert(segment.id(), Known { segment, stage: SegmentStage::Open(Table::default()) });
    }

    /// The writer is done with a segment.
    pub(super) fn close(&mut self, id: SegmentId, end: u32) {
        if let Some(known) = self.segments.get_mut(&id)
            && let SegmentStage::Open(table) = &mut known.stage
        {
            known.stage = SegmentStage::Closed { table: Arc::new(std::mem::take(table)), end };
        }
    }

    /// Nothing in a segment counts.
    pub(super) fn abandon(&mut self, id: SegmentId) {
        if let Some(known) = self.segments.get_mut(&id) {
            known.stage = SegmentStage::Closed { table: Arc::default(), end: FIRST_RECORD_OFFSET };
        }
    }

    /// A segment has its footer; it is only read from now on.
    pub(super) fn sealed(&mut self, segment: Segment, bytes: u64) {
        if let Some(known) = self.segments.get_mut(&segment.id()) {
            known.segment = Arc::new(segment);
            known.stage = SegmentStage::Sealed { bytes };
        }
    }

    /// A record that is no publish was written.
    pub(super) fn note_other(&mut self, segment: SegmentId, offset: u32) {
        if let Some(table) = self.table(segment) {
            table.note_other(offset);
        }
    }

    /// A record is durable.
    pub(super) fn apply(&mut self, segment: SegmentId, encoded: &Encoded) {
        let Encoded { offset, recorded } = encoded;
        match recorded {
            Recorded::Place { placements, payload_bytes, transient, .. } => {
                let bytes = share(*payload_bytes, placements.len());
                for placement in placements {
                    self.index.place(*placement, segment, bytes, *transient);
                }
                self.note_slots(segment, placements, *offset, *payload_bytes, *transient);
                return;
            }
            Recorded::Relocate { placements, payload_bytes, transient, from } => {
                let bytes = share(*payload_bytes, placements.len());
                for placement in placements {
                    self.index.relocate(*placement, *from, segment, bytes);
                }
                self.note_slots(segment, placements, *offset, *payload_bytes, *transient);
                return;
            }
            Recorded::Settle { queue, ranges } => {
                for range in ranges {
                    self.settle(*queue, *range.start(), *range.end());
                }
            }
            Recorded::Return { queue, returned } => {
                for back in returned {
                    self.index.returned(Placement { queue: *queue, position: back.position }, back.returned);
                }
            }
            Recorded::Topology { vhost, change } => self.apply_topology(vhost, change),
            Recorded::Access(change) => self.entities.push(Entity::Access((**change).clone())),
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
            | TopologyChange::VhostSet(_)
            | TopologyChange::VhostDeleted
            | TopologyChange::VhostCleared
            | TopologyChange::ParameterSet { .. }
            | TopologyChange::ParameterDeleted { .. } => {}
        }
        self.entities.push(Entity::Topology { vhost: vhost.clone(), change: change.clone() });
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
            SegmentStage::Open(table) => Some(table),
            SegmentStage::Closed { .. } | SegmentStage::Sealed { .. } => None,
        }
    }
}

/// What each of the places of a record counts for.
pub(super) fn share(payload_bytes: u32, places: usize) -> u32 {
    payload_bytes / (places as u32).max(1)
}
