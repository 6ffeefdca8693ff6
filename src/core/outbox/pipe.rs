//! The bytes on their way to one client, and who sends them.
//!
//! Frames are appended at the end and go out in this order. What follows a commit that is not complete is held back; what
//! tells the client that we are alive overtakes it. Bytes go out by the connection's writer, or, when there are few of them
//! and the writer sleeps, by the thread that has appended them: only one of the two sends at a time. A pipe has a budget of
//! bytes, and counts what its buffers take. It knows nothing of channels, queues and consumers.

use std::{
    collections::VecDeque,
    io, mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::core::{
    commit::{Commit, Done},
    counts::Traffic,
    memory::{Held, Holder, Kind},
};
use crate::limits::{
    DIRECT_BYTES_MAX, IDLE_BUFFER_BYTES_MAX, MEMORY_FLOOR_BYTES, OUTBOX_BYTES_RESUME, OUTBOX_REPLY_BYTES_MAX,
};
use crate::protocol::HEARTBEAT_FRAME;

/// A connection's socket, for code that must not wait for it.
pub trait Socket: Send + Sync {
    /// Sends what can be sent at once, and gives how many bytes that were.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// Bytes on their way to one client.
pub(super) struct Pipe {
    bytes: Vec<u8>,
    /// What the writer, or a thread in its place, is sending.
    in_flight_bytes: usize,
    /// What was sent.
    sent: Traffic,
    /// From these offsets on, `bytes` waits for a commit.
    held_back: VecDeque<(usize, Commit)>,
    writer: Writer,
    reader: Option<Waker>,
    /// What its buffers take, and who holds that; how much of it is the writer's.
    held: Option<Held>,
    writing_bytes: usize,
    /// As long as no more than so many bytes wait, there is memory for them: it was looked lately.
    roomy_bytes: usize,
    /// The socket that few bytes are sent to directly.
    socket: Option<Arc<dyn Socket>>,
    /// Something beside heartbeats was sent since the last [`Self::beat`].
    was_busy: bool,
    has_beaten: bool,
    closed: bool,
}

/// What the connection's writer is doing.
///
/// ```text
///           poll_take, and nothing may go out
///         ┌───────────────────────────────────┐
///         │                                   ▼       lend
///    ┌─────────┐                         ┌─────────┐ ───────────► ┌──────────┐
///    │  Awake  │                         │ Asleep  │              │ Relieved │
///    └─────────┘                         └─────────┘ ◄─────────── └──────────┘
///         ▲                                   │       take_back
///         └───────────────────────────────────┘
///           wake_writer, and something may go out; close; poll_take, and something may go out
/// ```
///
/// The writer calls `poll_take`, whenever it likes; it stays awake while it sends what it got. Whoever has appended something
/// calls `wake_writer` or `lend`, and so does whoever tells that a commit is complete. A thread that was lent bytes calls
/// `take_back`, which wakes the writer as `wake_writer` does if there is something left, or something new. Until then
/// `poll_take` only renews the waker, and nothing else changes a relieved writer's state.
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

impl Pipe {
    /// An empty pipe, whose writer is awake.
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            in_flight_bytes: 0,
            sent: Traffic::default(),
            held_back: VecDeque::new(),
            writer: Writer::Awake,
            reader: None,
            held: None,
            writing_bytes: 0,
            roomy_bytes: MEMORY_FLOOR_BYTES,
            socket: None,
            was_busy: false,
            has_beaten: false,
            closed: false,
        }
    }

    // ---- what it takes ----

    /// What its buffers take from now on is `holder`'s.
    pub(super) fn count_on(&mut self, holder: &Arc<Holder>) {
        self.held = Some(Held::new(holder, Kind::Outboxes));
    }

    /// Who holds what its buffers take.
    pub(super) fn holder(&self) -> Option<&Arc<Holder>> {
        self.held.as_ref().map(Held::holder)
    }

    /// Counts what its buffers take by now.
    #[inline]
    fn count(&mut self) {
        self.roomy_bytes = MEMORY_FLOOR_BYTES;
        if let Some(held) = &mut self.held {
            held.set(self.bytes.capacity() + self.writing_bytes);
        }
    }

    /// Bytes that the client has not been sent yet.
    #[inline]
    pub(super) fn pending_bytes(&self) -> usize {
        self.bytes.len() + self.in_flight_bytes
    }

    /// What was sent to the client.
    pub(super) fn sent(&self) -> Traffic {
        self.sent
    }

    /// Whether so much waits that no more should come: more than `max`, or more than everybody's part when all pipes together have
    /// used up their share. That share is looked at once for so many bytes, not for each message of a run.
    #[inline]
    pub(super) fn is_full(&mut self, max: usize) -> bool {
        let pending = self.pending_bytes();
        pending >= max || (pending > self.roomy_bytes && !self.finds_room_for(pending))
    }

    #[cold]
    fn finds_room_for(&mut self, pending: usize) -> bool {
        let has_room = self.holder().is_none_or(|holder| holder.may_have(Kind::Outboxes, 1).is_ok());
        if has_room {
            self.roomy_bytes = pending + MEMORY_FLOOR_BYTES;
        }
        has_room
    }

    /// Whether so little waits that those who were turned away may come again.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.pending_bytes() <= OUTBOX_BYTES_RESUME
    }

    /// Whether a client has left too many replies unread.
    #[inline]
    pub(super) fn over_reply_budget(&mut self) -> bool {
        self.is_full(OUTBOX_REPLY_BYTES_MAX)
    }

    /// Pending while a client that does not read its replies has too many waiting.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.over_reply_budget() || self.closed {
            return Poll::Ready(());
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    // ---- what goes in ----

    /// Where whole frames are appended; nothing is accepted any more once it is closed.
    #[inline]
    pub(super) fn tail(&mut self) -> Option<&mut Vec<u8>> {
        if self.closed { None } else { Some(&mut self.bytes) }
    }

    /// Sends whole frames before everything that is held back.
    pub(super) fn send_now(&mut self, frames: &[u8]) {
        if self.closed {
            return;
        }
        let at = self.free_bytes();
        self.bytes.splice(at..at, frames.iter().copied());
        self.held_back.iter_mut().for_each(|(at, _)| *at += frames.len());
    }

    /// Sends a heartbeat, unless something else was sent since the last call. Heartbeats themselves do not count: a client may
    /// give us up after an interval, and is to hear one in each half of it (RabbitMQ, the first one in any case).
    pub(super) fn beat(&mut self) {
        let busy = mem::take(&mut self.was_busy);
        let first = !mem::replace(&mut self.has_beaten, true);
        if first || !busy {
            self.send_now(&HEARTBEAT_FRAME);
        }
    }

    /// Holds back everything that is appended from now on until a commit is complete.
    pub(super) fn hold_back(&mut self, commit: Commit) {
        if self.held_back.back().is_none_or(|(_, last)| *last != commit) {
            self.held_back.push_back((self.bytes.len(), commit));
        }
    }

    /// Commits are complete: what waited for them may go out.
    pub(super) fn committed(&mut self, done: &Done) {
        while self.held_back.front().is_some_and(|(_, commit)| done.contains(*commit)) {
            self.held_back.pop_front();
        }
    }

    /// Bytes that are not held back.
    #[inline]
    fn free_bytes(&self) -> usize {
        self.held_back.front().map_or(self.bytes.len(), |(at, _)| *at)
    }

    /// The writer's waker, if it sleeps and there is something to send.
    #[inline]
    pub(super) fn wake_writer(&mut self) -> Option<Waker> {
        self.count();
        if self.free_bytes() == 0 && !self.closed { None } else { self.writer.take_sleeping() }
    }

    // ---- the writer's side ----

    /// Everything that may go out, in exchange for an empty buffer; `false` once it is closed and drained.
    pub(super) fn poll_take(&mut self, spare: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<bool> {
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

    /// What was taken is sent. Gives a reader that waited for room.
    pub(super) fn written(&mut self) -> Option<Waker> {
        let bytes = mem::take(&mut self.in_flight_bytes);
        self.roomy_bytes = MEMORY_FLOOR_BYTES;
        self.sent += Traffic { bytes: bytes as u64, packets: 1 };
        // What is no longer than an empty frame is a heartbeat.
        self.was_busy |= bytes > HEARTBEAT_FRAME.len();
        if self.has_room() { self.reader.take() } else { None }
    }

    /// Gives the buffer back, if nothing waits in it: an idle connection holds none.
    pub(super) fn release_buffer(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        self.writing_bytes = 0;
        self.count();
    }

    // ---- sending in the writer's place ----

    /// Lets a few bytes at a time be sent directly to `socket`; without one, the writer sends everything.
    pub(super) fn set_socket(&mut self, socket: Arc<dyn Socket>) {
        self.socket = Some(socket);
    }

    /// Whether what waits would be lent.
    #[inline]
    pub(super) fn is_direct(&self) -> bool {
        matches!(self.writer, Writer::Asleep(_))
            && !self.closed
            && self.socket.is_some()
            && self.held_back.is_empty()
            && (1..=DIRECT_BYTES_MAX).contains(&self.bytes.len())
    }

    /// What is to be sent directly, and where to. The writer is relieved until that is taken back.
    pub(super) fn lend(&mut self) -> Option<(Arc<dyn Socket>, Vec<u8>)> {
        if !self.is_direct() {
            return None;
        }
        let socket = self.socket.clone()?;
        self.writer = Writer::Relieved(self.writer.take_sleeping()?);
        let bytes = mem::take(&mut self.bytes);
        self.in_flight_bytes = bytes.len();
        Some((socket, bytes))
    }

    /// So many of the bytes that were lent were sent. Gives whom to wake: the writer for what is left and for what has come meanwhile, a reader
    /// that waited for room.
    pub(super) fn take_back(&mut self, mut bytes: Vec<u8>, sent: usize) -> [Option<Waker>; 2] {
        if let Writer::Relieved(waker) = mem::replace(&mut self.writer, Writer::Awake) {
            self.writer = Writer::Asleep(waker);
        }
        // Nothing, if the connection was abandoned meanwhile.
        let lent = self.in_flight_bytes;
        let reader = self.written();
        self.sent.bytes -= lent.saturating_sub(sent) as u64;
        bytes.drain(..sent);
        if self.socket.is_none() {
            // The socket has gone meanwhile.
            bytes = Vec::new();
        }
        if !bytes.is_empty() {
            self.held_back.iter_mut().for_each(|(at, _)| *at += bytes.len());
            bytes.append(&mut self.bytes);
            self.bytes = bytes;
        } else if self.bytes.is_empty() && bytes.capacity() <= IDLE_BUFFER_BYTES_MAX {
            self.bytes = bytes;
        }
        [self.wake_writer(), reader]
    }

    // ---- the end ----

    /// Whether nothing is accepted any more.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// No more is accepted; what waits is still sent. Gives the writer, if it sleeps.
    pub(super) fn close(&mut self) -> Option<Waker> {
        self.closed = true;
        self.writer.take_sleeping()
    }

    /// The socket is gone: what waits will never be sent. A writer that sleeps is not woken: whoever calls this is the writer, or
    /// has stopped it. Gives a reader that waited for room, and the socket, to be let go of when the lock is released.
    pub(super) fn abandon(&mut self) -> (Option<Waker>, Option<Arc<dyn Socket>>) {
        self.close();
        self.held_back.clear();
        self.bytes = Vec::new();
        self.in_flight_bytes = 0;
        self.writing_bytes = 0;
        self.count();
        (self.reader.take(), self.socket.take())
    }
}

#[cfg(test)]
mod tests;
