//! A broker, and as whom attackers and victims come to it.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use crate::{
    entry::Entry,
    node::Node,
    tls::{Files, text},
};

pub struct World {
    pub node: Node,
    pub attacker: Entry,
    pub victim: Entry,
    /// What the broker reads.
    _files: Option<(Files, TempDir)>,
}

/// What an attacker has that is an ordinary user of a virtual host of its own.
pub struct Tenancy {
    /// The expression of its permissions.
    pub permitted: String,
    /// The patterns of its virtual host's policies.
    pub policies: Vec<String>,
}

impl Default for Tenancy {
    fn default() -> Self {
        Self { permitted: ".*".to_owned(), policies: Vec::new() }
    }
}

impl World {
    /// Everybody is the default user, in the clear.
    pub fn of_guest(args: &[&str]) -> Self {
        let node = Node::with(args);
        let guest = Entry::guest(node.address());
        Self { node, attacker: guest.clone(), victim: guest, _files: None }
    }

    /// The broker speaks TLS as well, and has two virtual hosts with a user each. Victims come over TLS.
    pub fn of_tenants(args: &[&str], tenancy: &Tenancy, attackers_speak_tls: bool) -> Self {
        let (files, folder) = (Files::new(), TempDir::new().unwrap());
        let definitions = folder.path().join("definitions.json");
        fs::write(&definitions, written(tenancy)).unwrap();
        let [cert, key] = ["cert", "key"].map(|name| files.path(name));
        let more = [
            ["--amqps-listen", "127.0.0.1:0"],
            ["--tls-cert", text(&cert)],
            ["--tls-key", text(&key)],
            ["--load-definitions", text(&definitions)],
        ];
        let node = Node::with(&[args, more.as_flattened()].concat());
        let entry = |name: &str, speaks_tls| {
            let mut entry = Entry::guest(node.address());
            name.clone_into(&mut entry.user);
            entry.vhost = format!("of the {name}s");
            PASSWORD.clone_into(&mut entry.password);
            if speaks_tls {
                node.tls_address().expect("it speaks TLS").clone_into(&mut entry.address);
                entry.tls = Some(files.client());
            }
            entry
        };
        let (attacker, victim) = (entry("attacker", attackers_speak_tls), entry("victim", true));
        Self { node, attacker, victim, _files: Some((files, folder)) }
    }
}

fn written(tenancy: &Tenancy) -> String {
    const NAMES: [&str; 2] = ["attacker", "victim"];
    let users = NAMES.map(|name| json!({ "name": name, "password_hash": HASH, "tags": "" }));
    let vhosts = NAMES.map(|name| json!({ "name": format!("of the {name}s") }));
    let permissions = NAMES.map(|name| {
        let permitted = if name == "attacker" { &*tenancy.permitted } else { ".*" };
        let vhost = format!("of the {name}s");
        json!({ "user": name, "vhost": vhost, "configure": permitted, "write": permitted, "read": permitted })
    });
    let policies = tenancy.policies.iter().enumerate().map(|(n, pattern)| {
        let definition = json!({ "max-length": 100_000 + n });
        json!({
            "vhost": "of the attackers", "name": format!("{n}"), "pattern": pattern, "definition": definition,
        })
    });
    let policies: Vec<_> = policies.collect();
    let document = json!({
        "users": users, "vhosts": vhosts, "permissions": permissions, "policies": policies,
    });
    document.to_string()
}

const PASSWORD: &str = "test12";
/// RabbitMQ's hash of it, with the salt of its manual.
const HASH: &str = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
