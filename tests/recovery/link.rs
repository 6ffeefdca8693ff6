//! A raw AMQP connection that expects the broker to vanish at any byte: every call says when it is gone, and nothing is
//! sent, acknowledged or repeated that the caller did not ask for.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    message::{self, Id},
    wire::{
        self, Args, BODY, CLIENT_CAPABILITIES, DURABLE, HEADER, METHOD, PASSIVE, PROTOCOL_HEADER, Reader,
        basic_get, basic_publish, connection_open, frame, method, queue_declare, start_ok, tune_ok,
    },
};

/// Why a connection cannot be used any more.
#[derive(Debug)]
#[allow(dead_code, reason = "the texts are for people, who read them as Debug")]
pub enum Gone {
    /// The socket ended, as it does when the process is killed.
    Lost,
    /// The broker said why.
    Closed(u16, String),
    /// What it sent is not AMQP, or it did not answer.
    Broken(String),
}

#[derive(Debug, Clone)]
pub struct Content {
    /// Property flags and list.
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
}

/// basic.deliver or basic.get-ok.
#[derive(Debug)]
pub struct Delivery {
    /// The port of the broker that it came from: each start has another one.
    pub broker: u16,
    pub tag: u64,
    pub redelivered: bool,
    pub content: Content,
}

pub enum Event {
    Delivery(Delivery),
    /// basic.return.
    Returned(Content),
    /// basic.ack or basic.nack to a publisher.
    Confirm {
        tag: u64,
        multiple: bool,
        ack: bool,
    },
    Blocked(String),
    Unblocked,
    ChannelClosed(u16, String),
    /// The answer to a call: class, method, arguments.
    Reply(u16, u16, Reader),
}

pub struct Link {
    stream: TcpStream,
    broker: u16,
    frame_max: usize,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    /// Arrived during a call and not asked for by it.
    waiting: VecDeque<Event>,
    assembling: Option<Assembly>,
}

struct Assembly {
    head: Event,
    size: Option<usize>,
}

impl Link {
    /// An open connection with channel 1.
    pub fn open(address: &str, frame_max: u32) -> Result<Self, Gone> {
        let stream = TcpStream::connect(address).map_err(|_| Gone::Lost)?;
        stream.set_nodelay(true).map_err(|_| Gone::Lost)?;
        stream.set_write_timeout(Some(ANSWER_DEADLINE)).map_err(|_| Gone::Lost)?;
        let broker = stream.peer_addr().map_err(|_| Gone::Lost)?.port();
        let frame_bytes = frame_max as usize;
        let mut link = Self {
            stream,
            broker,
            frame_max: frame_bytes,
            outgoing: PROTOCOL_HEADER.to_vec(),
            incoming: Vec::new(),
            waiting: VecDeque::new(),
            assembling: None,
        };
        link.answer(10, 10)?;
        let hello = start_ok(&CLIENT_CAPABILITIES.table(), "PLAIN", b"\0guest\0guest");
        link.send(0, &hello).answer(10, 30)?;
        link.send(0, &tune_ok((2047, frame_max, 0))).send(0, &connection_open("/")).answer(10, 41)?;
        link.call(&method(20, 10).short(""), 20, 11)?;
        Ok(link)
    }

    /// Ends the connection in order: what it held unacked is back in its queues.
    pub fn close(mut self) -> Result<(), Gone> {
        self.send(0, &method(10, 50).u16(200).short("").u16(0).u16(0)).answer(10, 51).map(drop)
    }

    /// Sends on channel 1 and waits for this answer; what else arrives waits for `next`.
    pub fn call(&mut self, request: &Args, class: u16, id: u16) -> Result<Reader, Gone> {
        self.send(1, request).answer(class, id)
    }

    pub fn send(&mut self, channel: u16, request: &Args) -> &mut Self {
        self.outgoing.extend(frame(METHOD, channel, &request.0));
        self
    }

    /// One persistent message in frames of the agreed size.
    pub fn publish(&mut self, exchange: &str, key: &str, bits: u8, id: Id, size: usize) -> Result<(), Gone> {
        self.publish_as(exchange, key, bits, &message::properties(id, size), &message::body(id, size))
    }

    /// A message with these property flags and list.
    pub fn publish_as(
        &mut self,
        exchange: &str,
        key: &str,
        bits: u8,
        properties: &[u8],
        body: &[u8],
    ) -> Result<(), Gone> {
        self.send(1, &basic_publish(exchange, key, bits));
        let header = Args(Vec::new()).u16(60).u16(0).u64(body.len() as u64).bytes(properties);
        self.outgoing.extend(frame(HEADER, 1, &header.0));
        for part in body.chunks(self.frame_max - 8) {
            self.outgoing.extend(frame(BODY, 1, part));
        }
        if self.outgoing.len() > 64 * 1024 { self.flush() } else { Ok(()) }
    }

    /// Waits until everything up to this publish is confirmed.
    pub fn await_confirms(&mut self, last: u64) -> Result<(), Gone> {
        loop {
            match self.next()? {
                Event::Confirm { tag, ack: true, .. } if tag >= last => return Ok(()),
                Event::Confirm { ack: true, .. } => {}
                _ => return Err(Gone::Broken("something else than confirms".into())),
            }
        }
    }

    /// The next delivery.
    pub fn next_delivery(&mut self) -> Result<Delivery, Gone> {
        match self.next()? {
            Event::Delivery(delivery) => Ok(delivery),
            _ => Err(Gone::Broken("something else than a delivery".into())),
        }
    }

    /// All that is ready in the queue, taken and not acked.
    pub fn take_all(&mut self, queue: &str) -> Result<Vec<Delivery>, Gone> {
        let mut taken = Vec::new();
        loop {
            for _ in 0..GETS_AT_ONCE {
                self.send(1, &basic_get(queue, false));
            }
            let mut is_empty = false;
            for _ in 0..GETS_AT_ONCE {
                match self.next()? {
                    Event::Delivery(delivery) => taken.push(delivery),
                    Event::Reply(60, 72, _) => is_empty = true,
                    _ => return Err(Gone::Broken("neither get-ok nor get-empty".into())),
                }
            }
            if is_empty {
                return Ok(taken);
            }
        }
    }

    pub fn flush(&mut self) -> Result<(), Gone> {
        let written = self.stream.write_all(&self.outgoing);
        self.outgoing.clear();
        written.or_else(|error| match error.kind() {
            // Why it ended may still be waiting to be read.
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Ok(()),
            _ => Err(Gone::Broken(format!("the broker does not read: {error}"))),
        })
    }

    /// Messages ready in the queue; `None` when there is no such queue.
    pub fn depth(&mut self, queue: &str) -> Result<Option<u32>, Gone> {
        self.send(2, &method(20, 10).short("")).answer(20, 11)?;
        match self.send(2, &queue_declare(queue, PASSIVE | DURABLE)).answer(50, 11) {
            Ok(mut declared) => {
                declared.short();
                let depth = declared.u32();
                self.send(2, &method(20, 40).u16(200).short("").u16(0).u16(0)).answer(20, 41)?;
                Ok(Some(depth))
            }
            Err(Gone::Closed(404, _)) => {
                self.send(2, &method(20, 41));
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// The next event; a broker that says nothing for long is broken.
    pub fn next(&mut self) -> Result<Event, Gone> {
        self.poll(ANSWER_DEADLINE)?.ok_or_else(|| Gone::Broken("nothing for too long".into()))
    }

    /// The next event, if one comes in time.
    pub fn poll(&mut self, patience: Duration) -> Result<Option<Event>, Gone> {
        match self.waiting.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.read(Instant::now() + patience),
        }
    }

    fn answer(&mut self, class: u16, id: u16) -> Result<Reader, Gone> {
        let deadline = Instant::now() + ANSWER_DEADLINE;
        loop {
            match self.read(deadline)? {
                Some(Event::Reply(c, i, args)) if (c, i) == (class, id) => return Ok(args),
                Some(Event::Reply(c, i, _)) => return Err(Gone::Broken(format!("unasked method {c} {i}"))),
                Some(Event::ChannelClosed(code, text)) => return Err(Gone::Closed(code, text)),
                Some(event) => self.waiting.push_back(event),
                None => return Err(Gone::Broken(format!("no answer {class} {id}"))),
            }
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<Option<Event>, Gone> {
        self.flush()?;
        let mut part = [0; 16 * 1024];
        loop {
            if let Some(event) = self.parse()? {
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left)).map_err(|_| Gone::Lost)?;
            match self.stream.read(&mut part) {
                Ok(0) => return Err(Gone::Lost),
                Ok(n) => self.incoming.extend_from_slice(&part[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone::Lost),
            }
        }
    }

    /// Consumes whole frames until they make an event.
    fn parse(&mut self) -> Result<Option<Event>, Gone> {
        let mut at = 0;
        let mut event = None;
        while event.is_none() {
            let Some(Found { kind, payload, end }) = split(&self.incoming[at..])? else { break };
            let payload = payload.to_vec();
            at += end;
            event = match kind {
                METHOD => self.on_method(Reader::new(payload))?,
                HEADER => self.on_header(Reader::new(payload))?,
                BODY => self.on_body(&payload)?,
                _ => None,
            };
        }
        self.incoming.drain(..at);
        Ok(event)
    }

    /// The port of the broker.
    pub fn broker(&self) -> u16 {
        self.broker
    }

    fn on_method(&mut self, mut args: Reader) -> Result<Option<Event>, Gone> {
        if self.assembling.is_some() {
            return Err(Gone::Broken("a method within a content".into()));
        }
        let content = || Content { properties: Vec::new(), body: Vec::new() };
        let head = match (args.u16(), args.u16()) {
            (60, 50) => Event::Returned(content()),
            (60, 60) => {
                args.short();
                Event::Delivery(Delivery {
                    broker: self.broker(),
                    tag: args.u64(),
                    redelivered: args.u8() & 1 == 1,
                    content: content(),
                })
            }
            (60, 71) => Event::Delivery(Delivery {
                broker: self.broker(),
                tag: args.u64(),
                redelivered: args.u8() & 1 == 1,
                content: content(),
            }),
            (class, id) => return other_method(class, id, args).map(Some),
        };
        self.assembling = Some(Assembly { head, size: None });
        Ok(None)
    }

    fn on_header(&mut self, mut header: Reader) -> Result<Option<Event>, Gone> {
        let assembly = self.assembling.as_mut().ok_or_else(|| Gone::Broken("an unasked header".into()))?;
        header.u32();
        assembly.size = Some(header.u64() as usize);
        assembly.content().properties = header.rest();
        Ok(self.assembled())
    }

    fn on_body(&mut self, part: &[u8]) -> Result<Option<Event>, Gone> {
        let assembly = self.assembling.as_mut().filter(|assembly| assembly.size.is_some());
        let assembly = assembly.ok_or_else(|| Gone::Broken("an unasked body".into()))?;
        assembly.content().body.extend_from_slice(part);
        Ok(self.assembled())
    }

    fn assembled(&mut self) -> Option<Event> {
        let assembly = self.assembling.as_mut()?;
        let size = assembly.size?;
        (assembly.content().body.len() >= size).then(|| self.assembling.take().map(|done| done.head))?
    }
}

impl Assembly {
    fn content(&mut self) -> &mut Content {
        match &mut self.head {
            Event::Delivery(delivery) => &mut delivery.content,
            Event::Returned(content) => content,
            _ => unreachable!("only these have contents"),
        }
    }
}

/// A frame in the bytes that have arrived.
struct Found<'a> {
    kind: u8,
    payload: &'a [u8],
    end: usize,
}

/// The first frame, if it is all there.
fn split(bytes: &[u8]) -> Result<Option<Found<'_>>, Gone> {
    let Some(head) = bytes.get(..7) else { return Ok(None) };
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    match bytes.get(7 + size) {
        None => Ok(None),
        Some(0xCE) => Ok(Some(Found { kind: head[0], payload: &bytes[7..7 + size], end: size + 8 })),
        Some(_) => Err(Gone::Broken("a frame without its end".into())),
    }
}

fn other_method(class: u16, id: u16, mut args: Reader) -> Result<Event, Gone> {
    Ok(match (class, id) {
        (10, 50) => return Err(Gone::Closed(args.u16(), args.short())),
        (10, 60) => Event::Blocked(args.short()),
        (10, 61) => Event::Unblocked,
        (20, 40) => Event::ChannelClosed(args.u16(), args.short()),
        (60, 30) => return Err(Gone::Closed(0, "the consumer was cancelled".into())),
        (60, 80 | 120) => Event::Confirm { tag: args.u64(), multiple: args.u8() & 1 == 1, ack: id == 80 },
        _ => Event::Reply(class, id, args),
    })
}

pub fn basic_qos(prefetch: u16) -> Args {
    method(60, 10).u32(0).u16(prefetch).u8(0)
}

pub fn basic_nack(tag: u64) -> Args {
    method(60, 120).u64(tag).u8(2)
}

pub fn queue_purge(queue: &str) -> Args {
    method(50, 30).u16(0).short(queue).u8(0)
}

pub fn queue_delete(queue: &str) -> Args {
    method(50, 40).u16(0).short(queue).u8(0)
}

pub fn exchange_declare(name: &str, kind: &str) -> Args {
    method(40, 10).u16(0).short(name).short(kind).u8(DURABLE).table(&wire::Table::new())
}

/// A queue of these arguments, durable.
pub fn queue_declare_with(queue: &str, arguments: &wire::Table) -> Args {
    method(50, 10).u16(0).short(queue).u8(DURABLE).table(arguments)
}

const GETS_AT_ONCE: usize = 200;

/// Longer than any restart or copy of a disk may take.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
