//! A consumer: reads as much as there is, counts deliveries, acknowledges them once for each read.
//!
//! The hot path looks at no more of a delivery than its tag, the size of its body and the body's first octets; all
//! deliveries of one read share one time of arrival.

use std::sync::Arc;

use super::batch::{STAMP_BYTES, due_time_ns};
use super::clock::Pace;
use super::plan::Consuming;
use super::stats::ConsumerStats;
use super::worker::Context;
use crate::cli::amqp::client::{CHANNEL, CLOSE_TIMEOUT, Client, goodbye, refuse_close, write_all};
use crate::cli::amqp::error::Error;
use crate::cli::amqp::inbox::Inbox;
use crate::cli::amqp::stream::Stream;
use crate::protocol::{
    ContentHeader, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, Method, RawFrame, ShortString, basic, write_method,
};

/// A connection with a subscription.
pub(super) struct Consumer {
    stream: Stream,
    inbox: Inbox,
    deliveries: Deliveries,
}

impl Consumer {
    /// Subscribes on a logged-in connection. Deliveries wait in the socket until [`run`](Self::run).
    pub(super) fn new(
        mut client: Client,
        context: Context,
        plan: &Consuming,
        queue: ShortString,
        stats: Arc<ConsumerStats>,
    ) -> Result<Self, Error> {
        client.open_channel()?;
        if plan.prefetch > 0 {
            let qos = basic::Qos { prefetch_count: plan.prefetch, ..Default::default() };
            client.call(&qos, "basic.qos")?;
        }
        let consume = basic::Consume { queue, no_ack: plan.ack_every.is_none(), ..Default::default() };
        client.call(&consume, "basic.consume")?;
        let (stream, inbox) = client.into_parts()?;
        Ok(Self { stream, inbox, deliveries: Deliveries::new(context, plan.clone(), stats) })
    }

    /// Consumes until the run stops, or has delivered what was asked for.
    pub(super) fn run(mut self) -> Result<(), Error> {
        self.deliveries.pace =
            self.deliveries.plan.rate.map(|rate| Pace::new(self.deliveries.context.clock.now_ns(), rate));
        let mut may_fill = false; // what came behind consume-ok is in the inbox already
        while !self.deliveries.is_done() {
            if may_fill && !self.inbox.fill(&self.stream)? {
                continue;
            }
            may_fill = true;
            self.deliveries.now_ns = self.deliveries.context.clock.now_ns();
            while let Some(frame) = self.inbox.next()? {
                self.deliveries.handle(&frame)?;
                if self.deliveries.is_due_for_writing() && !self.write_acks()? {
                    return Ok(());
                }
            }
            if !self.write_acks()? {
                return Ok(());
            }
        }
        self.deliveries.ack_rest();
        self.say_goodbye()
    }

    fn write_acks(&mut self) -> Result<bool, Error> {
        self.deliveries.flush();
        let written = write_all(&self.stream, &self.deliveries.acks, &self.deliveries.context.stop);
        self.deliveries.acks.clear();
        written
    }

    fn say_goodbye(mut self) -> Result<(), Error> {
        write_method(&mut self.deliveries.acks, 0, &goodbye());
        if !self.write_acks()? {
            return Ok(());
        }
        let start = std::time::Instant::now();
        while start.elapsed() < CLOSE_TIMEOUT {
            // Deliveries that were under way come first; any end is good enough.
            while let Ok(Some(frame)) = self.inbox.next() {
                if frame.kind == FRAME_METHOD && frame.channel == 0 {
                    return Ok(());
                }
            }
            if self.inbox.fill(&self.stream).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// What is known of the delivery whose frames are coming in.
enum Assembly {
    /// Nothing: a method comes next.
    Idle,
    /// Its tag: a content header comes next.
    Header { tag: u64 },
    /// Its tag and how much of the body is missing. `is_first` until the first body frame.
    Body { tag: u64, missing: u64, is_first: bool },
}

struct Deliveries {
    context: Context,
    plan: Consuming,
    stats: Arc<ConsumerStats>,
    assembly: Assembly,
    pace: Option<Pace>,
    now_ns: u64,
    received: u64,
    uncounted: u64,
    unacked: u32,
    last_tag: u64,
    latencies: Vec<u64>,
    acks: Vec<u8>,
}

impl Deliveries {
    fn new(context: Context, plan: Consuming, stats: Arc<ConsumerStats>) -> Self {
        Self {
            context,
            plan,
            stats,
            assembly: Assembly::Idle,
            pace: None,
            now_ns: 0,
            received: 0,
            uncounted: 0,
            unacked: 0,
            last_tag: 0,
            latencies: Vec::new(),
            acks: Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.context.stopped() || self.has_all()
    }

    fn has_all(&self) -> bool {
        self.plan.messages.is_some_and(|messages| self.received >= messages)
    }

    /// With a rate each delivery is on its own; else acks are gathered.
    fn is_due_for_writing(&self) -> bool {
        self.acks.len() >= WRITE_BYTES_MAX || (self.pace.is_some() && self.uncounted > 0)
    }

    #[inline]
    fn handle(&mut self, frame: &RawFrame<'_>) -> Result<(), Error> {
        match (&mut self.assembly, frame.kind) {
            (Assembly::Idle, FRAME_METHOD) => self.handle_method(frame.payload)?,
            (Assembly::Header { tag }, FRAME_HEADER) => {
                let missing = body_size(frame.payload)?;
                let tag = *tag;
                self.assembly = Assembly::Body { tag, missing, is_first: true };
                if missing == 0 {
                    self.complete(tag);
                }
            }
            (Assembly::Body { tag, missing, is_first }, FRAME_BODY) => {
                let tag = *tag;
                *missing = missing.saturating_sub(frame.payload.len() as u64);
                let is_complete = *missing == 0;
                if std::mem::take(is_first) {
                    self.note_latency(frame.payload);
                }
                if is_complete {
                    self.complete(tag);
                }
            }
            (_, FRAME_METHOD) if frame.channel == 0 => self.handle_method(frame.payload)?,
            (_, FRAME_METHOD) => {
                refuse_close(Method::decode(frame.payload)?)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_method(&mut self, payload: &[u8]) -> Result<(), Error> {
        if let Some(tag) = delivery_tag(payload) {
            self.assembly = Assembly::Header { tag };
            return Ok(());
        }
        match refuse_close(Method::decode(payload)?)? {
            Method::BasicCancel(_) => Err(Error::ConsumerCancelled),
            _ => Ok(()),
        }
    }

    fn note_latency(&mut self, body: &[u8]) {
        let head = &body[..body.len().min(STAMP_BYTES)];
        if let Some(due_ns) = due_time_ns(head, self.context.run_id).filter(|due_ns| *due_ns <= self.now_ns) {
            self.latencies.push(self.now_ns - due_ns);
        }
    }

    fn complete(&mut self, tag: u64) {
        self.assembly = Assembly::Idle;
        if self.has_all() {
            return;
        }
        if let Some(pace) = self.pace {
            self.context.sleep_until(pace.due_ns(self.received));
            self.now_ns = self.context.clock.now_ns();
        }
        self.received += 1;
        self.uncounted += 1;
        self.last_tag = tag;
        self.unacked += 1;
        if self.plan.ack_every.is_some_and(|every| self.unacked >= every) {
            self.ack();
        }
    }

    fn ack(&mut self) {
        let ack = basic::Ack { delivery_tag: self.last_tag, multiple: self.unacked > 1 };
        write_method(&mut self.acks, CHANNEL, &ack);
        self.unacked = 0;
    }

    fn ack_rest(&mut self) {
        if self.plan.ack_every.is_some() && self.unacked > 0 {
            self.ack();
        }
    }

    fn flush(&mut self) {
        if self.uncounted > 0 {
            self.stats.received.add(std::mem::take(&mut self.uncounted), self.now_ns);
            self.stats.latency.record(&mut self.latencies);
        }
    }
}

/// The tag, if the method is `basic.deliver`: behind class, method and the consumer's tag.
#[inline]
fn delivery_tag(payload: &[u8]) -> Option<u64> {
    let arguments = payload.strip_prefix(&DELIVER)?;
    let (&size, rest) = arguments.split_first()?;
    rest.get(usize::from(size)..)?.first_chunk().map(|tag| u64::from_be_bytes(*tag))
}

#[inline]
fn body_size(payload: &[u8]) -> Result<u64, Error> {
    Ok(ContentHeader::parse(payload).map_err(|_| Error::Unexpected("a broken content header"))?.body_size)
}

const DELIVER: [u8; 4] = [0, basic::CLASS_ID as u8, 0, basic::Deliver::METHOD_ID as u8];
const WRITE_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Encode;

    #[test]
    fn the_tag_of_a_delivery_stands_behind_the_consumers_tag() {
        let deliver = basic::Deliver {
            consumer_tag: ShortString::from_static("amq.ctag-1"),
            delivery_tag: 0x0102_0304_0506_0708,
            redelivered: false,
            exchange: ShortString::from_static("e"),
            routing_key: ShortString::from_static("k"),
        };
        let mut payload = Vec::new();
        deliver.encode(&mut payload);
        assert_eq!(delivery_tag(&payload), Some(deliver.delivery_tag));
        assert_eq!(delivery_tag(&payload[..12]), None);
        payload.clear();
        basic::Cancel::default().encode(&mut payload);
        assert_eq!(delivery_tag(&payload), None);
    }
}
