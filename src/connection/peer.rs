//! What is known of a client before it has said a word of AMQP.

use std::net::SocketAddr;

/// What is known of a client before it has said a word of AMQP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// Where it is; what a proxy before it says, if that is trusted.
    pub(super) address: SocketAddr,
    /// Our end.
    pub(super) local: SocketAddr,
    /// Whether it speaks TLS.
    pub(super) tls: bool,
    /// What the certificate that it has shown is taken for; `None` without TLS, without a certificate, or if the part of it that counts is
    /// not there. The certificate is valid and signed by whom the operator trusts.
    pub(super) certificate_name: Option<String>,
}
