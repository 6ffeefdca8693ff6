//! A socket with TLS: one session, shared by the reader, the writer, and those who send directly in the writer's place.
//!
//! The session is behind a lock that is held while something is encrypted or decrypted and given to the system, never while anybody waits.
//! So a small delivery is encrypted and sent on the thread that has it, as without TLS.
//!
//! What is encrypted has to be sent: it cannot be encrypted again. So bytes count as written when what was made of them is with the system,
//! and not before; until then the session keeps that, and whoever writes next has to begin with the same bytes, which are not encrypted
//! again. An outbox does so by itself: what was not sent stays in front.

mod session;

use std::{
    cell::RefCell,
    io::{self, IoSlice, Write},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    io::{AsyncWrite as _, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

pub(in crate::connection) use session::{Disagreement, Session};

use crate::containment::contained;
use crate::limits::{TLS_LOCKED_BYTES, TLS_READ_BYTES, TLS_READ_BYTES_MIN, TLS_RECORD_BYTES_MAX};
use crate::tls::Acceptor;

thread_local! {
    /// What was read and is not decrypted yet, lent to whichever socket is readable.
    static ENCRYPTED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The halves of a socket on which TLS is agreed upon.
pub(in crate::connection) struct Secured {
    pub(in crate::connection) reader: Reader,
    pub(in crate::connection) writer: Writer,
    /// What the client's certificate is taken for.
    pub(in crate::connection) certificate_name: Option<String>,
}

/// Why there is no agreement.
#[derive(Debug)]
pub(in crate::connection) enum TlsFailure {
    /// The client went away, or the socket failed.
    Gone(io::Error),
    /// It does not speak TLS, or was told why not, as far as it reads that.
    Disagreed(Disagreement),
}

/// Leads a client through the handshake of TLS. After a failure the socket comes back, so that the client can read why it failed; nothing
/// more can be said on it.
pub(in crate::connection) async fn shake_hands(
    tcp: TcpStream,
    acceptor: &Acceptor,
) -> Result<Secured, (TcpStream, TlsFailure)> {
    let mut session = match Session::new(acceptor) {
        Ok(session) => session,
        Err(error) => return Err((tcp, TlsFailure::Disagreed(Disagreement::Refused(error)))),
    };
    if let Err(failure) = agree(&tcp, &mut session).await {
        return Err((tcp, failure));
    }
    let certificate_name = session.client_name(acceptor);
    let (reader, writer) = tcp.into_split();
    let session = Arc::new(Mutex::new(session));
    let reader = Reader { tcp: reader, session: session.clone(), was_full: false };
    Ok(Secured { reader, writer: Writer { tcp: writer, session }, certificate_name })
}

async fn agree(tcp: &TcpStream, session: &mut Session) -> Result<(), TlsFailure> {
    loop {
        while session.has_unsent() {
            tcp.writable().await.map_err(TlsFailure::Gone)?;
            match session.send_all(&mut Sending(tcp)) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Err(TlsFailure::Gone(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        if session.is_agreed() {
            return Ok(());
        }
        tcp.readable().await.map_err(TlsFailure::Gone)?;
        let taken = with_encrypted(|buffer| match tcp.try_read(&mut buffer[..TLS_READ_BYTES_MIN]) {
            Ok(0) => Err(TlsFailure::Gone(io::ErrorKind::UnexpectedEof.into())),
            Ok(bytes) => session.greet(&buffer[..bytes]).map_err(TlsFailure::Disagreed),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(TlsFailure::Gone(error)),
        });
        if let Err(failure) = taken {
            if let TlsFailure::Disagreed(Disagreement::Refused(_)) = failure {
                // What it has to say of that is said if the socket takes it at once, which is empty.
                let _unsaid = session.send_all(&mut Sending(tcp));
            }
            return Err(failure);
        }
    }
}

/// The reading half.
pub(in crate::connection) struct Reader {
    tcp: OwnedReadHalf,
    session: Arc<Mutex<Session>>,
    /// Whether the last read brought as much as it could.
    was_full: bool,
}

impl Reader {
    pub(super) fn tcp(&self) -> &TcpStream {
        self.tcp.as_ref()
    }

    /// As [`AsyncRead`](tokio::io::AsyncRead) has it. An end without a word of good-bye counts as an end: AMQP has its own.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if mem::take(&mut self.was_full) {
            return others_first(cx);
        }
        let before = target.filled().len();
        if self.session.lock().take_decrypted(target)? {
            return Poll::Ready(Ok(()));
        }
        let room = target.remaining().saturating_sub(TLS_RECORD_BYTES_MAX);
        let room = room.clamp(TLS_READ_BYTES_MIN, TLS_READ_BYTES);
        let bytes = ready!(with_encrypted(|buffer| self.poll_decrypt(cx, &mut buffer[..room], target)))?;
        self.was_full = bytes == room;
        // Records may be incomplete, or bring nothing, as many as they are.
        if bytes > 0 && target.filled().len() == before { others_first(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Reads once, and decrypts that. Gives how many bytes were read.
    fn poll_decrypt(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let tcp = self.tcp();
        let bytes = loop {
            ready!(tcp.poll_read_ready(cx))?;
            match tcp.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => break read?,
            }
        };
        let mut session = self.session.lock();
        let decrypted = buffer[..bytes].chunks(TLS_LOCKED_BYTES).try_for_each(|piece| {
            MutexGuard::bump(&mut session);
            contained(|| session.decrypt(piece, target))
                .unwrap_or_else(|_told_by_the_hook| Err(rustls::Error::General("it has failed".into())))
        });
        // An alert, or an answer to new keys. What cannot be sent now is sent before what is written next, and an error is one for the writer.
        let _unsent = session.send_all(&mut Sending(tcp));
        Poll::Ready(
            decrypted.map(|()| bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        )
    }
}

/// The writing half. When it is dropped, the client is told that nothing more will come.
pub(in crate::connection) struct Writer {
    tcp: OwnedWriteHalf,
    session: Arc<Mutex<Session>>,
}

impl Writer {
    pub(super) fn tcp(&self) -> &TcpStream {
        self.tcp.as_ref()
    }

    /// Sends what can be sent at once. If that is not all that was encrypted for it, nothing counts as written, and the next call has to
    /// begin with the same bytes.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.session.lock().write(bytes, &mut Sending(self.tcp()))
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.say_good_bye() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.tcp().poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
                Ok(()) => return Pin::new(&mut self.tcp).poll_shutdown(cx),
            }
        }
    }

    fn say_good_bye(&self) -> io::Result<()> {
        self.session.lock().say_good_bye(&mut Sending(self.tcp()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A client that does not read does not hear it.
        let _unheard = self.say_good_bye();
    }
}

/// Lends this thread's buffer.
fn with_encrypted<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    ENCRYPTED.with_borrow_mut(|buffer| {
        buffer.resize(TLS_READ_BYTES, 0);
        work(buffer)
    })
}

fn others_first(cx: &Context<'_>) -> Poll<io::Result<()>> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// A socket that is written to without waiting.
struct Sending<'a>(&'a TcpStream);

impl Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
