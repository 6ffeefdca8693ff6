//! The web console: pages for people at the port of the HTTP API, which tells them everything that they show and does everything that they
//! change. It knows the API's visitors and what the API answers, and nothing below that.
//!
//! * `ask` asks the API inside of the process, in the name of who looks.
//! * `door` is who comes in: logins, sessions, what forms must carry.
//! * `view` is what pages are made of: layout, tables, charts, names and numbers.
//! * `pages` has a file for each page; a new page is a new file there, and a row in `view/nav.rs` if it stands in the list of pages.
//! * `assets` is the stylesheet and the module in the browser.
//!
//! A page is rendered whole for each request, and is of use as it is. The module asks for the same page again every few seconds, and takes
//! over the parts that are marked `data-live`.

mod answers;
mod ask;
mod assets;
mod door;
mod pages;
mod view;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn},
    response::{Html, IntoResponse, Response},
};
use maud::html;
use tower::ServiceExt;

use crate::management::Api;
use door::{Csrf, Keeper, Sessions, forget_told};
use view::document;

/// What everything here is answered with.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Without any, browsers would not tell that a form comes from here.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The console, and behind it everything that the API answers.
pub fn router(api: Api) -> Router {
    let keeper =
        Arc::new(Keeper { router: api.router(), api, sessions: Sessions::default(), csrf: Csrf::default() });
    let console = Router::new().merge(door::routes()).merge(pages::routes()).merge(assets::routes());
    console.layer(from_fn(guarded)).fallback(otherwise).with_state(keeper)
}

/// Adds what keeps pages from doing what they should not, and from being kept.
async fn guarded(request: Request, next: Next) -> Response {
    let forget = if request.method() == Method::GET { forget_told(request.headers()) } else { None };
    let mut response = next.run(request).await;
    harden(response.headers_mut());
    if let Some(forget) = forget.filter(|_| response.status() == StatusCode::OK) {
        response.headers_mut().append(header::SET_COOKIE, forget);
    }
    response
}

fn harden(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// What is no page is asked of the API; but a browser that looks for a page is told that there is none.
async fn otherwise(State(keeper): State<Arc<Keeper>>, request: Request) -> Response {
    let path = request.uri().path();
    let is_of_api = ["/api", "/metrics"].iter().any(|prefix| path.starts_with(prefix));
    let wants_page = request
        .headers()
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"));
    if is_of_api || !wants_page {
        let Ok(response) = keeper.router.clone().oneshot(request).await;
        return response;
    }
    let body = html! {
        main.login { h1 { "No such page" } p { a href="/" { "Go to the overview" } } }
    };
    let mut response =
        (StatusCode::NOT_FOUND, Html(document("No such page", false, &body).into_string())).into_response();
    harden(response.headers_mut());
    response
}
