//! What the broker is told: flags over environment over file over defaults, merged into one validated, immutable
//! [`Config`]. Nobody else reads flags or the environment.

mod backends;
mod cgroup;
mod effective;
mod environment;
mod example;
mod file;
mod from_rabbitmq;
mod http;
mod keys;
mod listen;
mod log;
mod memory;
mod oauth;
mod otlp;
mod password;
mod said;
mod settings;
mod shown;
mod size;
mod spelling;
mod tls;

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::SecretSlice;
use zeroize::Zeroizing;

use ipnet::IpNet;

pub use backends::{Backend, BackendPair, BackendsConfig, HttpBackendConfig, HttpMethod};
pub use effective::{Change, Changeable, Effective, changes};
pub use example::example;
pub use file::read_bounded;
pub use from_rabbitmq::{Translation, from_rabbitmq};
pub use http::HttpRates;
pub use keys::{FILE_ONLY, Key, by_variable, keys};
pub use log::{LogFilter, LogFormat};
pub use memory::MemoryBudget;
pub use oauth::{JwksAt, OauthConfig};
pub use password::PasswordHashing;
pub use said::Origin;
pub use settings::{PolicySettings, Settings};
pub use shown::Shown;
pub use size::{BadSize, Size};
pub use tls::{CertificateLogin, ClientCertificates, NameKind, TlsConfig, TlsVersion};

use crate::limits;
use crate::protocol::ShortString;
use said::Said;

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses for AMQP.
    pub amqp_listen: Vec<SocketAddr>,
    /// Addresses for AMQP over TLS; with any there is [`Self::tls`].
    pub amqps_listen: Vec<SocketAddr>,
    /// Addresses for the HTTP API.
    pub http_listen: Vec<SocketAddr>,
    /// Nobody has chosen them: another program may have them.
    pub http_listen_is_default: bool,
    /// Addresses for the HTTP API over TLS; with any there is [`Self::tls`].
    pub https_listen: Vec<SocketAddr>,
    /// Addresses for Prometheus.
    pub metrics_listen: Vec<SocketAddr>,
    /// Nobody has chosen them: another program may have them.
    pub metrics_listen_is_default: bool,
    /// Origins of pages that may use the HTTP API from browsers.
    pub http_cors_origins: Vec<String>,
    /// What the HTTP API says over TLS in `Strict-Transport-Security`, if it does.
    pub http_hsts: Option<String>,
    /// How fast the HTTP API may be asked.
    pub http_rates: HttpRates,
    /// How listeners speak TLS.
    pub tls: Option<TlsConfig>,
    /// Who stands before clients and tells their addresses (PROXY protocol).
    pub proxy_protocol_from: Vec<IpNet>,
    /// The data folder.
    pub data_dir: PathBuf,
    /// The virtual host that exists from the start.
    pub default_vhost: ShortString,
    /// The user that exists from the start.
    pub default_user: ShortString,
    /// Its password.
    pub default_pass: SecretSlice<u8>,
    /// How new passwords are hashed.
    pub password_hashing: PasswordHashing,
    /// As whom clients come in that do not say who they are, if they may.
    pub anonymous_login_user: Option<ShortString>,
    /// Tokens that are taken for passwords, if any are.
    pub oauth: Option<OauthConfig>,
    /// Who is asked about clients that log in.
    pub backends: BackendsConfig,
    /// Definitions that are made at each start.
    pub load_definitions: Option<PathBuf>,
    /// Users that may connect from the same machine only.
    pub loopback_users: Vec<String>,
    /// Proposed in `connection.tune`, bytes.
    pub frame_max: u32,
    /// Proposed in `connection.tune`.
    pub channel_max: u16,
    /// Consumers on one channel; RabbitMQ's `consumer_max_per_channel`, which has no limit by default either.
    pub consumers_per_channel_max: Option<u32>,
    /// Proposed in `connection.tune`, seconds.
    pub heartbeat: u16,
    /// Connections at once.
    pub connection_max: usize,
    /// Largest body, bytes.
    pub max_message_size: u64,
    /// Bytes of messages above which publishers are blocked.
    pub memory_limit_bytes: usize,
    /// Where that comes from.
    pub memory: MemoryBudget,
    /// Size of the log's segments, and the room that the disk must have.
    pub store: StoreConfig,
    /// How long a consumer may hold a message of a quorum queue, if neither it nor its queue says so, in milliseconds.
    pub consumer_timeout: Option<u64>,
    /// From connecting to `connection.open`.
    pub handshake_timeout: Duration,
    /// Where spans of sampled messages go, if they do: the address for traces. `None` without the cargo feature `opentelemetry`.
    pub otlp_endpoint: Option<String>,
    /// What is logged.
    pub log: LogFilter,
    /// In which form.
    pub log_format: LogFormat,
    /// Policies of the default virtual host that are set at each start.
    pub policies: Vec<PolicySettings>,
    /// The same for operator policies.
    pub operator_policies: Vec<PolicySettings>,
    said: Arc<Said>,
}

/// How messages are kept.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Size of a segment of the log.
    pub segment_bytes: u32,
    /// Room on the disk below which publishers are blocked.
    pub disk_free_limit: u64,
}

/// Why the configuration cannot be used: one line for stderr, and the place if it is in the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("cannot read configuration file {}: {source}", path.display())]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what we know.
    #[error("configuration file {}: {message}", path.display())]
    Malformed {
        /// As given.
        path: PathBuf,
        /// Where and why, on several lines.
        message: String,
    },
    /// A value is out of its range.
    #[error("{name}: {message}")]
    Invalid {
        /// The setting's name.
        name: &'static str,
        /// What is wrong.
        message: String,
    },
}

impl Config {
    /// The same as [`load`](Self::load), with what RabbitMQ's variables say, which beat the file too. `read` reads one of them.
    pub fn load_in(flags: Settings, read: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let own = flags.names();
        let mut outside = flags.over(environment::rabbitmq(read)?);
        let theirs = outside.names().into_iter().filter(|name| !own.contains(name));
        outside.by_variable.extend(theirs);
        Self::load(outside)
    }

    /// Reads the file that `flags` names, if any, and fills in the defaults.
    pub fn load(flags: Settings) -> Result<Self, ConfigError> {
        let file = flags.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        Self::validate(Said::new(flags, file))
    }

    /// The same with what the file says now. `None` if there is no file: then nothing can have changed.
    pub fn load_again(&self) -> Option<Result<Self, ConfigError>> {
        let outside = &self.said.outside;
        outside.config.is_some().then(|| Self::load(outside.clone()))
    }

    /// The configuration file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.said.outside.config.as_deref()
    }

    fn validate(said: Said) -> Result<Self, ConfigError> {
        let settings = said.all.clone();
        let memory = MemoryBudget::new(settings.memory_limit_bytes)?;
        let oauth = OauthConfig::from_settings(&settings)?;
        let backends = BackendsConfig::from_settings(&settings)?;
        let tls = TlsConfig::new(&settings)?;
        Ok(Self {
            amqps_listen: tls_addresses("amqps-listen", settings.amqps_listen, tls.as_ref())?,
            http_listen_is_default: settings.http_listen.is_none(),
            http_listen: addresses_or_none("http-listen", settings.http_listen, &["127.0.0.1:15672"])?,
            https_listen: tls_addresses("https-listen", settings.https_listen, tls.as_ref())?,
            metrics_listen_is_default: settings.metrics_listen.is_none(),
            metrics_listen: addresses_or_none(
                "metrics-listen",
                settings.metrics_listen,
                &["127.0.0.1:15692"],
            )?,
            http_cors_origins: settings.http_cors_origins.unwrap_or_default(),
            http_hsts: settings.http_hsts.map(http::hsts).transpose()?,
            http_rates: HttpRates::new(settings.http_rate_per_address, settings.http_rate_per_user)?,
            tls,
            proxy_protocol_from: tls::networks(
                "proxy-protocol-from",
                settings.proxy_protocol_from.as_deref(),
            )?,
            amqp_listen: addresses("amqp-listen", settings.amqp_listen, &["127.0.0.1:5672"])?,
            data_dir: folder("data-dir", settings.data_dir)?,
            default_vhost: name("default-vhost", settings.default_vhost, "/")?,
            default_user: name("default-user", settings.default_user, "guest")?,
            default_pass: password::default_pass(settings.default_pass, settings.default_pass_file)?,
            password_hashing: settings.password_hashing.unwrap_or_default(),
            oauth,
            backends,
            anonymous_login_user: name("anonymous-login-user", settings.anonymous_login_user, "none")
                .map(|name| Some(name).filter(|name| *name != "none"))?,
            load_definitions: settings.load_definitions,
            loopback_users: settings.loopback_users.unwrap_or_else(|| vec!["guest".into()]),
            frame_max: size_in_range(
                "frame-max",
                settings.frame_max,
                limits::FRAME_SIZE_BYTES_MAX,
                limits::FRAME_SIZE_BYTES_MIN..=limits::FRAME_SIZE_BYTES_MAX,
            )?,
            channel_max: in_range(
                "channel-max",
                settings.channel_max,
                limits::CHANNELS_PER_CONNECTION_MAX,
                1..=limits::CHANNELS_PER_CONNECTION_MAX,
            )?,
            consumers_per_channel_max: settings.consumers_per_channel_max.filter(|max| *max > 0),
            heartbeat: settings.heartbeat.unwrap_or(limits::HEARTBEAT_SECONDS),
            connection_max: in_range(
                "connection-max",
                settings.connection_max,
                limits::CONNECTIONS_MAX,
                1..=limits::CONNECTIONS_MAX,
            )?,
            max_message_size: size_in_range(
                "max-message-size",
                settings.max_message_size,
                limits::MESSAGE_SIZE_BYTES_MAX_DEFAULT,
                1..=limits::MESSAGE_SIZE_BYTES_MAX_HARD,
            )?,
            memory_limit_bytes: memory.limit_bytes,
            memory,
            store: StoreConfig::new(settings.segment_bytes, settings.disk_free_limit)?,
            consumer_timeout: consumer_timeout(settings.consumer_timeout)?,
            handshake_timeout: handshake_timeout(settings.handshake_timeout_ms)?,
            otlp_endpoint: settings.otlp_endpoint.map(otlp::endpoint).transpose()?,
            log: settings.log.unwrap_or_default(),
            log_format: settings.log_format.unwrap_or_default(),
            policies: settings.policies,
            operator_policies: settings.operator_policies,
            said: Arc::new(said),
        })
    }
}

/// Milliseconds; zero: none.
fn consumer_timeout(milliseconds: Option<u64>) -> Result<Option<u64>, ConfigError> {
    let range = 0..=limits::CONSUMER_TIMEOUT_MS_MAX;
    let timeout = in_range("consumer-timeout", milliseconds, limits::CONSUMER_TIMEOUT_MS, range)?;
    Ok(Some(timeout).filter(|timeout| *timeout > 0))
}

fn handshake_timeout(milliseconds: Option<u64>) -> Result<Duration, ConfigError> {
    let range = 1..=limits::HANDSHAKE_TIMEOUT_MS_MAX;
    in_range("handshake-timeout-ms", milliseconds, limits::HANDSHAKE_TIMEOUT_MS, range)
        .map(Duration::from_millis)
}

fn read_file(path: &Path) -> Result<Settings, ConfigError> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
    toml::from_str(&text).map_err(|error| ConfigError::Malformed {
        path: path.into(),
        message: password::malformed(&text, &error),
    })
}

impl StoreConfig {
    fn new(segment_bytes: Option<Size>, disk_free_limit: Option<Size>) -> Result<Self, ConfigError> {
        Ok(Self {
            segment_bytes: size_in_range(
                "segment-bytes",
                segment_bytes,
                limits::SEGMENT_BYTES_DEFAULT,
                limits::SEGMENT_BYTES_MIN..=limits::SEGMENT_BYTES_MAX,
            )?,
            disk_free_limit: size_in_range(
                "disk-free-limit",
                disk_free_limit,
                limits::DISK_FREE_BYTES_DEFAULT,
                0..=limits::DISK_FREE_BYTES_MAX,
            )?,
        })
    }
}

fn addresses(
    name: &'static str,
    texts: Option<Vec<String>>,
    default: &[&str],
) -> Result<Vec<SocketAddr>, ConfigError> {
    if texts.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid(name, "no address".into()));
    }
    let texts = texts.unwrap_or_else(|| default.iter().map(|text| (*text).into()).collect());
    texts.iter().map(|text| listen::address(text).map_err(|error| invalid(name, error))).collect()
}

/// Addresses, or the word for none.
fn addresses_or_none(
    name: &'static str,
    texts: Option<Vec<String>>,
    default: &[&str],
) -> Result<Vec<SocketAddr>, ConfigError> {
    if texts.as_deref().is_some_and(|texts| *texts == ["none"]) {
        return Ok(Vec::new());
    }
    addresses(name, texts, default)
}

/// Addresses for TLS, which needs a certificate.
fn tls_addresses(
    name: &'static str,
    texts: Option<Vec<String>>,
    tls: Option<&TlsConfig>,
) -> Result<Vec<SocketAddr>, ConfigError> {
    let addresses = addresses(name, texts, &[])?;
    if tls.is_none() && !addresses.is_empty() {
        return Err(invalid(name, "needs tls-cert and tls-key".into()));
    }
    Ok(addresses)
}

fn folder(name: &'static str, path: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let path = path.unwrap_or_else(|| "leveret-data".into());
    if path.as_os_str().is_empty() { Err(invalid(name, "is empty".into())) } else { Ok(path) }
}

/// A name that clients can send: not empty, without zero octets, which end a text of SASL, and one that fits AMQP's short strings.
fn name(name: &'static str, value: Option<String>, default: &str) -> Result<ShortString, ConfigError> {
    let value = value.unwrap_or_else(|| default.into());
    if value.is_empty() {
        return Err(invalid(name, "is empty".into()));
    }
    if value.contains('\0') {
        return Err(invalid(name, "has a zero octet, which no client can send".into()));
    }
    ShortString::try_from(value).map_err(|error| invalid(name, error.to_string()))
}

fn size_in_range<T>(
    name: &'static str,
    value: Option<Size>,
    default: T,
    range: RangeInclusive<T>,
) -> Result<T, ConfigError>
where
    T: Copy + TryFrom<u64>,
    u64: From<T>,
{
    let Some(Size(value)) = value else { return Ok(default) };
    let range = u64::from(*range.start())..=u64::from(*range.end());
    let checked = in_range(name, Some(value), value, range)?;
    T::try_from(checked).map_err(|_| invalid(name, format!("{checked} is too large")))
}

fn in_range<T: PartialOrd + std::fmt::Display + Copy>(
    name: &'static str,
    value: Option<T>,
    default: T,
    range: RangeInclusive<T>,
) -> Result<T, ConfigError> {
    let value = value.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    Err(invalid(name, format!("{value} is not between {} and {}", range.start(), range.end())))
}

fn invalid(name: &'static str, message: String) -> ConfigError {
    ConfigError::Invalid { name, message }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "heartbeat = 7\nchannel-max = 9").unwrap();
        let flags = Settings { config: Some(file.path().into()), heartbeat: Some(3), ..Settings::default() };
        let config = Config::load(flags).unwrap();
        assert_eq!((config.heartbeat, config.channel_max), (3, 9));
        assert_eq!(config.frame_max, limits::FRAME_SIZE_BYTES_MAX);
    }

    #[test]
    fn an_unknown_key_is_shown_where_it_stands_and_a_value_out_of_range_is_one_line() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "no-such-key = 1").unwrap();
        let load = |settings| Config::load(settings).unwrap_err().to_string();
        let error = load(Settings { config: Some(file.path().into()), ..Settings::default() });
        assert!(error.contains("\n1 | no-such-key = 1\n  | ^^^^^^^^^^^\n"), "{error}");
        let error = load(Settings { frame_max: Some(Size(100)), ..Settings::default() });
        assert_eq!(error, "frame-max: 100 is not between 8192 and 131072");
        let error = load(Settings { config: Some("/nonexistent.toml".into()), ..Settings::default() });
        assert!(error.starts_with("cannot read configuration file /nonexistent.toml"), "{error}");
    }

    #[test]
    fn the_file_takes_sizes_with_units_and_a_text_for_a_list_of_one() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "amqp-listen = ':5673'\nloopback-users = 'a'\nmax-message-size = '1MiB'\nsegment-bytes = 65536\nlog = 'debug'";
        writeln!(file, "{text}").unwrap();
        let config =
            Config::load(Settings { config: Some(file.path().into()), ..Settings::default() }).unwrap();
        assert_eq!(config.amqp_listen, ["127.0.0.1:5673".parse().unwrap()]);
        assert_eq!(config.loopback_users, ["a"]);
        assert_eq!((config.max_message_size, config.store.segment_bytes), (1 << 20, 65_536));
        assert_eq!(config.log, "debug".parse().unwrap());
    }
}
