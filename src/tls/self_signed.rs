//! Certificates for trying TLS: a CA of one's own, a server's certificate and a client's.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};

/// How long certificates are valid: as long as every client takes one,
const VALID: Duration = Duration::from_hours(24 * 825);
/// and the CA's.
const CA_VALID: Duration = Duration::from_hours(24 * 3_650);
/// They are valid from a moment ago: clocks differ.
const LEEWAY: Duration = Duration::from_hours(1);
/// What the server is called if nothing is said.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why they cannot be made; one line.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// Nothing is overwritten.
    #[error("{} is there already, and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// The folder or a file.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name that no certificate can have.
    #[error("the certificate of {name} cannot be made: {why}")]
    Name {
        /// Whose.
        name: String,
        /// In the words of the library.
        why: rcgen::Error,
    },
}

/// Makes a CA, a certificate of the server for `hosts` (this machine's own names if there are none) and one of a client whose common name
/// is `client`, each with its key, in files of `folder` that its owner alone can read. Gives the files. Does nothing if one is there.
pub fn make_self_signed(
    folder: &Path,
    hosts: &[String],
    client: &str,
) -> Result<Vec<PathBuf>, SelfSignedError> {
    let hosts: Vec<String> = if hosts.is_empty() { HOSTS.map(String::from).to_vec() } else { hosts.to_vec() };
    let server = hosts.first().cloned().unwrap_or_default();
    let failed = |name: &str| {
        let name = name.to_owned();
        move |why| SelfSignedError::Name { name, why }
    };
    let ca = ca().map_err(failed("the CA"))?;
    let of_server =
        signed(hosts, &server, ExtendedKeyUsagePurpose::ServerAuth, &ca).map_err(failed(&server))?;
    let of_client =
        signed(Vec::new(), client, ExtendedKeyUsagePurpose::ClientAuth, &ca).map_err(failed(client))?;
    let contents = [
        ("ca_certificate.pem", ca.pem()),
        ("ca_key.pem", ca.key().serialize_pem()),
        ("server_certificate.pem", of_server.0),
        ("server_key.pem", of_server.1),
        ("client_certificate.pem", of_client.0),
        ("client_key.pem", of_client.1),
    ];
    let files = contents.map(|(name, text)| (folder.join(name), text));
    if let Some((there, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(SelfSignedError::Exists(there.clone()));
    }
    write_all(folder, &files)?;
    Ok(files.map(|(path, _)| path).into())
}

fn ca() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = params(Vec::new(), "Leveret's own CA", CA_VALID)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// A certificate and its key.
fn signed(
    hosts: Vec<String>,
    name: &str,
    purpose: ExtendedKeyUsagePurpose,
    ca: &CertifiedIssuer<'_, KeyPair>,
) -> Result<(String, String), rcgen::Error> {
    let mut params = params(hosts, name, VALID)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, ca)?.pem(), key.serialize_pem()))
}

fn params(hosts: Vec<String>, name: &str, valid: Duration) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    params.not_before = (now - LEEWAY).into();
    params.not_after = (now + valid).into();
    Ok(params)
}

fn write_all(folder: &Path, files: &[(PathBuf, String)]) -> Result<(), SelfSignedError> {
    let failed = |path: &Path, source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => SelfSignedError::Exists(path.into()),
        _ => SelfSignedError::Unwritable { path: path.into(), source },
    };
    if !folder.is_dir() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| failed(folder, source))?;
    }
    for (path, text) in files {
        let write = || -> io::Result<()> {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| failed(path, source))?;
    }
    fs::File::open(folder).and_then(|it| it.sync_all()).map_err(|source| failed(folder, source))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_the_owners_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("deep/er");
        let files = make_self_signed(&folder, &["a.example".into(), "192.0.2.1".into()], "c").unwrap();
        assert_eq!(files.len(), 6);
        for file in files {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_made_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("client_key.pem");
        fs::write(&there, "mine").unwrap();
        let error = make_self_signed(folder.path(), &[], "guest").unwrap_err().to_string();
        assert_eq!(error, format!("{} is there already, and is not overwritten", there.display()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(&there).unwrap(), "mine");
    }

    #[test]
    fn what_cannot_be_made_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let error = make_self_signed(folder.path(), &["é".into()], "guest").unwrap_err().to_string();
        assert!(error.starts_with("the certificate of é cannot be made: "), "{error}");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = make_self_signed(&file, &[], "guest").unwrap_err().to_string();
        assert!(error.contains(&*file.to_string_lossy()), "{error}");
    }
}
