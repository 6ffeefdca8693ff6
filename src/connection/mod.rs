//! One client connection: handshake, then a reader and a writer task.
//!
//! Reader and writer are separate, so that a client that publishes without reading blocks neither itself nor others. The reader
//! handles the frames of a read in turns, and lets others have theirs in between; after each it waits for what the session says:
//! memory, a slow client, consumers that cannot keep up.

mod assembly;
mod channel;
mod clearing;
mod dispatch;
mod ending;
mod farewell;
#[doc(hidden)]
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gate;
mod handshake;
mod heartbeat;
mod inbound;
mod leaving;
mod listener;
#[cfg(test)]
mod mutations;
mod overdue;
mod scan;
mod session;
mod socket;
mod sparing;
#[cfg(test)]
mod tests;
mod work;
mod writer;

use std::{future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    net::{TcpStream, tcp::OwnedReadHalf},
    sync::Notify,
    task::yield_now,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub use gate::Gate;
pub use listener::listen;

use crate::broker::Broker;
use crate::containment::contained_future;
use crate::core::{
    error::AmqpError,
    outbox::{Outbox, SharedOutbox, send},
};
use crate::limits::{CLOSE_TIMEOUT, FAREWELL_IN_HASTE, FLOW_PAUSE_MAX, READ_BUFFER_BYTES};
use crate::protocol::{ReplyCode, connection};
use ending::Ending;
use farewell::Farewell;
use gate::{Place, Why};
use handshake::{Greeted, Refusal, capability};
use heartbeat::{Silence, Ticks};
use inbound::Inbound;
use leaving::Then;
use session::{Brought, Phase, Session, text};
use socket::SharedWriter;

/// Serves one client to its end.
async fn serve(
    broker: Arc<Broker>,
    socket: TcpStream,
    peer: SocketAddr,
    mut place: Place,
    shutdown: CancellationToken,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY not set");
    }
    let (mut reader, writer) = socket.into_split();
    let mut writer = SharedWriter::from(writer);
    let greeting = Box::pin(contained_future(handshake::greet(&broker, &mut reader, &mut writer, peer)));
    let greeted = tokio::select! {
        greeted = timeout(broker.config.handshake_timeout, greeting) => match greeted {
            Ok(Some(greeted)) => greeted,
            Ok(None) => Err(Refusal::Close { error: session::internal_error(), ids: (0, 0) }),
            Err(_late) => Err(Refusal::Silent("handshake timeout".into())),
        },
        () = place.wanted() => Err(Refusal::Crowded),
        () = shutdown.cancelled() => return,
    };
    match greeted {
        Ok(_) if !place.keep() => place.gate().refused(peer, &Refusal::Crowded),
        Ok(greeted) => run(broker, reader, writer, greeted, place, shutdown).await,
        Err(Refusal::Gone(error)) => tracing::debug!(%peer, %error, "client left during the handshake"),
        Err(refusal) => {
            place.gate().refused(peer, &refusal);
            tokio::select! {
                () = Box::pin(turn_away(reader, writer, &refusal)) => {}
                () = place.wanted() => {}
                () = shutdown.cancelled() => {}
            }
        }
    }
}

/// Tells a client that it may not go on, and lets it read that.
async fn turn_away(reader: OwnedReadHalf, mut writer: SharedWriter, refusal: &Refusal) {
    // A deadline passed without the farewell being read: nothing is left to do.
    let _late = timeout(CLOSE_TIMEOUT, handshake::refuse(&mut writer, refusal)).await;
    if refusal.says_why() {
        inbound::discard_until_closed(reader, CLOSE_TIMEOUT).await;
    }
}

/// Serves an open connection.
async fn run(
    broker: Arc<Broker>,
    reader: OwnedReadHalf,
    socket: SharedWriter,
    greeted: Greeted,
    mut place: Place,
    shutdown: CancellationToken,
) {
    let Greeted { negotiated, info, heartbeat, leftover } = greeted;
    let heartbeat = Duration::from_secs(heartbeat.into());
    let understands = |name| capability(&info.client_properties, name);
    let outbox: SharedOutbox = Arc::new(Mutex::new(Outbox::new(
        negotiated.frame_max as usize,
        understands("consumer_cancel_notify"),
    )));
    outbox.lock().set_line(socket.line());
    let wants_blocked = understands("connection.blocked");
    let gone = CancellationToken::new();
    let writing = tokio::spawn({
        let (outbox, gone, vhost) = (outbox.clone(), gone.clone(), negotiated.vhost.clone());
        let writer = socket.clone();
        async move {
            let written = writer::run(writer, outbox, vhost, heartbeat).await;
            gone.cancel();
            written
        }
    });
    let attention = Arc::new(Notify::new());
    let id = broker.connected(info, outbox.clone(), attention.clone());
    let session = Session::new(broker.clone(), id, negotiated, outbox.clone());
    tracing::info!(parent: &session.span(), "connection opened");
    let mut reading = Reading {
        inbound: Inbound::new(reader, leftover, &session.memory),
        session,
        wants_blocked,
        silence: Silence::default(),
        gone,
        attention,
        unhandled: true,
    };
    let ending = reading.run(heartbeat, &shutdown).await;
    let Reading { inbound, mut session, .. } = reading;
    session.release_everything(Then::Nothing);
    ending.log(&session);
    while !session.finish() {
        yield_now().await;
    }
    place.lend(Why::Leaving);
    // Not part of this task's own memory, which each idle connection has.
    Box::pin(part(Farewell { inbound, session, socket, writing, heartbeat }, &place, &shutdown)).await;
}

/// Says good-bye; in haste, if somebody else wants the place, who does not wait long for it.
async fn part(farewell: Farewell, place: &Place, shutdown: &CancellationToken) {
    let hurry = shutdown.child_token();
    let (socket, outbox) = (farewell.socket.clone(), farewell.session.outbox.clone());
    let writing = farewell.writing.abort_handle();
    let wanted = async {
        place.wanted().await;
        hurry.cancel();
        sleep(FAREWELL_IN_HASTE).await;
    };
    tokio::select! {
        () = farewell.say(&hurry) => return,
        () = wanted => {}
    }
    writing.abort();
    let abandoned = outbox.lock().abandon();
    drop(abandoned);
    socket.reset();
}

/// The reader task's state.
struct Reading {
    inbound: Inbound,
    session: Session,
    wants_blocked: bool,
    silence: Silence,
    /// The broker has seen that the client holds something for too long, or may have more than before.
    attention: Arc<Notify>,
    /// The writer has given up: the client is gone, whatever the reader still waits for.
    gone: CancellationToken,
    /// What was left over may be handled now.
    unhandled: bool,
}

impl Reading {
    /// Reads until the connection is no longer in use.
    async fn run(&mut self, heartbeat: Duration, shutdown: &CancellationToken) -> Ending {
        let mut ticks = Ticks::every(heartbeat);
        // Both are polled with each read: they are made once.
        let gone = self.gone.clone();
        let mut gone = pin!(gone.cancelled());
        let mut stopped = pin!(shutdown.cancelled());
        while self.session.phase == Phase::Open {
            let busy = self.unhandled || self.session.is_busy();
            let bytes_read = tokio::select! {
                biased;
                () = &mut stopped => {
                    self.session.close(&shutdown_error(), (0, 0), 0);
                    return Ending::Shutdown;
                }
                () = ticks.tick() => {
                    if self.silence.interval_over() {
                        return Ending::Silent;
                    }
                    continue;
                }
                () = &mut gone => return Ending::Unwritable,
                () = self.attention.notified(), if !self.session.is_working() => {
                    self.session.feed_starved();
                    self.session.return_overdue();
                    continue;
                }
                () = yield_now(), if busy => {
                    self.unhandled = false;
                    self.inbound.resume(|bytes| self.session.handle(bytes));
                    0
                }
                read = self.inbound.read(|bytes| self.session.handle(bytes)), if !busy => match read {
                    Ok(0) => return Ending::Gone,
                    Ok(bytes) => bytes,
                    Err(error) => return Ending::Broken(error),
                },
            };
            self.silence.broken();
            self.wait_for_departures(shutdown).await;
            // What is under way gives back memory, or holds some until it is done: it does not wait for any.
            if self.session.phase == Phase::Open && !self.session.is_working() {
                self.between_turns(bytes_read, shutdown).await;
            }
        }
        Ending::Closed
    }

    /// Waits for whatever must not be overrun. A client that is silent meanwhile is not given up (RabbitMQ): its heartbeats may
    /// stand behind what is not read; one that has closed its socket is.
    async fn between_turns(&mut self, bytes_read: usize, shutdown: &CancellationToken) {
        let brought = std::mem::take(&mut self.session.brought);
        if brought > Brought::Nothing && self.session.broker.alarm.check(self.session.broker.gauge) {
            self.hold_up(shutdown).await;
        }
        // Who brought nothing for the journal need not wait for the disk.
        if brought == Brought::ForTheJournal {
            let journal = self.session.broker.journal.clone();
            tokio::select! {
                biased;
                () = poll_fn(|cx| journal.poll_room(cx)) => {}
                () = shutdown.cancelled() => return,
                () = self.gone.cancelled() => return,
                () = self.inbound.gone() => return,
            }
        }
        if std::mem::take(&mut self.session.replies_full) || self.session.outbox.lock().over_reply_budget() {
            self.unhandled = true;
            let outbox = self.session.outbox.clone();
            tokio::select! {
                biased;
                () = poll_fn(|cx| outbox.lock().poll_room(cx)) => {}
                () = shutdown.cancelled() => return,
                () = self.gone.cancelled() => return,
                () = self.inbound.gone() => return,
            }
        }
        if let Some(queue) = self.session.congested.take()
            && timeout(FLOW_PAUSE_MAX, poll_fn(|cx| queue.poll_drained(cx))).await.is_err()
        {
            queue.stalled();
        }
        // A socket that fills the buffer could keep this worker busy for ever: consumers get their turn.
        if bytes_read >= READ_BUFFER_BYTES / 2 {
            yield_now().await;
        }
    }

    /// Who makes messages depart does not bring more of them than can be carried out.
    async fn wait_for_departures(&mut self, shutdown: &CancellationToken) {
        if std::mem::take(&mut self.session.departed) {
            let vhost = self.session.vhost.clone();
            tokio::select! {
                biased;
                () = vhost.room_for_departures() => {}
                () = shutdown.cancelled() => {}
                () = self.gone.cancelled() => {}
                () = self.inbound.gone() => {}
            }
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
        // The sender lives as long as the broker: an error is the broker's end.
        while alarm.borrow_and_update().is_some() {
            tokio::select! {
                changed = alarm.changed() => if changed.is_err() { return },
                () = self.attention.notified() => {
                    self.session.feed_starved();
                    self.session.return_overdue();
                }
                () = shutdown.cancelled() => return,
                () = self.gone.cancelled() => return,
                () = self.inbound.gone() => return,
            }
            while !self.session.finish() {
                yield_now().await;
            }
        }
        if self.wants_blocked {
            self.session.tell(&connection::Unblocked {});
            send(&self.session.outbox);
        }
        self.unhandled = true;
    }
}

/// What clients hear when the broker stops (RabbitMQ).
fn shutdown_error() -> AmqpError {
    AmqpError::new(ReplyCode::ConnectionForced, "broker forced connection closure with reason 'shutdown'")
}
