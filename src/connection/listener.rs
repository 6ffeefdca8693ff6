//! Accepts connections, as many as there may be.

use std::{io, net::SocketAddr, pin::pin, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{client::serve, gate::Gate};
use crate::broker::Broker;
use crate::limits::{ACCEPT_BACKOFF_MAX, ACCEPT_BACKOFF_MIN};
use crate::tls::Acceptor;

/// Accepts, and calls newcomers, until shutdown; each connection runs as a task of `tasks` on `workers`. With `tls`, clients have to speak TLS.
pub async fn listen(
    broker: Arc<Broker>,
    gate: Arc<Gate>,
    listener: TcpListener,
    tls: Option<Arc<Acceptor>>,
    tasks: TaskTracker,
    workers: Handle,
    shutdown: CancellationToken,
) {
    let next = async || {
        let (socket, peer) = accept(&listener).await;
        (socket, peer, gate.place().await)
    };
    let mut calling = pin!(gate.newcomers.call());
    loop {
        let (socket, peer, place) = tokio::select! {
            next = next() => next,
            never = &mut calling => match never {},
            () = shutdown.cancelled() => return,
        };
        let Some(place) = place else {
            gate.refused(peer, None, &"too many connections");
            continue;
        };
        let (broker, tls, shutdown) = (broker.clone(), tls.clone(), shutdown.clone());
        let serving = async move {
            match moved_here(socket) {
                Ok(socket) => serve(broker, socket, peer, tls, place, shutdown).await,
                Err(error) => tracing::error!(%peer, %error, "cannot serve a connection"),
            }
        };
        tasks.spawn_on(serving, &workers);
    }
}

/// Moves an accepted socket from the runtime that accepted it to the one on which this task runs.
fn moved_here(socket: TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(socket.into_std()?)
}

/// The next connection; waits longer and longer while the system has no sockets to give.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut backoff = ACCEPT_BACKOFF_MIN;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(ACCEPT_BACKOFF_MAX);
            }
        }
    }
}
