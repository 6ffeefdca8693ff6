//! The composition root: open the store, bind, announce, serve, and shut down in order: listeners, connections
//! (`connection.close` 320), then the rest, with a deadline.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::broker::Broker;
use crate::config::Config;
use crate::connection;
use crate::limits::SHUTDOWN_TIMEOUT;
use crate::store::{DataDir, DataDirError, Opened};

/// Why the broker does not start; one line for stderr.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// An address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A broker that listens and has not yet begun to serve.
pub struct Server {
    broker: Arc<Broker>,
    data_dir: DataDir,
    listeners: Vec<(SocketAddr, TcpListener)>,
}

impl Server {
    /// Takes the data folder and the addresses.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let data_dir = DataDir::open(&config.data_dir)?;
        let mut listeners = Vec::new();
        for &address in &config.amqp_listen {
            let failed = |source| StartError::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            listeners.push((listener.local_addr().map_err(failed)?, listener));
        }
        Ok(Self { broker: Arc::new(Broker::new(config, Opened::forgetful())), data_dir, listeners })
    }

    /// What to tell people: name, version, addresses, folder.
    pub fn announcement(&self) -> String {
        let addresses: Vec<_> =
            self.listeners.iter().map(|(address, _)| format!("amqp://{address}")).collect();
        format!(
            "leveret {} listening on {}, data in {}",
            env!("CARGO_PKG_VERSION"),
            addresses.join(", "),
            self.data_dir.path().display()
        )
    }

    /// Serves until `shutdown`; true if everything ended within the deadline.
    pub async fn serve(self, shutdown: CancellationToken) -> bool {
        let tasks = TaskTracker::new();
        let background = TaskTracker::new();
        for (_, listener) in self.listeners {
            let listening =
                connection::listen(self.broker.clone(), listener, tasks.clone(), shutdown.clone());
            tasks.spawn(listening);
        }
        let broker = self.broker.clone();
        let watching = background.spawn(async move { broker.alarm.watch(&broker.gauge).await });
        shutdown.cancelled().await;
        tracing::info!("stopping");
        tasks.close();
        let in_time = timeout(SHUTDOWN_TIMEOUT, tasks.wait()).await.is_ok();
        watching.abort();
        in_time
    }
}
