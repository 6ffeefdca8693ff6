//! Messages that the broker itself changes on their way: the same body in a new image.
//!
//! A message that the broker has dead-lettered bears a mark, so that the death headers in it can be told from those
//! that a client made up or sent again. The mark is a bit in the image's octet of `basic.publish` bits, of which
//! AMQP uses the lowest two: it is written to the log with the image and never delivered. Code that takes images
//! from clients must let only the clients' own bits through ([`bits_of_client`]).

use crate::core::message::{Layout, View, build_image_with};
use crate::limits::LETTER_COPIES_LOG2_MAX;
use crate::protocol::{FieldTable, Properties, SHORT_STRING_BYTES_MAX};

/// The bits of `basic.publish` that a client may set (AMQP 0-9-1, 1.8.3.7: mandatory, immediate). Others are the
/// broker's own.
const BITS_OF_CLIENTS: u8 = 0b11;

/// By about so much a death makes a message longer.
const GROWTH_BYTES: usize = 512;

/// The broker has dead-lettered the message.
pub(super) const DEAD_LETTERED: u8 = 0x80;

/// How often the message was copied by dead-lettering alone, without a client's doing, rounded up to a power of two: four bits.
const COPIES_SHIFT: u32 = 2;
const COPIES: u8 = 0b1111 << COPIES_SHIFT;
/// As much as can be told.
const COPIES_LOG2_KNOWN_MAX: u32 = 0b1111;

const _: () = assert!((DEAD_LETTERED | COPIES) & BITS_OF_CLIENTS == 0 && DEAD_LETTERED & COPIES == 0);
const _: () = assert!(LETTER_COPIES_LOG2_MAX < COPIES_LOG2_KNOWN_MAX);

/// Whether an octet of `basic.publish` bits may go into an image as it came from a client.
pub const fn bits_of_client(bits: u8) -> bool {
    bits & !BITS_OF_CLIENTS == 0
}

/// The broker's own marks on a message.
pub(super) fn marks(view: &View<'_>) -> u8 {
    view.image()[view.layout.bits_at()] & !BITS_OF_CLIENTS
}

/// The marks of a message that a client has decided on: copies before that do not count.
pub(super) fn marks_anew(view: &View<'_>) -> u8 {
    marks(view) & !COPIES
}

/// How often a message was copied, as a power of two.
pub(super) fn copies_log2(view: &View<'_>) -> u32 {
    u32::from((marks(view) & COPIES) >> COPIES_SHIFT)
}

/// Notes in an image how often the message was copied.
pub(super) fn set_copies_log2(layout: &Layout, image: &mut [u8], copies_log2: u32) {
    let bits = &mut image[layout.bits_at()];
    *bits = *bits & !COPIES | (copies_log2.min(COPIES_LOG2_KNOWN_MAX) as u8) << COPIES_SHIFT;
}

/// The body of `view` under other names and properties, marked with `marks`. Names are cut at 255 bytes.
pub(super) fn rewritten(
    view: &View<'_>,
    exchange: &[u8],
    routing_key: &[u8],
    properties: &[u8],
    marks: u8,
) -> (Layout, Vec<u8>) {
    rewritten_with(view, [exchange, routing_key], marks, |image| image.extend_from_slice(properties))
}

/// The same; `properties` appends them to the image. They are taken to be about as long as those of `view`.
pub(super) fn rewritten_with(
    view: &View<'_>,
    names: [&[u8]; 2],
    marks: u8,
    properties: impl FnOnce(&mut Vec<u8>),
) -> (Layout, Vec<u8>) {
    let names = names.map(|name| &name[..name.len().min(SHORT_STRING_BYTES_MAX)]);
    let body: Vec<&[u8]> = view.body_payloads().collect();
    let size_hint_bytes = view.image().len() + GROWTH_BYTES;
    let (layout, mut image) =
        build_image_with(names, &body, view.layout.persistent, size_hint_bytes, properties);
    image[layout.bits_at()] |= marks;
    (layout, image)
}

impl View<'_> {
    /// The same message with other properties; it keeps the broker's own marks.
    pub fn with_properties(&self, properties: &Properties) -> (Layout, Vec<u8>) {
        rewritten(self, self.exchange(), self.routing_key(), &encoded(properties), marks(self))
    }
}

/// The message without its `BCC` header, if it has one: consumers must not see it.
pub fn without_bcc(view: &View<'_>, headers: Option<&FieldTable>) -> Option<(Layout, Vec<u8>)> {
    headers?.get("BCC")?;
    let mut owned = Properties::decode(view.properties()).ok()?;
    owned.headers.as_mut()?.remove("BCC");
    Some(view.with_properties(&owned))
}

/// Properties as they stand in a content header.
pub(super) fn encoded(properties: &Properties) -> Vec<u8> {
    let mut bytes = Vec::new();
    properties.encode(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::message::build_image;

    #[test]
    fn a_rewritten_message_has_its_body_and_bears_the_mark() {
        let (layout, image) = build_image(b"logs", b"a.b", &[0x10, 0, 2], &[b"hello ", b"world"], true);
        let view = View::new(layout, &image);
        assert_eq!(marks(&view), 0);
        let (layout, image) = rewritten(&view, b"dlx", &[b'k'; 300], &[0, 0], DEAD_LETTERED);
        let view = View::new(layout, &image);
        assert_eq!(marks(&view), DEAD_LETTERED);
        assert_eq!((view.exchange(), view.routing_key()), (&b"dlx"[..], &[b'k'; 255][..]));
        assert_eq!((view.properties(), view.body()), (&[0, 0][..], b"hello world".to_vec()));
        assert!(view.layout.persistent);
    }

    #[test]
    fn mandatory_and_immediate_are_no_marks() {
        let (layout, mut image) = build_image(b"", b"q", &[0, 0], &[], false);
        image[3] = BITS_OF_CLIENTS;
        assert_eq!(marks(&View::new(layout, &image)), 0);
        assert!(bits_of_client(BITS_OF_CLIENTS) && !bits_of_client(DEAD_LETTERED) && !bits_of_client(4));
    }
}
