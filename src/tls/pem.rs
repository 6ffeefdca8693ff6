//! PEM files: certificates and keys.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use crate::config::read_bounded;
use crate::limits::TLS_FILE_BYTES_MAX;

/// Why a file cannot be used; one line.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {} {why}", path.display())]
pub struct PemError {
    setting: &'static str,
    path: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("is not PEM: {0}")]
    Malformed(pem::Error),
    #[error("has no {0} in it")]
    Missing(&'static str),
}

/// All certificates of a file, one at least.
pub(super) fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let fail = |why| PemError { setting, path: path.into(), why };
    let bytes = read_bounded(path, TLS_FILE_BYTES_MAX).map_err(|error| fail(Why::Unreadable(error)))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| fail(Why::Malformed(error)))?;
    if all.is_empty() { Err(fail(Why::Missing("certificate"))) } else { Ok(all) }
}

/// The key of a file: PKCS #8, PKCS #1 or SEC 1, without a passphrase.
pub(super) fn key(setting: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let fail = |why| PemError { setting, path: path.into(), why };
    let bytes = read_bounded(path, TLS_FILE_BYTES_MAX).map_err(|error| fail(Why::Unreadable(error)))?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        fail(match error {
            pem::Error::NoItemsFound => Why::Missing("key without a passphrase"),
            error => Why::Malformed(error),
        })
    })
}
