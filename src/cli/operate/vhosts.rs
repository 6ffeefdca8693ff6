//! Virtual hosts: added, deleted, limited; and who may do what in them.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    client::Address,
    error::Error,
    options::Context,
    users::{clear_limits, set_limits},
    values::object,
};

/// What is done to virtual hosts.
#[derive(Subcommand)]
pub enum Command {
    /// Add a virtual host; who adds it has all permissions in it
    AddVhost {
        /// Its name
        name: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// A tag; may be given several times
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// The type of queues that are declared without one
        #[arg(long, value_name = "TYPE", value_parser = ["classic", "quorum"])]
        default_queue_type: Option<String>,
    },
    /// Delete a virtual host with all that is in it
    DeleteVhost {
        /// Its name
        name: String,
    },
    /// Set limits of the virtual host: max-connections, max-queues, max-messages-per-second, max-bytes-per-second, max-memory-bytes, max-disk-bytes
    SetVhostLimits {
        /// As JSON: {"max-queues": 10}; negative numbers are none
        #[arg(value_parser = object)]
        limits: Value,
    },
    /// Take limits of the virtual host away
    ClearVhostLimits {
        /// The limit
        #[arg(default_value = "all")]
        limit: String,
    },
    /// Say what a user may do in the virtual host: regular expressions of names
    SetPermissions {
        /// Who
        user: String,
        /// What it may declare and delete
        configure: String,
        /// What it may publish to
        write: String,
        /// What it may consume from
        read: String,
    },
    /// Take all permissions in the virtual host from a user
    ClearPermissions {
        /// Who
        user: String,
    },
    /// Say which routing keys of a topic exchange a user may use: regular expressions
    SetTopicPermissions {
        /// Who
        user: String,
        /// The exchange
        exchange: String,
        /// Keys that it may publish with
        write: String,
        /// Keys that it may bind with
        read: String,
    },
    /// Let a user use all routing keys again, of one exchange or of all
    ClearTopicPermissions {
        /// Who
        user: String,
        /// The exchange
        exchange: Option<String>,
    },
}

fn address(name: &str) -> Address {
    Address::new(&["vhosts", name], format!("virtual host '{name}'"))
}

/// What a user may do in the virtual host that the command is for.
fn permissions(kind: &str, user: &str, more: Option<&str>, context: &Context) -> Address {
    let words: Vec<_> = [kind, &context.vhost, user].into_iter().chain(more).collect();
    let what = match kind {
        "permissions" => "permissions",
        _ => "topic permissions",
    };
    let of = format!("user '{user}' in virtual host '{}', or no {what} of it", context.vhost);
    Address::new(&words, of)
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let client = &context.client;
    match command {
        Command::AddVhost { name, description, tags, default_queue_type } => {
            let mut body = json!({});
            if let Some(description) = description {
                body["description"] = json!(description);
            }
            if !tags.is_empty() {
                body["tags"] = json!(tags);
            }
            if let Some(kind) = default_queue_type {
                body["default_queue_type"] = json!(kind);
            }
            client.put(&address(name), &body)
        }
        Command::DeleteVhost { name } => client.delete(&address(name), None),
        Command::SetVhostLimits { limits } => set_limits(context, "vhost-limits", &context.vhost, limits),
        Command::ClearVhostLimits { limit } => clear_limits(context, "vhost-limits", &context.vhost, limit),
        Command::SetPermissions { user, configure, write, read } => {
            let body = json!({ "configure": configure, "write": write, "read": read });
            client.put(&permissions("permissions", user, None, context), &body)
        }
        Command::ClearPermissions { user } => {
            client.delete(&permissions("permissions", user, None, context), None)
        }
        Command::SetTopicPermissions { user, exchange, write, read } => {
            let body = json!({ "exchange": exchange, "write": write, "read": read });
            client.put(&permissions("topic-permissions", user, None, context), &body)
        }
        Command::ClearTopicPermissions { user, exchange } => {
            client.delete(&permissions("topic-permissions", user, exchange.as_deref(), context), None)
        }
    }
}
