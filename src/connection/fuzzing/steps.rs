//! A client's bytes from plain numbers.

use crate::broker::REPLY_TO;
use crate::protocol::{
    Encode, FieldTable, FieldValue, HEARTBEAT_FRAME, Properties, ShortString, access, basic, channel,
    confirm, connection, exchange, frame, queue, tx,
};

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
    fn write(self, out: &mut Vec<u8>) {
        match self.what % STEP_KINDS {
            0..=6 => self.write_queue(out),
            7..=10 => self.write_exchange(out),
            11..=18 => self.write_publish(out),
            19..=30 => self.write_basic(out),
            _ => self.write_other(out),
        }
    }

    fn write_queue(self, out: &mut Vec<u8>) {
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

    fn write_exchange(self, out: &mut Vec<u8>) {
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

    fn write_publish(self, out: &mut Vec<u8>) {
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

    fn write_basic(self, out: &mut Vec<u8>) {
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

    fn write_other(self, out: &mut Vec<u8>) {
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
                Self { what: 11, queue: 80, ..self }.write_publish(out);
            }
            _ if self.bits < 200 => self.method(out, &basic::Recover { requeue: true }),
            _ => {
                self.method(out, &channel::Close { reply_code: 200, ..channel::Close::default() });
                self.method(out, &channel::Open {});
            }
        }
    }

    fn properties(self) -> Properties {
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

    fn queue_arguments(self) -> FieldTable {
        match self.number % 16 {
            0..=3 => FieldTable::new().with("x-single-active-consumer", true),
            4 => FieldTable::new().with("x-expires", i32::from(self.bits)),
            5 => FieldTable::new().with("x-message-ttl", -1),
            6 if self.bits > 240 => FieldTable::new().with("x-max-length", 1),
            7 => FieldTable::new().with("x-name-prefix", "p."),
            _ => FieldTable::new(),
        }
    }

    fn exchange_arguments(self) -> FieldTable {
        match self.number % 8 {
            0 => FieldTable::new().with("alternate-exchange", "x1"),
            1 => FieldTable::new().with("alternate-exchange", ""),
            2 => FieldTable::new().with("alternate-exchange", true),
            _ => FieldTable::new(),
        }
    }

    fn binding_arguments(self) -> FieldTable {
        match self.number % 8 {
            0 => FieldTable::new().with("a", 1).with("x-match", "any"),
            1 => FieldTable::new().with("x-match", "any").with("a", 1),
            2 => FieldTable::new().with("a", FieldValue::F64(f64::NAN)),
            3 => FieldTable::new().with("x-match", 1),
            _ => FieldTable::new(),
        }
    }

    fn consumer_arguments(self) -> FieldTable {
        match self.number % 8 {
            0 => FieldTable::new().with("x-priority", i32::from(self.bits) - 128),
            1 => FieldTable::new().with("x-priority", "high"),
            _ => FieldTable::new(),
        }
    }

    /// Mostly one that is there and can be bound.
    fn exchange(self) -> ShortString {
        match self.exchange {
            254 => ShortString::new(),
            255 => ShortString::from_static("nowhere"),
            number => pick(EXCHANGES, number),
        }
    }

    fn consumer_tag(self) -> ShortString {
        ShortString::try_from(format!("c{}", self.key % 16)).expect("a few letters are short")
    }

    fn number(self) -> u16 {
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

    fn bit(self, bit: u8) -> bool {
        self.bits >> bit & 1 == 1
    }

    fn method(self, out: &mut Vec<u8>, method: &impl Encode) {
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
