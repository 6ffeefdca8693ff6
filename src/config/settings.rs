//! The same settings as flags, environment variables and keys of the configuration file: one list for all three.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

use super::{LogFilter, LogFormat, PasswordHashing, Size, password};

/// What was said, before defaults and checks. Keys in the file are the flags' names without the dashes in front.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Configuration file (TOML; keys are these flags' names)
    #[arg(long, env = "LEVERET_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Listen here for AMQP; may be given several times; a port alone is one of 127.0.0.1, all addresses are 0.0.0.0:5672
    /// [default: 127.0.0.1:5672]
    #[serde(deserialize_with = "one_or_more")]
    #[arg(long, env = "LEVERET_AMQP_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub amqp_listen: Option<Vec<String>>,
    /// Listen here for AMQP over TLS, as for --amqp-listen; needs --tls-cert and --tls-key; the usual port is 5671
    #[serde(deserialize_with = "one_or_more")]
    #[arg(long, env = "LEVERET_AMQPS_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub amqps_listen: Option<Vec<String>>,
    /// Listen here for the HTTP API, as for --amqp-listen; `none` is nowhere [default: 127.0.0.1:15672, if that is free]
    #[serde(deserialize_with = "one_or_more")]
    #[arg(long, env = "LEVERET_HTTP_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub http_listen: Option<Vec<String>>,
    /// Listen here for the HTTP API over TLS, as for --amqps-listen; the usual port is 15671
    #[serde(deserialize_with = "one_or_more")]
    #[arg(long, env = "LEVERET_HTTPS_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub https_listen: Option<Vec<String>>,
    /// Listen here for Prometheus, as for --http-listen; everybody who reaches it may read the metrics
    /// [default: 127.0.0.1:15692, if that is free]
    #[serde(deserialize_with = "one_or_more")]
    #[arg(long, env = "LEVERET_METRICS_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub metrics_listen: Option<Vec<String>>,
    /// Pages of these origins may use the HTTP API from browsers (CORS), each with its scheme; `*` is all
    #[serde(deserialize_with = "one_or_more")]
    #[arg(long, env = "LEVERET_HTTP_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub http_cors_origins: Option<Vec<String>>,
    /// What the HTTP API says over TLS in Strict-Transport-Security (HSTS), such as `max-age=31536000` [default: nothing]
    #[arg(long, env = "LEVERET_HTTP_HSTS", value_name = "POLICY")]
    pub http_hsts: Option<String>,
    /// Requests of the HTTP API in a second from one address, 0 without limit; more are answered with 429 [default: 0]
    #[arg(long, env = "LEVERET_HTTP_RATE_PER_ADDRESS", value_name = "N")]
    pub http_rate_per_address: Option<u32>,
    /// The same of one user [default: 0]
    #[arg(long, env = "LEVERET_HTTP_RATE_PER_USER", value_name = "N")]
    pub http_rate_per_user: Option<u32>,
    /// The server's certificate, with those between it and the one that clients trust (PEM)
    #[arg(long, env = "LEVERET_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, env = "LEVERET_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Certificates of those who sign clients' certificates (PEM); with it, clients must show one
    #[arg(long, env = "LEVERET_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Whether clients must show a certificate: none, optional, required [default: required with --tls-ca, none without]
    #[arg(long, env = "LEVERET_TLS_VERIFY", value_name = "WHO")]
    pub tls_verify: Option<String>,
    /// The oldest version of TLS that is spoken: 1.2, 1.3 [default: 1.2]
    #[arg(long, env = "LEVERET_TLS_MIN_VERSION", value_name = "VERSION")]
    pub tls_min_version: Option<String>,
    /// What of a client's certificate is its user name: distinguished-name, common-name, subject-alternative-name
    /// [default: distinguished-name]
    #[arg(long, env = "LEVERET_SSL_CERT_LOGIN_FROM", value_name = "PART")]
    pub ssl_cert_login_from: Option<String>,
    /// Which alternative names count: dns, ip, email, uri, other-name [default: dns]
    #[arg(long, env = "LEVERET_SSL_CERT_LOGIN_SAN_TYPE", value_name = "KIND")]
    pub ssl_cert_login_san_type: Option<String>,
    /// Which one of them, from 0 on [default: 0]
    #[arg(long, env = "LEVERET_SSL_CERT_LOGIN_SAN_INDEX", value_name = "N")]
    pub ssl_cert_login_san_index: Option<usize>,
    /// Networks whose connections begin with a PROXY protocol header (v1 or v2), which tells the client's address
    #[serde(deserialize_with = "one_or_more")]
    #[arg(long, env = "LEVERET_PROXY_PROTOCOL_FROM", value_name = "CIDR", value_delimiter = ',')]
    pub proxy_protocol_from: Option<Vec<String>>,
    /// Data folder [default: ./leveret-data]
    #[arg(long, env = "LEVERET_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Virtual host that exists from the start [default: /]
    #[arg(long, env = "LEVERET_DEFAULT_VHOST", value_name = "NAME")]
    pub default_vhost: Option<String>,
    /// User that exists from the start [default: guest]
    #[arg(long, env = "LEVERET_DEFAULT_USER", value_name = "NAME")]
    pub default_user: Option<String>,
    /// Password of the default user; on the command line everybody on this machine can read it [default: guest]
    #[serde(deserialize_with = "password::text")]
    #[arg(long, env = "LEVERET_DEFAULT_PASS", value_name = "PASSWORD", hide_env_values = true)]
    pub default_pass: Option<SecretString>,
    /// File with the password of the default user, in place of the password
    #[arg(long, env = "LEVERET_DEFAULT_PASS_FILE", value_name = "FILE")]
    pub default_pass_file: Option<PathBuf>,
    /// How new passwords are hashed: argon2id, or sha256 for taking users to RabbitMQ [default: argon2id]
    #[arg(long, env = "LEVERET_PASSWORD_HASHING", value_name = "ALGORITHM", hide_possible_values = true)]
    pub password_hashing: Option<PasswordHashing>,
    /// User as whom clients come in that do not say who they are (SASL ANONYMOUS); none to refuse them [default: none]
    #[arg(long, env = "LEVERET_ANONYMOUS_LOGIN_USER", value_name = "NAME")]
    pub anonymous_login_user: Option<String>,
    /// Take OAuth 2.0 tokens (JWT) for passwords that are meant for a resource server of this id [default: none]
    #[arg(long, env = "LEVERET_OAUTH_RESOURCE_SERVER_ID", value_name = "ID")]
    pub oauth_resource_server_id: Option<String>,
    /// File with the public keys of whoever issues tokens (JSON Web Key Set); read again on SIGHUP
    #[arg(long, env = "LEVERET_OAUTH_JWKS_FILE", value_name = "FILE")]
    pub oauth_jwks_file: Option<PathBuf>,
    /// The same keys from an address (https); read again now and then, on SIGHUP, and when a token names another one
    #[arg(long, env = "LEVERET_OAUTH_JWKS_URL", value_name = "URL")]
    pub oauth_jwks_url: Option<String>,
    /// Certificates of those who sign that of the address' server (PEM) [default: those that the system trusts]
    #[arg(long, env = "LEVERET_OAUTH_JWKS_CA", value_name = "FILE")]
    pub oauth_jwks_ca: Option<PathBuf>,
    /// Who must have issued the tokens [default: anybody whose key is known]
    #[arg(long, env = "LEVERET_OAUTH_ISSUER", value_name = "URL")]
    pub oauth_issuer: Option<String>,
    /// What scopes for this broker begin with [default: the id and a dot]
    #[arg(long, env = "LEVERET_OAUTH_SCOPE_PREFIX", value_name = "TEXT")]
    pub oauth_scope_prefix: Option<String>,
    /// Another claim of tokens that has scopes [default: none]
    #[arg(long, env = "LEVERET_OAUTH_ADDITIONAL_SCOPES_KEY", value_name = "CLAIM")]
    pub oauth_additional_scopes_key: Option<String>,
    /// Claims of tokens that may have the user's name, in order [default: sub, `client_id`]
    #[serde(deserialize_with = "one_or_more")]
    #[arg(
        long,
        env = "LEVERET_OAUTH_PREFERRED_USERNAME_CLAIMS",
        value_name = "CLAIMS",
        value_delimiter = ','
    )]
    pub oauth_preferred_username_claims: Option<Vec<String>>,
    /// Who is asked about a client that logs in, in this order: internal, http, internal/http or http/internal (who it is, and what it
    /// may do) [default: internal]
    #[serde(deserialize_with = "one_or_more")]
    #[arg(long, env = "LEVERET_AUTH_BACKENDS", value_name = "BACKENDS", value_delimiter = ',')]
    pub auth_backends: Option<Vec<String>>,
    /// Address that says whether a user has a password (RabbitMQ's HTTP backend)
    #[arg(long, env = "LEVERET_AUTH_HTTP_USER_PATH", value_name = "URL")]
    pub auth_http_user_path: Option<String>,
    /// Address that says whether a user may open a virtual host
    #[arg(long, env = "LEVERET_AUTH_HTTP_VHOST_PATH", value_name = "URL")]
    pub auth_http_vhost_path: Option<String>,
    /// Address that says whether a user may configure, write or read a queue or an exchange
    #[arg(long, env = "LEVERET_AUTH_HTTP_RESOURCE_PATH", value_name = "URL")]
    pub auth_http_resource_path: Option<String>,
    /// Address that says whether a user may use a key with a topic exchange
    #[arg(long, env = "LEVERET_AUTH_HTTP_TOPIC_PATH", value_name = "URL")]
    pub auth_http_topic_path: Option<String>,
    /// How they are asked: get, or post, by which no password stands in the logs of that service [default: get]
    #[arg(long, env = "LEVERET_AUTH_HTTP_METHOD", value_name = "METHOD")]
    pub auth_http_method: Option<String>,
    /// Certificates of those who sign that of their server (PEM) [default: those that the system trusts]
    #[arg(long, env = "LEVERET_AUTH_HTTP_CA", value_name = "FILE")]
    pub auth_http_ca: Option<PathBuf>,
    /// How long they may take to answer, in milliseconds; then the answer is no [default: 5000]
    #[arg(long, env = "LEVERET_AUTH_HTTP_TIMEOUT_MS", value_name = "MS")]
    pub auth_http_timeout_ms: Option<u64>,
    /// How long they are not asked again what they have allowed, in milliseconds, 0 for always [default: 15000]
    #[arg(long, env = "LEVERET_AUTH_HTTP_CACHE_MS", value_name = "MS")]
    pub auth_http_cache_ms: Option<u64>,
    /// The same of what they have refused or not answered [default: 1000]
    #[arg(long, env = "LEVERET_AUTH_HTTP_CACHE_REFUSALS_MS", value_name = "MS")]
    pub auth_http_cache_refusals_ms: Option<u64>,
    /// Users, virtual hosts, policies, queues and so on that are made at each start (RabbitMQ's definitions.json)
    #[arg(long, env = "LEVERET_LOAD_DEFINITIONS", value_name = "FILE")]
    pub load_definitions: Option<PathBuf>,
    /// Users that may only connect from this machine; empty for none [default: guest]
    #[serde(deserialize_with = "one_or_more")]
    #[arg(long, env = "LEVERET_LOOPBACK_USERS", value_name = "NAMES", value_delimiter = ',', num_args = 0..)]
    pub loopback_users: Option<Vec<String>>,
    /// Largest frame [default: 128KiB]
    #[arg(long, env = "LEVERET_FRAME_MAX", value_name = "SIZE")]
    pub frame_max: Option<Size>,
    /// Channels on one connection [default: 2047]
    #[arg(long, env = "LEVERET_CHANNEL_MAX", value_name = "N")]
    pub channel_max: Option<u16>,
    /// Consumers on one channel, 0 without limit (RabbitMQ's `consumer_max_per_channel`) [default: 0]
    #[arg(long, env = "LEVERET_CONSUMERS_PER_CHANNEL_MAX", value_name = "N")]
    pub consumers_per_channel_max: Option<u32>,
    /// Heartbeat interval to propose, in seconds; 0 for none [default: 60]
    #[arg(long, env = "LEVERET_HEARTBEAT", value_name = "SECONDS")]
    pub heartbeat: Option<u16>,
    /// Connections at once [default: 100000]
    #[arg(long, env = "LEVERET_CONNECTION_MAX", value_name = "N")]
    pub connection_max: Option<usize>,
    /// Largest message body [default: 128MiB]
    #[arg(long, env = "LEVERET_MAX_MESSAGE_SIZE", value_name = "SIZE")]
    pub max_message_size: Option<Size>,
    /// Messages in memory above which publishers are blocked [default: 0.4 of the memory of the machine, or of the container; less below 240 MiB]
    #[arg(long, env = "LEVERET_MEMORY_LIMIT_BYTES", value_name = "SIZE")]
    pub memory_limit_bytes: Option<Size>,
    /// Room on the disk below which publishers are blocked [default: 256MiB]
    #[arg(long, env = "LEVERET_DISK_FREE_LIMIT", value_name = "SIZE")]
    pub disk_free_limit: Option<Size>,
    /// Size of a segment of the log [default: 64MiB]
    #[arg(long, env = "LEVERET_SEGMENT_BYTES", value_name = "SIZE")]
    pub segment_bytes: Option<Size>,
    /// How long a consumer may hold a message of a quorum queue, in milliseconds, 0 without limit [default: 1800000]
    #[arg(long, env = "LEVERET_CONSUMER_TIMEOUT", value_name = "MS")]
    pub consumer_timeout: Option<u64>,
    /// Time for a client to get through the handshake, in milliseconds [default: 10000]
    #[arg(long, env = "LEVERET_HANDSHAKE_TIMEOUT_MS", value_name = "MS")]
    pub handshake_timeout_ms: Option<u64>,
    /// Collector of OpenTelemetry (OTLP/HTTP), such as `http://localhost:4318`, that gets spans of messages whose `traceparent` is sampled;
    /// in builds with that cargo feature [default: none]
    #[arg(long, env = "LEVERET_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// What is logged: off, error, warn, info, debug, trace; PART=LEVEL for one part, such as `leveret::store=debug`
    /// [default: info]
    #[arg(long, env = "LEVERET_LOG", value_name = "LEVEL")]
    #[serde(deserialize_with = "parsed")]
    pub log: Option<LogFilter>,
    /// Form of the log: text, or json, an object on each line [default: text]
    #[arg(long, env = "LEVERET_LOG_FORMAT", value_name = "FORM", hide_possible_values = true)]
    pub log_format: Option<LogFormat>,
    /// Policies of the default virtual host; in the file only
    #[arg(skip)]
    pub policies: Vec<PolicySettings>,
    /// The same for operator policies
    #[arg(skip)]
    pub operator_policies: Vec<PolicySettings>,
    /// Names of those that the environment says, not the command line.
    #[arg(skip)]
    #[serde(skip)]
    pub by_variable: Vec<String>,
}

/// A policy as it stands in the configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicySettings {
    /// Its name.
    pub name: String,
    /// A regular expression, looked for anywhere in the names of queues and exchanges.
    pub pattern: String,
    /// What it applies to, as RabbitMQ names it.
    #[serde(default = "everything")]
    pub apply_to: String,
    /// The highest one counts.
    #[serde(default)]
    pub priority: i64,
    /// Keys and values: texts, whole numbers, fractions, truth values.
    pub definition: toml::Table,
}

fn everything() -> String {
    "all".into()
}

impl Settings {
    /// These where they say something, `lower` where they do not.
    #[must_use]
    pub fn over(self, mut lower: Self) -> Self {
        // A password, and where it is, are two ways to say one thing.
        if self.default_pass.is_some() || self.default_pass_file.is_some() {
            (lower.default_pass, lower.default_pass_file) = (None, None);
        }
        // So are the two places of keys.
        if self.oauth_jwks_file.is_some() || self.oauth_jwks_url.is_some() {
            (lower.oauth_jwks_file, lower.oauth_jwks_url) = (None, None);
        }
        self.or(lower)
    }
}

/// What is done with each setting that is a flag, a variable and a key: the compiler finds the one that is forgotten here.
macro_rules! each_setting {
    ($($field:ident)*) => {
        impl Settings {
            fn or(self, lower: Self) -> Self {
                Self {
                    $($field: self.$field.or(lower.$field),)*
                    policies: lower.policies,
                    operator_policies: lower.operator_policies,
                    by_variable: self.by_variable,
                }
            }

            /// Names of those that say something.
            pub(super) fn names(&self) -> Vec<String> {
                let mut names = Vec::new();
                $(if self.$field.is_some() {
                    names.push(stringify!($field).replace('_', "-"));
                })*
                if !self.policies.is_empty() {
                    names.push("policies".into());
                }
                if !self.operator_policies.is_empty() {
                    names.push("operator-policies".into());
                }
                names
            }
        }
    };
}

each_setting! {
    config
    amqp_listen
    amqps_listen
    http_listen
    https_listen
    metrics_listen
    http_cors_origins
    http_hsts
    http_rate_per_address
    http_rate_per_user
    tls_cert
    tls_key
    tls_ca
    tls_verify
    tls_min_version
    ssl_cert_login_from
    ssl_cert_login_san_type
    ssl_cert_login_san_index
    proxy_protocol_from
    data_dir
    default_vhost
    default_user
    default_pass
    default_pass_file
    password_hashing
    anonymous_login_user
    oauth_resource_server_id
    oauth_jwks_file
    oauth_jwks_url
    oauth_jwks_ca
    oauth_issuer
    oauth_scope_prefix
    oauth_additional_scopes_key
    oauth_preferred_username_claims
    auth_backends
    auth_http_user_path
    auth_http_vhost_path
    auth_http_resource_path
    auth_http_topic_path
    auth_http_method
    auth_http_ca
    auth_http_timeout_ms
    auth_http_cache_ms
    auth_http_cache_refusals_ms
    load_definitions
    loopback_users
    frame_max
    channel_max
    consumers_per_channel_max
    heartbeat
    connection_max
    max_message_size
    memory_limit_bytes
    disk_free_limit
    segment_bytes
    consumer_timeout
    handshake_timeout_ms
    otlp_endpoint
    log
    log_format
}

/// A text, or a list of them.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text, or a list of texts")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(Some(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    }))
}

/// What is read in the same way from flags.
fn parsed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LogFilter>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}
