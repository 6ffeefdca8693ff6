//! What each key of `rabbitmq.conf` means here.

use super::{backends, tls::Said};
use crate::config::Size;

/// What a key and its value come to.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    /// Our setting has this value.
    Is(&'static str, toml::Value),
    /// Our list has this value too.
    OneOf(&'static str, String),
    /// Something about clients' certificates.
    Clients(Said),
    /// Something about who is asked about clients.
    Backends(backends::Said),
    /// It is so anyway.
    Holds,
    /// It cannot be translated.
    Left(&'static str),
}

use Meaning::{Clients, Holds, Is, Left, OneOf};

/// Keys whose values are taken as they are, as texts.
const TEXTS: &[(&str, &str)] = &[
    ("default_user", "default-user"),
    ("default_pass", "default-pass"),
    ("default_vhost", "default-vhost"),
    ("load_definitions", "load-definitions"),
    ("definitions.local.path", "load-definitions"),
    ("management.load_definitions", "load-definitions"),
    ("anonymous_login_user", "anonymous-login-user"),
    ("management.hsts.policy", "http-hsts"),
    ("ssl_options.cacertfile", "tls-ca"),
    ("ssl_options.certfile", "tls-cert"),
    ("ssl_options.keyfile", "tls-key"),
    ("ssl_cert_login_from", "ssl-cert-login-from"),
    ("ssl_cert_login_san_type", "ssl-cert-login-san-type"),
    ("auth_oauth2.resource_server_id", "oauth-resource-server-id"),
    ("auth_oauth2.jwks_url", "oauth-jwks-url"),
    ("auth_oauth2.jwks_uri", "oauth-jwks-url"),
    ("auth_oauth2.issuer", "oauth-issuer"),
    ("auth_oauth2.https.cacertfile", "oauth-jwks-ca"),
    ("auth_oauth2.scope_prefix", "oauth-scope-prefix"),
    ("auth_oauth2.additional_scopes_key", "oauth-additional-scopes-key"),
    ("auth_http.user_path", "auth-http-user-path"),
    ("auth_http.vhost_path", "auth-http-vhost-path"),
    ("auth_http.resource_path", "auth-http-resource-path"),
    ("auth_http.topic_path", "auth-http-topic-path"),
    ("auth_http.http_method", "auth-http-method"),
    ("auth_http.ssl_options.cacertfile", "auth-http-ca"),
];

/// Keys whose values are numbers.
const NUMBERS: &[(&str, &str)] = &[
    ("heartbeat", "heartbeat"),
    ("channel_max", "channel-max"),
    ("connection_max", "connection-max"),
    ("consumer_max_per_channel", "consumers-per-channel-max"),
    ("consumer_timeout", "consumer-timeout"),
    ("handshake_timeout", "handshake-timeout-ms"),
    ("auth_http.request_timeout", "auth-http-timeout-ms"),
    ("auth_cache.cache_ttl", "auth-http-cache-ms"),
    ("ssl_cert_login_san_index", "ssl-cert-login-san-index"),
];

/// Keys whose values are sizes.
const SIZES: &[(&str, &str)] = &[
    ("frame_max", "frame-max"),
    ("max_message_size", "max-message-size"),
    ("vm_memory_high_watermark.absolute", "memory-limit-bytes"),
    ("disk_free_limit.absolute", "disk-free-limit"),
];

/// Keys that have no counterpart, by what they begin with, and why.
const NO_COUNTERPART: &[(&str, &str)] = &[
    ("cluster_", "there is one node"),
    ("queue_master_locator", "there is one node"),
    ("mirroring_", "there is one node"),
    ("raft.", "nothing of this kind is to be tuned"),
    ("quorum_queue.", "nothing of this kind is to be tuned"),
    ("classic_queue.", "nothing of this kind is to be tuned"),
    ("queue_index_embed_msgs_below", "all messages are kept in one log"),
    ("collect_statistics", "samples are taken every five seconds"),
    ("management.rates_mode", "samples are taken every five seconds"),
    ("default_queue_type", "it is a property of virtual hosts: set it there"),
    (
        "vm_memory_high_watermark.relative",
        "memory-limit-bytes is a number of bytes; by default it is 0.4 of the memory",
    ),
    ("disk_free_limit.relative", "disk-free-limit is a number of bytes"),
    ("vm_memory_calculation_strategy", "messages are counted, not the process"),
    ("proxy_protocol", "proxy-protocol-from names those who stand before clients"),
    ("deprecated_features.", "there is nothing to permit"),
    ("ssl_options.password", "the key's file must not be encrypted"),
    ("ssl_options.", "only files, versions and clients' certificates can be chosen"),
    ("prometheus.", "metrics of single objects are at /metrics/per-object"),
    ("management.ssl.", "the certificate is that of tls-cert and tls-key"),
    ("auth_ldap.", "users are kept here, come with tokens, or are known to an HTTP service"),
    ("auth_http.connection_timeout", "it is a part of the time that auth-http-timeout-ms gives"),
    ("auth_http.ssl_options.", "its certificate is always checked, and none is shown to it: auth-http-ca"),
    ("auth_http.", "only the addresses, the method, the time and the authority can be chosen"),
    ("auth_cache.cache_refusals", "what is refused is remembered for auth-http-cache-refusals-ms"),
    ("auth_cache.", "what the HTTP service says is remembered for auth-http-cache-ms"),
    ("auth_backends.", NO_BACKEND),
    ("auth_mechanisms.", "mechanisms are those that are configured: PLAIN, AMQPLAIN, EXTERNAL, ANONYMOUS"),
    ("auth_oauth2.", "not all of a token's rules can be chosen"),
    ("log.", "the log goes to standard error, at one level: log"),
    ("default_permissions.", "the default user may do everything: definitions can change that"),
    ("default_user_tags.", "the default user is an administrator: definitions can change that"),
    ("definitions.", "definitions come from a file: load-definitions"),
    ("stomp.", "only AMQP 0-9-1 is spoken"),
    ("mqtt.", "only AMQP 0-9-1 is spoken"),
    ("web_", "only AMQP 0-9-1 is spoken"),
    ("stream.", "only AMQP 0-9-1 is spoken"),
];

/// Why there is no other one.
pub(super) const NO_BACKEND: &str =
    "users are kept here, come with tokens (oauth-resource-server-id), or are known to an HTTP service";

/// What a key and its value come to.
pub(super) fn of(key: &str, value: &str) -> Meaning {
    let named = |table: &[(&str, &'static str)]| {
        table.iter().find(|(theirs, _)| *theirs == key).map(|(_, ours)| *ours)
    };
    if let Some(name) = named(TEXTS) {
        return Is(name, value.replace("file://", "").into());
    }
    if let Some(name) = named(NUMBERS) {
        return value.parse::<i64>().map_or(Left("it is no number"), |number| Is(name, number.into()));
    }
    if let Some(name) = named(SIZES) {
        return value.parse::<Size>().map_or(Left("it is no size"), |_| Is(name, value.into()));
    }
    if let Some(said) = backends::of(key, value) {
        return Meaning::Backends(said);
    }
    listening(key, value)
        .or_else(|| of_users(key, value))
        .or_else(|| of_tls(key, value))
        .or_else(|| of_log(key, value))
        .unwrap_or_else(|| no_counterpart(key))
}

fn no_counterpart(key: &str) -> Meaning {
    let found = NO_COUNTERPART.iter().find(|(front, _)| key.starts_with(front));
    Left(found.map_or("there is no such setting", |(_, why)| why))
}

/// RabbitMQ listens on all addresses where it is told a port alone.
fn listening(key: &str, value: &str) -> Option<Meaning> {
    let address = || match value.parse::<u16>() {
        Ok(port) => format!("0.0.0.0:{port}"),
        Err(_) => value.to_owned(),
    };
    let port = |name| match value.parse::<u16>() {
        Ok(_) => OneOf(name, address()),
        Err(_) => Left("it is no port"),
    };
    Some(match key {
        "listeners.tcp" => Left("there is no broker without AMQP: amqp-listen"),
        "listeners.ssl" if value == "none" => Holds,
        "management.tcp.port" | "management.listener.port" => port("http-listen"),
        "management.ssl.port" => port("https-listen"),
        "prometheus.tcp.port" => port("metrics-listen"),
        "management.tcp.ip" | "management.ssl.ip" | "prometheus.tcp.ip" => {
            Left("write it before the port in http-listen, https-listen or metrics-listen")
        }
        _ if key.starts_with("listeners.tcp.") => OneOf("amqp-listen", address()),
        _ if key.starts_with("listeners.ssl.") => OneOf("amqps-listen", address()),
        _ if key.starts_with("management.cors.allow_origins.") => OneOf("http-cors-origins", value.into()),
        _ => return None,
    })
}

fn of_users(key: &str, value: &str) -> Option<Meaning> {
    let nobody = || Is("loopback-users", toml::Value::Array(Vec::new()));
    Some(match (key, value) {
        ("loopback_users", "none") | ("loopback_users.guest", "false") => nobody(),
        (_, "true") if key.starts_with("loopback_users.") => {
            OneOf("loopback-users", key.trim_start_matches("loopback_users.").into())
        }
        (_, "false") if key.starts_with("loopback_users.") => Holds,
        (
            "default_permissions.configure" | "default_permissions.write" | "default_permissions.read",
            ".*",
        )
        | ("default_user_tags.administrator" | "definitions.skip_if_unchanged", "true")
        | ("definitions.import_backend", "local_filesystem")
        | ("vm_memory_high_watermark.relative", "0.4") => Holds,
        (_, "PLAIN" | "AMQPLAIN" | "EXTERNAL" | "ANONYMOUS") if key.starts_with("auth_mechanisms.") => Holds,
        ("password_hashing_module", "rabbit_password_hashing_sha256") => {
            Is("password-hashing", "sha256".into())
        }
        _ if key.starts_with("auth_oauth2.preferred_username_claims.") => {
            OneOf("oauth-preferred-username-claims", value.into())
        }
        _ => return None,
    })
}

fn of_tls(key: &str, value: &str) -> Option<Meaning> {
    Some(match (key, value) {
        ("ssl_options.verify", "verify_peer") => Clients(Said::Asks(true)),
        ("ssl_options.verify", "verify_none") => Clients(Said::Asks(false)),
        ("ssl_options.fail_if_no_peer_cert", "true") => Clients(Said::Requires(true)),
        ("ssl_options.fail_if_no_peer_cert", "false") => Clients(Said::Requires(false)),
        (_, "tlsv1.3") if key.starts_with("ssl_options.versions.") => Holds,
        (_, "tlsv1.2") if key.starts_with("ssl_options.versions.") => Is("tls-min-version", "1.2".into()),
        _ if key.starts_with("ssl_options.versions.") => Left("only TLS 1.2 and 1.3 are spoken"),
        _ => return None,
    })
}

fn of_log(key: &str, value: &str) -> Option<Meaning> {
    Some(match (key, value) {
        ("log.console", "true")
        | ("log.file", "false")
        | ("log.console.formatter" | "log.file.formatter", "plaintext") => Holds,
        ("log.console.formatter" | "log.file.formatter", "json") => Is("log-format", "json".into()),
        ("log.console.level" | "log.file.level" | "log.default.level", _) => match level(value) {
            Some(level) => Is("log", level.into()),
            None => Left("it is no level"),
        },
        _ => return None,
    })
}

fn level(word: &str) -> Option<&'static str> {
    Some(match word {
        "debug" => "debug",
        "info" | "notice" => "info",
        "warning" => "warn",
        "error" | "critical" | "alert" | "emergency" => "error",
        "none" => "off",
        _ => return None,
    })
}
