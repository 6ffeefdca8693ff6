//! Cookies: read from a request, and written for a browser.
//!
//! Browsers send a host's cookies to all of its ports (RFC 6265, 8.5), so those that are of one broker have its port in their name: who has
//! logged in to one broker of a host stays so when another one is visited.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, header};
use cookie::{Cookie, SameSite, time::Duration};

/// The one of the session.
pub const SESSION: &str = "leveret-session";
/// What is to be told once.
pub const TOLD: &str = "leveret-told";

/// The name that a cookie of one broker has where a request has come to.
pub fn of_this_port(name: &str, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.map_or_else(|| name.to_owned(), |port| format!("{name}-{port}"))
}

/// A value that a browser was given.
pub fn kept(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = all.flat_map(|line| Cookie::split_parse_encoded(line).filter_map(Result::ok));
    cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

/// A value for a browser to keep for so many seconds; without any, as long as it runs. Zero has it forget the value.
pub fn keep(
    name: impl Into<Cow<'static, str>>,
    value: String,
    over_tls: bool,
    seconds: Option<i64>,
) -> HeaderValue {
    let mut cookie = Cookie::build((name.into(), value))
        .path("/")
        .http_only(true)
        .secure(over_tls)
        .same_site(SameSite::Strict);
    if let Some(seconds) = seconds {
        cookie = cookie.max_age(Duration::seconds(seconds));
    }
    HeaderValue::try_from(cookie.build().encoded().to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// What has a browser forget what was to be told once, if it has that.
pub fn forget_told(headers: &HeaderMap) -> Option<HeaderValue> {
    let name = of_this_port(TOLD, headers);
    kept(headers, &name).map(|_| keep(name, String::new(), false, Some(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gives_back_what_it_was_given_and_only_to_this_site() {
        let written = keep(TOLD, "50 %, ü; \"x\"".into(), true, Some(30));
        let written = written.to_str().unwrap();
        for part in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/", "Max-Age=30"] {
            assert!(written.contains(part), "{written}");
        }
        let mut headers = HeaderMap::new();
        let value = written.split(';').next().unwrap();
        headers.insert(header::COOKIE, HeaderValue::try_from(format!("a=b; {value}")).unwrap());
        assert_eq!(kept(&headers, TOLD).as_deref(), Some("50 %, ü; \"x\""));
        assert_eq!(kept(&headers, SESSION), None);
        assert!(!keep(SESSION, "1".into(), false, None).to_str().unwrap().contains("Secure"));
    }

    #[test]
    fn brokers_on_one_host_have_cookies_of_their_own() {
        for (host, name) in [
            ("broker:15672", "leveret-session-15672"),
            ("broker:15673", "leveret-session-15673"),
            ("[::1]:15672", "leveret-session-15672"),
            ("broker", "leveret-session"),
            ("[::1]", "leveret-session"),
            ("broker:x;y", "leveret-session"),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]);
            assert_eq!(of_this_port(SESSION, &headers), name, "{host}");
        }
        assert_eq!(of_this_port(SESSION, &HeaderMap::new()), "leveret-session");
    }
}
