//! A message: the bytes that came in, and where its parts lie among them.
//!
//! The *image* of a message is what stood on the wire, from the exchange name in `basic.publish` to the end of
//! the last body frame:
//!
//! ```text
//! exchange len+bytes | routing key len+bytes | bits | 0xCE | content header frame | body frames ...
//! ```
//!
//! A publisher's read buffer holds it as it is, so a delivery to a waiting consumer is encoded straight from there
//! ([`Publication`]); when it has to be kept, the image is copied once into one reference-counted allocation
//! ([`Message`]) that queues, unacked windows and deliveries share. A part of it is decoded only when a rule asks for that part.

mod header;

use std::sync::atomic::{AtomicU32, Ordering};

use triomphe::{Arc, ThinArc};

pub use header::HEADER_FRAME_BYTES_LIMIT;

use crate::core::{
    clock::Millis,
    memory::{Gauge, Number},
};
use crate::limits::{FRAME_SIZE_BYTES_MAX, SHOWN_FRAMES_MAX};
use crate::protocol::{
    PropertiesView,
    frame::{FRAME_BODY, FRAME_END, FRAME_OVERHEAD_BYTES, write_frame},
};
use header::Header;

/// Where the parts of an image lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the whole content header frame, its frame header and end octet included.
    pub header_frame_bytes: u32,
    /// Bytes of the body, over all its frames.
    pub body_bytes: u32,
    /// Length of the exchange's name.
    pub exchange_bytes: u8,
    /// Length of the routing key.
    pub key_bytes: u8,
    /// `delivery_mode` is 2.
    pub persistent: bool,
}

impl Layout {
    /// Offset of the content header frame.
    fn content_at(&self) -> usize {
        self.bits_at() + 2
    }

    /// Offset of the octet with the bits of `basic.publish`.
    pub(super) fn bits_at(&self) -> usize {
        usize::from(self.exchange_bytes) + usize::from(self.key_bytes) + 2
    }
}

/// A kept message: one shared allocation, one pointer wide.
#[derive(Clone)]
pub struct Message(ThinArc<Header, u8>);

/// How far the journal is with writing a message. Only the journal's writer changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The journal has not looked at it yet, or was not asked to keep it.
    Waiting,
    /// It is on disk and can be read from there.
    Written,
    /// All its queues were done with it before it was written.
    Skipped,
    /// It is being written.
    Writing,
}

impl Message {
    /// Copies an image of a message that was published at that time; it counts on `gauge` until its last reference is gone.
    pub fn new(view: View<'_>, published_at: Millis, gauge: &Gauge) -> Self {
        Self::copied(view, published_at, gauge.number())
    }

    /// A copy that counts on no gauge yet; see [`Self::count_on`].
    pub fn uncounted(view: View<'_>, published_at: Millis) -> Self {
        Self::copied(view, published_at, Number::default())
    }

    /// It counts on `gauge` from now on: a message that was read back from disk, to which this is the only reference.
    pub fn count_on(&mut self, gauge: &Gauge) {
        self.0.with_arc_mut(|message| {
            let Some(alone) = Arc::get_mut(message) else { return };
            let header = alone.header_mut();
            if header.gauge == Number::default() {
                header.gauge = gauge.number();
                gauge.change_messages(header.size_bytes() as isize);
            }
        });
    }

    /// A copy of the message, counted on the same gauge: for a queue whose copy the journal is to follow separately.
    #[must_use]
    pub fn duplicated(&self) -> Self {
        Self::copied(self.view(), self.published_at(), self.0.header.header.gauge)
    }

    fn copied(view: View<'_>, published_at: Millis, gauge: Number) -> Self {
        let Some(body_frames) = view.body_frames() else {
            let (layout, image) = view.in_large_frames();
            return Self::copied(View::new(layout, &image), published_at, gauge);
        };
        let header = Header::of(&view, body_frames, published_at, gauge);
        if let Some(gauge) = gauge.gauge() {
            gauge.change_messages(header.size_bytes() as isize);
        }
        Self(ThinArc::from_header_and_slice(header, view.image))
    }

    /// Its parts.
    #[inline]
    pub fn view(&self) -> View<'_> {
        View { layout: self.0.header.header.layout(), image: &self.0.slice }
    }

    /// When it was published, or dead-lettered, or released from a delay; zero where that is not known.
    pub fn published_at(&self) -> Millis {
        self.0.header.header.published_at()
    }

    /// The same message, published at another time; copied only if there are other references to it.
    #[must_use]
    pub fn published(mut self, at: Millis) -> Self {
        let alone = self.0.with_arc_mut(|arc| {
            let header = Arc::get_mut(arc).map(|inner| inner.header_mut());
            header.map(|header| header.set_published_at(at)).is_some()
        });
        if alone { self } else { Self::copied(self.view(), at, self.0.header.header.gauge) }
    }

    /// How far the journal is with it.
    pub fn stage(&self) -> Stage {
        match self.journal().load(Ordering::Acquire) & 3 {
            0 => Stage::Waiting,
            1 => Stage::Written,
            2 => Stage::Skipped,
            _ => Stage::Writing,
        }
    }

    /// For the journal's writer: how far it is. Forgets the count of settlements.
    pub fn set_stage(&self, stage: Stage) {
        self.journal().store(stage as u32, Ordering::Release);
    }

    /// For the journal's writer: one queue more is done with it before it was written.
    pub fn count_early_settlement(&self) {
        self.journal().fetch_add(4, Ordering::Relaxed);
    }

    /// For the journal's writer: how many queues were done with it before it was written.
    pub fn early_settlements(&self) -> usize {
        (self.journal().load(Ordering::Relaxed) >> 2) as usize
    }

    /// Whether this is the only reference to it and the journal has never been told of it.
    pub fn is_pristine(&self) -> bool {
        self.0.with_arc(Arc::is_unique) && self.journal().load(Ordering::Acquire) == 0
    }

    fn journal(&self) -> &AtomicU32 {
        &self.0.header.header.journal
    }

    /// Bytes of memory that it takes, counted once however many queues and windows share it.
    #[inline]
    pub fn size_bytes(&self) -> usize {
        self.0.header.header.size_bytes()
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Message").field(&self.view().layout).finish()
    }
}

/// A message on its way through routing: borrowed from the read buffer, and copied only if a queue, a window or the journal has
/// to keep it, once for all of them.
pub enum Publication<'a> {
    /// The image where it was read.
    Borrowed(View<'a>),
    /// The shared copy.
    Kept(Message),
}

impl<'a> Publication<'a> {
    /// A publication of the image in `view`.
    pub fn new(view: View<'a>) -> Self {
        Self::Borrowed(view)
    }

    /// A publication of a message that is kept already.
    pub fn kept(message: Message) -> Self {
        Self::Kept(message)
    }

    /// Its parts.
    #[inline]
    pub fn view(&self) -> View<'_> {
        match self {
            Self::Borrowed(view) => *view,
            Self::Kept(message) => message.view(),
        }
    }

    /// The shared copy; made at the first call, so that a fan-out to many queues copies once. It is published `now`.
    /// It counts on `gauge`.
    pub fn keep(&mut self, gauge: &Gauge, now: impl FnOnce() -> Millis) -> Message {
        match self {
            Self::Kept(message) => message.clone(),
            Self::Borrowed(view) => {
                let message = Message::new(*view, now(), gauge);
                *self = Self::Kept(message.clone());
                message
            }
        }
    }
}

/// The parts of an image, borrowed.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Where they lie.
    pub layout: Layout,
    image: &'a [u8],
}

impl<'a> View<'a> {
    /// The parts of `image`, which must be what `layout` says; see the module's text for its shape.
    pub fn new(layout: Layout, image: &'a [u8]) -> Self {
        debug_assert!(image.len() >= layout.content_at() + layout.header_frame_bytes as usize);
        Self { layout, image }
    }

    /// The exchange that it was published to.
    pub fn exchange(&self) -> &'a [u8] {
        &self.image[1..=usize::from(self.layout.exchange_bytes)]
    }

    /// Its routing key.
    pub fn routing_key(&self) -> &'a [u8] {
        let at = usize::from(self.layout.exchange_bytes) + 2;
        &self.image[at..at + usize::from(self.layout.key_bytes)]
    }

    /// The whole image.
    pub fn image(&self) -> &'a [u8] {
        self.image
    }

    /// Exchange and routing key as two short strings, lengths included, as `basic.deliver` carries them.
    pub fn exchange_and_key(&self) -> &'a [u8] {
        &self.image[..self.layout.content_at() - 2]
    }

    /// Property flags and values, as they stood in the content header.
    pub fn properties(&self) -> &'a [u8] {
        let at = self.layout.content_at();
        &self.image[at + 7 + 12..at + self.layout.header_frame_bytes as usize - 1]
    }

    /// Content header frame and body frames, for the publisher's channel number.
    pub fn content_frames(&self) -> &'a [u8] {
        &self.image[self.layout.content_at()..]
    }

    /// The payloads of its body frames, in order.
    pub fn body_payloads(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        Frames(&self.content_frames()[self.layout.header_frame_bytes as usize..])
            .map(|frame| &frame[7..frame.len() - 1])
    }

    /// How many body frames it has, up to 65,535.
    #[inline]
    fn body_frames(&self) -> Option<u16> {
        let bytes = self.content_frames().len() - self.layout.header_frame_bytes as usize;
        match bytes - self.layout.body_bytes as usize {
            0 => Some(0),
            FRAME_OVERHEAD_BYTES => Some(1),
            overhead => u16::try_from(overhead / FRAME_OVERHEAD_BYTES).ok(),
        }
    }

    /// The same message with as few body frames as possible: for one that came in very many.
    #[cold]
    fn in_large_frames(&self) -> (Layout, Vec<u8>) {
        let body = self.body();
        let head = self.layout.content_at() + self.layout.header_frame_bytes as usize;
        let mut image = self.image[..head].to_vec();
        image.reserve(body.len() + body.len() / 1024);
        for piece in body.chunks(FRAME_SIZE_BYTES_MAX as usize - FRAME_OVERHEAD_BYTES) {
            write_frame(&mut image, FRAME_BODY, 0, piece);
        }
        (self.layout, image)
    }

    /// The body in one piece; for tools and tests, deliveries never need it.
    pub fn body(&self) -> Vec<u8> {
        self.body_payloads().collect::<Vec<_>>().concat()
    }

    /// The first bytes of the body, as far as they stand in its first [`SHOWN_FRAMES_MAX`] frames.
    pub fn body_start(&self, bytes_max: usize) -> Vec<u8> {
        let mut start = Vec::new();
        for payload in self.body_payloads().take(SHOWN_FRAMES_MAX) {
            let room = bytes_max - start.len();
            start.extend_from_slice(&payload[..payload.len().min(room)]);
            if start.len() == bytes_max {
                break;
            }
        }
        start
    }

    /// The property `message-id`, if it has one and its properties can be read.
    pub fn message_id(&self) -> Option<&'a [u8]> {
        PropertiesView::of_checked(self.properties()).ok()?.message_id
    }

    /// Appends content header and body frames for `channel`, no frame larger than `frame_size_bytes_max`.
    #[inline]
    pub fn write_content(&self, out: &mut Vec<u8>, channel: u16, frame_size_bytes_max: usize) {
        let frames = self.content_frames();
        let header = self.layout.header_frame_bytes as usize;
        let single_body = self.layout.body_bytes as usize + header + FRAME_OVERHEAD_BYTES == frames.len();
        if single_body && frames.len() - header <= frame_size_bytes_max {
            let at = out.len();
            out.extend_from_slice(frames);
            out[at + 1..at + 3].copy_from_slice(&channel.to_be_bytes());
            out[at + header + 1..at + header + 3].copy_from_slice(&channel.to_be_bytes());
        } else {
            self.write_content_frame_by_frame(out, channel, frame_size_bytes_max);
        }
    }

    /// The general case: an empty body, several body frames, or frames that have to be cut smaller.
    fn write_content_frame_by_frame(&self, out: &mut Vec<u8>, channel: u16, frame_size_bytes_max: usize) {
        for frame in Frames(self.content_frames()) {
            if frame.len() <= frame_size_bytes_max || frame[0] != FRAME_BODY {
                let at = out.len();
                out.extend_from_slice(frame);
                out[at + 1..at + 3].copy_from_slice(&channel.to_be_bytes());
                continue;
            }
            for piece in frame[7..frame.len() - 1].chunks(frame_size_bytes_max - FRAME_OVERHEAD_BYTES) {
                write_frame(out, FRAME_BODY, channel, piece);
            }
        }
    }
}

/// The whole frames of an image, one after another.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let size = self.0.get(3..7)?;
        let size = u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize + FRAME_OVERHEAD_BYTES;
        let (frame, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(frame)
    }
}

/// Builds an image from its parts; for messages that the broker itself makes or changes.
pub fn build_image(
    exchange: &[u8],
    routing_key: &[u8],
    properties: &[u8],
    body: &[&[u8]],
    persistent: bool,
) -> (Layout, Vec<u8>) {
    let size_hint_bytes = properties.len() + body.iter().map(|piece| piece.len()).sum::<usize>();
    build_image_with([exchange, routing_key], body, persistent, size_hint_bytes, |image| {
        image.extend_from_slice(properties);
    })
}

/// The same; `properties` appends them.
pub fn build_image_with(
    [exchange, routing_key]: [&[u8]; 2],
    body: &[&[u8]],
    persistent: bool,
    size_hint_bytes: usize,
    properties: impl FnOnce(&mut Vec<u8>),
) -> (Layout, Vec<u8>) {
    let body_bytes = body.iter().map(|piece| piece.len()).sum::<usize>();
    let mut image = Vec::with_capacity(64 + exchange.len() + routing_key.len() + size_hint_bytes);
    for name in [exchange, routing_key] {
        image.push(name.len() as u8);
        image.extend_from_slice(name);
    }
    image.extend_from_slice(&[0, FRAME_END]);
    let content_at = image.len();
    let class_id = crate::protocol::basic::CLASS_ID;
    crate::protocol::frame::write_header_with(&mut image, 0, class_id, body_bytes as u64, properties);
    let layout = Layout {
        header_frame_bytes: (image.len() - content_at) as u32,
        body_bytes: body_bytes as u32,
        exchange_bytes: exchange.len() as u8,
        key_bytes: routing_key.len() as u8,
        persistent,
    };
    for piece in body.iter().filter(|piece| !piece.is_empty()) {
        write_frame(&mut image, FRAME_BODY, 0, piece);
    }
    (layout, image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::memory::allocated_bytes;

    #[test]
    fn an_image_gives_back_its_parts_and_frames_for_any_channel() {
        let (layout, image) = build_image(b"logs", b"a.b", &[0, 0], &[b"hello ", b"world"], false);
        let message = Message::uncounted(View::new(layout, &image), 0);
        let view = message.view();
        assert_eq!((view.exchange(), view.routing_key()), (&b"logs"[..], &b"a.b"[..]));
        assert_eq!(view.properties(), [0, 0]);
        assert_eq!(view.body(), b"hello world");
        let mut out = vec![];
        view.write_content(&mut out, 7, 131_072);
        assert_eq!(&out[..3], [2, 0, 7]);
        assert_eq!(out.len(), view.content_frames().len());
    }

    #[test]
    fn a_message_can_be_published_later_and_others_who_share_it_see_nothing_of_that() {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"m"], false);
        let message = Message::uncounted(View::new(layout, &image), 1).published(2);
        let shared = message.clone();
        let later = message.published(3);
        assert_eq!((shared.published_at(), later.published_at()), (2, 3));
        assert_eq!(later.view().body(), b"m");
    }

    #[test]
    fn frames_are_cut_again_for_a_smaller_frame_max() {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[&[7; 100]], false);
        let mut out = vec![];
        View::new(layout, &image).write_content(&mut out, 1, 48);
        let sizes: Vec<_> = Frames(&out).map(<[u8]>::len).collect();
        assert_eq!(sizes, [22, 48, 48, 28]);
    }

    #[test]
    fn a_message_counts_once_what_its_allocation_takes_until_its_last_reference_is_gone() {
        let gauge = Gauge::new(usize::MAX);
        let bodies: [&[&[u8]]; 4] = [&[], &[&[7; 16]], &[&[7; 90], &[8; 9], &[9; 1]], &[&[1; 100_000]]];
        let mut kept = vec![];
        for (at, body) in bodies.into_iter().enumerate() {
            let (layout, image) = build_image(b"x", b"key", &[0, 0], body, true);
            let before = gauge.used_bytes();
            let message = Message::new(View::new(layout, &image), 1 << 47 | at as u64, gauge);
            assert_eq!(gauge.used_bytes() - before, allocated_bytes(image.len() + 40));
            assert_eq!((message.view().layout, message.published_at()), (layout, 1 << 47 | at as u64));
            kept.push((message.clone(), message));
        }
        let copies: Vec<_> = kept.iter().map(|(message, _)| message.duplicated()).collect();
        let all = kept.iter().map(|(message, _)| message.size_bytes()).sum::<usize>();
        assert_eq!(gauge.used_bytes(), 2 * all);
        drop(copies);
        let rest: Vec<_> = kept.into_iter().map(|(message, _)| message).collect();
        assert_eq!(gauge.used_bytes(), all);
        drop(rest);
        assert_eq!(gauge.used_bytes(), 0);
    }

    #[test]
    fn a_body_in_more_frames_than_a_header_counts_is_joined() {
        let gauge = Gauge::new(usize::MAX);
        let pieces: Vec<[u8; 1]> = (0..70_000_u32).map(|n| [n as u8]).collect();
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
        let (layout, image) = build_image(b"", b"q", &[0, 0], &pieces, false);
        let message = Message::new(View::new(layout, &image), 0, gauge);
        assert_eq!(message.view().body(), pieces.concat());
        assert_eq!(message.view().body_payloads().count(), 1);
        assert_eq!(gauge.used_bytes(), allocated_bytes(message.view().image().len() + 40));
    }

    #[test]
    fn a_message_is_pristine_while_one_has_it_and_the_journal_has_not() {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"x"], false);
        let make = || Message::uncounted(View::new(layout, &image), 0);
        let message = make();
        assert!(message.is_pristine());
        let other = message.clone();
        assert!(!message.is_pristine());
        drop(other);
        assert!(message.is_pristine());
        message.count_early_settlement();
        assert!(!message.is_pristine());
        let message = make();
        message.set_stage(Stage::Written);
        assert!(!message.is_pristine());
    }

    #[test]
    fn an_empty_body_has_no_body_frame() {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[], false);
        let mut out = vec![];
        View::new(layout, &image).write_content(&mut out, 3, 4096);
        assert_eq!(out.len(), 22);
        assert_eq!(&out[..3], [2, 0, 3]);
    }
}
