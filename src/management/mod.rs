//! The HTTP API: RabbitMQ's, so that its tools work, and what it does not have under `/api/leveret/`.
//!
//! `visitor` says who asks and what that one may see, `listing` answers with lists, `samples` knows rates, and `routes/` has a file for
//! each kind of thing, rows of a table of which `openapi/` makes the router and the API's own document. What a client could do over AMQP is done by a client inside the broker
//! ([`Within`](crate::connection::Within)), in the name of who asks. It runs on threads of its own.

mod attention;
mod body;
mod elsewhere;
mod extract;
mod failure;
mod guard;
mod json;
mod listener;
mod listing;
mod metrics;
mod openapi;
mod pass;
mod rates;
mod recent;
mod redrives;
mod routes;
mod samples;
mod tails;
mod time;
mod visitor;
pub mod words;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    Router,
    http::{HeaderValue, Method, header},
};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
};
use tokio_util::sync::CancellationToken;
use tower_http::{
    cors::{AllowOrigin, CorsLayer},
    normalize_path::NormalizePath,
};
use utoipa::openapi::OpenApi;

use crate::broker::{Broker, Document, Vhost};
use crate::connection::Sparing;
use crate::core::{
    access::{AccessChange, Registry},
    clock::Millis,
};
use crate::limits::{CORS_AGE, HTTP_LARGE_BODIES_MAX, REFUSALS_LOGGED_MAX, REFUSALS_LOGGED_REFILL};
use crate::protocol::ShortString;
use crate::store::Metrics;
use crate::tls::Acceptor;
use attention::Watch;
use elsewhere::Elsewhere;
pub use failure::Failure;
use failure::{Answered, bad_request};
pub use guard::{LargeBody, is_of_this_origin};
pub use listener::{HttpListener, OverTls};
use metrics::Scrapes;
pub use pass::Pass;
use rates::Rates;
pub use recent::{Part, Recent};
use redrives::Redrives;
use samples::Samples;
use tails::Tails;
pub use time::iso;
pub use visitor::{PeerAddress, Visitor};

/// What the API shows beside the broker.
pub struct Node {
    /// Its name, like RabbitMQ's: `leveret@host`.
    pub name: String,
    /// When it was started.
    pub started_at: Millis,
    /// The data folder.
    pub data_dir: PathBuf,
    /// Where it listens, and what is spoken there: RabbitMQ's names of protocols.
    pub listeners: Vec<(&'static str, SocketAddr)>,
    /// File descriptors that it may have.
    pub descriptors_max: u64,
    /// Sockets of clients that it may have.
    pub sockets_max: u64,
    /// What its store has done.
    pub store: Arc<Metrics>,
    /// Whether the disk is short.
    pub disk_low: watch::Receiver<bool>,
    /// Cancelled when the broker stops.
    pub shutdown: CancellationToken,
    /// The last lines of the log.
    pub recent: Arc<Recent>,
    /// How TLS is spoken, if it is.
    pub tls: Option<Arc<Acceptor>>,
}

/// What handlers share.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

/// See [`Api`].
pub struct Shared {
    broker: Arc<Broker>,
    node: Node,
    samples: Arc<Samples>,
    scrapes: Scrapes,
    redrives: Redrives,
    watch: Watch,
    tails: Tails,
    refusals: Mutex<Sparing>,
    rates: Rates,
    elsewhere: Elsewhere,
    openapi: OnceLock<OpenApi>,
    made_at: Instant,
    /// Requests whose bodies may be large, at once.
    large_bodies: Arc<Semaphore>,
}

impl std::ops::Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Api {
    /// The API of a broker.
    ///
    /// What is asked is done by `operators`, except for signs of life and checks.
    pub fn new(broker: Arc<Broker>, node: Node, operators: Handle) -> Self {
        let elsewhere = Elsewhere { operators, operations: broker.operations.clone() };
        Self(Arc::new(Shared {
            elsewhere,
            broker,
            node,
            samples: Arc::default(),
            scrapes: Scrapes::default(),
            redrives: Redrives::default(),
            tails: Tails::default(),
            rates: Rates::default(),
            openapi: OnceLock::new(),
            made_at: Instant::now(),
            watch: Watch::default(),
            large_bodies: Arc::new(Semaphore::new(HTTP_LARGE_BODIES_MAX)),
            refusals: Mutex::new(Sparing::new(REFUSALS_LOGGED_MAX, REFUSALS_LOGGED_REFILL)),
        }))
    }

    /// Takes samples for rates; runs as long as the broker.
    pub async fn keep_samples(self) {
        self.samples.clone().keep(self.broker.clone()).await;
    }

    /// A virtual host by name, or 404.
    fn vhost(&self, name: &str) -> Answered<Arc<Vhost>> {
        self.broker.vhosts.find(name.as_bytes()).ok_or(Failure::NotFound)
    }

    /// Makes what a document of definitions says, with the words for what cannot be.
    async fn import(&self, document: serde_json::Value) -> Answered<()> {
        self.import_for(document, None).await
    }

    /// The same in the name of a user, who may do everything in virtual hosts that are new by it (RabbitMQ).
    async fn import_for(&self, document: serde_json::Value, maker: Option<&ShortString>) -> Answered<()> {
        let bytes = serde_json::to_vec(&document).map_err(|error| Failure::Internal(error.to_string()))?;
        let document = Document::read(&bytes).map_err(|error| bad_request(error.to_string()))?;
        match self.broker.import_for(&document, maker).await {
            Ok(_) => Ok(()),
            Err(problems) => {
                let why: Vec<_> = problems.into_iter().map(|problem| problem.why).collect();
                Err(bad_request(why.join("; ")))
            }
        }
    }

    /// Changes users or permissions, and waits until that is on the disk. 404 if there is nothing to change.
    async fn change_access<C: IntoIterator<Item = AccessChange>>(
        &self,
        changes: impl FnOnce(&Registry) -> C,
    ) -> Answered<()> {
        let mut is_none = true;
        let commit = self.broker.access.change_by(|registry| {
            changes(registry).into_iter().inspect(|_| is_none = false).collect::<Vec<_>>()
        });
        let commit = commit.map_err(|error| bad_request(error.to_string()))?;
        if is_none {
            return Err(Failure::NotFound);
        }
        self.broker.kept(&commit.into()).await;
        Ok(())
    }

    /// The name of the cluster of one node: the node's, unless another one was given (RabbitMQ's global parameter).
    fn cluster_name(&self) -> String {
        let given = self.broker.access.read(|registry| {
            let json = registry.global_parameter(b"cluster_name")?;
            serde_json::from_str::<String>(json).ok()
        });
        given.unwrap_or_else(|| self.node.name.clone())
    }

    /// When the first of the certificates of TLS expires, in seconds since the Unix epoch; `None` without TLS.
    fn certificate_expires(&self) -> Option<u64> {
        self.node.tls.as_ref()?.expires()
    }

    /// The time since it was made, and a bit more: of a clock that never goes back. In a second nothing has been asked for at its beginning.
    fn uptime_ms(&self) -> Millis {
        1_000 + self.made_at.elapsed().as_millis() as Millis
    }

    /// Whether a refused login is told, and then how many were not told before it.
    fn tell_refusal(&self) -> Option<u64> {
        self.refusals.lock().take(Instant::now())
    }

    /// What pages of other origins may ask for from browsers.
    fn cors(&self) -> CorsLayer {
        let broker = self.broker.clone();
        let may = move |origin: &HeaderValue, _: &_| broker.effective.permits_origin(origin.as_bytes());
        let allowed = AllowOrigin::predicate(may);
        let methods = [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::POST, Method::DELETE];
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods(methods)
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
            .max_age(CORS_AGE)
    }

    /// Everything that it answers.
    pub fn router(&self) -> Router {
        let guard = axum::middleware::from_fn_with_state(self.clone(), guard::guard);
        let router = routes::router(routes::all())
            .with_state(self.clone())
            .layer(guard)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(self.cors());
        // Some clients end addresses with a slash.
        Router::new().fallback_service(NormalizePath::trim_trailing_slash(router))
    }

    /// The metrics alone, for everybody.
    fn metrics_router(&self) -> Router {
        metrics::for_everybody().with_state(self.clone())
    }
}
