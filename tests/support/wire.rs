//! A raw AMQP 0-9-1 peer on a blocking socket: it sends exactly the bytes it is given and reads frames with a deadline.
//! Its encoder is written by hand and knows nothing of the crate's own codec, so that a bug there cannot hide here.
#![allow(dead_code, reason = "each test crate uses its own part of the support code")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::Duration,
};

use crate::broker::{Broker, DEADLINE, is_external};

pub const METHOD: u8 = 1;
pub const HEADER: u8 = 2;
pub const BODY: u8 = 3;
pub const HEARTBEAT: u8 = 8;
pub const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub channel: u16,
    pub payload: Vec<u8>,
}

/// What a close method said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub code: u16,
    pub text: String,
    /// Class and method id of the failing method.
    pub method: (u16, u16),
}

/// A message that arrived with basic.deliver, basic.get-ok or basic.return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Property flags and property list, undecoded.
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
    /// Payload size of each body frame.
    pub cuts: Vec<usize>,
}

/// What a peer speaks on: a socket, or TLS on one.
pub trait Stream: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

pub struct Wire {
    stream: Box<dyn Stream>,
    _broker: Arc<Broker>,
}

impl Wire {
    /// A TCP connection to the shared broker; nothing is sent.
    pub fn connect() -> Self {
        Self::connect_to(Broker::shared())
    }

    pub fn connect_to(broker: Arc<Broker>) -> Self {
        let stream = TcpStream::connect(&broker.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self::over(stream, broker)
    }

    /// A peer on a stream that is there.
    pub fn over(stream: impl Stream + 'static, broker: Arc<Broker>) -> Self {
        Self { stream: Box::new(stream), _broker: broker }
    }

    /// Logs in as guest on vhost `/`, with the server's limits and no heartbeat.
    pub fn log_in(self) -> Self {
        self.handshake(&CLIENT_CAPABILITIES.table(), (2047, 131_072, 0))
    }

    /// An open connection as guest on vhost `/`, with the server's limits and no heartbeat.
    pub fn open() -> Self {
        Self::open_with(&CLIENT_CAPABILITIES.table(), (2047, 131_072, 0))
    }

    pub fn open_to(broker: Arc<Broker>) -> Self {
        Self::connect_to(broker).log_in()
    }

    /// An open connection of a user to a virtual host, with the server's limits and no heartbeat.
    pub fn open_as(broker: Arc<Broker>, user: &str, password: &str, vhost: &str) -> Self {
        let mut wire = Self::connect_to(broker);
        wire.raw(PROTOCOL_HEADER).expect(0, 10, 10);
        let response = format!("\0{user}\0{password}");
        let start_ok = start_ok(&CLIENT_CAPABILITIES.table(), "PLAIN", response.as_bytes());
        wire.send(0, &start_ok).expect(0, 10, 30);
        wire.send(0, &tune_ok((2047, 131_072, 0))).send(0, &connection_open(vhost)).expect(0, 10, 41);
        wire
    }

    /// An open connection with these client properties and (`channel_max`, `frame_max`, `heartbeat`) in tune-ok.
    pub fn open_with(client_properties: &Table, tune: (u16, u32, u16)) -> Self {
        Self::connect().handshake(client_properties, tune)
    }

    /// An open connection with channel 1 open.
    pub fn open_channel() -> Self {
        let mut wire = Self::open();
        wire.channel(1);
        wire
    }

    fn handshake(mut self, client_properties: &Table, tune: (u16, u32, u16)) -> Self {
        self.until_tune(client_properties);
        self.send(0, &tune_ok(tune)).send(0, &connection_open("/")).expect(0, 10, 41);
        self
    }

    /// Header, start, start-ok as guest, tune: the next thing to send is tune-ok.
    pub fn until_tune(&mut self, client_properties: &Table) -> &mut Self {
        self.raw(PROTOCOL_HEADER).expect(0, 10, 10);
        self.send(0, &start_ok(client_properties, "PLAIN", b"\0guest\0guest")).expect(0, 10, 30);
        self
    }

    pub fn channel(&mut self, channel: u16) -> &mut Self {
        self.send(channel, &method(20, 10).short("")).expect(channel, 20, 11);
        self
    }

    // What is sent.

    /// Sends exactly these bytes. A broker that has closed meanwhile is not an error here; the reader will see it.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.stream.write_all(bytes);
        self
    }

    /// Sends these bytes, all of which the broker must read.
    pub fn must_take(&mut self, bytes: &[u8]) -> &mut Self {
        self.stream.tcp().set_write_timeout(Some(DEADLINE)).unwrap();
        self.stream.write_all(bytes).unwrap();
        self
    }

    pub fn send(&mut self, channel: u16, method: &Args) -> &mut Self {
        self.raw(&frame(METHOD, channel, &method.0))
    }

    /// Publishes with one body frame (none for an empty body).
    pub fn publish(&mut self, channel: u16, exchange: &str, key: &str, bits: u8, body: &[u8]) -> &mut Self {
        self.raw(&publish(channel, exchange, key, bits, body))
    }

    pub fn half_close(&mut self) -> &mut Self {
        self.stream.tcp().shutdown(Shutdown::Write).unwrap();
        self
    }

    // What is expected.

    /// The next frame, heartbeats included; `None` when the broker has closed the socket.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let mut head = [0; 7];
        if !self.fill(&mut head, true) {
            return None;
        }
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let mut payload = vec![0; size + 1];
        assert!(self.fill(&mut payload, false), "the socket ended within a frame");
        assert_eq!(payload.pop(), Some(0xCE), "frame end");
        Some(Frame { kind: head[0], channel: u16::from_be_bytes([head[1], head[2]]), payload })
    }

    pub fn expect_frame(&mut self, kind: u8, channel: u16) -> Frame {
        loop {
            let frame = self.next_frame().expect("a frame, but the broker closed the socket");
            if frame.kind == HEARTBEAT && kind != HEARTBEAT {
                continue;
            }
            assert_eq!((frame.kind, frame.channel), (kind, channel), "{}", describe(&frame));
            return frame;
        }
    }

    /// The next frame must be this method; the reader stands at its first argument.
    pub fn expect(&mut self, channel: u16, class: u16, id: u16) -> Reader {
        let frame = self.expect_frame(METHOD, channel);
        let mut reader = Reader::new(frame.payload.clone());
        assert_eq!((reader.u16(), reader.u16()), (class, id), "{}", describe(&frame));
        reader
    }

    /// Header and body frames of one message.
    pub fn expect_content(&mut self, channel: u16) -> Content {
        let mut header = Reader::new(self.expect_frame(HEADER, channel).payload);
        assert_eq!((header.u16(), header.u16()), (60, 0), "class and weight");
        let size = header.u64() as usize;
        let mut content = Content { properties: header.rest(), body: Vec::new(), cuts: Vec::new() };
        while content.body.len() < size {
            let body = self.expect_frame(BODY, channel).payload;
            content.cuts.push(body.len());
            content.body.extend(body);
        }
        assert_eq!(content.body.len(), size, "body size");
        content
    }

    /// basic.deliver with this body; gives (delivery tag, redelivered).
    pub fn expect_delivery(&mut self, channel: u16, body: &[u8]) -> (u64, bool) {
        let mut deliver = self.expect(channel, 60, 60);
        let _consumer_tag = deliver.short();
        let tag = (deliver.u64(), deliver.u8() & 1 == 1);
        assert_eq!(self.expect_content(channel).body, body);
        tag
    }

    /// connection.close with this code and text prefix; answers close-ok and expects the end of the socket.
    pub fn expect_close(&mut self, code: u16, text: &str) -> Closed {
        let closed = Closed::read(self.expect(0, 10, 50));
        closed.check(code, text);
        self.send(0, &method(10, 51));
        if code == 501 && closed.method == (0, 0) {
            // These bytes were no frames: no answer would be understood, and the socket is kept for a while.
            self.half_close();
        }
        self.expect_eof();
        closed
    }

    /// connection.close with one of these codes, where a RabbitMQ process crashes and the exact code is ours. Some of
    /// those crashes are silent.
    pub fn expect_close_among(&mut self, codes: &[u16]) {
        let Some(frame) = self.next_frame() else { return assert!(is_external(), "closed without a word") };
        let mut args = Reader::new(frame.payload.clone());
        assert_eq!((frame.channel, args.u16(), args.u16()), (0, 10, 50), "{}", describe(&frame));
        let closed = Closed::read(args);
        assert!(codes.contains(&closed.code), "{closed:?}, expected one of {codes:?}");
        self.send(0, &method(10, 51)).expect_eof();
    }

    /// channel.close with this code and text prefix; answers close-ok.
    pub fn expect_channel_close(&mut self, channel: u16, code: u16, text: &str) -> Closed {
        let closed = Closed::read(self.expect(channel, 20, 40));
        closed.check(code, text);
        self.send(channel, &method(20, 41));
        closed
    }

    pub fn expect_eof(&mut self) {
        while let Some(frame) = self.next_frame() {
            assert_eq!(frame.kind, HEARTBEAT, "end of the socket expected, got {}", describe(&frame));
        }
    }

    /// Reads raw bytes until the broker closes.
    pub fn bytes_until_eof(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut part = [0; 4096];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => return bytes,
                Ok(n) => bytes.extend_from_slice(&part[..n]),
                Err(e) if is_reset(&e) => return bytes,
                Err(e) => panic!("the broker neither answered nor closed: {e}"),
            }
        }
    }

    pub fn set_deadline(&mut self, deadline: Duration) -> &mut Self {
        self.stream.tcp().set_read_timeout(Some(deadline)).unwrap();
        self
    }

    /// Everything that the broker did before this point has been seen when it returns: two round trips to the queue on
    /// this channel. One is not enough for RabbitMQ, whose queues are processes that answer past their deliveries.
    pub fn fence(&mut self, channel: u16, queue: &str) -> &mut Self {
        for _ in 0..2 {
            self.send(channel, &queue_declare(queue, PASSIVE)).expect(channel, 50, 11);
        }
        self
    }

    /// Fails unless this connection still works.
    pub fn assert_alive(&mut self) -> &mut Self {
        self.channel(2000).send(2000, &method(20, 40).u16(200).short("").u16(0).u16(0)).expect(2000, 20, 41);
        self
    }

    fn fill(&mut self, buffer: &mut [u8], may_end: bool) -> bool {
        let mut at = 0;
        while at < buffer.len() {
            match self.stream.read(&mut buffer[at..]) {
                Ok(0) => return ended(at, may_end),
                Ok(n) => at += n,
                Err(e) if is_reset(&e) => return ended(at, may_end),
                Err(e) => panic!("no frame within the deadline: {e}"),
            }
        }
        true
    }
}

impl Closed {
    fn read(mut args: Reader) -> Self {
        Self { code: args.u16(), text: args.short(), method: (args.u16(), args.u16()) }
    }

    fn check(&self, code: u16, text: &str) {
        assert!(self.code == code && self.text.starts_with(text), "{self:?}, expected {code} {text:?}");
    }
}

/// A method's bytes: ids, then arguments.
#[derive(Debug, Clone)]
pub struct Args(pub Vec<u8>);

impl Args {
    pub fn u8(mut self, n: u8) -> Self {
        self.0.push(n);
        self
    }

    pub fn u16(self, n: u16) -> Self {
        self.bytes(&n.to_be_bytes())
    }

    pub fn u32(self, n: u32) -> Self {
        self.bytes(&n.to_be_bytes())
    }

    pub fn u64(self, n: u64) -> Self {
        self.bytes(&n.to_be_bytes())
    }

    /// Short string; its length is not checked, so that a test can lie.
    pub fn short(self, text: &str) -> Self {
        self.u8(text.len() as u8).bytes(text.as_bytes())
    }

    pub fn long(self, bytes: &[u8]) -> Self {
        self.u32(bytes.len() as u32).bytes(bytes)
    }

    pub fn table(self, table: &Table) -> Self {
        self.long(&table.0)
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// A field table's entries, encoded, without the length in front.
#[derive(Debug, Clone, Default)]
pub struct Table(pub Vec<u8>);

impl Table {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn entry(mut self, name: &str, kind: u8, value: &[u8]) -> Self {
        self.0.push(name.len() as u8);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(kind);
        self.0.extend_from_slice(value);
        self
    }

    pub fn text(self, name: &str, text: &str) -> Self {
        self.entry(name, b'S', &Args(Vec::new()).long(text.as_bytes()).0)
    }

    pub fn flag(self, name: &str, value: bool) -> Self {
        self.entry(name, b't', &[u8::from(value)])
    }

    pub fn int(self, name: &str, value: i64) -> Self {
        self.entry(name, b'l', &value.to_be_bytes())
    }

    pub fn nested(self, name: &str, inner: &Self) -> Self {
        self.entry(name, b'F', &Args(Vec::new()).long(&inner.0).0)
    }
}

/// A field value as far as the tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Bool(bool),
    Text(String),
    Table(Vec<(String, Value)>),
    Int(i64),
}

/// Reads arguments in order; panics when they end early.
pub struct Reader {
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn u8(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    pub fn short(&mut self) -> String {
        let size = usize::from(self.u8());
        self.text(size)
    }

    pub fn long(&mut self) -> String {
        let size = self.u32() as usize;
        self.text(size)
    }

    pub fn table(&mut self) -> Vec<(String, Value)> {
        let end = self.u32() as usize + self.at;
        let mut entries = Vec::new();
        while self.at < end {
            entries.push((self.short(), self.value()));
        }
        entries
    }

    /// What is left; empty when all arguments were read.
    pub fn rest(&self) -> Vec<u8> {
        self.bytes[self.at..].to_vec()
    }

    fn value(&mut self) -> Value {
        match self.u8() {
            b't' => Value::Bool(self.u8() != 0),
            b'S' => Value::Text(self.long()),
            b'F' => Value::Table(self.table()),
            b'I' => Value::Int(self.u32().cast_signed().into()),
            b'l' => Value::Int(self.u64().cast_signed()),
            other => panic!("field type {:?} is not known here", char::from(other)),
        }
    }

    fn text(&mut self, size: usize) -> String {
        let text = String::from_utf8(self.bytes[self.at..self.at + size].to_vec()).unwrap();
        self.at += size;
        text
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let bytes = self.bytes[self.at..self.at + N].try_into().unwrap();
        self.at += N;
        bytes
    }
}

/// The capabilities that a usual client announces.
pub struct ClientCapabilities(&'static [&'static str]);

pub const CLIENT_CAPABILITIES: ClientCapabilities = ClientCapabilities(&[
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "authentication_failure_close",
]);

impl ClientCapabilities {
    pub fn table(&self) -> Table {
        let capabilities = self.0.iter().fold(Table::new(), |table, name| table.flag(name, true));
        Table::new().text("product", "wire tests").nested("capabilities", &capabilities)
    }
}

// Bits of queue.declare, basic.consume and basic.publish.
pub const PASSIVE: u8 = 1;
pub const DURABLE: u8 = 2;
pub const EXCLUSIVE: u8 = 4;
pub const AUTO_DELETE: u8 = 8;
pub const NO_ACK: u8 = 2;
pub const MANDATORY: u8 = 1;
pub const IMMEDIATE: u8 = 2;

pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Args(vec![kind]).u16(channel).long(payload).0;
    bytes.push(0xCE);
    bytes
}

pub fn method(class: u16, id: u16) -> Args {
    Args(Vec::new()).u16(class).u16(id)
}

pub fn start_ok(client_properties: &Table, mechanism: &str, response: &[u8]) -> Args {
    method(10, 11).table(client_properties).short(mechanism).long(response).short("en_US")
}

pub fn tune_ok((channel_max, frame_max, heartbeat): (u16, u32, u16)) -> Args {
    method(10, 31).u16(channel_max).u32(frame_max).u16(heartbeat)
}

pub fn connection_open(vhost: &str) -> Args {
    method(10, 40).short(vhost).short("").u8(0)
}

pub fn queue_declare(queue: &str, bits: u8) -> Args {
    method(50, 10).u16(0).short(queue).u8(bits).table(&Table::new())
}

pub fn queue_delete(queue: &str) -> Args {
    method(50, 40).u16(0).short(queue).u8(0)
}

pub fn queue_bind(queue: &str, exchange: &str, key: &str) -> Args {
    method(50, 20).u16(0).short(queue).short(exchange).short(key).u8(0).table(&Table::new())
}

pub fn basic_consume(queue: &str, tag: &str, bits: u8) -> Args {
    method(60, 20).u16(0).short(queue).short(tag).u8(bits).table(&Table::new())
}

pub fn basic_get(queue: &str, no_ack: bool) -> Args {
    method(60, 70).u16(0).short(queue).u8(no_ack.into())
}

pub fn basic_ack(tag: u64, multiple: bool) -> Args {
    method(60, 80).u64(tag).u8(multiple.into())
}

pub fn basic_publish(exchange: &str, key: &str, bits: u8) -> Args {
    method(60, 40).u16(0).short(exchange).short(key).u8(bits)
}

pub fn confirm_select() -> Args {
    method(85, 10).u8(0)
}

/// A content header without properties.
pub fn content_header(size: u64) -> Vec<u8> {
    Args(Vec::new()).u16(60).u16(0).u64(size).u16(0).0
}

/// The frames of one publish.
pub fn publish(channel: u16, exchange: &str, key: &str, bits: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = frame(METHOD, channel, &basic_publish(exchange, key, bits).0);
    bytes.extend(frame(HEADER, channel, &content_header(body.len() as u64)));
    if !body.is_empty() {
        bytes.extend(frame(BODY, channel, body));
    }
    bytes
}

fn describe(frame: &Frame) -> String {
    let ids: Vec<u16> =
        frame.payload.chunks_exact(2).take(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
    let text = String::from_utf8_lossy(&frame.payload[..frame.payload.len().min(300)]);
    format!("frame type {} channel {} ids {ids:?}: {text:?}", frame.kind, frame.channel)
}

fn ended(at: usize, may_end: bool) -> bool {
    assert!(may_end && at == 0, "the socket ended within a frame");
    false
}

fn is_reset(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}
