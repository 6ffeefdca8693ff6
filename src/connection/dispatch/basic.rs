//! Class basic: consuming and getting (AMQP 1.8). Publishing and settling have files of their own.

use std::sync::Arc;

use crate::broker::{REPLY_TO, draw_name};
use crate::connection::session::{
    Session,
    permission::{Permission, Resource},
};
use crate::core::{
    error::{
        AmqpError, Named, access_refused, not_allowed, not_found, not_implemented, precondition_failed,
        resource_locked,
    },
    memory::{Held, Kind, entity_bytes},
    message::View,
    queue::{ConsumeError, ConsumerSpec, GetError, SharedQueue},
    topology::Declared,
    window::ReplyConsumer,
};
use crate::protocol::{FieldTable, ShortString, basic};

impl Session {
    pub(super) fn basic_qos(&mut self, number: u16, qos: &basic::Qos) -> Result<(), AmqpError> {
        if qos.prefetch_size != 0 {
            return Err(not_implemented(format!("prefetch_size!=0 ({})", qos.prefetch_size)));
        }
        let count = u32::from(qos.prefetch_count);
        if !qos.global {
            self.channel(number).tally.set_prefetch(count);
        }
        // As in RabbitMQ 3.x, a limit for new consumers also lifts the channel's own.
        if let Some(window) = self.outbox.lock().window(number) {
            window.limit_prefetch(if qos.global { count } else { 0 });
        }
        self.reply(number, &basic::QosOk {});
        self.feed(number);
        Ok(())
    }

    pub(super) fn basic_consume(&mut self, number: u16, consume: basic::Consume) -> Result<(), AmqpError> {
        if *consume.queue == *REPLY_TO.as_bytes() {
            return self.consume_replies(number, consume);
        }
        let tag = self.fresh_consumer_tag(number, consume.consumer_tag)?;
        let name = self.named_queue(number, &consume.queue)?;
        self.may(Permission::Read, Resource::Queue(&name))?;
        let queue = self.vhost.accessible_queue(&name, self.id)?;
        self.tell_of_unknown(Declared::Consumer, &name, &consume.arguments);
        let mut held = Held::new(&self.memory, Kind::Topology);
        held.try_set(entity_bytes(&consume.arguments))
            .map_err(|exceeded| precondition_failed(exceeded.to_string()))?;
        let spec = ConsumerSpec {
            held: Some(held),
            tag: tag.clone(),
            channel: number,
            outbox: self.outbox.clone(),
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            priority: priority(&consume.arguments, &self.queue_named(&name))?,
            prefetch: self.channel(number).tally.prefetch(),
            arguments: consume.arguments,
        };
        let timeout =
            spec.arguments.get("x-consumer-timeout").and_then(|asked| asked.as_i64()?.try_into().ok());
        let outbox = self.outbox.clone();
        let its_queue = queue.clone();
        let accepted = move |id| {
            let mut outbox = outbox.lock();
            if let Some(window) = outbox.window(number) {
                window.add_consumer(tag.clone(), (its_queue, id), timeout);
            }
            if !consume.no_wait {
                outbox.send(number, &basic::ConsumeOk { consumer_tag: tag });
            }
        };
        queue.consume(spec, &mut self.effects, accepted).map_err(|error| match error {
            ConsumeError::Gone => not_found(format!("no {}", self.queue_named(&name))),
            ConsumeError::InExclusiveUse => {
                access_refused(format!("{} in exclusive use", self.queue_named(&name)))
            }
        })
    }

    /// Direct reply-to: the pseudo-queue has one consumer for each channel, without acknowledgements.
    fn consume_replies(&mut self, number: u16, consume: basic::Consume) -> Result<(), AmqpError> {
        if !consume.no_ack {
            return Err(precondition_failed("reply consumer cannot acknowledge"));
        }
        let tag = self.fresh_consumer_tag(number, consume.consumer_tag)?;
        let occupied = self.outbox.lock().window(number).is_none_or(|window| window.reply.is_some());
        if occupied {
            return Err(precondition_failed("reply consumer already set"));
        }
        let address = self.broker.reply_consumers.register(&self.outbox, number);
        let mut outbox = self.outbox.lock();
        if let Some(window) = outbox.window(number) {
            window.reply = Some(Box::new(ReplyConsumer { tag: tag.clone(), token: address }));
        }
        if !consume.no_wait {
            outbox.send(number, &basic::ConsumeOk { consumer_tag: tag });
        }
        Ok(())
    }

    pub(super) fn basic_cancel(&mut self, number: u16, cancel: basic::Cancel) {
        let mut outbox = self.outbox.lock();
        let consumer = outbox.window(number).and_then(|window| window.remove_consumer(&cancel.consumer_tag));
        let reply = outbox.window(number).and_then(|window| {
            window.reply.take_if(|reply| reply.tag == cancel.consumer_tag).map(|reply| reply.token)
        });
        drop(outbox);
        if let Some(token) = reply {
            self.broker.reply_consumers.remove(&token);
        }
        let effects = &mut self.effects;
        let abandoned =
            consumer.and_then(|(source, id)| source.clone().cancel(id, effects).then_some(source));
        if !cancel.no_wait {
            self.reply(number, &basic::CancelOk { consumer_tag: cancel.consumer_tag });
        }
        if let Some(source) = abandoned {
            self.last_consumer_left(&source);
        }
    }

    pub(super) fn basic_get(&mut self, number: u16, get: &basic::Get) -> Result<(), AmqpError> {
        let name = self.named_queue(number, &get.queue)?;
        self.may(Permission::Read, Resource::Queue(&name))?;
        let queue = self.vhost.accessible_queue(&name, self.id)?;
        if !get.no_ack {
            let room = self.outbox.lock().window(number).map_or(Ok(()), |window| window.room());
            room.map_err(|exceeded| precondition_failed(exceeded.to_string()))?;
        }
        match self.take_one(number, &queue, get.no_ack) {
            Ok(()) => Ok(()),
            Err(GetError::Empty) => {
                let mut outbox = self.outbox.lock();
                if let Some(window) = outbox.window(number) {
                    window.count_get(true);
                }
                outbox.send(number, &basic::GetEmpty {});
                Ok(())
            }
            Err(GetError::SingleActiveConsumer) => Err(resource_locked(format!(
                "cannot obtain access to locked {}. basic.get operations are not supported by classic queues with \
                 single active consumer",
                self.queue_named(&name)
            ))),
        }
    }

    fn take_one(&mut self, number: u16, queue: &Arc<SharedQueue>, no_ack: bool) -> Result<(), GetError> {
        let Self { outbox, replies_full, effects, .. } = self;
        queue.get((number, no_ack), effects, |entry, shown, remaining| {
            let mut outbox = outbox.lock();
            let window = outbox.window(number)?;
            let delivery_tag = window.next_tag();
            if no_ack {
                window.count_get(false);
            }
            if entry.redelivered {
                window.count_redelivery();
            }
            let kept = entry.message.view();
            let view = shown.as_ref().map_or(kept, |(layout, image)| View::new(*layout, image));
            let answer = basic::GetOk {
                delivery_tag,
                redelivered: entry.redelivered,
                exchange: ShortString::try_from(view.exchange()).unwrap_or_default(),
                routing_key: ShortString::try_from(view.routing_key()).unwrap_or_default(),
                message_count: remaining as u32,
            };
            outbox.send_content(number, &answer, &view);
            *replies_full = outbox.over_reply_budget();
            if no_ack {
                return Some(entry);
            }
            drop(shown);
            outbox.window(number)?.hold(queue.handed_out(delivery_tag, None, entry));
            None
        })
    }

    /// The tag of a consumer that may come: what the client asked for, if the channel does not use it; one that we draw, if it asked
    /// for none. 530 if it uses it, or if the channel has as many consumers as it may, where one of direct reply-to does not
    /// count (RabbitMQ).
    fn fresh_consumer_tag(&mut self, number: u16, wanted: ShortString) -> Result<ShortString, AmqpError> {
        let (is_used, consumers) = self.outbox.lock().window(number).map_or((false, 0), |window| {
            let reply = window.reply.as_ref().is_some_and(|reply| reply.tag == wanted);
            (reply || window.consumer(&wanted).is_some(), window.consumers().len())
        });
        if is_used {
            return Err(not_allowed(format!("attempt to reuse consumer tag '{wanted}'")));
        }
        match self.broker.config.consumers_per_channel_max {
            Some(max) if consumers >= max as usize => {
                Err(not_allowed(format!("reached maximum ({max}) of consumers per channel")))
            }
            _ if wanted.is_empty() => Ok(draw_name("amq.ctag-")),
            _ => Ok(wanted),
        }
    }

    fn queue_named<'a>(&'a self, name: &'a [u8]) -> Named<'a> {
        Named { kind: "queue", name, vhost: &self.vhost.name }
    }
}

/// `x-priority` of a consumer: any integer type (RabbitMQ).
fn priority(arguments: &FieldTable, queue: &Named<'_>) -> Result<i32, AmqpError> {
    let Some(value) = arguments.get("x-priority") else { return Ok(0) };
    let number = value.as_i64().ok_or_else(|| {
        let kind = value.type_name();
        precondition_failed(format!("invalid arg 'x-priority' for {queue}: {{unacceptable_type,{kind}}}"))
    })?;
    Ok(number.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
}
