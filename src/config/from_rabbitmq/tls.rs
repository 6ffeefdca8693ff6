//! Whose certificates are looked at: RabbitMQ says it by two keys, Leveret by one.

/// What one of the keys says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// `ssl_options.verify`: clients are asked for a certificate.
    Asks(bool),
    /// `ssl_options.fail_if_no_peer_cert`: one without is refused.
    Requires(bool),
}

/// What both say; the default is RabbitMQ's, to ask nobody.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clients {
    asks: Option<bool>,
    requires: Option<bool>,
}

impl Clients {
    pub(super) fn take(&mut self, said: Said) {
        match said {
            Said::Asks(asks) => self.asks = Some(asks),
            Said::Requires(requires) => self.requires = Some(requires),
        }
    }

    /// As `tls-verify` says it.
    pub(super) fn verify(self) -> &'static str {
        match (self.asks.unwrap_or(false), self.requires.unwrap_or(false)) {
            (false, _) => "none",
            (true, false) => "optional",
            (true, true) => "required",
        }
    }
}
