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
//!
//! What the HTTP service has to say is not known at once: the handler ends with an error that nobody is told of, its frame is put
//! off, and it is begun again when there is an answer (`asking`). The answer is remembered with the route, too, for its time.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Session, asking::Wanted};
use crate::auth::{
    Authority,
    http::{About, HttpUser, Question, Said},
    oauth::{BadToken, Token},
};
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
    /// From then on the HTTP service is to be asked again.
    until: Option<Instant>,
}

/// What says what a user may do.
enum By {
    /// The broker's permissions; nothing, if there are none.
    Permissions(Option<Arc<Grant>>),
    /// The scopes of the token with which it has logged in.
    Token(Arc<Token>),
    /// The HTTP service, which knows the user.
    Http(Arc<HttpUser>),
}

impl Granted {
    pub(super) fn of(broker: &Broker, authority: Authority, user: &ShortString, vhost: &ShortString) -> Self {
        let (by, stamp) = match authority {
            Authority::Own => {
                let (grant, stamp) = broker.access.grant(user, vhost);
                (By::Permissions(grant), stamp)
            }
            Authority::Token(token) => (By::Token(token), broker.access.stamp()),
            Authority::Http(user) => (By::Http(user), broker.access.stamp()),
        };
        Self { by, stamp, until: None }
    }

    fn authority(&self) -> Authority {
        match &self.by {
            By::Permissions(_) => Authority::Own,
            By::Token(token) => Authority::Token(token.clone()),
            By::Http(user) => Authority::Http(user.clone()),
        }
    }

    /// Whether keys count for any topic exchange.
    fn has_topics(&self) -> bool {
        match &self.by {
            By::Permissions(grant) => grant.as_ref().is_some_and(|grant| grant.has_topics()),
            By::Token(_) | By::Http(_) => true,
        }
    }

    #[inline]
    fn has_expired(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }
}

impl Session {
    /// Forgets what was permitted, and the routes that go by it, if permissions have changed since, or what the HTTP service has said no
    /// longer counts. To be called before something is remembered, or what is remembered is used.
    #[inline]
    pub(in crate::connection) fn renew_grant(&mut self) {
        if self.granted.stamp != self.broker.access.stamp()
            || self.granted.has_expired() && !self.has_been_told()
        {
            self.grant_anew();
        }
    }

    #[cold]
    fn grant_anew(&mut self) {
        if let Some(user) = self.broker.access.user(&self.user) {
            self.usage.rates.set(&user.limits);
        }
        let authority = self.granted.authority();
        self.granted = Granted::of(&self.broker, authority, &self.user, &self.vhost.name);
        // What was found out for the frame at hand counts for what it makes remembered.
        self.granted.until = self.told_until();
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
        match self.permits(permission, resource)? {
            Said::Yes => Ok(()),
            said => Err(self.refused(permission.name(), resource, said)),
        }
    }

    /// Whether the user has any permission for it; 403 if not.
    pub(in crate::connection) fn may_ask_for(&mut self, resource: Resource<'_>) -> Result<(), AmqpError> {
        const ANY: [Permission; 3] = [Permission::Configure, Permission::Write, Permission::Read];
        self.renew_grant();
        let mut refused = Said::No;
        for permission in ANY {
            match self.permits(permission, resource)? {
                Said::Yes => return Ok(()),
                said => refused = said,
            }
        }
        Err(self.refused(Permission::Configure.name(), resource, refused))
    }

    /// What is said of a permission. An error: the HTTP service is to be asked first.
    fn permits(&mut self, permission: Permission, resource: Resource<'_>) -> Result<Said, AmqpError> {
        let (kind, name) = resource.kind_and_name();
        let user = match &self.granted.by {
            By::Permissions(grant) => {
                return Ok(grant.as_ref().is_some_and(|grant| grant.permits(permission, name)).into());
            }
            By::Token(token) => return Ok(token.permits(permission, &self.vhost.name, name).into()),
            By::Http(user) => user.clone(),
        };
        let name = ShortString::try_from(name).unwrap_or_default();
        self.ask_service(user, About::Resource { kind, name, permission })
    }

    fn permits_topic(
        &mut self,
        permission: Permission,
        exchange: &[u8],
        key: &[u8],
    ) -> Result<Said, AmqpError> {
        let user = match &self.granted.by {
            By::Permissions(grant) => {
                let denies = |grant: &Arc<Grant>| !grant.permits_topic(permission, exchange, key);
                return Ok((!grant.as_ref().is_some_and(denies)).into());
            }
            By::Token(token) => {
                return Ok(token.permits_topic(permission, &self.vhost.name, exchange, key).into());
            }
            By::Http(user) => user.clone(),
        };
        let (Ok(exchange), Ok(key)) = (ShortString::try_from(exchange), ShortString::try_from(key)) else {
            return Ok(Said::No);
        };
        self.ask_service(user, About::Topic { exchange, key, permission })
    }

    /// What the HTTP service says, if it was asked for this frame; otherwise it is to be asked first.
    fn ask_service(&mut self, user: Arc<HttpUser>, about: About) -> Result<Said, AmqpError> {
        let question = Question { user, vhost: self.vhost.name.clone(), about };
        match self.told(&question) {
            Some(verdict) => {
                let until = self.granted.until.map_or(verdict.until, |until| until.min(verdict.until));
                self.granted.until = Some(until);
                Ok(verdict.said)
            }
            None if self.may_be_told_more() => Err(self.want(Wanted::Permission(Box::new(question)))),
            None => Ok(Said::No),
        }
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
        if !is_topic {
            return Ok(());
        }
        for key in keys {
            let said = self.permits_topic(permission, exchange, key)?;
            if said != Said::Yes {
                return Err(access_refused(format!(
                    "{} access to topic '{}' in {} refused for user '{}'{}",
                    permission.name(),
                    String::from_utf8_lossy(key),
                    Named { kind: "exchange", name: exchange, vhost: &self.vhost.name },
                    self.user,
                    said.of_a_backend()
                )));
            }
        }
        Ok(())
    }

    /// Whether keys count for any topic exchange.
    pub(in crate::connection) fn heeds_topics(&mut self) -> bool {
        self.renew_grant();
        self.granted.has_topics()
    }

    /// Whether somebody else has to be asked what is permitted.
    pub(in crate::connection) fn asks_service(&self) -> bool {
        matches!(self.granted.by, By::Http(_))
    }

    /// Whether the user may publish in the name of others (RabbitMQ's tag `impersonator`).
    pub(in crate::connection) fn may_impersonate(&self) -> bool {
        match self.granted.authority().tags() {
            None => self.broker.access.user(&self.user).is_some_and(|user| user.has_tag("impersonator")),
            Some(tags) => tags.iter().any(|tag| **tag == *b"impersonator"),
        }
    }

    /// Whether the user may still read a queue from which it consumes, by its token.
    pub(in crate::connection) fn may_go_on_reading(&self, queue: &[u8]) -> bool {
        match &self.granted.by {
            By::Token(token) => token.permits(Permission::Read, &self.vhost.name, queue),
            By::Permissions(_) | By::Http(_) => true,
        }
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
        let authority = Authority::Token(Arc::new(token));
        self.granted = Granted::of(&self.broker, authority, &self.user, &self.vhost.name);
        self.forget_routes();
        Ok(true)
    }

    fn refused(&self, permission: &str, resource: Resource<'_>, said: Said) -> AmqpError {
        let (kind, name) = resource.kind_and_name();
        let named = Named { kind, name, vhost: &self.vhost.name };
        let why = said.of_a_backend();
        access_refused(format!("{permission} access to {named} refused for user '{}'{why}", self.user))
    }
}

#[cfg(test)]
mod tests;
