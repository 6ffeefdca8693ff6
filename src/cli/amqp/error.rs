//! Why a client of a broker gives up. `Display` is the one line that people see.

use std::io;

use crate::protocol::{FrameError, MethodError};

/// Everything that ends what a client was about to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options that do not fit together.
    #[error("{0}")]
    Options(String),
    /// No TCP connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// As in the URI.
        address: String,
        /// Of the last address tried.
        source: io::Error,
    },
    /// No agreement on TLS, or its files.
    #[error("no TLS: {0}")]
    Tls(String),
    /// The broker did not answer in time.
    #[error("no answer from the broker to {waiting_for} within {seconds} s")]
    NoAnswer {
        /// What was sent last.
        waiting_for: &'static str,
        /// How long we waited.
        seconds: u64,
    },
    /// The broker does not offer PLAIN.
    #[error("the broker offers the login mechanisms \"{0}\", but not PLAIN")]
    Mechanisms(String),
    /// The broker hung up after the login, which is how old ones refuse it.
    #[error("the broker closed the connection during the login: wrong user, password or virtual host?")]
    LoginRefused,
    /// `connection.close`.
    #[error("connection closed by the broker: {code} {text}")]
    ConnectionClosed {
        /// Reply code.
        code: u16,
        /// Reply text.
        text: String,
    },
    /// `channel.close`.
    #[error("channel closed by the broker: {code} {text}")]
    ChannelClosed {
        /// Reply code.
        code: u16,
        /// Reply text.
        text: String,
    },
    /// `basic.cancel` from the broker.
    #[error("consumer cancelled by the broker: its queue is gone")]
    ConsumerCancelled,
    /// The socket ended without `connection.close`.
    #[error("the broker closed the connection without a reason")]
    Disconnected,
    /// The broker answered with another method than the one due.
    #[error("the broker answered with {0} out of turn")]
    Unexpected(&'static str),
    /// What came is not frames.
    #[error("not AMQP 0-9-1: {0}")]
    Frame(#[from] FrameError),
    /// A frame that is not a method.
    #[error("not AMQP 0-9-1: {0}")]
    Method(#[from] MethodError),
    /// The socket failed, or a thread or the runtime could not be started.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Interrupted before it began.
    #[error("interrupted")]
    Interrupted,
}
