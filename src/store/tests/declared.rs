//! What is declared and set, one of everything that came with version 3 of the format: its fixtures hold these changes.

use crate::core::{
    access::{
        AccessChange as Access, HashAlgorithm, Limit, PasswordHash, PermissionsSpec, TopicPermissionsSpec,
        UserSpec,
    },
    change::TopologyChange as Topology,
    declared::{QueueType, VhostSettings},
};
use crate::protocol::ShortString;
use crate::store::checkpoint::Entity;

fn name(text: &'static str) -> ShortString {
    ShortString::from_static(text)
}

fn of(vhost: &'static str, change: Topology) -> Entity {
    Entity::Topology { vhost: name(vhost), change }
}

/// A user with everything that one can have.
pub(in crate::store) fn user(text: &'static str) -> UserSpec {
    UserSpec {
        name: name(text),
        password: PasswordHash { algorithm: HashAlgorithm::Sha256, bytes: Box::from(*b"saltandhash") },
        tags: vec![name("administrator"), name("own")],
        limits: [(Limit::MaxConnections, 10), (Limit::MaxBytesPerSecond, 1 << 40)].into_iter().collect(),
    }
}

/// Settings, none of them as it is of itself.
pub(in crate::store) fn settings() -> VhostSettings {
    VhostSettings {
        description: "für alle".into(),
        tags: vec![name("production")],
        default_queue_type: Some(QueueType::Quorum),
        tracing: true,
        limits: Limit::ALL.into_iter().filter(|limit| limit.is_of_vhosts()).zip(1..).collect(),
    }
}

fn permissions(user: &'static str) -> Access {
    let (configure, write, read) = ("^own".into(), ".*".into(), String::new());
    Access::PermissionsSet(PermissionsSpec { user: name(user), vhost: name("/"), configure, write, read })
}

fn topics(exchange: &'static str) -> Access {
    let (user, vhost, exchange) = (name("u"), name("/"), name(exchange));
    let (write, read) = ("^{username}".into(), ".*".into());
    Access::TopicPermissionsSet(TopicPermissionsSpec { user, vhost, exchange, write, read })
}

/// A record of each kind: what stays, what goes again, and what is only half gone.
pub(in crate::store) fn changes_of_version_3() -> Vec<Entity> {
    let (component, value) = (name("shovel"), || "{\"src-uri\":\"amqp://\"}".to_owned());
    let parameter =
        |text| Topology::ParameterSet { component: component.clone(), name: name(text), value: value() };
    let access = [
        Access::UserSet(user("u")),
        Access::UserSet(user("gone")),
        Access::UserDeleted(name("gone")),
        permissions("u"),
        permissions("gone"),
        Access::PermissionsDeleted { user: name("gone"), vhost: name("/") },
        topics("x"),
        topics("gone"),
        Access::TopicPermissionsDeleted { user: name("u"), vhost: name("/"), exchange: name("gone") },
        Access::GlobalParameterSet { name: name("cluster_name"), value: "\"a\"".into() },
        Access::GlobalParameterSet { name: name("gone"), value: "1".into() },
        Access::GlobalParameterDeleted(name("gone")),
    ];
    let topology = [
        of("/", Topology::VhostSet(settings())),
        of("/", parameter("p")),
        of("/", parameter("gone")),
        of("/", Topology::ParameterDeleted { component: component.clone(), name: name("gone") }),
        of("half", Topology::VhostSet(VhostSettings::default())),
        of("half", parameter("p")),
        of("half", Topology::VhostDeleted),
        of("gone", Topology::VhostSet(VhostSettings::default())),
        of("gone", Topology::VhostDeleted),
        of("gone", Topology::VhostCleared),
    ];
    access.into_iter().map(Entity::Access).chain(topology).collect()
}

/// The users, permissions and global parameters that are there after these changes.
pub(in crate::store) fn access_of_version_3() -> Vec<Access> {
    let value = "\"a\"".into();
    let parameter = Access::GlobalParameterSet { name: name("cluster_name"), value };
    vec![Access::UserSet(user("u")), permissions("u"), topics("x"), parameter]
}

/// What a virtual host has after these changes.
pub(in crate::store) fn topology_of_version_3(vhost: &str) -> Vec<Topology> {
    let (component, value) = (name("shovel"), "{\"src-uri\":\"amqp://\"}".to_owned());
    let parameter = Topology::ParameterSet { component, name: name("p"), value };
    match vhost {
        "/" => vec![Topology::VhostSet(settings()), parameter],
        "half" => vec![Topology::VhostDeleted, parameter],
        _ => Vec::new(),
    }
}
