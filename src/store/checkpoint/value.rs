//! Bytes of the values of a checkpoint, but for the topology's. All numbers are little endian, and each value
//! begins with its version, one octet. Written with version 2, read with version 1 too:
//!
//! - stamp: version, segment u64, offset u32, highest id of a durable queue u64
//! - queue: version, next counter u64, redelivered below u64
//! - block: version, count of parts u16, parts, count of returns u16, returns.
//!   A part: segment u64, bytes u64, shape octet, places. Of shape 0 the places are a bitmap (64 octets, lowest
//!   place in the lowest bit of the first), of shape n they are n ranges: first u16, last u16.
//!   A return: place u16, count u16, how many of these failed u16, due u64; in version 1 place u16, count u32.

use super::reader::Reader;
use crate::core::{change::Attempts, placement::QueueId};
use crate::store::{
    format::Returned,
    index::{BLOCK_POSITIONS, Bitmap, BlockImage, Part, QueueState},
    position::{LogPosition, SegmentId},
};

/// The version of what is written. It never is 255, which stands in the stamp's place while a batch is half applied.
pub(super) const VERSION: u8 = 2;
const VERSION_1: u8 = 1;

/// With more ranges than this, a bitmap is shorter.
const RANGES_MAX: usize = 15;

/// What a whole store reflects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) stamp: LogPosition,
    pub(super) last_queue: u64,
}

pub(super) fn encode_meta(meta: &Meta) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_u64(&mut out, meta.stamp.segment.0);
    put_u32(&mut out, meta.stamp.offset);
    put_u64(&mut out, meta.last_queue);
    out
}

pub(super) fn decode_meta(bytes: &[u8]) -> Option<Meta> {
    let (_, mut reader) = versioned(bytes)?;
    let stamp = LogPosition { segment: SegmentId(reader.u64()?), offset: reader.u32()? };
    let last_queue = reader.u64()?;
    reader.end(Meta { stamp, last_queue })
}

pub(super) fn encode_queue(state: &QueueState) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_u64(&mut out, state.next_position);
    put_u64(&mut out, state.redelivered_below);
    out
}

pub(super) fn decode_queue(id: QueueId, bytes: &[u8]) -> Option<QueueState> {
    let (_, mut reader) = versioned(bytes)?;
    let (next_position, redelivered_below) = (reader.u64()?, reader.u64()?);
    reader.end(QueueState { id, next_position, redelivered_below })
}

pub(super) fn encode_block(image: &BlockImage) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_u16(&mut out, image.parts.len() as u16);
    image.parts.iter().for_each(|part| put_part(&mut out, part));
    put_u16(&mut out, image.returned.len() as u16);
    for (at, returned) in &image.returned {
        put_u16(&mut out, *at);
        put_returned(&mut out, returned);
    }
    out
}

pub(super) fn decode_block(bytes: &[u8]) -> Option<BlockImage> {
    let (version, mut reader) = versioned(bytes)?;
    let count = reader.u16()?;
    let parts: Option<_> = (0..count).map(|_| read_part(&mut reader)).collect();
    let count = reader.u16()?;
    let returned: Option<_> =
        (0..count).map(|_| Some((reader.u16()?, read_returned(&mut reader, version)?))).collect();
    let image = BlockImage { parts: parts?, returned: returned? };
    reader.end(image)
}

/// The version of a value, and what follows it.
fn versioned(bytes: &[u8]) -> Option<(u8, Reader<'_>)> {
    let mut reader = Reader(bytes);
    let version = reader.u8()?;
    (VERSION_1..=VERSION).contains(&version).then_some((version, reader))
}

fn put_returned(out: &mut Vec<u8>, returned: &Returned) {
    put_u16(out, returned.attempts.returned);
    put_u16(out, returned.attempts.failed);
    put_u64(out, returned.due);
}

fn read_returned(reader: &mut Reader<'_>, version: u8) -> Option<Returned> {
    if version == VERSION_1 {
        return reader.u32().map(Returned::counted);
    }
    let attempts = Attempts { returned: reader.u16()?, failed: reader.u16()? };
    Some(Returned { attempts, due: reader.u64()? })
}

fn put_part(out: &mut Vec<u8>, part: &Part) {
    put_u64(out, part.segment.0);
    put_u64(out, part.bytes);
    let ranges = part.positions.runs().count();
    if ranges > RANGES_MAX {
        out.push(0);
        part.positions.words().iter().for_each(|&word| put_u64(out, word));
        return;
    }
    out.push(ranges as u8);
    for (first, last) in part.positions.runs() {
        put_u16(out, first);
        put_u16(out, last);
    }
}

fn read_part(reader: &mut Reader<'_>) -> Option<Part> {
    let (segment, bytes) = (SegmentId(reader.u64()?), reader.u64()?);
    let positions = match reader.u8()? {
        0 => read_bitmap(reader)?,
        ranges => read_ranges(reader, ranges)?,
    };
    Some(Part { segment, bytes, positions })
}

fn read_bitmap(reader: &mut Reader<'_>) -> Option<Bitmap> {
    let mut words = *Bitmap::default().words();
    for word in &mut words {
        *word = reader.u64()?;
    }
    Some(Bitmap::from_words(words))
}

/// Ranges are in order and do not touch.
fn read_ranges(reader: &mut Reader<'_>, count: u8) -> Option<Bitmap> {
    let mut positions = Bitmap::default();
    let mut lowest = 0;
    for _ in 0..count {
        let (first, last) = (reader.u16()?, reader.u16()?);
        if first < lowest || last < first || last >= BLOCK_POSITIONS {
            return None;
        }
        positions = positions | Bitmap::range(first, last);
        lowest = last + 2;
    }
    Some(positions)
}

fn put_u16(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn part() -> impl Strategy<Value = Part> {
        let ranges = vec((0..512_u16, 0..40_u16), 0..30);
        (any::<u64>(), any::<u64>(), ranges).prop_map(|(segment, bytes, ranges)| {
            let ranges =
                ranges.into_iter().map(|(first, size)| Bitmap::range(first, (first + size).min(511)));
            let positions = ranges.fold(Bitmap::range(7, 7), |all, range| all | range);
            Part { segment: SegmentId(segment), bytes, positions }
        })
    }

    fn returned() -> impl Strategy<Value = Returned> {
        any::<(u16, u16, u64)>()
            .prop_map(|(returned, failed, due)| Returned { attempts: Attempts { returned, failed }, due })
    }

    fn image() -> impl Strategy<Value = BlockImage> {
        (vec(part(), 0..4), vec((any::<u16>(), returned()), 0..9))
            .prop_map(|(parts, returned)| BlockImage { parts, returned })
    }

    #[test]
    fn the_bytes_of_values_are_stable() {
        let stamp = LogPosition { segment: SegmentId(258), offset: 7 };
        let meta = Meta { stamp, last_queue: 9 };
        let bytes = b"\x02\x02\x01\0\0\0\0\0\0\x07\0\0\0\x09\0\0\0\0\0\0\0";
        assert_eq!((&*encode_meta(&meta), decode_meta(bytes)), (&bytes[..], Some(meta)));

        let state = QueueState { id: QueueId(5), next_position: 3, redelivered_below: 2 };
        let bytes = b"\x02\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0";
        assert_eq!((&*encode_queue(&state), decode_queue(QueueId(5), bytes)), (&bytes[..], Some(state)));

        let part = Part { segment: SegmentId(4), bytes: 6, positions: Bitmap::range(1, 511) };
        let returned = Returned { attempts: Attempts { returned: 8, failed: 3 }, due: 7 };
        let image = BlockImage { parts: vec![part], returned: vec![(5, returned)] };
        let bytes = b"\x02\x01\0\x04\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x01\x01\0\xFF\x01\x01\0\x05\0\x08\0\x03\0\x07\0\0\0\0\0\0\0";
        assert_eq!((&*encode_block(&image), decode_block(bytes)), (&bytes[..], Some(image)));
    }

    #[test]
    fn values_of_version_1_are_read() {
        let stamp = LogPosition { segment: SegmentId(258), offset: 7 };
        let bytes = b"\x01\x02\x01\0\0\0\0\0\0\x07\0\0\0\x09\0\0\0\0\0\0\0";
        assert_eq!(decode_meta(bytes), Some(Meta { stamp, last_queue: 9 }));

        let state = QueueState { id: QueueId(5), next_position: 3, redelivered_below: 2 };
        assert_eq!(decode_queue(QueueId(5), b"\x01\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"), Some(state));

        let part = Part { segment: SegmentId(4), bytes: 6, positions: Bitmap::range(1, 511) };
        let image = BlockImage { parts: vec![part], returned: vec![(5, Returned::counted(8))] };
        let bytes = b"\x01\x01\0\x04\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x01\x01\0\xFF\x01\x01\0\x05\0\x08\0\0\0";
        assert_eq!(decode_block(bytes), Some(image));
    }

    #[test]
    fn a_block_with_many_holes_is_a_bitmap() {
        let holes = (0..512).step_by(2).fold(Bitmap::default(), |all, at| all | Bitmap::range(at, at));
        let part = Part { segment: SegmentId(4), bytes: 6, positions: holes };
        let image = BlockImage { parts: vec![part], returned: Vec::new() };
        let bytes = encode_block(&image);
        assert_eq!((bytes.len(), decode_block(&bytes)), (1 + 2 + 17 + 64 + 2, Some(image)));
    }

    #[test]
    fn ranges_out_of_order_or_of_the_block_are_refused() {
        let ranges = |numbers: &[u16]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            read_ranges(&mut Reader(&bytes), (numbers.len() / 2) as u8)
        };
        assert_eq!(ranges(&[3, 4, 6, 511]), Some(Bitmap::range(3, 4) | Bitmap::range(6, 511)));
        for wrong in [&[3, 2][..], &[3, 512], &[3, 4, 5, 6], &[8, 9, 1, 2], &[3, u16::MAX]] {
            assert_eq!(ranges(wrong), None);
        }
    }

    #[test]
    fn a_version_that_is_not_known_is_refused() {
        let state = QueueState { id: QueueId(5), next_position: 3, redelivered_below: 2 };
        let mut bytes = encode_queue(&state);
        for version in [0, 3] {
            bytes[0] = version;
            assert_eq!(decode_queue(QueueId(5), &bytes), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(image in image(), cut in any::<prop::sample::Index>()) {
            let mut bytes = encode_block(&image);
            prop_assert_eq!(decode_block(&bytes[..cut.index(bytes.len())]), None);
            prop_assert_eq!(decode_block(&bytes), Some(image));
            bytes.push(0);
            prop_assert_eq!(decode_block(&bytes), None);
        }

        #[test]
        fn no_bytes_panic(mut bytes in vec(any::<u8>(), 0..300)) {
            let _ = (decode_meta(&bytes), decode_queue(QueueId(1), &bytes), decode_block(&bytes));
            if let Some(version) = bytes.first_mut() {
                *version = VERSION;
            }
            let _ = (decode_meta(&bytes), decode_queue(QueueId(1), &bytes), decode_block(&bytes));
        }
    }
}
