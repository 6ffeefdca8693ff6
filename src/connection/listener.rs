//! Accepts connections, as many as there may be.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::serve;
use crate::broker::Broker;

/// Sockets beyond `connection_max` that may be in their handshake, to be told that they are too many.
const HANDSHAKES_MAX: usize = 1_024;
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Accepts until shutdown; each connection runs as a task of `tasks` on `workers`.
pub async fn listen(
    broker: Arc<Broker>,
    listener: TcpListener,
    tasks: TaskTracker,
    workers: Handle,
    shutdown: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(broker.config.connection_max + HANDSHAKES_MAX));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = shutdown.cancelled() => return,
        };
        let (socket, peer) = accepted;
        let (broker, shutdown) = (broker.clone(), shutdown.clone());
        let serving = async move {
            match moved_here(socket) {
                Ok(socket) => serve(broker, socket, peer, shutdown).await,
                Err(error) => tracing::error!(%peer, %error, "cannot serve a connection"),
            }
            drop(permit);
        };
        tasks.spawn_on(serving, &workers);
    }
}

/// The runtime that has accepted a socket waits for it no longer; the one that this task runs on does.
fn moved_here(socket: TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(socket.into_std()?)
}

/// The next connection; waits longer and longer while the system has no sockets to give.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut backoff = BACKOFF_MIN;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}
