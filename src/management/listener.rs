//! HTTP/1.1 over sockets, with TLS or without: bounded in connections, in the time that a request's head may take, and in the size of
//! its body.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::DefaultBodyLimit};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Api, visitor::PeerAddress};
use crate::limits::{
    ACCEPT_BACKOFF_MAX, HANDSHAKE_TIMEOUT_MS, HTTP_BODY_BYTES_MAX, HTTP_CONNECTIONS_MAX, HTTP_HEAD_TIMEOUT,
};
use crate::tls::Acceptor;

/// An address for HTTP.
pub struct HttpListener {
    /// The socket.
    pub listener: std::net::TcpListener,
    /// With TLS: how it is spoken.
    pub tls: Option<Arc<Acceptor>>,
}

/// Serves requests until shutdown. Runs on the runtime of whoever calls.
pub async fn serve(listener: HttpListener, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    let HttpListener { listener, tls } = listener;
    let listener = TcpListener::from_std(listener)?;
    let router = router.layer(DefaultBodyLimit::max(HTTP_BODY_BYTES_MAX));
    let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
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
        let (router, tls, shutdown) = (router.clone(), tls.clone(), shutdown.clone());
        tokio::spawn(async move {
            let serving = async {
                match tls {
                    None => speak(socket, peer, router).await,
                    Some(tls) => speak_tls(socket, peer, router, &tls).await,
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

async fn speak_tls(socket: TcpStream, peer: SocketAddr, router: Router, tls: &Acceptor) {
    let handshake = TlsAcceptor::from(tls.config()).accept(socket);
    let late = std::time::Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
    match timeout(late, handshake).await {
        Ok(Ok(stream)) => speak(stream, peer, router).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake on the port of HTTPS"),
        Err(_late) => tracing::debug!(%peer, "no TLS handshake in time on the port of HTTPS"),
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
) {
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(error) = connection.await {
        tracing::debug!(%peer, %error, "an HTTP connection has failed");
    }
}

impl Api {
    /// Serves requests at an address until shutdown.
    pub async fn listen(self, listener: HttpListener, shutdown: CancellationToken) {
        if let Err(error) = serve(listener, self.router(), shutdown).await {
            tracing::error!(%error, "HTTP cannot be served");
        }
    }
}
