//! What is between a visitor and the broker, in the place of a socket: bytes come in pieces of all sizes, and nobody waits.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A line to a visitor.
pub(super) trait Line: AsyncRead + AsyncWrite + Unpin {
    /// What has come at the visitor's end.
    fn told(self) -> Vec<u8>;
}

/// A line without TLS.
pub(super) struct Plain<'a> {
    unread: &'a [u8],
    told: Vec<u8>,
    /// Determines the next piece's size.
    turn: usize,
}

impl<'a> Plain<'a> {
    /// One on which this comes.
    pub(super) fn new(bytes: &'a [u8], pieces: u8) -> Self {
        Self { unread: bytes, told: Vec::new(), turn: pieces.into() }
    }
}

impl Line for Plain<'_> {
    fn told(self) -> Vec<u8> {
        self.told
    }
}

impl AsyncRead for Plain<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = piece_bytes(&mut self.turn).min(target.remaining()).min(self.unread.len());
        let (piece, unread) = self.unread.split_at(bytes);
        target.put_slice(piece);
        self.unread = unread;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Plain<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.told).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// How much comes at once.
pub(super) fn piece_bytes(turn: &mut usize) -> usize {
    const SIZES: [usize; 8] = [4_096, 1, 7, 300, 64, 4_096, 2, 900];
    *turn += 1;
    SIZES[*turn % SIZES.len()]
}
