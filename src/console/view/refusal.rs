//! What is shown when something cannot be shown or done.

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use maud::html;

use super::{Frame, Section, layout, note, text};

/// Why a page is not shown, or something was not done.
#[derive(Debug)]
pub struct Refusal(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    reason: String,
    frame: Frame,
}

impl Refusal {
    /// With the words of who has refused it.
    pub fn new(frame: &Frame, status: StatusCode, reason: impl Into<String>) -> Self {
        Self(Box::new(Inner { status, reason: reason.into(), frame: frame.clone() }))
    }

    /// 400.
    pub fn bad(frame: &Frame, reason: impl Into<String>) -> Self {
        Self::new(frame, StatusCode::BAD_REQUEST, reason)
    }

    /// 403.
    pub fn forbidden(frame: &Frame, reason: impl Into<String>) -> Self {
        Self::new(frame, StatusCode::FORBIDDEN, reason)
    }

    /// The status with which it is answered.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The words.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Not there",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "Not permitted",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "Not now",
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => "Refused",
        _ => "That did not work",
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Inner { status, reason, frame } = *self.0;
        let content = html! {
            (note("bad", &html! { p { (text::shown(&reason)) } }))
            p { a href="/" { "Go to the overview" } ", or go back in your browser." }
        };
        // Whoever has come with a session is not asked for a password by the browser.
        let status = if status == StatusCode::UNAUTHORIZED { StatusCode::FORBIDDEN } else { status };
        (status, Html(layout::page(&frame, Section::Other, title(status), &content).into_string()))
            .into_response()
    }
}
