//! Class exchange (AMQP 1.6; RabbitMQ's exchange-to-exchange bindings).

use crate::connection::{
    session::{
        Session,
        permission::{Permission, Resource},
    },
    work::{Answer, Clearing},
};
use crate::core::{
    declared::{Binding, Destination},
    error::AmqpError,
    topology::{Declared, ExchangeDeclaration, Replayed, exchange_kind, refuse_default_exchange},
};
use crate::protocol::{FieldTable, ShortString, exchange};

impl Session {
    pub(super) fn exchange_declare(
        &mut self,
        number: u16,
        declare: exchange::Declare,
    ) -> Result<(), AmqpError> {
        let name = strip_line_ends(declare.exchange);
        let durable = declare.durable;
        if declare.passive {
            refuse_default_exchange(&name)?;
            self.may_ask_for(Resource::Exchange(&name))?;
            let durable =
                self.vhost.read(|topology| topology.check_exchange(&name).map(|spec| spec.durable))?;
            if durable {
                self.hold_back_for_topology();
            }
        } else {
            exchange_kind(&declare.type_)?;
            refuse_default_exchange(&name)?;
            self.may_declare_exchange(&name, &declare.arguments)?;
            let declaration = ExchangeDeclaration {
                name,
                kind: declare.type_,
                durable: declare.durable,
                auto_delete: declare.auto_delete,
                internal: declare.internal,
                arguments: declare.arguments,
            };
            self.vhost.make_free(&Destination::Exchange(declaration.name.clone()));
            let (name, arguments) = (declaration.name.clone(), declaration.arguments.clone());
            let is_new = self.change_topology(|topology| {
                let known = topology.check_exchange(&declaration.name).is_ok();
                topology.declare_exchange(declaration).map(|()| !known)
            })?;
            if is_new {
                self.tell_of_unknown(Declared::Exchange, &name, &arguments);
            } else if durable {
                self.hold_back_for_topology();
            }
        }
        if !declare.no_wait {
            self.reply(number, &exchange::DeclareOk {});
        }
        Ok(())
    }

    pub(super) fn exchange_delete(
        &mut self,
        number: u16,
        delete: &exchange::Delete,
    ) -> Result<(), AmqpError> {
        let name = strip_line_ends(delete.exchange.clone());
        self.vhost.read(|topology| topology.refuse_deletion(&name))?;
        self.may(Permission::Configure, Resource::Exchange(&name))?;
        self.change_topology(|topology| topology.delete_exchange(&name, delete.if_unused))?;
        self.clear(Clearing {
            channel: number,
            name: Destination::Exchange(name),
            answer: (!delete.no_wait).then_some(Answer::Exchange(exchange::DeleteOk {})),
        });
        Ok(())
    }

    pub(super) fn exchange_bind(&mut self, number: u16, bind: exchange::Bind) -> Result<(), AmqpError> {
        let binding = binding(bind.source, bind.destination, bind.routing_key, bind.arguments);
        self.may_bind(&binding)?;
        let id = self.id;
        let replayed = self.change_topology(|topology| topology.bind(binding, id))?;
        self.replayed(replayed);
        if !bind.no_wait {
            self.reply(number, &exchange::BindOk {});
        }
        Ok(())
    }

    pub(super) fn exchange_unbind(&mut self, number: u16, unbind: exchange::Unbind) -> Result<(), AmqpError> {
        let binding = binding(unbind.source, unbind.destination, unbind.routing_key, unbind.arguments);
        self.may_bind(&binding)?;
        let id = self.id;
        self.change_topology(|topology| topology.unbind(&binding, id))?;
        if !unbind.no_wait {
            self.reply(number, &exchange::UnbindOk {});
        }
        Ok(())
    }

    /// Asks for what a declaration needs: a new exchange with an alternate exchange needs the permission to write to that.
    fn may_declare_exchange(&mut self, name: &ShortString, arguments: &FieldTable) -> Result<(), AmqpError> {
        self.may(Permission::Configure, Resource::Exchange(name))?;
        if let Some(alternate) = arguments.get("alternate-exchange").and_then(|value| value.as_str_bytes())
            && self.vhost.read(|topology| topology.check_exchange(name).is_err())
        {
            self.may(Permission::Read, Resource::Exchange(name))?;
            self.may(Permission::Write, Resource::Exchange(alternate))?;
        }
        Ok(())
    }

    /// Asks for what `bind` and `unbind` need.
    pub(super) fn may_bind(&mut self, binding: &Binding) -> Result<(), AmqpError> {
        let destination = match &binding.destination {
            Destination::Queue(name) => Resource::Queue(name),
            Destination::Exchange(name) => Resource::Exchange(name),
        };
        self.may(Permission::Write, destination)?;
        refuse_default_exchange(&binding.source)?;
        if let Destination::Exchange(name) = &binding.destination {
            refuse_default_exchange(name)?;
        }
        self.may(Permission::Read, Resource::Exchange(&binding.source))?;
        self.may_use_topics(Permission::Read, &binding.source, [&*binding.key])
    }

    /// A new binding has brought messages from a history.
    pub(super) fn replayed(&mut self, Replayed { effects, deliveries }: Replayed) {
        self.turn.spend(deliveries);
        self.effects.append(effects);
        self.effects.read_deferred();
    }
}

/// A binding between two exchanges.
fn binding(
    source: ShortString,
    destination: ShortString,
    key: ShortString,
    arguments: FieldTable,
) -> Binding {
    let destination = Destination::Exchange(strip_line_ends(destination));
    Binding { source: strip_line_ends(source), destination, key, arguments }
}

/// RabbitMQ takes carriage returns and line feeds out of the names of exchanges and queues.
pub(super) fn strip_line_ends(name: ShortString) -> ShortString {
    if !name.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return name;
    }
    let kept: Vec<u8> = name.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    ShortString::try_from(kept).unwrap_or_default()
}
