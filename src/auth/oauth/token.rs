//! A token that was checked: who its user is, and what it may do until when.

use super::{
    bad_token::BadToken,
    claims::Claims,
    keys::Keys,
    resource_server::ResourceServer,
    scope::{Permitted, Scope},
};
use crate::core::access::Permission;
use crate::protocol::ShortString;

/// What a token says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is, whatever name was sent with it.
    pub user: ShortString,
    /// Its tags.
    pub tags: Vec<ShortString>,
    /// From when on it does not count, in seconds since the Unix epoch. `None` if it never expires, having no `exp` (RabbitMQ).
    pub expires: Option<u64>,
    permitted: Vec<Permitted>,
}

impl ResourceServer {
    /// Checks a token. `now` is in seconds since the Unix epoch.
    pub fn read(&self, token: &[u8], keys: &Keys, now: u64) -> Result<Token, BadToken> {
        let verified = keys.verify(token)?;
        let claims = Claims::check(&verified, self, now)?;
        let mut read =
            Token { user: claims.user()?, tags: vec![], expires: claims.expires()?, permitted: vec![] };
        for scope in claims.scopes()? {
            match scope {
                Scope::Permits(permitted) => read.permitted.push(permitted),
                Scope::Tag(tag) => read.tags.push(tag),
            }
        }
        Ok(read)
    }
}

impl Token {
    /// Whether its user may open a virtual host: if it may do anything there.
    pub fn permits_vhost(&self, vhost: &[u8]) -> bool {
        self.permitted.iter().any(|scope| scope.in_vhost(vhost))
    }

    /// Whether something may be done with the queue or exchange of this name. The exchange without a name is asked for as
    /// `amq.default` (RabbitMQ).
    pub fn permits(&self, permission: Permission, vhost: &[u8], name: &[u8]) -> bool {
        self.permitted.iter().any(|scope| scope.permits(permission, vhost, name))
    }

    /// Whether a key may be used with a topic exchange: to publish with [`Permission::Write`], to bind with [`Permission::Read`].
    pub fn permits_topic(&self, permission: Permission, vhost: &[u8], exchange: &[u8], key: &[u8]) -> bool {
        self.permitted.iter().any(|scope| scope.permits_topic(permission, vhost, exchange, key))
    }
}

#[cfg(test)]
mod tests;
