//! What the broker is called.

use std::sync::LazyLock;

/// The name of this node, like RabbitMQ's: `leveret@host`.
pub fn node_name() -> &'static str {
    static NAME: LazyLock<String> =
        LazyLock::new(|| format!("leveret@{}", rustix::system::uname().nodename().to_string_lossy()));
    &NAME
}
