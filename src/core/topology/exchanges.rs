//! `exchange.declare` and `exchange.delete` (AMQP 1.6.2; texts of RabbitMQ).

use std::sync::{Arc, OnceLock, atomic::Ordering};

use super::{Exchange, Extras, Topology, equivalence, history::History};
use crate::core::{
    change::TopologyChange,
    declared::{Destination, ExchangeSpec},
    dedup::{self, Deduplicator},
    error::{AmqpError, access_refused, not_found, precondition_failed},
    memory::entity_bytes,
    routing::{ExchangeKind, recent_history_length},
};
use crate::protocol::{FieldTable, ShortString};

/// `exchange.declare` as it came.
pub struct ExchangeDeclaration {
    /// Name.
    pub name: ShortString,
    /// Type by its wire name.
    pub kind: ShortString,
    /// See [`ExchangeSpec::durable`].
    pub durable: bool,
    /// See [`ExchangeSpec::auto_delete`].
    pub auto_delete: bool,
    /// See [`ExchangeSpec::internal`].
    pub internal: bool,
    /// Arguments.
    pub arguments: FieldTable,
}

impl Topology {
    /// Checks that an exchange is there (`passive`).
    pub fn check_exchange(&self, name: &[u8]) -> Result<&ExchangeSpec, AmqpError> {
        refuse_default_exchange(name)?;
        self.exchange(name).map(|exchange| &exchange.spec)
    }

    /// Makes an exchange, or checks that the one of this name is the same.
    pub fn declare_exchange(&mut self, wanted: ExchangeDeclaration) -> Result<(), AmqpError> {
        let kind = exchange_kind(&wanted.kind)?;
        refuse_default_exchange(&wanted.name)?;
        if let Some(current) = self.exchanges.get(&wanted.name) {
            return self.check_same_exchange(&current.spec, &wanted);
        }
        if wanted.name.starts_with(b"amq.") {
            return Err(access_refused(format!(
                "exchange name '{}' contains reserved prefix 'amq.*'",
                wanted.name
            )));
        }
        if let Some(alternate) = wanted.arguments.get("alternate-exchange")
            && alternate.as_str_bytes().is_none()
        {
            let (named, kind) = (self.named_exchange(&wanted.name), alternate.type_name());
            return Err(precondition_failed(format!(
                "invalid arg 'alternate-exchange' for {named}: {{unacceptable_type,{kind}}}"
            )));
        }
        self.clear_name(&Destination::Exchange(wanted.name.clone()));
        kind.validate(&wanted.arguments).map_err(|error| precondition_failed(error.to_string()))?;
        if let Some((argument, complaint)) = dedup::complaint(&wanted.arguments) {
            let named = self.named_exchange(&wanted.name);
            return Err(precondition_failed(format!("invalid arg '{argument}' for {named}: {complaint}")));
        }
        self.check_memory(&wanted.arguments)?;
        let ExchangeDeclaration { name, kind: _, durable, auto_delete, internal, arguments } = wanted;
        self.insert_exchange(ExchangeSpec { name, kind, durable, auto_delete, internal, arguments });
        Ok(())
    }

    /// Deletes an exchange and its bindings. A missing one is no error.
    pub fn delete_exchange(&mut self, name: &[u8], if_unused: bool) -> Result<(), AmqpError> {
        self.refuse_deletion(name)?;
        let Some(exchange) = self.exchanges.get(name) else { return Ok(()) };
        if if_unused && !exchange.is_unbound() {
            return Err(precondition_failed(format!("{} in use", self.named_exchange(name))));
        }
        let name = exchange.spec.name.clone();
        self.remove_exchange(name);
        self.clear_away(self.cleared_at_once);
        Ok(())
    }

    /// 403 for exchanges that nobody deletes.
    pub fn refuse_deletion(&self, name: &[u8]) -> Result<(), AmqpError> {
        refuse_default_exchange(name)?;
        if name.starts_with(b"amq.") {
            let named = self.named_exchange(name);
            return Err(access_refused(format!("deletion of system {named} not allowed")));
        }
        Ok(())
    }

    /// An exchange by name, or RabbitMQ's 404.
    pub(super) fn exchange(&self, name: &[u8]) -> Result<&Exchange, AmqpError> {
        self.exchanges.get(name).ok_or_else(|| not_found(format!("no {}", self.named_exchange(name))))
    }

    pub(super) fn insert_exchange(&mut self, spec: ExchangeSpec) {
        let name = spec.name.clone();
        self.insert_unused(spec);
        if let Some(exchange) = self.exchanges.get_mut(&name) {
            exchange.make_bindings();
        }
    }

    /// The same with an exchange that perhaps nobody ever uses. Until something is bound to it, routes through it are stale with any change
    /// of the topology.
    pub(super) fn insert_unused(&mut self, spec: ExchangeSpec) {
        if spec.durable {
            self.changes.push(TopologyChange::ExchangeDeclared(spec.clone()));
        }
        let extras = Extras {
            policy_alternate: self.policy_alternate_of(&spec),
            history: self.history_of(&spec),
            deduplicator: Exchange::deduplicator_of(&spec),
        };
        self.opened(extras.deduplicator.as_ref());
        self.routing_held.set(self.routing_held.bytes() + entity_bytes(&spec.arguments));
        let exchange = Exchange { bindings: None, extras: extras.boxed(), tally: OnceLock::new(), spec };
        self.exchanges.insert(exchange.spec.name.clone(), exchange);
    }

    fn history_of(&self, spec: &ExchangeSpec) -> Option<Arc<History>> {
        let length = match spec.routes_as() {
            ExchangeKind::RecentHistory => recent_history_length(&spec.arguments).ok()?,
            _ => return None,
        };
        Some(Arc::new(History::new(length, &self.surroundings.memory)))
    }

    /// Removes an exchange. The bindings from and to it, and auto-delete exchanges that this leaves without bindings, are for
    /// [`Self::clear_away`].
    pub(super) fn remove_exchange(&mut self, name: ShortString) {
        let Some(exchange) = self.exchanges.remove(&name) else { return };
        exchange.changed();
        self.stamp.fetch_add(1, Ordering::Release);
        self.closed(exchange.deduplicator());
        self.keep_exchange_counts(exchange.counts());
        self.routing_held.set(self.routing_held.bytes() - entity_bytes(&exchange.spec.arguments));
        if exchange.spec.durable {
            self.changes.push(TopologyChange::ExchangeDeleted(name));
        }
        self.leave_exchange_behind(exchange);
    }

    fn check_same_exchange(
        &self,
        current: &ExchangeSpec,
        wanted: &ExchangeDeclaration,
    ) -> Result<(), AmqpError> {
        let named = self.named_exchange(&wanted.name);
        equivalence::check("type", &named, wanted.kind.as_str_lossy(), current.kind.name())?;
        equivalence::check("durable", &named, wanted.durable, current.durable)?;
        equivalence::check("auto_delete", &named, wanted.auto_delete, current.auto_delete)?;
        equivalence::check("internal", &named, wanted.internal, current.internal)?;
        for argument in dedup::ARGUMENTS.into_iter().chain(["alternate-exchange"]) {
            equivalence::check_argument(argument, &named, &wanted.arguments, &current.arguments)?;
        }
        Ok(())
    }
}

impl Extras {
    /// Nothing, if there is none of them.
    fn boxed(self) -> Option<Box<Self>> {
        let Self { policy_alternate, history, deduplicator } = &self;
        let is_any = policy_alternate.is_some() || history.is_some() || deduplicator.is_some();
        is_any.then(|| Box::new(self))
    }
}

impl Exchange {
    /// The alternate exchange that a policy gives it.
    pub(super) fn policy_alternate(&self) -> Option<&ShortString> {
        self.extras.as_ref()?.policy_alternate.as_ref()
    }

    /// See [`Extras::policy_alternate`].
    pub(super) fn set_policy_alternate(&mut self, alternate: Option<ShortString>) {
        self.extras.get_or_insert_default().policy_alternate = alternate;
    }

    /// The last messages, if it keeps them.
    pub(super) fn history(&self) -> Option<&Arc<History>> {
        self.extras.as_ref()?.history.as_ref()
    }

    /// What it has seen, if it takes each message once.
    pub(super) fn deduplicator(&self) -> Option<&Arc<Deduplicator>> {
        self.extras.as_ref()?.deduplicator.as_ref()
    }

    /// Routes through it are stale. Without bindings the topology's stamp counts, which changes with everything.
    pub(super) fn changed(&self) {
        if let Some(bindings) = &self.bindings {
            bindings.stamp.fetch_add(1, Ordering::Release);
        }
    }
}

/// The type of exchange of a name, or RabbitMQ's 406.
pub fn exchange_kind(name: &ShortString) -> Result<ExchangeKind, AmqpError> {
    ExchangeKind::parse(name).ok_or_else(|| precondition_failed(format!("unknown exchange type '{name}'")))
}

/// 403 for what cannot be done with the default exchange.
pub fn refuse_default_exchange(name: &[u8]) -> Result<(), AmqpError> {
    if name.is_empty() {
        return Err(access_refused("operation not permitted on the default exchange"));
    }
    Ok(())
}
