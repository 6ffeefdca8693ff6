//! The configuration that holds, as operators may see it: each setting with its value and where that comes from; no secrets.

use std::{fmt::Display, net::SocketAddr, path::PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::{Config, JwksAt, Origin, Size, TlsConfig};
use crate::limits::{AUTH_HTTP_CACHE_MS, AUTH_HTTP_CACHE_REFUSALS_MS, AUTH_HTTP_TIMEOUT_MS};

/// What is shown in place of a password.
const MASKED: &str = "[masked]";

/// A setting that holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// As in the file.
    pub name: &'static str,
    /// As it could stand in the file; null if there is none. Sizes are bytes.
    pub value: Value,
    /// Who has said it.
    pub from: Origin,
}

impl Shown {
    /// The value on one line, for people; a size with its unit.
    pub fn text(&self) -> String {
        match &self.value {
            Value::Null => "-".into(),
            Value::String(text) => text.clone(),
            Value::Array(values) if values.iter().all(Value::is_string) => {
                values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            Value::Number(number) if self.is_size() => {
                number.as_u64().map_or_else(|| number.to_string(), |bytes| Size(bytes).in_units())
            }
            other => other.to_string(),
        }
    }

    /// Its value is a number of bytes.
    pub fn is_size(&self) -> bool {
        SIZES.contains(&self.name)
    }
}

/// Settings whose values are sizes.
const SIZES: [&str; 5] =
    ["frame-max", "max-message-size", "memory-limit-bytes", "disk-free-limit", "segment-bytes"];

impl Config {
    /// All settings, in the order of the command line's help; those of the file alone stand at the end.
    pub fn shown(&self) -> Vec<Shown> {
        let values = [
            self.listeners(),
            self.of_tls(),
            self.of_users(),
            self.of_oauth(),
            self.of_backends(),
            self.of_limits(),
            self.rest(),
        ];
        let shown = |(name, value)| Shown { name, value, from: self.said.origin(name) };
        values.into_iter().flatten().map(shown).collect()
    }

    fn listeners(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("amqp-listen", addresses(&self.amqp_listen)),
            ("amqps-listen", addresses(&self.amqps_listen)),
            ("http-listen", addresses(&self.http_listen)),
            ("https-listen", addresses(&self.https_listen)),
            ("metrics-listen", addresses(&self.metrics_listen)),
            ("http-cors-origins", json!(self.http_cors_origins)),
            ("http-hsts", json!(self.http_hsts)),
            ("http-rate-per-address", json!(self.http_rates.per_address)),
            ("http-rate-per-user", json!(self.http_rates.per_user)),
        ]
    }

    fn of_tls(&self) -> Vec<(&'static str, Value)> {
        // What is said of TLS without a certificate is checked, and means nothing.
        let said = &self.said.all;
        let verify = match self.tls.as_ref().and_then(|tls: &TlsConfig| tls.clients.as_ref()) {
            None => "none",
            Some(clients) if clients.required => "required",
            Some(_) => "optional",
        };
        let word = |said: &Option<String>, default: &str| json!(said.as_deref().unwrap_or(default));
        vec![
            ("tls-cert", path(said.tls_cert.as_ref())),
            ("tls-key", path(said.tls_key.as_ref())),
            ("tls-ca", path(said.tls_ca.as_ref())),
            ("tls-verify", json!(verify)),
            ("tls-min-version", word(&said.tls_min_version, "1.2")),
            ("ssl-cert-login-from", word(&said.ssl_cert_login_from, "distinguished-name")),
            ("ssl-cert-login-san-type", word(&said.ssl_cert_login_san_type, "dns")),
            ("ssl-cert-login-san-index", json!(said.ssl_cert_login_san_index.unwrap_or(0))),
            ("proxy-protocol-from", texts(&self.proxy_protocol_from)),
        ]
    }

    fn of_users(&self) -> Vec<(&'static str, Value)> {
        let anonymous = self.anonymous_login_user.as_ref().map_or_else(|| "none".into(), ToString::to_string);
        vec![
            ("data-dir", path(Some(&self.data_dir))),
            ("default-vhost", json!(self.default_vhost.to_string())),
            ("default-user", json!(self.default_user.to_string())),
            ("default-pass", json!(MASKED)),
            ("default-pass-file", path(self.said.all.default_pass_file.as_ref())),
            ("password-hashing", json!(self.password_hashing.name())),
            ("anonymous-login-user", json!(anonymous)),
        ]
    }

    fn of_oauth(&self) -> Vec<(&'static str, Value)> {
        let oauth = self.oauth.as_ref();
        let (file, url, ca) = match oauth.map(|oauth| &oauth.jwks) {
            None => (None, None, None),
            Some(JwksAt::File(file)) => (Some(file), None, None),
            Some(JwksAt::Url { url, ca }) => (None, Some(url), ca.as_ref()),
        };
        vec![
            ("oauth-resource-server-id", json!(oauth.map(|it| &it.resource_server_id))),
            ("oauth-jwks-file", path(file)),
            ("oauth-jwks-url", json!(url)),
            ("oauth-jwks-ca", path(ca)),
            ("oauth-issuer", json!(oauth.and_then(|it| it.issuer.as_ref()))),
            ("oauth-scope-prefix", json!(oauth.and_then(|it| it.scope_prefix.as_ref()))),
            ("oauth-additional-scopes-key", json!(oauth.and_then(|it| it.additional_scopes_key.as_ref()))),
            ("oauth-preferred-username-claims", json!(oauth.map(|it| &it.preferred_username_claims))),
        ]
    }

    fn of_backends(&self) -> Vec<(&'static str, Value)> {
        let order: Vec<_> = self.backends.order.iter().map(|pair| pair.text()).collect();
        let said = &self.said.all;
        let ms = |said: Option<u64>, default: u64| json!(said.unwrap_or(default));
        vec![
            ("auth-backends", json!(order)),
            ("auth-http-user-path", json!(said.auth_http_user_path)),
            ("auth-http-vhost-path", json!(said.auth_http_vhost_path)),
            ("auth-http-resource-path", json!(said.auth_http_resource_path)),
            ("auth-http-topic-path", json!(said.auth_http_topic_path)),
            ("auth-http-method", json!(said.auth_http_method.as_deref().unwrap_or("get"))),
            ("auth-http-ca", path(said.auth_http_ca.as_ref())),
            ("auth-http-timeout-ms", ms(said.auth_http_timeout_ms, AUTH_HTTP_TIMEOUT_MS)),
            ("auth-http-cache-ms", ms(said.auth_http_cache_ms, AUTH_HTTP_CACHE_MS)),
            (
                "auth-http-cache-refusals-ms",
                ms(said.auth_http_cache_refusals_ms, AUTH_HTTP_CACHE_REFUSALS_MS),
            ),
        ]
    }

    fn of_limits(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("load-definitions", path(self.load_definitions.as_ref())),
            ("loopback-users", json!(self.loopback_users)),
            ("frame-max", json!(self.frame_max)),
            ("channel-max", json!(self.channel_max)),
            ("consumers-per-channel-max", json!(self.consumers_per_channel_max.unwrap_or(0))),
            ("heartbeat", json!(self.heartbeat)),
            ("connection-max", json!(self.connection_max)),
            ("max-message-size", json!(self.max_message_size)),
            ("memory-limit-bytes", json!(self.memory_limit_bytes)),
            ("disk-free-limit", json!(self.store.disk_free_limit)),
            ("segment-bytes", json!(self.store.segment_bytes)),
            ("consumer-timeout", json!(self.consumer_timeout.unwrap_or(0))),
            ("handshake-timeout-ms", json!(self.handshake_timeout.as_millis() as u64)),
        ]
    }

    fn rest(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("otlp-endpoint", json!(self.otlp_endpoint)),
            ("log", json!(self.log.text())),
            ("log-format", json!(self.log_format.name())),
            ("policies", json!(self.policies)),
            ("operator-policies", json!(self.operator_policies)),
        ]
    }
}

fn addresses(list: &[SocketAddr]) -> Value {
    texts(list)
}

fn texts<T: Display>(list: &[T]) -> Value {
    list.iter().map(ToString::to_string).collect()
}

fn path(path: Option<&PathBuf>) -> Value {
    json!(path.map(|path| path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FILE_ONLY, Settings, keys};

    fn shown(settings: Settings) -> Vec<Shown> {
        Config::load(settings).unwrap().shown()
    }

    #[test]
    fn each_setting_is_shown_in_the_order_of_the_help() {
        let names: Vec<_> =
            keys().into_iter().map(|key| key.name).chain(FILE_ONLY.map(String::from)).collect();
        let shown: Vec<_> = shown(Settings::default()).into_iter().map(|shown| shown.name).collect();
        assert_eq!(shown, names);
    }

    #[test]
    fn what_takes_sizes_is_shown_with_units() {
        for key in keys() {
            assert_eq!(key.unit == "SIZE", SIZES.contains(&&*key.name), "{}", key.name);
        }
        let shown = shown(Settings::default());
        let text = |name: &str| shown.iter().find(|it| it.name == name).unwrap().text();
        assert_eq!((text("frame-max").as_str(), text("heartbeat").as_str()), ("128KiB", "60"));
        assert_eq!((text("tls-cert").as_str(), text("loopback-users").as_str()), ("-", "guest"));
    }

    #[test]
    fn a_password_is_masked_wherever_it_comes_from() {
        let shown = shown(Settings { default_pass: Some("geheim".into()), ..Settings::default() });
        let text = serde_json::to_string(&shown).unwrap();
        assert!(text.contains(MASKED) && !text.contains("geheim"), "{text}");
        let pass = shown.iter().find(|it| it.name == "default-pass").unwrap();
        assert_eq!(pass.from, Origin::Flag);
    }

    #[test]
    fn what_is_said_is_shown() {
        let said = Settings {
            amqp_listen: Some(vec!["5673".into()]),
            http_listen: Some(vec!["none".into()]),
            tls_min_version: Some("1.3".into()),
            anonymous_login_user: Some("guest".into()),
            consumer_timeout: Some(0),
            log: Some("warn,sled=debug".parse().unwrap()),
            password_hashing: Some(crate::config::PasswordHashing::Sha256),
            oauth_resource_server_id: Some("shop".into()),
            oauth_jwks_file: Some("/keys".into()),
            ..Settings::default()
        };
        let shown = shown(said);
        for (name, value) in [
            ("amqp-listen", json!(["127.0.0.1:5673"])),
            ("http-listen", json!([])),
            ("tls-min-version", json!("1.3")),
            ("anonymous-login-user", json!("guest")),
            ("consumer-timeout", json!(0)),
            ("log", json!("warn,sled=debug")),
            ("password-hashing", json!("sha256")),
            ("oauth-resource-server-id", json!("shop")),
            ("oauth-jwks-file", json!("/keys")),
        ] {
            let found = shown.iter().find(|it| it.name == name).unwrap();
            assert_eq!((&found.value, found.from), (&value, Origin::Flag), "{name}");
        }
        assert!(shown.iter().filter(|it| it.from == Origin::Default).count() > 30);
    }
}
