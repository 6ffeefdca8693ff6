use super::*;
use crate::protocol::ShortString;

fn name(text: &'static str) -> ShortString {
    ShortString::from_static(text)
}

fn user(text: &'static str) -> UserSpec {
    let password = PasswordHash { algorithm: HashAlgorithm::Sha256, bytes: Box::from(*b"secret") };
    UserSpec { name: name(text), password, tags: vec![name("monitoring")], limits: Limits::default() }
}

fn permissions(user: &'static str, vhost: &'static str, patterns: [&str; 3]) -> PermissionsSpec {
    let [configure, write, read] = patterns.map(String::from);
    PermissionsSpec { user: name(user), vhost: name(vhost), configure, write, read }
}

fn topics(user: &'static str, exchange: &'static str, write: &str, read: &str) -> TopicPermissionsSpec {
    let (user, vhost, exchange) = (name(user), name("/"), name(exchange));
    TopicPermissionsSpec { user, vhost, exchange, write: write.into(), read: read.into() }
}

fn registry(changes: impl IntoIterator<Item = AccessChange>) -> Registry {
    let mut registry = Registry::default();
    changes.into_iter().for_each(|change| registry.apply(change).unwrap());
    registry
}

#[test]
fn each_permission_has_an_expression_of_its_own_and_an_empty_one_permits_nothing() {
    let set = permissions("u", "/", ["^own", "", ".*"]);
    let registry = registry([AccessChange::PermissionsSet(set)]);
    let grant = registry.grant(&name("u"), &name("/")).unwrap();
    for (permission, object, permitted) in [
        (Permission::Configure, "own.queue", true),
        (Permission::Configure, "their.own", false),
        (Permission::Write, "own.queue", false),
        (Permission::Write, "", true), // RabbitMQ's `^$`
        (Permission::Read, "anything", true),
        (Permission::Read, "", true),
    ] {
        assert_eq!(grant.permits(permission, object.as_bytes()), permitted, "{permission:?} {object}");
    }
    assert!(registry.grant(&name("u"), &name("other")).is_none());
    assert!(registry.grant(&name("other"), &name("/")).is_none());
}

#[test]
fn an_expression_that_cannot_be_read_changes_nothing() {
    let mut registry = registry([AccessChange::PermissionsSet(permissions("u", "/", ["a", "a", "a"]))]);
    for at in 0..3 {
        let mut patterns = ["b"; 3];
        patterns[at] = "(";
        assert!(registry.apply(AccessChange::PermissionsSet(permissions("u", "/", patterns))).is_err());
    }
    assert!(registry.apply(AccessChange::TopicPermissionsSet(topics("u", "x", "(", ""))).is_err());
    assert!(registry.apply(AccessChange::TopicPermissionsSet(topics("nobody", "x", "", "("))).is_err());
    let grant = registry.grant(&name("u"), &name("/")).unwrap();
    assert!(grant.permits(Permission::Write, b"a") && !grant.has_topics());
    assert_eq!(registry.topic_permissions().count(), 0);
}

#[test]
fn keys_count_for_the_exchanges_that_have_an_entry() {
    let spec = topics("u.", "x", "^{username}", r"^{vhost}\.k$");
    let topics = AccessChange::TopicPermissionsSet(spec);
    let permissions = AccessChange::PermissionsSet(permissions("u.", "/", [".*"; 3]));
    for changes in [[topics.clone(), permissions.clone()], [permissions, topics]] {
        let registry = registry(changes);
        let grant = registry.grant(&name("u."), &name("/")).unwrap();
        for (permission, exchange, key, permitted) in [
            (Permission::Write, "x", "u..k", true),
            (Permission::Write, "x", "uuu", false),
            (Permission::Read, "x", "/.k", true),
            (Permission::Read, "x", "u..k", false),
            (Permission::Write, "another", "anything", true),
            (Permission::Configure, "x", "anything", true),
        ] {
            let asked = grant.permits_topic(permission, exchange.as_bytes(), key.as_bytes());
            assert_eq!(asked, permitted, "{permission:?} {exchange} {key}");
        }
    }
}

#[test]
fn a_name_does_not_widen_a_permission() {
    let registry = registry([
        AccessChange::PermissionsSet(permissions(".*", "/", [".*"; 3])),
        AccessChange::TopicPermissionsSet(topics(".*", "x", "^{username}$", "")),
    ]);
    let grant = registry.grant(&name(".*"), &name("/")).unwrap();
    assert!(!grant.permits_topic(Permission::Write, b"x", b"another"));
    assert!(grant.permits_topic(Permission::Write, b"x", b".*"));
}

#[test]
fn who_goes_takes_its_permissions_along() {
    let changes = || {
        [
            AccessChange::UserSet(user("u")),
            AccessChange::UserSet(user("v")),
            AccessChange::PermissionsSet(permissions("u", "/", [".*"; 3])),
            AccessChange::PermissionsSet(permissions("u", "other", [".*"; 3])),
            AccessChange::PermissionsSet(permissions("v", "/", [".*"; 3])),
            AccessChange::TopicPermissionsSet(topics("u", "x", "a", "a")),
        ]
    };
    let mut registry = registry(changes());
    for change in registry.deletion_of_user(&name("u")) {
        registry.apply(change).unwrap();
    }
    assert!(registry.user(b"u").is_none() && registry.user(b"v").is_some());
    assert_eq!((registry.permissions().count(), registry.topic_permissions().count()), (1, 0));
    assert!(registry.deletion_of_user(&name("u")).is_empty(), "it is gone already");

    let mut registry = super::tests::registry(changes());
    for change in registry.deletion_of_vhost(&name("/")) {
        registry.apply(change).unwrap();
    }
    let left: Vec<_> = registry.permissions().map(|spec| spec.vhost.clone()).collect();
    assert_eq!((left, registry.users().count()), (vec![name("other")], 2));
}

#[test]
fn a_topic_permission_that_is_deleted_permits_all_keys_again() {
    let exchange = name("x");
    let mut registry = registry([
        AccessChange::PermissionsSet(permissions("u", "/", [".*"; 3])),
        AccessChange::TopicPermissionsSet(topics("u", "x", "a", "a")),
    ]);
    let denied = |registry: &Registry| {
        let grant = registry.grant(&name("u"), &name("/")).unwrap();
        !grant.permits_topic(Permission::Write, b"x", b"b")
    };
    assert!(denied(&registry));
    let deleted = AccessChange::TopicPermissionsDeleted { user: name("u"), vhost: name("/"), exchange };
    registry.apply(deleted).unwrap();
    assert!(!denied(&registry));
}

#[test]
fn a_hash_is_not_shown() {
    let shown = format!("{:?}", user("u"));
    assert!(shown.contains("PasswordHash(Sha256)") && !shown.contains("115"), "{shown}");
}

#[test]
fn limits_are_set_once_each_and_taken_away() {
    let mut limits: Limits =
        [(Limit::MaxQueues, 1), (Limit::MaxConnections, 2), (Limit::MaxQueues, 3)].into_iter().collect();
    assert_eq!(limits.iter().collect::<Vec<_>>(), [(Limit::MaxConnections, 2), (Limit::MaxQueues, 3)]);
    limits.set(Limit::MaxConnections, None);
    assert_eq!((limits.get(Limit::MaxConnections), limits.get(Limit::MaxQueues)), (None, Some(3)));
    for limit in Limit::ALL {
        assert_eq!(Limit::parse(limit.name()), Some(limit));
        assert!(limit.is_of_users() || limit.is_of_vhosts());
    }
}
