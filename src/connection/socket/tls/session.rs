//! What both halves of a socket with TLS share: the state of TLS, and how much of what is encrypted does not count as written yet. It
//! knows no socket: bytes come as slices, and what is to be sent is written to whatever takes it without waiting.

use std::{
    io::{self, Read, Write},
    mem,
};

use rustls::{Error, ServerConnection};
use tokio::io::ReadBuf;

use crate::limits::{TLS_HANDSHAKE_BYTES_MAX, TLS_WRITE_BYTES};
use crate::tls::Acceptor;

/// One client's TLS.
pub(in crate::connection) struct Session {
    tls: ServerConnection,
    /// Bytes that are encrypted and do not count as written yet.
    unreported_bytes: usize,
    /// What has come from the client in its handshake.
    greeted_bytes: usize,
}

/// Why TLS is not agreed upon.
#[derive(Debug)]
pub(in crate::connection) enum Disagreement {
    /// The client's first bytes are not those of TLS.
    NotTls([u8; FIRST_BYTES]),
    /// The client is to be told why; it waits to be sent.
    Refused(Error),
}

impl Session {
    /// One that begins.
    pub(in crate::connection) fn new(acceptor: &Acceptor) -> Result<Self, Error> {
        Ok(Self { tls: acceptor.session()?, unreported_bytes: 0, greeted_bytes: 0 })
    }

    /// Whether there is nothing more to agree upon.
    pub(in crate::connection) fn is_agreed(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// What the client's certificate is taken for.
    pub(in crate::connection) fn client_name(&self, acceptor: &Acceptor) -> Option<String> {
        acceptor.client_name(&self.tls)
    }

    /// Takes in a part of the handshake, as it was read.
    pub(in crate::connection) fn greet(&mut self, read: &[u8]) -> Result<(), Disagreement> {
        if self.greeted_bytes == 0 && read.first() != Some(&HANDSHAKE_RECORD) {
            let mut first = [0; FIRST_BYTES];
            first.iter_mut().zip(read).for_each(|(first, byte)| *first = *byte);
            return Err(Disagreement::NotTls(first));
        }
        self.greeted_bytes += read.len();
        if self.greeted_bytes > TLS_HANDSHAKE_BYTES_MAX {
            return Err(Disagreement::Refused(Error::General("it is longer than may be".into())));
        }
        self.decrypt(read, &mut ReadBuf::new(&mut [])).map_err(Disagreement::Refused)
    }

    /// Takes in what was read. What it brings goes to `target` as far as that has room; the rest stays here.
    pub(in crate::connection) fn decrypt(
        &mut self,
        mut bytes: &[u8],
        target: &mut ReadBuf<'_>,
    ) -> Result<(), Error> {
        while !bytes.is_empty() {
            match self.tls.read_tls(&mut bytes) {
                // The client has said good-bye: what comes behind that is not read.
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(Error::General(error.to_string())),
            }
            self.tls.process_new_packets()?;
            self.take_decrypted(target).map_err(|error| Error::General(error.to_string()))?;
        }
        Ok(())
    }

    /// Takes what is decrypted; whether that was something, or the end.
    pub(in crate::connection) fn take_decrypted(&mut self, target: &mut ReadBuf<'_>) -> io::Result<bool> {
        if target.remaining() == 0 {
            return Ok(false);
        }
        match self.tls.reader().read(target.initialize_unfilled()) {
            Ok(bytes) => {
                target.advance(bytes);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Encrypts bytes and sends them. If `socket` does not take all that was encrypted for them, nothing counts as written, and the next
    /// call has to begin with the same bytes.
    pub(in crate::connection) fn write(
        &mut self,
        bytes: &[u8],
        socket: &mut impl Write,
    ) -> io::Result<usize> {
        if self.unreported_bytes == 0 {
            self.send_all(socket)?;
            let taken = &bytes[..bytes.len().min(TLS_WRITE_BYTES)];
            self.unreported_bytes = self.tls.writer().write(taken)?;
        }
        self.send_all(socket)?;
        Ok(mem::take(&mut self.unreported_bytes))
    }

    /// Tells the client that nothing more will come.
    pub(in crate::connection) fn say_good_bye(&mut self, socket: &mut impl Write) -> io::Result<()> {
        self.tls.send_close_notify();
        self.send_all(socket)
    }

    /// Whether something is encrypted that was not sent.
    pub(in crate::connection) fn has_unsent(&self) -> bool {
        self.tls.wants_write()
    }

    /// Sends all that is encrypted, as far as `socket` takes it without waiting; otherwise an error.
    pub(in crate::connection) fn send_all(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(socket)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// First bytes by which other protocols are told.
const FIRST_BYTES: usize = 8;
/// The first byte of a TLS handshake (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CertificateLogin, TlsConfig, TlsVersion};
    use crate::tls::make_self_signed;

    fn acceptor() -> Acceptor {
        let folder = tempfile::tempdir().unwrap();
        make_self_signed(folder.path(), &[], "guest").unwrap();
        let file = |name: &str| folder.path().join(name);
        Acceptor::load(TlsConfig {
            cert: file("server_certificate.pem"),
            key: file("server_key.pem"),
            clients: None,
            min_version: TlsVersion::Tls12,
            login_from: CertificateLogin::DistinguishedName,
        })
        .unwrap()
    }

    #[test]
    fn a_handshake_that_does_not_end_is_refused_at_its_bound() {
        let mut session = Session::new(&acceptor()).unwrap();
        // A ClientHello that announces 65,535 octets, in records of a thousand.
        let mut hello = vec![1, 0, 0xFF, 0xFF];
        hello.resize(TLS_HANDSHAKE_BYTES_MAX, 0);
        let mut taken = 0;
        let refused = hello.chunks(1_000).find_map(|part| {
            let record = [&[HANDSHAKE_RECORD, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
            let refused = session.greet(&record).err();
            taken += if refused.is_none() { record.len() } else { 0 };
            refused
        });
        assert!(matches!(refused, Some(Disagreement::Refused(Error::General(_)))), "{refused:?}");
        assert!(TLS_HANDSHAKE_BYTES_MAX - taken < 1_005, "{taken} bytes were taken");
    }
}
