//! Bindings: `queue.bind`, `exchange.bind` and back (AMQP 1.7.2.3; RabbitMQ's exchange-to-exchange bindings).

use std::sync::{Arc, atomic::Ordering};

use parking_lot::Mutex;

use super::{Bindings, Bound, Exchange, Replayed, Stamp, Topology, exchanges::refuse_default_exchange};
use crate::core::{
    ConnectionId,
    change::TopologyChange,
    declared::{Binding, Destination, ExchangeSpec},
    error::{AmqpError, not_found, precondition_failed},
    memory::entity_bytes,
    routing::{ExchangeKind, Router},
};
use crate::protocol::{FieldTable, ShortString};

/// What tells the bindings of one exchange apart. The order of arguments does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct BindingId {
    pub(super) destination: Destination,
    pub(super) key: ShortString,
    arguments: Box<[u8]>,
}

/// What the two ends of a binding are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// Both survive a restart, and so does the binding.
    Durable,
    /// They are there, and one of them does not.
    Transient,
    /// One is not there.
    Missing,
}

impl BindingId {
    fn binding(&self, source: &ShortString, arguments: FieldTable) -> Binding {
        Binding {
            source: source.clone(),
            destination: self.destination.clone(),
            key: self.key.clone(),
            arguments,
        }
    }

    fn of(binding: &Binding) -> Arc<Self> {
        let mut sorted: Vec<_> = binding.arguments.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        let mut arguments = Vec::new();
        if !sorted.is_empty() {
            let table: FieldTable = sorted.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect();
            table.encode(&mut arguments);
        }
        Arc::new(Self {
            destination: binding.destination.clone(),
            key: binding.key.clone(),
            arguments: arguments.into(),
        })
    }
}

impl Exchange {
    /// Whether no binding begins at it.
    pub(super) fn is_unbound(&self) -> bool {
        self.bindings.as_ref().is_none_or(|bindings| bindings.by_id.is_empty())
    }

    fn binding(&self, id: &BindingId) -> Option<&Bound> {
        self.bindings.as_ref()?.by_id.get(id)
    }

    /// Its bindings, which begin with this, if there are none yet.
    pub(super) fn make_bindings(&mut self) -> &mut Box<Bindings> {
        let ExchangeSpec { kind, arguments, .. } = &self.spec;
        self.bindings.get_or_insert_with(|| {
            Box::new(Bindings {
                router: Router::new(*kind, arguments),
                by_id: griddle::HashMap::default(),
                stamp: Stamp::default(),
                common_route: Mutex::default(),
            })
        })
    }
}

impl Topology {
    /// Adds a binding; one that is there already is no error.
    ///
    /// A new one from an exchange that keeps its recent history brings those messages: what is to be carried out for
    /// them is given back.
    pub fn bind(&mut self, binding: Binding, connection: ConnectionId) -> Result<Replayed, AmqpError> {
        self.check_binding(&binding, connection)?;
        self.check_kind(&binding)?;
        self.check_memory(&binding.arguments)?;
        let durable = self.ends(&binding) == Ends::Durable;
        let (source, destination) = (binding.source.clone(), binding.destination.clone());
        let is_new = self.insert_binding(binding, durable);
        Ok(if is_new { self.replay(&source, &destination) } else { Replayed::default() })
    }

    /// Removes a binding; one that is not there is no error. An auto-delete exchange goes with its last one.
    pub fn unbind(&mut self, binding: &Binding, connection: ConnectionId) -> Result<(), AmqpError> {
        refuse_default_exchange(&binding.source)?;
        match &binding.destination {
            Destination::Queue(name) if self.queue(name).is_some() => {
                self.accessible_queue(name, connection)?;
            }
            Destination::Queue(_) => {}
            Destination::Exchange(name) => refuse_default_exchange(name)?,
        }
        let id = BindingId::of(binding);
        if self.remove_binding(&binding.source, &id).is_some() {
            self.forget_leading_to(&binding.source, &id);
            if self.is_finished(&binding.source) {
                self.remove_exchange(binding.source.clone());
                self.clear_away(self.cleared_at_once);
            }
        }
        Ok(())
    }

    /// Whether a binding is there.
    pub fn has_binding(&self, binding: &Binding) -> bool {
        let exchange = self.exchanges.get(&binding.source);
        exchange.is_some_and(|exchange| exchange.binding(&BindingId::of(binding)).is_some())
    }

    /// How many bindings begin at an exchange.
    pub fn count_of_bindings(&self, source: &[u8]) -> usize {
        let bindings = self.exchanges.get(source).and_then(|exchange| exchange.bindings.as_ref());
        bindings.map_or(0, |bindings| bindings.by_id.len())
    }

    /// All bindings of an exchange.
    pub fn bindings_of(&self, source: &[u8]) -> Vec<Binding> {
        let Some(exchange) = self.exchanges.get(source) else { return Vec::new() };
        let source = &exchange.spec.name;
        let binding = |(id, bound): (&Arc<BindingId>, &Bound)| id.binding(source, bound.arguments.clone());
        exchange.bindings.iter().flat_map(|bindings| &bindings.by_id).map(binding).collect()
    }

    /// All bindings that lead to a queue or an exchange.
    pub fn bindings_to(&self, destination: &Destination) -> Vec<Binding> {
        let Some(sources) = self.leading_to.get(destination) else { return Vec::new() };
        let binding = |(source, id): &(ShortString, Arc<BindingId>)| {
            let bound = self.exchanges.get(source)?.binding(id)?;
            Some(id.binding(source, bound.arguments.clone()))
        };
        sources.iter().filter_map(binding).collect()
    }

    /// The queues and exchanges that bindings may lead to, in no order.
    pub fn destinations(&self) -> Vec<Destination> {
        let exchanges = self.exchanges.keys().cloned().map(Destination::Exchange);
        self.queues.keys().cloned().map(Destination::Queue).chain(exchanges).collect()
    }

    pub(super) fn forget_leading_to(&mut self, source: &ShortString, id: &Arc<BindingId>) {
        if let Some(bindings) = self.leading_to.get_mut(&id.destination) {
            bindings.remove(&(source.clone(), id.clone()));
            if bindings.is_empty() {
                self.leading_to.remove(&id.destination);
            }
        }
    }

    /// Adds a binding whose ends are there; false if it is there already.
    pub(super) fn insert_binding(&mut self, binding: Binding, durable: bool) -> bool {
        let id = BindingId::of(&binding);
        let Some(exchange) = self.exchanges.get_mut(&binding.source) else { return false };
        if exchange.binding(&id).is_some() {
            return false;
        }
        if durable {
            self.changes.push(TopologyChange::Bound(binding.clone()));
        }
        let Binding { source, destination, key, arguments } = binding;
        self.routing_held.set(self.routing_held.bytes() + entity_bytes(&arguments));
        let Bindings { router, by_id, .. } = &mut **exchange.make_bindings();
        router.bind(&key, &arguments, destination.clone());
        by_id.insert(id.clone(), Bound { arguments, durable });
        exchange.changed();
        self.stamp.fetch_add(1, Ordering::Release);
        self.leading_to.entry(destination).or_default().insert((source, id))
    }

    pub(super) fn remove_binding(&mut self, source: &ShortString, id: &BindingId) -> Option<()> {
        let exchange = self.exchanges.get_mut(source)?;
        let Bindings { router, by_id, .. } = &mut **exchange.bindings.as_mut()?;
        let bound = by_id.remove(id)?;
        router.unbind(&id.key, &bound.arguments, &id.destination);
        exchange.changed();
        self.stamp.fetch_add(1, Ordering::Release);
        self.note_unbound(source, id, bound);
        Some(())
    }

    /// A binding is gone.
    pub(super) fn note_unbound(&mut self, source: &ShortString, id: &BindingId, bound: Bound) {
        self.routing_held.set(self.routing_held.bytes() - entity_bytes(&bound.arguments));
        if bound.durable {
            self.changes.push(TopologyChange::Unbound(id.binding(source, bound.arguments)));
        }
    }

    /// What the two ends of a binding are.
    pub(super) fn ends(&self, binding: &Binding) -> Ends {
        let source = self.exchanges.get(&binding.source).map(|exchange| exchange.spec.durable);
        let destination = match &binding.destination {
            Destination::Queue(name) => self.queue(name).map(|queue| queue.spec.durable),
            Destination::Exchange(name) => self.exchanges.get(name).map(|exchange| exchange.spec.durable),
        };
        match (source, destination) {
            (Some(true), Some(true)) => Ends::Durable,
            (Some(_), Some(_)) => Ends::Transient,
            _ => Ends::Missing,
        }
    }

    pub(super) fn is_finished(&self, name: &ShortString) -> bool {
        self.exchanges.get(name).is_some_and(|x| x.spec.auto_delete && x.is_unbound())
    }

    /// What the source's kind demands of a binding.
    fn check_kind(&self, binding: &Binding) -> Result<(), AmqpError> {
        let kind = self.exchange(&binding.source)?.spec.routes_as();
        kind.validate_binding(&binding.key, &binding.arguments)
            .map_err(|error| precondition_failed(error.to_string()))?;
        match &binding.destination {
            // It looks for a queue of that name (RabbitMQ).
            Destination::Exchange(_) if kind == ExchangeKind::LocalRandom => {
                Err(precondition_failed("Destination not found"))
            }
            _ => Ok(()),
        }
    }

    fn check_binding(&self, binding: &Binding, connection: ConnectionId) -> Result<(), AmqpError> {
        refuse_default_exchange(&binding.source)?;
        match &binding.destination {
            Destination::Queue(name) => {
                if self.queue(name).is_none() {
                    return Err(not_found(format!("no {}", self.named_queue(name))));
                }
                self.exchange(&binding.source)?;
                self.accessible_queue(name, connection).map(drop)
            }
            Destination::Exchange(name) => {
                refuse_default_exchange(name)?;
                self.exchange(&binding.source)?;
                self.exchange(name).map(drop)
            }
        }
    }
}
