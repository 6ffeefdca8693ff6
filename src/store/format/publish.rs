//! The payload of a publish record: where a message went, when, where its parts are, and its image.
//!
//! ```text
//!  0  4  count of placements      13  1  bytes of the routing key
//!  4  4  bytes of header frame    14  1  1 if persistent
//!  8  4  bytes of the body        15  1  1 if the time of publishing follows; 0 in version 1
//! 12  1  bytes of the exchange    16  8  that time, if it does: milliseconds since the epoch
//! then the placements: u64 queue, u64 position; then the image, to the end
//! ```
//!
//! A checksum does not say that what was written made sense. What is decoded here does: every accessor of a
//! [`View`] of it is safe to call, and delivering it gives well-formed frames.

use crate::core::{
    clock::Millis,
    message::{HEADER_FRAME_BYTES_LIMIT, Layout, Message, View},
    placement::{Placement, QueueId},
};
use crate::protocol::frame::{FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEADER_BYTES, FRAME_OVERHEAD_BYTES};

use super::bytes::{Bytes, Damage, require};

/// A message that entered queues, borrowed from its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where the parts of the image lie.
    pub layout: Layout,
    /// When it was published; zero where that is not known.
    pub published_at: Millis,
    /// See [`crate::core::message`].
    pub image: &'a [u8],
    placements: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Appends the payload of the record.
    pub fn encode(out: &mut Vec<u8>, view: View<'_>, published_at: Millis, placements: &[Placement]) {
        let Layout { header_frame_bytes, body_bytes, exchange_bytes, key_bytes, persistent } = view.layout;
        out.reserve(Self::encoded_bytes(view, placements.len()));
        for field in [placements.len() as u32, header_frame_bytes, body_bytes] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&[exchange_bytes, key_bytes, u8::from(persistent), TIMED]);
        out.extend_from_slice(&published_at.to_le_bytes());
        for placement in placements {
            out.extend_from_slice(&placement.queue.0.to_le_bytes());
            out.extend_from_slice(&placement.position.to_le_bytes());
        }
        out.extend_from_slice(view.image());
    }

    /// How many bytes [`encode`](Self::encode) appends for so many placements.
    pub fn encoded_bytes(view: View<'_>, placements: usize) -> usize {
        FIXED_BYTES + placements * PLACEMENT_BYTES + view.image().len()
    }

    /// Reads the payload of the record.
    pub fn decode(payload: &'a [u8]) -> Result<Self, Damage> {
        let mut fields = Bytes(payload);
        let count = fields.u32()?;
        let (layout, timed) = decode_layout(&mut fields)?;
        let published_at = if timed { fields.u64()? } else { 0 };
        let placements_bytes = (count as usize).checked_mul(PLACEMENT_BYTES).ok_or(Damage::Truncated)?;
        let placements = fields.take(placements_bytes)?;
        check_image(layout, fields.0)?;
        Ok(Self { layout, published_at, image: fields.0, placements })
    }

    /// Where the message went.
    pub fn placements(&self) -> impl ExactSizeIterator<Item = Placement> + use<'a> {
        self.placements.chunks_exact(PLACEMENT_BYTES).map(|bytes| {
            let (queue, position) = bytes.split_at(PLACEMENT_BYTES / 2);
            Placement { queue: QueueId(number(queue)), position: number(position) }
        })
    }

    /// The parts of the message.
    pub fn view(&self) -> View<'a> {
        View::new(self.layout, self.image)
    }

    /// A copy of the message. It counts nowhere yet: the caller says where.
    pub fn to_message(&self) -> Message {
        Message::uncounted(self.view(), self.published_at)
    }
}

/// And whether the time of publishing follows.
fn decode_layout(fields: &mut Bytes<'_>) -> Result<(Layout, bool), Damage> {
    let (header_frame_bytes, body_bytes) = (fields.u32()?, fields.u32()?);
    let [exchange_bytes, key_bytes, persistent, timed] = fields.array()?;
    require(persistent <= 1 && timed <= TIMED, "unknown marks of a message")?;
    let persistent = persistent == 1;
    let layout = Layout { header_frame_bytes, body_bytes, exchange_bytes, key_bytes, persistent };
    Ok((layout, timed == TIMED))
}

/// Names, header frame and body frames fill the image as the layout says.
fn check_image(layout: Layout, image: &[u8]) -> Result<(), Damage> {
    let mut rest = Bytes(image);
    for name_bytes in [layout.exchange_bytes, layout.key_bytes] {
        require(rest.u8()? == name_bytes, "a name has another length")?;
        rest.take(usize::from(name_bytes))?;
    }
    let [_bits, end] = rest.array()?;
    require(end == FRAME_END, "the method does not end")?;
    check_header(layout, &mut rest)?;
    check_bodies(layout, &mut rest)
}

fn check_header(layout: Layout, rest: &mut Bytes<'_>) -> Result<(), Damage> {
    let payload = take_frame(rest, FRAME_HEADER)?;
    let frame_bytes = payload.len() + FRAME_OVERHEAD_BYTES;
    require(frame_bytes == layout.header_frame_bytes as usize, "the header frame has another length")?;
    require(frame_bytes < HEADER_FRAME_BYTES_LIMIT, "the header frame is too long")?;
    let Some(([_, _, 0, 0, size @ ..], properties)) = payload.split_first_chunk::<12>() else {
        return Err(Damage::Malformed("the content header is cut"));
    };
    require(properties.len() >= 2, "the content header has no properties")?;
    require(u64::from_be_bytes(*size) == u64::from(layout.body_bytes), "the body has another length")
}

fn check_bodies(layout: Layout, rest: &mut Bytes<'_>) -> Result<(), Damage> {
    let mut missing = layout.body_bytes as usize;
    while missing > 0 {
        let bytes = take_frame(rest, FRAME_BODY)?.len();
        require((1..=missing).contains(&bytes), "a body frame has another length")?;
        missing -= bytes;
    }
    rest.end()
}

/// The payload of a whole frame.
fn take_frame<'a>(rest: &mut Bytes<'a>, kind: u8) -> Result<&'a [u8], Damage> {
    let [found, _, _, size @ ..] = rest.array::<FRAME_HEADER_BYTES>()?;
    require(found == kind, "a frame is of another kind")?;
    let payload = rest.take(u32::from_be_bytes(size) as usize)?;
    require(rest.u8()? == FRAME_END, "a frame does not end")?;
    Ok(payload)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |value| u64::from_le_bytes(*value))
}

const FIXED_BYTES: usize = 24;
const TIMED: u8 = 1;
const PLACEMENT_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::core::message::build_image;

    const PUBLISHED_AT: Millis = 0x0304_0506_0708;

    fn encoded(layout: Layout, image: &[u8], placements: &[Placement]) -> Vec<u8> {
        let mut out = vec![];
        Publish::encode(&mut out, View::new(layout, image), PUBLISHED_AT, placements);
        out
    }

    fn placement(queue: u64, position: u64) -> Placement {
        Placement { queue: QueueId(queue), position }
    }

    /// Calls everything that could panic on an image that is not what its layout says.
    fn use_all(publish: &Publish<'_>) {
        let message = publish.to_message();
        let view = message.view();
        let _ = (view.exchange(), view.routing_key(), view.exchange_and_key(), view.properties());
        let frames = view.content_frames().len();
        assert_eq!(view.body().len(), view.layout.body_bytes as usize);
        let mut out = vec![];
        view.write_content(&mut out, 9, 131_072);
        assert!(out.len() >= frames);
        view.write_content(&mut out, 9, 9);
        assert_eq!(publish.placements().count(), publish.placements().len());
    }

    #[test]
    fn a_publish_is_laid_out_as_documented() {
        let (layout, image) = build_image(b"ex", b"key", &[0, 0], &[b"hello"], true);
        let bytes = encoded(layout, &image, &[placement(1, 2)]);
        assert_eq!(bytes[..16], *b"\x01\0\0\0\x16\0\0\0\x05\0\0\0\x02\x03\x01\x01");
        assert_eq!(bytes[16..24], *b"\x08\x07\x06\x05\x04\x03\0\0");
        assert_eq!(bytes[24..40], *b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0");
        assert_eq!(bytes[40..], image);
    }

    #[test]
    fn a_publish_of_version_1_does_not_say_when() {
        let (layout, image) = build_image(b"ex", b"key", &[0, 0], &[b"hello"], true);
        let mut bytes = encoded(layout, &image, &[placement(1, 2)]);
        let timed = Publish::decode(&bytes).unwrap().to_message();
        assert_eq!(timed.published_at(), PUBLISHED_AT);
        bytes[15] = 2;
        assert!(Publish::decode(&bytes).is_err());
        bytes[15] = 0;
        bytes.drain(16..24);
        let publish = Publish::decode(&bytes).unwrap();
        assert!(publish.placements().eq([placement(1, 2)]));
        assert_eq!((publish.to_message().published_at(), publish.image), (0, &image[..]));
    }

    #[test]
    fn a_layout_that_does_not_fit_the_image_is_refused() {
        let (layout, image) = build_image(b"ex", b"key", &[0, 0], &[b"hello"], true);
        let wrong = [
            Layout { header_frame_bytes: 21, ..layout },
            Layout { body_bytes: 4, ..layout },
            Layout { body_bytes: 6, ..layout },
            Layout { exchange_bytes: 3, key_bytes: 2, ..layout },
            Layout { key_bytes: 255, ..layout },
        ];
        for wrong in wrong {
            let mut bytes = encoded(layout, &image, &[]);
            bytes[4..8].copy_from_slice(&wrong.header_frame_bytes.to_le_bytes());
            bytes[8..12].copy_from_slice(&wrong.body_bytes.to_le_bytes());
            bytes[12..14].copy_from_slice(&[wrong.exchange_bytes, wrong.key_bytes]);
            assert!(Publish::decode(&bytes).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_image_that_is_cut_or_has_more_is_refused() {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"a", b"b"], false);
        let mut bytes = encoded(layout, &image, &[placement(1, 1)]);
        for cut in 0..bytes.len() {
            assert!(Publish::decode(&bytes[..cut]).is_err(), "cut to {cut}");
        }
        bytes.push(0);
        assert!(Publish::decode(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(
            exchange in vec(any::<u8>(), 0..=255), key in vec(any::<u8>(), 0..40),
            properties in vec(any::<u8>(), 2..40), body in vec(vec(any::<u8>(), 0..40), 0..4),
            persistent: bool, published_at: u64, placements: Vec<(u64, u64)>,
        ) {
            let pieces: Vec<_> = body.iter().map(Vec::as_slice).collect();
            let (layout, image) = build_image(&exchange, &key, &properties, &pieces, persistent);
            let placements: Vec<_> = placements.iter().map(|(queue, at)| placement(*queue, *at)).collect();
            let mut bytes = vec![];
            Publish::encode(&mut bytes, View::new(layout, &image), published_at, &placements);
            let publish = Publish::decode(&bytes).unwrap();
            prop_assert_eq!((publish.layout, publish.published_at), (layout, published_at));
            prop_assert_eq!(publish.image, image);
            prop_assert_eq!(publish.placements().collect::<Vec<_>>(), placements);
            let message = publish.to_message();
            prop_assert_eq!(message.published_at(), published_at.min((1 << 48) - 1));
            prop_assert_eq!(message.view().exchange(), exchange);
            prop_assert_eq!(publish.view().body(), body.concat());
            use_all(&publish);
        }

        #[test]
        fn no_bytes_panic_and_what_is_accepted_can_be_used(
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..3), noise: Vec<u8>,
        ) {
            let (layout, image) = build_image(b"ex", b"key", &[0, 0], &[b"hello", b"world"], true);
            let mut bytes = encoded(layout, &image, &[placement(1, 2)]);
            for (at, octet) in changes {
                let at = at.index(bytes.len());
                bytes[at] = octet;
            }
            let _ = Publish::decode(&bytes).map(|publish| use_all(&publish));
            let _ = Publish::decode(&noise).map(|publish| use_all(&publish));
        }
    }
}
