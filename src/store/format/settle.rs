//! The payloads of records about messages that were written before: settled ones and returned ones.
//!
//! ```text
//! settle:  0  8  queue,  8  to the end: u64 first position, u64 last position; ascending, without overlap
//! return:  0  8  queue,  8  to the end: u64 position, u16 how often it came back, u16 how often of these it failed,
//!                                       u64 when it is due again, in milliseconds since the epoch; zero: at once
//! return, version 1:
//!          0  8  queue,  8  to the end: u64 position, u32 how often it came back
//! ```

use std::ops::RangeInclusive;

use crate::core::{change::Attempts, clock::Millis, placement::QueueId};

use super::bytes::{Bytes, Damage, require};

/// Messages left a queue for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settle<'a> {
    /// The queue.
    pub queue: QueueId,
    ranges: &'a [u8],
}

impl<'a> Settle<'a> {
    /// Appends the payload of the record. The ranges must be ascending, without overlap.
    pub fn encode(out: &mut Vec<u8>, queue: QueueId, ranges: impl IntoIterator<Item = RangeInclusive<u64>>) {
        out.extend_from_slice(&queue.0.to_le_bytes());
        for range in ranges {
            out.extend_from_slice(&range.start().to_le_bytes());
            out.extend_from_slice(&range.end().to_le_bytes());
        }
    }

    /// Reads the payload of the record.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Damage> {
        let mut fields = Bytes(payload);
        let settle = Self { queue: QueueId(fields.u64()?), ranges: fields.0 };
        require(settle.ranges.len().is_multiple_of(RANGE_BYTES), "settled ranges end early")?;
        require(settle.ranges().all(|range| range.start() <= range.end()), "settled range runs backwards")?;
        let ascending = settle.ranges().is_sorted_by(|earlier, later| earlier.end() < later.start());
        require(ascending, "settled ranges overlap")?;
        Ok(settle)
    }

    /// The positions, ascending.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = RangeInclusive<u64>> + use<'a> {
        self.ranges.chunks_exact(RANGE_BYTES).map(|range| u64_at(range, 0)..=u64_at(range, 8))
    }
}

/// What is known of a message that came back to its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Returned {
    /// How often that has happened to it.
    pub attempts: Attempts,
    /// It waits until then before it is delivered again; zero: it does not wait.
    pub due: Millis,
}

/// Messages came back to their queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Return<'a> {
    /// The queue.
    pub queue: QueueId,
    entries: &'a [u8],
    entry_bytes: usize,
}

impl<'a> Return<'a> {
    /// Appends the payload of the record: positions, and what is known of each.
    pub fn encode(out: &mut Vec<u8>, queue: QueueId, returned: impl IntoIterator<Item = (u64, Returned)>) {
        out.extend_from_slice(&queue.0.to_le_bytes());
        for (position, Returned { attempts, due }) in returned {
            out.extend_from_slice(&position.to_le_bytes());
            out.extend_from_slice(&attempts.returned.to_le_bytes());
            out.extend_from_slice(&attempts.failed.to_le_bytes());
            out.extend_from_slice(&due.to_le_bytes());
        }
    }

    /// Reads the payload of the record.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Damage> {
        Self::decode_entries(payload, RETURNED_BYTES)
    }

    /// Reads the payload of a record of version 1.
    pub fn decode_v1(payload: &'a [u8]) -> Result<Self, Damage> {
        Self::decode_entries(payload, RETURNED_V1_BYTES)
    }

    fn decode_entries(payload: &'a [u8], entry_bytes: usize) -> Result<Self, Damage> {
        let mut fields = Bytes(payload);
        let returned = Self { queue: QueueId(fields.u64()?), entries: fields.0, entry_bytes };
        require(returned.entries.len().is_multiple_of(entry_bytes), "returned positions end early")?;
        Ok(returned)
    }

    /// Positions, and what is known of each.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (u64, Returned)> + use<'a> {
        let returned =
            if self.entry_bytes == RETURNED_V1_BYTES { Returned::of_v1 } else { Returned::of_entry };
        self.entries.chunks_exact(self.entry_bytes).map(move |entry| (u64_at(entry, 0), returned(entry)))
    }
}

impl Returned {
    fn of_entry(entry: &[u8]) -> Self {
        let attempts = Attempts { returned: u16_at(entry, 8), failed: u16_at(entry, 10) };
        Self { attempts, due: u64_at(entry, 12) }
    }

    fn of_v1(entry: &[u8]) -> Self {
        Self::counted(u32_at(entry, 8))
    }

    /// As version 1 knows it.
    pub fn counted(count: u32) -> Self {
        let returned = u16::try_from(count).unwrap_or(u16::MAX);
        Self { attempts: Attempts { returned, failed: 0 }, due: 0 }
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |value| u64::from_le_bytes(*value))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes[at..].first_chunk().map_or(0, |value| u16::from_le_bytes(*value))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |value| u32::from_le_bytes(*value))
}

const RANGE_BYTES: usize = 16;
const RETURNED_BYTES: usize = 20;
const RETURNED_V1_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn settled(ranges: &[RangeInclusive<u64>]) -> Vec<u8> {
        let mut out = vec![];
        Settle::encode(&mut out, QueueId(5), ranges.iter().cloned());
        out
    }

    #[test]
    fn ranges_that_overlap_or_run_backwards_are_refused() {
        assert!(Settle::decode(&settled(&[1..=4, 5..=5])).is_ok());
        assert!(Settle::decode(&settled(&[1..=4, 4..=5])).is_err());
        assert!(Settle::decode(&settled(&[RangeInclusive::new(2, 1)])).is_err());
        assert!(Settle::decode(&settled(&[1..=4])[..23]).is_err());
        assert_eq!(Settle::decode(&[0; 7]), Err(Damage::Truncated));
    }

    #[test]
    fn both_are_laid_out_as_documented() {
        assert_eq!(settled(&[1..=4]), b"\x05\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0");
        let mut out = vec![];
        let returned = Returned { attempts: Attempts { returned: 2, failed: 1 }, due: 3 };
        Return::encode(&mut out, QueueId(5), [(1, returned)]);
        assert_eq!(out[..16], *b"\x05\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0");
        assert_eq!(out[16..], *b"\x02\0\x01\0\x03\0\0\0\0\0\0\0");
        assert!(Return::decode(&out[..27]).is_err());
    }

    #[test]
    fn returns_of_version_1_failed_never_and_are_due_at_once() {
        let payload = b"\x05\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0\0\0\0\0\0\0\0\x01\0";
        let returned = Return::decode_v1(payload).unwrap();
        let known = |returned| Returned { attempts: Attempts { returned, failed: 0 }, due: 0 };
        assert!(returned.entries().eq([(1, known(2)), (4, known(u16::MAX))]));
        assert!(Return::decode_v1(&payload[..31]).is_err());
    }

    proptest! {
        #[test]
        fn settled_ranges_are_decoded_again(queue: u64, steps in vec((1_u64..1000, 0_u64..1000), 0..20)) {
            let mut at = 0;
            let ranges: Vec<_> = steps
                .into_iter()
                .map(|(gap, length)| {
                    let first = at + gap;
                    at = first + length;
                    first..=at
                })
                .collect();
            let mut out = vec![];
            Settle::encode(&mut out, QueueId(queue), ranges.iter().cloned());
            let settle = Settle::decode(&out).unwrap();
            prop_assert_eq!(settle.queue, QueueId(queue));
            prop_assert_eq!(settle.ranges().collect::<Vec<_>>(), ranges);
        }

        #[test]
        fn returned_messages_are_decoded_again(queue: u64, returned: Vec<(u64, (u16, u16, u64))>) {
            let known = |&(position, (returned, failed, due)): &(u64, (u16, u16, u64))| {
                (position, Returned { attempts: Attempts { returned, failed }, due })
            };
            let entries: Vec<_> = returned.iter().map(known).collect();
            let mut out = vec![];
            Return::encode(&mut out, QueueId(queue), entries.iter().copied());
            let returned = Return::decode(&out).unwrap();
            prop_assert_eq!(returned.queue, QueueId(queue));
            prop_assert_eq!(returned.entries().collect::<Vec<_>>(), entries);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Settle::decode(&bytes).map(|settle| settle.ranges().count());
            let _ = Return::decode(&bytes).map(|returned| returned.entries().count());
            let _ = Return::decode_v1(&bytes).map(|returned| returned.entries().count());
        }
    }
}
