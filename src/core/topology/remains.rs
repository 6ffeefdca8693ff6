//! The bindings of deleted queues and exchanges, taken out in bounded pieces.
//!
//! A deleted queue or exchange cannot be found any more, so no message goes to it or through it, although its bindings still
//! stand where they were (all but those of exchanges that choose one destination). Its name stays taken until all of them are
//! gone: a new queue of that name would get them. The journal hears of the deletion first and then of each binding; should a
//! crash come between, recovery drops bindings whose ends are missing.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use foldhash::quality::RandomState;
use griddle::{hash_map, hash_set};

use super::{Bindings, Bound, Exchange, Sources, Topology, bindings::BindingId};
use crate::core::{declared::Destination, routing::Router};
use crate::protocol::ShortString;

/// Bindings of deleted queues and exchanges that are still to be taken out.
#[derive(Default)]
pub(super) struct Remains {
    waiting: VecDeque<Left>,
    /// How many of `waiting` each one that is gone has left.
    names: HashMap<Destination, usize, RandomState>,
    /// To be dropped when no lock is held.
    routers: Vec<Router<Destination>>,
}

struct Left {
    whose: Destination,
    bindings: Which,
}

/// Bindings of what is gone.
enum Which {
    /// That lead to it.
    To(hash_set::IntoIter<(ShortString, Arc<BindingId>)>),
    /// That begin at it.
    From(ShortString, hash_map::IntoIter<Arc<BindingId>, Bound>),
}

/// One of them.
enum Next {
    To(ShortString, Arc<BindingId>),
    From(ShortString, Arc<BindingId>, Bound),
}

impl Remains {
    fn add(&mut self, whose: Destination, bindings: Which) {
        *self.names.entry(whose.clone()).or_default() += 1;
        self.waiting.push_back(Left { whose, bindings });
    }

    /// The next binding, if there is one.
    fn next(&mut self) -> Option<Next> {
        loop {
            let first = self.waiting.front_mut()?;
            let next = match &mut first.bindings {
                Which::To(bindings) => bindings.next().map(|(source, id)| Next::To(source, id)),
                Which::From(source, bindings) => {
                    bindings.next().map(|(id, bound)| Next::From(source.clone(), id, bound))
                }
            };
            if next.is_some() {
                return next;
            }
            self.end_first();
        }
    }

    fn end_first(&mut self) {
        let Some(Left { whose, .. }) = self.waiting.pop_front() else { return };
        if let Some(left) = self.names.get_mut(&whose) {
            *left -= 1;
            if *left == 0 {
                self.names.remove(&whose);
            }
        }
    }
}

impl Topology {
    /// Takes out up to so many bindings of deleted queues and exchanges. True if there are more.
    pub fn clear_away(&mut self, bindings_max: usize) -> bool {
        for _ in 0..bindings_max {
            match self.remains.next() {
                None => return false,
                Some(Next::To(source, id)) => {
                    if self.remove_binding(&source, &id).is_some() && self.is_finished(&source) {
                        self.remove_exchange(source);
                    }
                }
                Some(Next::From(source, id, bound)) => {
                    self.forget_leading_to(&source, &id);
                    self.note_unbound(&source, &id, bound);
                }
            }
        }
        true
    }

    /// Whether bindings of deleted queues and exchanges are left.
    pub fn has_remains(&self) -> bool {
        !self.remains.waiting.is_empty()
    }

    /// Whether bindings are left of a deleted queue or exchange of this name.
    pub fn is_clearing(&self, name: &Destination) -> bool {
        self.remains.names.contains_key(name)
    }

    /// What is to be dropped when no lock is held.
    pub fn take_routers(&mut self) -> Vec<Router<Destination>> {
        std::mem::take(&mut self.remains.routers)
    }

    /// Takes out all bindings that are left of the deleted queue or exchange of this name.
    pub(super) fn clear_name(&mut self, name: &Destination) {
        while self.is_clearing(name) {
            self.clear_away(self.cleared_at_once);
        }
    }

    /// A queue or exchange is gone, and with it what leads to it.
    pub(super) fn leave_behind(&mut self, whose: Destination) {
        if let Some(bindings) = self.leading_to.remove(&whose) {
            self.mislead_nobody(&bindings);
            self.remains.add(whose, Which::To(bindings.into_iter()));
        }
    }

    /// Remembered routes that lead to what is gone are stale at once, and an exchange that chooses one of its destinations
    /// chooses among those that are there.
    fn mislead_nobody(&mut self, bindings: &Sources) {
        let exchanges = &mut self.exchanges;
        // Of each exchange that is told, whether it chooses.
        let mut told: HashMap<&ShortString, bool, RandomState> = HashMap::default();
        for (source, id) in bindings {
            let chooses_one = *told.entry(source).or_insert_with(|| {
                let Some(exchange) = exchanges.get_mut(source) else { return false };
                exchange.changed();
                exchange.bindings.as_ref().is_some_and(|bindings| bindings.router.chooses_one())
            });
            if chooses_one
                && let Some(Bindings { router, by_id, .. }) =
                    exchanges.get_mut(source).and_then(|exchange| exchange.bindings.as_deref_mut())
                && let Some(bound) = by_id.get(id)
            {
                router.unbind(&id.key, &bound.arguments, &id.destination);
            }
        }
    }

    /// An exchange is gone, and with it what begins at it and what leads to it.
    pub(super) fn leave_exchange_behind(&mut self, exchange: Exchange) {
        let Exchange { spec, bindings, .. } = exchange;
        let whose = Destination::Exchange(spec.name.clone());
        if let Some(bindings) = bindings.filter(|bindings| !bindings.by_id.is_empty()) {
            let Bindings { router, by_id, .. } = *bindings;
            self.remains.routers.push(router);
            self.remains.add(whose.clone(), Which::From(spec.name, by_id.into_iter()));
        }
        self.leave_behind(whose);
    }
}
