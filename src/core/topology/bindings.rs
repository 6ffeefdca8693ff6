//! Bindings: `queue.bind`, `exchange.bind` and back (AMQP 1.7.2.3; RabbitMQ's exchange-to-exchange bindings).

use std::sync::{Arc, atomic::Ordering};

use super::{Topology, exchanges::refuse_default_exchange};
use crate::core::{
    ConnectionId,
    error::{AmqpError, not_found, precondition_failed},
    routing::Router,
};
use crate::protocol::{FieldTable, ShortString};

/// Where a binding leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A queue by name.
    Queue(ShortString),
    /// An exchange by name.
    Exchange(ShortString),
}

/// A binding; two are the same when all four parts are.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// The exchange that it reads from.
    pub source: ShortString,
    /// Where it leads.
    pub destination: Destination,
    /// `routing-key`; its meaning is the exchange's.
    pub key: ShortString,
    /// Arguments.
    pub arguments: FieldTable,
}

/// What tells the bindings of one exchange apart. The order of arguments does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct BindingId {
    destination: Destination,
    key: ShortString,
    arguments: Box<[u8]>,
}

impl BindingId {
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

impl Topology {
    /// Adds a binding; one that is there already is no error.
    pub fn bind(&mut self, binding: Binding, connection: ConnectionId) -> Result<(), AmqpError> {
        self.check_binding(&binding, connection)?;
        let exchange = self.exchange(&binding.source)?;
        Router::<Destination>::validate_binding(exchange.spec.kind, &binding.arguments)
            .map_err(|error| precondition_failed(error.to_string()))?;
        let id = BindingId::of(&binding);
        let Binding { source, destination, key, arguments } = binding;
        let Some(exchange) = self.exchanges.get_mut(&source) else { return Ok(()) };
        if exchange.bindings.contains_key(&id) {
            return Ok(());
        }
        exchange.router.bind(&key, &arguments, destination.clone());
        exchange.bindings.insert(id.clone(), arguments);
        exchange.stamp.fetch_add(1, Ordering::Release);
        self.leading_to.entry(destination).or_default().insert((source, id));
        Ok(())
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
        if self.remove_binding(&binding.source, &id) {
            self.forget_leading_to(&binding.source, &id);
            if self.is_finished(&binding.source) {
                self.remove_exchange(binding.source.clone());
            }
        }
        Ok(())
    }

    /// All bindings of an exchange.
    pub fn bindings_of(&self, source: &[u8]) -> Vec<Binding> {
        let Some(exchange) = self.exchanges.get(source) else { return Vec::new() };
        let binding = |(id, arguments): (&Arc<BindingId>, &FieldTable)| Binding {
            source: exchange.spec.name.clone(),
            destination: id.destination.clone(),
            key: id.key.clone(),
            arguments: arguments.clone(),
        };
        exchange.bindings.iter().map(binding).collect()
    }

    /// Removes everything that leads to `destination`; gives the auto-delete exchanges that are without bindings now.
    pub(super) fn unbind_all(&mut self, destination: &Destination) -> Vec<ShortString> {
        let bindings = self.leading_to.remove(destination).unwrap_or_default();
        let mut finished = Vec::new();
        for (source, id) in bindings {
            self.remove_binding(&source, &id);
            if self.is_finished(&source) {
                finished.push(source);
            }
        }
        finished
    }

    pub(super) fn forget_leading_to(&mut self, source: &ShortString, id: &Arc<BindingId>) {
        if let Some(bindings) = self.leading_to.get_mut(&id.destination) {
            bindings.remove(&(source.clone(), id.clone()));
            if bindings.is_empty() {
                self.leading_to.remove(&id.destination);
            }
        }
    }

    fn remove_binding(&mut self, source: &ShortString, id: &BindingId) -> bool {
        let Some(exchange) = self.exchanges.get_mut(source) else { return false };
        let Some(arguments) = exchange.bindings.remove(id) else { return false };
        exchange.router.unbind(&id.key, &arguments, &id.destination);
        exchange.stamp.fetch_add(1, Ordering::Release);
        true
    }

    fn is_finished(&self, name: &ShortString) -> bool {
        self.exchanges.get(name).is_some_and(|x| x.spec.auto_delete && x.bindings.is_empty())
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
