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
//! | `queue.bind`, `exchange.bind`, and both `unbind` | write the destination, read the source |
//! | `basic.publish` | write the exchange |
//! | `basic.get`, `basic.consume`, `queue.purge` | read the queue |
//!
//! Passive declarations ask nothing (RabbitMQ 3.x), and the queues of direct reply-to belong to their client. A publish asks
//! when its route is worked out; the answer is remembered with the route, so code that takes a permission away must make
//! remembered routes outdated.

use super::Session;
use crate::core::error::AmqpError;

/// What may be permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::connection) enum Permission {
    /// To make, change and delete it.
    Configure,
    /// To put messages into it.
    Write,
    /// To take messages from it.
    Read,
}

/// An exchange or queue of the connection's virtual host, by its name. RabbitMQ calls the exchange without a name `amq.default`
/// when it looks for permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::connection) enum Resource<'a> {
    Exchange(&'a [u8]),
    Queue(&'a [u8]),
}

impl Session {
    /// Whether the connection's user has a permission; 403 if not. Today every user has all of them.
    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "users have no permissions yet: they will be found by user and virtual host"
    )]
    #[cfg_attr(not(test), allow(unused_variables, reason = "for the same reason"))]
    pub(in crate::connection) fn may(
        &self,
        permission: Permission,
        resource: Resource<'_>,
    ) -> Result<(), AmqpError> {
        #[cfg(test)]
        tests::asked(permission, resource);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
