//! Who may come to a [`GuardedHost`](super::GuardedHost), where to, and what each may make there.

use serde_json::{Value, json};

use crate::auth::{Secret, new_hash, write_hash};
use crate::config::PasswordHashing;

/// A user.
pub(super) struct User {
    pub(super) name: &'static str,
    pub(super) password: Password,
    /// Where it may come in.
    pub(super) vhost: Option<&'static str>,
    /// Configure, write, read.
    permissions: [&'static str; 3],
    /// Of connections, if there is one.
    connections_max: Option<u64>,
}

/// What lets a user in.
pub(super) enum Password {
    /// This, hashed as RabbitMQ does.
    Sha256(&'static str),
    /// This, by argon2id: the hash stands behind it, for it costs little.
    Argon2id(&'static str, &'static str),
    /// Nothing, because its hash is too old.
    Md5,
    /// Nothing.
    None,
}

impl Password {
    /// What has to be said, if there is something.
    pub(super) fn text(&self) -> Option<&'static str> {
        match self {
            Self::Sha256(text) | Self::Argon2id(text, _) => Some(text),
            Self::Md5 | Self::None => None,
        }
    }

    /// Algorithm and hash as definitions have them.
    fn hash(&self) -> (&'static str, String) {
        match self {
            Self::Sha256(text) => {
                let password = Secret::from(text.as_bytes().to_vec());
                let hash = new_hash(PasswordHashing::Sha256, &password);
                (hash.algorithm.name(), write_hash(&hash))
            }
            Self::Argon2id(_, hash) => ("leveret_password_hashing_argon2id", (*hash).into()),
            Self::Md5 => ("rabbit_password_hashing_md5", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".into()),
            Self::None => ("rabbit_password_hashing_sha256", String::new()),
        }
    }
}

/// All of them. `guest` is the one that every broker begins with, and may come from this machine alone.
pub(super) const USERS: &[User] = &[
    User {
        name: "guest",
        password: Password::Sha256("guest"),
        vhost: Some("/"),
        permissions: [".*"; 3],
        connections_max: None,
    },
    User {
        name: "team",
        password: Password::Sha256("the word of the team"),
        vhost: Some(TEAM),
        permissions: ["^(q[01]$|x[01]$|amq\\.gen-)", "^(q|x|amq\\.)", "^(?!amq\\.topic).*"],
        connections_max: Some(2),
    },
    User {
        name: "reader",
        password: Password::Argon2id("the word of the reader", READERS_HASH),
        vhost: Some(TEAM),
        permissions: ["", "", "^q"],
        connections_max: None,
    },
    User {
        name: "stranger",
        password: Password::Sha256("the word of the stranger"),
        vhost: None,
        permissions: [""; 3],
        connections_max: None,
    },
    User {
        name: "old",
        password: Password::Md5,
        vhost: Some(TEAM),
        permissions: [".*"; 3],
        connections_max: None,
    },
    User {
        name: "certified",
        password: Password::None,
        vhost: Some(TEAM),
        permissions: ["^q0$", ".*", ".*"],
        connections_max: None,
    },
];

/// As whom a client comes in that does not say who it is.
pub(super) const ANONYMOUS: &str = "reader";
/// The virtual host of those who are bounded.
pub(super) const TEAM: &str = "team";
/// Queues that it may have.
pub(super) const TEAM_QUEUES_MAX: usize = 4;
/// Channels that `team` may have.
pub(super) const TEAM_CHANNELS_MAX: usize = 5;
const READERS_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$zyjqwcGyiJoR/ze6v1DdD8Kl4g4T0cEERqeT3hXa9TY";

/// They and the virtual host, as a definitions document.
pub(super) fn definitions() -> Vec<u8> {
    let users: Vec<Value> = USERS.iter().map(written).collect();
    let permissions: Vec<Value> = USERS.iter().filter_map(permissions).collect();
    let limits = json!({ "max-queues": TEAM_QUEUES_MAX, "max-connections": 3 });
    let document = json!({
        "users": users,
        "vhosts": [{ "name": TEAM }],
        "permissions": permissions,
        "topic_permissions": [
            { "user": "team", "vhost": TEAM, "exchange": "x1", "write": "^a\\.|^{username}", "read": "^(a|q|#)" },
        ],
        "parameters": [
            { "vhost": TEAM, "component": "vhost-limits", "name": "limits", "value": limits },
        ],
        "policies": [
            { "vhost": TEAM, "name": "all", "pattern": "^(?!amq\\.)", "definition": { "max-length": 100 } },
        ],
    });
    document.to_string().into_bytes()
}

fn written(user: &User) -> Value {
    let (algorithm, hash) = user.password.hash();
    let mut limits = json!({});
    if let Some(max) = user.connections_max {
        limits = json!({ "max-connections": max, "max-channels": TEAM_CHANNELS_MAX });
    }
    json!({
        "name": user.name, "password_hash": hash, "hashing_algorithm": algorithm, "tags": "", "limits": limits,
    })
}

fn permissions(user: &User) -> Option<Value> {
    let ([configure, write, read], vhost) = (user.permissions, user.vhost?);
    let (user, vhost) = (user.name, vhost);
    Some(json!({ "user": user, "vhost": vhost, "configure": configure, "write": write, "read": read }))
}

/// Who may make a queue or exchange of this name in the virtual host of the bounded.
pub(super) fn may_be_made_by_the_bounded(name: &[u8]) -> bool {
    matches!(name, b"q0" | b"q1" | b"x0" | b"x1") || name.starts_with(b"amq.")
}
