//! A message that arrives frame by frame, when it is not complete in one read: bodies larger than the buffer, or
//! channels that interleave.

use crate::core::{
    error::{AmqpError, frame_error, precondition_failed, syntax_error, unexpected_frame},
    message::{Layout, View},
};
use crate::protocol::{
    basic,
    frame::{FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_OVERHEAD_BYTES, RawFrame, write_frame},
    properties::{ContentHeader, PropertiesView},
};

/// RabbitMQ's text for content that no method announced.
pub(super) const EXPECTED_METHOD: &str = "expected method frame, got non method frame instead";

/// Where a channel is in receiving content (AMQP 2.3.5.2):
///
/// ```text
/// Idle --basic.publish--> Header --content header--> Body --last byte--> complete, Idle
/// ```
#[derive(Default)]
pub(super) enum Assembly {
    /// Methods only.
    #[default]
    Idle,
    /// A content header must come.
    Header { image: Vec<u8>, bits: u8, layout: Layout },
    /// This many bytes of body must come.
    Body { image: Vec<u8>, bits: u8, layout: Layout, missing: u64 },
}

/// A message whose last byte has come.
pub(super) struct Assembled {
    image: Vec<u8>,
    layout: Layout,
    /// The bits of `basic.publish`: 1 mandatory, 2 immediate.
    pub(super) bits: u8,
}

impl Assembled {
    /// Bytes that it takes.
    pub(super) fn size_bytes(&self) -> usize {
        self.image.capacity()
    }

    /// Its parts.
    pub(super) fn view(&self) -> View<'_> {
        View::new(self.layout, &self.image)
    }
}

impl Assembly {
    /// Begins with `basic.publish`.
    pub(super) fn begin(publish: &basic::Publish) -> Self {
        let bits = u8::from(publish.mandatory) | u8::from(publish.immediate) << 1;
        let mut image = Vec::with_capacity(512);
        for name in [&publish.exchange, &publish.routing_key] {
            image.push(name.len() as u8);
            image.extend_from_slice(name);
        }
        image.extend_from_slice(&[bits, FRAME_END]);
        let layout = Layout {
            header_frame_bytes: 0,
            body_bytes: 0,
            exchange_bytes: publish.exchange.len() as u8,
            key_bytes: publish.routing_key.len() as u8,
            persistent: false,
        };
        Self::Header { image, bits, layout }
    }

    /// Bytes held while the message is incomplete.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Idle => 0,
            Self::Header { image, .. } | Self::Body { image, .. } => image.capacity(),
        }
    }

    /// The method that an error now is about: `basic.publish`, or none.
    pub(super) fn method_ids(&self) -> (u16, u16) {
        match self {
            Self::Idle => (0, 0),
            Self::Header { .. } | Self::Body { .. } => (basic::CLASS_ID, basic::Publish::METHOD_ID),
        }
    }

    /// Checks that a method may come now.
    pub(super) fn expect_method(&self) -> Result<(), AmqpError> {
        let expected = match self {
            Self::Idle => return Ok(()),
            Self::Header { .. } => {
                "expected content header for class 60, got non content header frame instead"
            }
            Self::Body { .. } => "expected content body, got non content body frame instead",
        };
        Err(unexpected_frame(expected))
    }

    /// Takes the next header or body frame; gives the message with its last one.
    pub(super) fn frame(
        &mut self,
        frame: &RawFrame<'_>,
        body_bytes_max: u64,
    ) -> Result<Option<Assembled>, AmqpError> {
        *self = match (std::mem::take(self), frame.kind) {
            (Self::Idle, _) => {
                return Err(unexpected_frame(EXPECTED_METHOD));
            }
            (Self::Header { image, bits, layout }, FRAME_HEADER) => {
                Self::header(image, bits, layout, frame, body_bytes_max)?
            }
            (Self::Body { mut image, bits, layout, missing }, FRAME_BODY) => {
                let announced = missing;
                let missing = missing
                    .checked_sub(frame.payload.len() as u64)
                    .ok_or_else(|| frame_error("content body is larger than its header announced"))?;
                if !frame.payload.is_empty() {
                    make_room(&mut image, frame.payload.len() + FRAME_OVERHEAD_BYTES, announced);
                    write_frame(&mut image, FRAME_BODY, frame.channel, frame.payload);
                }
                Self::Body { image, bits, layout, missing }
            }
            (unfinished, _) => return unfinished.expect_method().map(|()| None),
        };
        match self {
            Self::Body { missing: 0, .. } => match std::mem::take(self) {
                Self::Body { image, bits, layout, .. } => Ok(Some(Assembled { image, layout, bits })),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn header(
        mut image: Vec<u8>,
        bits: u8,
        mut layout: Layout,
        frame: &RawFrame<'_>,
        body_bytes_max: u64,
    ) -> Result<Self, AmqpError> {
        let header = ContentHeader::parse(frame.payload).map_err(|error| syntax_error(error.to_string()))?;
        if header.class_id != basic::CLASS_ID {
            return Err(unexpected_frame(format!(
                "expected content header for class 60, got one for class {} instead",
                header.class_id
            )));
        }
        if header.body_size > body_bytes_max {
            return Err(precondition_failed(format!(
                "message size {} is larger than configured max size {body_bytes_max}",
                header.body_size
            )));
        }
        let properties =
            PropertiesView::parse(header.properties).map_err(|error| syntax_error(error.to_string()))?;
        layout.persistent = properties.is_persistent();
        layout.body_bytes = header.body_size as u32;
        let before = image.len();
        write_frame(&mut image, FRAME_HEADER, frame.channel, frame.payload);
        layout.header_frame_bytes = (image.len() - before) as u32;
        Ok(Self::Body { image, bits, layout, missing: header.body_size })
    }
}

/// Sees that `bytes` more fit. It grows as vectors do, but by little more than what is `announced` and has not come.
fn make_room(image: &mut Vec<u8>, bytes: usize, announced: u64) {
    if image.capacity() - image.len() < bytes {
        let rest = announced.saturating_add(announced / 1_024) as usize + FRAME_OVERHEAD_BYTES;
        image.reserve_exact(bytes.max(image.len().min(rest)));
    }
}
