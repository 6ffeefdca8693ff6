//! A connection's socket, plain or with TLS: the reading half, and the writing half, which the connection's writer shares with those who
//! send directly.
//!
//! Everybody above reads and writes in the same way. With a plain socket that costs a comparison.

mod tls;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

#[cfg(any(test, feature = "fuzzing"))]
pub(super) use tls::Session as TlsSession;
pub(super) use tls::{Disagreement, TlsFailure, shake_hands};

use crate::core::outbox::Socket;
use crate::limits::TLS_RECORD_BYTES_MAX;

/// A socket's reading half.
pub(super) enum Reader {
    /// Without TLS.
    Plain(OwnedReadHalf),
    /// With TLS.
    Tls(tls::Reader),
}

impl Reader {
    /// How much more than what is asked for a read may bring at once, so that it need not be kept: it had begun to come before.
    pub(super) fn surplus_bytes(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(_) => TLS_RECORD_BYTES_MAX,
        }
    }

    /// What can be done with the socket, without waiting for bytes.
    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Plain(half) => half.ready(interest).await,
            Self::Tls(half) => half.tcp().ready(interest).await,
        }
    }
}

impl From<OwnedReadHalf> for Reader {
    fn from(half: OwnedReadHalf) -> Self {
        Self::Plain(half)
    }
}

impl AsyncRead for Reader {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(half) => Pin::new(half).poll_read(cx, target),
            Self::Tls(half) => half.poll_read(cx, target),
        }
    }
}

/// A socket's writing half, shared. The stream ends when the last of those who share it lets go.
#[derive(Clone)]
pub(super) struct SharedWriter(Arc<Writer>);

/// A socket's writing half.
enum Writer {
    Plain(OwnedWriteHalf),
    Tls(tls::Writer),
}

impl SharedWriter {
    /// A handle for those who send directly, without the writer task.
    pub(super) fn direct(&self) -> Arc<dyn Socket> {
        self.0.clone()
    }

    /// Makes the socket's end a reset: the system throws away what is still to be sent, and the client learns that at once.
    pub(super) fn reset(&self) {
        if let Err(error) = self.0.tcp().set_zero_linger() {
            tracing::debug!(%error, "the socket cannot be reset");
        }
    }
}

impl From<OwnedWriteHalf> for SharedWriter {
    fn from(half: OwnedWriteHalf) -> Self {
        Self(Arc::new(Writer::Plain(half)))
    }
}

impl From<tls::Writer> for SharedWriter {
    fn from(half: tls::Writer) -> Self {
        Self(Arc::new(Writer::Tls(half)))
    }
}

impl Writer {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(half) => half.as_ref(),
            Self::Tls(half) => half.tcp(),
        }
    }
}

impl Socket for Writer {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(half) => half.try_write(bytes),
            Self::Tls(half) => half.try_write(bytes),
        }
    }
}

impl AsyncWrite for SharedWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.tcp().poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Arc::get_mut(&mut self.0) {
            Some(Writer::Plain(half)) => Pin::new(half).poll_shutdown(cx),
            Some(Writer::Tls(half)) => half.poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
