//! Sessions without sockets, for fuzz targets and mutation tests.
//!
//! A [`Stage`] is a broker; a [`Client`] is one connection of it behind the handshake, fed with bytes in any pieces and
//! drained as a socket would drain it. [`Step`]s are what a client may do next, as plain numbers, so that a fuzzer can
//! derive them and a seeded generator can draw them; [`write_session`] makes a client's bytes of them and
//! [`Mutation`]s spoil those bytes.
//!
//! Not part of the broker: compiled for tests and under the feature `fuzzing` only.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use super::{
    channel::Channel,
    session::{Negotiated, Phase, Session},
};
use crate::broker::{Broker, ConnectionInfo, REPLY_TO, Vhost};
use crate::config::{Config, Settings};
use crate::core::{
    ConnectionId,
    outbox::{Outbox, SharedOutbox},
    queue::feed_all,
};
use crate::limits::LEFTOVER_BYTES_MAX;
use crate::protocol::{
    Encode, FieldTable, FieldValue, HEARTBEAT_FRAME, Properties, ShortString, access, basic, channel,
    confirm, connection, exchange, frame, queue, tx,
};

/// A broker with the default configuration.
pub struct Stage {
    broker: Arc<Broker>,
    vhost: Arc<Vhost>,
}

/// What is left on a stage when all clients have gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remains {
    /// Bytes on the gauge after all queues were deleted.
    pub used_bytes: usize,
    /// Messages that queues thought unacknowledged when nobody was there.
    pub unacked: usize,
    /// Consumers that queues still had.
    pub consumers: usize,
    /// Queues that could not be deleted.
    pub queues: usize,
    /// Connections that the broker still knew.
    pub connections: usize,
}

impl Default for Stage {
    fn default() -> Self {
        let config = Config::load(Settings::default()).expect("the defaults are valid");
        let broker = Arc::new(Broker::new(config));
        let vhost = broker.vhost(&broker.config.default_vhost).expect("the default virtual host is there");
        Self { broker, vhost }
    }
}

impl Stage {
    /// A connection that has been opened.
    pub fn client(&self) -> Client {
        let user = ShortString::from_static("guest");
        let info = ConnectionInfo {
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            user: user.clone(),
            client_properties: FieldTable::new(),
        };
        let id = self.broker.connected(info);
        let config = &self.broker.config;
        let negotiated = Negotiated {
            vhost: self.vhost.clone(),
            user,
            frame_max: config.frame_max,
            channel_max: config.channel_max,
        };
        let frame_bytes_max = config.frame_max as usize;
        let outbox: SharedOutbox = Arc::new(Mutex::new(Outbox::new(frame_bytes_max, true)));
        let session = Session::new(self.broker.clone(), id, negotiated, outbox.clone());
        Client { session, id, outbox, frame_bytes_max, unread: Vec::new(), spare: Vec::new() }
    }

    /// Queues that there are.
    pub fn queue_count(&self) -> usize {
        self.vhost.read(|topology| topology.queues().count())
    }

    /// Bytes on the gauge.
    pub fn used_bytes(&self) -> usize {
        self.broker.gauge.used_bytes()
    }

    /// Deletes all that clients made, once they are gone, and tells what should not have been left.
    pub fn clear(&self) -> Remains {
        let mut remains = Remains { connections: self.broker.connection_count(), ..Remains::default() };
        let queues: Vec<_> = self.vhost.read(|topology| topology.queues().cloned().collect());
        for queue in queues {
            let status = queue.status();
            remains.unacked += status.unacked;
            remains.consumers += status.consumers;
            drop(self.vhost.change(|topology| topology.expire_queue(&queue, |_| true)));
        }
        self.vhost.change(|topology| {
            let names: Vec<_> = topology.exchanges().map(|spec| spec.name.clone()).collect();
            for name in names {
                // The exchanges that every virtual host has refuse, and should.
                let _built_in = topology.delete_exchange(&name, false);
            }
        });
        remains.queues = self.queue_count();
        remains.used_bytes = self.used_bytes();
        remains
    }
}

/// One connection of a [`Stage`].
pub struct Client {
    session: Session,
    id: ConnectionId,
    outbox: SharedOutbox,
    frame_bytes_max: usize,
    unread: Vec<u8>,
    spare: Vec<u8>,
}

impl Client {
    /// Lets the session handle `bytes` behind what it has left over; false once the connection is over.
    ///
    /// # Panics
    ///
    /// If the session takes more than there is, leaves over more than a reader may have to keep, or makes the
    /// gauge fall below zero.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        while self.outbox.lock().over_reply_budget() {
            self.drain();
        }
        self.unread.extend_from_slice(bytes);
        let used = self.session.handle(&self.unread);
        self.unread.drain(..used);
        let _publishers_would_pause = std::mem::take(&mut self.session.congested);
        let open = self.session.phase != Phase::Closed;
        let kept_bytes_max = LEFTOVER_BYTES_MAX.max(self.frame_bytes_max + frame::FRAME_OVERHEAD_BYTES);
        assert!(!open || self.unread.len() <= kept_bytes_max, "the session waits for more than a frame");
        assert!(self.session.broker.gauge.used_bytes() < usize::MAX / 2, "the gauge is below zero");
        open
    }

    /// Answers `channel.close` as a client does that goes on: `channel.close-ok`, then the channel is opened again. Does
    /// nothing in the middle of a frame.
    pub fn reopen_channels(&mut self) {
        if !self.unread.is_empty() || self.session.phase != Phase::Open {
            return;
        }
        let closing =
            |(_, channel): &(usize, &Option<Box<Channel>>)| channel.as_ref().is_some_and(|it| it.closing);
        let numbers: Vec<_> =
            self.session.channels.iter().enumerate().filter(closing).map(|(at, _)| at).collect();
        let mut answer = Vec::new();
        for number in numbers {
            frame::write_method(&mut answer, number as u16, &channel::CloseOk {});
            frame::write_method(&mut answer, number as u16, &channel::Open {});
        }
        self.feed(&answer);
    }

    /// Takes what waits for the client, as its socket would: one buffer.
    pub fn drain(&mut self) -> Vec<u8> {
        let mut context = Context::from_waker(Waker::noop());
        let taken = self.outbox.lock().poll_take(&mut self.spare, &mut context);
        if taken != Poll::Ready(true) {
            return Vec::new();
        }
        let bytes = std::mem::take(&mut self.spare);
        let (starved, _reader) = self.outbox.lock().written(&mut self.spare, 0);
        feed_all(starved);
        bytes
    }

    /// Ends the connection: everything that it holds goes back.
    pub fn leave(mut self) {
        self.session.release_everything();
        let _writer = self.outbox.lock().close();
        self.session.broker.disconnected(self.id);
    }

    /// Ends the connection and clears the stage, on which it must be the last one: gives the bytes on the gauge,
    /// which must be none.
    pub fn finish(self, stage: &Stage) -> usize {
        self.leave();
        stage.clear().used_bytes
    }
}

/// Something that a client does: numbers that [`write_session`] reads as a method and its fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Which method, or which group of frames.
    pub what: u8,
    /// Channel, mostly one of the three that are open.
    pub channel: u8,
    /// Queue, from a few.
    pub queue: u8,
    /// Exchange, from a few.
    pub exchange: u8,
    /// Routing key, consumer tag, kind of properties.
    pub key: u8,
    /// The method's bits.
    pub bits: u8,
    /// Delivery tag, size or count.
    pub number: u16,
}

/// How many different things [`Step::what`] means.
pub const STEP_KINDS: u8 = 40;

/// Appends a client's bytes from behind the handshake: opens three channels, makes some queues and exchanges, then
/// takes the steps.
pub fn write_session(steps: &[Step], out: &mut Vec<u8>) {
    for number in 1..=3 {
        frame::write_method(out, number, &channel::Open {});
    }
    for name in ["q0", "q1", "q2"] {
        let queue = ShortString::from_static(name);
        frame::write_method(out, 1, &queue::Declare { queue, no_wait: true, ..queue::Declare::default() });
    }
    for (name, kind) in [("x0", "fanout"), ("x1", "topic"), ("x2", "headers")] {
        let (exchange, type_) = (ShortString::from_static(name), ShortString::from_static(kind));
        let declare = exchange::Declare { exchange, type_, no_wait: true, ..exchange::Declare::default() };
        frame::write_method(out, 1, &declare);
    }
    for step in steps {
        step.write(out);
    }
}

const QUEUES: &[&str] =
    &["q0", "q1", "q2", "", "q0", "q1", "q2", "q0", "q1", "q2", "q0", "q1", "q2", "q\r\n3"];
const EXCHANGES: &[&str] =
    &["x0", "x1", "x2", "amq.direct", "amq.fanout", "amq.topic", "amq.headers", "x0", "x1"];
const KINDS: &[&str] = &["direct", "fanout", "topic", "headers"];
const KEYS: &[&str] = &["q0", "q1", "q2", "q0", "q1", "q2", "a.b", "a.#", "*.b", "#", "q0", ""];

impl Step {
    fn write(&self, out: &mut Vec<u8>) {
        match self.what % STEP_KINDS {
            0..=6 => self.write_queue(out),
            7..=10 => self.write_exchange(out),
            11..=18 => self.write_publish(out),
            19..=30 => self.write_basic(out),
            _ => self.write_other(out),
        }
    }

    fn write_queue(&self, out: &mut Vec<u8>) {
        let queue = pick(QUEUES, self.queue);
        match self.what % STEP_KINDS {
            0..=2 => {
                let plain = self.what % STEP_KINDS != 2;
                let declare = queue::Declare {
                    queue,
                    passive: !plain && self.bit(0),
                    durable: !plain && self.bit(1),
                    exclusive: !plain && self.bit(2),
                    auto_delete: !plain && self.bit(3),
                    no_wait: self.bit(4),
                    arguments: if plain { FieldTable::new() } else { self.queue_arguments() },
                };
                self.method(out, &declare);
            }
            3 => self.method(
                out,
                &queue::Bind {
                    queue,
                    exchange: self.exchange(),
                    routing_key: pick(KEYS, self.key),
                    no_wait: self.bit(0),
                    arguments: self.binding_arguments(),
                },
            ),
            4 => self.method(
                out,
                &queue::Unbind {
                    queue,
                    exchange: self.exchange(),
                    routing_key: pick(KEYS, self.key),
                    arguments: self.binding_arguments(),
                },
            ),
            5 => self.method(out, &queue::Purge { queue, no_wait: self.bit(0) }),
            _ => {
                let (if_unused, if_empty, no_wait) = (self.bit(0), self.bit(1), self.bit(2));
                self.method(out, &queue::Delete { queue, if_unused, if_empty, no_wait });
            }
        }
    }

    fn write_exchange(&self, out: &mut Vec<u8>) {
        let name = self.exchange();
        let (destination, routing_key) = (pick(EXCHANGES, self.queue), pick(KEYS, self.key));
        let (no_wait, arguments) = (self.bit(0), self.binding_arguments());
        match self.what % STEP_KINDS {
            7 => self.method(
                out,
                &exchange::Declare {
                    exchange: name,
                    type_: pick(KINDS, self.key),
                    passive: self.bits & 0b111 == 0b111,
                    durable: self.bit(3),
                    auto_delete: self.bit(4),
                    internal: self.bits & 0b110_0000 == 0b110_0000,
                    no_wait,
                    arguments: self.exchange_arguments(),
                },
            ),
            8 => self.method(out, &exchange::Delete { exchange: name, if_unused: self.bit(1), no_wait }),
            9 => self
                .method(out, &exchange::Bind { destination, source: name, routing_key, no_wait, arguments }),
            _ => {
                self.method(
                    out,
                    &exchange::Unbind { destination, source: name, routing_key, no_wait, arguments },
                );
            }
        }
    }

    fn write_publish(&self, out: &mut Vec<u8>) {
        let publish = basic::Publish {
            exchange: if self.key < 128 { ShortString::new() } else { self.exchange() },
            routing_key: pick(KEYS, self.key),
            mandatory: self.bit(0),
            immediate: self.bits == 0xFF,
        };
        let mut properties = Vec::new();
        self.properties().encode(&mut properties);
        let body = vec![self.bits; usize::from(self.number) % 300];
        let announced = body.len() as u64;
        let number = self.number();
        let repeated = if self.what % STEP_KINDS < 15 { 1 + usize::from(self.bits >> 5) } else { 1 };
        for _ in 0..repeated {
            self.method(out, &publish);
            if self.what % STEP_KINDS == 18 && self.bits > 240 {
                return; // only the method: what follows finds the channel waiting for content
            }
            if self.what % STEP_KINDS >= 17 {
                out.extend_from_slice(&HEARTBEAT_FRAME); // in between: the message is put together frame by frame
            }
            frame::write_header(out, number, basic::CLASS_ID, announced, &properties);
            if self.what % STEP_KINDS == 16 {
                for piece in body.chunks(100) {
                    frame::write_frame(out, frame::FRAME_BODY, number, &[]);
                    frame::write_frame(out, frame::FRAME_BODY, number, piece);
                }
            } else {
                frame::write_bodies(out, number, &body, 4096);
            }
        }
    }

    fn write_basic(&self, out: &mut Vec<u8>) {
        let queue = pick(QUEUES, self.queue);
        let delivery_tag = match self.number {
            0..0x8000 => 0,
            number @ 0x8000..0xE000 => 1 + u64::from(number % 4),
            number @ 0xE000..0xFFF0 => u64::from(number % 32),
            0xFFF0.. => u64::MAX,
        };
        let (multiple, requeue) = (self.bit(0) || delivery_tag == 0, self.bit(1));
        match self.what % STEP_KINDS {
            19..=21 => self.method(
                out,
                &basic::Consume {
                    queue: if self.bits == 0b1111 { ShortString::from_static(REPLY_TO) } else { queue },
                    consumer_tag: if self.bit(7) { ShortString::new() } else { self.consumer_tag() },
                    no_local: false,
                    no_ack: self.bit(0),
                    exclusive: self.bits & 0b1_1000 == 0b1_1000,
                    no_wait: self.bit(2),
                    arguments: self.consumer_arguments(),
                },
            ),
            22 => {
                let no_wait = self.bit(0);
                self.method(out, &basic::Cancel { consumer_tag: self.consumer_tag(), no_wait });
            }
            23 | 24 => self.method(out, &basic::Get { queue, no_ack: self.bit(0) }),
            25 | 26 => self.method(out, &basic::Ack { delivery_tag, multiple }),
            27 => self.method(out, &basic::Nack { delivery_tag, multiple, requeue }),
            28 => self.method(out, &basic::Reject { delivery_tag: delivery_tag.max(1), requeue }),
            29 if self.bit(7) => self.method(out, &basic::RecoverAsync { requeue: self.bits != 0xFF }),
            29 => self.method(out, &basic::Recover { requeue: true }),
            _ => self.method(
                out,
                &basic::Qos {
                    prefetch_size: u32::from(self.bits == 0xFF),
                    prefetch_count: self.number % 4,
                    global: self.bit(0),
                },
            ),
        }
    }

    fn write_other(&self, out: &mut Vec<u8>) {
        match self.what % STEP_KINDS {
            31 => self.method(out, &confirm::Select { no_wait: self.bit(0) }),
            32 => self.method(out, &tx::Select {}),
            33 | 34 => {
                if self.bits > 3 {
                    self.method(out, &tx::Select {});
                }
                match self.what % STEP_KINDS {
                    33 => self.method(out, &tx::Commit {}),
                    _ => self.method(out, &tx::Rollback {}),
                }
            }
            35 => self.method(out, &channel::Flow { active: self.bits != 0xFF }),
            36 => out.extend_from_slice(&HEARTBEAT_FRAME),
            37 if self.bits < 8 => {
                let close = connection::Close { reply_code: 200, ..connection::Close::default() };
                frame::write_method(out, 0, &close);
            }
            37 => self.method(out, &access::Request::default()),
            38 => {
                // A request, as direct reply-to has it.
                let queue = ShortString::from_static(REPLY_TO);
                self.method(out, &basic::Consume { queue, no_ack: true, ..basic::Consume::default() });
                Self { what: 11, queue: 80, ..*self }.write_publish(out);
            }
            _ if self.bits < 200 => self.method(out, &basic::Recover { requeue: true }),
            _ => {
                self.method(out, &channel::Close { reply_code: 200, ..channel::Close::default() });
                self.method(out, &channel::Open {});
            }
        }
    }

    fn properties(&self) -> Properties {
        let short = |text: &'static str| Some(ShortString::from_static(text));
        let keys = || FieldValue::Array(vec!["q1".into(), "a.b".into(), FieldValue::Void]);
        let mut properties = Properties::default();
        match self.queue {
            0..16 => properties.delivery_mode = Some(2),
            16..32 => properties.headers = Some(FieldTable::new().with("CC", keys())),
            32..48 => properties.headers = Some(FieldTable::new().with("BCC", keys()).with("a", 1)),
            48..64 => properties.headers = Some(FieldTable::new().with("a", 1).with("b", "x")),
            64..72 => properties.expiration = short("60000"),
            72..80 => properties.user_id = short("guest"),
            80..82 => properties.reply_to = short(REPLY_TO),
            82..96 => {
                properties.priority = Some(self.bits);
                properties.timestamp = Some(self.number.into());
                properties.message_id = short("m");
            }
            96 => properties.headers = Some(FieldTable::new().with("CC", "no array")),
            97 => properties.expiration = short("-1"),
            98 => properties.user_id = short("somebody"),
            _ => {}
        }
        properties
    }

    fn queue_arguments(&self) -> FieldTable {
        match self.number % 16 {
            0..=3 => FieldTable::new().with("x-single-active-consumer", true),
            4 => FieldTable::new().with("x-expires", i32::from(self.bits)),
            5 => FieldTable::new().with("x-message-ttl", -1),
            6 if self.bits > 240 => FieldTable::new().with("x-max-length", 1),
            7 => FieldTable::new().with("x-name-prefix", "p."),
            _ => FieldTable::new(),
        }
    }

    fn exchange_arguments(&self) -> FieldTable {
        match self.number % 8 {
            0 => FieldTable::new().with("alternate-exchange", "x1"),
            1 => FieldTable::new().with("alternate-exchange", ""),
            2 => FieldTable::new().with("alternate-exchange", true),
            _ => FieldTable::new(),
        }
    }

    fn binding_arguments(&self) -> FieldTable {
        match self.number % 8 {
            0 => FieldTable::new().with("a", 1).with("x-match", "any"),
            1 => FieldTable::new().with("x-match", "any").with("a", 1),
            2 => FieldTable::new().with("a", FieldValue::F64(f64::NAN)),
            3 => FieldTable::new().with("x-match", 1),
            _ => FieldTable::new(),
        }
    }

    fn consumer_arguments(&self) -> FieldTable {
        match self.number % 8 {
            0 => FieldTable::new().with("x-priority", i32::from(self.bits) - 128),
            1 => FieldTable::new().with("x-priority", "high"),
            _ => FieldTable::new(),
        }
    }

    /// Mostly one that is there and can be bound.
    fn exchange(&self) -> ShortString {
        match self.exchange {
            254 => ShortString::new(),
            255 => ShortString::from_static("nowhere"),
            number => pick(EXCHANGES, number),
        }
    }

    fn consumer_tag(&self) -> ShortString {
        ShortString::try_from(format!("c{}", self.key % 16)).expect("a few letters are short")
    }

    fn number(&self) -> u16 {
        match self.channel {
            0..=150 => 1,
            151..=220 => 2,
            // Mistakes that end the connection are rare.
            253 if self.bits > 240 => 0,
            254 if self.bits > 240 => 4,
            255 if self.bits > 240 => u16::MAX,
            _ => 3,
        }
    }

    fn bit(&self, bit: u8) -> bool {
        self.bits >> bit & 1 == 1
    }

    fn method(&self, out: &mut Vec<u8>, method: &impl Encode) {
        frame::write_method(out, self.number(), method);
    }
}

fn pick(names: &[&'static str], number: u8) -> ShortString {
    ShortString::from_static(names[usize::from(number) % names.len()])
}

/// A change of a session's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mutation {
    /// What happens.
    pub what: u8,
    /// Where, modulo the length.
    pub at: u16,
    /// How many bytes it concerns, or what is put there.
    pub value: u8,
}

impl Mutation {
    /// Carries it out.
    pub fn apply(self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = usize::from(self.at) % bytes.len();
        let end = (at + usize::from(self.value)).min(bytes.len());
        match self.what % 8 {
            0 => bytes[at] ^= 1 << (self.value & 7),
            1 => bytes[at] = self.value,
            2 => bytes.insert(at, self.value),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.truncate(at),
            5 => bytes.extend_from_within(at..end),
            6 => bytes[at] = bytes[at].wrapping_add(1),
            _ => bytes[at..end].reverse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Method, split};

    impl Client {
        fn send(&mut self, channel: u16, method: &impl Encode) {
            let mut bytes = Vec::new();
            frame::write_method(&mut bytes, channel, method);
            assert!(self.feed(&bytes));
        }

        fn publish(&mut self, channel: u16, exchange: &'static str, key: &'static str, body: &[u8]) {
            let mut bytes = Vec::new();
            let (exchange, routing_key) = (ShortString::from_static(exchange), ShortString::from_static(key));
            let publish = basic::Publish { exchange, routing_key, ..basic::Publish::default() };
            frame::write_method(&mut bytes, channel, &publish);
            frame::write_header(&mut bytes, channel, basic::CLASS_ID, body.len() as u64, &[0, 0]);
            frame::write_bodies(&mut bytes, channel, body, self.frame_bytes_max);
            assert!(self.feed(&bytes));
        }

        /// Bodies of what is delivered.
        fn bodies(&mut self) -> Vec<Vec<u8>> {
            let bytes = self.drain();
            let mut rest = &*bytes;
            let mut bodies = Vec::new();
            while let Some((it, size)) = split(rest, self.frame_bytes_max).unwrap() {
                if it.kind == frame::FRAME_BODY {
                    bodies.push(it.payload.to_vec());
                }
                rest = &rest[size..];
            }
            bodies
        }

        fn methods(&mut self) -> Vec<Method> {
            let bytes = self.drain();
            let mut rest = &*bytes;
            let mut methods = Vec::new();
            while let Some((it, size)) = split(rest, self.frame_bytes_max).unwrap() {
                if it.kind == frame::FRAME_METHOD {
                    methods.push(Method::decode(it.payload).unwrap());
                }
                rest = &rest[size..];
            }
            methods
        }

        fn declare(&mut self, name: &'static str, declare: queue::Declare) {
            self.send(1, &queue::Declare { queue: ShortString::from_static(name), ..declare });
        }

        fn consume(&mut self, name: &'static str, tag: &'static str) {
            let (queue, consumer_tag) = (ShortString::from_static(name), ShortString::from_static(tag));
            self.send(1, &basic::Consume { queue, consumer_tag, ..basic::Consume::default() });
        }
    }

    fn opened(stage: &Stage) -> Client {
        let mut client = stage.client();
        client.send(1, &channel::Open {});
        client
    }

    fn nothing_remains(stage: &Stage) {
        assert_eq!(stage.clear(), Remains::default());
    }

    #[test]
    fn a_single_active_consumers_successor_gets_what_the_channel_held_first() {
        let stage = Stage::default();
        let (mut active, mut next) = (opened(&stage), opened(&stage));
        let arguments = FieldTable::new().with("x-single-active-consumer", true);
        active.declare("q", queue::Declare { arguments, ..queue::Declare::default() });
        active.send(1, &basic::Qos { prefetch_count: 2, ..basic::Qos::default() });
        active.consume("q", "active");
        next.consume("q", "next");
        for body in [b"1", b"2", b"3", b"4"] {
            next.publish(1, "", "q", body);
        }
        assert_eq!(active.bodies(), [b"1", b"2"]);
        active.leave();
        assert_eq!(next.bodies(), [b"1", b"2", b"3", b"4"]);
        next.leave();
        nothing_remains(&stage);
    }

    #[test]
    fn a_commit_that_fails_gives_back_what_the_transaction_had_settled() {
        for how in 0..3 {
            let stage = Stage::default();
            let mut client = opened(&stage);
            client.declare("q", queue::Declare::default());
            let (exchange, type_) = (ShortString::from_static("x"), ShortString::from_static("fanout"));
            client.send(1, &exchange::Declare { exchange, type_, ..exchange::Declare::default() });
            client.publish(1, "", "q", b"held");
            client.send(1, &tx::Select {});
            client.send(1, &basic::Get { queue: ShortString::from_static("q"), no_ack: false });
            client.publish(1, "x", "", b"goes nowhere");
            let (delivery_tag, requeue) = (1, how == 2);
            match how {
                0 => client.send(1, &basic::Ack { delivery_tag, multiple: false }),
                _ => client.send(1, &basic::Reject { delivery_tag, requeue }),
            }
            client.send(
                1,
                &exchange::Delete { exchange: ShortString::from_static("x"), ..exchange::Delete::default() },
            );
            client.send(1, &tx::Commit {});
            let last = client.methods().pop().unwrap();
            assert!(matches!(&last, Method::ChannelClose(close) if close.reply_code == 404), "{last:?}");
            let queue = stage.vhost.read(|topology| topology.queue(b"q").unwrap().clone());
            assert_eq!((queue.status().ready, queue.status().unacked), (1, 0));
            client.leave();
            drop(queue);
            nothing_remains(&stage);
        }
    }

    #[test]
    fn settling_nothing_leaves_nothing_in_a_transaction() {
        let stage = Stage::default();
        let mut client = opened(&stage);
        client.send(1, &tx::Select {});
        for _ in 0..100 {
            client.send(1, &basic::Ack { delivery_tag: 0, multiple: true });
            client.send(1, &basic::Nack { delivery_tag: 0, multiple: true, requeue: true });
        }
        let crate::connection::channel::Mode::Transaction(transaction) = &client.session.channel(1).mode
        else {
            panic!("the channel is transactional");
        };
        assert_eq!(transaction.settlements.len(), 0);
        client.leave();
        nothing_remains(&stage);
    }

    #[test]
    fn an_exclusive_queue_that_went_with_its_last_consumer_is_forgotten() {
        let stage = Stage::default();
        let mut client = opened(&stage);
        for _ in 0..100 {
            client.declare(
                "",
                queue::Declare { exclusive: true, auto_delete: true, ..queue::Declare::default() },
            );
            client.consume("", "c");
            client.send(1, &basic::Cancel { consumer_tag: ShortString::from_static("c"), no_wait: true });
        }
        assert_eq!((stage.queue_count(), client.session.exclusive_queues.len()), (0, 0));
        client.leave();
        nothing_remains(&stage);
    }
}
