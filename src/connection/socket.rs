//! The socket's writing half, shared by the connection's writer and by those who send directly.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::AsyncWrite,
    net::{TcpStream, tcp::OwnedWriteHalf},
};

use crate::core::outbox::Socket;

/// A socket's writing half, shared. The stream ends when the last of those who share it lets go.
#[derive(Clone)]
pub(super) struct SharedWriter(Arc<OwnedWriteHalf>);

impl SharedWriter {
    /// A handle for those who send directly, without the writer task.
    pub(super) fn direct(&self) -> Arc<dyn Socket> {
        self.0.clone()
    }

    /// Makes the socket's end a reset: the system throws away what is still to be sent, and the client learns that at once.
    pub(super) fn reset(&self) {
        let stream: &TcpStream = (*self.0).as_ref();
        if let Err(error) = stream.set_zero_linger() {
            tracing::debug!(%error, "the socket cannot be reset");
        }
    }
}

impl From<OwnedWriteHalf> for SharedWriter {
    fn from(half: OwnedWriteHalf) -> Self {
        Self(Arc::new(half))
    }
}

impl Socket for OwnedWriteHalf {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }
}

impl AsyncWrite for SharedWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream: &TcpStream = (*self.0).as_ref();
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_write(bytes) {
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
            Some(half) => Pin::new(half).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
