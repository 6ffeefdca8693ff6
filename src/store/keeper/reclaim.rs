//! Rewrites what is live in sparse segments to the head of the log, so that one old message does not hold a whole segment.
//!
//! One segment at a time, the sparsest first, at a bounded rate, and only when what is dead outweighs what is live. The writer
//! writes the messages anew; this file does not know when the segment that they left can go.

use std::{collections::HashSet, io, sync::Arc, time::Instant};

use parking_lot::MutexGuard;

use crate::core::{change::Change, commit::Commit, placement::Placement};
use crate::limits::{
    RECLAIM_BYTES_PER_SECOND, RECLAIM_LIVE_PERCENT_MAX, RECLAIM_READ_BYTES, RECLAIM_SLOTS_AT_ONCE_MAX,
};
use crate::store::{
    catalog::{Catalog, SegmentStage},
    files::{Files, is_out_of_handles},
    format::{Flags, Slot},
    log::{moving::Move, pending::Pending},
    metrics::Metrics,
    position::{LogPosition, SegmentId},
    segment::{Segment, quarantine, read::SlotError, table::footer_of},
    spares::Spares,
};

/// Rewrites one sparse segment after the other.
pub(in crate::store) struct Reclaim {
    catalog: Arc<Catalog>,
    spares: Arc<Spares>,
    pending: Arc<Pending>,
    quarantine: Arc<dyn Files>,
    metrics: Arc<Metrics>,
    /// A segment and the slots that are still to be looked at, last one first.
    current: Option<(Arc<Segment>, Vec<Slot>)>,
    /// The last records that were given to the writer are part of it.
    commit: Commit,
    /// Segments that cannot be read, or of which nothing could be moved: they stay as they are.
    skipped: HashSet<SegmentId>,
    /// Something of the current segment was moved.
    has_moved: bool,
    /// Bytes that may be rewritten now, and since when.
    pub(in crate::store) allowance: Option<(Instant, u64)>,
}

impl Reclaim {
    /// Nothing is being rewritten.
    pub(in crate::store) fn new(
        catalog: Arc<Catalog>,
        spares: Arc<Spares>,
        pending: Arc<Pending>,
        quarantine: Arc<dyn Files>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            catalog,
            spares,
            pending,
            quarantine,
            metrics,
            current: None,
            commit: Commit::default(),
            skipped: HashSet::new(),
            has_moved: false,
            allowance: None,
        }
    }

    /// Does a piece of work, if there is any in the segments before the last checkpoint, of `stamp`.
    pub(in crate::store) fn step(&mut self, stamp: LogPosition) {
        if self.spares.disk_is_full() || !self.pending.is_done(self.commit) {
            return;
        }
        let Err((segment, error)) = self.next_piece(stamp) else { return };
        self.current = None;
        if is_out_of_handles(&error) {
            tracing::debug!(%segment, %error, "a sparse segment is read later");
            return;
        }
        tracing::error!(%segment, %error, "a sparse segment cannot be read; it stays as it is");
        self.skipped.insert(segment);
    }

    fn next_piece(&mut self, stamp: LogPosition) -> Result<(), (SegmentId, io::Error)> {
        if self.current.is_none() {
            let Some(segment) = self.sparsest(stamp) else { return Ok(()) };
            let mut slots = footer_of(&segment).map_err(|error| (segment.id(), error))?.slots;
            slots.sort_by_key(|slot| std::cmp::Reverse(slot.offset));
            tracing::debug!(segment = %segment.id(), "rewriting what is live in a sparse segment");
            self.current = Some((segment, slots));
            self.has_moved = false;
        }
        let budget = self.budget();
        let Some((segment, mut slots)) = self.current.take() else { return Ok(()) };
        let piece = self.take_live(&segment, &mut slots, budget);
        self.has_moved |= !piece.is_empty();
        if !slots.is_empty() {
            self.current = Some((segment.clone(), slots));
        } else if !self.has_moved {
            self.skipped.insert(segment.id());
        }
        self.rewrite(&segment, &piece).map_err(|error| (segment.id(), error))
    }

    /// Live slots of a segment, in the order of their records, up to a number of bytes; records are not parted.
    fn take_live(&self, segment: &Segment, slots: &mut Vec<Slot>, budget: u64) -> Vec<Slot> {
        let mut piece: Vec<Slot> = Vec::new();
        let mut bytes = 0;
        let mut catalog = self.catalog.lock();
        for looked_at in 1.. {
            let Some(slot) = slots.last() else { break };
            if looked_at % RECLAIM_SLOTS_AT_ONCE_MAX == 0 {
                MutexGuard::bump(&mut catalog);
            }
            let begins = piece.last().is_none_or(|last| last.offset != slot.offset);
            if begins && bytes >= budget {
                break;
            }
            let slot = *slot;
            slots.pop();
            if catalog.index.is_live_in(slot.placement, segment.id()) {
                bytes += if begins { u64::from(slot.payload_bytes) } else { 0 };
                piece.push(slot);
            }
        }
        piece
    }

    fn rewrite(&mut self, segment: &Segment, piece: &[Slot]) -> io::Result<()> {
        let mut records = piece.to_vec();
        records.dedup_by_key(|slot| slot.offset);
        let mut moves = Vec::with_capacity(records.len());
        let mut bytes = 0;
        for (record, read) in records.iter().zip(segment.read_publishes(&records)) {
            let same = |slot: &&Slot| slot.offset == record.offset;
            let live: Vec<Placement> = piece.iter().filter(same).map(|slot| slot.placement).collect();
            match read {
                Ok(stored) => {
                    bytes += u64::from(record.payload_bytes);
                    moves.push(Move {
                        message: stored.message,
                        placements: live.into(),
                        transient: stored.flags.contains(Flags::TRANSIENT),
                        from: segment.id(),
                    });
                }
                Err(SlotError::Damaged { offset, length }) => {
                    self.give_up(segment, offset..offset.saturating_add(length), live);
                }
                Err(SlotError::Io(error)) => return Err(error),
            }
        }
        if !moves.is_empty() {
            self.metrics.moved(bytes);
            self.spent(bytes);
            self.commit = self.pending.append_moves(moves);
        }
        Ok(())
    }

    fn give_up(&self, segment: &Segment, damaged: std::ops::Range<u32>, live: Vec<Placement>) {
        let file = quarantine::set_aside(&*self.quarantine, segment, damaged);
        tracing::error!(segment = %segment.id(), ?file, placements = ?live, "a message is lost: its record is damaged");
        self.metrics.quarantined(1);
        let settled =
            |at: Placement| Change::SettleRange { queue: at.queue, first: at.position, last: at.position };
        self.pending.append(&mut live.into_iter().map(settled).collect(), false);
    }

    /// The segment with the least that is live in it, if rewriting it is worth while.
    fn sparsest(&self, stamp: LogPosition) -> Option<Arc<Segment>> {
        let catalog = self.catalog.lock();
        let (mut dead, mut live) = (0, 0);
        let mut best: Option<(u64, Arc<Segment>)> = None;
        for (id, known) in catalog.segments.range(..stamp.segment) {
            let SegmentStage::Sealed { bytes } = known.stage else { continue };
            if self.skipped.contains(id) {
                continue;
            }
            let used = catalog
                .index
                .segments()
                .get(id)
                .map_or(0, |it| if it.live == 0 { 0 } else { it.bytes.max(1) });
            live += used.min(bytes);
            dead += bytes - used.min(bytes);
            let percent = used * 100 / bytes.max(1);
            if used > 0
                && percent <= RECLAIM_LIVE_PERCENT_MAX
                && best.as_ref().is_none_or(|(least, _)| used < *least)
            {
                best = Some((used, known.segment.clone()));
            }
        }
        let worth = dead > live / 2 + u64::from(self.spares.segment_bytes());
        best.filter(|_| worth).map(|(_, segment)| segment)
    }

    /// How many bytes may be rewritten now.
    fn budget(&mut self) -> u64 {
        let (since, left) = self.allowance.unwrap_or_else(|| (Instant::now(), RECLAIM_READ_BYTES));
        let earned = since.elapsed().as_millis() as u64 * RECLAIM_BYTES_PER_SECOND / 1_000;
        let left = (left + earned).min(RECLAIM_READ_BYTES);
        self.allowance = Some((Instant::now(), left));
        left
    }

    fn spent(&mut self, bytes: u64) {
        if let Some((_, left)) = &mut self.allowance {
            *left = left.saturating_sub(bytes);
        }
    }
}
