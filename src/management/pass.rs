//! What somebody keeps who has logged in once and comes back, as browsers do: it counts as long as a new login would.

use std::net::SocketAddr;

use super::{
    Api,
    failure::{Answered, Failure},
    visitor::Visitor,
};
use crate::audit;
use crate::auth::{Authority, Claim, Identity};
use crate::core::{
    access::{PasswordHash, UserSpec},
    clock::Millis,
};
use crate::limits::CONSOLE_SERVICE_LOGIN_MAX;
use crate::protocol::ShortString;

/// Proof of a login. It does not outlive the user, its password or its token, and one that was given on this machine counts here alone, so
/// that users who must come from here do.
#[derive(Clone)]
pub struct Pass {
    identity: Identity,
    /// What the password was compared with; `None` if the broker does not have it.
    password: Option<PasswordHash>,
    /// Until when the word of an HTTP service counts, which alone knows the password.
    until: Millis,
    is_local: bool,
}

impl Pass {
    /// Whose it is.
    pub fn user(&self) -> &ShortString {
        &self.identity.user
    }
}

impl Api {
    /// Lets a user in by name and password, or by a token as the password: what [`Self::admit`] takes from then on. 401 and 503 as for
    /// each request of the API, and as slowly.
    pub async fn log_in(&self, user: &str, password: String, peer: SocketAddr) -> Answered<Pass> {
        let name = user.as_bytes().to_vec();
        let before = self.broker.access.user(&name).map(|spec| spec.password.clone());
        let claim = Claim::Password { user: name, password: password.into_bytes().into() };
        let visitor = self.let_in(&claim, peer).await?;
        let pass = self.pass(visitor, before);
        // The password may have been changed while it was checked.
        self.admit(&pass, peer).ok_or_else(|| Failure::NotAuthenticated("Login failed".into()))?;
        audit::console_login(pass.user(), peer);
        Ok(pass)
    }

    /// What somebody keeps who was let in just now.
    pub fn pass_of(&self, visitor: &Visitor) -> Pass {
        let password = self.broker.access.user(visitor.name()).map(|spec| spec.password.clone());
        self.pass(visitor.clone(), password)
    }

    /// `password` is what the broker has of the user.
    fn pass(&self, visitor: Visitor, password: Option<PasswordHash>) -> Pass {
        let Visitor { identity, peer, .. } = visitor;
        let password = password.filter(|_| identity.authority.is_of_own_user());
        let until = self.now() + CONSOLE_SERVICE_LOGIN_MAX.as_millis() as Millis;
        Pass { identity, password, until, is_local: peer.ip().to_canonical().is_loopback() }
    }

    /// Who has come with a pass, with the tags of now; `None` if it does not count any more.
    pub fn admit(&self, pass: &Pass, peer: SocketAddr) -> Option<Visitor> {
        if pass.is_local && !peer.ip().to_canonical().is_loopback() {
            return None;
        }
        let is_own = |user: &UserSpec| pass.password.as_ref() == Some(&user.password);
        let counts = match &pass.identity.authority {
            Authority::Token(token) => token.expires.is_none_or(|at| self.now() / 1_000 < at),
            Authority::Http(user) if !user.is_own => self.now() < pass.until,
            Authority::Http(_) | Authority::Own => {
                self.broker.access.user(pass.user()).is_some_and(|user| is_own(&user))
            }
        };
        if counts { self.visitor_of(pass.identity.clone(), peer).ok() } else { None }
    }

    /// Counts a request of somebody who has come with a pass, as [`Self::log_in`] does that of a login: 429 for one too many.
    pub fn count_request_of(&self, visitor: &Visitor) -> Answered<()> {
        self.rates.count_user(visitor.name(), self.broker.effective.rates(), self.uptime_ms())
    }

    /// The time.
    pub fn now(&self) -> Millis {
        self.broker.clock.now()
    }
}
