//! Where the records of a segment are, as long as no footer can say so: while it is written, and when its footer is lost.
//!
//! It holds what the footer will: the slot of each message, and the offsets of all other records. It does not know which messages are
//! live, nor who writes.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use foldhash::fast::RandomState;

use super::{FIRST_RECORD_OFFSET, Segment, SegmentError, scan::Scanned};
use crate::core::placement::{Placement, QueueId, line_of};
use crate::store::format::{Flags, Footer, Kind, Publish, Slot};

/// Where the records of a segment are that has no footer yet.
#[derive(Default)]
pub(in crate::store) struct Table {
    /// In order of position, by queue and line: messages of different lines come in any order.
    slots: HashMap<(QueueId, u8), Vec<Slot>, RandomState>,
    /// Those that came after one with a higher position: two publishers to one queue may append in another order than
    /// the queue took their messages, and reclaiming writes old messages behind new ones.
    late: BTreeMap<Placement, Slot>,
    others: Vec<u32>,
}

impl Table {
    /// Of a segment without a footer that can be used: reads it through. Gives damaged places and records to `seen`.
    pub(in crate::store) fn scan(
        segment: &Segment,
        mut seen: impl FnMut(&Scanned<'_>),
    ) -> io::Result<Footer> {
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
            Kind::Settle | Kind::Return | Kind::ReturnV1 | Kind::Topology | Kind::Access | Kind::Shutdown => {
                self.others.push(offset);
            }
        }
    }

    /// A message has a record.
    pub(in crate::store) fn insert(&mut self, slot: Slot) {
        let slots = self.slots.entry(line(slot.placement)).or_default();
        if slots.last().is_some_and(|last| last.placement >= slot.placement) {
            self.late.insert(slot.placement, slot);
        } else {
            slots.push(slot);
        }
    }

    /// A record that is no publish stands there.
    pub(in crate::store) fn note_other(&mut self, offset: u32) {
        self.others.push(offset);
    }

    /// The slot of a message.
    pub(in crate::store) fn find(&self, placement: Placement) -> Option<Slot> {
        if let Some(late) = self.late.get(&placement) {
            return Some(*late);
        }
        let slots = self.slots.get(&line(placement))?;
        let at = slots.binary_search_by_key(&placement, |slot| slot.placement).ok()?;
        Some(slots[at])
    }

    /// All of it as a footer, for a segment whose records end at `end`.
    pub(in crate::store) fn footer(&self, end: u32) -> Footer {
        let count = self.slots.values().map(Vec::len).sum::<usize>() + self.late.len();
        let mut slots: Vec<Slot> = Vec::with_capacity(count);
        slots.extend(self.slots.values().flatten().chain(self.late.values()));
        slots.sort_unstable_by_key(|slot| (slot.placement, slot.offset));
        Footer { slots, others: self.others.clone(), end }
    }
}

/// A sealed segment's footer; if it is damaged, what can be told by reading the segment through.
pub(in crate::store) fn footer_of(segment: &Segment) -> io::Result<Footer> {
    match segment.footer() {
        Ok(Some(footer)) => Ok(footer),
        Err(SegmentError::Io { source, .. }) => Err(source),
        Ok(None) | Err(_) => {
            tracing::error!(segment = %segment.id(), "footer damaged; the segment is read through");
            Table::scan(segment, |_| ())
        }
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
