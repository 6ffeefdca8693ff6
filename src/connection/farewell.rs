//! How a connection ends: what it held has been given back, its place in the counts too, and only the socket is left.
//!
//! The client is to read our last words and to close the socket itself, as it does with RabbitMQ: one that still writes, or has
//! not told its users yet, takes the socket's end for a failure. How long a socket is kept for that is bounded, and so is how
//! many there may be; beyond that they are closed at once. A stop of the broker waits for none of them.

use std::{io, time::Duration};

use tokio::{
    task::{JoinHandle, yield_now},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    inbound::Inbound,
    session::{Phase, Session},
    socket::SharedWriter,
};
use crate::core::wakes::wake_all;
use crate::limits::{CLOSE_TIMEOUT, CLOSE_TIMEOUT_AT_STOP, FAREWELL_INTERVAL, LINGER_MAX, LINGER_PLACE_LOST};

/// A connection that is ending.
pub(super) struct Farewell {
    pub(super) inbound: Inbound,
    pub(super) session: Session,
    /// The socket's writing half: the stream ends when the last copy of this is dropped.
    pub(super) socket: SharedWriter,
    pub(super) writing: JoinHandle<io::Result<()>>,
    pub(super) heartbeat: Duration,
}

impl Farewell {
    /// Writes what waits, and keeps the socket as long as the client may need it.
    pub(super) async fn say(mut self, shutdown: &CancellationToken) {
        let broker = self.session.broker.clone();
        let place = broker.lingering.try_acquire().ok();
        let patience =
            if place.is_some() { patience(self.session.phase, self.heartbeat) } else { Duration::ZERO };
        let deadline = Instant::now() + patience;
        self.await_answer(deadline, shutdown).await;
        let Self { inbound, session, socket, writing, .. } = self;
        let (outbox, phase) = (session.outbox.clone(), session.phase);
        drop(session);
        let waker = outbox.lock().close();
        wake_all(waker);
        let flushed = async {
            let abort = writing.abort_handle();
            if !matches!(timeout(CLOSE_TIMEOUT, writing).await, Ok(Ok(Ok(())))) {
                abort.abort();
                let abandoned = outbox.lock().abandon();
                drop(abandoned);
                socket.reset();
            }
        };
        tokio::join!(flushed, linger(inbound, phase, deadline, shutdown));
    }

    /// Waits for the answer to our `connection.close`, if that is what the client owes us.
    async fn await_answer(&mut self, deadline: Instant, shutdown: &CancellationToken) {
        let outbox = self.session.outbox.clone();
        let stopped = async {
            shutdown.cancelled().await;
            stop_patience(|| outbox.lock().pending_bytes() > 0).await;
        };
        tokio::pin!(stopped);
        let mut busy = true;
        while self.session.phase == Phase::Closing {
            let read = tokio::select! {
                () = yield_now(), if busy => {
                    self.inbound.resume(|bytes| self.session.handle(bytes));
                    Ok(1)
                }
                read = self.inbound.read(|bytes| self.session.handle(bytes)), if !busy => read,
                () = sleep_until(deadline) => return,
                () = &mut stopped => return,
            };
            if !matches!(read, Ok(1..)) {
                self.session.phase = Phase::Closed;
            }
            busy = self.session.is_busy();
        }
    }
}

/// How long the client may take: RabbitMQ's times.
fn patience(phase: Phase, heartbeat: Duration) -> Duration {
    match phase {
        Phase::Open | Phase::Closed => Duration::ZERO,
        Phase::Closing | Phase::Left if heartbeat.is_zero() => LINGER_MAX,
        Phase::Closing | Phase::Left => heartbeat.min(LINGER_MAX),
        Phase::Lost => LINGER_PLACE_LOST,
    }
}

/// Waits as long as a stop of the broker may wait for one client: only a moment if nothing is left to send to it.
async fn stop_patience(owes: impl Fn() -> bool) {
    let start = Instant::now();
    sleep(CLOSE_TIMEOUT_AT_STOP).await;
    while owes() && start.elapsed() < CLOSE_TIMEOUT {
        sleep(FAREWELL_INTERVAL).await;
    }
}

/// Reads and forgets until the client closes, if it is the one to do so.
async fn linger(mut inbound: Inbound, phase: Phase, deadline: Instant, shutdown: &CancellationToken) {
    if !matches!(phase, Phase::Left | Phase::Lost) {
        return;
    }
    tokio::select! {
        () = inbound.discard() => {}
        () = sleep_until(deadline) => {}
        () = shutdown.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::{
        auth::Authority,
        broker::Broker,
        config::{Config, Settings},
        connection::session::{Negotiated, Remote},
        core::{ConnectionId, outbox::Outbox},
        limits::LINGERING_SOCKETS_MAX,
        protocol::{FieldTable, ShortString},
        store::Opened,
    };

    /// A client that was sent close-ok, and its connection.
    async fn left(broker: &Arc<Broker>) -> (TcpStream, Farewell) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, peer) = listener.accept().await.unwrap();
        let (reader, writer) = socket.into_split();
        let negotiated = Negotiated {
            vhost: broker.vhosts.all().remove(0),
            user: ShortString::from_static("guest"),
            authority: Authority::Own,
            usage: Arc::default(),
            frame_max: 4_096,
            channel_max: 1,
            remote: Remote::new(peer, &FieldTable::new()),
        };
        let outbox = Arc::new(Mutex::new(Outbox::new(4_096, true)));
        let mut session = Session::new(broker.clone(), ConnectionId(1), negotiated, outbox);
        session.phase = Phase::Left;
        let farewell = Farewell {
            inbound: Inbound::new(reader.into(), Vec::new(), &session.memory),
            session,
            socket: writer.into(),
            writing: tokio::spawn(async { Ok(()) }),
            heartbeat: Duration::ZERO,
        };
        (client, farewell)
    }

    /// What comes long before a socket is given up.
    async fn soon<T>(what: impl Future<Output = T>) -> T {
        timeout(LINGER_MAX / 3, what).await.expect("sooner than this")
    }

    #[tokio::test]
    async fn a_socket_waits_for_its_client_while_there_are_not_too_many_such() {
        let broker = Arc::new(Broker::new(Config::load(Settings::default()).unwrap(), Opened::forgetful()));
        let (mut client, farewell) = left(&broker).await;
        let said = tokio::spawn(async move { farewell.say(&CancellationToken::new()).await });
        soon(client.write_all(&vec![0; 4 * 1024 * 1024])).await.unwrap();
        assert!(!said.is_finished());
        drop(client);
        soon(said).await.unwrap();
        let others = broker.lingering.try_acquire_many(LINGERING_SOCKETS_MAX as u32).unwrap();
        let (mut client, farewell) = left(&broker).await;
        soon(farewell.say(&CancellationToken::new())).await;
        assert_eq!(soon(client.read(&mut [0])).await.unwrap(), 0);
        drop(others);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_longer_only_for_a_client_that_is_owed_something() {
        for (owed_ms, waited_ms) in [(0, 1_000), (3_000, 3_000), (60_000, 5_000)] {
            let start = Instant::now();
            stop_patience(|| start.elapsed() < Duration::from_millis(owed_ms)).await;
            assert_eq!(start.elapsed(), Duration::from_millis(waited_ms));
        }
    }

    #[test]
    fn a_socket_is_kept_for_as_long_as_with_rabbitmq() {
        let seconds = Duration::from_secs;
        for (phase, heartbeat, kept) in [
            (Phase::Left, 0, 30),
            (Phase::Left, 10, 10),
            (Phase::Left, 60, 30),
            (Phase::Closing, 0, 30),
            (Phase::Closing, 2, 2),
            (Phase::Lost, 0, 3),
            (Phase::Lost, 1, 3),
            (Phase::Closed, 60, 0),
            (Phase::Open, 60, 0),
        ] {
            assert_eq!(patience(phase, seconds(heartbeat)), seconds(kept), "{phase:?} {heartbeat}");
        }
    }
}
