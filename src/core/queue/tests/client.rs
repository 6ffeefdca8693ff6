//! A client of a queue: its outbox, and what it reads of that.

use std::{
    cell::RefCell,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::core::{
    effects::Effects,
    error::AmqpError,
    outbox::{Outbox, SharedOutbox, feed_by_channel, feed_by_outbox},
    source::Unacked,
    turn::Turn,
};
use crate::limits::OUTBOX_BYTES_MAX;
use crate::protocol::{ContentHeader, FRAME_BODY, FRAME_METHOD, Method, split, write_frame};

const FRAME_MAX: usize = 131_072;
/// A channel that no test opens: what stands on it only fills an outbox.
const CLOGGED_CHANNEL: u16 = 99;

/// A connection with two open channels.
pub(super) struct Client {
    pub(super) outbox: SharedOutbox,
    /// What the journal has to be told of what this client was fed.
    pub(super) effects: RefCell<Effects>,
    pub(super) spare: Vec<u8>,
}

/// What a client reads.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Received {
    pub(super) what: What,
    pub(super) channel: u16,
    pub(super) tag: u64,
    pub(super) redelivered: bool,
    /// The number in the body.
    pub(super) id: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// With the consumer's tag.
    Delivered(String),
    /// With the count of those that remain.
    Got(u32),
    Cancelled,
}

impl Client {
    pub(super) fn new() -> Self {
        Self::understanding_cancel(true)
    }

    pub(super) fn understanding_cancel(understands: bool) -> Self {
        let mut outbox = Outbox::new(FRAME_MAX, understands);
        outbox.open_window(1);
        outbox.open_window(2);
        Self { outbox: Arc::new(Mutex::new(outbox)), spare: Vec::new(), effects: RefCell::default() }
    }

    /// Fills the outbox, as a client does that does not read.
    pub(super) fn clog(&self) {
        let mut frames = Vec::new();
        while frames.len() < OUTBOX_BYTES_MAX {
            write_frame(&mut frames, FRAME_BODY, CLOGGED_CHANNEL, &vec![0; 100_000]);
        }
        self.outbox.lock().send_frames(&frames);
    }

    /// One turn of the writer: what the client reads of it.
    pub(super) fn read(&mut self) -> Vec<Received> {
        let seen = self.take();
        self.written();
        seen
    }

    /// The first half of the writer's turn.
    pub(super) fn take(&mut self) -> Vec<Received> {
        let mut context = Context::from_waker(Waker::noop());
        match self.outbox.lock().poll_take(&mut self.spare, &mut context) {
            Poll::Ready(true) => decode(&self.spare),
            _ => Vec::new(),
        }
    }

    /// The second half.
    pub(super) fn written(&mut self) {
        self.spare.clear();
        let _reader = self.outbox.lock().written();
        let turn = &mut Turn::of(usize::MAX);
        feed_by_outbox(&self.outbox, &mut self.effects.borrow_mut(), turn);
    }

    pub(super) fn read_ids(&mut self) -> Vec<u64> {
        self.read().into_iter().map(|seen| seen.id).collect()
    }

    pub(super) fn read_consumers(&mut self) -> Vec<String> {
        let consumer = |seen: Received| match seen.what {
            What::Delivered(tag) => Some(tag),
            What::Got(_) | What::Cancelled => None,
        };
        self.read().into_iter().filter_map(consumer).collect()
    }

    pub(super) fn settle(&self, channel: u16, tag: u64, multiple: bool) -> Result<Vec<Unacked>, AmqpError> {
        let mut taken = Vec::new();
        self.outbox.lock().window(channel).unwrap().settle(tag, multiple, usize::MAX, &mut taken)?;
        Ok(taken)
    }

    pub(super) fn feed_channels(&self) {
        for channel in [1, 2] {
            let turn = &mut Turn::of(usize::MAX);
            feed_by_channel(&self.outbox, channel, &mut self.effects.borrow_mut(), turn);
        }
    }

    pub(super) fn forget_consumer(&self, tag: &str) {
        let mut outbox = self.outbox.lock();
        for channel in [1, 2] {
            outbox.window(channel).unwrap().remove_consumer(tag.as_bytes());
        }
    }

    /// Delivery tags and messages that a channel holds.
    pub(super) fn held(&self, channel: u16) -> Vec<(u64, u64)> {
        let mut outbox = self.outbox.lock();
        let held = outbox.window(channel).unwrap();
        held.unacked().map(|unacked| (unacked.tag, number(&unacked.entry.message.view().body()))).collect()
    }
}

/// Deliveries, answers to `basic.get` and cancellations in a client's bytes.
pub(super) fn decode(mut bytes: &[u8]) -> Vec<Received> {
    let mut seen: Vec<Received> = Vec::new();
    while let Some((frame, size)) = split(bytes, FRAME_MAX).unwrap() {
        bytes = &bytes[size..];
        if frame.channel == CLOGGED_CHANNEL {
            continue;
        }
        assert_eq!(frame.kind, FRAME_METHOD);
        let (what, tag, redelivered) = match Method::decode(frame.payload).unwrap() {
            Method::BasicDeliver(it) => {
                (What::Delivered(it.consumer_tag.as_str_lossy().into()), it.delivery_tag, it.redelivered)
            }
            Method::BasicGetOk(it) => (What::Got(it.message_count), it.delivery_tag, it.redelivered),
            Method::BasicCancel(_) => (What::Cancelled, 0, false),
            other => panic!("{other:?}"),
        };
        let id = if what == What::Cancelled { 0 } else { content(&mut bytes, frame.channel) };
        seen.push(Received { what, channel: frame.channel, tag, redelivered, id });
    }
    assert!(bytes.is_empty(), "the writer takes whole frames");
    seen
}

pub(super) fn content(bytes: &mut &[u8], channel: u16) -> u64 {
    let mut next = || {
        let (frame, size) = split(bytes, FRAME_MAX).unwrap().unwrap();
        *bytes = &bytes[size..];
        assert_eq!(frame.channel, channel);
        frame.payload
    };
    assert_eq!(ContentHeader::parse(next()).unwrap().body_size, 8);
    number(next())
}

pub(super) fn number(body: &[u8]) -> u64 {
    u64::from_be_bytes(body.try_into().unwrap())
}
