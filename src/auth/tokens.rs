//! OAuth tokens as a broker takes them: whose, and by which keys, which are read again while it runs.

mod source;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::RwLock;
use tokio::{
    sync::Mutex,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

pub use source::BadKeySource;

use super::oauth::{BadToken, Keys, ResourceServer, Token};
use crate::config::{JwksAt, OauthConfig};
use crate::limits::{OAUTH_KEYS_INTERVAL, OAUTH_KEYS_PAUSE, OAUTH_KEYS_RETRY_INTERVAL};
use source::{Source, source};

/// Checks tokens.
pub struct Tokens {
    server: ResourceServer,
    source: Source,
    /// The source is an address: it may have other keys at any time.
    is_remote: bool,
    keys: RwLock<Arc<Keys>>,
    /// Locked while keys are read again: when that was last done for a token.
    reading: Mutex<Option<Instant>>,
}

impl Tokens {
    /// As it is configured, and without keys: [`renew`](Self::renew) reads them. An error says what of the configuration cannot be used.
    pub fn new(config: &OauthConfig) -> Result<Arc<Self>, BadKeySource> {
        let mut server = ResourceServer::new(&config.resource_server_id);
        server.issuer.clone_from(&config.issuer);
        if let Some(prefix) = &config.scope_prefix {
            server.scope_prefix.clone_from(prefix);
        }
        server.scope_key.clone_from(&config.additional_scopes_key);
        if !config.preferred_username_claims.is_empty() {
            server.user_claims.clone_from(&config.preferred_username_claims);
        }
        let is_remote = matches!(config.jwks, JwksAt::Url { .. });
        Ok(Self::from(server, source(&config.jwks)?, is_remote))
    }

    fn from(server: ResourceServer, source: Source, is_remote: bool) -> Arc<Self> {
        Arc::new(Self {
            server,
            source,
            is_remote,
            keys: RwLock::new(Arc::new(Keys::none())),
            reading: Mutex::default(),
        })
    }

    /// Whether keys come from an address, which may be out of reach for a while.
    pub fn is_remote(&self) -> bool {
        self.is_remote
    }

    /// The keys that count now.
    pub fn keys(&self) -> Arc<Keys> {
        self.keys.read().clone()
    }

    /// Reads the keys again, off the threads that serve clients. An error leaves them as they are.
    pub async fn renew(&self) -> Result<(), BadKeySource> {
        let _alone = self.reading.lock().await;
        self.read_keys().await
    }

    /// Reads the keys again because a token names one that is not among `seen`, if there may be others, unless that was just done. Whether
    /// there are others than `seen` now. Many may ask at once: all but one wait for that one. It goes on if nobody waits any longer.
    pub async fn renew_for_token(self: &Arc<Self>, seen: &Arc<Keys>) -> bool {
        if !self.is_remote {
            return false;
        }
        let (tokens, seen) = (self.clone(), seen.clone());
        let renewing = tokio::spawn(async move {
            let mut last = tokens.reading.lock().await;
            if !Arc::ptr_eq(&tokens.keys(), &seen) {
                return true;
            }
            if last.is_some_and(|last| last.elapsed() < OAUTH_KEYS_PAUSE) {
                return false;
            }
            *last = Some(Instant::now());
            let renewed = tokens.read_keys().await;
            told(&renewed);
            renewed.is_ok()
        });
        // It fails if the process ends.
        renewing.await.unwrap_or_default()
    }

    /// Reads keys of an address again now and then. Runs as long as the broker.
    pub async fn keep_current(self: Arc<Self>) {
        let next = |has_failed| {
            Instant::now() + if has_failed { OAUTH_KEYS_RETRY_INTERVAL } else { OAUTH_KEYS_INTERVAL }
        };
        let mut due = next(self.keys().is_empty());
        loop {
            sleep_until(due).await;
            let renewed = self.renew().await;
            told(&renewed);
            due = next(renewed.is_err());
        }
    }

    async fn read_keys(&self) -> Result<(), BadKeySource> {
        let source = self.source.clone();
        // A panic there ends the process by itself.
        let read = spawn_blocking(move || source()).await;
        let keys = read.unwrap_or_else(|ended| Err(BadKeySource::Ended(ended)))?;
        *self.keys.write() = Arc::new(keys);
        Ok(())
    }

    /// Checks a token by these keys, now. Takes a fraction of a millisecond.
    pub fn read_by(&self, keys: &Keys, token: &[u8]) -> Result<Token, BadToken> {
        self.server.read(token, keys, now())
    }
}

/// Writes to the log what came of reading keys again that nobody has asked for.
fn told(renewed: &Result<(), BadKeySource>) {
    match renewed {
        Ok(()) => tracing::debug!("the keys that sign tokens are read again"),
        Err(error) => tracing::error!(%error, "the keys that sign tokens stay what they were"),
    }
}

/// Whether something that was sent as a password is a token: three parts with dots between them, of which the first is an object in JSON.
pub(super) fn is_token(secret: &[u8]) -> bool {
    secret.starts_with(b"ey") && secret.split(|byte| *byte == b'.').count() == 3
}

/// Seconds since the Unix epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
