//! A form with a file, in parts: checked as every form that changes something.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Multipart, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use super::{
    change::{check, read_up_to},
    visit::{Keeper, Visit},
};
use crate::console::view::{Frame, Refusal};
use crate::limits::{CONSOLE_UPLOAD_BYTES_MAX, CONSOLE_UPLOAD_PARTS_MAX, HTTP_BODY_TIMEOUT};

/// Who sends it, and what.
pub struct Upload {
    /// Who.
    pub visit: Visit,
    fields: HashMap<String, String>,
}

impl Upload {
    /// What a field has; nothing if it is not there.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |text| text)
    }
}

impl FromRequest<Arc<Keeper>> for Upload {
    type Rejection = Response;

    async fn from_request(request: Request, keeper: &Arc<Keeper>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let mut visit = Visit::from_request_parts(&mut parts, keeper).await?;
        if !visit.frame.is_administrator {
            let why = "Only administrators send files here.";
            return Err(Refusal::new(&visit.frame, StatusCode::FORBIDDEN, why).into_response());
        }
        let Ok(place) = timeout(HTTP_BODY_TIMEOUT, keeper.api.place_for_large_body()).await else {
            let why = "Too many files are being sent. Try again in a moment.";
            return Err(Refusal::new(&visit.frame, StatusCode::SERVICE_UNAVAILABLE, why).into_response());
        };
        visit.hold(place);
        let frame = &visit.frame;
        let read = read_up_to(frame, &parts.headers, body, CONSOLE_UPLOAD_BYTES_MAX).await;
        let bytes = read.map_err(IntoResponse::into_response)?;
        let whole = Request::from_parts(parts, Body::from(bytes));
        let fields = fields(frame, whole).await.map_err(IntoResponse::into_response)?;
        let csrf = fields.get("csrf").map_or("", |code| code);
        check(frame, csrf).map_err(IntoResponse::into_response)?;
        Ok(Self { visit, fields })
    }
}

/// The parts of a form whose body is here as a whole.
async fn fields(frame: &Frame, request: Request) -> Result<HashMap<String, String>, Refusal> {
    let bad = |error: &dyn std::fmt::Display| {
        Refusal::bad(frame, format!("The form says nothing that makes sense: {error}"))
    };
    let mut parts = Multipart::from_request(request, &()).await.map_err(|error| bad(&error))?;
    let mut fields = HashMap::new();
    while let Some(part) = parts.next_field().await.map_err(|error| bad(&error))? {
        if fields.len() == CONSOLE_UPLOAD_PARTS_MAX {
            let why = format!("A form has at most {CONSOLE_UPLOAD_PARTS_MAX} fields here.");
            return Err(Refusal::new(frame, StatusCode::PAYLOAD_TOO_LARGE, why));
        }
        let name = part.name().unwrap_or_default().to_owned();
        fields.insert(name, part.text().await.map_err(|error| bad(&error))?);
    }
    Ok(fields)
}
