//! The reading half of a connection: one large buffer for each worker thread, lent to whichever socket is readable.
//!
//! An idle connection holds no buffer. What a read leaves over stays with the connection: a frame or a message that is not
//! complete yet, which goes in front of the next read, or what is for the next turn. It is copied when it is left over, and not
//! again with each turn.

use std::{
    cell::RefCell,
    future::poll_fn,
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, Interest, ReadBuf},
    time::{sleep, timeout},
};

use super::socket::Reader;
use crate::core::memory::{Held, Holder, Kind};
use crate::limits::{GONE_INTERVAL, MEMORY_FLOOR_BYTES, READ_BUFFER_BYTES};

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A socket's reading half.
pub(super) struct Inbound {
    socket: Reader,
    leftover: Vec<u8>,
    /// How many of the leftover bytes have been handled since.
    handled: usize,
    /// Whether a read has waited since that was asked last.
    waited: bool,
    held: Held,
}

impl Inbound {
    /// `leftover` came before and has not been handled.
    pub(super) fn new(socket: Reader, leftover: Vec<u8>, memory: &Arc<Holder>) -> Self {
        Self { socket, leftover, handled: 0, waited: false, held: Held::new(memory, Kind::Inbound) }
    }

    /// Handles what was left over.
    pub(super) fn resume(&mut self, mut handle: impl FnMut(&[u8]) -> usize) {
        self.handled += handle(&self.leftover[self.handled..]);
        if self.handled == self.leftover.len() {
            self.leftover = Vec::new();
            self.handled = 0;
        }
        self.held.set(self.leftover.capacity());
    }

    /// Reads once and lends what is there to `handle`, which tells how many bytes it has used up. Gives how many bytes
    /// were read; zero is the end of the stream.
    pub(super) async fn read(&mut self, mut handle: impl FnMut(&[u8]) -> usize) -> io::Result<usize> {
        poll_fn(|cx| {
            let polled = self.poll_read(cx, &mut handle);
            self.waited |= polled.is_pending();
            polled
        })
        .await
    }

    /// Whether a read has waited since this was asked last: others had their turn meanwhile.
    pub(super) fn has_waited(&mut self) -> bool {
        mem::take(&mut self.waited)
    }

    /// Waits until the client has closed or broken its connection, without reading: what it has sent before may still be unread.
    pub(super) async fn gone(&self) {
        loop {
            sleep(GONE_INTERVAL).await;
            // This does not wait: either the socket is readable, or there is nothing to read.
            match timeout(Duration::ZERO, self.socket.ready(Interest::READABLE)).await {
                Ok(Ok(ready)) if !ready.is_read_closed() => {}
                Ok(_) => return,
                Err(_nothing_to_read) => {}
            }
        }
    }

    /// Reads and forgets until the client closes.
    pub(super) async fn discard(&mut self) {
        self.leftover = Vec::new();
        self.handled = 0;
        while let Ok(1..) = self.read(|bytes| bytes.len()).await {}
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        handle: &mut impl FnMut(&[u8]) -> usize,
    ) -> Poll<io::Result<usize>> {
        BUFFER.with_borrow_mut(|buffer| {
            let kept = self.leftover.len() - self.handled;
            // Bytes that cannot be handled stay here, so where memory is short, little is read at once.
            let is_short = self.held.holder().gauge().is_pressed();
            let room = if is_short { MEMORY_FLOOR_BYTES } else { READ_BUFFER_BYTES };
            let room = room + self.socket.surplus_bytes();
            if buffer.len() < kept + room {
                buffer.resize(kept + room, 0);
            }
            let mut target = ReadBuf::new(&mut buffer[kept..kept + room]);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut target))?;
            let read = target.filled().len();
            if read == 0 {
                return Poll::Ready(Ok(0));
            }
            buffer[..kept].copy_from_slice(&self.leftover[self.handled..]);
            let used = handle(&buffer[..kept + read]);
            self.keep(&buffer[used..kept + read]);
            Poll::Ready(Ok(read))
        })
    }

    fn keep(&mut self, rest: &[u8]) {
        self.handled = 0;
        self.leftover.clear();
        if rest.is_empty() && self.leftover.capacity() > 0 {
            self.leftover = Vec::new();
        } else {
            self.leftover.extend_from_slice(rest);
        }
        self.held.set(self.leftover.capacity());
    }
}

/// Reads and forgets until the peer closes, so that it can read our last words before the socket is reset.
pub(super) async fn discard_until_closed(mut socket: impl AsyncRead + Unpin, deadline: Duration) {
    // Late or failed: either way it is over.
    let _over = timeout(deadline, tokio::io::copy(&mut socket, &mut tokio::io::sink())).await;
}
