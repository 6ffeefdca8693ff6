//! A raw client that sends whatever it likes, as much as it likes, and reads only when it is told to. Calls fail when
//! the broker closes or says nothing for long; they never panic, for the row decides what that means.

use std::{
    io::{self, ErrorKind},
    net::{Shutdown, TcpStream},
    ops::Range,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    entry::Entry,
    machines::step_aside,
    scene::patience,
    wire::{
        Args, CLIENT_CAPABILITIES, Frame, METHOD, PASSIVE, PROTOCOL_HEADER, Reader, Stream, connection_open,
        frame, method, queue_declare, start_ok, tune_ok,
    },
};

pub struct Peer {
    stream: Box<dyn Stream>,
    arrived: Vec<u8>,
    /// How much of it was handed out.
    read: usize,
}

impl Peer {
    /// An open connection with channel 1 and without heartbeats.
    pub fn open(entry: &Entry) -> io::Result<Self> {
        let mut peer = Self::greeted(entry)?;
        peer.call(0, &log_in(&entry.user, &entry.password), (10, 30))?;
        peer.method(0, &tune_ok((2047, 131_072, 0)))?;
        peer.call(0, &connection_open(&entry.vhost), (10, 41))?;
        peer.channel(1)?;
        Ok(peer)
    }

    /// A connection whose next word is `connection.start-ok`.
    pub fn greeted(entry: &Entry) -> io::Result<Self> {
        let mut peer = Self::silent(entry)?;
        peer.send(PROTOCOL_HEADER)?;
        peer.answer((10, 10))?;
        Ok(peer)
    }

    /// A socket on which no word of AMQP was said.
    pub fn silent(entry: &Entry) -> io::Result<Self> {
        Ok(Self { stream: entry.connect()?, arrived: Vec::new(), read: 0 })
    }

    pub fn channel(&mut self, channel: u16) -> io::Result<()> {
        self.call(channel, &method(20, 10).short(""), (20, 11)).map(drop)
    }

    /// In writes so small that the kernel does not keep a core for long with one: it is not interrupted for others in it.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(WRITE_BYTES) {
            self.stream.write_all(part)?;
            step_aside();
        }
        Ok(())
    }

    pub fn method(&mut self, channel: u16, method: &Args) -> io::Result<()> {
        self.send(&frame(METHOD, channel, &method.0))
    }

    /// The same bytes many times.
    pub fn repeat(&mut self, times: usize, bytes: &[u8]) -> io::Result<()> {
        let at_once = (SENT_AT_ONCE_BYTES / bytes.len()).clamp(1, times.max(1));
        let many = bytes.repeat(at_once);
        for _ in 0..times / at_once {
            self.send(&many)?;
        }
        self.send(&bytes.repeat(times % at_once))
    }

    /// A method on channel 1 for each number; none of them may have an answer.
    pub fn each(&mut self, numbers: Range<usize>, method_of: impl Fn(usize) -> Args) -> io::Result<()> {
        self.bytes_of_each(numbers, |n| frame(METHOD, 1, &method_of(n).0))
    }

    /// Whatever bytes belong to each number, in large writes.
    pub fn bytes_of_each(
        &mut self,
        numbers: Range<usize>,
        bytes_of: impl Fn(usize) -> Vec<u8>,
    ) -> io::Result<()> {
        let mut many = Vec::new();
        for n in numbers {
            many.extend(bytes_of(n));
            step_aside();
            if many.len() >= SENT_AT_ONCE_BYTES {
                self.send(&many)?;
                many.clear();
            }
        }
        self.send(&many)
    }

    /// Sends a method and waits for its answer. What comes before that is thrown away.
    pub fn call(&mut self, channel: u16, request: &Args, answer: (u16, u16)) -> io::Result<Reader> {
        self.method(channel, request)?;
        self.answer(answer)
    }

    /// Waits for so many of this method.
    pub fn take(&mut self, count: usize, method: (u16, u16)) -> io::Result<()> {
        (0..count).try_for_each(|_| self.answer(method).map(drop))
    }

    /// Everything that was sent before on channel 1 is handled when it returns.
    pub fn barrier(&mut self) -> io::Result<()> {
        self.call(1, &method(60, 10).u32(0).u16(0).u8(0), (60, 11)).map(drop)
    }

    /// Messages ready in the queue, and its consumers.
    pub fn counts(&mut self, queue: &str) -> io::Result<(u32, u32)> {
        let mut declared = self.call(1, &queue_declare(queue, PASSIVE), (50, 11))?;
        declared.short();
        Ok((declared.u32(), declared.u32()))
    }

    /// The next frame, if one comes in time.
    pub fn next(&mut self, patience: Duration) -> io::Result<Option<Frame>> {
        let deadline = Instant::now() + patience;
        loop {
            step_aside();
            if let Some(frame) = self.parse() {
                return Ok(Some(frame));
            }
            self.arrived.drain(..self.read);
            self.read = 0;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.tcp().set_read_timeout(Some(left))?;
            let mut part = [0; 64 * 1024];
            match self.stream.read(&mut part) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.arrived.extend_from_slice(&part[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Sends from a thread of its own, for a broker that may stop reading.
    pub fn flood(self, send: impl FnOnce(&mut Self) -> io::Result<()> + Send + 'static) -> io::Result<Flood> {
        let (stream, mut sender) = (self.stream.tcp().try_clone()?, self);
        Ok(Flood { stream, thread: Some(thread::spawn(move || send(&mut sender))) })
    }

    /// The text with which the broker closes, or none if it closes without a word. Fails if it does neither.
    pub fn farewell(mut self) -> io::Result<Option<String>> {
        match self.answer((0, 0)) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Some(error.to_string())),
            Err(error) if is_end(&error) => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Ok(None),
        }
    }

    fn answer(&mut self, (class, id): (u16, u16)) -> io::Result<Reader> {
        let deadline = Instant::now() + patience();
        while let Some(frame) = self.next(deadline.saturating_duration_since(Instant::now()))? {
            if frame.kind != METHOD {
                continue;
            }
            let mut args = Reader::new(frame.payload);
            match (args.u16(), args.u16()) {
                found if found == (class, id) => return Ok(args),
                (10, 50) => {
                    self.method(0, &method(10, 51))?;
                    return Err(refused(args.u16(), &args.short()));
                }
                (20, 40) => return Err(refused(args.u16(), &args.short())),
                _ => {}
            }
        }
        Err(io::Error::new(ErrorKind::TimedOut, format!("no method {class}.{id}")))
    }

    fn parse(&mut self) -> Option<Frame> {
        let bytes = &self.arrived[self.read..];
        let head = bytes.get(..7)?;
        let end = 7 + u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let payload = bytes.get(7..=end)?[..end - 7].to_vec();
        let frame = Frame { kind: head[0], channel: u16::from_be_bytes([head[1], head[2]]), payload };
        self.read += end + 1;
        Some(frame)
    }
}

/// A peer that sends and does not read. Dropped, it is gone without a word.
pub struct Flood {
    stream: TcpStream,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What became of a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flooded {
    /// All of it was taken.
    Taken,
    /// The broker ended the connection.
    Refused,
    /// The broker does not read any more.
    HeldUp,
}

impl Flood {
    /// Waits until all was taken or the broker ended the connection, or for so long.
    pub fn wait(&mut self, patience: Duration) -> Flooded {
        let began = Instant::now();
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            if began.elapsed() > patience {
                return Flooded::HeldUp;
            }
            thread::sleep(Duration::from_millis(5));
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Ok(()))) => Flooded::Taken,
            _ => Flooded::Refused,
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// `connection.start-ok` with a password.
pub fn log_in(user: &str, password: &str) -> Args {
    let response = format!("\0{user}\0{password}");
    start_ok(&CLIENT_CAPABILITIES.table(), "PLAIN", response.as_bytes())
}

/// Whether it says that the other end is gone.
pub fn is_end(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// The broker closed the channel or the connection with this code.
fn refused(code: u16, text: &str) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, format!("{code} {text}"))
}

const SENT_AT_ONCE_BYTES: usize = 256 * 1024;
const WRITE_BYTES: usize = 16 * 1024;
