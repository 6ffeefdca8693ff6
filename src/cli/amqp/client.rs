//! A small blocking AMQP client: connect, one request at a time, close. Who publishes or consumes much takes it apart when
//! the real work begins.
//!
//! Invariant: nothing waits for the broker longer than [`ANSWER_TIMEOUT`]. No heartbeats are negotiated: every thread
//! either writes, reads, or is about to end.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::error::Error;
use super::inbox::{Inbox, is_timeout};
use super::stream::Stream;
use super::uri::Uri;
use crate::limits::FRAME_SIZE_BYTES_MAX;
use crate::protocol::{
    CLIENT_CAPABILITIES, Encode, FRAME_METHOD, FieldTable, FieldValue, Method, PROTOCOL_HEADER, RawFrame,
    ReplyCode, ShortString, channel, connection, write_method,
};

/// The channel that everything here uses.
pub const CHANNEL: u16 = 1;

/// How often a thread that waits for its socket looks whether it should stop.
pub const POLL: Duration = Duration::from_millis(100);

/// How long a broker may take to accept a connection, or to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long we wait for `connection.close-ok`: a courtesy to the broker's log.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a broker that does not read may hold up the end of a run.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// A connection on which requests are answered one by one.
pub struct Client {
    stream: Stream,
    inbox: Inbox,
    out: Vec<u8>,
}

impl Client {
    /// Connects and logs in. `name` is what the broker's management shows.
    pub fn connect(uri: &Uri, name: &str) -> Result<Self, Error> {
        let stream = connect_tcp(uri)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let stream = Stream::new(stream, uri)?;
        let mut client = Self { stream, inbox: Inbox::new(), out: Vec::new() };
        client.handshake(uri, name)?;
        Ok(client)
    }

    /// Opens [`CHANNEL`].
    pub fn open_channel(&mut self) -> Result<(), Error> {
        self.call(&channel::Open, "channel.open").map(drop)
    }

    /// Closes [`CHANNEL`].
    pub fn close_channel(&mut self) -> Result<(), Error> {
        let close = channel::Close {
            reply_code: ReplyCode::ReplySuccess.code(),
            reply_text: ShortString::from_static("done"),
            class_id: 0,
            method_id: 0,
        };
        self.call(&close, "channel.close").map(drop)
    }

    /// Sends a request on [`CHANNEL`] and waits for its answer; `name` is for the error text.
    pub fn call(&mut self, method: &impl Encode, name: &'static str) -> Result<Method, Error> {
        self.send(CHANNEL, method)?;
        let answer = self.receive(name)?;
        if answer.name().ends_with("-ok") { Ok(answer) } else { Err(Error::Unexpected(answer.name())) }
    }

    /// Says goodbye and waits for the answer.
    pub fn close(mut self) -> Result<(), Error> {
        self.stream.set_timeouts(CLOSE_TIMEOUT, CLOSE_TIMEOUT)?;
        self.send(0, &goodbye())?;
        match self.receive("connection.close") {
            Ok(_) | Err(Error::Disconnected) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The largest frame that may be sent.
    pub fn frame_size_bytes_max(&self) -> usize {
        self.inbox.frame_size_bytes_max()
    }

    /// The socket, from now on with [`POLL`] as its timeout, and what has been read from it.
    pub fn into_parts(mut self) -> Result<(Stream, Inbox), Error> {
        self.stream.set_timeouts(POLL, POLL)?;
        self.inbox.widen();
        Ok((self.stream, self.inbox))
    }

    fn handshake(&mut self, uri: &Uri, name: &str) -> Result<(), Error> {
        self.stream.write_all(&PROTOCOL_HEADER)?;
        let Method::ConnectionStart(start) = self.receive("the protocol header")? else {
            return Err(Error::Unexpected("a method before connection.start"));
        };
        if !start.mechanisms.split(|byte| *byte == b' ').any(|mechanism| mechanism == b"PLAIN") {
            return Err(Error::Mechanisms(String::from_utf8_lossy(&start.mechanisms).into_owned()));
        }
        self.send(0, &start_ok(uri, name))?;
        let tune = match self.receive("connection.start-ok") {
            Ok(Method::ConnectionTune(tune)) => tune,
            Ok(other) => return Err(Error::Unexpected(other.name())),
            Err(Error::Disconnected) => return Err(Error::LoginRefused),
            Err(error) => return Err(error),
        };
        let frame_max =
            if tune.frame_max == 0 { FRAME_SIZE_BYTES_MAX } else { tune.frame_max.min(FRAME_SIZE_BYTES_MAX) };
        self.inbox.allow_frames_of(frame_max as usize);
        self.send(0, &connection::TuneOk { channel_max: tune.channel_max, frame_max, heartbeat: 0 })?;
        let vhost = ShortString::try_from(uri.vhost.as_str())
            .map_err(|error| Error::Options(format!("virtual host: {error}")))?;
        self.send(0, &connection::Open { virtual_host: vhost })?;
        match self.receive("connection.open") {
            Ok(Method::ConnectionOpenOk(_)) => Ok(()),
            Ok(other) => Err(Error::Unexpected(other.name())),
            Err(Error::Disconnected) => Err(Error::LoginRefused),
            Err(error) => Err(error),
        }
    }

    /// How long a read may wait from now on.
    pub fn wait_at_most(&self, read: Duration) -> Result<(), Error> {
        Ok(self.stream.set_timeouts(read, ANSWER_TIMEOUT)?)
    }

    /// Hands over the next frame. `None` if none came in the time that a read may wait.
    pub fn next_frame<T>(
        &mut self,
        take: impl FnOnce(&RawFrame<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        loop {
            if let Some(frame) = self.inbox.next()? {
                return take(&frame).map(Some);
            }
            if !self.inbox.fill(&self.stream)? {
                return Ok(None);
            }
        }
    }

    /// Writes frames.
    pub fn write(&self, frames: &[u8]) -> Result<(), Error> {
        Ok(self.stream.write_all(frames)?)
    }

    /// Sends a method.
    pub fn send(&mut self, channel: u16, method: &impl Encode) -> Result<(), Error> {
        self.out.clear();
        write_method(&mut self.out, channel, method);
        self.stream.write_all(&self.out)?;
        Ok(())
    }

    /// The next method that answers something or ends something; deliveries and notifications are passed over.
    fn receive(&mut self, waiting_for: &'static str) -> Result<Method, Error> {
        loop {
            while let Some(frame) = self.inbox.next()? {
                if frame.kind != FRAME_METHOD {
                    continue;
                }
                let method = refuse_close(Method::decode(frame.payload)?)?;
                if method.name().ends_with("-ok") || method.is_synchronous() {
                    return Ok(method);
                }
            }
            if !self.inbox.fill(&self.stream)? {
                let seconds = self.stream.read_timeout()?.unwrap_or(ANSWER_TIMEOUT).as_secs();
                return Err(Error::NoAnswer { waiting_for, seconds });
            }
        }
    }
}

/// Makes an error of the methods by which a broker ends a channel or a connection.
pub fn refuse_close(method: Method) -> Result<Method, Error> {
    match method {
        Method::ConnectionClose(close) => {
            Err(Error::ConnectionClosed { code: close.reply_code, text: close.reply_text.to_string() })
        }
        Method::ChannelClose(close) => {
            Err(Error::ChannelClosed { code: close.reply_code, text: close.reply_text.to_string() })
        }
        other => Ok(other),
    }
}

/// The `connection.close` of a client that is done.
pub fn goodbye() -> connection::Close {
    connection::Close {
        reply_code: ReplyCode::ReplySuccess.code(),
        reply_text: ShortString::from_static("done"),
        class_id: 0,
        method_id: 0,
    }
}

/// Writes everything to a socket whose timeout is [`POLL`]. False if that was not possible within [`STOP_GRACE`] after
/// `stop` rose; the stream then ends inside a frame and is of no further use.
pub fn write_all(stream: &Stream, mut bytes: &[u8], stop: &AtomicBool) -> Result<bool, Error> {
    let mut stopped_since: Option<Instant> = None;
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(Error::Disconnected),
            Ok(size) => bytes = &bytes[size..],
            Err(error) if is_timeout(error.kind()) => {}
            Err(error) => return Err(error.into()),
        }
        if !bytes.is_empty()
            && stop.load(Ordering::Relaxed)
            && stopped_since.get_or_insert_with(Instant::now).elapsed() > STOP_GRACE
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn connect_tcp(uri: &Uri) -> Result<TcpStream, Error> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    let refused = |source| Error::Connect { address: format!("{}:{}", uri.host, uri.port), source };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (uri.host.as_str(), uri.port).to_socket_addrs().map_err(refused)? {
        let remaining = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, remaining) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(refused(last))
}

fn start_ok(uri: &Uri, name: &str) -> connection::StartOk {
    let capabilities =
        CLIENT_CAPABILITIES.iter().fold(FieldTable::new(), |table, name| table.with(name, true));
    let properties = FieldTable::new()
        .with("product", "leveret")
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("connection_name", name)
        .with("capabilities", FieldValue::Table(capabilities));
    connection::StartOk {
        client_properties: properties,
        mechanism: ShortString::from_static("PLAIN"),
        response: format!("\0{}\0{}", uri.user, uri.password).into_bytes(),
        locale: ShortString::from_static("en_US"),
    }
}
