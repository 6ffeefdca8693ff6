//! A request that changes something: by somebody who is in, from a form of ours, on a page of this origin, and not too large.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{
    csrf,
    visit::{Keeper, Visit},
};
use crate::console::view::{Frame, Refusal};
use crate::limits::{CONSOLE_FORM_BYTES_MAX, HTTP_BODY_TIMEOUT};
use crate::management::is_of_this_origin;

/// Who changes something, and what its form says.
pub struct Change<T> {
    /// Who.
    pub visit: Visit,
    /// What.
    pub form: T,
}

#[derive(Deserialize)]
struct Carried {
    #[serde(default)]
    csrf: String,
}

impl<T: DeserializeOwned> FromRequest<Arc<Keeper>> for Change<T> {
    type Rejection = Response;

    async fn from_request(request: Request, keeper: &Arc<Keeper>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, keeper).await?;
        let bytes = read(&visit.frame, &parts.headers, body).await.map_err(IntoResponse::into_response)?;
        let carried: Carried = parsed(&visit.frame, &bytes).map_err(IntoResponse::into_response)?;
        check(&visit.frame, &carried.csrf).map_err(IntoResponse::into_response)?;
        let form = parsed(&visit.frame, &bytes).map_err(IntoResponse::into_response)?;
        Ok(Self { visit, form })
    }
}

/// 403 if a form does not carry the code of its session.
pub fn check(frame: &Frame, carried: &str) -> Result<(), Refusal> {
    if csrf::is_same(&frame.csrf, carried) {
        return Ok(());
    }
    let why = "This form is not one of this session. Go back, load the page again, and try once more.";
    Err(Refusal::new(frame, StatusCode::FORBIDDEN, why))
}

/// The body of a form from a page of ours.
pub async fn read(frame: &Frame, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    read_up_to(frame, headers, body, CONSOLE_FORM_BYTES_MAX).await
}

/// The same with at most so many bytes.
pub async fn read_up_to(
    frame: &Frame,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, Refusal> {
    if !is_of_this_origin(headers) {
        let why = "A page of another origin changes nothing here.";
        return Err(Refusal::new(frame, StatusCode::FORBIDDEN, why));
    }
    let too_large = || {
        let why = format!("A form has at most {bytes_max} bytes here.");
        Refusal::new(frame, StatusCode::PAYLOAD_TOO_LARGE, why)
    };
    let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if said.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    let read = timeout(HTTP_BODY_TIMEOUT, to_bytes(body, bytes_max)).await;
    let read = read.map_err(|_| Refusal::bad(frame, "The form did not come in time."))?;
    read.map_err(|_| too_large())
}

/// What a form says.
pub fn parsed<T: DeserializeOwned>(frame: &Frame, bytes: &[u8]) -> Result<T, Refusal> {
    serde_urlencoded::from_bytes(bytes)
        .map_err(|error| Refusal::bad(frame, format!("The form says nothing that makes sense: {error}")))
}
