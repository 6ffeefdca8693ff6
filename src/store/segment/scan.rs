//! Records in the order in which they were written.
//!
//! [`Scan`] goes from record to record of a segment of which nobody knows where they are: one that a crash left open,
//! or whose footer is damaged. [`Others`] reads what is no publish in a sealed one, by the footer's offsets, and
//! [`Listed`] everything.
//!
//! A group of records counts as a whole or not at all. So a scan gives the records of a group only when it has seen
//! the last one: it remembers where they are, not what they say, and reads them again.

use std::{collections::VecDeque, io};

use super::{
    FIRST_RECORD_OFFSET, Segment,
    read_ahead::ReadAhead,
    sums::{Sums, joined},
};
use crate::store::format::{
    Flags, Footer, Kind,
    record::{self, RECORD_ALIGNMENT_BYTES, RECORD_HEADER_BYTES, RecordHeader},
};

/// What stands in a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Scanned<'a> {
    /// A record that checks out.
    Record {
        /// Where it begins.
        offset: u32,
        /// What it says.
        kind: Kind,
        /// Its flags.
        flags: Flags,
        /// The bytes that `kind` explains.
        payload: &'a [u8],
    },
    /// Bytes that are no record, though records follow.
    Damaged {
        /// Where they begin.
        from: u32,
        /// Where they end.
        to: u32,
    },
}

impl Scanned<'_> {
    /// Where it begins.
    pub fn offset(&self) -> u32 {
        match *self {
            Self::Record { offset, .. } | Self::Damaged { from: offset, .. } => offset,
        }
    }
}

/// Goes through a segment, one piece after another.
pub struct Scan<'a> {
    salt: u32,
    ahead: ReadAhead<'a>,
    /// From the first damage on.
    sums: Option<Sums<'a>>,
    /// Where the next record is looked for.
    at: u64,
    /// Records since the last FIRST, if its LAST has not come.
    group: Option<Vec<Span>>,
    ready: VecDeque<Found>,
    is_over: bool,
    end: u32,
    dropped: u64,
    footer_end: Option<u64>,
}

/// Where a record is that checked out.
#[derive(Debug, Clone, Copy)]
struct Span {
    offset: u32,
    header: RecordHeader,
}

enum Found {
    Record(Span),
    Damaged { from: u32, to: u32 },
}

/// What stands at one offset.
enum Step {
    Record(Span),
    Bad,
    End,
}

impl Segment {
    /// Reads the records from offset `from` on, where one must begin.
    pub fn scan(&self, from: u32) -> io::Result<Scan<'_>> {
        debug_assert!(from >= FIRST_RECORD_OFFSET && from.is_multiple_of(RECORD_ALIGNMENT_BYTES as u32));
        Ok(Scan {
            salt: self.salt,
            ahead: ReadAhead::new(self, SCAN_STEP_BYTES)?,
            sums: None,
            at: u64::from(from),
            group: None,
            ready: VecDeque::new(),
            is_over: false,
            end: from,
            dropped: 0,
            footer_end: None,
        })
    }

    /// Reads the records of a sealed segment that are no publishes.
    pub fn scan_sealed<'a>(&'a self, footer: &'a Footer) -> io::Result<Others<'a>> {
        let ahead = ReadAhead::new(self, OTHERS_STEP_BYTES)?;
        Ok(Others { salt: self.salt, ahead, footer, next: 0 })
    }

    /// Reads all records of a sealed segment that its footer lists.
    pub fn scan_listed(&self, footer: &Footer) -> io::Result<Listed<'_>> {
        let mut offsets: Vec<u32> = footer.slots.iter().map(|slot| slot.offset).collect();
        offsets.extend_from_slice(&footer.others);
        offsets.sort_unstable();
        offsets.dedup();
        let ahead = ReadAhead::new(self, SCAN_STEP_BYTES)?;
        Ok(Listed { salt: self.salt, ahead, offsets, end: footer.end, next: 0 })
    }
}

impl Scan<'_> {
    /// The next record of a whole group, or damage; `None` at the end.
    pub fn advance(&mut self) -> io::Result<Option<Scanned<'_>>> {
        while self.ready.is_empty() && !self.is_over {
            self.look_on()?;
        }
        match self.ready.pop_front() {
            None => Ok(None),
            Some(Found::Damaged { from, to }) => Ok(Some(Scanned::Damaged { from, to })),
            Some(Found::Record(span)) => self.reread(span).map(Some),
        }
    }

    /// Where the last whole group ends that was found so far: at the end of the scan, what may be written over or cut
    /// off begins there.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// How many sound records were left out so far because their group is not whole.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Where a footer ends that ended the scan.
    pub fn footer_end(&self) -> Option<u64> {
        self.footer_end
    }

    /// How many bytes there are from [`end`](Self::end) to the last one that is not zero: at the end of the scan, what
    /// was never finished.
    pub fn tail_bytes(&mut self) -> io::Result<u64> {
        let from = u64::from(self.end);
        let (mut at, mut bytes) = (from, 0);
        while at < self.ahead.file_bytes() {
            let piece = self.ahead.at(at, SCAN_STEP_BYTES as u64)?;
            if let Some(last) = piece.iter().rposition(|octet| *octet != 0) {
                bytes = at + last as u64 + 1 - from;
            }
            at += piece.len() as u64;
        }
        Ok(bytes)
    }

    /// Whether what stands at [`end`](Self::end) may be what a crash left of a footer.
    pub fn tail_may_be_footer(&mut self) -> io::Result<bool> {
        let bytes = self.ahead.at(u64::from(self.end), RECORD_HEADER_BYTES as u64)?;
        Ok(match RecordHeader::decode(bytes) {
            Ok(header) => header.is_none_or(|header| header.kind == Kind::Footer),
            Err(_) => false,
        })
    }

    /// Looks at one record.
    fn look_on(&mut self) -> io::Result<()> {
        match self.step(self.at)? {
            Step::Record(span) if span.header.kind != Kind::Footer => self.take(span),
            Step::Record(span) => {
                self.footer_end = Some(self.at + span.header.padded_bytes());
                self.stop();
            }
            Step::End => self.stop(),
            Step::Bad => return self.resume(),
        }
        Ok(())
    }

    /// Looks for a record behind damage; without one the damage is a tail that was never finished.
    fn resume(&mut self) -> io::Result<()> {
        let from = self.at;
        self.drop_group();
        while self.at + (RECORD_ALIGNMENT_BYTES as u64) < self.ahead.file_bytes() {
            self.at += RECORD_ALIGNMENT_BYTES as u64;
            if self.is_record(self.at)? {
                self.ready.push_back(Found::Damaged { from: from as u32, to: self.at as u32 });
                return Ok(());
            }
        }
        self.stop();
        Ok(())
    }

    /// Whether a record stands at `offset`, found out in a short time whatever length is claimed there.
    fn is_record(&mut self, offset: u64) -> io::Result<bool> {
        let bytes = self.ahead.at(offset, RECORD_HEADER_BYTES as u64)?;
        let Ok(Some(header)) = RecordHeader::decode(bytes) else { return Ok(false) };
        let claimed = bytes.first_chunk().copied().map(u32::from_le_bytes);
        let end = offset + header.record_bytes();
        if end > self.ahead.file_bytes() {
            return Ok(false);
        }
        if header.record_bytes() <= READ_WHOLE_BYTES_MAX {
            return Ok(matches!(self.step(offset)?, Step::Record(_)));
        }
        let rest = offset + 4;
        let sums = match &mut self.sums {
            Some(sums) => sums,
            none => none.insert(Sums::new(&self.ahead, rest)?),
        };
        let place = record::place_sum(self.salt, offset as u32);
        Ok(claimed == Some(joined(place, sums.of(rest, end)?, end - rest)))
    }

    fn take(&mut self, span: Span) {
        self.at += span.header.padded_bytes();
        if span.header.flags.contains(Flags::FIRST) {
            self.drop_group();
            self.group = Some(Vec::new());
        }
        let Some(group) = &mut self.group else {
            self.dropped += 1;
            return;
        };
        group.push(span);
        if span.header.flags.contains(Flags::LAST) {
            self.ready.extend(group.drain(..).map(Found::Record));
            self.group = None;
            self.end = self.at.min(super::FILE_BYTES_MAX) as u32;
        }
    }

    fn drop_group(&mut self) {
        self.dropped += self.group.take().map_or(0, |group| group.len() as u64);
    }

    fn stop(&mut self) {
        self.drop_group();
        self.is_over = true;
    }

    /// What stands at `offset`.
    fn step(&mut self, offset: u64) -> io::Result<Step> {
        let Ok(header) = RecordHeader::decode(self.ahead.at(offset, RECORD_HEADER_BYTES as u64)?) else {
            return Ok(Step::Bad);
        };
        let Some(header) = header else { return Ok(Step::End) };
        if offset + header.record_bytes() > self.ahead.file_bytes() {
            return Ok(Step::Bad);
        }
        let offset = offset as u32;
        let bytes = self.ahead.at(u64::from(offset), header.record_bytes())?;
        match record::parse(bytes, self.salt, offset) {
            Ok(Some(_)) => Ok(Step::Record(Span { offset, header })),
            _ => Ok(Step::Bad),
        }
    }

    /// The record of a span. It was sound a moment ago, so only its payload is cut out.
    fn reread(&mut self, span: Span) -> io::Result<Scanned<'_>> {
        let Span { offset, header } = span;
        let bytes = self.ahead.at(u64::from(offset), header.record_bytes())?;
        let payload = bytes.get(RECORD_HEADER_BYTES..).unwrap_or_default();
        Ok(Scanned::Record { offset, kind: header.kind, flags: header.flags, payload })
    }
}

/// The records of a sealed segment that are no publishes.
pub struct Others<'a> {
    salt: u32,
    ahead: ReadAhead<'a>,
    footer: &'a Footer,
    next: usize,
}

impl Others<'_> {
    /// The next record, or the bytes where one should be; `None` at the end. A damaged one ends where the footer has
    /// the next one.
    pub fn advance(&mut self) -> io::Result<Option<Scanned<'_>>> {
        let Some(offset) = self.footer.others.get(self.next).copied() else { return Ok(None) };
        self.next += 1;
        let bytes = record_bytes(&mut self.ahead, offset)?;
        match record::parse(bytes, self.salt, offset) {
            Ok(Some(found)) if found.kind != Kind::Publish => Ok(Some(Scanned::Record {
                offset,
                kind: found.kind,
                flags: found.flags,
                payload: found.payload,
            })),
            _ => Ok(Some(Scanned::Damaged { from: offset, to: self.footer.next_after(offset) })),
        }
    }
}

/// All records of a sealed segment that its footer lists, in the order in which they were written.
pub struct Listed<'a> {
    salt: u32,
    ahead: ReadAhead<'a>,
    /// Ascending, each once.
    offsets: Vec<u32>,
    end: u32,
    next: usize,
}

impl Listed<'_> {
    /// The next record, or the bytes where one should be; `None` at the end.
    pub fn advance(&mut self) -> io::Result<Option<Scanned<'_>>> {
        let Some(offset) = self.offsets.get(self.next).copied() else { return Ok(None) };
        self.next += 1;
        let to = self.next_offset();
        let bytes = record_bytes(&mut self.ahead, offset)?;
        Ok(Some(match record::parse(bytes, self.salt, offset) {
            Ok(Some(record::Record { kind, flags, payload })) => {
                Scanned::Record { offset, kind, flags, payload }
            }
            _ => Scanned::Damaged { from: offset, to },
        }))
    }

    /// Where the next record begins, or the footer.
    pub fn next_offset(&self) -> u32 {
        self.offsets.get(self.next).copied().unwrap_or(self.end)
    }
}

/// The bytes of the record at `offset`, or of its header if it does not fit the file.
fn record_bytes<'w>(ahead: &'w mut ReadAhead<'_>, offset: u32) -> io::Result<&'w [u8]> {
    let offset = u64::from(offset);
    let header = RecordHeader::decode(ahead.at(offset, RECORD_HEADER_BYTES as u64)?);
    let wanted = match header {
        Ok(Some(header)) if offset + header.record_bytes() <= ahead.file_bytes() => header.record_bytes(),
        _ => RECORD_HEADER_BYTES as u64,
    };
    ahead.at(offset, wanted)
}

/// Behind damage, records up to this size are read whole to see if they are any.
const READ_WHOLE_BYTES_MAX: u64 = 4 * 1024;
/// How much of a file is read at once.
const SCAN_STEP_BYTES: usize = 1024 * 1024;
/// The same where only some records are wanted.
const OTHERS_STEP_BYTES: usize = 64 * 1024;
