//! Messages that move in from a queue of another broker: read from the deliveries by which that broker gave them away, and as
//! they are to stand in the queue of the same name here.
//!
//! A message that moves in is not published. It was routed, checked and admitted where it came from, and has its place in a queue
//! already: nothing of that happens again, and what only publishing heeds (`CC`, `user-id`, `x-delay`, headers against duplicates)
//! is no more than a part of it. What the other broker knew of it beside its content, and a delivery tells, is known here, too:
//!
//! - its exchange and routing key, whether it was delivered before, and in quorum queues how often it came back
//!   (`x-delivery-count`, `x-acquired-count`: headers that the broker adds to deliveries, and that are no part of the message);
//! - its deaths: `x-death` is believed, so that counts go on and circles are found.
//!
//! When it expires is not told by any delivery: its time begins anew.

use crate::core::{
    change::Attempts,
    dead_letter,
    message::{Layout, View, build_image},
};
use crate::limits::FRAME_SIZE_BYTES_MAX;
use crate::protocol::{
    ContentHeader, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, FrameError, Method, MethodError, Properties,
    PropertiesError, PropertiesView, RawFrame, TableView, basic, split,
};

/// A message that moves in.
#[derive(Debug, Clone, PartialEq)]
pub struct MovedIn {
    layout: Layout,
    image: Vec<u8>,
    /// It was delivered before.
    pub redelivered: bool,
    /// How often it came back.
    pub attempts: Attempts,
}

impl MovedIn {
    /// Its parts.
    pub fn view(&self) -> View<'_> {
        View::new(self.layout, &self.image)
    }
}

/// A delivery of another broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its number there.
    pub tag: u64,
    /// The message, or why it cannot be one here.
    pub message: Result<MovedIn, Unfit>,
}

/// Why a message cannot move in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// RabbitMQ's words for a message that is published.
    #[error("message size {body_bytes} is larger than configured max size {body_bytes_max}")]
    TooLarge {
        /// Bytes of its body.
        body_bytes: u64,
        /// How many it may have.
        body_bytes_max: u64,
    },
    /// Its properties cannot be read.
    #[error("its properties cannot be read: {0}")]
    Properties(#[from] PropertiesError),
}

/// Why bytes are no deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDeliveries {
    /// They are no frames.
    #[error("{0}")]
    Frame(FrameError),
    /// A method cannot be read.
    #[error("a method cannot be read: {0}")]
    Method(#[from] MethodError),
    /// A content header cannot be read.
    #[error("a content header cannot be read: {0}")]
    Header(PropertiesError),
    /// They end in the middle of a delivery.
    #[error("they end in the middle of a delivery")]
    Truncated,
    /// Another frame than the one that is due.
    #[error("{0} is expected")]
    Unexpected(&'static str),
}

/// What deliveries are read for.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Bytes of body that a message may have.
    pub body_bytes_max: u64,
    /// They are for a quorum queue: headers that count attempts are the broker's.
    pub counts_attempts: bool,
}

impl Reading {
    /// Reads deliveries: `basic.deliver`, content header and body frames, one delivery after the other, for any channel.
    pub fn deliveries(self, bytes: &[u8]) -> Result<Vec<Delivery>, NoDeliveries> {
        let mut frames = Frames { rest: bytes };
        let mut deliveries = Vec::new();
        while !frames.rest.is_empty() {
            deliveries.push(self.delivery(&mut frames)?);
        }
        Ok(deliveries)
    }

    fn delivery(self, frames: &mut Frames<'_>) -> Result<Delivery, NoDeliveries> {
        let method = frames.next(FRAME_METHOD, DELIVER)?;
        let Method::BasicDeliver(delivered) = Method::decode(method)? else {
            return Err(NoDeliveries::Unexpected(DELIVER));
        };
        let header = frames.next(FRAME_HEADER, "a content header")?;
        let header = ContentHeader::parse(header).map_err(NoDeliveries::Header)?;
        let mut body = Vec::new();
        let mut missing = header.body_size;
        while missing > 0 {
            let piece = frames.next(FRAME_BODY, "the rest of a body")?;
            missing = missing.checked_sub(piece.len() as u64).ok_or(NoDeliveries::Unexpected(DELIVER))?;
            body.push(piece);
        }
        let tag = delivered.delivery_tag;
        let (body_bytes, body_bytes_max) = (header.body_size, self.body_bytes_max);
        let message = if body_bytes > body_bytes_max {
            Err(Unfit::TooLarge { body_bytes, body_bytes_max })
        } else {
            self.message(&delivered, header.properties, &body)
        };
        Ok(Delivery { tag, message })
    }

    /// The message as it was in its queue.
    fn message(
        self,
        delivered: &basic::Deliver,
        properties: &[u8],
        body: &[&[u8]],
    ) -> Result<MovedIn, Unfit> {
        let view = PropertiesView::parse(properties)?;
        let mut attempts = Attempts::default();
        let mut own = None;
        if self.counts_attempts {
            attempts = attempts_in(&view);
            own = without_counts(&view)?;
        }
        if delivered.redelivered {
            attempts.returned = attempts.returned.max(1);
        }
        let own = own.as_deref().unwrap_or(properties);
        let (layout, mut image) =
            build_image(&delivered.exchange, &delivered.routing_key, own, body, view.is_persistent());
        dead_letter::believe(layout, &mut image);
        Ok(MovedIn { layout, image, redelivered: delivered.redelivered, attempts })
    }
}

/// What RabbitMQ says on deliveries of a quorum queue. Numbers stay at their highest when they are higher.
fn attempts_in(properties: &PropertiesView<'_>) -> Attempts {
    let headers = TableView::new(properties.headers.unwrap_or_default());
    let [failed, acquired] = COUNTS.map(|name| {
        let number = headers.get(name).and_then(|entry| entry.decode().ok()?.as_i64());
        number.map_or(0, |number| u16::try_from(number.max(0)).unwrap_or(u16::MAX))
    });
    Attempts { returned: acquired.max(failed), failed }
}

/// The properties without these headers, if they have any.
fn without_counts(view: &PropertiesView<'_>) -> Result<Option<Vec<u8>>, PropertiesError> {
    let headers = TableView::new(view.headers.unwrap_or_default());
    if COUNTS.iter().all(|name| headers.get(name).is_none()) {
        return Ok(None);
    }
    let mut properties = Properties::try_from(*view)?;
    if let Some(headers) = &mut properties.headers {
        for name in COUNTS {
            headers.remove(name);
        }
    }
    properties.headers = properties.headers.filter(|headers| !headers.is_empty());
    let mut bytes = Vec::new();
    properties.encode(&mut bytes);
    Ok(Some(bytes))
}

/// Frames one after the other, all of which must be there.
struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The payload of the next frame, which must be of this kind.
    fn next(&mut self, kind: u8, what: &'static str) -> Result<&'a [u8], NoDeliveries> {
        let found = split(self.rest, FRAME_SIZE_BYTES_MAX as usize).map_err(NoDeliveries::Frame)?;
        let (RawFrame { kind: its, payload, .. }, bytes) = found.ok_or(NoDeliveries::Truncated)?;
        if its != kind {
            return Err(NoDeliveries::Unexpected(what));
        }
        self.rest = &self.rest[bytes..];
        Ok(payload)
    }
}

const DELIVER: &str = "basic.deliver";
/// Headers that RabbitMQ adds to deliveries of quorum queues: how often the message failed, and was handed out.
const COUNTS: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

#[cfg(test)]
mod tests;
