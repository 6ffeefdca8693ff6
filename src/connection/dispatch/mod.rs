//! What each method does: a file for each AMQP class. Handlers give an [`AmqpError`] for what RabbitMQ answers with a
//! close; channel or connection is closed by its code.
//!
//! A published message passes four files, each of which knows only those behind it: `publish` takes it and applies the
//! broker's `rules`, `routing` finds its way, `once`, `fan_out` and `enqueuing` put it into queues. Their verbs, in that order:
//! *publish*, *accept* (the rules allow it), *route* (find the way), *follow* (the way), *enqueue*, *delay* or *return*. To
//! *deliver* is what queues do for consumers.

mod basic;
mod channel;
mod clearing;
mod connection;
mod enqueuing;
mod exchange;
mod fan_out;
mod observed;
mod once;
mod publish;
mod queue;
mod routing;
mod rules;
mod settle;
mod tx;

use std::time::Instant;

use super::{session::Session, sparing::Sparing};
use crate::containment::own;
use crate::core::{
    error::{AmqpError, channel_error, command_invalid, frame_error, not_implemented},
    topology::{Declared, Unknown},
};
use crate::limits::{
    UNKNOWN_ARGUMENTS_LOGGED_MAX, UNKNOWN_ARGUMENTS_LOGGED_REFILL, UNKNOWN_ARGUMENTS_TOLD_MAX,
};
use crate::protocol::{
    ErlangBinary, FieldTable, Method, MethodError, RawFrame, ShortString, access, basic as basic_methods,
    channel as channel_methods,
};

impl Session {
    /// One method frame on an open connection. Whether it was handled: it is put off if something has to be found out first.
    pub(super) fn method_frame(&mut self, frame: &RawFrame<'_>) -> bool {
        let number = frame.channel;
        if number > 0 && self.channel_slot(number).is_some_and(|channel| channel.closing) {
            self.method_while_channel_closes(number, frame.payload);
            return true;
        }
        let method = match own(|| Method::decode(frame.payload)) {
            Ok(method) => method,
            Err(error) => {
                let (error, ids) = undecodable(frame.payload, error);
                self.fail(0, &error, ids);
                return true;
            }
        };
        let ids = method.ids();
        if let Err(error) = self.expect_method(number) {
            self.fail(number, &error, (basic_methods::CLASS_ID, basic_methods::Publish::METHOD_ID));
            return true;
        }
        let result = match number {
            0 => self.connection_method(&method),
            _ => self.channel_method(number, method),
        };
        match result {
            // That is no error.
            Err(_) if self.is_asking() => return false,
            Err(error) => self.fail(number, &error, ids),
            Ok(()) => {}
        }
        self.forget_what_was_found();
        true
    }

    /// No method may come between the frames of a message.
    fn expect_method(&mut self, number: u16) -> Result<(), AmqpError> {
        self.channel_slot(number).map_or(Ok(()), |channel| channel.assembly.expect_method())
    }

    /// Everything is ignored but the end of the channel (RabbitMQ).
    fn method_while_channel_closes(&mut self, number: u16, payload: &[u8]) {
        match payload.first_chunk() {
            Some([0, 20, 0, 41]) => drop(self.channels.remove(number)),
            Some([0, 20, 0, 40]) => self.reply(number, &channel_methods::CloseOk {}),
            Some([0, 20, 0, 10]) => {
                self.fail(number, &channel_error("second 'channel.open' seen"), (20, 10));
            }
            _ => {}
        }
    }

    /// Warns of arguments that mean nothing here, and names those that may have been meant. `name` is that of the queue or exchange.
    fn tell_of_unknown(&mut self, declared: Declared, name: &ShortString, arguments: &FieldTable) {
        for Unknown { name: argument, nearest } in
            declared.unknown(arguments).take(UNKNOWN_ARGUMENTS_TOLD_MAX)
        {
            let sparing = self.arguments_logged.get_or_insert_with(|| {
                Box::new(Sparing::new(UNKNOWN_ARGUMENTS_LOGGED_MAX, UNKNOWN_ARGUMENTS_LOGGED_REFILL))
            });
            let Some(left_out) = sparing.take(Instant::now()) else { return };
            tracing::warn!(
                parent: &self.span(),
                of = ?declared,
                ?name,
                argument = ?String::from_utf8_lossy(argument),
                nearest = nearest.unwrap_or("none"),
                left_out,
                "argument is not known and does nothing"
            );
        }
    }

    fn channel_method(&mut self, number: u16, method: Method) -> Result<(), AmqpError> {
        if let Method::ChannelOpen(_) = method {
            return self.open_channel(number);
        }
        if self.channel_slot(number).is_none() {
            return Err(channel_error("expected 'channel.open'"));
        }
        match method {
            Method::ChannelClose(_) => self.channel_close(number),
            Method::ChannelFlow(flow) => self.channel_flow(number, &flow)?,
            Method::AccessRequest(_) => self.reply(number, &access::RequestOk { ticket: 1 }),
            Method::ExchangeDeclare(declare) => self.exchange_declare(number, declare)?,
            Method::ExchangeDelete(delete) => self.exchange_delete(number, &delete)?,
            Method::ExchangeBind(bind) => self.exchange_bind(number, bind)?,
            Method::ExchangeUnbind(unbind) => self.exchange_unbind(number, unbind)?,
            Method::QueueDeclare(declare) => self.queue_declare(number, &declare)?,
            Method::QueueBind(bind) => self.queue_bind(number, bind)?,
            Method::QueueUnbind(unbind) => self.queue_unbind(number, unbind)?,
            Method::QueuePurge(purge) => self.queue_purge(number, &purge)?,
            Method::QueueDelete(delete) => self.queue_delete(number, &delete)?,
            Method::BasicQos(qos) => self.basic_qos(number, &qos)?,
            Method::BasicConsume(consume) => self.basic_consume(number, consume)?,
            Method::BasicCancel(cancel) => self.basic_cancel(number, cancel),
            Method::BasicPublish(publish) => self.begin_publish(number, &publish)?,
            Method::BasicGet(get) => self.basic_get(number, &get)?,
            Method::BasicAck(ack) => self.ack(number, ack.delivery_tag, ack.multiple)?,
            Method::BasicReject(reject) => self.reject(number, &reject)?,
            Method::BasicNack(nack) => self.nack(number, &nack)?,
            Method::BasicRecover(recover) => self.recover(number, recover.requeue, true)?,
            Method::BasicRecoverAsync(recover) => self.recover(number, recover.requeue, false)?,
            Method::ConfirmSelect(select) => self.confirm_select(number, &select)?,
            Method::TxSelect(_) => self.tx_select(number)?,
            Method::TxCommit(_) => self.tx_commit(number)?,
            Method::TxRollback(_) => self.tx_rollback(number)?,
            _ => return Err(command_invalid("unimplemented method")),
        }
        Ok(())
    }
}

/// What RabbitMQ says of a payload that is no method, and the method that it names.
fn undecodable(payload: &[u8], error: MethodError) -> (AmqpError, (u16, u16)) {
    match error {
        MethodError::UnknownMethod { class_id, method_id } => {
            (not_implemented(format!("unknown method {class_id}.{method_id}")), (class_id, method_id))
        }
        MethodError::Malformed { class_id, method_id } => {
            let arguments = ErlangBinary(payload.get(4..).unwrap_or_default());
            (frame_error(format!("cannot decode {arguments}")), (class_id, method_id))
        }
    }
}
