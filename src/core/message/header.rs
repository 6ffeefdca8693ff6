//! What stands before a message's image in memory.

use std::sync::atomic::AtomicU32;

use super::{Layout, View};
use crate::core::{
    clock::Millis,
    memory::{Number, allocated_bytes},
};
use crate::limits::MESSAGE_SIZE_BYTES_MAX_HARD;
use crate::protocol::frame::FRAME_OVERHEAD_BYTES;

/// No content header frame is as long as that: it came in one frame, and grows by a little at each hop.
pub const HEADER_FRAME_BYTES_LIMIT: usize = 1 << 24;

/// What a message is, but for its image. It is kept to 24 bytes, because there may be millions of messages.
pub(super) struct Header {
    /// Lowest 24 bits: bytes of the content header frame. Highest 8: of the exchange's name.
    content_header_and_exchange: u32,
    /// Bytes of the image.
    image_bytes: u32,
    /// The journal's: the two lowest bits are the [`Stage`](super::Stage), the others count settlements before the message was written.
    pub(super) journal: AtomicU32,
    /// Where it counts.
    pub(super) gauge: Number,
    key_bytes: u8,
    persistent: bool,
    /// Lowest 48 bits: the time, enough for another 8,900 years. Highest 16: frames of the body; with these, the header tells how
    /// long the body is.
    time_and_frames: u64,
}

const _: () = assert!(size_of::<Header>() == 24);
/// The longest image, with the most frames that are counted, has a length of 32 bits.
const _: () = assert!(
    MESSAGE_SIZE_BYTES_MAX_HARD
        + (HEADER_FRAME_BYTES_LIMIT + 2 * 256 + 2 + u16::MAX as usize * FRAME_OVERHEAD_BYTES) as u64
        <= u32::MAX as u64
);
const TIME_BITS: u32 = 48;
const TIME_MAX: Millis = (1 << TIME_BITS) - 1;

impl Header {
    pub(super) fn of(view: &View<'_>, body_frames: u16, published_at: Millis, gauge: Number) -> Self {
        let Layout { header_frame_bytes, exchange_bytes, key_bytes, persistent, .. } = view.layout;
        assert!(
            (header_frame_bytes as usize) < HEADER_FRAME_BYTES_LIMIT,
            "headers are bounded by frame_max and hops"
        );
        Self {
            content_header_and_exchange: header_frame_bytes | u32::from(exchange_bytes) << 24,
            image_bytes: view.image.len() as u32,
            journal: AtomicU32::new(0),
            gauge,
            key_bytes,
            persistent,
            time_and_frames: published_at.min(TIME_MAX) | u64::from(body_frames) << TIME_BITS,
        }
    }

    #[inline]
    pub(super) fn layout(&self) -> Layout {
        let mut layout = Layout {
            header_frame_bytes: self.content_header_and_exchange & 0x00ff_ffff,
            body_bytes: 0,
            exchange_bytes: (self.content_header_and_exchange >> 24) as u8,
            key_bytes: self.key_bytes,
            persistent: self.persistent,
        };
        let frames = (self.time_and_frames >> TIME_BITS) as u32 * FRAME_OVERHEAD_BYTES as u32;
        layout.body_bytes =
            self.image_bytes - layout.content_at() as u32 - layout.header_frame_bytes - frames;
        layout
    }

    pub(super) fn set_published_at(&mut self, at: Millis) {
        self.time_and_frames = at.min(TIME_MAX) | self.time_and_frames & !TIME_MAX;
    }

    pub(super) fn published_at(&self) -> Millis {
        self.time_and_frames & TIME_MAX
    }

    #[inline]
    pub(super) fn size_bytes(&self) -> usize {
        size_bytes(self.image_bytes)
    }
}

/// Bytes of memory that a message takes whose image is so long.
#[inline]
fn size_bytes(image_bytes: u32) -> usize {
    // The reference count and the length stand in the allocation, too.
    allocated_bytes(size_of::<Header>() + 2 * size_of::<usize>() + image_bytes as usize)
}

impl Drop for Header {
    // Small, so that it is inlined wherever a panic would drop one: a header has no address then while it is made, and goes from
    // registers to where it stays. Copied from the stack, in other widths than it was written in, it would hold the processor up
    // until all that was stored before is in its cache.
    #[inline]
    fn drop(&mut self) {
        discount(self.gauge, self.image_bytes);
    }
}

/// A message whose image is so long is gone.
#[inline(never)]
fn discount(gauge: Number, image_bytes: u32) {
    if let Some(gauge) = gauge.gauge() {
        gauge.change_messages(-(size_bytes(image_bytes) as isize));
    }
}
