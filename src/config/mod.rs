//! What the broker is told: flags over environment over file over defaults, merged into one validated, immutable
//! [`Config`]. Nobody else reads flags or the environment.

mod settings;

use std::{
    fs,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

pub use settings::{PolicySettings, Settings};

use crate::limits;
use crate::protocol::ShortString;

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses for AMQP.
    pub amqp_listen: Vec<SocketAddr>,
    /// The data folder.
    pub data_dir: PathBuf,
    /// The virtual host that exists from the start.
    pub default_vhost: ShortString,
    /// The user that exists from the start.
    pub default_user: String,
    /// Its password.
    pub default_pass: String,
    /// Users that may connect from the same machine only.
    pub loopback_users: Vec<String>,
    /// Proposed in `connection.tune`, bytes.
    pub frame_max: u32,
    /// Proposed in `connection.tune`.
    pub channel_max: u16,
    /// Proposed in `connection.tune`, seconds.
    pub heartbeat: u16,
    /// Connections at once.
    pub connection_max: usize,
    /// Largest body, bytes.
    pub max_message_size: u64,
    /// Bytes of messages above which publishers are blocked.
    pub memory_limit_bytes: usize,
    /// Size of the log's segments, and the room that the disk must have.
    pub store: StoreConfig,
    /// How long a consumer may hold a message of a quorum queue, if neither it nor its queue says so, in milliseconds.
    pub consumer_timeout: Option<u64>,
    /// From connecting to `connection.open`.
    pub handshake_timeout: Duration,
    /// Policies of the default virtual host that are set at each start.
    pub policies: Vec<PolicySettings>,
    /// The same for operator policies.
    pub operator_policies: Vec<PolicySettings>,
}

/// How messages are kept.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Size of a segment of the log.
    pub segment_bytes: u32,
    /// Room on the disk below which publishers are blocked.
    pub disk_free_limit: u64,
}

/// Why the configuration cannot be used; one line for stderr.
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
        /// Where and why, on one line.
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
    /// Reads the file that `flags` names, if any, and fills in the defaults.
    pub fn load(flags: Settings) -> Result<Self, ConfigError> {
        let merged = match &flags.config {
            None => flags,
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
                let file: Settings = toml::from_str(&text).map_err(|error| ConfigError::Malformed {
                    path: path.clone(),
                    message: error.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
                })?;
                flags.over(file)
            }
        };
        Self::validate(merged)
    }

    fn validate(settings: Settings) -> Result<Self, ConfigError> {
        let listen = settings.amqp_listen.unwrap_or_else(|| vec!["127.0.0.1:5672".into()]);
        let default_user = settings.default_user.unwrap_or_else(|| "guest".into());
        Ok(Self {
            amqp_listen: addresses("amqp-listen", &listen)?,
            data_dir: settings.data_dir.unwrap_or_else(|| "leveret-data".into()),
            default_vhost: ShortString::try_from(settings.default_vhost.unwrap_or_else(|| "/".into()))
                .map_err(|error| invalid("default-vhost", error.to_string()))?,
            default_pass: settings.default_pass.unwrap_or_else(|| "guest".into()),
            loopback_users: settings.loopback_users.unwrap_or_else(|| vec!["guest".into()]),
            default_user,
            frame_max: in_range(
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
            heartbeat: settings.heartbeat.unwrap_or(limits::HEARTBEAT_SECONDS),
            connection_max: in_range(
                "connection-max",
                settings.connection_max,
                limits::CONNECTIONS_MAX,
                1..=limits::CONNECTIONS_MAX,
            )?,
            max_message_size: in_range(
                "max-message-size",
                settings.max_message_size,
                limits::MESSAGE_SIZE_BYTES_MAX_DEFAULT,
                1..=limits::MESSAGE_SIZE_BYTES_MAX_HARD,
            )?,
            memory_limit_bytes: settings.memory_limit_bytes.unwrap_or_else(default_memory_limit),
            store: StoreConfig {
                segment_bytes: in_range(
                    "segment-bytes",
                    settings.segment_bytes,
                    limits::SEGMENT_BYTES_DEFAULT,
                    limits::SEGMENT_BYTES_MIN..=limits::SEGMENT_BYTES_MAX,
                )?,
                disk_free_limit: settings.disk_free_limit.unwrap_or(limits::DISK_FREE_BYTES_DEFAULT),
            },
            consumer_timeout: Some(settings.consumer_timeout.unwrap_or(limits::CONSUMER_TIMEOUT_MS))
                .filter(|timeout| *timeout > 0),
            handshake_timeout: settings
                .handshake_timeout_ms
                .map_or(limits::HANDSHAKE_TIMEOUT, Duration::from_millis),
            policies: settings.policies,
            operator_policies: settings.operator_policies,
        })
    }
}

/// A share of the machine's memory, or of the cgroup's when that is smaller.
fn default_memory_limit() -> usize {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let total = system.cgroup_limits().map_or(system.total_memory(), |limits| limits.total_memory);
    total as usize / 100 * limits::MEMORY_PERCENT_DEFAULT
}

fn addresses(name: &'static str, texts: &[String]) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut found = Vec::new();
    for text in texts {
        let resolved = text.to_socket_addrs().map_err(|error| invalid(name, format!("'{text}': {error}")))?;
        found.extend(resolved.take(1));
    }
    if found.is_empty() {
        return Err(invalid(name, "no address".into()));
    }
    Ok(found)
}

fn in_range<T: PartialOrd + std::fmt::Display + Copy>(
    name: &'static str,
    value: Option<T>,
    default: T,
    range: std::ops::RangeInclusive<T>,
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
    fn an_unknown_key_and_a_value_out_of_range_are_one_clear_line() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "no-such-key = 1").unwrap();
        let load = |settings| Config::load(settings).unwrap_err().to_string();
        let error = load(Settings { config: Some(file.path().into()), ..Settings::default() });
        assert!(error.contains("no-such-key") && !error.contains('\n'), "{error}");
        let error = load(Settings { frame_max: Some(100), ..Settings::default() });
        assert_eq!(error, "frame-max: 100 is not between 8192 and 131072");
        let error = load(Settings { config: Some("/nonexistent.toml".into()), ..Settings::default() });
        assert!(error.starts_with("cannot read configuration file /nonexistent.toml"), "{error}");
    }
}
