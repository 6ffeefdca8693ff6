//! Who is asked whether a client is who it says, and what it may do: the broker's own users, an HTTP service, or both in turn.

use std::{path::PathBuf, time::Duration};

use super::{ConfigError, Settings, in_range, invalid};
use crate::limits::{
    AUTH_HTTP_CACHE_MS, AUTH_HTTP_CACHE_MS_MAX, AUTH_HTTP_CACHE_REFUSALS_MS, AUTH_HTTP_TIMEOUT_MS,
    AUTH_HTTP_TIMEOUT_MS_MAX,
};

/// One that can be asked (RabbitMQ's `internal` and `http`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The broker's own users and permissions.
    Internal,
    /// A service that answers by HTTP.
    Http,
}

impl Backend {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "internal" | "rabbit_auth_backend_internal" => Some(Self::Internal),
            "http" | "rabbit_auth_backend_http" => Some(Self::Http),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Http => "http",
        }
    }
}

/// Who says that a client is who it says, and who then says what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendPair {
    /// Who it is (RabbitMQ's `authn`).
    pub authn: Backend,
    /// What it may do (RabbitMQ's `authz`).
    pub authz: Backend,
}

impl BackendPair {
    fn parse(text: &str) -> Option<Self> {
        let (who, what) = text.split_once('/').unwrap_or((text, text));
        Some(Self { authn: Backend::parse(who)?, authz: Backend::parse(what)? })
    }

    /// As it is written.
    pub fn text(self) -> String {
        if self.authn == self.authz {
            return self.authn.name().into();
        }
        format!("{}/{}", self.authn.name(), self.authz.name())
    }

    fn has(self, backend: Backend) -> bool {
        self.authn == backend || self.authz == backend
    }
}

/// The order in which they are asked about somebody who logs in, and where the service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendsConfig {
    /// The first one that knows the client and its password counts.
    pub order: Vec<BackendPair>,
    /// The service, if one is asked.
    pub http: Option<HttpBackendConfig>,
}

/// How the service is asked, in the words of `rabbitmq_auth_backend_http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpBackendConfig {
    /// Where it is asked whether a user has a password.
    pub user: String,
    /// Where it is asked whether a user may open a virtual host. This and the next two are there if it says what users may do.
    pub vhost: Option<String>,
    /// Where it is asked whether something may be done with a queue or an exchange.
    pub resource: Option<String>,
    /// Where it is asked whether a key may be used with a topic exchange.
    pub topic: Option<String>,
    /// How.
    pub method: HttpMethod,
    /// Certificates of those who may have signed its; the system's if there are none.
    pub ca: Option<PathBuf>,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How long it need not be asked again what it has allowed; zero: it is.
    pub cache: Duration,
    /// The same of what it has refused, and of a question that it has not answered.
    pub cache_refusals: Duration,
}

/// How a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// Behind the address.
    Get,
    /// In a body, which logs do not have.
    Post,
}

impl HttpMethod {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
        }
    }
}

impl BackendsConfig {
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        let order = order(settings.auth_backends.as_deref())?;
        let asks = |backend| order.iter().any(|pair: &BackendPair| pair.has(backend));
        let http =
            HttpBackendConfig::from_settings(settings, order.iter().any(|pair| pair.authz == Backend::Http))?;
        match http {
            Some(http) if asks(Backend::Http) => Ok(Self { order, http: Some(http) }),
            None if asks(Backend::Http) => {
                Err(invalid("auth-http-user-path", "has to be set, because auth-backends has http".into()))
            }
            Some(_) => {
                Err(invalid("auth-backends", "has to have http, because auth-http-user-path is set".into()))
            }
            None => Ok(Self { order, http: None }),
        }
    }
}

fn order(said: Option<&[String]>) -> Result<Vec<BackendPair>, ConfigError> {
    const NAME: &str = "auth-backends";
    let Some(said) = said else {
        return Ok(vec![BackendPair { authn: Backend::Internal, authz: Backend::Internal }]);
    };
    let mut order = Vec::new();
    for text in said {
        let unknown = || {
            let why = format!("'{text}' is not internal, http, internal/http or http/internal");
            invalid(NAME, why)
        };
        let pair = BackendPair::parse(text).ok_or_else(unknown)?;
        if order.contains(&pair) {
            return Err(invalid(NAME, format!("{} is there twice", pair.text())));
        }
        order.push(pair);
    }
    if order.is_empty() { Err(invalid(NAME, "is empty".into())) } else { Ok(order) }
}

impl HttpBackendConfig {
    /// `None` if nothing is said of it.
    fn from_settings(settings: &Settings, permits: bool) -> Result<Option<Self>, ConfigError> {
        let paths = [
            ("auth-http-user-path", &settings.auth_http_user_path),
            ("auth-http-vhost-path", &settings.auth_http_vhost_path),
            ("auth-http-resource-path", &settings.auth_http_resource_path),
            ("auth-http-topic-path", &settings.auth_http_topic_path),
        ];
        for (name, path) in paths {
            path.as_deref().map_or(Ok(()), |path| check(name, path))?;
        }
        let method = match settings.auth_http_method.as_deref() {
            None | Some("get") => HttpMethod::Get,
            Some("post") => HttpMethod::Post,
            Some(other) => return Err(invalid("auth-http-method", format!("'{other}' is not get or post"))),
        };
        let timeout_ms = in_range(
            "auth-http-timeout-ms",
            settings.auth_http_timeout_ms,
            AUTH_HTTP_TIMEOUT_MS,
            1..=AUTH_HTTP_TIMEOUT_MS_MAX,
        )?;
        let cache = cache("auth-http-cache-ms", settings.auth_http_cache_ms, AUTH_HTTP_CACHE_MS)?;
        let cache_refusals = self::cache(
            "auth-http-cache-refusals-ms",
            settings.auth_http_cache_refusals_ms,
            AUTH_HTTP_CACHE_REFUSALS_MS,
        )?;
        let Some(user) = settings.auth_http_user_path.clone() else {
            let others = paths.iter().find(|(_, path)| path.is_some()).map(|(name, _)| *name);
            // The others mean nothing without it.
            let others = others.or(settings.auth_http_ca.as_ref().map(|_| "auth-http-ca"));
            return others.map_or(Ok(None), |other| {
                Err(invalid("auth-http-user-path", format!("has to be set, because {other} is")))
            });
        };
        if permits && let Some((name, _)) = paths.iter().find(|(_, path)| path.is_none()) {
            return Err(invalid(name, "has to be set, because http says what users may do".into()));
        }
        Ok(Some(Self {
            user,
            vhost: settings.auth_http_vhost_path.clone(),
            resource: settings.auth_http_resource_path.clone(),
            topic: settings.auth_http_topic_path.clone(),
            method,
            ca: settings.auth_http_ca.clone(),
            timeout: Duration::from_millis(timeout_ms),
            cache,
            cache_refusals,
        }))
    }

    /// Addresses without TLS that are not on this machine: passwords can be read on their way there.
    pub fn in_the_clear(&self) -> impl Iterator<Item = &str> {
        let all = [Some(&self.user), self.vhost.as_ref(), self.resource.as_ref(), self.topic.as_ref()];
        all.into_iter().flatten().map(String::as_str).filter(|url| {
            let host = url.strip_prefix("http://").map(host_of);
            host.is_some_and(|host| !["localhost", "127.0.0.1", "[::1]"].contains(&host))
        })
    }
}

fn cache(name: &'static str, said: Option<u64>, default: u64) -> Result<Duration, ConfigError> {
    in_range(name, said, default, 0..=AUTH_HTTP_CACHE_MS_MAX).map(Duration::from_millis)
}

/// The host in an address without its scheme, without a port.
fn host_of(rest: &str) -> &str {
    let host = rest.split('/').next().unwrap_or_default();
    match host.strip_prefix('[').and_then(|inside| inside.find(']')) {
        Some(end) => &host[..end + 2],
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// An address is shown wherever the configuration is, and what is asked stands behind it.
fn check(name: &'static str, url: &str) -> Result<(), ConfigError> {
    let wrong = |why: &str| Err(invalid(name, why.into()));
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest.filter(|rest| !host_of(rest).is_empty()) else {
        return wrong("does not begin with http:// or https:// and a host");
    };
    if rest.split('/').next().is_some_and(|host| host.contains('@')) {
        return wrong("has a user name");
    }
    if url.contains(['?', '#']) {
        return wrong("has a ? or a #: questions are put behind it");
    }
    if url.parse::<ureq::http::Uri>().is_err() { wrong("is no address") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http() -> Settings {
        let at = |path: &str| Some(format!("http://localhost:8000/auth/{path}"));
        Settings {
            auth_backends: Some(vec!["internal".into(), "http".into()]),
            auth_http_user_path: at("user"),
            auth_http_vhost_path: at("vhost"),
            auth_http_resource_path: at("resource"),
            auth_http_topic_path: at("topic"),
            ..Settings::default()
        }
    }

    fn read(settings: &Settings) -> Result<BackendsConfig, String> {
        BackendsConfig::from_settings(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_brokers_own_users_are_asked_if_nothing_is_said() {
        let config = read(&Settings::default()).unwrap();
        assert_eq!(config.order, [BackendPair { authn: Backend::Internal, authz: Backend::Internal }]);
        assert_eq!(config.http, None);
    }

    #[test]
    fn backends_are_asked_in_the_order_in_which_they_stand() {
        let words = ["http", "internal", "http/internal", "internal/http"];
        let settings = Settings { auth_backends: Some(words.map(String::from).into()), ..http() };
        let order = read(&settings).unwrap().order;
        assert_eq!(order.iter().map(|pair| pair.text()).collect::<Vec<_>>(), words);
        let long = Settings {
            auth_backends: Some(vec!["rabbit_auth_backend_internal/rabbit_auth_backend_http".into()]),
            ..http()
        };
        assert_eq!(read(&long).unwrap().order[0].text(), "internal/http");
    }

    #[test]
    fn what_is_missing_or_makes_no_sense_is_named() {
        let backends = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect());
        let url = |url: &str| Settings { auth_http_user_path: Some(url.into()), ..http() };
        for (settings, told) in [
            (Settings { auth_backends: backends(&["ldap"]), ..http() }, "auth-backends: 'ldap' is not"),
            (
                Settings { auth_backends: backends(&["http/ldap"]), ..http() },
                "auth-backends: 'http/ldap' is not",
            ),
            (
                Settings { auth_backends: backends(&["http", "http"]), ..http() },
                "auth-backends: http is there twice",
            ),
            (Settings { auth_backends: backends(&[]), ..http() }, "auth-backends: is empty"),
            (Settings { auth_backends: None, ..http() }, "auth-backends: has to have http"),
            (
                Settings { auth_backends: backends(&["http"]), ..Settings::default() },
                "auth-http-user-path: has to be set, because auth-backends has http",
            ),
            (
                Settings { auth_http_ca: Some("ca".into()), ..Settings::default() },
                "auth-http-user-path: has to be set, because auth-http-ca is",
            ),
            (Settings { auth_http_vhost_path: None, ..http() }, "auth-http-vhost-path: has to be set"),
            (Settings { auth_http_resource_path: None, ..http() }, "auth-http-resource-path: has to be set"),
            (Settings { auth_http_topic_path: None, ..http() }, "auth-http-topic-path: has to be set"),
            (
                Settings { auth_http_method: Some("put".into()), ..http() },
                "auth-http-method: 'put' is not get",
            ),
            (Settings { auth_http_timeout_ms: Some(0), ..http() }, "auth-http-timeout-ms: 0 is not between"),
            (Settings { auth_http_cache_ms: Some(u64::MAX), ..http() }, "auth-http-cache-ms: "),
            (
                Settings { auth_http_cache_refusals_ms: Some(u64::MAX), ..http() },
                "auth-http-cache-refusals-ms: ",
            ),
            (url("ftp://host/"), "auth-http-user-path: does not begin with http://"),
            (url("https://"), "auth-http-user-path: does not begin with"),
            (url("http://:80/user"), "auth-http-user-path: does not begin with"),
            (url("https://me:secret@host/"), "auth-http-user-path: has a user name"),
            (url("https://host/user?a=b"), "auth-http-user-path: has a ?"),
            (url("https://host/a b"), "auth-http-user-path: is no address"),
        ] {
            let error = read(&settings).unwrap_err();
            assert!(error.starts_with(told) && !error.contains("secret"), "{error} instead of {told}");
        }
        // Who is asked for passwords alone needs no more.
        let alone = Settings {
            auth_backends: backends(&["http/internal"]),
            auth_http_vhost_path: None,
            auth_http_resource_path: None,
            auth_http_topic_path: None,
            ..http()
        };
        assert!(read(&alone).unwrap().http.is_some());
    }

    #[test]
    fn passwords_in_the_clear_are_noticed() {
        for (url, is_clear) in [
            ("http://localhost:8000/u", false),
            ("http://127.0.0.1/u", false),
            ("http://[::1]:80/u", false),
            ("http://auth.example/u", true),
            ("http://localhost.example/u", true),
            ("https://auth.example/u", false),
        ] {
            let settings = Settings { auth_http_user_path: Some(url.into()), ..http() };
            let config = read(&settings).unwrap().http.unwrap();
            assert_eq!(config.in_the_clear().next().is_some(), is_clear, "{url}");
        }
    }
}
