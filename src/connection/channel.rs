//! A channel as its connection's reader knows it: mode, half-received message, remembered routes. Its deliveries
//! live in [`crate::core::window`].

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::assembly::{Assembled, Assembly};
use crate::broker::{Usage, Vhost};
use crate::core::{
    confirms::{Outcome, PublishRange},
    counts::ChannelTally,
    error::{AmqpError, precondition_failed, resource_error},
    memory::{Exceeded, Held, Holder, Kind, allocated_bytes},
    message::{Message, View},
    source::{Comeback, Unacked},
    topology::Route,
};
use crate::limits::{
    CHANNEL_BYTES, CHANNELS_ALWAYS_MAX, DEATH_STEPS, RETURN_STEPS, ROUTE_PLACE_BYTES, ROUTES_CACHED_MAX,
    TRANSACTION_BYTES_MAX, TRANSACTION_PUBLISH_BYTES,
};
use crate::protocol::{RawFrame, ShortString, basic};

/// What a connection's reader knows of one channel.
pub(super) struct Channel {
    pub(super) mode: Mode,
    pub(super) assembly: Assembly,
    /// What the assembly takes.
    assembled: Held,
    pub(super) routes: Routes,
    /// What `queue` means when it is empty (AMQP 1.7.2.1: the last queue declared on the channel).
    pub(super) last_queue: Option<ShortString>,
    /// What is shown of it, and for whom `basic.qos` counts.
    pub(super) tally: Arc<ChannelTally>,
    /// We have sent `channel.close` and wait for its answer: everything else is ignored.
    pub(super) closing: bool,
    /// What it takes beside what it holds.
    _held: Held,
    _place: Option<ChannelPlace>,
}

impl Channel {
    /// A channel beside so many others of its connection. What it takes is held by `holder`; 506 if there is no room for that.
    pub(super) fn open(holder: &Arc<Holder>, others: usize, place: ChannelPlace) -> Result<Self, AmqpError> {
        if others >= CHANNELS_ALWAYS_MAX {
            let room = holder.may_have(Kind::Topology, CHANNEL_BYTES);
            room.map_err(|exceeded| resource_error(exceeded.to_string()))?;
        }
        Ok(Self { _place: Some(place), ..Self::new(holder) })
    }

    /// A channel that is there, whatever the share.
    pub(super) fn new(holder: &Arc<Holder>) -> Self {
        Self {
            mode: Mode::Plain,
            assembly: Assembly::Idle,
            assembled: Held::new(holder, Kind::Assemblies),
            routes: Routes::new(holder),
            last_queue: None,
            tally: Arc::default(),
            closing: false,
            _held: Held::of(holder, Kind::Topology, CHANNEL_BYTES),
            _place: None,
        }
    }

    /// Begins to put together a publish whose content did not come with it.
    pub(super) fn begin_assembly(&mut self, publish: &basic::Publish) -> Result<(), AmqpError> {
        self.assembly = Assembly::begin(publish);
        self.count_assembly()
    }

    /// Takes the next header or body frame; gives the message with its last one.
    pub(super) fn assemble(
        &mut self,
        frame: &RawFrame<'_>,
        body_bytes_max: u64,
    ) -> Result<Option<Assembled>, AmqpError> {
        let assembled = self.assembly.frame(frame, body_bytes_max)?;
        self.count_assembly()?;
        Ok(assembled)
    }

    /// Counts what the assembly takes; gives it up if that is beyond the connection's share.
    fn count_assembly(&mut self) -> Result<(), AmqpError> {
        self.assembled.try_set(self.assembly.held_bytes()).map_err(|exceeded| {
            self.assembly = Assembly::Idle;
            self.assembled.set(0);
            precondition_failed(exceeded.to_string())
        })
    }

    /// Ends the channel: what an uncommitted transaction had settled is unacknowledged again.
    pub(super) fn into_unsettled(self) -> Vec<Unacked> {
        match self.mode {
            Mode::Transaction(transaction) => transaction.into_unsettled(),
            Mode::Plain | Mode::Confirm(_) => Vec::new(),
        }
    }
}

/// One of the channels that a user may have, as long as this is there.
pub(super) struct ChannelPlace(Arc<Usage>);

impl ChannelPlace {
    /// One more, unless the user has `max`.
    pub(super) fn take(usage: &Arc<Usage>, max: Option<u64>) -> Option<Self> {
        usage.open_channel(max).then(|| Self(usage.clone()))
    }
}

impl Drop for ChannelPlace {
    fn drop(&mut self) {
        self.0.close_channel();
    }
}

/// What publishing means on a channel.
#[derive(Default)]
pub(super) enum Mode {
    #[default]
    Plain,
    Confirm(Unconfirmed),
    Transaction(Box<Transaction>),
}

/// What became of the messages of one run.
#[derive(Debug)]
pub(super) struct RunOutcome {
    /// What became of all that were not refused.
    pub(super) outcome: Outcome,
    /// Those that a queue had no room for, by their index in the run; one may be named for each such queue.
    pub(super) refused: Vec<usize>,
}

impl From<Outcome> for RunOutcome {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, refused: Vec::new() }
    }
}

/// A channel in confirm mode: what was published since its confirms were last looked after.
#[derive(Default)]
pub(super) struct Unconfirmed {
    last: u64,
    pub(super) due: SmallVec<[PublishRange; 1]>,
}

impl Unconfirmed {
    /// A run of `count` messages was published.
    pub(super) fn note(&mut self, count: usize, run: RunOutcome) {
        let RunOutcome { outcome, mut refused } = run;
        if refused.is_empty() {
            return self.published(count, outcome);
        }
        refused.sort_unstable();
        refused.dedup();
        let mut at = 0;
        for index in refused {
            if index > at {
                self.published(index - at, outcome.clone());
            }
            self.published(1, Outcome::Refused);
            at = index + 1;
        }
        if count > at {
            self.published(count - at, outcome);
        }
    }

    /// `count` more messages have this outcome.
    fn published(&mut self, count: usize, outcome: Outcome) {
        let first = self.last + 1;
        self.last += count as u64;
        match self.due.last_mut() {
            Some(before) if before.outcome == outcome => before.last = self.last,
            _ => self.due.push(PublishRange { first, last: self.last, outcome }),
        }
    }
}

/// What a transaction will do when it is committed.
pub(super) struct Transaction {
    pub(super) publishes: Vec<(Message, bool)>,
    pub(super) settlements: Vec<(Settlement, Vec<Unacked>)>,
    held: Held,
    /// What its settlements still hold, as they did when they were unacknowledged.
    settled_entries: Held,
    settled_messages: Held,
}

/// What happens to a message that a client is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settlement {
    /// `basic.ack`.
    Ack,
    /// `basic.reject` or `basic.nack` without requeue.
    Drop,
    /// `basic.reject` or `basic.nack` with requeue.
    Requeue(Comeback),
}

impl Settlement {
    /// Steps that it takes for each message.
    pub(super) fn steps(self) -> usize {
        match self {
            Self::Ack => 1,
            Self::Drop => DEATH_STEPS,
            Self::Requeue(_) => RETURN_STEPS,
        }
    }
}

impl Transaction {
    /// An empty one, which `holder` answers for.
    pub(super) fn new(holder: &Arc<Holder>) -> Self {
        Self {
            publishes: Vec::new(),
            settlements: Vec::new(),
            held: Held::new(holder, Kind::Transactions),
            settled_entries: Held::new(holder, Kind::Windows),
            settled_messages: Held::new(holder, Kind::Unacked),
        }
    }

    /// What it had settled, when it is rolled back.
    pub(super) fn into_unsettled(self) -> Vec<Unacked> {
        self.settlements.into_iter().flat_map(|(_, unacked)| unacked).collect()
    }

    /// Notes a settlement.
    pub(super) fn settle(&mut self, how: Settlement, unacked: Vec<Unacked>) {
        let entries = unacked.capacity() * size_of::<Unacked>();
        let messages = unacked.iter().map(|unacked| unacked.entry.message.size_bytes()).sum::<usize>();
        self.settled_entries.set(self.settled_entries.bytes() + entries);
        self.settled_messages.set(self.settled_messages.bytes() + messages);
        self.settlements.push((how, unacked));
    }

    /// Notes a publish. It is published when the transaction is committed, and counts as a message from then on.
    pub(super) fn publish(&mut self, view: &View<'_>, mandatory: bool) -> Result<(), AmqpError> {
        let bytes = self.held.bytes() + view.image().len() + TRANSACTION_PUBLISH_BYTES;
        let exceeded = |exceeded: Exceeded| precondition_failed(exceeded.to_string());
        self.held.try_set(bytes).map_err(exceeded)?;
        if bytes > TRANSACTION_BYTES_MAX {
            return Err(precondition_failed(format!(
                "transaction is larger than {TRANSACTION_BYTES_MAX} bytes"
            )));
        }
        self.publishes.push((Message::uncounted(*view, 0), mandatory));
        Ok(())
    }
}

/// Routes that this channel's publishes took, by exchange and key as they stand on the wire. Where the memory for them is used
/// up, they are worked out anew.
pub(super) struct Routes {
    last: Option<(Box<[u8]>, Arc<Route>)>,
    known: HashMap<Box<[u8]>, Arc<Route>, RandomState>,
    /// Memory that `known` takes, without the routes, which count themselves.
    held: Held,
}

impl Routes {
    fn new(holder: &Arc<Holder>) -> Self {
        Self { last: None, known: HashMap::default(), held: Held::new(holder, Kind::Routes) }
    }

    /// The route of a message by its exchange and key, if it is remembered, and the steps that this took.
    #[inline]
    pub(super) fn recall(&mut self, view: &View<'_>) -> Option<(Arc<Route>, usize)> {
        if let Some((names, route)) = &self.last
            && **names == *view.exchange_and_key()
            && route.is_current()
        {
            return Some((route.clone(), route.steps_to_check()));
        }
        self.look_up(view)
    }

    fn look_up(&mut self, view: &View<'_>) -> Option<(Arc<Route>, usize)> {
        let names = view.exchange_and_key();
        let route = self.known.get(names).filter(|route| route.is_current())?.clone();
        let steps = 1 + route.steps_to_check();
        self.last = Some((names.into(), route.clone()));
        Some((route, steps))
    }

    /// Works out the route of a message that is not remembered, and remembers it if there is room; gives it and the steps that
    /// this took.
    pub(super) fn work_out(
        &mut self,
        view: &View<'_>,
        vhost: &Vhost,
    ) -> Result<(Arc<Route>, usize), AmqpError> {
        let route = vhost.route_by_key(view.exchange(), view.routing_key())?;
        let steps = route.steps();
        let names = view.exchange_and_key();
        if route.is_reusable() && self.remember(names, &route) {
            self.last = Some((names.into(), route.clone()));
        }
        Ok((route, steps))
    }

    /// Remembers a route, and forgets all others if there is no room. False if there is none for it alone.
    fn remember(&mut self, names: &[u8], route: &Arc<Route>) -> bool {
        let place = ROUTE_PLACE_BYTES + allocated_bytes(names.len());
        if self.known.remove(names).is_some() {
            self.held.set(self.held.bytes() - place);
        }
        if self.known.len() >= ROUTES_CACHED_MAX {
            self.forget();
        }
        if self.make_room(place, route).is_err() {
            self.forget();
            if self.make_room(place, route).is_err() {
                return false;
            }
        }
        self.known.insert(names.into(), route.clone());
        true
    }

    fn make_room(&mut self, place_bytes: usize, route: &Route) -> Result<(), Exceeded> {
        route.count_on(self.held.holder())?;
        self.held.try_set(self.held.bytes() + place_bytes)
    }

    /// Forgets what is remembered.
    pub(super) fn forget(&mut self) {
        self.last = None;
        self.known = HashMap::default();
        self.held.set(0);
    }
}

#[cfg(test)]
mod tests;
