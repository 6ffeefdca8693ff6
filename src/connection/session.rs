//! An open connection from the reader's point of view: what the client's bytes make happen.
//!
//! Synchronous throughout: the frames of one read are handled in one go, or in several *turns* if they make for much work;
//! what a turn leaves over is handled in the next one. What must wait (for memory, for the socket, for a slow consumer) is told
//! to the reader, which waits between turns. Publishes in a row to the same place, acknowledgements in a row and confirms of
//! one turn are each gathered and done at once.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use super::{
    channel::{Channel, Mode, Outcome},
    leaving::Then,
    scan::{Scan, Scanned, bytes_of_publish, scan},
    sparing::Sparing,
    work::Work,
};
use crate::broker::{Broker, Vhost};
use crate::containment::own;
use crate::core::{
    ConnectionId,
    by_channel::ByChannel,
    commit::Commit,
    effects::Effects,
    error::{AmqpError, channel_error, frame_error, not_allowed, unexpected_frame},
    memory::Holder,
    message::Publication,
    outbox::{SharedOutbox, send},
    placement::Placement,
    queue::{SharedQueue, settle_by_queue},
    topology::Topology,
    turn::{Turn, steps_of_bytes},
    window::Unacked,
};
use crate::limits::{
    CHANNEL_ERRORS_LOGGED_MAX, CHANNEL_ERRORS_LOGGED_REFILL, CONNECTION_NAME_SHOWN_CHARS_MAX, FRAME_STEPS,
    LEFTOVER_BYTES_MAX, TURN_STEPS_MAX,
};
use crate::protocol::{
    Encode, FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FieldTable, Printable, RawFrame, ReplyCode,
    SHORT_STRING_BYTES_MAX, ShortString, channel, connection,
    frame::{split, write_method},
};

/// Class and method of what failed; zeros when it was no method.
pub(super) type MethodIds = (u16, u16);

/// Where the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// In use.
    Open,
    /// We have sent `connection.close` and ignore all but its answer.
    Closing,
    /// Over: the client has answered our close, or has gone.
    Closed,
    /// Over: the client has closed, we have answered, and it closes the socket when it has read that.
    Left,
    /// Over: the client's bytes are no frames. It may be writing more of them before it reads our close.
    Lost,
}

impl Phase {
    /// Whether nothing is handled any more.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Left | Self::Lost)
    }
}

/// What a client has brought by its publishes: for what it may have to wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Brought {
    /// No publish.
    #[default]
    Nothing,
    /// Messages, for memory.
    Messages,
    /// Messages, some of them for the journal too.
    ForTheJournal,
}

/// See the module's text.
pub(super) struct Session {
    pub(super) broker: Arc<Broker>,
    pub(super) vhost: Arc<Vhost>,
    pub(super) id: ConnectionId,
    /// What the connection makes the broker take.
    pub(super) memory: Arc<Holder>,
    pub(super) user: ShortString,
    remote: Remote,
    pub(super) outbox: SharedOutbox,
    pub(super) phase: Phase,
    pub(super) channels: ByChannel<Box<Channel>>,
    pub(super) exclusive_queues: HashMap<ShortString, Arc<SharedQueue>>,
    /// What was published since the reader last looked.
    pub(super) brought: Brought,
    /// So many replies wait that the rest of this read has to.
    pub(super) replies_full: bool,
    /// A queue that was published to grows faster than its consumers' sockets take it.
    pub(super) congested: Option<Arc<SharedQueue>>,
    /// Something has left its queue for another one since the reader last looked.
    pub(super) departed: bool,
    /// What may still be done before others get their turn.
    pub(super) turn: Turn,
    /// What each turn begins with; fewer in tests.
    pub(super) turn_steps: usize,
    /// What is under way, in the order in which it came.
    pub(super) works: VecDeque<Work>,
    /// What we have closed the connection for, and on which channel it was.
    pub(super) closed_for: Option<Box<(u16, AmqpError)>>,
    /// Lines of the log about errors on channels, once there were some.
    errors_logged: Option<Box<Sparing>>,
    /// Lines of the log about arguments that are not known, once there were some.
    pub(super) arguments_logged: Option<Box<Sparing>>,
    frame_bytes_max: usize,
    channel_max: u16,
    acked: Vec<Unacked>,
    acked_on: Vec<u16>,
    confirms_due: Vec<u16>,
    /// To be carried out, and for the journal, at the end of the turn.
    pub(super) effects: Effects,
    /// Room for the places of one run's messages; empty in between.
    pub(super) placed: Vec<(usize, Placement)>,
}

/// What the handshake agreed upon.
pub(super) struct Negotiated {
    pub(super) vhost: Arc<Vhost>,
    pub(super) user: ShortString,
    pub(super) remote: Remote,
    pub(super) frame_max: u32,
    pub(super) channel_max: u16,
}

/// Who is at the other end, for the log.
pub(super) struct Remote {
    peer: SocketAddr,
    /// What it calls its connection; empty if it has no name for it.
    name: ShortString,
}

impl Remote {
    pub(super) fn new(peer: SocketAddr, properties: &FieldTable) -> Self {
        let name = properties.get("connection_name").and_then(|name| name.as_str_bytes()).unwrap_or_default();
        let name = &name[..name.len().min(SHORT_STRING_BYTES_MAX)];
        Self { peer, name: ShortString::try_from(name).unwrap_or_default() }
    }
}

impl Session {
    pub(super) fn new(
        broker: Arc<Broker>,
        id: ConnectionId,
        negotiated: Negotiated,
        outbox: SharedOutbox,
    ) -> Self {
        let memory = Holder::new(broker.gauge);
        outbox.lock().count_on(&memory);
        Self {
            memory,
            broker,
            vhost: negotiated.vhost,
            id,
            user: negotiated.user,
            remote: negotiated.remote,
            outbox,
            phase: Phase::Open,
            channels: ByChannel::default(),
            exclusive_queues: HashMap::new(),
            brought: Brought::Nothing,
            replies_full: false,
            congested: None,
            departed: false,
            turn: Turn::default(),
            turn_steps: TURN_STEPS_MAX,
            works: VecDeque::new(),
            closed_for: None,
            errors_logged: None,
            arguments_logged: None,
            frame_bytes_max: negotiated.frame_max as usize,
            channel_max: negotiated.channel_max,
            acked: Vec::new(),
            acked_on: Vec::new(),
            confirms_due: Vec::new(),
            effects: Effects::default(),
            placed: Vec::new(),
        }
    }

    /// What each record of the log about this connection says of it. Made when there is something to log: it costs nothing
    /// else, neither memory nor time.
    pub(super) fn span(&self) -> tracing::Span {
        let Remote { peer, name } = &self.remote;
        let name = (!name.is_empty())
            .then(|| tracing::field::display(Printable::new(name).cut_at(CONNECTION_NAME_SHOWN_CHARS_MAX)));
        let (number, user, vhost) = (self.id.0, &self.user, &self.vhost.name);
        tracing::error_span!("connection", number, %peer, name, %user, %vhost)
    }

    /// Handles complete frames at the front of `bytes`, as many as there are or as this turn allows; gives how many bytes they
    /// took. A panic in what is the session's own ends the connection.
    pub(super) fn handle(&mut self, bytes: &[u8]) -> usize {
        if let Ok(used) = catch_unwind(AssertUnwindSafe(|| self.take_turn(bytes))) {
            return used;
        }
        self.lose_place(&internal_error());
        bytes.len()
    }

    fn take_turn(&mut self, bytes: &[u8]) -> usize {
        self.turn = Turn::of(self.turn_steps);
        let at = if self.work_on() { self.frames(bytes) } else { 0 };
        // What the last frame has begun.
        self.work_on();
        self.settle_acked();
        self.commit();
        send(&self.outbox);
        at
    }

    /// Whether there may be something to do although nothing more was read.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.is_over() || self.is_working()
    }

    fn goes_on(&mut self) -> bool {
        !self.phase.is_over()
            && !self.replies_full
            && (self.works.is_empty() || self.work_on())
            && !self.turn.is_over()
    }

    fn frames(&mut self, bytes: &[u8]) -> usize {
        let body_bytes_max = self.broker.config.max_message_size;
        let mut at = 0;
        let mut run = Run::default();
        while self.goes_on() {
            let rest = &bytes[at..];
            match own(|| scan(rest, run.method, self.frame_bytes_max, body_bytes_max)) {
                Scan::Complete(scanned) => {
                    if !run.takes(&scanned) {
                        at -= self.publish_run(&mut run);
                        if !self.goes_on() {
                            break;
                        }
                        run.begin(&scanned);
                    }
                    at += scanned.bytes;
                    run.items.push(Publication::new(scanned.view));
                    continue;
                }
                Scan::Partial if rest.len() <= LEFTOVER_BYTES_MAX && self.may_begin_message(rest) => {
                    self.brings_a_message();
                    break;
                }
                Scan::Partial | Scan::Other => {
                    at -= self.publish_run(&mut run);
                    if !self.goes_on() {
                        break;
                    }
                }
            }
            match own(|| split(&bytes[at..], self.frame_bytes_max)) {
                Ok(Some((frame, frame_bytes))) => {
                    at += frame_bytes;
                    self.frame(&frame);
                }
                Ok(None) => break,
                Err(error) => {
                    at = bytes.len();
                    self.lose_place(&frame_error(error.explanation()));
                }
            }
        }
        at - self.publish_run(&mut run)
    }

    /// Whether the channel of the frame at the front of `bytes` is open and between messages.
    fn may_begin_message(&mut self, bytes: &[u8]) -> bool {
        let number = u16::from_be_bytes([bytes[1], bytes[2]]);
        self.channel_slot(number).is_some_and(|channel| channel.assembly.expect_method().is_ok())
    }

    /// One frame that is not part of a publish run.
    fn frame(&mut self, frame: &RawFrame<'_>) {
        if self.phase == Phase::Closing {
            self.turn.spend(1);
            self.frame_while_closing(frame);
            return;
        }
        if let [0, 60, 0, 80, tag @ .., bits] = frame.payload
            && frame.kind == crate::protocol::FRAME_METHOD
            && let Ok(tag) = <[u8; 8]>::try_from(tag)
        {
            self.turn.spend(1);
            let result = self.ack(frame.channel, u64::from_be_bytes(tag), bits & 1 == 1);
            if let Err(error) = result {
                self.fail(frame.channel, &error, (60, 80));
            }
            return;
        }
        self.turn.spend(FRAME_STEPS + steps_of_bytes(frame.payload.len()));
        self.settle_acked();
        self.journal();
        match frame.kind {
            FRAME_HEARTBEAT if frame.channel == 0 => {}
            FRAME_HEARTBEAT => {
                self.fail(0, &unexpected_frame(frame.describe()), (0, 0));
            }
            FRAME_HEADER | FRAME_BODY => self.content_frame(frame),
            _ => self.method_frame(frame),
        }
    }

    /// A content header or a body frame, for a message that did not come in one piece.
    fn content_frame(&mut self, frame: &RawFrame<'_>) {
        let body_bytes_max = self.broker.config.max_message_size;
        let Some(channel) = self.channel_slot(frame.channel) else {
            self.fail(frame.channel, &unexpected_frame(super::assembly::EXPECTED_METHOD), (0, 0));
            return;
        };
        if channel.closing {
            return;
        }
        let ids = channel.assembly.method_ids();
        let result = channel.assemble(frame, body_bytes_max);
        self.brings_a_message();
        match result {
            Ok(None) => {}
            Ok(Some(message)) => {
                // A single message is never put off.
                self.publish(frame.channel, message.bits, &mut [Publication::new(message.view())]);
            }
            Err(error) => self.fail(frame.channel, &error, ids),
        }
    }

    /// Frames after our `connection.close`: all but the answer are ignored (AMQP 1.4.2.10).
    fn frame_while_closing(&mut self, frame: &RawFrame<'_>) {
        if frame.channel != 0 || frame.kind != crate::protocol::FRAME_METHOD {
            return;
        }
        match frame.payload.first_chunk() {
            Some([0, 10, 0, 51]) => self.phase = Phase::Closed,
            Some([0, 10, 0, 50]) => {
                self.reply(0, &connection::CloseOk {});
                self.phase = Phase::Left;
            }
            _ => {}
        }
    }

    /// Publishes what was gathered, as far as this turn allows. Gives how many bytes the others take, which come again.
    fn publish_run(&mut self, run: &mut Run<'_>) -> usize {
        if run.items.is_empty() {
            return 0;
        }
        let mut items = std::mem::take(&mut run.items);
        run.method = &[];
        if self.phase != Phase::Open {
            return 0;
        }
        self.settle_acked();
        let taken = self.publish(run.channel, run.bits, &mut items);
        if taken < items.len() {
            self.turn.end();
        }
        items[taken..].iter().map(|put_off| bytes_of_publish(&put_off.view())).sum()
    }

    // ---- gathered work ----

    /// Notes that acks settled something on a channel; [`Self::settle_acked`] carries it out.
    pub(super) fn acked(&mut self, channel: u16) -> &mut Vec<Unacked> {
        if self.acked_on.last() != Some(&channel) {
            self.acked_on.push(channel);
        }
        &mut self.acked
    }

    /// Settles what the acks of this read named, each queue's in one go.
    pub(super) fn settle_acked(&mut self) {
        if self.acked_on.is_empty() {
            return;
        }
        let Self { acked, effects, .. } = self;
        settle_by_queue(std::mem::take(acked), |queue, unacked| queue.settle(unacked, effects));
        while let Some(channel) = self.acked_on.pop() {
            self.feed(channel);
        }
    }

    /// A run of `count` messages was published on a channel: in confirm mode the client is told when their fate is sealed.
    pub(super) fn published_run(&mut self, number: u16, count: usize, outcome: Outcome) {
        if let Some(channel) = self.channels.get_mut(number)
            && let Mode::Confirm(unconfirmed) = &mut channel.mode
        {
            unconfirmed.published_run(count, outcome);
            if self.confirms_due.last() != Some(&number) {
                self.confirms_due.push(number);
            }
        }
    }

    /// Sends deliveries, and does what [`Self::journal`] does.
    pub(super) fn commit(&mut self) {
        // Deliveries first: the log's thread is woken and takes the processor, and the disk takes longer than they do.
        self.effects.outgoing.send();
        self.journal();
        self.effects.outgoing.send();
    }

    /// Gives the journal what changed, and confirms what was published: at once, or with the journal's commit. What is to be
    /// delivered waits for the end of the read.
    pub(super) fn journal(&mut self) {
        let commit = self.append(false);
        self.confirm(commit);
    }

    /// Confirms what was published: at once, or when its commits are complete. `commit` has what was journaled since this was
    /// last done.
    fn confirm(&mut self, commit: Commit) {
        while let Some(number) = self.confirms_due.pop() {
            let Self { channels, outbox, .. } = self;
            let Some(channel) = channels.get_mut(number) else { continue };
            if let Mode::Confirm(unconfirmed) = &mut channel.mode
                && !channel.closing
            {
                let awaited = outbox.lock().confirm(number, unconfirmed.due.drain(..), commit);
                for commit in awaited.iter() {
                    self.broker.journal.notify(commit, &self.outbox);
                }
            }
        }
    }

    /// Sends on what left its queue for another one, and gives the journal what changed.
    pub(super) fn append(&mut self, atomic: bool) -> Commit {
        self.departed |= !self.effects.departures.is_empty();
        self.vhost.append(&mut self.effects, atomic)
    }

    /// Everything that is sent from now on waits for a commit.
    pub(super) fn hold_back(&self, commit: Commit) {
        self.outbox.lock().hold_back(commit);
        self.broker.journal.notify(commit, &self.outbox);
    }

    /// What is answered from now on waits until what it says of the topology is durable.
    pub(super) fn hold_back_for_topology(&self) {
        if let Some(commit) = self.vhost.last_change() {
            self.hold_back(commit);
        }
    }

    /// Changes the topology; what is answered from now on waits until it is durable.
    pub(super) fn change_topology<T>(
        &mut self,
        operation: impl FnOnce(&mut Topology) -> Result<T, AmqpError>,
    ) -> Result<T, AmqpError> {
        let (result, commit) = self.vhost.change(operation);
        if let Some(commit) = commit {
            self.hold_back(commit);
        }
        result
    }

    /// Sends a method to the client.
    pub(super) fn reply(&self, channel: u16, method: &impl Encode) {
        self.outbox.lock().send(channel, method);
    }

    /// Tells the client something about the connection, whatever its answers wait for.
    pub(super) fn tell(&self, method: &impl Encode) {
        let mut frame = Vec::new();
        write_method(&mut frame, 0, method);
        self.outbox.lock().send_now(&frame);
    }

    // ---- channels ----

    pub(super) fn channel_slot(&mut self, number: u16) -> Option<&mut Channel> {
        self.channels.get_mut(number).map(|channel| &mut **channel)
    }

    /// A channel that is open; for handlers, which run on no other.
    pub(super) fn channel(&mut self, number: u16) -> &mut Channel {
        self.channel_slot(number).expect("dispatch runs on open channels only")
    }

    pub(super) fn open_channel(&mut self, number: u16) -> Result<(), AmqpError> {
        if self.channel_slot(number).is_some() {
            return Err(channel_error("second 'channel.open' seen"));
        }
        // RabbitMQ counts channels; their numbers may be any.
        let opened = self.channels.len();
        if opened >= usize::from(self.channel_max) {
            return Err(not_allowed(format!(
                "number of channels opened ({opened}) has reached the negotiated channel_max ({})",
                self.channel_max
            )));
        }
        let channel = Channel::open(&self.memory, opened)?;
        self.channels.insert(number, Box::new(channel));
        let mut outbox = self.outbox.lock();
        outbox.open_window(number);
        outbox.send(number, &channel::OpenOk {});
        Ok(())
    }

    // ---- errors ----

    /// Answers an exception: a hard one, or one without a channel, ends the connection, any other the channel.
    pub(super) fn fail(&mut self, number: u16, error: &AmqpError, (class_id, method_id): MethodIds) {
        self.commit();
        if error.code.is_hard() || number == 0 {
            self.close(error, (class_id, method_id), number);
            return;
        }
        self.log_channel_error(number, error);
        if let Some(channel) = self.channel_slot(number) {
            channel.closing = true;
        }
        let close = channel::Close {
            reply_code: error.code.code(),
            reply_text: text(&error.reply_text()),
            class_id,
            method_id,
        };
        self.release_channel(number, Then::CloseChannel(number, close));
    }

    /// A client that repeats an error for ever does not fill the log with it.
    fn log_channel_error(&mut self, channel: u16, error: &AmqpError) {
        let sparing = self.errors_logged.get_or_insert_with(|| {
            Box::new(Sparing::new(CHANNEL_ERRORS_LOGGED_MAX, CHANNEL_ERRORS_LOGGED_REFILL))
        });
        match sparing.take(Instant::now()) {
            None => {}
            Some(0) => tracing::warn!(parent: &self.span(), channel, %error, "channel closed"),
            Some(left_out) => {
                tracing::warn!(parent: &self.span(), channel, %error, left_out, "channel closed, as others before it");
            }
        }
    }

    /// Errors on channels that the log does not have.
    pub(super) fn unlogged_errors(&self) -> u64 {
        self.errors_logged.as_ref().map_or(0, |sparing| sparing.left_out())
    }

    /// Sends `connection.close` and gives everything back; the client's answer is still awaited.
    pub(super) fn close(&mut self, error: &AmqpError, (class_id, method_id): MethodIds, number: u16) {
        if self.phase != Phase::Open {
            return;
        }
        self.closed_for = Some(Box::new((number, error.clone())));
        self.phase = Phase::Closing;
        self.replies_full = false; // what follows is only looked through for the answer
        let close = connection::Close {
            reply_code: error.code.code(),
            reply_text: text(&error.reply_text()),
            class_id,
            method_id,
        };
        self.release_everything(Then::CloseConnection(close));
    }

    /// The bytes are no frames: nothing that follows can be understood, not even an answer.
    fn lose_place(&mut self, error: &AmqpError) {
        self.close(error, (0, 0), 0);
        self.phase = Phase::Lost;
    }
}

/// Publishes in a row that go the same way.
#[derive(Default)]
struct Run<'a> {
    channel: u16,
    bits: u8,
    method: &'a [u8],
    items: Vec<Publication<'a>>,
}

impl<'a> Run<'a> {
    fn takes(&self, next: &Scanned<'a>) -> bool {
        !self.items.is_empty() && self.method == next.method
    }

    fn begin(&mut self, first: &Scanned<'a>) {
        self.channel = first.channel;
        self.bits = first.bits;
        self.method = first.method;
    }
}

/// What a client hears of a panic in what is its connection's own.
pub(super) fn internal_error() -> AmqpError {
    AmqpError::new(ReplyCode::InternalError, "the broker failed on what this connection sent")
}

/// A text as a short string; longer ones are cut before.
pub(super) fn text(text: &str) -> ShortString {
    ShortString::try_from(text).unwrap_or_default()
}
