//! What comes before AMQP's protocol header: the PROXY protocol, where it is expected, and the handshake of TLS.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use ipnet::IpNet;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    handshake::{Refusal, spoken},
    peer::Peer,
    proxy,
    socket::{Disagreement, Reader, SharedWriter, TlsFailure, shake_hands},
};
use crate::tls::Acceptor;

/// Our end of a socket that is broken by now.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A client with whom AMQP may be spoken.
pub(super) struct Arrived {
    pub(super) reader: Reader,
    pub(super) writer: SharedWriter,
    pub(super) peer: Peer,
}

/// One with whom it may not. It has been told why as far as that can be, and may read it.
pub(super) struct Declined {
    pub(super) refusal: Refusal,
    pub(super) socket: TcpStream,
}

/// Leads a client to where it can speak AMQP. `address` becomes what a trusted proxy says.
pub(super) async fn arrive(
    mut socket: TcpStream,
    address: &mut SocketAddr,
    tls: Option<&Acceptor>,
    proxies: &[IpNet],
) -> Result<Arrived, Declined> {
    if is_proxy(*address, proxies) {
        match proxy::client_address(&mut socket).await {
            Ok(Some(client)) => *address = client,
            // The proxy speaks for itself.
            Ok(None) => {}
            Err(refusal) => return Err(Declined { refusal, socket }),
        }
    }
    let local = socket.local_addr().unwrap_or(UNKNOWN);
    let mut peer = Peer { address: *address, local, tls: tls.is_some(), certificate_name: None };
    let Some(acceptor) = tls else {
        let (reader, writer) = socket.into_split();
        return Ok(Arrived { reader: reader.into(), writer: writer.into(), peer });
    };
    match shake_hands(socket, acceptor).await {
        Ok(secured) => {
            peer.certificate_name = secured.certificate_name;
            Ok(Arrived { reader: Reader::Tls(secured.reader), writer: secured.writer.into(), peer })
        }
        Err((socket, failure)) => Err(Declined { refusal: failure.into(), socket }),
    }
}

/// Lets a client that was declined read why, and waits for its end. Nothing more is said.
pub(super) async fn part(mut socket: TcpStream) -> io::Result<()> {
    socket.shutdown().await?;
    tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.map(drop)
}

impl From<TlsFailure> for Refusal {
    fn from(failure: TlsFailure) -> Self {
        match failure {
            TlsFailure::Gone(error) => Self::Gone(error),
            TlsFailure::Disagreed(why) => why.into(),
        }
    }
}

impl From<Disagreement> for Refusal {
    fn from(why: Disagreement) -> Self {
        Self::Silent(match why {
            Disagreement::NotTls([b'A', b'M', b'Q', b'P', ..]) => {
                "a client without TLS came to the port of AMQP with TLS".into()
            }
            Disagreement::NotTls(header) => format!("no TLS handshake: {}", spoken(header)),
            Disagreement::Refused(error) => format!("the TLS handshake failed: {error}"),
        })
    }
}

fn is_proxy(address: SocketAddr, proxies: &[IpNet]) -> bool {
    let address = address.ip().to_canonical();
    proxies.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_told_by_its_address_whatever_the_socket_calls_it() {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        for (address, is) in [
            ("10.1.2.3:4", true),
            ("[::ffff:10.1.2.3]:4", true),
            ("11.1.2.3:4", false),
            ("[::1]:4", true),
            ("[::2]:4", false),
        ] {
            assert_eq!(is_proxy(address.parse().unwrap(), &proxies), is, "{address}");
        }
        assert!(!is_proxy("10.1.2.3:4".parse().unwrap(), &[]));
    }
}
