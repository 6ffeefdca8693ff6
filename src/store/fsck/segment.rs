//! Every record of one segment against the index and, when it is sealed, its footer.
//!
//! The check counts what is live and what is damaged; the index stays as the replay left it. It does not know which segment is the
//! last one: that is said to it.

use std::{collections::HashMap, io, sync::Arc};

use super::report::{Flaw, QueueReport, Report};
use crate::core::placement::QueueId;
use crate::store::{
    format::{
        Damage, Flags, Footer, Kind, Publish, Return, Settle, Slot, TopologyRecord, access,
        envelope::TRAILER_BYTES,
        record::{RECORD_ALIGNMENT_BYTES, RECORD_HEADER_BYTES},
    },
    index::Index,
    position::SegmentId,
    segment::{FIRST_RECORD_OFFSET, Segment, SegmentError, scan::Scanned},
};

/// The check at work.
pub(super) struct Check<'a> {
    index: &'a Index,
    report: Report,
    queue_bytes: HashMap<QueueId, u64>,
    /// Messages in queues whose records were found in each segment, damaged ones included.
    found: HashMap<SegmentId, u64>,
}

impl<'a> Check<'a> {
    /// Against what the log and the key-value store say is in the queues.
    pub(super) fn new(index: &'a Index, report: Report) -> Self {
        Self { index, report, queue_bytes: HashMap::new(), found: HashMap::new() }
    }

    /// Reads all of a segment, and tells `progress` the offset now and then. The last one may end in anything.
    pub(super) fn segment(
        &mut self,
        segment: &Arc<Segment>,
        is_last: bool,
        progress: &mut dyn FnMut(u32),
    ) -> io::Result<()> {
        if !segment.has_sound_header()? {
            self.report.flaws.push(Flaw::Header { segment: segment.id() });
        }
        let live_before = self.report.sizes.live_bytes;
        let file_bytes = segment.len_bytes()?;
        let written_bytes = match segment.footer() {
            Ok(Some(footer)) => {
                self.report.sizes.sealed += 1;
                self.sealed(segment, &footer, progress)?;
                file_bytes
            }
            Ok(None) => self.unsealed(segment, is_last, progress)?,
            Err(SegmentError::FooterDamaged { id, damage }) => {
                self.report.flaws.push(Flaw::Footer { segment: id, damage });
                self.report.sizes.sealed += 1;
                self.scanned(segment, progress)?;
                file_bytes
            }
            Err(SegmentError::Io { source, .. }) => return Err(source),
            Err(error) => return Err(io::Error::other(error)),
        };
        let live_bytes = self.report.sizes.live_bytes - live_before;
        self.report.sizes.dead_bytes += written_bytes.saturating_sub(live_bytes);
        self.report.sizes.file_bytes += file_bytes;
        Ok(())
    }

    /// The report, with what is in the queues.
    pub(super) fn finish(mut self) -> Report {
        for (&segment, used) in self.index.segments() {
            let found = self.found.get(&segment).copied().unwrap_or(0);
            if used.live > found {
                self.report.flaws.push(Flaw::Missing { segment, messages: used.live - found });
            }
        }
        for queue in self.index.queues() {
            let ranges = self.index.restored(queue.id).map(|queue| queue.ranges).unwrap_or_default();
            self.report.queues.push(QueueReport {
                vhost: String::new(),
                name: format!("{:?}", queue.id),
                id: queue.id,
                messages: ranges.iter().map(|range| u64::from(range.count)).sum(),
                bytes: self.queue_bytes.get(&queue.id).copied().unwrap_or(0),
            });
        }
        self.report
    }

    // ---- ways through a segment ----

    /// Record by record as the footer lists them.
    fn sealed(
        &mut self,
        segment: &Segment,
        footer: &Footer,
        progress: &mut dyn FnMut(u32),
    ) -> io::Result<()> {
        let id = segment.id();
        let mut by_offset = footer.slots.clone();
        by_offset.sort_by_key(|slot| (slot.offset, slot.placement));
        let mut slots = by_offset.as_slice();
        let mut end = FIRST_RECORD_OFFSET;
        let mut listed = segment.scan_listed(footer)?;
        while let Some(scanned) = listed.advance()? {
            let offset = scanned.offset();
            let count = slots.iter().take_while(|slot| slot.offset == offset).count();
            let (own, rest) = slots.split_at(count);
            slots = rest;
            self.unlisted(segment, end..offset)?;
            match scanned {
                Scanned::Record { kind, flags, payload, .. } => {
                    end = record_end(offset, payload);
                    if self.record(id, offset, kind, flags, payload) && !agrees(own, kind, flags, payload) {
                        self.report.flaws.push(Flaw::FooterDiffers { segment: id, offset });
                    }
                }
                Scanned::Damaged { from, to } => {
                    end = to;
                    let live = own.iter().filter(|slot| self.index.is_live_in(slot.placement, id)).count();
                    *self.found.entry(id).or_default() += live as u64;
                    self.damaged(id, from, to, live as u64);
                }
            }
            progress(offset);
        }
        self.unlisted(segment, end..footer.end)
    }

    /// Bytes that the footer does not list: what an earlier recovery left out, but no record that counts.
    fn unlisted(&mut self, segment: &Segment, bytes: std::ops::Range<u32>) -> io::Result<()> {
        if bytes.start > bytes.end {
            self.report.flaws.push(Flaw::FooterDiffers { segment: segment.id(), offset: bytes.end });
        }
        if bytes.start >= bytes.end {
            return Ok(());
        }
        let mut scan = segment.scan(bytes.start)?;
        while let Some(scanned) = scan.advance()? {
            let offset = scanned.offset();
            if offset >= bytes.end {
                break;
            }
            if let Scanned::Record { .. } = scanned {
                self.report.flaws.push(Flaw::FooterDiffers { segment: segment.id(), offset });
            }
        }
        Ok(())
    }

    /// Record by record as they stand there; what follows the last one may be anything if the log ends there. Gives how
    /// many bytes were written.
    fn unsealed(
        &mut self,
        segment: &Segment,
        is_last: bool,
        progress: &mut dyn FnMut(u32),
    ) -> io::Result<u64> {
        self.report.sizes.unsealed += 1;
        let tail = self.scanned(segment, progress)?;
        let file_bytes = segment.len_bytes()?;
        match tail.footer_end {
            // It was cut to this length after footer and trailer were safe.
            Some(footer_end) if footer_end + TRAILER_BYTES as u64 == file_bytes => {
                self.report.flaws.push(Flaw::Trailer { segment: segment.id(), offset: footer_end });
            }
            // Or of a group that was written aside and is not whole.
            None if is_last || tail.may_be_footer || !segment.is_begun()? => {
                self.report.torn_bytes += tail.bytes;
            }
            None if tail.bytes > 0 => {
                let (offset, length) = (tail.offset, tail.bytes);
                self.report.flaws.push(Flaw::End { segment: segment.id(), offset, length });
            }
            // Or a crash came between footer and cut; the next broker seals it.
            Some(_) | None => {}
        }
        Ok(u64::from(tail.offset) + tail.bytes)
    }

    fn scanned(&mut self, segment: &Segment, progress: &mut dyn FnMut(u32)) -> io::Result<Tail> {
        let mut scan = segment.scan(FIRST_RECORD_OFFSET)?;
        while let Some(scanned) = scan.advance()? {
            progress(scanned.offset());
            match scanned {
                Scanned::Record { offset, kind, flags, payload } => {
                    self.record(segment.id(), offset, kind, flags, payload);
                }
                Scanned::Damaged { from, to } => self.damaged(segment.id(), from, to, 0),
            }
        }
        self.report.dropped_records += scan.dropped();
        Ok(Tail {
            offset: scan.end(),
            bytes: scan.tail_bytes()?,
            may_be_footer: scan.tail_may_be_footer()?,
            footer_end: scan.footer_end(),
        })
    }

    // ---- records ----

    /// A record whose checksum holds. False if it makes no sense.
    fn record(&mut self, segment: SegmentId, offset: u32, kind: Kind, flags: Flags, payload: &[u8]) -> bool {
        if let Err(damage) = decode(kind, payload) {
            let length = (RECORD_HEADER_BYTES + payload.len()) as u32;
            self.report.flaws.push(Flaw::Payload { segment, offset, length, damage });
            return false;
        }
        self.count(kind, flags);
        if let (Kind::Publish, Ok(publish)) = (kind, Publish::decode(payload)) {
            self.live(segment, &publish, payload.len());
        }
        true
    }

    fn count(&mut self, kind: Kind, flags: Flags) {
        let records = &mut self.report.records;
        match kind {
            Kind::Publish => {
                records.publish += 1;
                records.transient += u64::from(flags.contains(Flags::TRANSIENT));
                records.moved += u64::from(flags.contains(Flags::MOVED));
            }
            Kind::Settle => records.settle += 1,
            Kind::Return | Kind::ReturnV1 => records.returned += 1,
            Kind::Topology => records.topology += 1,
            Kind::Access => records.access += 1,
            Kind::Shutdown => records.shutdown += 1,
            Kind::Footer => {}
        }
    }

    /// Notes which queues still have a message.
    fn live(&mut self, segment: SegmentId, publish: &Publish<'_>, payload_bytes: usize) {
        let bytes = padded(payload_bytes);
        let mut live = 0;
        for placement in publish.placements() {
            if self.index.is_live_in(placement, segment) {
                live += 1;
                *self.queue_bytes.entry(placement.queue).or_default() += bytes;
            }
        }
        *self.found.entry(segment).or_default() += live;
        self.report.sizes.live_bytes += if live > 0 { bytes } else { 0 };
    }

    fn damaged(&mut self, segment: SegmentId, from: u32, to: u32, live: u64) {
        let length = to.saturating_sub(from);
        self.report.flaws.push(Flaw::Record { segment, offset: from, length, live });
    }
}

/// What follows the last whole group of an unsealed segment.
struct Tail {
    offset: u32,
    bytes: u64,
    may_be_footer: bool,
    footer_end: Option<u64>,
}

/// Whether a payload makes sense.
fn decode(kind: Kind, payload: &[u8]) -> Result<(), Damage> {
    match kind {
        Kind::Publish => Publish::decode(payload).map(drop),
        Kind::Settle => Settle::decode(payload).map(drop),
        Kind::Return => Return::decode(payload).map(drop),
        Kind::ReturnV1 => Return::decode_v1(payload).map(drop),
        Kind::Topology => TopologyRecord::decode(payload).map(drop),
        Kind::Access => access::decode(payload).map(drop),
        Kind::Shutdown | Kind::Footer => Ok(()),
    }
}

/// Whether these are the slots of the record.
fn agrees(slots: &[Slot], kind: Kind, flags: Flags, payload: &[u8]) -> bool {
    if kind != Kind::Publish {
        return slots.is_empty();
    }
    let Ok(publish) = Publish::decode(payload) else { return false };
    let mut placements: Vec<_> = publish.placements().collect();
    placements.sort_unstable();
    let transient = flags.contains(Flags::TRANSIENT);
    slots.iter().map(|slot| slot.placement).eq(placements)
        && slots
            .iter()
            .all(|slot| slot.payload_bytes as usize == payload.len() && slot.transient == transient)
}

fn padded(payload_bytes: usize) -> u64 {
    (RECORD_HEADER_BYTES + payload_bytes).next_multiple_of(RECORD_ALIGNMENT_BYTES) as u64
}

fn record_end(offset: u32, payload: &[u8]) -> u32 {
    offset.saturating_add(padded(payload.len()) as u32)
}
