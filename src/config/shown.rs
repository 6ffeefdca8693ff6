//! The configuration that holds, as operators may see it: no secrets.

use serde_json::{Value, json};

use super::Config;

impl Config {
    /// Each setting by its name, with the value that holds. Passwords and keys are not among them.
    pub fn shown(&self) -> Value {
        let addresses =
            |list: &[std::net::SocketAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        json!({
            "amqp-listen": addresses(&self.amqp_listen),
            "amqps-listen": addresses(&self.amqps_listen),
            "http-listen": addresses(&self.http_listen),
            "https-listen": addresses(&self.https_listen),
            "metrics-listen": addresses(&self.metrics_listen),
            "http-cors-origins": self.http_cors_origins,
            "tls-cert": self.tls.as_ref().map(|tls| tls.cert.display().to_string()),
            "proxy-protocol-from": self.proxy_protocol_from.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "data-dir": self.data_dir.display().to_string(),
            "default-vhost": self.default_vhost.to_string(),
            "default-user": self.default_user.to_string(),
            "default-pass": "[masked]",
            "load-definitions": self.load_definitions.as_ref().map(|path| path.display().to_string()),
            "loopback-users": self.loopback_users,
            "frame-max": self.frame_max,
            "channel-max": self.channel_max,
            "heartbeat": self.heartbeat,
            "connection-max": self.connection_max,
            "max-message-size": self.max_message_size,
            "memory-limit-bytes": self.memory_limit_bytes,
            "disk-free-limit": self.store.disk_free_limit,
            "segment-bytes": self.store.segment_bytes,
            "consumer-timeout": self.consumer_timeout,
            "handshake-timeout-ms": self.handshake_timeout.as_millis() as u64,
        })
    }
}
