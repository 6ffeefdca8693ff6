//! The writing half of a connection: a task that sends what gathers in the outbox, many deliveries at a time.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{io::AsyncWrite, task::yield_now, time::sleep};

use super::heartbeat::Ticks;
use crate::broker::Vhost;
use crate::core::{
    effects::Effects,
    outbox::{SharedOutbox, feed_by_outbox},
    turn::Turn,
    wakes::wake_all,
};
use crate::limits::{IDLE_BUFFER_BYTES_MAX, IDLE_BUFFER_TIMEOUT, SEND_TIMEOUT};

/// Writes until the outbox is closed and drained, or the socket fails: an error, as it is when the client does not read.
pub(super) async fn run(
    mut socket: impl AsyncWrite + Unpin,
    outbox: SharedOutbox,
    vhost: Arc<Vhost>,
    heartbeat: Duration,
) -> io::Result<()> {
    let mut heartbeats = Ticks::every(heartbeat / 2);
    let mut buffer = Vec::new();
    let mut feeding = false;
    let failed = loop {
        let open = tokio::select! {
            biased;
            open = poll_fn(|cx| outbox.lock().poll_take(&mut buffer, cx)) => open,
            () = heartbeats.tick() => {
                outbox.lock().beat();
                continue;
            }
            () = sleep(IDLE_BUFFER_TIMEOUT), if buffer.capacity() > IDLE_BUFFER_BYTES_MAX => {
                buffer = Vec::new();
                outbox.lock().release_buffer();
                continue;
            }
            () = yield_now(), if feeding => {
                feeding = feed(&outbox, &vhost);
                continue;
            }
        };
        if !open {
            break None;
        }
        if let Err(error) = write_all(&mut socket, &buffer).await {
            break Some(error);
        }
        buffer.clear();
        let reader = outbox.lock().written();
        wake_all(reader);
        feeding = feed(&outbox, &vhost);
    };
    let (reader, socket) = outbox.lock().abandon();
    drop(socket);
    wake_all(reader);
    failed.map_or(Ok(()), Err)
}

/// One turn of feeding the consumers that waited for room. Whether there may be more of them.
fn feed(outbox: &SharedOutbox, vhost: &Vhost) -> bool {
    // What becomes of it is sent when it is dropped, before anything is waited for.
    let mut effects = Effects::default();
    let more = feed_by_outbox(outbox, &mut effects, &mut Turn::default());
    effects.outgoing.send();
    vhost.append(&mut effects, false);
    more
}

/// Writes everything; fails if the socket takes nothing for `SEND_TIMEOUT`.
async fn write_all(socket: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut stuck = None;
        let written = poll_fn(|cx| {
            if let Poll::Ready(written) = Pin::new(&mut *socket).poll_write(cx, rest) {
                return Poll::Ready(written);
            }
            let stuck = stuck.get_or_insert_with(|| Box::pin(sleep(SEND_TIMEOUT)));
            stuck.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
        });
        match written.await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => rest = &rest[written..],
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::{
        io::{AsyncReadExt, DuplexStream, duplex},
        task::JoinHandle,
        time::Instant,
    };

    use super::*;
    use crate::core::{
        commit::{Commit, Done},
        outbox::Outbox,
    };
    use crate::protocol::HEARTBEAT_FRAME;
    use crate::{
        broker::Broker,
        config::{Config, Settings},
        store::Opened,
    };

    const INTERVAL: Duration = Duration::from_secs(10);

    /// A writer that sends to a socket with room for `room` bytes.
    fn write_to(room: usize) -> (SharedOutbox, DuplexStream, JoinHandle<io::Result<()>>) {
        let outbox = Arc::new(Mutex::new(Outbox::new(4_096, true)));
        let broker = Broker::new(Config::load(Settings::default()).unwrap(), Opened::forgetful());
        let vhost = broker.vhosts.all().remove(0);
        let (client, socket) = duplex(room);
        let writer = tokio::spawn(run(socket, outbox.clone(), vhost, INTERVAL));
        (outbox, client, writer)
    }

    fn say(outbox: &SharedOutbox, bytes: &[u8]) {
        let mut open = outbox.lock();
        open.send_frames(bytes);
        let woken = open.wake_writer();
        drop(open);
        wake_all(woken);
    }

    /// When the next heartbeat comes, in half intervals since `start`.
    async fn heartbeat(client: &mut DuplexStream, start: Instant) -> u32 {
        let mut frame = [0; 8];
        client.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame, HEARTBEAT_FRAME);
        (start.elapsed().as_millis() / (INTERVAL / 2).as_millis()) as u32
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_is_sent_in_each_half_of_an_interval_in_which_nothing_else_is() {
        let (outbox, mut client, _writer) = write_to(64);
        let start = Instant::now();
        assert_eq!(heartbeat(&mut client, start).await, 1);
        assert_eq!(heartbeat(&mut client, start).await, 2);
        say(&outbox, b"something else");
        client.read_exact(&mut [0; 14]).await.unwrap();
        assert_eq!(heartbeat(&mut client, start).await, 4);
        assert_eq!(heartbeat(&mut client, start).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_after_the_send_timeout() {
        let (outbox, client, writer) = write_to(64);
        let start = Instant::now();
        say(&outbox, &[0; 65]);
        let error = writer.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (io::ErrorKind::TimedOut, SEND_TIMEOUT));
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_little_at_a_time_stays() {
        let (outbox, mut client, writer) = write_to(64);
        say(&outbox, &[0; 164]);
        for _ in 0..100 {
            sleep(SEND_TIMEOUT * 9 / 10).await;
            client.read_exact(&mut [0]).await.unwrap();
        }
        client.read_exact(&mut [0; 64]).await.unwrap();
        let woken = outbox.lock().close();
        wake_all(woken);
        writer.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_leave_while_an_answer_waits_for_its_commit() {
        let (outbox, mut client, writer) = write_to(64);
        outbox.lock().hold_back(Commit(1));
        outbox.lock().send_frames(b"answer");
        let mut heartbeats = [0; 16];
        client.read_exact(&mut heartbeats).await.unwrap();
        assert_eq!(heartbeats, *[HEARTBEAT_FRAME; 2].as_flattened());
        outbox.lock().committed(&Done::up_to(Commit(1)));
        let woken = outbox.lock().close();
        wake_all(woken);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"answer");
        writer.await.unwrap().unwrap();
    }
}
