//! Asks the API inside of the process, in a visitor's name: what one sees and may do, and the words for what one may not, are the same as
//! for every other client of it.

use std::net::SocketAddr;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header},
    response::Response,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tower::ServiceExt;

use crate::limits::CONSOLE_ANSWER_BYTES_MAX;
use crate::management::{LargeBody, PeerAddress, Visitor};

/// Asks in the name of one visitor.
#[derive(Clone)]
pub struct Asker {
    router: Router,
    visitor: Visitor,
    /// The place of what its visitor has sent, if that is large.
    place: Option<LargeBody>,
}

/// What the API has answered instead of what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its status.
    pub status: StatusCode,
    /// Its words.
    pub reason: String,
}

/// An address of the API, made of parts that may be any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

/// What stays as it is in a part: the words of routes have hyphens, and a part may not be `..`.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

/// The address of these parts behind `/api`.
pub fn api(parts: &[&str]) -> Address {
    let mut written = String::from("/api");
    for part in parts {
        written.push('/');
        written.extend(utf8_percent_encode(part, PART));
    }
    Address(written)
}

impl Address {
    /// The same with values in its query.
    #[must_use]
    pub fn with(mut self, query: &[(&str, &str)]) -> Self {
        for (name, value) in query {
            self.0.push(if self.0.contains('?') { '&' } else { '?' });
            self.0.push_str(name);
            self.0.push('=');
            self.0.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        self
    }
}

impl Asker {
    /// Asks a router, which is the API's, in somebody's name.
    pub fn new(router: Router, visitor: Visitor) -> Self {
        Self { router, visitor, place: None }
    }

    /// Keeps the place of what the visitor has sent as long as it asks.
    pub fn hold(&mut self, place: LargeBody) {
        self.place = Some(place);
    }

    /// Where its visitor is.
    pub fn peer(&self) -> SocketAddr {
        self.visitor.peer
    }

    /// What is there.
    pub async fn get<T: DeserializeOwned>(&self, address: Address) -> Result<T, Said> {
        let bytes = self.ask(Method::GET, address, &[], Body::empty()).await?;
        serde_json::from_slice(&bytes).map_err(|error| Said {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            reason: format!("the API has answered something else than was expected: {error}"),
        })
    }

    /// Has something changed; what is answered, or null.
    pub async fn send(&self, method: Method, address: Address, body: &Value) -> Result<Value, Said> {
        self.send_with(method, address, &[], body).await
    }

    /// The same with more headers.
    pub async fn send_with(
        &self,
        method: Method,
        address: Address,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Value, Said> {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let bytes = self.ask(method, address, headers, body).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// What goes on as long as somebody takes it.
    pub async fn open(&self, address: Address) -> Result<Response, Said> {
        let response = self.answer(Method::GET, address, &[], Body::empty()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = whole(response).await.map_err(|error| failed(&error))?;
        Err(said(status, &bytes))
    }

    async fn ask(
        &self,
        method: Method,
        address: Address,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Vec<u8>, Said> {
        let response = self.answer(method, address, headers, body).await?;
        let status = response.status();
        let bytes = whole(response).await.map_err(|error| failed(&error))?;
        if status.is_success() { Ok(bytes) } else { Err(said(status, &bytes)) }
    }

    async fn answer(
        &self,
        method: Method,
        address: Address,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Response, Said> {
        let mut request = Request::builder()
            .method(method)
            .uri(address.0)
            .header(header::CONTENT_TYPE, "application/json")
            .extension(PeerAddress(self.visitor.peer))
            .extension(self.visitor.clone());
        if let Some(place) = &self.place {
            request = request.extension(place.clone());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| failed(&error))?;
        let Ok(response) = self.router.clone().oneshot(request).await;
        Ok(response)
    }
}

fn failed(error: &dyn std::fmt::Display) -> Said {
    Said { status: StatusCode::BAD_REQUEST, reason: format!("the API cannot be asked for that: {error}") }
}

async fn whole(response: Response) -> Result<Vec<u8>, axum::Error> {
    to_bytes(response.into_body(), CONSOLE_ANSWER_BYTES_MAX).await.map(Into::into)
}

/// The words of a refusal.
fn said(status: StatusCode, body: &[u8]) -> Said {
    #[derive(Deserialize)]
    struct Refused {
        reason: String,
    }
    let reason = serde_json::from_slice::<Refused>(body).map(|refused| refused.reason);
    let reason = reason.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    Said { status, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_whatever_names_are_in_it() {
        let address = api(&["queues", "/", "..", "a b?ü"]).with(&[("page", "1"), ("name", "&=")]);
        assert_eq!(address, Address("/api/queues/%2F/%2E%2E/a%20b%3F%C3%BC?page=1&name=%26%3D".into()));
        assert_eq!(
            api(&["user-limits", "a-b"]),
            Address("/api/user-limits/a-b".into()),
            "as the route has it"
        );
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_api() {
        let refused = said(StatusCode::NOT_FOUND, br#"{"error":"not_found","reason":"no queue"}"#);
        assert_eq!(refused, Said { status: StatusCode::NOT_FOUND, reason: "no queue".into() });
        assert_eq!(said(StatusCode::BAD_GATEWAY, b"what?").reason, "what?");
    }
}
