//! The one door for "may this connection do that".
//!
//! A handler asks before it does anything, and before it looks whether the exchange or queue exists, as RabbitMQ does: a user
//! without permission does not learn what there is.
//!
//! | method | asks |
//! |---|---|
//! | `exchange.declare`, `exchange.delete` | configure the exchange |
//! | ... a new one with `alternate-exchange` | then read the exchange, write the alternate one |
//! | `queue.declare`, `queue.delete` | configure the queue |
//! | ... a new one with `x-dead-letter-exchange` | then read the queue, write that exchange |
//! | both passively | any of the three (RabbitMQ from 4.3.1 on) |
//! | `queue.bind`, `exchange.bind`, and both `unbind` | write the destination, read the source |
//! | ... of a topic exchange | then read its topic |
//! | `basic.publish` | write the exchange |
//! | ... to a topic exchange | then write its topic, for each key |
//! | `basic.get`, `basic.consume`, `queue.purge` | read the queue |
//!
//! The queues of direct reply-to belong to their client and ask nothing. A publish asks when its route is worked out, and the answer
//! is remembered with the route: when permissions change, [`Session::renew_grant`] forgets both.

use std::sync::Arc;

use super::{Session, asking::Wanted};
use crate::auth::oauth::{BadToken, Token};
use crate::broker::Broker;
pub(in crate::connection) use crate::core::access::Permission;
use crate::core::{
    access::Grant,
    error::{AmqpError, Named, access_refused, not_allowed},
    routing::ExchangeKind,
};
use crate::limits::PATTERN_STEPS;
use crate::protocol::ShortString;

/// An exchange or queue of the connection's virtual host, by its name. RabbitMQ calls the exchange without a name `amq.default`
/// when it looks for permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::connection) enum Resource<'a> {
    Exchange(&'a [u8]),
    Queue(&'a [u8]),
}

impl<'a> Resource<'a> {
    fn kind_and_name(self) -> (&'static str, &'a [u8]) {
        match self {
            Self::Exchange([]) => ("exchange", b"amq.default"),
            Self::Exchange(name) => ("exchange", name),
            Self::Queue(name) => ("queue", name),
        }
    }
}

/// What the connection's user may do in its virtual host, as of a stamp of the broker's permissions.
pub(super) struct Granted {
    by: By,
    stamp: u64,
}

/// What says what a user may do.
enum By {
    /// The broker's permissions; nothing, if there are none.
    Permissions(Option<Arc<Grant>>),
    /// The scopes of the token with which it has logged in.
    Token(Arc<Token>),
}

impl Granted {
    pub(super) fn of(broker: &Broker, user: &ShortString, vhost: &ShortString) -> Self {
        let (grant, stamp) = broker.access.grant(user, vhost);
        Self { by: By::Permissions(grant), stamp }
    }

    /// The same of a user that has logged in with a token.
    pub(super) fn of_token(broker: &Broker, token: Arc<Token>) -> Self {
        Self { by: By::Token(token), stamp: broker.access.stamp() }
    }

    fn permits(&self, permission: Permission, vhost: &ShortString, name: &[u8]) -> bool {
        match &self.by {
            By::Permissions(grant) => grant.as_ref().is_some_and(|grant| grant.permits(permission, name)),
            By::Token(token) => token.permits(permission, vhost, name),
        }
    }

    fn permits_topic(
        &self,
        permission: Permission,
        vhost: &ShortString,
        exchange: &[u8],
        key: &[u8],
    ) -> bool {
        match &self.by {
            By::Permissions(grant) => {
                grant.as_ref().is_none_or(|grant| grant.permits_topic(permission, exchange, key))
            }
            By::Token(token) => token.permits_topic(permission, vhost, exchange, key),
        }
    }

    /// Whether keys count for any topic exchange.
    fn has_topics(&self) -> bool {
        match &self.by {
            By::Permissions(grant) => grant.as_ref().is_some_and(|grant| grant.has_topics()),
            By::Token(_) => true,
        }
    }
}

impl Session {
    /// Forgets what was permitted, and the routes that go by it, if permissions have changed since. To be called before something
    /// is remembered, or what is remembered is used.
    #[inline]
    pub(in crate::connection) fn renew_grant(&mut self) {
        if self.granted.stamp != self.broker.access.stamp() {
            self.grant_anew();
        }
    }

    #[cold]
    fn grant_anew(&mut self) {
        if let Some(user) = self.broker.access.user(&self.user) {
            self.usage.rates.set(&user.limits);
        }
        self.granted = match &self.granted.by {
            By::Permissions(_) => Granted::of(&self.broker, &self.user, &self.vhost.name),
            By::Token(token) => Granted::of_token(&self.broker, token.clone()),
        };
        self.forget_routes();
    }

    fn forget_routes(&mut self) {
        self.channels.values_mut().for_each(|channel| channel.routes.forget());
    }

    /// Whether the connection's user has a permission; 403 if not.
    pub(in crate::connection) fn may(
        &mut self,
        permission: Permission,
        resource: Resource<'_>,
    ) -> Result<(), AmqpError> {
        #[cfg(test)]
        tests::asked(permission, resource);
        self.turn.spend(PATTERN_STEPS);
        self.renew_grant();
        let (_, name) = resource.kind_and_name();
        if self.granted.permits(permission, &self.vhost.name, name) {
            return Ok(());
        }
        Err(self.refused(permission.name(), resource))
    }

    /// Whether the user has any permission for it; 403 if not.
    pub(in crate::connection) fn may_ask_for(&mut self, resource: Resource<'_>) -> Result<(), AmqpError> {
        const ANY: [Permission; 3] = [Permission::Configure, Permission::Write, Permission::Read];
        self.renew_grant();
        let (_, name) = resource.kind_and_name();
        if ANY.into_iter().any(|permission| self.granted.permits(permission, &self.vhost.name, name)) {
            return Ok(());
        }
        Err(self.refused(Permission::Configure.name(), resource))
    }

    /// Whether the user may use keys with an exchange, if that is a topic exchange; 403 if not.
    pub(in crate::connection) fn may_use_topics<'k>(
        &mut self,
        permission: Permission,
        exchange: &[u8],
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<(), AmqpError> {
        self.renew_grant();
        if !self.granted.has_topics() {
            return Ok(());
        }
        let is_topic = self.vhost.read(|topology| {
            topology.check_exchange(exchange).is_ok_and(|spec| spec.routes_as() == ExchangeKind::Topic)
        });
        let vhost = &self.vhost.name;
        let refused = |key: &&[u8]| !self.granted.permits_topic(permission, vhost, exchange, key);
        match keys.into_iter().find(refused) {
            Some(key) if is_topic => Err(access_refused(format!(
                "{} access to topic '{}' in {} refused for user '{}'",
                permission.name(),
                String::from_utf8_lossy(key),
                Named { kind: "exchange", name: exchange, vhost: &self.vhost.name },
                self.user
            ))),
            _ => Ok(()),
        }
    }

    /// Whether keys count for any topic exchange.
    pub(in crate::connection) fn heeds_topics(&mut self) -> bool {
        self.renew_grant();
        self.granted.has_topics()
    }

    /// Whether the user may publish in the name of others (RabbitMQ's tag `impersonator`).
    pub(in crate::connection) fn may_impersonate(&self) -> bool {
        match &self.granted.by {
            By::Permissions(_) => {
                self.broker.access.user(&self.user).is_some_and(|user| user.has_tag("impersonator"))
            }
            By::Token(token) => token.tags.iter().any(|tag| **tag == *b"impersonator"),
        }
    }

    /// Whether the user may still read a queue from which it consumes.
    pub(in crate::connection) fn may_go_on_reading(&self, queue: &[u8]) -> bool {
        self.granted.permits(Permission::Read, &self.vhost.name, queue)
    }

    /// Takes a new token for the one that the client has logged in with (RabbitMQ's `connection.update-secret`). Without one the secret
    /// is that of a password, which does not expire, and nothing changes. Whether something has.
    pub(in crate::connection) fn renew_secret(&mut self, secret: &[u8]) -> Result<bool, AmqpError> {
        let (By::Token(_), Some(tokens)) = (&self.granted.by, self.broker.authenticator.tokens()) else {
            return Ok(false);
        };
        let refused = || not_allowed("New secret was refused by one of the backends");
        let keys = tokens.keys();
        let read = tokens.read_by(&keys, secret);
        if read == Err(BadToken::UnknownKey) && !self.has_asked_for_keys() {
            let tokens = tokens.clone();
            return Err(self.want(Wanted::Keys(tokens, keys)));
        }
        let token = read.map_err(|why| {
            tracing::warn!(parent: &self.span(), %why, "a new token was refused");
            refused()
        })?;
        if token.user != self.user || !token.permits_vhost(&self.vhost.name) {
            tracing::warn!(parent: &self.span(), of = %token.user, "a new token was refused: it is of another user or virtual host");
            return Err(refused());
        }
        self.broker.connections.expires(self.id, token.expires);
        self.granted = Granted::of_token(&self.broker, Arc::new(token));
        self.forget_routes();
        Ok(true)
    }

    fn refused(&self, permission: &str, resource: Resource<'_>) -> AmqpError {
        let (kind, name) = resource.kind_and_name();
        let named = Named { kind, name, vhost: &self.vhost.name };
        access_refused(format!("{permission} access to {named} refused for user '{}'", self.user))
    }
}

#[cfg(test)]
mod tests;
