//! Accepts connections, as many as there may be.

use std::{io, net::SocketAddr, pin::pin, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{client::serve, gate::Gate};
use crate::broker::Broker;
use crate::limits::{ACCEPT_BACKOFF_MAX, ACCEPT_BACKOFF_MIN, ACCEPTED_AT_ONCE_MAX, NEWCOMERS_PAUSE};
use crate::tls::Acceptor;

/// Accepts, and calls newcomers, until shutdown; each connection runs as a task of `tasks` on `workers`. With `tls`, clients have to
/// speak TLS.
pub async fn listen(
    broker: Arc<Broker>,
    gate: Arc<Gate>,
    listener: TcpListener,
    tls: Option<Arc<Acceptor>>,
    tasks: TaskTracker,
    workers: Handle,
    shutdown: CancellationToken,
) {
    let mut throttle = Throttle::default();
    let mut next = async || {
        let (socket, peer) = accept(&listener).await;
        throttle.keep().await;
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

/// Lets others have the processor when very many come at once.
struct Throttle {
    began: Instant,
    accepted: usize,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { began: Instant::now(), accepted: 0 }
    }
}

impl Throttle {
    /// One more was accepted.
    async fn keep(&mut self) {
        self.accepted += 1;
        if self.accepted == ACCEPTED_AT_ONCE_MAX {
            let rest = NEWCOMERS_PAUSE.saturating_sub(self.began.elapsed());
            if !rest.is_zero() {
                sleep(rest).await;
            }
            *self = Self::default();
        }
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
                sleep(backoff).await;
                backoff = (backoff * 2).min(ACCEPT_BACKOFF_MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_many_that_come_at_once_so_many_are_accepted_in_a_pause_and_others_at_once() {
        let (mut throttle, began) = (Throttle::default(), Instant::now());
        for _ in 0..10 * ACCEPTED_AT_ONCE_MAX {
            throttle.keep().await;
        }
        assert_eq!(began.elapsed(), 10 * NEWCOMERS_PAUSE);
        let (mut throttle, began) = (Throttle::default(), Instant::now());
        for _ in 0..10 * ACCEPTED_AT_ONCE_MAX {
            advance(Duration::from_micros(100)).await;
            throttle.keep().await;
        }
        assert_eq!(began.elapsed(), Duration::from_micros(100) * 10 * ACCEPTED_AT_ONCE_MAX as u32);
    }
}
