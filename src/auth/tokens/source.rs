//! Where the keys are that sign tokens: in a file, or at an address.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ureq::{Agent, tls::TlsConfig};

use crate::auth::oauth::{BadKeys, Keys};
use crate::config::{JwksAt, read_bounded};
use crate::limits::{OAUTH_KEYS_BYTES_MAX, OAUTH_KEYS_REDIRECTS_MAX, OAUTH_KEYS_TIMEOUT};
use crate::outside::{self, BadAuthority};

/// Reads the keys that there are now. Takes as long as a file or a network does.
pub(super) type Source = Arc<dyn Fn() -> Result<Keys, BadKeySource> + Send + Sync>;

/// Why there are no keys; one line.
#[derive(Debug, thiserror::Error)]
pub enum BadKeySource {
    /// The file cannot be read.
    #[error("oauth-jwks-file {}: {source}", path.display())]
    Unreadable {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has no keys.
    #[error("oauth-jwks-file {}: {source}", path.display())]
    Unusable {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: BadKeys,
    },
    /// The address gives nothing.
    #[error("oauth-jwks-url {url}: {source}")]
    Unreachable {
        /// As configured.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// What the address gives has no keys.
    #[error("oauth-jwks-url {url}: {source}")]
    UnusableThere {
        /// As configured.
        url: String,
        /// Why.
        source: BadKeys,
    },
    /// Nobody's certificate can be checked.
    #[error(transparent)]
    Authority(#[from] BadAuthority),
    /// The process ends.
    #[error("the keys could not be read: {0}")]
    Ended(tokio::task::JoinError),
}

/// The source that is configured. Nothing is read of the keys.
pub(super) fn source(at: &JwksAt) -> Result<Source, BadKeySource> {
    match at {
        JwksAt::File(path) => {
            let path = path.clone();
            Ok(Arc::new(move || read(&path)))
        }
        JwksAt::Url { url, ca } => {
            let (url, agent) = (url.clone(), agent(outside::tls("oauth-jwks-ca", ca.as_deref())?));
            Ok(Arc::new(move || fetch(&agent, &url)))
        }
    }
}

fn read(path: &Path) -> Result<Keys, BadKeySource> {
    let json = read_bounded(path, OAUTH_KEYS_BYTES_MAX)
        .map_err(|source| BadKeySource::Unreadable { path: path.into(), source })?;
    Keys::parse(&json).map_err(|source| BadKeySource::Unusable { path: path.into(), source })
}

fn fetch(agent: &Agent, url: &str) -> Result<Keys, BadKeySource> {
    let unreachable = |source| BadKeySource::Unreachable { url: url.to_owned(), source: Box::new(source) };
    let mut response = agent.get(url).call().map_err(unreachable)?;
    let body = response.body_mut().with_config().limit(OAUTH_KEYS_BYTES_MAX);
    let json = body.read_to_vec().map_err(unreachable)?;
    Keys::parse(&json).map_err(|source| BadKeySource::UnusableThere { url: url.to_owned(), source })
}

/// Who asks an address: over TLS alone, for a bounded time, and in no connection of before. Keys may have moved.
fn agent(tls: TlsConfig) -> Agent {
    let config = outside::asking()
        .tls_config(tls)
        .https_only(true)
        .http_status_as_error(true)
        .max_redirects(OAUTH_KEYS_REDIRECTS_MAX)
        .max_redirects_will_error(true)
        .timeout_global(Some(OAUTH_KEYS_TIMEOUT))
        .max_idle_connections(0);
    config.build().new_agent()
}
