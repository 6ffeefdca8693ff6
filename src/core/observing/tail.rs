//! Somebody who sees what comes in: to a queue, or to an exchange. Only so many messages in a second, as far as there is room until they are
//! taken; what is left out is counted. So who does not take them costs their room, and slows nobody.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use super::{Event, Subject, What};
use crate::core::{
    clock::Millis,
    memory::{Held, Holder, Kind},
    message::View,
};
use crate::limits::TAIL_BYTES_MAX;
use crate::protocol::ShortString;

/// What is seen of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When it came.
    pub at: Millis,
    /// The exchange that it was published to.
    pub exchange: ShortString,
    /// Its routing key.
    pub routing_key: ShortString,
    /// Its properties, encoded.
    pub properties: Box<[u8]>,
    /// How its body begins.
    pub payload: Box<[u8]>,
    /// Bytes of all of it.
    pub body_bytes: u32,
}

impl Seen {
    fn of(message: &View<'_>, at: Millis, payload_bytes_max: usize) -> Self {
        let name = |bytes| ShortString::try_from(bytes).unwrap_or_default();
        Self {
            at,
            exchange: name(message.exchange()),
            routing_key: name(message.routing_key()),
            properties: message.properties().into(),
            payload: message.body_start(payload_bytes_max).into(),
            body_bytes: message.layout.body_bytes,
        }
    }
}

/// What has come since the last time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Messages, in order.
    pub messages: Vec<Seen>,
    /// Messages that were left out because of the rate.
    pub sampled_out: u64,
    /// Messages for which there was no room.
    pub lost: u64,
    /// Nothing comes any more: what is looked at is gone.
    pub is_over: bool,
}

/// Somebody who sees what comes in.
pub struct Tail {
    /// Where.
    pub(super) subject: Subject,
    per_second: u32,
    payload_bytes_max: usize,
    state: Mutex<State>,
}

struct State {
    /// The second that is going on, and how many messages were taken in it.
    second: Millis,
    taken: u32,
    /// What has gathered.
    waiting: VecDeque<Seen>,
    bytes: usize,
    sampled_out: u64,
    lost: u64,
    is_over: bool,
    waker: Option<Waker>,
    held: Held,
}

impl Tail {
    /// Sees so many messages in a second, and so much of each body. What waits counts on `holder`.
    pub(super) fn new(
        subject: Subject,
        per_second: u32,
        payload_bytes_max: usize,
        holder: &Arc<Holder>,
    ) -> Self {
        let state = State {
            second: 0,
            taken: 0,
            waiting: VecDeque::new(),
            bytes: 0,
            sampled_out: 0,
            lost: 0,
            is_over: false,
            waker: None,
            held: Held::new(holder, Kind::Observing),
        };
        Self { subject, per_second, payload_bytes_max, state: Mutex::new(state) }
    }

    /// Takes in what has happened.
    pub(super) fn see(&self, at: Millis, event: &Event<'_>) {
        let mut state = self.state.lock();
        if matches!(event.what, What::QueueDeleted(_)) {
            state.is_over = true;
        } else if let Some(message) = &event.message {
            self.see_message(&mut state, at, message);
        }
        let has_news = !state.waiting.is_empty() || state.is_over;
        let waker = if has_news { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn see_message(&self, state: &mut State, at: Millis, message: &View<'_>) {
        if at / 1_000 != state.second {
            (state.second, state.taken) = (at / 1_000, 0);
        }
        if state.taken == self.per_second {
            state.sampled_out += 1;
            return;
        }
        let names = message.exchange().len() + message.routing_key().len();
        let payload = self.payload_bytes_max.min(message.layout.body_bytes as usize);
        let size = size_of::<Seen>() + names + message.properties().len() + payload;
        if state.bytes + size > TAIL_BYTES_MAX || state.held.try_set(state.bytes + size).is_err() {
            state.lost += 1;
            return;
        }
        state.taken += 1;
        state.bytes += size;
        state.waiting.push_back(Seen::of(message, at, self.payload_bytes_max));
    }

    /// Pending until there is something to tell.
    pub fn poll_news(&self, cx: &mut Context<'_>) -> Poll<News> {
        let mut state = self.state.lock();
        if state.waiting.is_empty() && !state.is_over {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(state.take())
    }

    /// What has gathered by now.
    pub fn news(&self) -> News {
        self.state.lock().take()
    }
}

impl State {
    fn take(&mut self) -> News {
        self.bytes = 0;
        self.held.set(0);
        News {
            messages: std::mem::take(&mut self.waiting).into(),
            sampled_out: std::mem::take(&mut self.sampled_out),
            lost: std::mem::take(&mut self.lost),
            is_over: self.is_over,
        }
    }
}
