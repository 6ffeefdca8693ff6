//! Why a connection ended, for the log.

use std::io;

use super::session::Session;

/// What ended the use of a connection.
pub(super) enum Ending {
    /// `connection.close`, the client's or ours.
    Closed,
    /// The broker stops.
    Shutdown,
    /// No heartbeats came.
    Silent,
    /// The client closed the socket, and had not said that it would.
    Gone,
    /// Reading failed.
    Broken(io::Error),
    /// Writing failed, or the client takes nothing any more.
    Unwritable,
}

impl Ending {
    /// Writes it to the log: what neither side wanted as a warning.
    pub(super) fn log(&self, session: &Session) {
        let span = session.span();
        let unlogged = session.unlogged_errors();
        if unlogged > 0 {
            tracing::warn!(parent: &span, unlogged, "more channels were closed for errors");
        }
        let reason = match self {
            Self::Closed => match session.closed_for.as_deref() {
                None => "closed by the client".into(),
                Some((channel, error)) => format!("closed for an error on channel {channel}: {error}"),
            },
            Self::Shutdown => "the broker stops".into(),
            Self::Silent => "missed heartbeats from client".into(),
            Self::Gone => "the client closed the socket without closing the connection".into(),
            Self::Broken(error) => format!("socket error: {error}"),
            Self::Unwritable => "the client does not take what is sent to it".into(),
        };
        let reason = tracing::field::display(reason);
        match self {
            Self::Closed if session.closed_for.is_none() => {
                tracing::info!(parent: &span, reason, "connection ended");
            }
            Self::Shutdown => tracing::info!(parent: &span, reason, "connection ended"),
            _ => tracing::warn!(parent: &span, reason, "connection ended"),
        }
    }
}
