//! The same settings as flags, environment variables and keys of the configuration file: one list for all three.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

/// What was said, before defaults and checks. Keys in the file are the flags' names without the dashes in front.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Configuration file (TOML; keys are these flags' names)
    #[arg(long, env = "LEVERET_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Listen here for AMQP; may be given several times [default: 127.0.0.1:5672]
    #[arg(long, env = "LEVERET_AMQP_LISTEN", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub amqp_listen: Option<Vec<String>>,
    /// Data folder [default: ./leveret-data]
    #[arg(long, env = "LEVERET_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Virtual host that exists from the start [default: /]
    #[arg(long, env = "LEVERET_DEFAULT_VHOST", value_name = "NAME")]
    pub default_vhost: Option<String>,
    /// User that exists from the start [default: guest]
    #[arg(long, env = "LEVERET_DEFAULT_USER", value_name = "NAME")]
    pub default_user: Option<String>,
    /// Password of the default user [default: guest]
    #[arg(long, env = "LEVERET_DEFAULT_PASS", value_name = "PASSWORD", hide_env_values = true)]
    pub default_pass: Option<String>,
    /// Users that may only connect from this machine; empty for none [default: guest]
    #[arg(long, env = "LEVERET_LOOPBACK_USERS", value_name = "NAMES", value_delimiter = ',', num_args = 0..)]
    pub loopback_users: Option<Vec<String>>,
    /// Largest frame, in bytes [default: 131072]
    #[arg(long, env = "LEVERET_FRAME_MAX", value_name = "BYTES")]
    pub frame_max: Option<u32>,
    /// Channels on one connection [default: 2047]
    #[arg(long, env = "LEVERET_CHANNEL_MAX", value_name = "N")]
    pub channel_max: Option<u16>,
    /// Heartbeat interval to propose, in seconds; 0 for none [default: 60]
    #[arg(long, env = "LEVERET_HEARTBEAT", value_name = "SECONDS")]
    pub heartbeat: Option<u16>,
    /// Connections at once [default: 100000]
    #[arg(long, env = "LEVERET_CONNECTION_MAX", value_name = "N")]
    pub connection_max: Option<usize>,
    /// Largest message body, in bytes [default: 16777216]
    #[arg(long, env = "LEVERET_MAX_MESSAGE_SIZE", value_name = "BYTES")]
    pub max_message_size: Option<u64>,
    /// Bytes of messages above which publishers are blocked [default: 0.4 of memory]
    #[arg(long, env = "LEVERET_MEMORY_LIMIT_BYTES", value_name = "BYTES")]
    pub memory_limit_bytes: Option<usize>,
    /// Room on the disk, in bytes, below which publishers are blocked [default: 268435456]
    #[arg(long, env = "LEVERET_DISK_FREE_LIMIT", value_name = "BYTES")]
    pub disk_free_limit: Option<u64>,
    /// Size of a segment of the log, in bytes [default: 67108864]
    #[arg(long, env = "LEVERET_SEGMENT_BYTES", value_name = "BYTES")]
    pub segment_bytes: Option<u32>,
    /// How long a consumer may hold a message of a quorum queue, in milliseconds, 0 without limit [default: 1800000]
    #[arg(long, env = "LEVERET_CONSUMER_TIMEOUT", value_name = "MS")]
    pub consumer_timeout: Option<u64>,
    /// Time for a client to get through the handshake, in milliseconds [default: 10000]
    #[arg(long, env = "LEVERET_HANDSHAKE_TIMEOUT_MS", value_name = "MS")]
    pub handshake_timeout_ms: Option<u64>,
    /// Policies of the default virtual host; in the file only
    #[arg(skip)]
    pub policies: Vec<PolicySettings>,
    /// The same for operator policies
    #[arg(skip)]
    pub operator_policies: Vec<PolicySettings>,
}

/// A policy as it stands in the configuration file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
    pub fn over(self, lower: Self) -> Self {
        Self {
            config: self.config.or(lower.config),
            amqp_listen: self.amqp_listen.or(lower.amqp_listen),
            data_dir: self.data_dir.or(lower.data_dir),
            default_vhost: self.default_vhost.or(lower.default_vhost),
            default_user: self.default_user.or(lower.default_user),
            default_pass: self.default_pass.or(lower.default_pass),
            loopback_users: self.loopback_users.or(lower.loopback_users),
            frame_max: self.frame_max.or(lower.frame_max),
            channel_max: self.channel_max.or(lower.channel_max),
            heartbeat: self.heartbeat.or(lower.heartbeat),
            connection_max: self.connection_max.or(lower.connection_max),
            max_message_size: self.max_message_size.or(lower.max_message_size),
            memory_limit_bytes: self.memory_limit_bytes.or(lower.memory_limit_bytes),
            disk_free_limit: self.disk_free_limit.or(lower.disk_free_limit),
            segment_bytes: self.segment_bytes.or(lower.segment_bytes),
            consumer_timeout: self.consumer_timeout.or(lower.consumer_timeout),
            handshake_timeout_ms: self.handshake_timeout_ms.or(lower.handshake_timeout_ms),
            policies: lower.policies,
            operator_policies: lower.operator_policies,
        }
    }
}
