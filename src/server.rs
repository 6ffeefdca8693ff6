//! The composition root: open the store, bind, announce, serve, and shut down in order: listeners, connections
//! (`connection.close` 320), then the rest, with a deadline. Whoever asks twice is not told to wait for clients.

mod descriptors;
mod reload;
mod supervisor;

use std::{fmt, future, io, net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::auth::{BadKeySource, Tokens, http::HttpBackend};
use crate::broker::{Begun, Broker, Vhost, configured_policies, node_name};
use crate::config::{Config, OauthConfig};
use crate::connection::{self, Gate};
use crate::console;
use crate::limits::{SHUTDOWN_TIMEOUT, STORE_CLOSE_TIMEOUT};
use crate::management::{Api, HttpListener, Node, Recent};
use crate::outside::BadAuthority;
use crate::store::{DataDir, DataDirError, RecoveryError, Store};
#[cfg(feature = "opentelemetry")]
use crate::telemetry::{Exporter, Sending};
use crate::tls::{self, Acceptor, TlsError};
use descriptors::Share;
use reload::Reload;
pub use reload::SetLog;

/// Why the broker does not start; one line for stderr.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What is stored there.
    #[error(transparent)]
    Store(#[from] RecoveryError),
    /// What is configured.
    #[error("{0}")]
    Policy(String),
    /// What the system says.
    #[error("SIGHUP cannot be heard: {0}")]
    Signal(io::Error),
    /// The keys that sign tokens.
    #[error(transparent)]
    Keys(#[from] BadKeySource),
    /// Whose certificate the HTTP service, or the collector of spans, has to have.
    #[error(transparent)]
    Service(#[from] BadAuthority),
    /// The files of TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Why the broker stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// What clients were sent, or what they sent, may be incomplete.
    #[error("some connections did not end in time")]
    Late,
    /// What is not confirmed may be lost.
    #[error("storage failed: {0}")]
    Storage(String),
    /// What was to be made at the start cannot be.
    #[error("{0}")]
    Definitions(String),
    /// Something that runs as long as the broker has ended before it.
    #[error("{0} has ended by itself")]
    Background(&'static str),
}

/// What is asked of a running broker, from outside: to stop, and then to hurry.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Stop in order.
    pub orderly: CancellationToken,
    /// Wait for no client any longer. Asked for after the first.
    pub forced: CancellationToken,
}

/// An address where clients come.
struct Listening {
    address: SocketAddr,
    listener: TcpListener,
    /// With TLS: how it is spoken.
    tls: Option<Arc<Acceptor>>,
}

impl Listening {
    async fn bind(address: SocketAddr, tls: Option<Arc<Acceptor>>) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        Ok(Self { address: listener.local_addr().map_err(failed)?, listener, tls })
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}", self.address)
    }
}

/// An address of the HTTP API, or of metrics.
struct HttpListening {
    address: SocketAddr,
    listener: HttpListener,
}

impl HttpListening {
    /// `None` if another program has an address that nobody has chosen.
    async fn bind(
        address: SocketAddr,
        tls: Option<Arc<Acceptor>>,
        is_default: bool,
        what: &str,
    ) -> Result<Option<Self>, StartError> {
        let failed = |source| StartError::Listen { address, source };
        let listener = match TcpListener::bind(address).await {
            Err(error) if is_default && error.kind() == io::ErrorKind::AddrInUse => {
                tracing::warn!(%address, "another program has the usual address of {what}, which is left out");
                return Ok(None);
            }
            bound => bound.map_err(failed)?,
        };
        let address = listener.local_addr().map_err(failed)?;
        let listener = listener.into_std().map_err(failed)?;
        Ok(Some(Self { address, listener: HttpListener { listener, tls } }))
    }

    fn scheme(&self) -> &'static str {
        if self.listener.tls.is_some() { "https" } else { "http" }
    }
}

/// A broker that listens and has not yet begun to serve.
pub struct Server {
    hangup: Signal,
    reload: Reload,
    broker: Arc<Broker>,
    store: Store,
    data_dir: DataDir,
    listeners: Vec<Listening>,
    tls: Option<Arc<Acceptor>>,
    http: Vec<HttpListening>,
    metrics: Vec<HttpListening>,
    descriptors: u64,
    sockets_max: usize,
    gate: Arc<Gate>,
    #[cfg(feature = "opentelemetry")]
    exporter: Option<Exporter>,
    recent: Arc<Recent>,
}

impl Server {
    /// Takes the data folder and the addresses, and recovers what was there. `set_log` changes what is logged from then on, and
    /// `recent` has the last lines of that.
    pub async fn bind(mut config: Config, set_log: SetLog, recent: Arc<Recent>) -> Result<Self, StartError> {
        let told = config.clone();
        // From now on SIGHUP ends nobody.
        let hangup = signal(SignalKind::hangup()).map_err(StartError::Signal)?;
        let descriptors = descriptors::raise();
        let policies = configured_policies(&config).map_err(|error| StartError::Policy(error.to_string()))?;
        let tokens = open_tokens(config.oauth.as_ref()).await?;
        let service =
            config.backends.http.as_ref().map(|http| HttpBackend::new(http, rand::random())).transpose()?;
        let data_dir = DataDir::open(&config.data_dir)?;
        let tls = config.tls.clone().map(Acceptor::load).transpose()?.map(Arc::new);
        let mut listeners = Vec::new();
        for &address in &config.amqp_listen {
            listeners.push(Listening::bind(address, None).await?);
        }
        for &address in &config.amqps_listen {
            listeners.push(Listening::bind(address, tls.clone()).await?);
        }
        let mut http = Vec::new();
        for &address in &config.http_listen {
            let bound =
                HttpListening::bind(address, None, config.http_listen_is_default, "the HTTP API").await?;
            http.extend(bound);
        }
        for &address in &config.https_listen {
            http.extend(HttpListening::bind(address, tls.clone(), false, "the HTTP API").await?);
        }
        let mut metrics = Vec::new();
        for &address in &config.metrics_listen {
            let bound =
                HttpListening::bind(address, None, config.metrics_listen_is_default, "the metrics").await?;
            metrics.extend(bound);
        }
        let (store, opened) = Store::open(data_dir.path(), &config.store)?;
        let share = descriptors::share(descriptors, descriptors::in_use(), config.connection_max);
        config.connection_max = share.connections_max;
        log_limits(&config, descriptors, share);
        let broker = Broker::new(config, opened);
        if let Some(tokens) = tokens {
            broker.authenticator.take_tokens(tokens);
        }
        if let Some(service) = service {
            broker.authenticator.ask_service(service);
        }
        reload::set_policies(&broker, policies).map_err(StartError::Policy)?;
        #[cfg(feature = "opentelemetry")]
        let exporter =
            broker.config.otlp_endpoint.as_deref().map(|url| Exporter::new(url, node_name())).transpose()?;
        #[cfg(feature = "opentelemetry")]
        if let Some(exporter) = &exporter {
            broker.vhosts.send_spans(exporter.sink());
        }
        let gate = Arc::new(Gate::new(share.sockets_max));
        let broker = Arc::new(broker);
        let reload = Reload::new(told, broker.clone(), tls.clone(), set_log);
        Ok(Self {
            hangup,
            reload,
            broker,
            store,
            data_dir,
            listeners,
            tls,
            http,
            metrics,
            descriptors,
            sockets_max: share.sockets_max,
            gate,
            #[cfg(feature = "opentelemetry")]
            exporter,
            recent,
        })
    }

    /// What to tell people: name, version, addresses, folder.
    pub fn announcement(&self) -> String {
        let http = self.http.iter().map(|http| format!("{}://{}", http.scheme(), http.address));
        let metrics = self.metrics.iter().map(|metrics| format!("http://{}/metrics", metrics.address));
        let addresses: Vec<_> =
            self.listeners.iter().map(ToString::to_string).chain(http).chain(metrics).collect();
        format!(
            "leveret {} listening on {}, data in {}",
            env!("CARGO_PKG_VERSION"),
            addresses.join(", "),
            self.data_dir.path().display()
        )
    }

    /// Serves until it is asked to stop, or until the store fails. Whatever handles messages runs on `workers`: nothing there can
    /// keep this task and the listeners from their turn. The HTTP API takes requests on `front` and does what they ask on `operators`.
    pub async fn serve(
        self,
        stop: Stop,
        workers: &Handle,
        front: &Handle,
        operators: &Handle,
    ) -> Result<(), StopError> {
        let shutdown = stop.orderly;
        let api = self.api(&shutdown, operators);
        let tasks = TaskTracker::new();
        let status = self.announcement();
        let mut background = watch_resources(&self.broker, &self.store, workers);
        // To the very end: a stop may take longer than a watchdog waits.
        let runtimes = [workers, front, operators].map(Clone::clone);
        tokio::spawn(supervisor::feed_watchdog(self.broker.clone(), runtimes));
        // Before the first client: what is written there may be what it needs to get in.
        let definitions = self.broker.config.load_definitions.clone();
        if let Err(problems) = reload::definitions(&self.broker, definitions.as_deref()).await {
            drop(background);
            close(self.store).await?;
            return Err(StopError::Definitions(problems));
        }
        if let Some(tokens) = self.broker.authenticator.tokens().filter(|tokens| tokens.is_remote()) {
            let keeping = tokens.clone().keep_current();
            named(&mut background, &Handle::current(), "the watch over keys of tokens", keeping);
        }
        named(&mut background, &Handle::current(), "the reload at SIGHUP", self.reload.at_each(self.hangup));
        named(&mut background, operators, "the samples for rates", api.clone().keep_samples());
        #[cfg(feature = "opentelemetry")]
        let spans = self.exporter.map(|exporter| Sending::begin(exporter, operators));
        let console = console::router(api.clone());
        for http in self.http {
            front.spawn(api.clone().listen(http.listener, console.clone(), shutdown.clone()));
        }
        for metrics in self.metrics {
            operators.spawn(api.clone().listen_for_scrapes(metrics.listener, shutdown.clone()));
        }
        if let Some(tls) = self.tls {
            named(&mut background, &Handle::current(), "the watch over files of TLS", tls::keep_current(tls));
        }
        for Listening { listener, tls, .. } in self.listeners {
            let (broker, gate, workers) = (self.broker.clone(), self.gate.clone(), workers.clone());
            let listening =
                connection::listen(broker, gate, listener, tls, tasks.clone(), workers, shutdown.clone());
            tasks.spawn(listening);
        }
        let showing = supervisor::show_status(self.broker.clone(), status);
        named(&mut background, &Handle::current(), "the status", showing);
        supervisor::ready().await;
        let failure = self.store.failure();
        let mut ended = None;
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = failure.happened() => shutdown.cancel(),
            what = any_end(&mut background) => {
                tracing::error!(what, "a task that the broker needs has ended; the broker stops");
                ended = Some(what);
                shutdown.cancel();
            }
        }
        tracing::info!("stopping");
        supervisor::stopping().await;
        tasks.close();
        let in_time = end_in_time(&tasks, &self.broker.operations, &stop.forced).await;
        drop(background);
        #[cfg(feature = "opentelemetry")]
        if let Some(spans) = spans {
            spans.finish().await;
        }
        let store = self.store;
        if !in_time {
            store.cut_short();
        }
        close(store).await?;
        match ended {
            Some(what) => Err(StopError::Background(what)),
            None if in_time => Ok(()),
            None => Err(StopError::Late),
        }
    }
}

impl Server {
    fn api(&self, shutdown: &CancellationToken, operators: &Handle) -> Api {
        let amqp =
            self.listeners.iter().map(|it| (if it.tls.is_some() { "amqp/ssl" } else { "amqp" }, it.address));
        let http = self.http.iter().map(|it| (it.scheme(), it.address));
        let metrics = self.metrics.iter().map(|it| ("http/prometheus", it.address));
        let node = Node {
            name: node_name().to_owned(),
            started_at: self.broker.clock.now(),
            data_dir: self.data_dir.path().to_owned(),
            listeners: amqp.chain(http).chain(metrics).collect(),
            descriptors_max: self.descriptors,
            sockets_max: self.sockets_max as u64,
            store: self.store.metrics(),
            disk_low: self.store.disk_low(),
            shutdown: shutdown.clone(),
            recent: self.recent.clone(),
            tls: self.tls.clone(),
        };
        Api::new(self.broker.clone(), node, operators.clone())
    }
}

/// What takes tokens, if any are taken, with the keys that sign them. An address that gives none is asked again later: the broker starts
/// without it, and takes no token until then.
async fn open_tokens(config: Option<&OauthConfig>) -> Result<Option<Arc<Tokens>>, StartError> {
    let Some(config) = config else { return Ok(None) };
    let tokens = Tokens::new(config)?;
    match tokens.renew().await {
        Err(error) if tokens.is_remote() => {
            tracing::error!(%error, "there are no keys yet that sign tokens");
        }
        renewed => renewed?,
    }
    Ok(Some(tokens))
}

/// Waits until one of the tasks has ended: its name.
async fn any_end(background: &mut JoinSet<&'static str>) -> &'static str {
    match background.join_next().await {
        Some(Ok(name)) => name,
        Some(Err(_panicked)) => "a background task",
        None => future::pending().await,
    }
}

/// Whether clients, and operations that somebody has begun, end before the broker waits for them no longer.
async fn end_in_time(clients: &TaskTracker, operations: &TaskTracker, forced: &CancellationToken) -> bool {
    operations.close();
    let all_ended = async {
        clients.wait().await;
        operations.wait().await;
    };
    tokio::select! {
        waited = timeout(SHUTDOWN_TIMEOUT, all_ended) => waited.is_ok(),
        () = forced.cancelled() => {
            tracing::info!(connections = clients.len(), "not waiting for clients any longer");
            false
        }
    }
}

async fn close(store: Store) -> Result<(), StopError> {
    let closed = tokio::task::spawn_blocking(|| store.close(STORE_CLOSE_TIMEOUT)).await;
    closed.unwrap_or_else(|error| Err(error.to_string())).map_err(StopError::Storage)
}

/// What holds here: the first thing to know when a broker does not do what was expected.
fn log_limits(config: &Config, descriptors: u64, share: Share) {
    tracing::info!(
        memory = %config.memory,
        disk_free_bytes = config.store.disk_free_limit,
        descriptors,
        connections = share.connections_max,
        sockets = share.sockets_max,
        "limits"
    );
    if config.memory.is_too_high() {
        tracing::warn!(memory = %config.memory, "memory-limit-bytes is more than there is");
    }
}

/// What raises and clears alarms; and on `workers` what makes room in memory and does what is due in queues.
fn watch_resources(broker: &Arc<Broker>, store: &Store, workers: &Handle) -> JoinSet<&'static str> {
    let mut background = JoinSet::new();
    let control = Handle::current();
    let memory = broker.clone();
    named(&mut background, &control, "the memory alarm", async move {
        memory.alarm.watch_memory(memory.gauge).await;
    });
    let (disk, low) = (broker.clone(), store.disk_low());
    named(&mut background, &control, "the disk alarm", async move { disk.alarm.watch_disk(low).await });
    let (vhosts, on_workers) = (broker.clone(), workers.clone());
    named(&mut background, &control, "what virtual hosts need", async move {
        look_after(&vhosts, &on_workers).await;
    });
    let consumers = broker.clone();
    named(
        &mut background,
        workers,
        "the watch over consumers",
        async move { consumers.watch_consumers().await },
    );
    let shares = broker.clone();
    named(&mut background, workers, "the shares of virtual hosts", async move {
        shares.watch_shares().await;
    });
    let paging = broker.clone();
    named(&mut background, workers, "paging", async move { paging.page_out().await });
    background
}

/// Runs the tasks of the virtual hosts, as these come and go. Ends when a task ends whose virtual host has not.
async fn look_after(broker: &Arc<Broker>, workers: &Handle) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            begun = broker.vhosts.next_begun() => {
                let vhost = match begun {
                    Begun::Serving(vhost) => vhost,
                    Begun::Leaving(vhost) => {
                        let broker = broker.clone();
                        let clearing = async move {
                            broker.clear_vhost_away(&vhost).await;
                            Ended::Closed
                        };
                        tasks.spawn_on(clearing, workers);
                        continue;
                    }
                };
                tasks.spawn_on(tend(vhost), workers);
            }
            Some(ended) = tasks.join_next() => if !matches!(ended, Ok(Ended::Closed)) {
                return;
            },
        }
    }
}

/// Why a task of a virtual host has ended.
enum Ended {
    /// The virtual host is closed.
    Closed,
    /// It ended by itself, which it must not.
    ByItself,
}

/// Does what a virtual host needs until it is closed: calls its queues in time, carries its departures out, takes out what is deleted. One
/// task for all of that, because there may be thousands of virtual hosts.
async fn tend(vhost: Arc<Vhost>) -> Ended {
    let what = tokio::select! {
        () = vhost.closed() => return Ended::Closed,
        () = vhost.keep_time() => "timekeeper",
        () = vhost.send_departures() => "departures",
        () = vhost.keep_clear() => "clearing",
    };
    tracing::error!(vhost = %vhost.name, what, "what a virtual host needs has ended");
    Ended::ByItself
}

fn named(
    background: &mut JoinSet<&'static str>,
    runtime: &Handle,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let task = async move {
        task.await;
        name
    };
    background.spawn_on(task, runtime);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Settings,
        core::{ConnectionId, declared::VhostSettings, topology::QueueDeclaration},
        protocol::{FieldTable, ShortString},
        store::Opened,
    };

    #[tokio::test]
    async fn a_virtual_host_that_comes_later_is_looked_after_until_it_goes() {
        let config = Config::load(Settings::default()).unwrap();
        let broker = Arc::new(Broker::new(config, Opened::forgetful()));
        let everybody = broker.clone();
        let tasks = tokio::spawn(async move { look_after(&everybody, &Handle::current()).await });
        let name = ShortString::from_static("another");
        let (vhost, _) = broker.vhosts.open(&name, VhostSettings::default()).await.unwrap();
        assert!(broker.vhosts.open(&name, VhostSettings::default()).await.is_err(), "there is one of a name");
        let declaration = QueueDeclaration {
            name: ShortString::from_static("q"),
            server_named: false,
            durable: false,
            exclusive: false,
            auto_delete: false,
            arguments: FieldTable::new().with("x-expires", 1),
        };
        vhost.change(|topology| topology.declare_queue(declaration, ConnectionId(1)).unwrap());
        while vhost.read(|topology| topology.queue(b"q").is_some()) {
            tokio::task::yield_now().await;
        }
        assert!(broker.delete_vhost(&name).is_some());
        assert!(broker.vhosts.find(&name).is_none() && broker.delete_vhost(&name).is_none());
        let (anew, _) = broker.vhosts.open(&name, VhostSettings::default()).await.unwrap();
        assert!(!Arc::ptr_eq(&vhost, &anew), "the name was free when the old one was cleared away");
        while Arc::strong_count(&vhost) > 1 {
            tokio::task::yield_now().await;
        }
        assert!(!tasks.is_finished(), "the others are looked after");
        tasks.abort();
    }

    #[tokio::test]
    async fn a_background_task_that_ends_or_dies_is_noticed() {
        let (mut background, here) = (JoinSet::new(), Handle::current());
        named(&mut background, &here, "what goes on", future::pending());
        named(&mut background, &here, "what ends", future::ready(()));
        assert_eq!(any_end(&mut background).await, "what ends");
        named(&mut background, &here, "what dies", async { panic!("asked for by a test") });
        assert_eq!(any_end(&mut background).await, "a background task");
    }
}
