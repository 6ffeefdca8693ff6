//! Checksums of any stretch of a file, each in the same short time.
//!
//! Behind damage a record may begin anywhere, and what stands there may be a client's choice: a body full of lengths, each of
//! which would have to be summed up to its end, would keep a start busy for ever. So the sums from one place on are
//! kept, and that of a stretch is worked out from two of them.

use std::{io, sync::LazyLock};

use super::read_ahead::ReadAhead;

/// Bytes from one sum that is kept to the next.
const STEP_BYTES: u64 = 4 * 1024;

/// Checksums of stretches of a file.
pub(super) struct Sums<'a> {
    from: u64,
    /// CRC-32C of the bytes from there to each multiple of the step.
    marks: Vec<u32>,
    near: ReadAhead<'a>,
    far: ReadAhead<'a>,
}

impl<'a> Sums<'a> {
    /// Reads everything from `from` to the end, through another one of the same file.
    pub(super) fn new(ahead: &ReadAhead<'a>, from: u64) -> io::Result<Self> {
        let mut whole = ahead.another(SUMMED_AT_ONCE_BYTES);
        let (mut sum, mut marks) = (0, vec![0]);
        for at in (from..ahead.file_bytes()).step_by(STEP_BYTES as usize) {
            sum = crc32c::crc32c_append(sum, whole.at(at, STEP_BYTES)?);
            marks.push(sum);
        }
        let (near, far) = (ahead.another(STEP_BYTES as usize), ahead.another(STEP_BYTES as usize));
        Ok(Self { from, marks, near, far })
    }

    /// CRC-32C of the bytes from `start` to `end`; neither is before the first that was read.
    pub(super) fn of(&mut self, start: u64, end: u64) -> io::Result<u32> {
        let before = self.up_to(start, |sums| &mut sums.near)?;
        let whole = self.up_to(end, |sums| &mut sums.far)?;
        Ok(joined(before, whole, end - start))
    }

    fn up_to(&mut self, end: u64, ahead: impl Fn(&mut Self) -> &mut ReadAhead<'a>) -> io::Result<u32> {
        let mark = (end - self.from) / STEP_BYTES;
        let sum = self.marks[mark as usize];
        let at = self.from + mark * STEP_BYTES;
        Ok(crc32c::crc32c_append(sum, ahead(self).at(at, end - at)?))
    }
}

/// The sum of two stretches one after the other from theirs, the second one having `bytes`; and, as this is its own
/// inverse, that of the second one from those of the first and of both.
pub(super) fn joined(first: u32, second: u32, bytes: u64) -> u32 {
    let mut shifted = first;
    let powers = SHIFTS.iter().enumerate();
    for (_, shift) in powers.filter(|(power, _)| bytes >> power & 1 == 1) {
        shifted = shift
            .iter()
            .enumerate()
            .filter(|(bit, _)| shifted >> bit & 1 == 1)
            .fold(0, |sum, (_, image)| sum ^ image);
    }
    shifted ^ second
}

/// What becomes of each bit of a sum when 1, 2, 4, 8 and so on zeros follow: as far as the longest file needs it.
static SHIFTS: LazyLock<[[u32; 32]; 33]> = LazyLock::new(|| {
    std::array::from_fn(|power| std::array::from_fn(|bit| crc32c::crc32c_combine(1 << bit, 0, 1 << power)))
});

const SUMMED_AT_ONCE_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{
        SegmentId,
        files::{Files, sim::SimDisk},
        segment::{FIRST_RECORD_OFFSET, Segment},
    };

    fn segment_of(bytes: &[u8]) -> Segment {
        let disk = SimDisk::new();
        let size = u64::from(FIRST_RECORD_OFFSET) + bytes.len() as u64;
        let segment = Segment::create(&disk as &dyn Files, SegmentId(1), 0, size).unwrap();
        segment.write(bytes, FIRST_RECORD_OFFSET).unwrap();
        segment
    }

    #[test]
    fn sums_of_two_stretches_give_that_of_both_and_the_other_way_round() {
        let (first, second) = (crc32c::crc32c(b"first"), crc32c::crc32c(b"and second"));
        let both = crc32c::crc32c(b"firstand second");
        assert_eq!((joined(first, second, 10), joined(first, both, 10)), (both, second));
    }

    proptest! {
        #[test]
        fn the_sum_of_a_stretch_is_that_of_its_bytes(
            bytes in prop::collection::vec(any::<u8>(), 1..20_000),
            stretches in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 1..20),
        ) {
            let segment = segment_of(&bytes);
            let from = u64::from(FIRST_RECORD_OFFSET);
            let mut sums = Sums::new(&ReadAhead::new(&segment, 64).unwrap(), from).unwrap();
            for (one, other) in stretches {
                let (one, other) = (one.index(bytes.len() + 1), other.index(bytes.len() + 1));
                let (start, end) = (one.min(other), one.max(other));
                let expected = crc32c::crc32c(&bytes[start..end]);
                prop_assert_eq!(sums.of(from + start as u64, from + end as u64).unwrap(), expected);
            }
        }
    }
}
