//! What is asked of each request before its handler: nobody asks too often, a page of another origin changes nothing, and nobody who has
//! not proven who that is makes the broker take a body.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    Api,
    failure::{Answered, Failure, bad_request},
    routes::ALIVE,
    visitor::{PeerAddress, Visitor},
};
use crate::limits::{
    DEFINITIONS_BYTES_MAX, HTTP_BODY_BYTES_MAX, HTTP_BODY_TIMEOUT, HTTP_SMALL_BODY_BYTES_MAX,
};

/// Lets a request through that may go on, with its whole body.
pub async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    if let Err(failure) = may_ask(&api, &request) {
        return failure.into_response();
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    match checked(&api, request).await {
        Ok(request) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

/// 429 for an address that asks too often. A sign of life is never refused: whoever waits for one would end the broker.
fn may_ask(api: &Api, request: &Request) -> Answered<()> {
    let rates = api.broker.effective.rates();
    match request.extensions().get::<PeerAddress>() {
        Some(PeerAddress(peer)) if request.uri().path() != ALIVE => {
            api.rates.count_address(peer.ip(), rates, api.uptime_ms())
        }
        _ => Ok(()),
    }
}

async fn checked(api: &Api, request: Request) -> Answered<Request> {
    let (mut parts, body) = request.into_parts();
    if !api.takes_changes_from(&parts.headers) {
        return Err(Failure::NotAuthorised("a page of another origin changes nothing here".into()));
    }
    let visitor = Visitor::from_request_parts(&mut parts, api).await?;
    let max = body_bytes_max(api, &parts, &visitor);
    let late = |_| bad_request("the body did not come in time");
    let said = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let said: Option<usize> = said.and_then(|length| length.parse().ok());
    if said.is_some_and(|length| length > max) {
        return Err(Failure::TooLarge(max));
    }
    let read = async {
        // A few at once may be large: what requests take is counted nowhere else.
        let is_large =
            said.is_none_or(|length| length > HTTP_SMALL_BODY_BYTES_MAX) && max > HTTP_SMALL_BODY_BYTES_MAX;
        // What the console sends on has its place.
        let has_place = parts.extensions.get::<LargeBody>().is_some();
        let place = if is_large && !has_place { Some(api.place_for_large_body().await) } else { None };
        (to_bytes(body, max).await, place)
    };
    let (bytes, place) = timeout(HTTP_BODY_TIMEOUT, read).await.map_err(late)?;
    parts.extensions.insert(visitor);
    if let Some(place) = place {
        parts.extensions.insert(place);
    }
    Ok(Request::from_parts(parts, Body::from(bytes.map_err(|_| Failure::TooLarge(max))?)))
}

/// A place for one of the large bodies that there may be at once. A request has it until it is answered.
#[derive(Clone)]
pub struct LargeBody {
    _place: Arc<Option<OwnedSemaphorePermit>>,
}

impl Api {
    /// Waits for a place for one more large body.
    pub async fn place_for_large_body(&self) -> LargeBody {
        LargeBody { _place: Arc::new(self.large_bodies.clone().acquire_owned().await.ok()) }
    }

    /// Whether a request may change something, by the page that it comes from. Browsers say from where a request comes; one that does not
    /// say it is no browser's.
    pub fn takes_changes_from(&self, headers: &HeaderMap) -> bool {
        is_own(headers).unwrap_or_else(|origin| self.broker.effective.permits_origin(origin.as_bytes()))
    }
}

/// Whether a request comes from a page of this origin, or from no page; the other origin if it tells one.
fn is_own(headers: &HeaderMap) -> Result<bool, &str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text("origin") else { return Ok(text("sec-fetch-site") != Some("cross-site")) };
    let is_own = text("host")
        .is_some_and(|host| origin.split_once("://").is_some_and(|(_, its)| its.eq_ignore_ascii_case(host)));
    if is_own { Ok(true) } else { Err(origin) }
}

/// Whether a request comes from a page of this origin, or from no page at all. The forms of the console are sent by nobody else.
pub fn is_of_this_origin(headers: &HeaderMap) -> bool {
    is_own(headers).unwrap_or(false)
}

/// How large a body may be, which depends on who sends it and what it is.
fn body_bytes_max(api: &Api, parts: &Parts, visitor: &Visitor) -> usize {
    let path = parts.uri.path();
    let is_definitions = path.starts_with("/api/definitions") || path.starts_with("/api/all-configuration");
    let moves_in = path.starts_with("/api/leveret/queues/") && path.ends_with("/move-in");
    match () {
        // The largest message, and what frames it.
        () if moves_in && visitor.is_administrator() => {
            HTTP_BODY_BYTES_MAX.max(api.broker.config.max_message_size as usize + HTTP_SMALL_BODY_BYTES_MAX)
        }
        () if is_definitions && visitor.is_administrator() => DEFINITIONS_BYTES_MAX,
        () if path.ends_with("/publish") => HTTP_BODY_BYTES_MAX,
        () => HTTP_SMALL_BODY_BYTES_MAX,
    }
}
