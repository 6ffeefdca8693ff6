//! Messages of a segment by their slots, for queues that have them on disk only.
//!
//! Slots that stand near each other are read at once; what the disk cannot give, or what does not check out, harms
//! its own message alone.

use std::io;

use super::Segment;
use crate::limits::{READ_AT_ONCE_BYTES_MAX, READ_GAP_BYTES_MAX};
use crate::{
    core::{message::Message, placement::Placements},
    store::format::{
        Flags, Kind, Publish, Slot,
        record::{self, RECORD_HEADER_BYTES},
    },
};

/// A message as it was written.
#[derive(Debug)]
pub struct StoredPublish {
    /// A copy of it.
    pub message: Message,
    /// Everywhere it went.
    pub placements: Placements,
    /// Flags of its record.
    pub flags: Flags,
}

/// Why a slot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// What stands there is not the message.
    #[error("{length} bytes at {offset} are damaged")]
    Damaged {
        /// Where the record begins.
        offset: u32,
        /// Its length as the slot tells it.
        length: u32,
    },
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Segment {
    /// Reads messages; `slots` must be ascending by offset. The answers are in the same order.
    pub fn read_publishes(&self, slots: &[Slot]) -> Vec<Result<StoredPublish, SlotError>> {
        let mut answers = Vec::with_capacity(slots.len());
        let mut rest = slots;
        while !rest.is_empty() {
            let (run, behind) = rest.split_at(run_of(rest));
            self.read_run(run, &mut answers);
            rest = behind;
        }
        answers
    }

    /// Reads neighbours at once; one by one if that does not work.
    fn read_run(&self, run: &[Slot], answers: &mut Vec<Result<StoredPublish, SlotError>>) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
        match self.bytes_of(first.offset, end_of(last)) {
            Ok(Some(bytes)) => answers.extend(run.iter().map(|slot| {
                let from = slot.offset.saturating_sub(first.offset) as usize;
                self.parse_slot(bytes.get(from..).unwrap_or_default(), slot)
            })),
            Ok(None) if run.len() == 1 => answers.push(Err(damaged(first))),
            Err(error) if run.len() == 1 => answers.push(Err(error.into())),
            Ok(None) | Err(_) => run.chunks(1).for_each(|slot| self.read_run(slot, answers)),
        }
    }

    /// Bytes of the file; `None` if it ends before.
    fn bytes_of(&self, from: u32, to: u64) -> io::Result<Option<Vec<u8>>> {
        if to > self.file.len()? {
            return Ok(None);
        }
        let mut bytes = vec![0; to.saturating_sub(u64::from(from)) as usize];
        self.file.read_at(&mut bytes, u64::from(from))?;
        Ok(Some(bytes))
    }

    fn parse_slot(&self, bytes: &[u8], slot: &Slot) -> Result<StoredPublish, SlotError> {
        let size = RECORD_HEADER_BYTES + slot.payload_bytes as usize;
        let bytes = bytes.get(..size).ok_or(damaged(slot))?;
        let record = match record::parse(bytes, self.salt, slot.offset) {
            Ok(Some(record))
                if record.kind == Kind::Publish && record.payload.len() + RECORD_HEADER_BYTES == size =>
            {
                record
            }
            _ => return Err(damaged(slot)),
        };
        let publish = Publish::decode(record.payload).map_err(|_| damaged(slot))?;
        if !publish.placements().any(|placement| placement == slot.placement) {
            return Err(damaged(slot));
        }
        let placements = publish.placements().collect();
        Ok(StoredPublish { message: publish.to_message(), placements, flags: record.flags })
    }
}

/// How many slots from the front are read at once.
fn run_of(slots: &[Slot]) -> usize {
    let start = slots.first().map_or(0, |slot| u64::from(slot.offset));
    let mut end = start;
    let near = slots.iter().take_while(|slot| {
        let (from, to) = (u64::from(slot.offset), end_of(slot));
        let is_near =
            (start..=end + READ_GAP_BYTES_MAX).contains(&from) && to <= start + READ_AT_ONCE_BYTES_MAX;
        end = end.max(to);
        is_near
    });
    near.count().max(1)
}

fn end_of(slot: &Slot) -> u64 {
    u64::from(slot.offset) + RECORD_HEADER_BYTES as u64 + u64::from(slot.payload_bytes)
}

fn damaged(slot: &Slot) -> SlotError {
    SlotError::Damaged { offset: slot.offset, length: RECORD_HEADER_BYTES as u32 + slot.payload_bytes }
}
