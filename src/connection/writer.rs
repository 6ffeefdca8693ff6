//! The writing half of a connection: a task that sends what gathers in the outbox, many deliveries at a time.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::sleep,
};

use super::heartbeat::Ticks;
use crate::broker::Vhost;
use crate::core::{effects::Effects, outbox::SharedOutbox, queue::feed_by_outbox, wakes::wake_all};
use crate::limits::IDLE_BUFFER_BYTES_MAX;
use crate::protocol::HEARTBEAT_FRAME;

/// A busy connection keeps its buffers: growing them again for each batch would cost as much as filling them.
const IDLE_AFTER: Duration = Duration::from_millis(500);

/// Writes until the outbox is closed and drained, or the socket fails.
pub(super) async fn run(
    mut socket: impl AsyncWrite + Unpin,
    outbox: SharedOutbox,
    vhost: Arc<Vhost>,
    heartbeat: Duration,
) {
    let mut heartbeats = Ticks::every(heartbeat / 2);
    let mut buffer = Vec::new();
    loop {
        let open = tokio::select! {
            biased;
            open = poll_fn(|cx| outbox.lock().poll_take(&mut buffer, cx)) => open,
            () = heartbeats.tick() => {
                let mut outbox = outbox.lock();
                if !outbox.was_busy() {
                    outbox.send_now(&HEARTBEAT_FRAME);
                }
                continue;
            }
            () = sleep(IDLE_AFTER), if buffer.capacity() > IDLE_BUFFER_BYTES_MAX => {
                buffer = Vec::new();
                outbox.lock().release_buffer();
                continue;
            }
        };
        if !open || socket.write_all(&buffer).await.is_err() {
            break;
        }
        buffer.clear();
        let reader = outbox.lock().written();
        wake_all(reader);
        // What becomes of it is sent when it is dropped, before anything is waited for.
        let mut effects = Effects::default();
        feed_by_outbox(&outbox, &mut effects);
        effects.outgoing.send();
        vhost.append(&mut effects, false);
    }
    let (reader, line) = outbox.lock().abandon();
    drop(line);
    wake_all(reader);
    // A client that has gone already needs no farewell.
    let _gone = socket.shutdown().await;
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;
    use crate::core::{
        journal::{Commit, Done},
        outbox::Outbox,
    };
    use crate::{
        broker::Broker,
        config::{Config, Settings},
        store::Opened,
    };

    #[tokio::test(start_paused = true)]
    async fn heartbeats_leave_while_an_answer_waits_for_its_commit() {
        let outbox = Arc::new(Mutex::new(Outbox::new(4_096, true)));
        outbox.lock().hold_back(Commit(1));
        outbox.lock().send_frames(b"answer");
        let broker = Broker::new(Config::load(Settings::default()).unwrap(), Opened::forgetful());
        let vhost = broker.vhosts().remove(0);
        let (mut client, socket) = duplex(64);
        let heartbeat = Duration::from_secs(10);
        let writer = tokio::spawn(run(socket, outbox.clone(), vhost, heartbeat));
        let mut heartbeats = [0; 16];
        client.read_exact(&mut heartbeats).await.unwrap();
        assert_eq!(heartbeats, *[HEARTBEAT_FRAME; 2].as_flattened());
        outbox.lock().committed(&Done::up_to(Commit(1)));
        let woken = outbox.lock().close();
        wake_all(woken);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"answer");
        writer.await.unwrap();
    }
}
