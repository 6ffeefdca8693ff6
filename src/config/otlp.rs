//! Where spans go (OpenTelemetry).

use ureq::http::Uri;

use super::{ConfigError, invalid};
use crate::limits::COLLECTOR_URL_BYTES_MAX;

/// The address of a collector for traces: `/v1/traces` below what is said, unless that has a path (OTLP/HTTP).
pub(super) fn endpoint(url: String) -> Result<String, ConfigError> {
    let wrong = |why: &str| Err(invalid("otlp-endpoint", why.into()));
    if !cfg!(feature = "opentelemetry") {
        return wrong("this program was built without the cargo feature opentelemetry");
    }
    if url.len() > COLLECTOR_URL_BYTES_MAX {
        return wrong("is too long");
    }
    let Ok(parsed) = url.parse::<Uri>() else { return wrong("is no address") };
    if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.host().is_none_or(str::is_empty) {
        return wrong("is no address of http or https, as in http://localhost:4318");
    }
    if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return wrong("has a user in it, which is not sent");
    }
    if parsed.path() == "/" && parsed.query().is_none() {
        return Ok(format!("{}/v1/traces", url.trim_end_matches('/')));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "opentelemetry")]
    fn an_address_without_a_path_is_a_collector_s() {
        let of = |url: &str| endpoint(url.into()).unwrap();
        assert_eq!(of("http://localhost:4318"), "http://localhost:4318/v1/traces");
        assert_eq!(of("https://a.example/"), "https://a.example/v1/traces");
        assert_eq!(of("http://a/otlp/v1/traces"), "http://a/otlp/v1/traces");
        let long = format!("http://a/{}", "x".repeat(COLLECTOR_URL_BYTES_MAX));
        for wrong in
            ["", "localhost:4318", "grpc://localhost:4317", "http://", "http://a b", "http://u:p@a", &long]
        {
            assert!(endpoint(wrong.into()).is_err(), "{wrong}");
        }
    }

    #[test]
    #[cfg(not(feature = "opentelemetry"))]
    fn a_program_without_the_feature_says_so() {
        let error = endpoint("http://localhost:4318".into()).unwrap_err().to_string();
        assert_eq!(error, "otlp-endpoint: this program was built without the cargo feature opentelemetry");
    }
}
