//! Who asks, and what that one may see and do: RabbitMQ's user tags.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{header, request::Parts},
};
use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    Api,
    failure::{Answered, Failure},
};
use crate::audit;
use crate::auth::{
    Authority, Claim, Identity, LoginError, Refused,
    http::{About, HttpUser, Question, Said},
};
use crate::broker::{Spoken, Vhost};
use crate::connection::Within;
use crate::core::{access::Permission, routing::ExchangeKind};
use crate::limits::AUTH_HTTP_VHOSTS_ASKED_MAX;
use crate::protocol::{Encode, ShortString};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Who it is.
    pub identity: Identity,
    /// Its tags.
    pub tags: Vec<ShortString>,
    /// Where it is.
    pub peer: SocketAddr,
}

impl Visitor {
    /// Its name.
    pub fn name(&self) -> &ShortString {
        &self.identity.user
    }

    fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|its| **its == *tag.as_bytes())
    }

    /// Whether it may do everything.
    pub fn is_administrator(&self) -> bool {
        self.has("administrator")
    }

    /// Whether it sees what belongs to others.
    pub fn is_monitor(&self) -> bool {
        self.is_administrator() || self.has("monitoring")
    }

    /// Whether it may set policies and parameters where it has permissions.
    pub fn is_policymaker(&self) -> bool {
        self.is_administrator() || self.has("policymaker")
    }

    /// 401 for who is no administrator.
    pub fn require_administrator(&self) -> Answered<()> {
        require(self.is_administrator(), "User not administrator")
    }

    /// 401 for who does not see what belongs to others.
    pub fn require_monitor(&self) -> Answered<()> {
        require(self.is_monitor(), "User not monitor")
    }

    /// 401 for who may not set policies.
    pub fn require_policymaker(&self) -> Answered<()> {
        require(self.is_policymaker(), "User not policymaker")
    }

    /// Whether it has permissions in a virtual host.
    pub async fn may_enter(&self, api: &Api, vhost: &ShortString) -> bool {
        self.enters(api, vhost).await == Said::Yes
    }

    async fn enters(&self, api: &Api, vhost: &ShortString) -> Said {
        match &self.identity.authority {
            Authority::Own => api.broker.access.grant(self.name(), vhost).0.is_some().into(),
            Authority::Token(token) => token.permits_vhost(vhost).into(),
            Authority::Http(user) => {
                let about = About::Vhost { ip: self.peer.ip() };
                api.broker.authenticator.ask(&asked(user, vhost, about)).await.said
            }
        }
    }

    /// Whether it may look at a virtual host.
    pub async fn may_see(&self, api: &Api, vhost: &ShortString) -> bool {
        self.is_monitor() || self.may_enter(api, vhost).await
    }

    /// A virtual host that it may look at: 404 if there is none.
    pub async fn seen(&self, api: &Api, name: &str) -> Answered<Arc<Vhost>> {
        let vhost = api.vhost(name)?;
        require(self.may_see(api, &vhost.name).await, "User not authorised to access virtual host")?;
        Ok(vhost)
    }

    /// A virtual host in which it may do something: 404 if there is none.
    pub async fn entered(&self, api: &Api, name: &str) -> Answered<Arc<Vhost>> {
        let vhost = api.vhost(name).map_err(|_| Failure::Missing("vhost_not_found".into()))?;
        require(self.may_enter(api, &vhost.name).await, "User not authorised to access virtual host")?;
        Ok(vhost)
    }

    /// The virtual hosts that it may look at, by name. Where the HTTP service has to say that, it is asked about the first
    /// [`AUTH_HTTP_VHOSTS_ASKED_MAX`], and no longer if it does not answer.
    pub async fn all_seen(&self, api: &Api) -> Vec<Arc<Vhost>> {
        let mut all = api.broker.vhosts.all();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        if self.is_monitor() {
            return all;
        }
        if matches!(self.identity.authority, Authority::Http(_)) {
            all.truncate(AUTH_HTTP_VHOSTS_ASKED_MAX);
        }
        let mut seen = Vec::new();
        for vhost in all {
            match self.enters(api, &vhost.name).await {
                Said::Yes => seen.push(vhost),
                Said::No => {}
                Said::Nothing => break,
            }
        }
        seen
    }

    /// Whether it has a permission for a queue or an exchange by its name, or `amq.default`: 401 if not.
    async fn permitted(
        &self,
        api: &Api,
        vhost: &Vhost,
        permission: Permission,
        (kind, name): (&'static str, &ShortString),
    ) -> Answered<()> {
        let default = ShortString::from_static("amq.default");
        let name = if name.is_empty() { &default } else { name };
        let is_permitted = match &self.identity.authority {
            Authority::Own => {
                let (grant, _) = api.broker.access.grant(self.name(), &vhost.name);
                grant.is_some_and(|grant| grant.permits(permission, name))
            }
            Authority::Token(token) => token.permits(permission, &vhost.name, name),
            Authority::Http(user) => {
                let about = About::Resource { kind, name: name.clone(), permission };
                let question = asked(user, &vhost.name, about);
                api.broker.authenticator.ask(&question).await.said == Said::Yes
            }
        };
        require(is_permitted, &format!("{} access to '{name}' refused", permission.name()))
    }

    /// Whether topic permissions may keep it from some keys.
    fn heeds_topics(&self, api: &Api, vhost: &Vhost) -> bool {
        let (grant, _) = api.broker.access.grant(self.name(), &vhost.name);
        self.identity.authority != Authority::Own || grant.is_some_and(|grant| grant.has_topics())
    }

    /// 401 for who may not read a queue.
    pub async fn may_read(&self, api: &Api, vhost: &Vhost, queue: &ShortString) -> Answered<()> {
        self.permitted(api, vhost, Permission::Read, ("queue", queue)).await
    }

    /// 401 for who may not read every message that is published to an exchange: who is kept from some keys of topic exchanges is not asked for
    /// each message. The default exchange leads to every queue, whoever may read it, so its messages are for administrators.
    pub async fn may_read_exchange(&self, api: &Api, vhost: &Vhost, exchange: &ShortString) -> Answered<()> {
        let is_free = !exchange.is_empty() || self.is_administrator();
        require(is_free, "messages of every queue go through the default exchange")?;
        self.permitted(api, vhost, Permission::Read, ("exchange", exchange)).await?;
        let is_topic = vhost.read(|topology| {
            topology.check_exchange(exchange).is_ok_and(|spec| spec.routes_as() == ExchangeKind::Topic)
        });
        let is_free = !is_topic || !self.heeds_topics(api, vhost);
        require(is_free, &format!("there are topic permissions for exchange '{exchange}'"))
    }

    /// 401 for who may not write any message to an exchange: clients may not write to internal ones, and who is kept from some keys of topic
    /// exchanges is not asked for each message.
    pub async fn may_write(&self, api: &Api, vhost: &Vhost, exchange: &ShortString) -> Answered<()> {
        self.permitted(api, vhost, Permission::Write, ("exchange", exchange)).await?;
        let spec = vhost.read(|topology| topology.exchanges().find(|spec| spec.name == *exchange).cloned());
        let Some(spec) = spec else { return Ok(()) };
        require(!spec.internal, &format!("cannot publish to internal exchange '{exchange}'"))?;
        let is_free = spec.routes_as() != ExchangeKind::Topic || !self.heeds_topics(api, vhost);
        require(is_free, &format!("there are topic permissions for exchange '{exchange}'"))
    }

    /// 401 for who may not declare a queue whose dead letters go to an exchange, by what is asked of that (RabbitMQ).
    pub async fn may_send_dead_letters_to(
        &self,
        api: &Api,
        vhost: &Vhost,
        exchange: &ShortString,
    ) -> Answered<()> {
        self.permitted(api, vhost, Permission::Write, ("exchange", exchange)).await
    }

    /// 401 for who may not configure a queue.
    pub async fn may_configure(&self, api: &Api, vhost: &Vhost, queue: &ShortString) -> Answered<()> {
        self.permitted(api, vhost, Permission::Configure, ("queue", queue)).await
    }

    /// 401 for who may not write to each exchange that there is: messages may come from any of them.
    pub async fn may_write_anywhere(&self, api: &Api, vhost: &Vhost) -> Answered<()> {
        let mut names: Vec<_> =
            vhost.read(|topology| topology.exchanges().map(|spec| spec.name.clone()).collect());
        // Nobody but the broker writes to these, and messages do not begin there.
        names.retain(|name| name.as_str_lossy() != "amq.rabbitmq.trace");
        for name in &names {
            self.may_write(api, vhost, name).await?;
        }
        Ok(())
    }

    /// Calls one method in a virtual host in its name, as a client that comes for that and goes.
    pub async fn call(&self, api: &Api, vhost: &Arc<Vhost>, method: &impl Encode) -> Answered<()> {
        let mut client = self.client(api, vhost).await?;
        let called = client.call(method).await;
        client.close().await;
        called?;
        Ok(())
    }

    /// A client of a virtual host in its name.
    pub async fn client(&self, api: &Api, vhost: &Arc<Vhost>) -> Answered<Within> {
        Ok(Within::open(&api.broker, vhost.clone(), self.identity.clone(), self.peer).await?)
    }
}

/// What the HTTP service is asked about it.
fn asked(user: &Arc<HttpUser>, vhost: &ShortString, about: About) -> Question {
    Question { user: user.clone(), vhost: vhost.clone(), about }
}

fn require(has: bool, reason: &str) -> Answered<()> {
    if has { Ok(()) } else { Err(Failure::NotAuthorised(reason.into())) }
}

/// What a request says of who asks.
fn claim(parts: &Parts) -> Answered<Claim> {
    let none = || Failure::NotAuthenticated("Login failed".into());
    let said = parts.headers.get(header::AUTHORIZATION).ok_or_else(none)?.to_str().map_err(|_| none())?;
    let (scheme, value) = said.split_once(' ').ok_or_else(none)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        let password = value.trim().as_bytes().to_vec().into();
        return Ok(Claim::Password { user: Vec::new(), password });
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(none());
    }
    let decoded = zeroize::Zeroizing::new(BASE64_STANDARD.decode(value.trim()).map_err(|_| none())?);
    let colon = decoded.iter().position(|byte| *byte == b':').ok_or_else(none)?;
    Ok(Claim::Password { user: decoded[..colon].to_vec(), password: decoded[colon + 1..].to_vec().into() })
}

/// The address from which a request has come.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

impl FromRequestParts<Api> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        if let Some(visitor) = parts.extensions.get::<Self>() {
            return Ok(visitor.clone());
        }
        let claim = claim(parts)?;
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
        let peer = peer.ok_or_else(|| Failure::Internal("no address".into()))?;
        api.let_in(&claim, peer).await
    }
}

impl Api {
    /// Lets somebody in whose claim is right, and whose tags let it see anything here: 401 otherwise, 503 if too many passwords wait to be
    /// checked. What is refused is counted, told in the audit, and answered the later the more was refused lately.
    pub(super) async fn let_in(&self, claim: &Claim, peer: SocketAddr) -> Answered<Visitor> {
        let broker = &self.broker;
        let logged_in = broker.authenticator.log_in(claim, peer.ip(), |name| broker.access.user(name)).await;
        broker.attempts.count(Spoken::Http, logged_in.as_ref().map(drop).map_err(|refused| &refused.why));
        let identity = logged_in.map_err(|refused: Refused| {
            if refused.why == LoginError::Busy {
                return Failure::Unavailable(refused.to_string());
            }
            let user = String::from_utf8_lossy(claim.user()).into_owned();
            if let Some(left_out) = self.tell_refusal() {
                audit::refused(peer, Some(&user), &refused, left_out);
            }
            Failure::NotAuthenticated("Login failed".into())
        })?;
        self.rates.count_user(&identity.user, broker.effective.rates(), self.uptime_ms())?;
        self.visitor_of(identity, peer)
    }

    /// Who has come with a proven identity: 401 without a tag that lets it see anything here.
    pub(super) fn visitor_of(&self, identity: Identity, peer: SocketAddr) -> Answered<Visitor> {
        let tags = match identity.authority.tags() {
            Some(tags) => tags.to_vec(),
            None => self.broker.access.user(&identity.user).map(|user| user.tags.clone()).unwrap_or_default(),
        };
        let visitor = Visitor { identity, tags, peer };
        let may = visitor.is_monitor() || visitor.is_policymaker() || visitor.has("management");
        require(may, "User can not log in: it has no tag for management")?;
        Ok(visitor)
    }
}

impl OptionalFromRequestParts<Api> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Option<Self>, Failure> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<Api>>::from_request_parts(parts, api).await.map(Some)
    }
}
