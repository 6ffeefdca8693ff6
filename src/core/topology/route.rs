//! From exchange and routing keys to queues.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock, atomic::Ordering},
};

use foldhash::fast::RandomState;
use smallvec::{Array, SmallVec};

use super::{Exchange, Stamp, Topology, history::History};
use crate::core::{
    counts::ExchangeTally,
    declared::Destination,
    dedup::Deduplicator,
    error::{AmqpError, access_refused},
    memory::{Exceeded, Held, Holder, Kind, allocated_bytes},
    message::View,
    queue::SharedQueue,
    routing::Addressing,
};
use crate::limits::{ROUTE_EXCHANGE_STEPS, ROUTE_STAMPS_MAX, STEP_BINDINGS_VISITED, STEP_STAMPS};
use crate::protocol::{FieldTable, ShortString};

/// The queues that a message goes to, each once.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Route {
    /// Targets, in no order.
    pub queues: SmallVec<[Arc<SharedQueue>; 1]>,
    stamps: SmallVec<[(Stamp, u64); 1]>,
    reusable: bool,
    by_message: bool,
    by_key: bool,
    /// Of the exchanges on the way that keep what comes through them.
    histories: Vec<Arc<History>>,
    /// The exchange that the message was published to takes each message once.
    deduplicator: Option<Arc<Deduplicator>>,
    deduplicates: bool,
    /// Of the exchange that the message was published to.
    tally: Option<Arc<ExchangeTally>>,
    steps: usize,
    /// What it takes, once it is remembered.
    held: OnceLock<Held>,
}

impl Route {
    /// Steps that it took to work it out.
    pub fn steps(&self) -> usize {
        self.steps + self.queues.len()
    }

    /// Steps that it takes to see that it is current.
    #[inline]
    pub fn steps_to_check(&self) -> usize {
        self.stamps.len() / STEP_STAMPS
    }

    /// Whether the answer may be used again for the same exchange and key, as long as [`Self::is_current`].
    pub fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// Counts what it takes on `holder`, for as long as it lives: once, however many channels remember it. Refused if there is no room.
    pub fn count_on(&self, holder: &Arc<Holder>) -> Result<(), Exceeded> {
        if self.held.get().is_none() {
            let mut held = Held::new(holder, Kind::Routes);
            held.try_set(self.memory_bytes())?;
            // Another connection may have been first.
            drop(self.held.set(held));
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        let itself = allocated_bytes(size_of::<Self>() + 2 * size_of::<usize>());
        itself + list_bytes(&self.queues) + list_bytes(&self.stamps)
    }

    /// Whether an exchange on the way wants more than the routing keys: it looks at other parts of the message, draws lots, or
    /// keeps the message. Each message has a route of its own then.
    pub fn needs_message(&self) -> bool {
        self.by_message
    }

    /// Lets the exchanges on the way keep a message that takes this route, if they do so. Under the same lock as the route was
    /// worked out: a queue that is bound meanwhile would miss the message, or get it twice.
    pub fn remember(&self, message: &View<'_>, headers: Option<&FieldTable>) {
        for history in &self.histories {
            history.keep(message, headers);
        }
    }

    /// Counts a run of messages that takes this route.
    #[inline]
    pub fn count(&self, messages: usize) {
        if let Some(tally) = &self.tally {
            tally.count(messages, self.queues.len());
        }
    }

    /// Whether the exchange or one of the queues takes each message once.
    #[inline]
    pub fn deduplicates(&self) -> bool {
        self.deduplicates
    }

    /// What the exchange that the message was published to has seen, if it takes each message once.
    pub fn deduplicator(&self) -> Option<&Arc<Deduplicator>> {
        self.deduplicator.as_ref()
    }

    /// Whether nothing that it depends on has changed.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.stamps.iter().all(|(stamp, seen)| stamp.load(Ordering::Acquire) == *seen)
    }

    fn depend_on(&mut self, stamp: &Stamp) {
        self.stamps.push((stamp.clone(), stamp.load(Ordering::Acquire)));
    }

    fn add(&mut self, queue: &Arc<SharedQueue>, met: &mut Met) {
        if met.queues.insert(Arc::as_ptr(queue)) {
            self.deduplicates |= queue.deduplicator.is_some();
            self.queues.push(queue.clone());
        }
    }
}

impl Exchange {
    /// Whether messages with the same keys may go to different destinations. Where nothing was ever bound they go nowhere.
    fn looks_beyond_key(&self) -> bool {
        self.bindings.as_ref().is_some_and(|bindings| bindings.router.looks_beyond_key())
    }

    /// Whether all messages go the same way, whatever they say.
    fn looks_at_nothing(&self) -> bool {
        self.spec.routes_as().looks_at_nothing()
    }
}

/// The memory that a list takes beyond its own struct.
fn list_bytes<A: Array>(list: &SmallVec<A>) -> usize {
    if list.spilled() { allocated_bytes(list.capacity() * size_of::<A::Item>()) } else { 0 }
}

/// Queues and exchanges that were met, by where they stand in memory.
#[derive(Default)]
struct Met {
    queues: HashSet<*const SharedQueue, RandomState>,
    exchanges: HashSet<*const Exchange, RandomState>,
}

impl Topology {
    /// Where messages go that are published to `exchange`. If only their keys are known, [`Route::needs_message`] tells
    /// whether that is enough.
    ///
    /// 404 if the exchange is missing, 403 if it is internal.
    pub fn route(&self, exchange: &[u8], message: &Addressing<'_>) -> Result<Route, AmqpError> {
        if self.exchange(exchange)?.spec.internal {
            let named = self.named_exchange(exchange);
            return Err(access_refused(format!("cannot publish to internal {named}")));
        }
        self.route_within(exchange, message)
    }

    /// Where all messages with this exchange and key go, unless [`Route::needs_message`]: to be remembered. Messages of an exchange that
    /// looks at nothing share one route, whatever their keys.
    pub fn route_by_key(&self, exchange: &[u8], key: &[u8]) -> Result<Arc<Route>, AmqpError> {
        let first = self.exchange(exchange)?;
        let Some(bindings) = first.bindings.as_ref().filter(|_| first.looks_at_nothing()) else {
            return self.route_of_key(exchange, key).map(Arc::new);
        };
        // It was worked out for a client: the exchange is not internal.
        if let Some(route) = bindings.common_route.lock().upgrade().filter(|route| route.is_current()) {
            return Ok(route);
        }
        let route = Arc::new(self.route_of_key(exchange, key)?);
        if route.is_reusable() && !route.by_key {
            *bindings.common_route.lock() = Arc::downgrade(&route);
        }
        Ok(route)
    }

    fn route_of_key(&self, exchange: &[u8], key: &[u8]) -> Result<Route, AmqpError> {
        let mut route = self.route(exchange, &Addressing::by_keys(&[key]))?;
        if route.reusable {
            route.queues.shrink_to_fit();
            route.stamps.shrink_to_fit();
        }
        Ok(route)
    }

    /// The same for messages that the broker itself sends on: internal exchanges are open to them.
    pub fn route_within(&self, exchange: &[u8], message: &Addressing<'_>) -> Result<Route, AmqpError> {
        Ok(self.route_from(self.exchange(exchange)?, message))
    }

    /// The same for an exchange that is there, internal or not.
    pub(super) fn route_from(&self, first: &Exchange, message: &Addressing<'_>) -> Route {
        let deduplicator = first.deduplicator().cloned();
        let tally = Some(first.tally.get_or_init(Arc::default).clone());
        let mut route = Route {
            reusable: true,
            deduplicates: deduplicator.is_some(),
            deduplicator,
            tally,
            ..Route::default()
        };
        let mut met = Met::default();
        if first.spec.name.is_empty() {
            self.route_by_name(message.keys, &mut route, &mut met);
            return route;
        }
        let mut waiting = vec![first];
        met.exchanges.insert(std::ptr::from_ref(first));
        let mut hops = 0..;
        while let (Some(exchange), Some(hop)) = (waiting.pop(), hops.next()) {
            self.route_through(exchange, &message.at_hop(hop), &mut route, &mut met, &mut waiting);
        }
        if route.stamps.len() > ROUTE_STAMPS_MAX {
            // Any change makes it stale: that is rarer than publishing, and cheaper to see than thousands of stamps.
            route.stamps.clear();
            route.depend_on(&self.stamp);
        }
        route
    }

    /// The default exchange: every queue under its own name.
    fn route_by_name(&self, keys: &[&[u8]], route: &mut Route, met: &mut Met) {
        route.by_key = true;
        for key in keys {
            match self.queue(key) {
                Some(queue) => {
                    route.depend_on(&queue.stamp);
                    route.add(queue, met);
                }
                None => route.reusable = false,
            }
        }
    }

    /// One exchange on the way: its matches, or its alternate when it has none (RabbitMQ looks at this exchange's own
    /// bindings only).
    fn route_through<'a>(
        &'a self,
        exchange: &'a Exchange,
        message: &Addressing<'_>,
        route: &mut Route,
        met: &mut Met,
        waiting: &mut Vec<&'a Exchange>,
    ) {
        route.depend_on(exchange.bindings.as_ref().map_or(&self.stamp, |bindings| &bindings.stamp));
        route.by_message |= exchange.looks_beyond_key() || exchange.history().is_some();
        route.histories.extend(exchange.history().cloned());
        route.by_key |= !exchange.looks_at_nothing();
        route.steps += ROUTE_EXCHANGE_STEPS;
        let mut matched = false;
        // What is gone may still stand in the bindings: it is no match.
        let mut follow = |name: &ShortString, met: &mut Met| {
            let next = self.exchanges.get(name);
            waiting.extend(next.filter(|next| met.exchanges.insert(std::ptr::from_ref(*next))));
            next.is_some()
        };
        let mut found = |destination: &Destination| match destination {
            Destination::Queue(name) => {
                if let Some(queue) = self.queue(name) {
                    matched = true;
                    route.add(queue, met);
                }
            }
            Destination::Exchange(name) => matched |= follow(name, met),
        };
        let visited =
            exchange.bindings.as_ref().map_or(0, |bindings| bindings.router.route(message, &mut found));
        route.steps += visited / STEP_BINDINGS_VISITED;
        if !matched && let Some(alternate) = exchange.alternate() {
            match self.exchanges.get(alternate) {
                // The default exchange as alternate routes by queue name.
                Some(next) if next.spec.name.is_empty() => self.route_by_name(message.keys, route, met),
                Some(next) => drop(follow(&next.spec.name, met)),
                None => route.reusable = false,
            }
        }
        route.reusable &= !route.by_message;
    }
}
