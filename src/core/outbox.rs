//! What is on its way out to one connection: bytes that its writer has not sent yet, and each channel's deliveries.
//!
//! Queues encode deliveries straight into it, under its lock, whoever's task they run on. It has a byte budget: a
//! consumer whose outbox is over it is turned away, remembered, and fed again when the writer has drained half. It
//! knows the socket only as a [`Socket`]; the writer and the reader of the connection leave their wakers here.

mod direct;
mod feeding;
mod recipient;

use std::{
    collections::VecDeque,
    mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use smallvec::SmallVec;

pub use direct::{Socket, send, wake_writer};
pub use feeding::{feed_by_channel, feed_by_outbox};
pub use recipient::Recipient;

use crate::core::{
    by_channel::ByChannel,
    clock::Millis,
    commit::{Commit, Commits, Done},
    confirms::{Answer, PublishRange},
    memory::{Held, Holder, Kind},
    message::View,
    overdue::Overdue,
    placement::QueueId,
    source::{ConsumerId, ConsumerRef, Source, Unacked, is_same},
    starved::Starved,
    window::{ReplyConsumer, Window},
};
use crate::limits::{MEMORY_FLOOR_BYTES, OUTBOX_BYTES_MAX, OUTBOX_BYTES_RESUME, OUTBOX_REPLY_BYTES_MAX};
use crate::protocol::{Encode, HEARTBEAT_FRAME, ShortString, basic, frame};

/// An outbox, shared between its connection and the queues that deliver to it.
pub type SharedOutbox = Arc<Mutex<Outbox>>;

/// Why a consumer cannot have a delivery now, and its place among those that wait for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StarvedBy {
    /// The outbox is over its budget; the writer will feed the consumer.
    Outbox(u64),
    /// The channel's prefetch is used up; its next settlement will feed the consumer.
    Channel(u64),
    /// Channel or connection are ending, and the consumer with them.
    Gone,
}

/// Bytes and deliveries on their way to one connection.
#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Outbox {
    bytes: Vec<u8>,
    in_flight_bytes: usize,
    frame_size_bytes_max: usize,
    /// The client understands `basic.cancel` from the server.
    cancel_notify: bool,
    windows: ByChannel<Box<Window>>,
    /// From these offsets on, `bytes` waits for a commit.
    held_back: VecDeque<(usize, Commit)>,
    /// Channels with confirms that wait for a commit.
    confirming: SmallVec<[u16; 4]>,
    /// Turned away for want of room; the first in line is fed first.
    starved: Starved,
    writer: Writer,
    reader: Option<Waker>,
    /// What its buffers take, and who holds that; how much of it is the writer's.
    held: Option<Held>,
    writing_bytes: usize,
    /// Where what is little is sent directly.
    socket: Option<Arc<dyn Socket>>,
    /// Something beside heartbeats was sent since the last [`Self::beat`].
    was_busy: bool,
    has_beaten: bool,
    closed: bool,
}

/// What the connection's writer is doing.
enum Writer {
    /// It is about to take what waits, or is sending it.
    Awake,
    /// It waits for something to send.
    Asleep(Waker),
    /// Another thread is sending something in its place: it must wait for the end of that.
    Relieved(Waker),
}

impl Writer {
    /// Its waker, if it sleeps; then it counts as awake.
    fn take_sleeping(&mut self) -> Option<Waker> {
        match mem::replace(self, Self::Awake) {
            Self::Asleep(waker) => Some(waker),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Outbox {
    /// An outbox for a connection with the negotiated `frame_max`.
    pub fn new(frame_size_bytes_max: usize, cancel_notify: bool) -> Self {
        Self {
            bytes: Vec::new(),
            in_flight_bytes: 0,
            frame_size_bytes_max,
            cancel_notify,
            windows: ByChannel::default(),
            held_back: VecDeque::new(),
            confirming: SmallVec::new(),
            starved: Starved::default(),
            writer: Writer::Awake,
            reader: None,
            held: None,
            writing_bytes: 0,
            socket: None,
            was_busy: false,
            has_beaten: false,
            closed: false,
        }
    }

    /// What it takes from now on is `holder`'s.
    pub fn count_on(&mut self, holder: &Arc<Holder>) {
        self.held = Some(Held::new(holder, Kind::Outboxes));
    }

    fn holder(&self) -> Option<&Arc<Holder>> {
        self.held.as_ref().map(Held::holder)
    }

    /// Counts what its buffers take by now.
    #[inline]
    fn count(&mut self) {
        if let Some(held) = &mut self.held {
            held.set(self.bytes.capacity() + self.writing_bytes);
        }
    }

    /// Whether so much waits that no more should come: more than `max`, or more than everybody's part when all outboxes together have
    /// used up their share.
    #[inline]
    fn is_full(&self, max: usize) -> bool {
        let pending = self.pending_bytes();
        pending >= max
            || (pending > MEMORY_FLOOR_BYTES
                && self.holder().is_some_and(|holder| holder.may_have(Kind::Outboxes, 1).is_err()))
    }

    // ---- the connection's side: methods, windows ----

    /// Appends a method frame.
    pub fn send(&mut self, channel: u16, method: &impl Encode) {
        if !self.closed {
            frame::write_method(&mut self.bytes, channel, method);
        }
    }

    /// Appends whole frames that are encoded already.
    pub fn send_frames(&mut self, frames: &[u8]) {
        if !self.closed {
            self.bytes.extend_from_slice(frames);
        }
    }

    /// Sends whole frames before everything that waits for the journal: what tells the client that we are alive.
    pub fn send_now(&mut self, frames: &[u8]) {
        if self.closed {
            return;
        }
        let at = self.free_bytes();
        self.bytes.splice(at..at, frames.iter().copied());
        self.held_back.iter_mut().for_each(|(at, _)| *at += frames.len());
    }

    /// Appends a method and a message's content (`basic.return`, `basic.get-ok`).
    pub fn send_content(&mut self, channel: u16, method: &impl Encode, view: &View<'_>) {
        if !self.closed {
            frame::write_method(&mut self.bytes, channel, method);
            view.write_content(&mut self.bytes, channel, self.frame_size_bytes_max);
        }
    }

    /// Starts a channel's deliveries.
    pub fn open_window(&mut self, channel: u16) {
        let window = self.holder().map(Window::of).unwrap_or_default();
        self.windows.insert(channel, Box::new(window));
    }

    /// Ends a channel's deliveries and gives back its state.
    pub fn close_window(&mut self, channel: u16) -> Option<Box<Window>> {
        self.windows.remove(channel)
    }

    /// Ends all channels' deliveries: nothing is delivered afterwards.
    pub fn close_windows(&mut self) -> Vec<Window> {
        self.starved.clear();
        self.windows.take_all().into_iter().map(|(_, window)| *window).collect()
    }

    /// A channel's deliveries.
    #[inline]
    pub fn window(&mut self, channel: u16) -> Option<&mut Window> {
        self.windows.get_mut(channel).map(|window| &mut **window)
    }

    // ---- what waits for the journal ----

    /// Holds back everything that is appended from now on until a commit is complete: an answer that says that
    /// something is durable, and what comes after it.
    pub fn hold_back(&mut self, commit: Commit) {
        if self.held_back.back().is_none_or(|(_, last)| *last != commit) {
            self.held_back.push_back((self.bytes.len(), commit));
        }
    }

    /// Confirms publishes of a channel: at once, or when their commits are complete; `next` is the one that journaled messages
    /// are part of. Gives the commits that have to be waited for.
    pub fn confirm(
        &mut self,
        channel: u16,
        published: impl IntoIterator<Item = PublishRange>,
        next: Commit,
    ) -> Commits {
        let mut awaited = Commits::default();
        let Self { windows, bytes, confirming, .. } = self;
        let Some(window) = windows.get_mut(channel) else { return awaited };
        for published in published {
            let tell = &mut |answer| match answer {
                Answer::Ack(ack) => frame::write_method(bytes, channel, &ack),
                Answer::Nack(nack) => frame::write_method(bytes, channel, &nack),
            };
            awaited = awaited.and(&window.confirms.published(published, next, tell));
        }
        if !awaited.is_empty() && !confirming.contains(&channel) {
            confirming.push(channel);
        }
        awaited
    }

    /// Commits are complete: what waited for them may go out.
    pub fn committed(&mut self, done: &Done) {
        while self.held_back.front().is_some_and(|(_, commit)| done.contains(*commit)) {
            self.held_back.pop_front();
        }
        let Self { windows, bytes, confirming, closed, .. } = self;
        confirming.retain(|channel| {
            let Some(window) = windows.get_mut(*channel) else { return false };
            if let Some(ack) = window.confirms.committed(done)
                && !*closed
            {
                frame::write_method(bytes, *channel, &ack);
            }
            window.confirms.is_waiting()
        });
    }

    /// Bytes that need not wait for the journal.
    #[inline]
    fn free_bytes(&self) -> usize {
        self.held_back.front().map_or(self.bytes.len(), |(at, _)| *at)
    }

    // ---- the queues' side ----

    /// Whether a consumer may have one more delivery now. If not, it is remembered and fed later.
    #[inline]
    pub fn admit(
        &mut self,
        source: &Arc<impl Source + 'static>,
        id: ConsumerId,
        recipient: &Recipient,
    ) -> Result<(), StarvedBy> {
        let who = || -> ConsumerRef { (source.clone(), id) };
        if self.closed {
            return Err(StarvedBy::Gone);
        }
        if self.is_full(OUTBOX_BYTES_MAX) {
            return Err(StarvedBy::Outbox(self.starved.add(who())));
        }
        let window = self.window(recipient.channel()).ok_or(StarvedBy::Gone)?;
        window.admit(who).map_err(StarvedBy::Channel)
    }

    /// A consumer that was turned away has left its source: it is not fed again.
    pub fn forget_starved(
        &mut self,
        source: &Arc<dyn Source>,
        id: ConsumerId,
        channel: u16,
        starved_by: StarvedBy,
    ) {
        match starved_by {
            StarvedBy::Outbox(place) => self.starved.forget(place, source, id),
            StarvedBy::Channel(place) => {
                if let Some(window) = self.window(channel) {
                    window.starved.forget(place, source, id);
                }
            }
            StarvedBy::Gone => {}
        }
    }

    /// Encodes a delivery to an admitted consumer; gives its delivery tag.
    #[inline]
    pub fn deliver(&mut self, recipient: &Recipient, view: &View<'_>, redelivered: bool) -> u64 {
        let Some(window) = self.window(recipient.channel()) else { return 0 };
        let tag = window.next_tag();
        if !self.closed {
            recipient.write_delivery(&mut self.bytes, tag, redelivered, view, self.frame_size_bytes_max);
        }
        tag
    }

    /// Encodes a delivery to the channel's reply consumer, if `token` still names it.
    ///
    /// Replies are at-most-once: a client that leaves too much unread gets no more of them.
    pub fn deliver_reply(&mut self, channel: u16, token: &[u8], view: &View<'_>) -> bool {
        if self.closed || self.over_reply_budget() {
            return false;
        }
        let Some(window) = self.window(channel) else { return false };
        let Some(ReplyConsumer { tag, token: current }) = window.reply.as_deref().cloned() else {
            return false;
        };
        if &*current != token {
            return false;
        }
        let delivery_tag = window.next_tag();
        let method = basic::Deliver {
            consumer_tag: tag,
            delivery_tag,
            redelivered: false,
            exchange: ShortString::try_from(view.exchange()).unwrap_or_default(),
            routing_key: ShortString::try_from(view.routing_key()).unwrap_or_default(),
        };
        self.send_content(channel, &method, view);
        true
    }

    /// Tells a consumer that its queue is gone (RabbitMQ: consumer cancel notification), unless the client has cancelled it
    /// meanwhile; its tag may be another consumer's then.
    pub fn cancel_consumer(&mut self, channel: u16, consumer_tag: &ShortString, who: &ConsumerRef) {
        let Some(window) = self.window(channel) else { return };
        let its = |(source, id): &ConsumerRef| *id == who.1 && is_same(source, &who.0);
        let known = window.consumer(consumer_tag).is_some_and(its);
        if known {
            window.remove_consumer(consumer_tag);
        }
        if known && self.cancel_notify {
            self.send(channel, &basic::Cancel { consumer_tag: consumer_tag.clone(), no_wait: true });
        }
    }

    /// Whether the client understands that the server cancels a consumer.
    pub fn cancels_consumers(&self) -> bool {
        self.cancel_notify
    }

    /// Looks for messages that the client holds for too long; see [`Window::look`]. Gives how many it looked at, and whether
    /// [`Self::take_overdue`] has something to give.
    pub fn look_for_overdue(&mut self, now: Millis, default: Option<Millis>, anew: bool) -> (usize, bool) {
        let (mut looked, mut found) = (0, false);
        for (_, window) in self.windows.iter_mut() {
            if anew {
                window.watch.look_anew();
            }
            looked += window.look(now, default);
            found |= window.watch.has_overdue();
        }
        (looked, found)
    }

    /// Channels with consumers that wait for memory which there is by now.
    pub fn channels_to_feed(&self) -> impl Iterator<Item = u16> {
        self.windows.iter().filter(|(_, window)| window.may_be_fed()).map(|(number, _)| number)
    }

    /// Takes what was found overdue, by channel.
    pub fn take_overdue(&mut self, now: Millis, default: Option<Millis>) -> Vec<(u16, Vec<Overdue>)> {
        let overdue = self.windows.iter_mut().map(|(number, it)| (number, it.take_overdue(now, default)));
        overdue.filter(|(_, overdue)| !overdue.is_empty()).collect()
    }

    /// What clients hold of a source.
    pub fn unacked_of(&self, source: QueueId) -> impl Iterator<Item = &Unacked> {
        let unacked = self.windows.iter().flat_map(|(_, window)| window.unacked());
        unacked.filter(move |unacked| unacked.source.id() == source)
    }

    /// The writer's waker, if it sleeps and there is something to write.
    #[inline]
    pub fn wake_writer(&mut self) -> Option<Waker> {
        self.count();
        if self.free_bytes() == 0 && !self.closed { None } else { self.writer.take_sleeping() }
    }

    // ---- the writer's side ----

    /// Everything that waits, in exchange for an empty buffer; `None` once closed and drained.
    pub fn poll_take(&mut self, spare: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<bool> {
        let free = self.free_bytes();
        if let Writer::Relieved(writer) = &mut self.writer {
            writer.clone_from(cx.waker());
            return Poll::Pending;
        }
        if free == 0 {
            if self.closed && self.bytes.is_empty() {
                return Poll::Ready(false);
            }
            self.writer = Writer::Asleep(cx.waker().clone());
            return Poll::Pending;
        }
        if free == self.bytes.len() {
            mem::swap(&mut self.bytes, spare);
        } else {
            spare.extend(self.bytes.drain(..free));
        }
        self.held_back.iter_mut().for_each(|(at, _)| *at -= free);
        self.in_flight_bytes = spare.len();
        self.writing_bytes = spare.capacity();
        self.count();
        // It may have been woken by something else, but now it is awake.
        self.writer = Writer::Awake;
        Poll::Ready(true)
    }

    /// What was taken is written. Gives a reader that waited for room.
    pub fn written(&mut self) -> Option<Waker> {
        // What is no longer than an empty frame is a heartbeat.
        self.was_busy |= mem::take(&mut self.in_flight_bytes) > HEARTBEAT_FRAME.len();
        if self.has_room() { self.reader.take() } else { None }
    }

    /// Sends a heartbeat, unless something else was sent since the last call. Heartbeats themselves do not count: a client may
    /// give us up after an interval, and is to hear one in each half of it (RabbitMQ, the first one in any case).
    pub fn beat(&mut self) {
        let busy = mem::take(&mut self.was_busy);
        let first = !mem::replace(&mut self.has_beaten, true);
        if first || !busy {
            self.send_now(&HEARTBEAT_FRAME);
        }
    }

    /// Gives the buffer back, if nothing waits in it: an idle connection holds none.
    pub fn release_buffer(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        self.writing_bytes = 0;
        self.count();
    }

    /// The consumer that has waited longest for room, if there is room now. One at a time, so that the first in line cannot
    /// fill the outbox again and again before the others.
    pub fn next_starved(&mut self) -> Option<ConsumerRef> {
        // Who would be turned away again for want of memory waits for the next write.
        if self.has_room() && !self.is_full(OUTBOX_BYTES_MAX) { self.starved.pop() } else { None }
    }

    fn has_room(&self) -> bool {
        self.pending_bytes() <= OUTBOX_BYTES_RESUME
    }

    /// No more is accepted; what waits is still written.
    pub fn close(&mut self) -> Option<Waker> {
        self.closed = true;
        self.starved.clear();
        self.writer.take_sleeping()
    }

    /// The socket is gone: what waits will never be written. Gives a reader that waited for room, and the socket, to be let go
    /// of when the lock is released.
    pub fn abandon(&mut self) -> (Option<Waker>, Option<Arc<dyn Socket>>) {
        self.close();
        self.held_back.clear();
        self.bytes = Vec::new();
        self.in_flight_bytes = 0;
        self.writing_bytes = 0;
        self.count();
        (self.reader.take(), self.socket.take())
    }

    /// Pending while a client that does not read its replies has too many waiting.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.over_reply_budget() || self.closed {
            return Poll::Ready(());
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether a client has left too many replies unread.
    pub fn over_reply_budget(&self) -> bool {
        self.is_full(OUTBOX_REPLY_BYTES_MAX)
    }

    /// Bytes that the client has not been sent yet.
    pub fn pending_bytes(&self) -> usize {
        self.bytes.len() + self.in_flight_bytes
    }
}

#[cfg(test)]
mod tests;
