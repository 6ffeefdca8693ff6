//! The socket to a broker, plain or with TLS.
//!
//! Copies share the socket: one thread may write while another reads, and neither waits for the other while it waits for the socket.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use super::error::Error;
use super::uri::{TlsFiles, Uri};

/// A connection to the broker.
#[derive(Clone)]
pub struct Stream {
    tcp: Arc<TcpStream>,
    tls: Option<Arc<Tls>>,
}

/// What TLS adds. A thread that holds several of the locks took them in this order.
struct Tls {
    /// What was read and not decrypted; the reader's.
    incoming: Mutex<Incoming>,
    /// What was encrypted and not sent; the writer's.
    outgoing: Mutex<Outgoing>,
    /// Never held while somebody waits for the socket.
    session: Mutex<ClientConnection>,
}

struct Incoming {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// Bytes that are encrypted and not reported as written yet.
    unreported: usize,
}

impl Stream {
    /// Shakes hands, if `uri` wants TLS.
    pub fn new(tcp: TcpStream, uri: &Uri) -> Result<Self, Error> {
        let Some(files) = &uri.tls else { return Ok(Self { tcp: Arc::new(tcp), tls: None }) };
        let refused = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
        let name = ServerName::try_from(uri.host.clone()).map_err(|error| refused(&error))?;
        let config = client_config(files)?;
        let mut session = ClientConnection::new(Arc::new(config), name).map_err(|error| refused(&error))?;
        session.set_buffer_limit(None);
        while session.is_handshaking() {
            session.complete_io(&mut &tcp).map_err(|error| refused(&error))?;
        }
        let incoming = Incoming { buffer: vec![0; CHUNK_BYTES], start: 0, end: 0 };
        let tls =
            Tls { incoming: Mutex::new(incoming), outgoing: Mutex::default(), session: Mutex::new(session) };
        Ok(Self { tcp: Arc::new(tcp), tls: Some(Arc::new(tls)) })
    }

    /// Reads once; an error when the timeout passed first.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => (&*self.tcp).read(buffer),
            Some(tls) => tls.read(&self.tcp, buffer),
        }
    }

    /// Writes once. After an error the next call has to begin with the same bytes.
    #[inline]
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => (&*self.tcp).write(bytes),
            Some(tls) => tls.write(&self.tcp, bytes),
        }
    }

    /// Writes everything.
    pub fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }

    /// How long reads and writes may wait.
    pub fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        self.tcp.set_read_timeout(Some(read))?;
        self.tcp.set_write_timeout(Some(write))
    }

    /// How long reads may wait.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.tcp.read_timeout()
    }

    /// Ends it for all copies.
    pub fn shutdown(&self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Both)
    }
}

impl Tls {
    fn read(&self, mut tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = held(&self.incoming);
        loop {
            let Incoming { buffer: encrypted, start, end } = &mut *incoming;
            if let Some(bytes) = self.decrypt(&encrypted[..*end], start, buffer)? {
                return Ok(bytes);
            }
            (*start, *end) = (0, tcp.read(encrypted)?);
            if *end == 0 {
                return Ok(0);
            }
        }
    }

    /// Decrypts until there is no more, or no more room. `None` if that brought nothing.
    fn decrypt(&self, encrypted: &[u8], start: &mut usize, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut session = held(&self.session);
        let mut filled = 0;
        loop {
            while filled < buffer.len() {
                match session.reader().read(&mut buffer[filled..]) {
                    Ok(0) => return Ok(Some(filled)),
                    Ok(bytes) => filled += bytes,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if filled == buffer.len() || *start == encrypted.len() {
                return Ok((filled > 0).then_some(filled));
            }
            *start += session.read_tls(&mut &encrypted[*start..])?;
            session.process_new_packets().map_err(io::Error::other)?;
        }
    }

    fn write(&self, mut tcp: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut outgoing = held(&self.outgoing);
        let Outgoing { bytes: encrypted, sent, unreported } = &mut *outgoing;
        if *unreported == 0 {
            let mut session = held(&self.session);
            *unreported = session.writer().write(&bytes[..bytes.len().min(CHUNK_BYTES)])?;
            encrypted.clear();
            *sent = 0;
            while session.wants_write() {
                session.write_tls(encrypted)?;
            }
        }
        while *sent < encrypted.len() {
            match tcp.write(&encrypted[*sent..])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => *sent += written,
            }
        }
        Ok(std::mem::take(unreported))
    }
}

/// A lock whose holder has panicked ends the run anyway.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

fn client_config(files: &TlsFiles) -> Result<ClientConfig, Error> {
    let refused = |error: &dyn std::fmt::Display| Error::Tls(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match &files.ca {
        None if files.verify != Some(true) => Arc::new(Anybody(provider.clone())),
        Some(_) if files.verify == Some(false) => Arc::new(Anybody(provider.clone())),
        ca => {
            let mut roots = RootCertStore::empty();
            match ca {
                Some(ca) => {
                    for certificate in certificates(ca)? {
                        roots.add(certificate).map_err(|error| refused(&error))?;
                    }
                }
                // What of them cannot be read does not count.
                None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
            }
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            builder.build().map_err(|error| refused(&error))?
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| refused(&error))?;
            builder.with_client_auth_cert(certificates(cert)?, key).map_err(|error| refused(&error))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    all.map_err(|error| Error::Tls(format!("{}: {error}", path.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::Tls(format!("{}: {error}", path.display())))
}

/// Takes any broker for the right one, as `PerfTest` does: where no CA is named there is nobody to ask.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What is read, or encrypted, at once.
const CHUNK_BYTES: usize = 256 * 1024;
