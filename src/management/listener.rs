//! HTTP/1.1 over sockets, with TLS or without: bounded in connections, of all and of one address, and in the time that a socket may
//! rest, a request's head may take, and an answer may wait to be read.

use std::{
    collections::HashMap,
    future, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::{from_fn_with_state, map_response},
    response::Response,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Api, elsewhere::elsewhere, visitor::PeerAddress};
use crate::limits::{
    ACCEPT_BACKOFF_MAX, HANDSHAKE_TIMEOUT_MS, HTTP_CONNECTIONS_MAX, HTTP_CONNECTIONS_OF_ADDRESS_MAX,
    HTTP_HEAD_TIMEOUT, SEND_TIMEOUT,
};
use crate::tls::Acceptor;

/// An address for HTTP.
pub struct HttpListener {
    /// The socket.
    pub listener: std::net::TcpListener,
    /// With TLS: how it is spoken.
    pub tls: Option<Arc<Acceptor>>,
}

/// Whether a request has come over TLS.
#[derive(Debug, Clone, Copy)]
pub struct OverTls(pub bool);

/// How many connections there are, of all and of each address.
struct Places {
    all: Arc<Semaphore>,
    of: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them; another one may come when it is dropped.
struct Place {
    places: Arc<Places>,
    address: IpAddr,
    _one: OwnedSemaphorePermit,
}

impl Places {
    /// A place for a connection from there; `None` if that address has as many as it may. One address cannot keep others out.
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let one = self.all.clone().try_acquire_owned().ok()?;
        let mut of = self.of.lock();
        let count = of.entry(address).or_default();
        if *count >= HTTP_CONNECTIONS_OF_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), address, _one: one })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of = self.places.of.lock();
        if let Some(count) = of.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                of.remove(&self.address);
            }
        }
    }
}

impl Api {
    /// Serves requests at an address until shutdown: by the API's router, or one that hands on to it. Runs on the runtime of whoever calls;
    /// what is asked is done elsewhere (`management/elsewhere`).
    pub async fn listen(self, listener: HttpListener, router: Router, shutdown: CancellationToken) {
        let router = router.layer(from_fn_with_state(self.elsewhere.clone(), elsewhere));
        if let Err(error) = self.serve(listener, router, shutdown).await {
            tracing::error!(%error, "HTTP cannot be served");
        }
    }

    /// The same for metrics alone.
    pub async fn listen_for_scrapes(self, listener: HttpListener, shutdown: CancellationToken) {
        let router = self.metrics_router();
        if let Err(error) = self.serve(listener, router, shutdown).await {
            tracing::error!(%error, "metrics cannot be served");
        }
    }

    /// Has answers say that browsers are to come by TLS, as it is configured. For connections with TLS alone (RFC 6797, 7.2).
    fn tell_hsts(self, router: Router) -> Router {
        router.layer(map_response(move |mut response: Response| {
            let policy = self.broker.effective.hsts();
            if let Some(policy) = policy.and_then(|policy| HeaderValue::try_from(policy).ok()) {
                response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, policy);
            }
            future::ready(response)
        }))
    }

    async fn serve(
        self,
        listener: HttpListener,
        router: Router,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let HttpListener { listener, tls } = listener;
        let listener = TcpListener::from_std(listener)?;
        let places =
            Arc::new(Places { all: Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX)), of: Mutex::default() });
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => return Ok(()),
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection for HTTP");
                    sleep(ACCEPT_BACKOFF_MAX).await;
                    continue;
                }
            };
            let Some(place) = places.take(peer.ip()) else {
                tracing::debug!(%peer, "too many connections for HTTP");
                continue;
            };
            let (api, router, tls, shutdown) = (self.clone(), router.clone(), tls.clone(), shutdown.clone());
            self.broker.operations.spawn(async move {
                let serving = async {
                    match tls {
                        None => speak(socket, peer, OverTls(false), router).await,
                        Some(tls) => speak_tls(socket, peer, api.tell_hsts(router), &tls).await,
                    }
                };
                tokio::select! {
                    () = serving => {}
                    () = shutdown.cancelled() => {}
                }
                drop(place);
            });
        }
    }
}

async fn speak_tls(socket: TcpStream, peer: SocketAddr, router: Router, tls: &Acceptor) {
    let handshake = TlsAcceptor::from(tls.config()).accept(socket);
    let late = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
    match timeout(late, handshake).await {
        Ok(Ok(stream)) => speak(stream, peer, OverTls(true), router).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake on the port of HTTPS"),
        Err(_late) => tracing::debug!(%peer, "no TLS handshake in time on the port of HTTPS"),
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    peer: SocketAddr,
    over_tls: OverTls,
    router: Router,
) {
    // What is read has its time elsewhere: the next request's head, and its body. While an answer goes on nothing need come.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(SEND_TIMEOUT));
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        request.extensions_mut().insert(over_tls);
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service));
    if let Err(error) = connection.await {
        tracing::debug!(%peer, %error, "an HTTP connection has failed");
    }
}
