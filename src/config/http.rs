//! What the HTTP API asks of its visitors, and tells browsers.

use super::{ConfigError, in_range, invalid};
use crate::limits::{HSTS_BYTES_MAX, HTTP_RATE_MAX};

/// How many requests there may be in a second; zero is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HttpRates {
    /// From one address.
    pub per_address: u32,
    /// Of one user.
    pub per_user: u32,
}

impl HttpRates {
    pub(super) fn new(per_address: Option<u32>, per_user: Option<u32>) -> Result<Self, ConfigError> {
        let rate = |name, rate| in_range(name, rate, 0, 0..=HTTP_RATE_MAX);
        Ok(Self {
            per_address: rate("http-rate-per-address", per_address)?,
            per_user: rate("http-rate-per-user", per_user)?,
        })
    }
}

/// A policy of HSTS (RFC 6797, 6.1): directives with semicolons between them, of which `max-age` must be one.
pub(super) fn hsts(policy: String) -> Result<String, ConfigError> {
    let wrong = |why: String| Err(invalid("http-hsts", why));
    if policy.len() > HSTS_BYTES_MAX {
        return wrong(format!("has more than {HSTS_BYTES_MAX} bytes"));
    }
    if !policy.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return wrong("has what no header can have".into());
    }
    let seconds = policy.split(';').find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().trim_matches('"').to_owned())
    });
    match seconds {
        Some(seconds) if seconds.parse::<u64>().is_ok() => Ok(policy),
        Some(seconds) => wrong(format!("max-age={seconds} is no number of seconds")),
        None => wrong("does not say max-age, as in max-age=31536000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_hsts_says_how_long_it_holds() {
        for policy in ["max-age=0", "max-age=31536000; includeSubDomains", "preload; Max-Age = \"5\""] {
            assert_eq!(hsts(policy.into()).unwrap(), policy);
        }
        let long = format!("max-age=1; {}", "x".repeat(HSTS_BYTES_MAX));
        for policy in ["", "31536000", "max-age", "max-age=", "max-age=-1", "max-age=1\r\nx: y", "ü=1", &long]
        {
            assert!(hsts(policy.into()).is_err(), "{policy}");
        }
    }

    #[test]
    fn rates_have_a_bound_and_are_off_by_default() {
        assert_eq!(HttpRates::new(None, None).unwrap(), HttpRates { per_address: 0, per_user: 0 });
        assert!(HttpRates::new(Some(HTTP_RATE_MAX), Some(HTTP_RATE_MAX)).is_ok());
        assert!(HttpRates::new(Some(HTTP_RATE_MAX + 1), None).is_err());
        assert!(HttpRates::new(None, Some(HTTP_RATE_MAX + 1)).is_err());
    }
}
