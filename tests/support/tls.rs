//! TLS for peers of tests: certificates made for the test, and a stream that speaks TLS exactly as it is told to.
#![allow(dead_code, reason = "each test crate uses its own part of the support code")]

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;

use crate::{
    broker::{Broker, DEADLINE},
    wire::{Stream, Wire},
};

pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A certificate's key and the certificate, as PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

/// One who signs certificates.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a CA of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn server(&self) -> Identity {
        self.sign("localhost", &["localhost", "127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth, false)
    }

    pub fn client(&self, name: &str) -> Identity {
        self.sign(name, &[], ExtendedKeyUsagePurpose::ClientAuth, false)
    }

    pub fn expired_client(&self, name: &str) -> Identity {
        self.sign(name, &[], ExtendedKeyUsagePurpose::ClientAuth, true)
    }

    fn sign(&self, name: &str, hosts: &[&str], purpose: ExtendedKeyUsagePurpose, expired: bool) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![purpose];
        if expired {
            let hours_ago = |hours| (SystemTime::now() - Duration::from_hours(hours)).into();
            (params.not_before, params.not_after) = (hours_ago(48), hours_ago(24));
        }
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

/// A broker's files.
pub struct Files {
    pub ca: Ca,
    folder: TempDir,
}

impl Files {
    pub fn new() -> Self {
        let files = Self { ca: Ca::new(), folder: TempDir::new().unwrap() };
        files.renew(&files.ca.server());
        fs::write(files.path("ca"), files.ca.pem()).unwrap();
        files
    }

    /// Replaces the server's certificate and key.
    pub fn renew(&self, server: &Identity) {
        fs::write(self.path("cert"), &server.certificate).unwrap();
        fs::write(self.path("key"), &server.key).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.pem"))
    }

    /// A broker that speaks TLS with them. `None` if an external one is tested.
    pub fn broker(&self, args: &[&str]) -> Option<Arc<Broker>> {
        let [cert, key] = ["cert", "key"].map(|name| self.path(name).to_str().unwrap().to_owned());
        let tls = ["--amqps-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
        Broker::start(&[&tls, args].concat(), &[])
    }

    /// The same; clients may show a certificate, or must.
    pub fn broker_that_verifies(&self, verify: &str) -> Option<Arc<Broker>> {
        let ca = self.path("ca");
        self.broker(&["--tls-ca", ca.to_str().unwrap(), "--tls-verify", verify])
    }

    /// A client that trusts the broker.
    pub fn client(&self) -> Arc<ClientConfig> {
        client(&self.ca, &VERSIONS, None)
    }
}

/// A client that trusts `ca`, speaks these versions, and shows this certificate.
pub fn client(
    ca: &Ca,
    versions: &[&'static SupportedProtocolVersion],
    shown: Option<&Identity>,
) -> Arc<ClientConfig> {
    trusting(&ca.pem(), versions, shown)
}

/// The same, with the CA's certificate as PEM.
pub fn trusting(
    ca: &str,
    versions: &[&'static SupportedProtocolVersion],
    shown: Option<&Identity>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match shown {
        None => builder.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                .unwrap()
        }
    })
}

/// A client's side of TLS on a socket. Nothing is sent before something is written or read.
pub struct Tls {
    pub session: ClientConnection,
    pub tcp: TcpStream,
}

impl Tls {
    /// A connection to a broker's port for TLS.
    pub fn connect(broker: &Broker, config: &Arc<ClientConfig>) -> Self {
        Self::on(tcp(broker), config)
    }

    pub fn on(tcp: TcpStream, config: &Arc<ClientConfig>) -> Self {
        let name = "localhost".try_into().unwrap();
        Self { session: ClientConnection::new(config.clone(), name).unwrap(), tcp }
    }

    /// Shakes hands. With TLS 1.3 the broker may still refuse the client's certificate afterwards.
    pub fn agree(mut self) -> io::Result<Self> {
        self.session.complete_io(&mut self.tcp)?;
        Ok(self)
    }

    /// Everything that has been written leaves.
    pub fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }

    /// An open connection as guest.
    pub fn log_in(self, broker: &Arc<Broker>) -> Wire {
        Wire::over(self, broker.clone()).log_in()
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.send()?;
            self.session.read_tls(&mut self.tcp)?;
            self.session
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while self.session.is_handshaking() {
            self.session.complete_io(&mut self.tcp)?;
        }
        let written = self.session.writer().write(bytes)?;
        self.send()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Stream for Tls {
    fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

/// A socket to a broker's port for TLS.
pub fn tcp(broker: &Broker) -> TcpStream {
    let tcp = TcpStream::connect(broker.tls_address.as_ref().expect("it speaks TLS")).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    tcp.set_write_timeout(Some(DEADLINE)).unwrap();
    tcp
}

/// The certificate of a broker's port for TLS, as a new client sees it.
pub fn shown_certificate(broker: &Broker, config: &Arc<ClientConfig>) -> Vec<u8> {
    let tls = Tls::connect(broker, config).agree().unwrap();
    tls.session.peer_certificates().unwrap()[0].to_vec()
}

/// The DER octets of a PEM certificate.
pub fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

/// A file's path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
