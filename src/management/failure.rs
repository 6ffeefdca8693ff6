//! What is answered when something cannot be done: a status and RabbitMQ's body, `{"error": ..., "reason": ...}`.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::broker::Problem;
use crate::core::error::AmqpError;
use crate::protocol::ReplyCode;

/// Why a request is not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// 401: who asks has not proven who that is.
    NotAuthenticated(String),
    /// 401: who asks may not (RabbitMQ answers no 403).
    NotAuthorised(String),
    /// 404: what the address names is not there.
    NotFound,
    /// 404: something else that the request needs is not there.
    Missing(String),
    /// 405.
    NotAllowed(String),
    /// 400: the request makes no sense.
    BadRequest(String),
    /// 400 with another word for it.
    BadRequestOf(&'static str, String),
    /// 400: definitions cannot be imported, or not all of them. The body has the problems one by one, too.
    NotImported(Vec<Problem>),
    /// 413: a body has more bytes than this.
    TooLarge(usize),
    /// 429: somebody asks too often, and may do so again after this time.
    TooMany {
        /// In seconds.
        wait_seconds: u64,
    },
    /// 503: not now.
    Unavailable(String),
    /// 500.
    Internal(String),
}

/// The result of a handler.
pub type Answered<T = Response> = Result<T, Failure>;

/// 400 with a reason.
pub fn bad_request(reason: impl Into<String>) -> Failure {
    Failure::BadRequest(reason.into())
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let wait_seconds = match &self {
            Self::TooMany { wait_seconds } => Some(*wait_seconds),
            _ => None,
        };
        let problems = self.problems();
        let (status, error, reason) = match self {
            // RabbitMQ spells them in two ways.
            Self::NotAuthenticated(reason) => (StatusCode::UNAUTHORIZED, "not_authorized", reason),
            Self::NotAuthorised(reason) => (StatusCode::UNAUTHORIZED, "not_authorised", reason),
            Self::Missing(reason) => (StatusCode::NOT_FOUND, "not_found", reason),
            Self::NotFound => (StatusCode::NOT_FOUND, "Object Not Found", "Not Found".into()),
            Self::NotAllowed(reason) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", reason),
            Self::BadRequest(reason) => (StatusCode::BAD_REQUEST, "bad_request", reason),
            Self::BadRequestOf(error, reason) => (StatusCode::BAD_REQUEST, error, reason),
            Self::NotImported(problems) => {
                let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
                (StatusCode::BAD_REQUEST, "bad_request", told.join("; "))
            }
            Self::TooLarge(max) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "payload_too_large",
                format!("a body has at most {max} bytes here"),
            ),
            Self::TooMany { wait_seconds } => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                format!("there were too many requests: try again in {wait_seconds} s"),
            ),
            Self::Unavailable(reason) => (StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", reason),
            Self::Internal(reason) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error", reason),
        };
        let mut body = json!({ "error": error, "reason": reason });
        if let Some(problems) = problems {
            body["problems"] = problems;
        }
        let mut response = (status, Json(body)).into_response();
        if let Some(seconds) = wait_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}

impl Failure {
    /// What was wrong with definitions: the list and the place in it (`queues[3]`), the name of what stands there, and why.
    fn problems(&self) -> Option<Value> {
        let Self::NotImported(problems) = self else { return None };
        let shown = |it: &Problem| json!({ "place": it.place, "name": it.name, "why": it.why });
        Some(problems.iter().map(shown).collect())
    }
}

/// What a client inside the broker hears is answered as RabbitMQ does it.
impl From<AmqpError> for Failure {
    fn from(error: AmqpError) -> Self {
        match error.code {
            ReplyCode::NotFound => Self::Missing(error.text),
            ReplyCode::AccessRefused => Self::NotAuthorised(error.reply_text()),
            code => Self::BadRequest(format!("{} {}", code.code(), error.reply_text())),
        }
    }
}
