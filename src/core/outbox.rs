//! What is on its way out to one connection: a pipe with the bytes that are not sent yet, and a window for each channel with its
//! deliveries.
//!
//! Queues encode deliveries straight into it, under its lock, on whatever task they run. A consumer whose outbox is over its
//! budget of bytes is turned away, remembered, and fed again when the writer has drained half.

mod direct;
mod feeding;
mod pipe;
mod recipient;

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use smallvec::SmallVec;

pub use direct::{send, wake_writer};
pub use feeding::{feed_by_channel, feed_by_outbox};
pub use pipe::Socket;
pub use recipient::Recipient;

use crate::core::{
    by_channel::ByChannel,
    client::Client,
    clock::Millis,
    commit::{Commit, Commits, Done},
    confirms::{Answer, PublishRange},
    counts::Traffic,
    memory::Holder,
    message::View,
    overdue::Overdue,
    placement::QueueId,
    source::{ConsumerId, ConsumerRef, Source, Unacked, is_same},
    starved::Starved,
    window::{ChannelFigures, ReplyConsumer, Window},
};
use crate::limits::OUTBOX_BYTES_MAX;
use crate::protocol::{Encode, ShortString, basic, frame};
use pipe::Pipe;

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
pub struct Outbox {
    pipe: Pipe,
    windows: ByChannel<Box<Window>>,
    /// Channels with confirms that wait for a commit.
    confirming: SmallVec<[u16; 4]>,
    /// Turned away for want of room; the first in line is fed first.
    starved: Starved,
    frame_size_bytes_max: usize,
    /// The client understands `basic.cancel` from the server.
    cancel_notify: bool,
    /// Who that is.
    client: Option<Arc<Client>>,
}

impl Outbox {
    /// An outbox for a connection with the negotiated `frame_max`.
    pub fn new(frame_size_bytes_max: usize, cancel_notify: bool) -> Self {
        Self {
            pipe: Pipe::new(),
            windows: ByChannel::default(),
            confirming: SmallVec::new(),
            starved: Starved::default(),
            frame_size_bytes_max,
            cancel_notify,
            client: None,
        }
    }

    /// What it has is for that client.
    pub fn belong_to(&mut self, client: Arc<Client>) {
        self.client = Some(client);
    }

    /// Whose it is.
    pub fn client(&self) -> Option<&Arc<Client>> {
        self.client.as_ref()
    }

    /// What it takes from now on is `holder`'s.
    pub fn count_on(&mut self, holder: &Arc<Holder>) {
        self.pipe.count_on(holder);
    }

    // ---- the connection's side: methods, windows ----

    /// Appends a method frame.
    pub fn send(&mut self, channel: u16, method: &impl Encode) {
        if let Some(out) = self.pipe.tail() {
            frame::write_method(out, channel, method);
        }
    }

    /// Appends whole frames that are encoded already.
    pub fn send_frames(&mut self, frames: &[u8]) {
        if let Some(out) = self.pipe.tail() {
            out.extend_from_slice(frames);
        }
    }

    /// Sends whole frames before everything that waits for the journal: what tells the client that we are alive.
    pub fn send_now(&mut self, frames: &[u8]) {
        self.pipe.send_now(frames);
    }

    /// Appends a method and a message's content (`basic.return`, `basic.get-ok`).
    pub fn send_content(&mut self, channel: u16, method: &impl Encode, view: &View<'_>) {
        if let Some(out) = self.pipe.tail() {
            frame::write_method(out, channel, method);
            view.write_content(out, channel, self.frame_size_bytes_max);
        }
    }

    /// Starts a channel's deliveries.
    pub fn open_window(&mut self, channel: u16) {
        let window = self.pipe.holder().map(Window::of).unwrap_or_default();
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
        self.pipe.hold_back(commit);
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
        let Self { pipe, windows, confirming, .. } = self;
        let Some(window) = windows.get_mut(channel) else { return awaited };
        for published in published {
            let tell = &mut |answer| match (answer, pipe.tail()) {
                (Answer::Ack(ack), Some(out)) => frame::write_method(out, channel, &ack),
                (Answer::Nack(nack), Some(out)) => frame::write_method(out, channel, &nack),
                (_, None) => {}
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
        let Self { pipe, windows, confirming, .. } = self;
        pipe.committed(done);
        confirming.retain(|channel| {
            let Some(window) = windows.get_mut(*channel) else { return false };
            if let Some(ack) = window.confirms.committed(done)
                && let Some(out) = pipe.tail()
            {
                frame::write_method(out, *channel, &ack);
            }
            window.confirms.is_waiting()
        });
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
        if self.pipe.is_closed() {
            return Err(StarvedBy::Gone);
        }
        if self.pipe.is_full(OUTBOX_BYTES_MAX) {
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
        if redelivered {
            window.count_redelivery();
        }
        if let Some(out) = self.pipe.tail() {
            recipient.write_delivery(out, tag, redelivered, view, self.frame_size_bytes_max);
        }
        tag
    }

    /// Encodes a delivery to the channel's reply consumer, if `token` still names it.
    ///
    /// Replies are at-most-once: a client that leaves too much unread gets no more of them.
    pub fn deliver_reply(&mut self, channel: u16, token: &[u8], view: &View<'_>) -> bool {
        if self.pipe.is_closed() || self.over_reply_budget() {
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

    /// What was sent to the client.
    pub fn sent(&self) -> Traffic {
        self.pipe.sent()
    }

    /// The figures of all channels, by number.
    pub fn channels(&self) -> impl Iterator<Item = (u16, ChannelFigures)> {
        self.windows.iter().map(|(number, window)| (number, window.figures()))
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

    /// What clients hold of a source, and on which channels.
    pub fn unacked_of(&self, source: QueueId) -> impl Iterator<Item = (u16, &Unacked)> {
        let unacked =
            self.windows.iter().flat_map(|(channel, window)| window.unacked().map(move |it| (channel, it)));
        unacked.filter(move |(_, unacked)| unacked.source.id() == source)
    }

    /// The consumer that has waited longest for room, if there is room now. One at a time, so that the first in line cannot
    /// fill the outbox again and again before the others.
    pub fn next_starved(&mut self) -> Option<ConsumerRef> {
        // Who would be turned away again for want of memory waits for the next write.
        if self.pipe.has_room() && !self.pipe.is_full(OUTBOX_BYTES_MAX) { self.starved.pop() } else { None }
    }

    // ---- the sides of the writer and of the reader ----

    /// The writer's waker, if it sleeps and there is something to write.
    #[inline]
    pub fn wake_writer(&mut self) -> Option<Waker> {
        self.pipe.wake_writer()
    }

    /// Everything that may go out, in exchange for an empty buffer; `false` once closed and drained.
    pub fn poll_take(&mut self, spare: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<bool> {
        self.pipe.poll_take(spare, cx)
    }

    /// What was taken is written. Gives a reader that waited for room.
    pub fn written(&mut self) -> Option<Waker> {
        self.pipe.written()
    }

    /// Sends a heartbeat, unless something else was sent since the last call; the first one in any case.
    pub fn beat(&mut self) {
        self.pipe.beat();
    }

    /// Gives the buffer back, if nothing waits in it: an idle connection holds none.
    pub fn release_buffer(&mut self) {
        self.pipe.release_buffer();
    }

    /// Lets a few bytes at a time be sent directly to `socket`; without one, the writer sends everything.
    pub fn set_socket(&mut self, socket: Arc<dyn Socket>) {
        self.pipe.set_socket(socket);
    }

    /// Whether what waits would be sent directly.
    #[inline]
    pub fn is_direct(&self) -> bool {
        self.pipe.is_direct()
    }

    /// Pending while a client that does not read its replies has too many waiting.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pipe.poll_room(cx)
    }

    /// Whether a client has left too many replies unread.
    #[inline]
    pub fn over_reply_budget(&mut self) -> bool {
        self.pipe.over_reply_budget()
    }

    /// Bytes that the client has not been sent yet.
    pub fn pending_bytes(&self) -> usize {
        self.pipe.pending_bytes()
    }

    /// No more is accepted; what waits is still written. Gives the writer, if it sleeps.
    pub fn close(&mut self) -> Option<Waker> {
        self.starved.clear();
        self.pipe.close()
    }

    /// The socket is gone: what waits will never be written. Gives a reader that waited for room, and the socket, to be let go
    /// of when the lock is released.
    pub fn abandon(&mut self) -> (Option<Waker>, Option<Arc<dyn Socket>>) {
        self.starved.clear();
        self.pipe.abandon()
    }
}

#[cfg(test)]
mod tests;
