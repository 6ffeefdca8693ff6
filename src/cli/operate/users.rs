//! Users: added, changed, deleted, limited.

use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    client::Address,
    error::Error,
    options::{Context, ask_password},
    values::object,
};

/// What is done to users.
#[derive(Subcommand)]
pub enum Command {
    /// Add a user
    AddUser {
        /// Its name
        name: String,
        /// Its password; asked for, or read from standard input, if it is not given
        password: Option<SecretString>,
        /// PASSWORD is the hash of one, as leveret hash-password makes it
        #[arg(long)]
        pre_hashed_password: bool,
        /// A tag, such as administrator; may be given several times
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
    },
    /// Give a user another password
    ChangePassword {
        /// Its name
        name: String,
        /// The new password; asked for, or read from standard input, if it is not given
        password: Option<SecretString>,
    },
    /// Delete a user; its connections are closed
    DeleteUser {
        /// Its name
        name: String,
    },
    /// Set the tags of a user in the place of those that it has; without any it has none
    SetUserTags {
        /// Its name
        name: String,
        /// management, policymaker, monitoring, administrator, or others
        tags: Vec<String>,
    },
    /// Set limits of a user: max-connections, max-channels, max-messages-per-second, max-bytes-per-second
    SetUserLimits {
        /// Its name
        name: String,
        /// As JSON: {"max-connections": 10}; negative numbers are none
        #[arg(value_parser = object)]
        limits: Value,
    },
    /// Take limits of a user away
    ClearUserLimits {
        /// Its name
        name: String,
        /// The limit, or all
        limit: String,
    },
}

fn address(name: &str) -> Address {
    Address::new(&["users", name], format!("user '{name}'"))
}

/// Does it.
pub fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let client = &context.client;
    match command {
        Command::AddUser { name, password, pre_hashed_password, tags } => {
            if client.find(&address(name))?.is_some() {
                return Err(Error::Failed(format!(
                    "user '{name}' is there already: leveret change-password, leveret set-user-tags"
                )));
            }
            let password = given(password.as_ref(), name)?;
            let password = password.expose_secret();
            let mut body = json!({ "tags": tags });
            if *pre_hashed_password {
                body["password_hash"] = json!(password);
                body["hashing_algorithm"] = json!(algorithm_of(password));
            } else {
                body["password"] = json!(password);
            }
            client.put(&address(name), &body)
        }
        Command::ChangePassword { name, password } => {
            let user = client.get(&address(name))?;
            let password = given(password.as_ref(), name)?;
            let body = json!({ "tags": user["tags"], "password": password.expose_secret() });
            client.put(&address(name), &body)
        }
        Command::DeleteUser { name } => client.delete(&address(name), None),
        Command::SetUserTags { name, tags } => {
            let user = client.get(&address(name))?;
            let body = json!({
                "tags": tags,
                "password_hash": user["password_hash"],
                "hashing_algorithm": user["hashing_algorithm"],
            });
            client.put(&address(name), &body)
        }
        Command::SetUserLimits { name, limits } => set_limits(context, "user-limits", name, limits),
        Command::ClearUserLimits { name, limit } => clear_limits(context, "user-limits", name, limit),
    }
}

fn given(password: Option<&SecretString>, name: &str) -> Result<SecretString, Error> {
    match password {
        Some(password) => Ok(password.clone()),
        None => ask_password(&format!("new password of {name}: ")),
    }
}

/// RabbitMQ's hashes do not say how they were made: by SHA-256, which is how it makes them.
fn algorithm_of(hash: &str) -> &'static str {
    if hash.starts_with("$argon2id$") {
        "leveret_password_hashing_argon2id"
    } else {
        "rabbit_password_hashing_sha256"
    }
}

/// A limit of a user or of a virtual host.
fn limit_address(kind: &str, name: &str, limit: &str) -> Address {
    let owner = if kind == "user-limits" { "user" } else { "virtual host" };
    Address::new(&[kind, name, limit], format!("{owner} '{name}'"))
}

/// Sets limits of a user or of a virtual host: each has an address of its own.
pub fn set_limits(context: &Context, kind: &str, name: &str, limits: &Value) -> Result<(), Error> {
    for (limit, max) in limits.as_object().into_iter().flatten() {
        context.client.put(&limit_address(kind, name, limit), &json!({ "value": max }))?;
    }
    Ok(())
}

/// Takes one of them away, or all.
pub fn clear_limits(context: &Context, kind: &str, name: &str, limit: &str) -> Result<(), Error> {
    if limit != "all" {
        return context.client.delete(&limit_address(kind, name, limit), None);
    }
    let owner = if kind == "user-limits" { "user" } else { "virtual host" };
    let all = context.client.list(&Address::new(&[kind, name], format!("{owner} '{name}'")))?;
    for limit in all.iter().filter_map(|its| its["value"].as_object()).flat_map(|limits| limits.keys()) {
        context.client.delete(&limit_address(kind, name, limit), None)?;
    }
    Ok(())
}
