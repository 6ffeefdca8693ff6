//! Clients that do ordinary work beside an attack and write down how long they waited: one publishes transient messages
//! to itself, one persistent ones with confirms and acknowledgements. What each gets must be what it sent, all of it, in
//! order. They send at their pace whether or not the broker answers, so that no wait hides the next one.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    entry::Entry,
    machines::before_others,
    peer::Peer,
    scene::patience,
    wire::{
        Args, BODY, DURABLE, EXCLUSIVE, Frame, HEADER, METHOD, NO_ACK, Reader, basic_ack, basic_consume,
        basic_publish, confirm_select, frame, method, queue_declare,
    },
};

/// The two of them, at work until they are told to stop.
pub struct Victims {
    shared: Vec<Arc<Shared>>,
    threads: Vec<JoinHandle<Record>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// The broker has sent `connection.blocked`.
    blocked: AtomicBool,
}

struct Record {
    waits: Vec<Wait>,
    outcome: io::Result<()>,
}

/// Of one message for its delivery or its confirm.
struct Wait {
    since: Instant,
    took: Duration,
}

impl Wait {
    fn until_now(since: Instant) -> Self {
        Self { since, took: since.elapsed() }
    }
}

/// How long they waited for a delivery or a confirm.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waits {
    pub longest: Duration,
    pub p50: Duration,
    pub p99: Duration,
}

impl Waits {
    fn of(waits: impl Iterator<Item = Wait>) -> Self {
        let mut waits: Vec<Duration> = waits.map(|wait| wait.took).collect();
        waits.sort_unstable();
        let last = waits.len().saturating_sub(1);
        let at =
            |percent: usize| waits.get((waits.len() * percent / 100).min(last)).copied().unwrap_or_default();
        Self { longest: at(100), p50: at(50), p99: at(99) }
    }
}

/// What they felt.
#[derive(Debug)]
pub struct Felt {
    /// While it was quiet.
    pub before: Waits,
    /// From the beginning of the attack on.
    pub during: Waits,
}

impl Victims {
    pub fn beside(entry: &Entry) -> io::Result<Self> {
        let mut victims = Self { shared: Vec::new(), threads: Vec::new() };
        for kind in [Kind::Transient, Kind::Persistent] {
            let shared = Arc::new(Shared::default());
            let victim = Victim::new(kind, entry, shared.clone())?;
            victims.shared.push(shared);
            victims.threads.push(thread::spawn(|| victim.work()));
        }
        Ok(victims)
    }

    /// Whether an alarm holds publishers up.
    pub fn are_blocked(&self) -> bool {
        self.shared.iter().any(|shared| shared.blocked.load(Ordering::Relaxed))
    }

    /// They send no more. Fails unless all that they had sent came, once and in order. The attack began then.
    pub fn finish(self, attacked: Instant) -> (Felt, io::Result<()>) {
        for shared in &self.shared {
            shared.stop.store(true, Ordering::Relaxed);
        }
        let (mut waits, mut outcome) = (Vec::new(), Ok(()));
        for thread in self.threads {
            let record = thread.join().expect("a victim does not panic");
            waits.extend(record.waits);
            outcome = outcome.and(record.outcome);
        }
        let (before, during): (Vec<_>, Vec<_>) = waits.into_iter().partition(|wait| wait.since < attacked);
        let felt = Felt { before: Waits::of(before.into_iter()), during: Waits::of(during.into_iter()) };
        (felt, outcome)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 500 a second, without acknowledgements.
    Transient,
    /// 100 a second, with confirms and acknowledgements.
    Persistent,
}

struct Victim {
    kind: Kind,
    peer: Peer,
    queue: String,
    shared: Arc<Shared>,
    /// When each message was sent that did not come yet, the oldest first.
    underway: VecDeque<Instant>,
    /// The same of those that were not confirmed.
    unconfirmed: VecDeque<Instant>,
    delivered: u64,
    confirmed: u64,
    waits: Vec<Wait>,
}

impl Victim {
    fn new(kind: Kind, entry: &Entry, shared: Arc<Shared>) -> io::Result<Self> {
        let (mut peer, queue) = (Peer::open(entry)?, format!("victim {kind:?}"));
        let (queue_bits, consumer_bits) =
            if kind == Kind::Persistent { (DURABLE, 0) } else { (EXCLUSIVE, NO_ACK) };
        if kind == Kind::Persistent {
            peer.call(1, &confirm_select(), (85, 11))?;
        }
        peer.call(1, &queue_declare(&queue, queue_bits), (50, 11))?;
        peer.call(1, &basic_consume(&queue, "victim", consumer_bits), (60, 21))?;
        Ok(Self {
            kind,
            peer,
            queue,
            shared,
            underway: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            delivered: 0,
            confirmed: 0,
            waits: Vec::new(),
        })
    }

    fn work(mut self) -> Record {
        let outcome = before_others().and_then(|()| self.send_and_receive());
        // What never came has waited until now.
        let oldest = [self.underway.front(), self.unconfirmed.front()];
        self.waits.extend(oldest.into_iter().flatten().copied().map(Wait::until_now));
        Record { waits: self.waits, outcome }
    }

    fn send_and_receive(&mut self) -> io::Result<()> {
        let interval = Duration::from_micros(if self.kind == Kind::Transient { 2_000 } else { 10_000 });
        let mut due = Instant::now();
        while !self.shared.stop.load(Ordering::Relaxed) {
            if due <= Instant::now() {
                self.publish()?;
                due += interval;
            }
            if let Some(frame) = self.peer.next(due.saturating_duration_since(Instant::now()))? {
                self.on_frame(&frame)?;
            }
        }
        while !self.underway.is_empty() || !self.unconfirmed.is_empty() {
            let frame =
                self.peer.next(patience())?.ok_or_else(|| self.error("what was sent does not come"))?;
            self.on_frame(&frame)?;
        }
        // The last acknowledgement is handled before the broker may be stopped.
        self.peer.barrier()
    }

    fn publish(&mut self) -> io::Result<()> {
        let number = self.delivered + self.underway.len() as u64;
        let delivery_mode = if self.kind == Kind::Persistent { 2 } else { 1 };
        let header = Args(Vec::new()).u16(60).u16(0).u64(8).u16(0x1000).u8(delivery_mode);
        let mut bytes = frame(METHOD, 1, &basic_publish("", &self.queue, 0).0);
        bytes.extend(frame(HEADER, 1, &header.0));
        bytes.extend(frame(BODY, 1, &number.to_be_bytes()));
        self.underway.push_back(Instant::now());
        if self.kind == Kind::Persistent {
            self.unconfirmed.push_back(Instant::now());
        }
        self.peer.send(&bytes)
    }

    fn on_frame(&mut self, frame: &Frame) -> io::Result<()> {
        match frame.kind {
            METHOD => self.on_method(Reader::new(frame.payload.clone())),
            BODY => self.on_body(&frame.payload),
            _ => Ok(()),
        }
    }

    fn on_method(&mut self, mut args: Reader) -> io::Result<()> {
        match (args.u16(), args.u16()) {
            (60, 60) => {}
            (60, 80) => self.on_confirm(args.u64()),
            (10, 60) => self.shared.blocked.store(true, Ordering::Relaxed),
            (10, 61) => self.shared.blocked.store(false, Ordering::Relaxed),
            (10, 50) => {
                self.peer.method(0, &method(10, 51))?;
                return Err(self.error("the broker stops"));
            }
            other => return Err(self.error(&format!("method {other:?}"))),
        }
        Ok(())
    }

    fn on_confirm(&mut self, tag: u64) {
        while self.confirmed < tag {
            self.confirmed += 1;
            self.waits.extend(self.unconfirmed.pop_front().map(Wait::until_now));
        }
    }

    fn on_body(&mut self, body: &[u8]) -> io::Result<()> {
        if body != self.delivered.to_be_bytes() {
            return Err(self.error(&format!("{body:?} came in place of {}", self.delivered)));
        }
        self.delivered += 1;
        self.waits.extend(self.underway.pop_front().map(Wait::until_now));
        if self.kind == Kind::Persistent {
            self.peer.method(1, &basic_ack(self.delivered, false))?;
        }
        Ok(())
    }

    fn error(&self, what: &str) -> io::Error {
        io::Error::other(format!(
            "{}: {what}; {} delivered, {} confirmed",
            self.queue, self.delivered, self.confirmed
        ))
    }
}
