//! Somebody who comes to a [`GuardedHost`](super::GuardedHost).

use super::Mutation;

/// Somebody who comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visitor<'a> {
    /// What a proxy sends before it, where one is expected.
    pub proxy: Option<&'a [u8]>,
    /// All that it has to say in AMQP, whether or not it is answered.
    pub words: &'a [u8],
    /// Determines the sizes of the pieces in which its bytes come.
    pub pieces: u8,
    /// How it speaks TLS, if it does.
    pub tls: Option<Wiretap<'a>>,
}

/// TLS between a visitor and the broker, and what is done to it on its way.
#[derive(Debug, Clone, Copy)]
pub enum Wiretap<'a> {
    /// A client that keeps to the rules; its bytes are changed on their way, at these places of all that it sends.
    Client {
        /// What it speaks.
        version: TlsVersion,
        /// Whether it shows the certificate of the user `certified`.
        is_certified: bool,
        /// What is changed.
        damage: &'a [Mutation],
    },
    /// Bytes that nobody has encrypted: the visitor's words.
    Bytes,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}
