//! OAuth tokens as a broker takes them: whose, and by which keys, which can be read again while it runs.

use std::{
    fs, io,
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::RwLock;

use super::oauth::{BadKeys, BadToken, Keys, ResourceServer, Token};
use crate::config::OauthConfig;

/// Checks tokens.
pub struct Tokens {
    server: ResourceServer,
    file: PathBuf,
    keys: RwLock<Arc<Keys>>,
}

/// Why the file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadKeyFile {
    /// It cannot be read.
    #[error("oauth-jwks-file {}: {source}", path.display())]
    Unreadable {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has no keys.
    #[error("oauth-jwks-file {}: {source}", path.display())]
    Unusable {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: BadKeys,
    },
}

impl Tokens {
    /// As it is configured, with the keys that are in the file.
    pub fn open(config: &OauthConfig) -> Result<Self, BadKeyFile> {
        let mut server = ResourceServer::new(&config.resource_server_id);
        server.issuer.clone_from(&config.issuer);
        if let Some(prefix) = &config.scope_prefix {
            server.scope_prefix.clone_from(prefix);
        }
        server.scope_key.clone_from(&config.additional_scopes_key);
        if !config.preferred_username_claims.is_empty() {
            server.user_claims.clone_from(&config.preferred_username_claims);
        }
        let file = config.jwks_file.clone();
        let keys = RwLock::new(Arc::new(read_keys(&file)?));
        Ok(Self { server, file, keys })
    }

    /// Reads the file of keys again. An error leaves the keys as they are.
    pub fn reload(&self) -> Result<(), BadKeyFile> {
        let keys = Arc::new(read_keys(&self.file)?);
        *self.keys.write() = keys;
        Ok(())
    }

    /// Checks a token now. Takes a fraction of a millisecond.
    pub fn read(&self, token: &[u8]) -> Result<Token, BadToken> {
        let keys = self.keys.read().clone();
        self.server.read(token, &keys, now())
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

fn read_keys(file: &PathBuf) -> Result<Keys, BadKeyFile> {
    let json = fs::read(file).map_err(|source| BadKeyFile::Unreadable { path: file.clone(), source })?;
    Keys::parse(&json).map_err(|source| BadKeyFile::Unusable { path: file.clone(), source })
}
