//! Cookies: read from a request, and written for a browser.

use axum::http::{HeaderMap, HeaderValue, header};
use cookie::{Cookie, SameSite, time::Duration};

/// The one of the session.
pub const SESSION: &str = "leveret-session";
/// What is to be told once.
pub const TOLD: &str = "leveret-told";

/// A value that a browser was given.
pub fn kept(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = all.flat_map(|line| Cookie::split_parse_encoded(line).filter_map(Result::ok));
    cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

/// A value for a browser to keep for so many seconds; without any, as long as it runs. Zero has it forget the value.
pub fn keep(name: &'static str, value: String, over_tls: bool, seconds: Option<i64>) -> HeaderValue {
    let mut cookie =
        Cookie::build((name, value)).path("/").http_only(true).secure(over_tls).same_site(SameSite::Strict);
    if let Some(seconds) = seconds {
        cookie = cookie.max_age(Duration::seconds(seconds));
    }
    HeaderValue::try_from(cookie.build().encoded().to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// What has a browser forget what was to be told once, if it has that.
pub fn forget_told(headers: &HeaderMap) -> Option<HeaderValue> {
    kept(headers, TOLD).map(|_| keep(TOLD, String::new(), false, Some(0)))
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
}
