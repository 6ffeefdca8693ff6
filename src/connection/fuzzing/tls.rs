//! TLS without sockets: a client that keeps to the rules, or bytes that nobody has encrypted, against what a socket with TLS has behind its
//! lock.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Mutation,
    line::{self, piece_bytes},
    visitor::{TlsVersion, Visitor, Wiretap},
};
use crate::config::{CertificateLogin, ClientCertificates, TlsConfig, TlsVersion as OldestVersion};
use crate::connection::{handshake::Refusal, socket::TlsSession};
use crate::limits::TLS_LOCKED_BYTES;
use crate::tls::{Acceptor, make_self_signed};

/// Both ends of TLS: certificates that fit together.
pub(super) struct Ends {
    acceptor: Acceptor,
    /// By version, without and with a certificate.
    clients: [[Arc<ClientConfig>; 2]; 2],
}

impl Ends {
    /// New ones; a client may show a certificate of this name.
    pub(super) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is a place for files");
        make_self_signed(folder.path(), &[], name).expect("certificates can be made");
        let file = |name: &str| folder.path().join(name);
        let config = TlsConfig {
            cert: file("server_certificate.pem"),
            key: file("server_key.pem"),
            clients: Some(ClientCertificates { ca: file("ca_certificate.pem"), required: false }),
            min_version: OldestVersion::Tls12,
            login_from: CertificateLogin::CommonName,
        };
        let acceptor = Acceptor::load(config).expect("they fit together");
        let clients = [TlsVersion::Tls12, TlsVersion::Tls13]
            .map(|version| [false, true].map(|is_certified| client(folder.path(), version, is_certified)));
        Self { acceptor, clients }
    }

    pub(super) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// Who stands at the other end.
    pub(super) fn client<'a>(&self, wiretap: Wiretap<'a>, visitor: &Visitor<'a>) -> Client<'a> {
        match wiretap {
            Wiretap::Bytes => Client::Raw(visitor.words),
            Wiretap::Client { version, is_certified, damage } => {
                let config =
                    &self.clients[usize::from(version == TlsVersion::Tls13)][usize::from(is_certified)];
                let name = "localhost".try_into().expect("it is a name");
                let session = ClientConnection::new(config.clone(), name).expect("it is set up");
                Client::Real(Box::new(Real {
                    session,
                    unsaid: visitor.words,
                    has_ended: false,
                    damage,
                    sent_bytes: 0,
                    heard: Vec::new(),
                    turn: visitor.pieces.into(),
                }))
            }
        }
    }
}

fn client(folder: &Path, version: TlsVersion, is_certified: bool) -> Arc<ClientConfig> {
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let certificate = |name| CertificateDer::from_pem_file(file(name)).expect("it was made");
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca_certificate.pem")).expect("it is a CA");
    let versions = match version {
        TlsVersion::Tls12 => &[&TLS12],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("ring has ciphers for it")
        .with_root_certificates(roots);
    Arc::new(if is_certified {
        let key = PrivateKeyDer::from_pem_file(file("client_key.pem")).expect("it was made");
        let chain = vec![certificate("client_certificate.pem")];
        builder.with_client_auth_cert(chain, key).expect("they fit together")
    } else {
        builder.with_no_client_auth()
    })
}

/// Who speaks with the broker.
pub(super) enum Client<'a> {
    /// It speaks TLS.
    Real(Box<Real<'a>>),
    /// Somebody who sends these bytes.
    Raw(&'a [u8]),
}

/// A client that speaks TLS, and what happens to its bytes on their way.
pub(super) struct Real<'a> {
    session: ClientConnection,
    /// What it still has to say.
    unsaid: &'a [u8],
    has_ended: bool,
    damage: &'a [Mutation],
    /// Before they were changed.
    sent_bytes: usize,
    heard: Vec<u8>,
    turn: usize,
}

impl Client<'_> {
    /// What it sends next, after it has got this; nothing if it says no more.
    fn answer(&mut self, got: &[u8]) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => std::mem::take(bytes).to_vec(),
            Self::Real(real) => {
                real.hear(got);
                real.speak()
            }
        }
    }

    fn hear(&mut self, got: &[u8]) {
        if let Self::Real(real) = self {
            real.hear(got);
        }
    }
}

impl Real<'_> {
    fn hear(&mut self, mut got: &[u8]) {
        while !got.is_empty() {
            let is_understood = matches!(self.session.read_tls(&mut got), Ok(1..))
                && self.session.process_new_packets().is_ok();
            let _nothing_more = self.session.reader().read_to_end(&mut self.heard);
            if !is_understood {
                // It is refused, or what was changed on its way has led to what it does not understand: it says no more.
                self.unsaid = &[];
                return;
            }
        }
    }

    fn speak(&mut self) -> Vec<u8> {
        if !self.session.is_handshaking() && !self.session.wants_write() {
            if self.unsaid.is_empty() && !self.has_ended {
                self.has_ended = true;
                self.session.send_close_notify();
            } else {
                let bytes = (piece_bytes(&mut self.turn) * 5).min(self.unsaid.len());
                let (now, unsaid) = self.unsaid.split_at(bytes);
                self.session.writer().write_all(now).expect("a client's session takes all");
                self.unsaid = unsaid;
            }
        }
        let mut bytes = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut bytes).expect("a vector takes all");
        }
        let sent = self.sent_bytes..self.sent_bytes + bytes.len();
        self.sent_bytes = sent.end;
        for mutation in self.damage.iter().filter(|mutation| sent.contains(&mutation.at.into())) {
            let at = mutation.at - sent.start as u16;
            Mutation { at, ..*mutation }.apply(&mut bytes);
        }
        bytes
    }
}

/// A line with TLS.
pub(super) struct Line<'a> {
    session: TlsSession,
    client: Client<'a>,
    /// What has come and was not read.
    arrived: Vec<u8>,
    /// What the client is to get.
    unheard: Vec<u8>,
    turn: usize,
}

impl<'a> Line<'a> {
    /// One on which these bytes have come already.
    pub(super) fn new(session: TlsSession, client: Client<'a>, arrived: &[u8], pieces: u8) -> Self {
        let arrived = arrived.to_vec();
        Self { session, client, arrived, unheard: Vec::new(), turn: pieces.into() }
    }

    /// Shakes hands.
    pub(super) fn agree(&mut self) -> Result<(), Refusal> {
        loop {
            self.session.send_all(&mut self.unheard)?;
            if self.session.is_agreed() {
                return Ok(());
            }
            let piece = self.next_piece();
            if piece.is_empty() {
                return Err(Refusal::Gone(io::ErrorKind::UnexpectedEof.into()));
            }
            if let Err(disagreement) = self.session.greet(&piece) {
                self.session.send_all(&mut self.unheard)?;
                self.client.hear(&std::mem::take(&mut self.unheard));
                return Err(disagreement.into());
            }
        }
    }

    pub(super) fn client_name(&self, acceptor: &Acceptor) -> Option<String> {
        self.session.client_name(acceptor)
    }

    /// What is read next; empty at the end.
    fn next_piece(&mut self) -> Vec<u8> {
        if self.arrived.is_empty() {
            self.arrived = self.client.answer(&std::mem::take(&mut self.unheard));
        }
        let bytes = piece_bytes(&mut self.turn).min(self.arrived.len());
        self.arrived.drain(..bytes).collect()
    }
}

impl line::Line for Line<'_> {
    fn told(mut self) -> Vec<u8> {
        self.client.hear(&self.unheard);
        match self.client {
            Client::Real(real) => real.heard,
            Client::Raw(_) => Vec::new(),
        }
    }
}

impl AsyncRead for Line<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = target.filled().len();
        while target.filled().len() == before {
            if self.session.take_decrypted(target)? {
                break;
            }
            let piece = self.next_piece();
            if piece.is_empty() {
                break;
            }
            let mut pieces = piece.chunks(TLS_LOCKED_BYTES);
            let decrypted = pieces.try_for_each(|piece| self.session.decrypt(piece, target));
            let Self { session, unheard, .. } = &mut *self;
            session.send_all(unheard)?;
            decrypted.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { session, unheard, .. } = &mut *self;
        Poll::Ready(session.write(bytes, unheard))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { session, unheard, .. } = &mut *self;
        Poll::Ready(session.say_good_bye(unheard))
    }
}
