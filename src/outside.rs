//! What asks addresses outside over HTTP: the same manners for all, whose certificates count, and one way to speak TLS.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::ring,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject},
    },
};
use ureq::{
    Agent,
    config::ConfigBuilder,
    tls::{Certificate, RootCerts, TlsConfig},
    typestate::AgentScope,
};

use crate::config::read_bounded;
use crate::limits::TLS_FILE_BYTES_MAX;

/// Why nobody's certificate can be checked; one line.
#[derive(Debug, thiserror::Error)]
pub enum BadAuthority {
    /// The file with the certificates that are trusted cannot be used.
    #[error("{setting} {}: {why}", path.display())]
    Unusable {
        /// Which setting names it.
        setting: &'static str,
        /// As configured.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The system trusts nobody.
    #[error("{0}: has to be set, because the system has no certificates that it trusts")]
    None(&'static str),
}

/// Who asks: over no proxy, nowhere else than where it was told to, and every status is an answer. Whoever is elsewhere shall not have
/// the password.
#[must_use]
pub fn asking() -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("leveret/", env!("CARGO_PKG_VERSION")))
}

/// How TLS is spoken with those whose certificates count: the ones of a file that `setting` names, or those that the system trusts.
pub fn tls(setting: &'static str, ca: Option<&Path>) -> Result<TlsConfig, BadAuthority> {
    let roots = trusted(setting, ca)?;
    let provider = Arc::new(ring::default_provider());
    Ok(TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build())
}

fn trusted(setting: &'static str, ca: Option<&Path>) -> Result<RootCerts, BadAuthority> {
    let trusted: Vec<CertificateDer<'static>> = match ca {
        None => rustls_native_certs::load_native_certs().certs,
        Some(path) => {
            let bad = |why: String| BadAuthority::Unusable { setting, path: path.into(), why };
            let pem = read_bounded(path, TLS_FILE_BYTES_MAX).map_err(|error| bad(error.to_string()))?;
            let all: Result<_, pem::Error> = CertificateDer::pem_slice_iter(&pem).collect();
            let all: Vec<_> = all.map_err(|error| bad(format!("is not PEM: {error}")))?;
            if all.is_empty() {
                return Err(bad("has no certificate in it".into()));
            }
            all
        }
    };
    if trusted.is_empty() {
        return Err(BadAuthority::None(setting));
    }
    Ok(trusted.iter().map(|der| Certificate::from_der(der).to_owned()).collect::<Vec<_>>().into())
}
