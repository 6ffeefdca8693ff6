//! From exchange and routing keys to queues.

use std::{collections::HashSet, sync::Arc, sync::atomic::Ordering};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::{Destination, Exchange, Stamp, Topology};
use crate::core::{
    dedup::Filter,
    error::{AmqpError, access_refused},
    queue::SharedQueue,
    routing::ExchangeKind,
};
use crate::protocol::{FieldTable, ShortString};

/// The queues that a message goes to, each once.
#[derive(Clone, Default)]
pub struct Route {
    /// Targets, in no order.
    pub queues: SmallVec<[Arc<SharedQueue>; 1]>,
    stamps: SmallVec<[(Stamp, u64); 1]>,
    reusable: bool,
    by_headers: bool,
    /// The exchange that the message was published to takes each message once.
    filter: Option<Arc<Filter>>,
    deduplicates: bool,
}

impl Route {
    /// Whether the answer may be used again for the same exchange and key, as long as [`Self::is_current`].
    pub fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// Whether an exchange on the way looks at headers.
    pub fn needs_headers(&self) -> bool {
        self.by_headers
    }

    /// Whether the exchange or one of the queues takes each message once.
    #[inline]
    pub fn deduplicates(&self) -> bool {
        self.deduplicates
    }

    /// What the exchange that the message was published to has seen, if it takes each message once.
    pub fn filter(&self) -> Option<&Arc<Filter>> {
        self.filter.as_ref()
    }

    /// Whether nothing that it depends on has changed.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.stamps.iter().all(|(stamp, seen)| stamp.load(Ordering::Acquire) == *seen)
    }

    fn depend_on(&mut self, stamp: &Stamp) {
        self.stamps.push((stamp.clone(), stamp.load(Ordering::Acquire)));
    }

    fn add(&mut self, queue: &Arc<SharedQueue>, seen: &mut Seen) {
        if seen.queues.insert(queue.spec.name.clone()) {
            self.deduplicates |= queue.filter.is_some();
            self.queues.push(queue.clone());
        }
    }
}

#[derive(Default)]
struct Seen {
    queues: HashSet<ShortString, RandomState>,
    exchanges: HashSet<ShortString, RandomState>,
}

impl Topology {
    /// Where messages go that are published to `exchange` with `keys`: the routing key first, then those of
    /// `CC` and `BCC`. `headers` are the message's, decoded if a headers exchange may be on the way.
    ///
    /// 404 if the exchange is missing, 403 if it is internal.
    pub fn route(
        &self,
        exchange: &[u8],
        keys: &[&[u8]],
        headers: Option<&FieldTable>,
    ) -> Result<Route, AmqpError> {
        if self.exchange(exchange)?.spec.internal {
            let named = self.named_exchange(exchange);
            return Err(access_refused(format!("cannot publish to internal {named}")));
        }
        self.route_within(exchange, keys, headers)
    }

    /// The same for messages that the broker itself sends on: internal exchanges are open to them.
    pub fn route_within(
        &self,
        exchange: &[u8],
        keys: &[&[u8]],
        headers: Option<&FieldTable>,
    ) -> Result<Route, AmqpError> {
        let first = self.exchange(exchange)?;
        let filter = first.filter.clone();
        let mut route = Route { reusable: true, deduplicates: filter.is_some(), filter, ..Route::default() };
        let mut seen = Seen::default();
        if exchange.is_empty() {
            self.route_by_name(keys, &mut route, &mut seen);
            return Ok(route);
        }
        let mut waiting = vec![first];
        seen.exchanges.insert(first.spec.name.clone());
        while let Some(exchange) = waiting.pop() {
            self.route_through(exchange, keys, headers, &mut route, &mut seen, &mut waiting);
        }
        Ok(route)
    }

    /// The default exchange: every queue under its own name.
    fn route_by_name(&self, keys: &[&[u8]], route: &mut Route, seen: &mut Seen) {
        for key in keys {
            match self.queue(key) {
                Some(queue) => {
                    route.depend_on(&queue.stamp);
                    route.add(queue, seen);
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
        keys: &[&[u8]],
        headers: Option<&FieldTable>,
        route: &mut Route,
        seen: &mut Seen,
        waiting: &mut Vec<&'a Exchange>,
    ) {
        route.depend_on(&exchange.stamp);
        route.by_headers |= exchange.spec.kind == ExchangeKind::Headers;
        let mut matched = false;
        let mut follow = |name: &ShortString, seen: &mut Seen| {
            if let Some(next) = self.exchanges.get(name)
                && seen.exchanges.insert(name.clone())
            {
                waiting.push(next);
            }
        };
        for key in keys {
            exchange.router.route(key, headers, &mut |destination| {
                matched = true;
                match destination {
                    Destination::Queue(name) => {
                        if let Some(queue) = self.queue(name) {
                            route.add(queue, seen);
                        }
                    }
                    Destination::Exchange(name) => follow(name, seen),
                }
            });
        }
        if !matched && let Some(alternate) = exchange.spec.alternate() {
            match self.exchanges.get(alternate) {
                // The default exchange as alternate routes by queue name.
                Some(next) if next.spec.name.is_empty() => self.route_by_name(keys, route, seen),
                Some(next) => follow(&next.spec.name, seen),
                None => route.reusable = false,
            }
        }
        route.reusable &= !route.by_headers;
    }
}
