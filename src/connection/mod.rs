//! One client connection: handshake, then a reader and a writer task.
//!
//! Reader and writer are separate, so that a client that publishes without reading blocks neither itself nor others. The reader
//! handles all frames of a read without waiting; between reads it waits for what the session says: memory, a slow
//! client, consumers that cannot keep up.

mod assembly;
mod channel;
mod dispatch;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod handshake;
mod heartbeat;
mod inbound;
mod listener;
#[cfg(test)]
mod mutations;
mod overdue;
mod scan;
mod session;
mod socket;
mod writer;

use std::{future::poll_fn, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

pub use listener::listen;

use crate::broker::{Broker, ConnectionInfo};
use crate::core::{
    error::AmqpError,
    outbox::{Line, Outbox, SharedOutbox, send},
    wakes::wake_all,
};
use crate::limits::{CLOSE_TIMEOUT, FLOW_PAUSE_MAX, READ_BUFFER_BYTES};
use crate::protocol::{ReplyCode, connection};
use handshake::{Greeted, Refusal, capability};
use heartbeat::{Silence, Ticks};
use inbound::Inbound;
use session::{Phase, Session, text};
use socket::SharedWriter;

/// Serves one client to its end.
pub(crate) async fn serve(
    broker: Arc<Broker>,
    socket: TcpStream,
    peer: SocketAddr,
    shutdown: CancellationToken,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY not set");
    }
    let (mut reader, writer) = socket.into_split();
    let mut writer = SharedWriter::from(writer);
    let greeting = handshake::greet(&broker, &mut reader, &mut writer, peer);
    let greeted = tokio::select! {
        greeted = timeout(broker.config.handshake_timeout, greeting) => {
            greeted.unwrap_or_else(|_| Err(Refusal::Silent("handshake timeout".into())))
        }
        () = shutdown.cancelled() => return,
    };
    match greeted {
        Ok(greeted) => {
            let line = writer.line();
            run(broker, reader, writer, line, greeted, shutdown).await;
        }
        Err(Refusal::Gone(error)) => tracing::debug!(%peer, %error, "client left during the handshake"),
        Err(refusal) => {
            tracing::warn!(%peer, %refusal, "connection refused");
            // A deadline passed without the farewell being read: nothing is left to do.
            let _late = timeout(CLOSE_TIMEOUT, handshake::refuse(&mut writer, &refusal)).await;
            if matches!(refusal, Refusal::Close { .. }) {
                inbound::discard_until_closed(reader, CLOSE_TIMEOUT).await;
            }
        }
    }
}

/// Serves an open connection.
async fn run<R, W>(
    broker: Arc<Broker>,
    reader: R,
    writer: W,
    line: Arc<dyn Line>,
    greeted: Greeted,
    shutdown: CancellationToken,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let Greeted { negotiated, info, heartbeat, leftover } = greeted;
    let heartbeat = Duration::from_secs(heartbeat.into());
    let understands = |name| capability(&info.client_properties, name);
    let outbox: SharedOutbox = Arc::new(Mutex::new(Outbox::new(
        negotiated.frame_max as usize,
        understands("consumer_cancel_notify"),
    )));
    outbox.lock().set_line(line);
    let wants_blocked = understands("connection.blocked");
    let gone = CancellationToken::new();
    let writing = tokio::spawn({
        let (outbox, gone, vhost) = (outbox.clone(), gone.clone(), negotiated.vhost.clone());
        async move {
            writer::run(writer, outbox, vhost, heartbeat).await;
            gone.cancel();
        }
    });
    let ConnectionInfo { peer, user, .. } = &info;
    tracing::info!(%peer, %user, "connection opened");
    let peer = *peer;
    let attention = Arc::new(Notify::new());
    let id = broker.connected(info, outbox.clone(), attention.clone());
    let session = Session::new(broker.clone(), id, negotiated, outbox.clone());
    let mut reading = Reading {
        inbound: Inbound::new(reader, leftover),
        session,
        wants_blocked,
        silence: Silence::default(),
        gone,
        attention,
    };
    reading.run(heartbeat, &shutdown).await;
    reading.session.release_everything();
    let waker = outbox.lock().close();
    wake_all(waker);
    broker.disconnected(id);
    let abort = writing.abort_handle();
    if timeout(CLOSE_TIMEOUT, writing).await.is_err() {
        abort.abort();
        // The socket closes when nobody holds it any more.
        let abandoned = outbox.lock().abandon();
        drop(abandoned);
    }
    tracing::info!(%peer, "connection ended");
}

/// The reader task's state.
struct Reading<R> {
    inbound: Inbound<R>,
    session: Session,
    wants_blocked: bool,
    silence: Silence,
    /// The broker has seen that the client holds something for long.
    attention: Arc<Notify>,
    /// The writer has given up: the client is gone, whatever the reader still waits for.
    gone: CancellationToken,
}

impl<R: AsyncRead + Unpin> Reading<R> {
    /// Reads until the connection is over.
    async fn run(&mut self, heartbeat: Duration, shutdown: &CancellationToken) {
        let mut ticks = Ticks::every(heartbeat);
        let stopped = shutdown.cancelled();
        tokio::pin!(stopped);
        let mut stopping = false;
        let mut close_deadline = None;
        self.inbound.resume(|bytes| self.session.handle(bytes));
        while self.session.phase != Phase::Closed {
            if self.session.phase == Phase::Closing {
                close_deadline.get_or_insert_with(|| Instant::now() + CLOSE_TIMEOUT);
            }
            let deadline = close_deadline.unwrap_or_else(Instant::now);
            let read = tokio::select! {
                biased;
                () = &mut stopped, if !stopping => {
                    stopping = true;
                    self.session.close(&shutdown_error(), (0, 0), 0);
                    continue;
                }
                () = ticks.tick() => {
                    if self.silence.interval_over() {
                        tracing::warn!("missed heartbeats from client");
                        return;
                    }
                    continue;
                }
                () = sleep_until(deadline), if close_deadline.is_some() => return,
                () = self.gone.cancelled() => return,
                () = self.attention.notified() => {
                    self.session.return_overdue();
                    continue;
                }
                read = self.inbound.read(|bytes| self.session.handle(bytes)) => read,
            };
            match read {
                Ok(bytes @ 1..) if self.session.phase == Phase::Open => {
                    self.between_reads(bytes, shutdown).await;
                }
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Waits for whatever must not be overrun.
    async fn between_reads(&mut self, bytes_read: usize, shutdown: &CancellationToken) {
        self.silence.broken();
        if std::mem::take(&mut self.session.published) {
            if self.session.broker.alarm.check(&self.session.broker.gauge) {
                self.hold_up(shutdown).await;
            }
            let journal = self.session.broker.journal.clone();
            tokio::select! {
                () = poll_fn(|cx| journal.poll_room(cx)) => {}
                () = shutdown.cancelled() => return,
                () = self.gone.cancelled() => return,
            }
        }
        while std::mem::take(&mut self.session.replies_full) || self.session.outbox.lock().over_reply_budget()
        {
            let outbox = self.session.outbox.clone();
            tokio::select! {
                () = poll_fn(|cx| outbox.lock().poll_room(cx)) => {}
                () = shutdown.cancelled() => return,
                () = self.gone.cancelled() => return,
            }
            self.inbound.resume(|bytes| self.session.handle(bytes));
        }
        if let Some(queue) = self.session.congested.take()
            && timeout(FLOW_PAUSE_MAX, poll_fn(|cx| queue.poll_drained(cx))).await.is_err()
        {
            queue.stalled();
        }
        // A socket that fills the buffer could keep this worker busy for ever: consumers get their turn.
        if bytes_read >= READ_BUFFER_BYTES / 2 {
            tokio::task::yield_now().await;
        }
    }

    /// The memory alarm is raised: the client is told, and not read from until it is cleared.
    async fn hold_up(&mut self, shutdown: &CancellationToken) {
        let mut alarm = self.session.broker.alarm.subscribe();
        let Some(reason) = *alarm.borrow_and_update() else { return };
        if self.wants_blocked {
            self.session.tell(&connection::Blocked { reason: text(reason) });
            send(&self.session.outbox);
        }
        tokio::select! {
            // The sender lives as long as the broker: an error is the broker's end.
            _ = alarm.wait_for(Option::is_none) => {}
            () = shutdown.cancelled() => return,
            () = self.gone.cancelled() => return,
            () = self.inbound.ended() => return,
        }
        if self.wants_blocked {
            self.session.tell(&connection::Unblocked {});
            send(&self.session.outbox);
        }
        self.inbound.resume(|bytes| self.session.handle(bytes));
    }
}

/// What clients hear when the broker stops (RabbitMQ).
fn shutdown_error() -> AmqpError {
    AmqpError::new(ReplyCode::ConnectionForced, "broker forced connection closure with reason 'shutdown'")
}
