//! An open connection from the reader's point of view: its state, and the few operations that all other parts share.
//!
//! Where the connection has to wait (for memory, for the socket, for a slow consumer), the session notes that, and the reader
//! waits between turns. Work that may take several turns [begins](Session::begin) as a value of [`Work`]. The session itself
//! handles no method and resumes no work: `failing`, `leaving`, `dispatch`, `resuming` and `frames` do, each above the one before.

mod asking;
mod gathered;
pub(super) mod permission;
mod remote;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use asking::Asking;
#[cfg(test)]
pub(super) use asking::Found;
use permission::Granted;
pub(super) use remote::Remote;

use super::{
    channel::Channel,
    sparing::Sparing,
    work::{Leaving, Then, Who, Work},
};
use crate::auth::Authority;
use crate::broker::{Broker, Rates, Usage, Vhost};
use crate::core::{
    ConnectionId,
    by_channel::ByChannel,
    client::Client,
    counts::Sizes,
    effects::Effects,
    error::AmqpError,
    memory::Holder,
    outbox::{SharedOutbox, feed_by_channel},
    placement::Placement,
    queue::{Deleted, SharedQueue},
    source::Unacked,
    turn::Turn,
};
use crate::limits::{CONNECTION_NAME_SHOWN_CHARS_MAX, TURN_STEPS_MAX};
use crate::protocol::{Encode, Printable, ShortString, frame::write_method};

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

/// What a client's publishes have brought, and so what the reader may have to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Brought {
    /// No publish.
    #[default]
    Nothing,
    /// Messages: it may have to wait for memory.
    Messages,
    /// Messages, some of which the journal gets: it may have to wait for the disk as well.
    ForTheJournal,
}

/// What one client's connection has.
pub(super) struct Session {
    pub(super) broker: Arc<Broker>,
    pub(super) vhost: Arc<Vhost>,
    pub(super) id: ConnectionId,
    /// Counts the memory that the connection makes the broker use.
    pub(super) memory: Arc<Holder>,
    pub(super) user: ShortString,
    /// What the user's connections have together.
    pub(super) usage: Arc<Usage>,
    granted: Granted,
    asking: Asking,
    remote: Remote,
    pub(super) outbox: SharedOutbox,
    pub(super) phase: Phase,
    pub(super) channels: ByChannel<Box<Channel>>,
    pub(super) exclusive_queues: HashMap<ShortString, Arc<SharedQueue>>,
    /// What was published since the reader last looked.
    pub(super) brought: Brought,
    /// How many messages that were.
    pub(super) brought_messages: usize,
    /// Of which sizes they were, as far as the broker has not been told.
    pub(super) sizes: Sizes,
    /// So many replies wait that the rest of this read has to.
    pub(super) replies_full: bool,
    /// A queue that was published to grows faster than its consumers' sockets take it.
    pub(super) congested: Option<Arc<SharedQueue>>,
    /// Something has left its queue for another one since the reader last looked.
    pub(super) departed: bool,
    /// Steps that are left before other connections get their turn.
    pub(super) turn: Turn,
    /// Steps that each turn begins with; fewer in tests.
    pub(super) turn_steps: usize,
    /// Work that is under way, the oldest first.
    pub(super) works: VecDeque<Work>,
    /// The error for which we have closed the connection, and the channel on which it happened.
    pub(super) closed_for: Option<Box<(u16, AmqpError)>>,
    /// Limits the log's lines about errors on channels; made with the first error.
    pub(super) errors_logged: Option<Box<Sparing>>,
    /// Limits the log's lines about unknown arguments; made with the first one.
    pub(super) arguments_logged: Option<Box<Sparing>>,
    pub(super) frame_bytes_max: usize,
    pub(super) channel_max: u16,
    acked: Vec<Unacked>,
    acked_on: Vec<u16>,
    confirms_due: Vec<u16>,
    /// What the handled frames lead to: deliveries, departures, changes for the journal. Flushed at the end of the turn.
    pub(super) effects: Effects,
    /// A buffer for the placements of one run's messages, empty between runs.
    pub(super) placed: Vec<(usize, Placement)>,
}

/// What the handshake agreed upon.
pub(super) struct Negotiated {
    pub(super) vhost: Arc<Vhost>,
    pub(super) user: ShortString,
    /// What says what the user may do.
    pub(super) authority: Authority,
    /// What the user's connections have together.
    pub(super) usage: Arc<Usage>,
    pub(super) remote: Remote,
    pub(super) frame_max: u32,
    pub(super) channel_max: u16,
}

impl Session {
    pub(super) fn new(
        broker: Arc<Broker>,
        id: ConnectionId,
        negotiated: Negotiated,
        outbox: SharedOutbox,
    ) -> Self {
        let memory = Holder::new(broker.gauge);
        let client = Arc::new(Client {
            connection: connection_name(&broker, id, &negotiated.remote),
            user: negotiated.user.clone(),
        });
        {
            let mut outbox = outbox.lock();
            outbox.count_on(&memory);
            outbox.belong_to(client.clone());
        }
        let granted = Granted::of(&broker, negotiated.authority, &negotiated.user, &negotiated.vhost.name);
        Self {
            memory,
            broker,
            vhost: negotiated.vhost,
            id,
            user: negotiated.user,
            usage: negotiated.usage,
            granted,
            asking: Asking::default(),
            remote: negotiated.remote,
            outbox,
            phase: Phase::Open,
            channels: ByChannel::default(),
            exclusive_queues: HashMap::new(),
            brought: Brought::Nothing,
            brought_messages: 0,
            sizes: Sizes::default(),
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
            effects: Effects::by(Some(client)),
            placed: Vec::new(),
        }
    }

    /// What each line of the log about this connection says of it. Made when there is something to log, so that a connection
    /// without log lines pays nothing.
    pub(super) fn span(&self) -> tracing::Span {
        let Remote { peer, name } = &self.remote;
        let name = (!name.is_empty())
            .then(|| tracing::field::display(Printable::new(name).cut_at(CONNECTION_NAME_SHOWN_CHARS_MAX)));
        let (number, user, vhost) = (self.id.0, &self.user, &self.vhost.name);
        tracing::error_span!("connection", number, %peer, name, %user, %vhost)
    }

    /// Steps that were taken in this turn.
    #[inline]
    pub(super) fn steps_taken(&self) -> usize {
        self.turn_steps - self.turn.steps_left()
    }

    /// Whether there may be something to do before more is read.
    pub(super) fn is_busy(&self) -> bool {
        self.turn.is_over() || self.is_working()
    }

    /// Whether a client that publishes has to wait until there is room for its messages.
    #[inline]
    pub(super) fn must_be_held_up(&self) -> bool {
        self.broker.alarm.check(self.broker.gauge) || self.vhost.share.is_exceeded()
    }

    /// Counts what a read has brought against what the user and the virtual host may publish in a second. Whether that is too much.
    #[inline]
    pub(super) fn count_rates(&mut self, bytes: usize) -> bool {
        let messages = std::mem::take(&mut self.brought_messages) as u64;
        for rates in [&self.usage.rates, &self.vhost.rates] {
            rates.take(messages, bytes as u64, || self.broker.clock.now());
        }
        self.rate_wait_ms() > 0
    }

    /// Milliseconds until the client may publish again; zero if it may.
    pub(super) fn rate_wait_ms(&self) -> u64 {
        let of = |rates: &Rates| rates.wait_ms(|| self.broker.clock.now());
        of(&self.usage.rates).max(of(&self.vhost.rates))
    }

    /// Sends a method to the client.
    pub(super) fn reply(&self, channel: u16, method: &impl Encode) {
        self.outbox.lock().send(channel, method);
    }

    /// Sends a method of channel 0 at once, also while answers are held back.
    pub(super) fn tell(&self, method: &impl Encode) {
        let mut frame = Vec::new();
        write_method(&mut frame, 0, method);
        self.outbox.lock().send_now(&frame);
    }

    // ---- work that takes more than one turn ----

    /// Begins something that may take several turns.
    pub(super) fn begin(&mut self, work: Work) {
        self.works.push_back(work);
    }

    /// Whether something is under way.
    pub(super) fn is_working(&self) -> bool {
        !self.works.is_empty()
    }

    /// Feeds the consumers of a channel, now or in the next turns.
    pub(super) fn feed(&mut self, channel: u16) {
        let Self { outbox, effects, turn, .. } = self;
        if feed_by_channel(outbox, channel, effects, turn) {
            self.begin(Work::Feed(channel));
        }
    }

    /// Begins to let go of the messages that a deleted queue has left.
    pub(super) fn let_go(&mut self, deleted: Deleted) {
        self.begin(Work::LetGo(Box::new(deleted)));
    }

    /// Begins to release a channel: its unacknowledged messages return to their queues, then its consumers are cancelled.
    pub(super) fn release_channel(&mut self, number: u16, then: Then) {
        self.begin(Work::Leave(Box::new(Leaving::new(Who::Channel(number), then))));
    }

    /// Begins to release everything that the connection holds, its entry in the broker's list too. Nothing is delivered to it
    /// afterwards.
    pub(super) fn release_everything(&mut self, then: Then) {
        // What was put off is not handled any more.
        self.asking = Asking::default();
        self.works.retain(|work| !matches!(work, Work::Publish(_)));
        self.begin(Work::Leave(Box::new(Leaving::new(Who::Connection, then))));
    }

    // ---- channels ----

    pub(super) fn channel_slot(&mut self, number: u16) -> Option<&mut Channel> {
        self.channels.get_mut(number).map(|channel| &mut **channel)
    }

    /// A channel that is open. Handlers run on open channels only.
    pub(super) fn channel(&mut self, number: u16) -> &mut Channel {
        self.channel_slot(number).expect("dispatch runs on open channels only")
    }
}

/// The name of a connection, as RabbitMQ makes it; one within the broker says so.
fn connection_name(broker: &Broker, id: ConnectionId, remote: &Remote) -> String {
    match broker.connections.info(id) {
        Some(info) => info.name(),
        None => format!("{} -> HTTP API", remote.peer),
    }
}

/// A text as a short string; longer ones are cut before.
pub(super) fn text(text: &str) -> ShortString {
    ShortString::try_from(text).unwrap_or_default()
}
