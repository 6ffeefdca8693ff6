//! `exchange.declare` and `exchange.delete` (AMQP 1.6.2; texts of RabbitMQ).

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, atomic::Ordering},
};

use parking_lot::Mutex;

use super::{Exchange, Stamp, Topology, equivalence, history::History};
use crate::core::{
    change::TopologyChange,
    declared::{Destination, ExchangeSpec},
    dedup,
    error::{AmqpError, access_refused, not_found, precondition_failed},
    routing::{ExchangeKind, Router, recent_history_length},
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
        if if_unused && !exchange.bindings.is_empty() {
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
        if spec.durable {
            self.changes.push(TopologyChange::ExchangeDeclared(spec.clone()));
        }
        let exchange = Exchange {
            router: Router::new(spec.kind, &spec.arguments),
            bindings: HashMap::default(),
            policy_alternate: self.policy_alternate_of(&spec),
            stamp: Stamp::default(),
            history: self.history_of(&spec),
            deduplicator: Exchange::deduplicator_of(&spec),
            common_route: Mutex::default(),
            tally: OnceLock::new(),
            _held: self.held(&spec.arguments),
            spec,
        };
        self.opened(exchange.deduplicator.as_ref());
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
        exchange.stamp.fetch_add(1, Ordering::Release);
        self.stamp.fetch_add(1, Ordering::Release);
        self.closed(exchange.deduplicator.as_ref());
        self.keep_counts(exchange.counts());
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
