//! What TLS listeners make sessions with.

use std::{fs, path::PathBuf, sync::Arc, time::SystemTime};

use parking_lot::{Mutex, RwLock};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    server::{
        NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    version::{TLS12, TLS13},
};

use super::{
    identity,
    pem::{self, PemError},
};
use crate::config::{ClientCertificates, TlsConfig, TlsVersion};

/// Why listeners cannot speak TLS; one line.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or holds something else.
    #[error(transparent)]
    File(#[from] PemError),
    /// The certificate and the key.
    #[error("tls-cert, tls-key: {} and {} do not fit: {why}", cert.display(), key.display())]
    Unfit {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// In the words of the library.
        why: rustls::Error,
    },
    /// Those who sign clients' certificates.
    #[error("tls-ca: {} cannot be used: {why}", ca.display())]
    Ca {
        /// The file.
        ca: PathBuf,
        /// In the words of the library.
        why: VerifierBuilderError,
    },
    /// One of their certificates.
    #[error("tls-ca: {} has a certificate that cannot be used: {why}", ca.display())]
    Root {
        /// The file.
        ca: PathBuf,
        /// In the words of the library.
        why: rustls::Error,
    },
    /// The versions and the ciphers.
    #[error("TLS: {0}")]
    Unsupported(rustls::Error),
}

/// Makes a session for each connection of what the files say.
pub struct Acceptor {
    config: RwLock<Arc<TlsConfig>>,
    current: RwLock<Arc<ServerConfig>>,
    /// What the files looked like when they were read last, whether or not they could be used.
    seen: Mutex<Vec<Look>>,
}

/// What a file looks like from outside; `None` if it is not there.
type Look = Option<(SystemTime, u64)>;

impl Acceptor {
    /// Reads the files.
    pub fn load(config: TlsConfig) -> Result<Self, TlsError> {
        let seen = look(&config);
        let current = server_config(&config)?;
        Ok(Self {
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(seen),
            config: RwLock::new(Arc::new(config)),
        })
    }

    /// Reads the files again if they have changed since they were read last, or if that is wanted in any case; new sessions go by them.
    /// `None` if nothing was done. After an error everything is as before.
    pub fn refresh(&self, in_any_case: bool) -> Option<Result<(), TlsError>> {
        let mut seen = self.seen.lock();
        let config = self.config.read().clone();
        let now = look(&config);
        if *seen == now && !in_any_case {
            return None;
        }
        *seen = now;
        Some(server_config(&config).map(|config| *self.current.write() = Arc::new(config)))
    }

    /// Reads other files, or speaks TLS in another way; new sessions go by that. After an error everything is as before.
    pub fn take(&self, config: TlsConfig) -> Result<(), TlsError> {
        let mut seen = self.seen.lock();
        let now = look(&config);
        let current = server_config(&config)?;
        *seen = now;
        *self.config.write() = Arc::new(config);
        *self.current.write() = Arc::new(current);
        Ok(())
    }

    /// A session for a connection that begins.
    pub fn session(&self) -> Result<ServerConnection, rustls::Error> {
        ServerConnection::new(self.current.read().clone())
    }

    /// What sessions are made with, for who makes them itself.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.read().clone()
    }

    /// When the first of the server's certificates expires, in seconds since the Unix epoch. `None` if they cannot be read now.
    pub fn expires(&self) -> Option<u64> {
        let certificates = pem::certificates("tls-cert", &self.config.read().cert).ok()?;
        certificates.iter().filter_map(identity::expires).min()
    }

    /// What the client's certificate is taken for, by the configured part of it; `None` if it has shown none, or that part is not there.
    pub fn client_name(&self, session: &ServerConnection) -> Option<String> {
        let certificate = session.peer_certificates()?.first()?;
        identity::name(certificate, self.config.read().login_from)
    }
}

fn files(config: &TlsConfig) -> impl Iterator<Item = &PathBuf> {
    [&config.cert, &config.key].into_iter().chain(config.clients.as_ref().map(|clients| &clients.ca))
}

fn look(config: &TlsConfig) -> Vec<Look> {
    let look = |path| {
        let data = fs::metadata(path).ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    files(config).map(look).collect()
}

fn server_config(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let certificates = pem::certificates("tls-cert", &config.cert)?;
    let key = pem::key("tls-key", &config.key)?;
    let provider = Arc::new(ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = match config.min_version {
        TlsVersion::Tls12 => &[&TLS13, &TLS12],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(TlsError::Unsupported)?;
    let builder = match &config.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(verifier(clients, provider)?),
    };
    let mut made = builder.with_single_cert(certificates, key).map_err(|why| TlsError::Unfit {
        cert: config.cert.clone(),
        key: config.key.clone(),
        why,
    })?;
    // A session that is taken up again would not show its certificate again, which may have expired meanwhile. Connections last long: it
    // would save little.
    made.session_storage = Arc::new(NoServerSessionStorage {});
    made.send_tls13_tickets = 0;
    Ok(made)
}

fn verifier(
    clients: &ClientCertificates,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let ca = || clients.ca.clone();
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates("tls-ca", &clients.ca)? {
        roots.add(certificate).map_err(|why| TlsError::Root { ca: ca(), why })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|why| TlsError::Ca { ca: ca(), why })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::CertificateLogin;
    use crate::tls::make_self_signed;

    /// An acceptor's configuration with files of `folder`.
    fn config(folder: &Path) -> TlsConfig {
        TlsConfig {
            cert: folder.join("server_certificate.pem"),
            key: folder.join("server_key.pem"),
            clients: Some(ClientCertificates { ca: folder.join("ca_certificate.pem"), required: true }),
            min_version: TlsVersion::Tls12,
            login_from: CertificateLogin::DistinguishedName,
        }
    }

    fn made() -> (tempfile::TempDir, TlsConfig) {
        let folder = tempfile::tempdir().unwrap();
        make_self_signed(folder.path(), &[], "guest").unwrap();
        let config = config(folder.path());
        (folder, config)
    }

    #[test]
    fn each_file_that_cannot_be_used_is_told_by_its_setting() {
        let (_folder, right) = made();
        Acceptor::load(right.clone()).map(drop).unwrap();
        let (_other, other) = made();
        let refused = |config| Acceptor::load(config).map(drop).unwrap_err().to_string();
        let error = refused(TlsConfig { cert: "/no/such.pem".into(), ..right.clone() });
        assert!(error.starts_with("tls-cert: /no/such.pem cannot be read: "), "{error}");
        let error = refused(TlsConfig { cert: right.key.clone(), ..right.clone() });
        assert!(error.starts_with("tls-cert: ") && error.ends_with("has no certificate in it"), "{error}");
        let error = refused(TlsConfig { key: right.cert.clone(), ..right.clone() });
        assert!(
            error.starts_with("tls-key: ") && error.ends_with("has no key without a passphrase in it"),
            "{error}"
        );
        let error = refused(TlsConfig { key: other.key, ..right.clone() });
        assert!(error.starts_with("tls-cert, tls-key: ") && error.contains("do not fit"), "{error}");
        let clients = Some(ClientCertificates { ca: right.key.clone(), required: true });
        let error = refused(TlsConfig { clients, ..right });
        assert!(error.starts_with("tls-ca: ") && error.ends_with("has no certificate in it"), "{error}");
    }

    #[test]
    fn files_are_read_again_when_they_change_and_a_broken_one_leaves_the_old_ones() {
        let (_folder, config) = made();
        let acceptor = Acceptor::load(config.clone()).unwrap();
        let current = || Arc::as_ptr(&acceptor.current.read());
        let first = current();
        assert!(acceptor.refresh(false).is_none(), "nothing has changed");
        fs::write(&config.cert, "nonsense").unwrap();
        assert!(acceptor.refresh(false).unwrap().is_err());
        assert!(acceptor.refresh(false).is_none(), "it is told once");
        assert!(acceptor.refresh(true).unwrap().is_err());
        assert_eq!(current(), first);
        let (_other, other) = made();
        fs::copy(&other.cert, &config.cert).unwrap();
        assert!(acceptor.refresh(false).unwrap().is_err(), "the key does not fit yet");
        fs::remove_file(&config.key).unwrap();
        assert!(acceptor.refresh(false).unwrap().is_err());
        fs::copy(&other.key, &config.key).unwrap();
        acceptor.refresh(false).unwrap().unwrap();
        assert_ne!(current(), first);
    }
}
