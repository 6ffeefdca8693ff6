//! The page with the form by which one comes in, and the way out.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    change::{self, Change},
    cookies::{self, SESSION},
    sessions::SessionId,
    visit::{Keeper, Visit},
};
use crate::console::view::{Frame, document, link, note};
use crate::limits::CONSOLE_LOGIN_BYTES_MAX;
use crate::management::{Failure, OverTls, PeerAddress};

/// The way in and the way out.
pub fn routes() -> Router<Arc<Keeper>> {
    Router::new().route("/login", get(show).post(log_in)).route("/logout", post(log_out))
}

#[derive(Deserialize)]
#[serde(default)]
struct Wanted {
    next: String,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { next: "/".into() }
    }
}

impl Wanted {
    /// Where to go afterwards: a page of ours.
    fn next(&self) -> &str {
        if link::is_local(&self.next) { &self.next } else { "/" }
    }
}

async fn show(visit: Result<Visit, Response>, headers: HeaderMap, Query(wanted): Query<Wanted>) -> Response {
    if visit.is_ok() {
        return Redirect::to(wanted.next()).into_response();
    }
    // A browser that follows a link from elsewhere keeps the cookie back; it has it when this page leads on.
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        let next = wanted.next();
        let body = html! {
            meta http-equiv="refresh" content={ "0;url=" (next) };
            main.login { p { a href=(next) { "Go on" } } }
        };
        return Html(document("Leveret", false, &body).into_string()).into_response();
    }
    answer(StatusCode::OK, &wanted, "", None)
}

fn answer(status: StatusCode, wanted: &Wanted, user: &str, wrong: Option<&str>) -> Response {
    (status, Html(document("Log in", false, &form(wanted.next(), user, wrong)).into_string())).into_response()
}

fn form(next: &str, user: &str, wrong: Option<&str>) -> Markup {
    html! {
        main.login {
            h1 { "Leveret" }
            @if let Some(wrong) = wrong { (note("bad", &html! { p role="alert" { (wrong) } })) }
            form method="post" action="/login" {
                input type="hidden" name="next" value=(next);
                label.field { span { "User" }
                    input name="user" value=(user) autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus; }
                label.field { span { "Password" }
                    input type="password" name="password" autocomplete="current-password" required; }
                button.primary type="submit" { "Log in" }
            }
            p.quiet { "A user of the broker with one of the tags " code { "management" } ", " code { "policymaker" } ", "
                code { "monitoring" } " or " code { "administrator" } "." }
        }
    }
}

#[derive(Deserialize)]
struct Credentials {
    user: String,
    password: String,
    #[serde(flatten)]
    wanted: Wanted,
}

async fn log_in(
    State(keeper): State<Arc<Keeper>>,
    Extension(peer): Extension<PeerAddress>,
    Extension(over_tls): Extension<OverTls>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let nobody = Frame::default();
    let read = change::read_up_to(&nobody, &parts.headers, body, CONSOLE_LOGIN_BYTES_MAX).await;
    let credentials: Credentials = match read.and_then(|bytes| change::parsed(&nobody, &bytes)) {
        Ok(credentials) => credentials,
        Err(refusal) => return answer(refusal.status(), &Wanted::default(), "", Some(refusal.reason())),
    };
    let Credentials { user, password, wanted } = credentials;
    match keeper.api.log_in(&user, password, peer.0).await {
        Ok(pass) => {
            let id = SessionId::draw();
            keeper.sessions.begin(id, &pass.user().to_string(), pass, keeper.api.now());
            let mut response = Redirect::to(wanted.next()).into_response();
            let name = cookies::of_this_port(SESSION, &parts.headers);
            let cookie = cookies::keep(name, id.written(), over_tls.0, None);
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response
        }
        Err(Failure::Unavailable(_)) => {
            let why = "Too many logins are being checked. Try again in a moment.";
            answer(StatusCode::SERVICE_UNAVAILABLE, &wanted, &user, Some(why))
        }
        Err(Failure::TooMany { wait_seconds }) => {
            let why = format!("Too many requests. Try again in {wait_seconds} s.");
            answer(StatusCode::TOO_MANY_REQUESTS, &wanted, &user, Some(&why))
        }
        Err(Failure::NotAuthorised(_)) => {
            let why = "This user may not log in here: it has none of the tags below.";
            answer(StatusCode::FORBIDDEN, &wanted, &user, Some(why))
        }
        Err(_) => {
            let why = "There is no such user, or that is not its password.";
            answer(StatusCode::UNAUTHORIZED, &wanted, &user, Some(why))
        }
    }
}

#[derive(Deserialize)]
struct Nothing {}

async fn log_out(State(keeper): State<Arc<Keeper>>, change: Change<Nothing>) -> Response {
    let Change { visit, form: Nothing {} } = change;
    if let Some(id) = &visit.session {
        keeper.sessions.end(id);
    }
    let mut response = Redirect::to("/login").into_response();
    let gone = visit.cookie(SESSION, String::new(), Some(0));
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}
