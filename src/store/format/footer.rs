//! The payload of the footer record: where everything in a sealed segment is.
//!
//! ```text
//!  0  4  count of slots
//!  4  4  count of others
//!  8     slots, sorted by queue and position: u64 queue, u64 position, u32 offset of the record,
//!        u32 length of its payload with bit 31 for a transient one
//!  ..    u32 offsets of all records that are no publish, ascending; without the footer itself
//! ```

use std::io;

use crate::core::placement::{Placement, QueueId};

use super::bytes::{Bytes, Damage, require};

/// Where a queue's message is in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The message's name.
    pub placement: Placement,
    /// Where its publish record begins.
    pub offset: u32,
    /// Length of the record's payload, below 2 GiB.
    pub payload_bytes: u32,
    /// Whether it was written to make room in memory only.
    pub transient: bool,
}

/// Where the records of a sealed segment are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Footer {
    /// Messages, sorted by queue and position.
    pub slots: Vec<Slot>,
    /// Offsets of the records that are no publishes, ascending.
    pub others: Vec<u32>,
    /// Where the footer record itself stands: behind all others.
    pub end: u32,
}

impl Footer {
    /// The slots of a queue from position `first` to `last`, both included.
    pub fn of(&self, queue: QueueId, first: u64, last: u64) -> &[Slot] {
        let from = Placement { queue, position: first };
        let to = Placement { queue, position: last };
        let rest = &self.slots[self.slots.partition_point(|slot| slot.placement < from)..];
        &rest[..rest.partition_point(|slot| slot.placement <= to)]
    }

    /// Appends the payload of the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(8 + self.slots.len() * SLOT_BYTES + self.others.len() * 4);
        out.extend_from_slice(&(self.slots.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.others.len() as u32).to_le_bytes());
        self.slots.iter().for_each(|slot| slot.encode(out));
        for offset in &self.others {
            out.extend_from_slice(&offset.to_le_bytes());
        }
    }

    /// Reads the payload of the record that stands at `end`.
    pub fn decode(payload: &[u8], end: u32) -> Result<Self, Damage> {
        let mut fields = Bytes(payload);
        let (slots, others) = (fields.u32()?, fields.u32()?);
        let expected_bytes = u64::from(slots) * SLOT_BYTES as u64 + u64::from(others) * 4;
        require(expected_bytes == fields.0.len() as u64, "counts of the footer do not fit its length")?;
        let slots = (0..slots).map(|_| Slot::decode(&mut fields)).collect::<Result<Vec<_>, _>>()?;
        let others = (0..others).map(|_| fields.u32()).collect::<Result<Vec<_>, _>>()?;
        require(slots.is_sorted_by_key(|slot| slot.placement), "slots of the footer are not sorted")?;
        require(others.is_sorted(), "offsets of the footer are not sorted")?;
        Ok(Self { slots, others, end })
    }

    /// Finds a message's slot in a payload of which `read` gives so many bytes from an offset. A footer may be large:
    /// no more of it is read than that takes.
    ///
    /// Nothing tells whether the bytes are those that were written. What is found must be checked against the record; what
    /// is not found may be there.
    pub fn search(
        placement: Placement,
        read: impl Fn(u64, usize) -> io::Result<Vec<u8>>,
    ) -> io::Result<Option<Slot>> {
        let slots = |from: u32, count: u32| {
            let bytes = read(8 + u64::from(from) * SLOT_BYTES as u64, count as usize * SLOT_BYTES)?;
            let slots = bytes.chunks_exact(SLOT_BYTES).map(|bytes| Slot::decode(&mut Bytes(bytes)));
            slots.collect::<Result<Vec<_>, _>>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
        };
        let count = read(0, 4)?.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        // Behind `low` and before `high` is the first slot of a higher placement.
        let (mut low, mut high) = (0, count);
        while high - low > SLOTS_READ_AT_ONCE {
            let middle = low + (high - low) / 2;
            match slots(middle, 1)?.first() {
                Some(slot) if slot.placement <= placement => low = middle,
                _ => high = middle,
            }
        }
        Ok(slots(low, high - low)?.into_iter().rfind(|slot| slot.placement == placement))
    }

    /// Where the first record behind `offset` begins.
    pub fn next_after(&self, offset: u32) -> u32 {
        let slots = self.slots.iter().map(|slot| slot.offset);
        let later = slots.chain(self.others.iter().copied()).filter(|other| *other > offset);
        later.min().unwrap_or(self.end)
    }
}

impl Slot {
    fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.payload_bytes < TRANSIENT);
        let length = self.payload_bytes | if self.transient { TRANSIENT } else { 0 };
        out.extend_from_slice(&self.placement.queue.0.to_le_bytes());
        out.extend_from_slice(&self.placement.position.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
    }

    fn decode(fields: &mut Bytes<'_>) -> Result<Self, Damage> {
        let placement = Placement { queue: QueueId(fields.u64()?), position: fields.u64()? };
        let (offset, length) = (fields.u32()?, fields.u32()?);
        let transient = length & TRANSIENT != 0;
        Ok(Self { placement, offset, payload_bytes: length & !TRANSIENT, transient })
    }
}

const SLOTS_READ_AT_ONCE: u32 = 32;
const SLOT_BYTES: usize = 24;
const TRANSIENT: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn slot(queue: u64, position: u64) -> Slot {
        let placement = Placement { queue: QueueId(queue), position };
        Slot { placement, offset: 32, payload_bytes: 40, transient: queue == 2 }
    }

    fn footers() -> impl Strategy<Value = Footer> {
        let slots = vec((0_u64..4, 0_u64..50, any::<u32>(), 0_u32..1 << 31, any::<bool>()), 0..20);
        (slots, vec(any::<u32>(), 0..20), any::<u32>()).prop_map(|(slots, mut others, end)| {
            let mut slots: Vec<_> = slots
                .into_iter()
                .map(|(queue, position, offset, payload_bytes, transient)| Slot {
                    placement: Placement { queue: QueueId(queue), position },
                    offset,
                    payload_bytes,
                    transient,
                })
                .collect();
            slots.sort_by_key(|slot| slot.placement);
            others.sort_unstable();
            Footer { slots, others, end }
        })
    }

    fn encoded(footer: &Footer) -> Vec<u8> {
        let mut out = vec![];
        footer.encode(&mut out);
        out
    }

    #[test]
    fn a_slot_is_laid_out_as_documented() {
        let footer = Footer { slots: vec![slot(2, 3)], others: vec![9], end: 0 };
        let expected =
            b"\x01\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x20\0\0\0\x28\0\0\x80\x09\0\0\0";
        assert_eq!(encoded(&footer), expected);
    }

    #[test]
    fn a_search_finds_each_slot_and_reads_little() {
        let slots: Vec<Slot> = (1..4).flat_map(|queue| (0..5_000).map(move |n| slot(queue, 2 * n))).collect();
        let footer = Footer { slots, others: vec![9], end: 0 };
        let payload = encoded(&footer);
        let bytes = std::cell::Cell::new(0);
        let read = |at: u64, count: usize| {
            bytes.set(bytes.get() + count);
            let found = payload.get(at as usize..at as usize + count);
            found.map(<[u8]>::to_vec).ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))
        };
        for wanted in &footer.slots {
            assert_eq!(Footer::search(wanted.placement, read).unwrap(), Some(*wanted));
            assert!(bytes.take() < 2_000);
        }
        for (queue, position) in [(0, 5), (1, 5), (2, 10_000), (3, 9_999), (4, 0)] {
            let placement = Placement { queue: QueueId(queue), position };
            assert_eq!(Footer::search(placement, read).unwrap(), None);
        }
        assert!(Footer::search(slot(1, 2).placement, |_, _| Ok(vec![255; 24])).is_ok());
        let empty = encoded(&Footer::default());
        let nothing = Footer::search(slot(1, 2).placement, |_, count| Ok(empty[..count].to_vec()));
        assert_eq!(nothing.unwrap(), None);
    }

    #[test]
    fn a_range_of_a_queue_is_found_and_no_other_queue_is_in_it() {
        let slots: Vec<_> =
            (1..4).flat_map(|queue| [2, 4, 6].map(|position| slot(queue, position))).collect();
        let footer = Footer { slots, ..Footer::default() };
        assert_eq!(footer.of(QueueId(2), 3, 6), [slot(2, 4), slot(2, 6)]);
        assert_eq!(footer.of(QueueId(2), 0, u64::MAX).len(), 3);
        assert!(footer.of(QueueId(2), 5, 5).is_empty() && footer.of(QueueId(2), 6, 2).is_empty());
        assert!(footer.of(QueueId(9), 0, 9).is_empty() && footer.of(QueueId(0), 0, 9).is_empty());
    }

    #[test]
    fn counts_that_do_not_fit_are_refused_before_anything_is_allocated() {
        assert!(Footer::decode(&[0xFF; 8], 32).is_err());
        assert!(Footer::decode(&[0xFF; 40], 32).is_err());
        let unsorted = Footer { slots: vec![slot(2, 0), slot(1, 0)], ..Footer::default() };
        assert!(Footer::decode(&encoded(&unsorted), 32).is_err());
    }

    #[test]
    fn the_record_behind_an_offset_is_the_next_slot_other_or_the_footer() {
        let footer = Footer { slots: vec![slot(1, 1)], others: vec![64, 96], end: 200 };
        assert_eq!([0, 32, 64, 96].map(|offset| footer.next_after(offset)), [32, 64, 96, 200]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(footer in footers()) {
            prop_assert_eq!(Footer::decode(&encoded(&footer), footer.end), Ok(footer));
        }

        #[test]
        fn no_bytes_panic(footer in footers(), at in any::<prop::sample::Index>(), octet: u8, noise: Vec<u8>) {
            let mut bytes = encoded(&footer);
            let at = at.index(bytes.len());
            bytes[at] = octet;
            let _ = Footer::decode(&bytes, 0);
            let _ = Footer::decode(&noise, 0);
        }
    }
}
