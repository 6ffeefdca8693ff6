//! A request by somebody who is in: who that is, and what the API answers it.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    cookies::{self, SESSION, TOLD},
    csrf::Csrf,
    sessions::{SessionId, Sessions},
};
use crate::console::{
    ask::{Address, Asker, Said},
    view::{Frame, Listed, Listing, Refusal, link},
};
use crate::management::{Api, Failure, LargeBody, OverTls, Pass, PeerAddress, Visitor};

/// What lets people in, and what they are answered by.
pub struct Keeper {
    /// Checks who somebody is.
    pub api: Api,
    /// The API, as everybody asks it.
    pub router: Router,
    /// Who has logged in.
    pub sessions: Sessions<Pass>,
    /// What forms carry.
    pub csrf: Csrf,
}

/// See the module.
pub struct Visit {
    /// What its pages know of it.
    pub frame: Frame,
    /// The session that it comes with.
    pub session: Option<SessionId>,
    /// Whether it has come over TLS.
    pub over_tls: bool,
    asker: Asker,
    headers: HeaderMap,
    now: u64,
}

impl Visit {
    /// What there is, or why it is not shown.
    pub async fn get<T: DeserializeOwned>(&self, address: Address) -> Result<T, Refusal> {
        self.asker.get(address).await.map_err(|said| self.refusal(said))
    }

    /// What there is; nothing if it is not there, or not for this visitor, or not of this kind.
    pub async fn find<T: DeserializeOwned>(&self, address: Address) -> Result<Option<T>, Refusal> {
        match self.asker.get(address).await {
            Ok(found) => Ok(Some(found)),
            Err(said) if said.status.is_client_error() => Ok(None),
            Err(said) => Err(self.refusal(said)),
        }
    }

    /// A page of a list, with these columns; the first one if the list has become too short for the one that is asked for.
    pub async fn list<T: DeserializeOwned>(
        &self,
        address: Address,
        list: &Listing,
        columns: &str,
    ) -> Result<Listed<T>, Refusal> {
        match self.asker.get(address.clone().with(&list.asked(columns))).await {
            Err(said)
                if said.status == StatusCode::BAD_REQUEST && said.reason.starts_with("page out of range") =>
            {
                let first = Listing { page: String::new(), ..list.clone() };
                self.get(address.with(&first.asked(columns))).await
            }
            answered => answered.map_err(|said| self.refusal(said)),
        }
    }

    /// What goes on as long as somebody takes it.
    pub async fn open(&self, address: Address) -> Result<Response, Refusal> {
        self.asker.open(address).await.map_err(|said| self.refusal(said))
    }

    /// Whether its session still counts, if it has one.
    pub fn goes_on(&self, keeper: &Keeper) -> bool {
        self.session.as_ref().is_none_or(|id| admitted(self.asker.peer(), keeper, id).is_some())
    }

    /// Has something changed.
    pub async fn send(&self, method: Method, address: Address, body: &Value) -> Result<Value, Refusal> {
        self.asker.send(method, address, body).await.map_err(|said| self.refusal(said))
    }

    /// The same with a header.
    pub async fn send_with(
        &self,
        method: Method,
        address: Address,
        header: (&str, &str),
    ) -> Result<(), Refusal> {
        let sent = self.asker.send_with(method, address, &[header], &Value::Null).await;
        sent.map(drop).map_err(|said| self.refusal(said))
    }

    /// Keeps the place of what was sent as long as it is worked on.
    pub(super) fn hold(&mut self, place: LargeBody) {
        self.asker.hold(place);
    }

    /// That what was asked for makes no sense.
    pub fn bad(&self, reason: &str) -> Refusal {
        Refusal::bad(&self.frame, reason)
    }

    /// When it came, in milliseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.now
    }

    fn refusal(&self, said: Said) -> Refusal {
        Refusal::new(&self.frame, said.status, said.reason)
    }

    /// A value that its browser was given.
    pub fn kept(&self, name: &str) -> Option<String> {
        cookies::kept(&self.headers, name)
    }

    /// Leads on to a page after something was done, where it is told.
    pub fn done(&self, to: &str, told: impl Into<String>) -> Response {
        let mut response = Redirect::to(to).into_response();
        response.headers_mut().append(header::SET_COOKIE, self.cookie(TOLD, told.into(), Some(30)));
        response
    }

    /// A cookie of this broker alone.
    pub(super) fn cookie(&self, name: &str, value: String, seconds: Option<i64>) -> HeaderValue {
        cookies::keep(cookies::of_this_port(name, &self.headers), value, self.over_tls, seconds)
    }
}

impl FromRequestParts<Arc<Keeper>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, keeper: &Arc<Keeper>) -> Result<Self, Response> {
        let here = parts.uri.path_and_query().map_or("/", |here| here.as_str()).to_owned();
        let over_tls = parts.extensions.get::<OverTls>().is_some_and(|tls| tls.0);
        let (visitor, session) = if parts.headers.contains_key(header::AUTHORIZATION) {
            let visitor = Visitor::from_request_parts(parts, &keeper.api).await;
            (visitor.map_err(IntoResponse::into_response)?, None)
        } else {
            let session = of_this_broker(&parts.headers, SESSION).and_then(|text| SessionId::parse(&text));
            let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
            let found =
                peer.zip(session).and_then(|(peer, id)| Some((admitted(peer, keeper, &id)?, Some(id))));
            let (visitor, session) = found.ok_or_else(|| to_login(parts, &here))?;
            keeper.api.count_request_of(&visitor).map_err(|failure| too_many(failure).into_response())?;
            (visitor, session)
        };
        let frame = Frame {
            user: visitor.name().to_string(),
            tags: visitor.tags.iter().map(ToString::to_string).collect(),
            is_administrator: visitor.is_administrator(),
            is_monitor: visitor.is_monitor(),
            is_policymaker: visitor.is_policymaker(),
            has_session: session.is_some(),
            csrf: match &session {
                Some(id) => keeper.csrf.of_session(id.bits()),
                None => keeper.csrf.of_user(&visitor.name().to_string()),
            },
            here,
            told: of_this_broker(&parts.headers, TOLD),
        };
        let asker = Asker::new(keeper.router.clone(), visitor);
        Ok(Self { frame, session, over_tls, asker, headers: parts.headers.clone(), now: keeper.api.now() })
    }
}

/// A value that a browser was given by this broker.
fn of_this_broker(headers: &HeaderMap, name: &str) -> Option<String> {
    cookies::kept(headers, &cookies::of_this_port(name, headers))
}

/// What is shown to who asks too often, with the time after which that one may ask again.
fn too_many(failure: Failure) -> Response {
    let mut answer = failure.into_response();
    let wait = answer.headers_mut().remove(header::RETRY_AFTER);
    let why = "There were too many requests of this user. Try again in a moment.";
    let mut shown = Refusal::new(&Frame::default(), StatusCode::TOO_MANY_REQUESTS, why).into_response();
    shown.headers_mut().extend(wait.map(|wait| (header::RETRY_AFTER, wait)));
    shown
}

/// Who has a session, if it still counts.
fn admitted(peer: SocketAddr, keeper: &Keeper, id: &SessionId) -> Option<Visitor> {
    let pass = keeper.sessions.find(id, keeper.api.now())?;
    let visitor = keeper.api.admit(&pass, peer);
    if visitor.is_none() {
        keeper.sessions.end(id);
    }
    visitor
}

/// The way in, and from there to where somebody wanted to go.
fn to_login(parts: &Parts, here: &str) -> Response {
    let next = if parts.method == Method::GET { here } else { "/" };
    Redirect::to(&link::to("/login", &[("next", next)])).into_response()
}
