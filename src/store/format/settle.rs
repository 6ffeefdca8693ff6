//! The payloads of records about messages that were written before: settled ones and returned ones.
//!
//! ```text
//! settle:  0  8  queue,  8  to the end: u64 first position, u64 last position; ascending, without overlap
//! return:  0  8  queue,  8  to the end: u64 position, u32 how often it came back
//! ```

use std::ops::RangeInclusive;

use crate::core::journal::QueueId;

use super::{Bytes, Damage, require};

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

/// Messages came back to their queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Return<'a> {
    /// The queue.
    pub queue: QueueId,
    counts: &'a [u8],
}

impl<'a> Return<'a> {
    /// Appends the payload of the record: positions, and how often each came back.
    pub fn encode(out: &mut Vec<u8>, queue: QueueId, counts: impl IntoIterator<Item = (u64, u32)>) {
        out.extend_from_slice(&queue.0.to_le_bytes());
        for (position, count) in counts {
            out.extend_from_slice(&position.to_le_bytes());
            out.extend_from_slice(&count.to_le_bytes());
        }
    }

    /// Reads the payload of the record.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Damage> {
        let mut fields = Bytes(payload);
        let returned = Self { queue: QueueId(fields.u64()?), counts: fields.0 };
        require(returned.counts.len().is_multiple_of(COUNT_BYTES), "returned positions end early")?;
        Ok(returned)
    }

    /// Positions, and how often each came back.
    pub fn counts(&self) -> impl ExactSizeIterator<Item = (u64, u32)> + use<'a> {
        self.counts.chunks_exact(COUNT_BYTES).map(|pair| (u64_at(pair, 0), u32_at(pair, 8)))
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |value| u64::from_le_bytes(*value))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |value| u32::from_le_bytes(*value))
}

const RANGE_BYTES: usize = 16;
const COUNT_BYTES: usize = 12;

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
        Return::encode(&mut out, QueueId(5), [(1, 2)]);
        assert_eq!(out, b"\x05\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0");
        assert!(Return::decode(&out[..19]).is_err());
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
        fn returned_counts_are_decoded_again(queue: u64, counts: Vec<(u64, u32)>) {
            let mut out = vec![];
            Return::encode(&mut out, QueueId(queue), counts.iter().copied());
            let returned = Return::decode(&out).unwrap();
            prop_assert_eq!(returned.queue, QueueId(queue));
            prop_assert_eq!(returned.counts().collect::<Vec<_>>(), counts);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Settle::decode(&bytes).map(|settle| settle.ranges().count());
            let _ = Return::decode(&bytes).map(|returned| returned.counts().count());
        }
    }
}
