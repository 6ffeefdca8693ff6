use std::sync::{Arc, OnceLock};

use futures_lite::future::zip;
use serde_json::json;

use super::*;
use crate::{
    broker::{Begun, Broker, host::Notebook},
    config::{Config, Settings},
    core::{
        access::{AccessChange, Limit, Permission},
        change::{Change, TopologyChange},
        declared::{Destination, PolicyKind, QueueType},
    },
    limits::{
        DECLARED_AT_ONCE_MAX, DEFINED_TABLE_BYTES_MAX, DESCRIPTION_BYTES_MAX, PARAMETER_BYTES_MAX,
        PASSWORD_HASH_BYTES_MAX, PATTERN_BYTES_MAX, TABLE_DEPTH_MAX, TAGS_MAX,
    },
    protocol::{FieldValue, ShortString},
    store::Opened,
};

fn broker() -> Broker {
    Broker::new(Config::load(Settings::default()).unwrap(), Opened::forgetful())
}

fn document(json: &serde_json::Value) -> Document {
    Document::read(json.to_string().as_bytes()).unwrap()
}

async fn import(broker: &Broker, json: &serde_json::Value) -> Result<Imported, Vec<String>> {
    let problems = |all: Vec<Problem>| all.iter().map(Problem::to_string).collect();
    broker.import(&document(json)).await.map_err(problems)
}

fn name(text: &'static str) -> ShortString {
    ShortString::from_static(text)
}

/// What RabbitMQ exports, with something of each kind.
fn everything() -> serde_json::Value {
    json!({
        "rabbit_version": "3.13.7", "rabbitmq_version": "3.13.7", "product_name": "RabbitMQ",
        "users": [
            {
                "name": "ann", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
                "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ["administrator"],
                "limits": { "max-connections": 5, "max-channels": -1 },
            },
            { "name": "bob", "password_hash": "", "tags": "monitoring, own", "limits": [] },
        ],
        "vhosts": [
            {
                "name": "shop", "description": "orders", "tags": ["a"], "default_queue_type": "quorum",
                "metadata": { "description": "orders", "tags": ["a"], "default_queue_type": "quorum" },
            },
            { "name": "/", "default_queue_type": "undefined" },
        ],
        "permissions": [{ "user": "ann", "vhost": "shop", "configure": "^own", "write": ".*", "read": "" }],
        "topic_permissions": [
            { "user": "ann", "vhost": "shop", "exchange": "events", "write": "^{username}", "read": ".*" },
        ],
        "parameters": [
            { "component": "vhost-limits", "name": "limits", "vhost": "shop", "value": { "max-queues": 3 } },
            {
                "component": "operator_policy", "name": "cap", "vhost": "shop",
                "value": { "pattern": "^", "definition": { "max-length": 10 }, "apply-to": "queues", "priority": 1 },
            },
            { "component": "shovel", "name": "s", "vhost": "shop", "value": { "src-uri": "amqp://" } },
        ],
        "global_parameters": [{ "name": "cluster_name", "value": "rabbit@here" }],
        "policies": [
            { "vhost": "shop", "name": "ttl", "pattern": "^o", "apply-to": "queues", "priority": 0,
              "definition": { "message-ttl": 1000 } },
        ],
        "queues": [
            { "name": "orders", "vhost": "shop", "durable": true, "auto_delete": false,
              "arguments": { "x-queue-type": "classic", "x-max-length": 5 } },
            { "name": "safe", "vhost": "shop", "type": "quorum", "durable": true, "auto_delete": false, "arguments": {} },
        ],
        "exchanges": [
            { "name": "events", "vhost": "shop", "type": "topic", "durable": true, "auto_delete": false,
              "internal": false, "arguments": { "alternate-exchange": "lost" } },
            { "name": "amq.topic", "vhost": "shop", "type": "topic" },
        ],
        "bindings": [
            { "source": "events", "vhost": "shop", "destination": "orders", "destination_type": "queue",
              "routing_key": "new.#", "arguments": {} },
            { "source": "events", "vhost": "shop", "destination": "amq.topic", "destination_type": "exchange",
              "routing_key": "k", "arguments": { "deep": { "list": [1, 2.5, true, null, "text"] } } },
            { "source": "", "vhost": "shop", "destination": "orders", "destination_type": "queue", "routing_key": "orders" },
        ],
    })
}

#[tokio::test]
async fn everything_that_rabbitmq_exports_is_made() {
    let broker = broker();
    import(&broker, &everything()).await.unwrap();
    let ann = broker.access.user(b"ann").unwrap();
    assert!(ann.has_tag("administrator"));
    assert_eq!(ann.limits.iter().collect::<Vec<_>>(), [(Limit::MaxConnections, 5)]);
    assert_eq!(broker.access.user(b"bob").unwrap().tags, [name("monitoring"), name("own")]);
    let (grant, _) = broker.access.grant(&name("ann"), &name("shop"));
    let grant = grant.unwrap();
    assert!(grant.permits(Permission::Configure, b"own.q") && !grant.permits(Permission::Read, b"own.q"));
    assert!(!grant.permits_topic(Permission::Write, b"events", b"bob.1"));
    assert!(grant.permits_topic(Permission::Write, b"events", b"ann.1"));
    broker.access.read(|registry| {
        assert_eq!(registry.global_parameter(b"cluster_name"), Some("\"rabbit@here\""));
    });
    let shop = broker.vhosts.find(b"shop").unwrap();
    assert_eq!(shop.limits().get(Limit::MaxQueues), Some(3));
    shop.read(|topology| {
        let settings = topology.settings();
        assert_eq!(
            (&*settings.description, settings.default_queue_type),
            ("orders", Some(QueueType::Quorum))
        );
        assert_eq!(topology.parameters().count(), 1, "a shovel's is kept");
        let policies = [PolicyKind::User, PolicyKind::Operator].map(|kind| topology.policies(kind).len());
        assert_eq!(policies, [1, 1]);
        let length = topology.queue(b"orders").unwrap().spec.arguments.get("x-max-length").cloned();
        assert_eq!(length, Some(FieldValue::from(5_i64)));
        assert_eq!(topology.queue(b"safe").unwrap().spec.queue_type(), QueueType::Quorum);
        assert_eq!(topology.check_exchange(b"events").unwrap().alternate(), Some(&b"lost"[..]));
        let bindings = topology.bindings_of(b"events");
        let leads_to = |destination| bindings.iter().any(|binding| binding.destination == destination);
        assert!(leads_to(Destination::Queue(name("orders"))));
        assert!(leads_to(Destination::Exchange(name("amq.topic"))));
    });
}

#[tokio::test]
async fn a_second_import_changes_nothing() {
    let broker = broker();
    let first = import(&broker, &everything()).await.unwrap();
    let stamp = broker.access.stamp();
    let second = import(&broker, &everything()).await.unwrap();
    assert_eq!((second.changed, second.unchanged), (0, first.changed + first.unchanged));
    assert_eq!(broker.access.stamp(), stamp);
}

#[tokio::test]
async fn what_makes_no_sense_is_told_with_its_place_and_nothing_is_changed() {
    for (wrong, told) in [
        (
            json!({ "users": [{ "name": "u", "hashing_algorithm": "rot13" }] }),
            "users[0] ('u'): unknown hashing_algorithm",
        ),
        (json!({ "users": [{ "name": "u", "password_hash": "?" }] }), "users[0] ('u'): password_hash is not"),
        (
            json!({ "users": [{ "name": "u", "limits": { "max-queues": 1 } }] }),
            "there is no limit 'max-queues' here",
        ),
        (
            json!({ "vhosts": [{ "name": "v", "default_queue_type": "stream" }] }),
            "default_queue_type 'stream'",
        ),
        (
            json!({ "permissions": [{ "user": "guest", "vhost": "/", "configure": "(", "write": "", "read": "" }] }),
            "permissions[0] ('guest'): an expression cannot be read",
        ),
        (
            json!({ "permissions": [{ "user": "nobody", "vhost": "/", "configure": "", "write": "", "read": "" }] }),
            "permissions[0] ('nobody'): there is no user 'nobody'",
        ),
        (
            json!({ "permissions": [{ "user": "guest", "vhost": "v", "configure": "", "write": "", "read": "" }] }),
            "there is no virtual host 'v'",
        ),
        (
            json!({ "topic_permissions": [{ "user": "guest", "vhost": "/", "exchange": "x", "write": "(", "read": "" }] }),
            "topic_permissions[0] ('guest'): an expression cannot be read",
        ),
        (
            json!({ "policies": [{ "vhost": "/", "name": "p", "pattern": "(", "definition": { "expires": 1 } }] }),
            "policies[0] ('p'): its pattern cannot be used: ",
        ),
        (
            json!({ "policies": [{ "vhost": "/", "name": "p", "pattern": "", "apply-to": "cats", "definition": {} }] }),
            "apply-to cannot be 'cats'",
        ),
        (
            json!({ "parameters": [{ "vhost": "/", "component": "operator_policy", "name": "o", "value": {} }] }),
            "parameters[0] ('o'): an operator policy without a pattern",
        ),
        (
            json!({ "queues": [{ "vhost": "v", "name": "q" }] }),
            "queues[0] ('q'): there is no virtual host 'v'",
        ),
        (json!({ "queues": [{ "vhost": "/", "name": "q".repeat(256) }] }), "is no name"),
    ] {
        let broker = broker();
        let mut wrong = wrong;
        wrong["exchanges"] = json!([{ "vhost": "/", "name": "made", "type": "direct" }]);
        let problems = import(&broker, &wrong).await.unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains(told), "{problems:?} instead of {told}");
        let vhost = broker.vhosts.find(b"/").unwrap();
        assert!(!vhost.read(|topology| topology.has_exchange(b"made")), "{told}");
    }
}

#[tokio::test]
async fn what_a_virtual_host_refuses_is_told_and_the_rest_is_made() {
    let broker = broker();
    let wrong = json!({
        "queues": [
            { "vhost": "/", "name": "bad", "arguments": { "x-message-ttl": -1 } },
            { "vhost": "/", "name": "stream", "type": "stream" },
            { "vhost": "/", "name": "good" },
        ],
        "bindings": [{ "vhost": "/", "source": "nowhere", "destination": "good", "destination_type": "queue" }],
    });
    let problems = import(&broker, &wrong).await.unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with("queues[0] ('bad'): invalid arg 'x-message-ttl'"), "{problems:?}");
    assert!(problems[2].starts_with("bindings[0] ('good'): no exchange 'nowhere'"), "{problems:?}");
    let vhost = broker.vhosts.find(b"/").unwrap();
    assert!(vhost.read(|topology| topology.queue(b"good").is_some()));
}

#[test]
fn bytes_that_are_no_document_are_told_with_line_and_column() {
    let wrong = b"{\n  \"queues\": [{\"name\": 1}]\n}";
    let error = Document::read(wrong).unwrap_err().to_string();
    assert!(error.contains("line 2 column"), "{error}");
    assert!(Document::read(b"").is_err() && Document::read(b"[]").is_err() && Document::read(b"{}").is_ok());
}

#[test]
fn a_hash_is_not_shown() {
    let shown = format!("{:?}", document(&everything()));
    assert!(!shown.contains("kI3GCqW5"), "{shown}");
}

/// An object in an object, and so on: so many.
fn nested(depth: usize) -> serde_json::Value {
    (1..depth).fold(json!({}), |inner, _| json!({ "k": inner }))
}

/// The same of lists, in an object.
fn nested_lists(depth: usize) -> serde_json::Value {
    json!({ "k": (2..depth).fold(json!([]), |inner, _| json!([inner])) })
}

type Bounded<'a> = (&'a dyn Fn(usize) -> serde_json::Value, usize, &'static str);

#[tokio::test]
async fn what_definitions_bring_of_one_thing_is_bounded() {
    let text = |bytes: usize| json!("x".repeat(bytes));
    let tags = |count: usize| json!(vec!["t"; count]);
    let vhost = |key: &str, value| json!({ "vhosts": [{ "name": "v", key: value }] });
    let user = |key: &str, value| json!({ "users": [{ "name": "u", key: value }] });
    let permissions = |key: &str, value| {
        let mut spec = json!({ "user": "guest", "vhost": "/", "configure": "", "write": "", "read": "" });
        spec[key] = value;
        json!({ "permissions": [spec] })
    };
    let topics = |key: &str, value| {
        let mut spec = json!({ "user": "guest", "vhost": "/", "exchange": "x", "write": "", "read": "" });
        spec[key] = value;
        json!({ "topic_permissions": [spec] })
    };
    let policy = |key: &str, value| {
        let mut spec = json!({ "vhost": "/", "name": "p", "pattern": "", "definition": { "expires": 1 } });
        spec[key] = value;
        json!({ "policies": [spec] })
    };
    let parameter =
        |value| json!({ "parameters": [{ "vhost": "/", "component": "c", "name": "p", "value": value }] });
    let global = |value| json!({ "global_parameters": [{ "name": "p", "value": value }] });
    let queue = |arguments| json!({ "queues": [{ "vhost": "/", "name": "q", "arguments": arguments }] });
    let hash = |bytes: usize| {
        json!({ "users": [{ "name": "u", "hashing_algorithm": "leveret_password_hashing_argon2id",
                            "password_hash": format!("{:0<bytes$}", "$argon2id$") }] })
    };
    // The quotes of a text belong to it.
    let quoted = |bytes: usize| text(bytes - 2);
    // A name, its length, a tag, a length, and the length of the table.
    let table = |bytes: usize| json!({ "k": "x".repeat(bytes - 11) });
    // Made of so many, how many there may be, and what is said of one more.
    let rows: [Bounded<'_>; 16] = [
        (&|n| vhost("description", text(n)), DESCRIPTION_BYTES_MAX, "description"),
        (&|n| vhost("tags", tags(n)), TAGS_MAX, "64 tags and not 65"),
        (&|n| vhost("tags", json!([text(n)])), 255, "is no name"),
        (&|n| user("tags", tags(n)), TAGS_MAX, "64 tags and not 65"),
        (&|n| hash(n), PASSWORD_HASH_BYTES_MAX, "password_hash may have 512 bytes and not 513"),
        (&|n| permissions("configure", text(n)), PATTERN_BYTES_MAX, "an expression may have"),
        (&|n| permissions("write", text(n)), PATTERN_BYTES_MAX, "an expression may have"),
        (&|n| permissions("read", text(n)), PATTERN_BYTES_MAX, "an expression may have"),
        (&|n| topics("write", text(n)), PATTERN_BYTES_MAX, "an expression may have"),
        (&|n| topics("read", text(n)), PATTERN_BYTES_MAX, "an expression may have"),
        (&|n| policy("pattern", text(n)), PATTERN_BYTES_MAX, "an expression may have"),
        (&|n| parameter(quoted(n)), PARAMETER_BYTES_MAX, "value may have"),
        (&|n| global(quoted(n)), PARAMETER_BYTES_MAX, "value may have"),
        (&|n| queue(table(n)), DEFINED_TABLE_BYTES_MAX, "arguments may have"),
        (&|n| queue(nested(n)), TABLE_DEPTH_MAX, "more than 64 deep"),
        (&|n| queue(nested_lists(n)), TABLE_DEPTH_MAX, "more than 64 deep"),
    ];
    for (of, max, told) in rows {
        let most = import(&broker(), &of(max)).await;
        assert!(most.is_ok(), "{told}: {most:?}");
        let more = import(&broker(), &of(max + 1)).await.unwrap_err();
        assert!(more.len() == 1 && more[0].contains(told), "{more:?} instead of {told}");
    }
}

#[tokio::test]
async fn nothing_is_declared_into_a_virtual_host_that_is_deleted_meanwhile() {
    let broker = broker();
    let queues: Vec<_> =
        (0..2 * DECLARED_AT_ONCE_MAX).map(|n| json!({ "vhost": "shop", "name": format!("q{n}") })).collect();
    let document = json!({ "vhosts": [{ "name": "shop" }], "queues": queues });
    let kept = OnceLock::new();
    let delete = async {
        let vhost = broker.vhosts.find(b"shop").expect("others have their turn after some declarations");
        assert!(broker.delete_vhost(&vhost.name).is_some());
        kept.set(vhost).map_err(|_| ()).expect("once");
    };
    let (imported, ()) = zip(import(&broker, &document), delete).await;
    let problems = imported.unwrap_err();
    assert_eq!(problems.len(), DECLARED_AT_ONCE_MAX);
    for problem in problems {
        assert!(problem.ends_with("the virtual host 'shop' is deleted"), "{problem}");
    }
    let vhost = kept.get().unwrap();
    assert_eq!(vhost.read(|topology| topology.queues().count()), DECLARED_AT_ONCE_MAX);
}

#[tokio::test]
async fn permissions_are_not_set_for_who_or_what_is_deleted_meanwhile() {
    let broker = broker();
    import(&broker, &everything()).await.unwrap();
    let (user, vhost) = (name("ann"), name("shop"));
    let [permissions, topics] = broker.access.read(|registry| {
        let spec = registry.permissions_of(&user, &vhost).unwrap().clone();
        let topics = registry.topic_permissions_of(&user, &vhost).next().unwrap().clone();
        [AccessChange::PermissionsSet(spec), AccessChange::TopicPermissionsSet(topics)]
    });
    for change in [&permissions, &topics] {
        broker.import_access(change).unwrap();
    }
    broker.delete_vhost(&vhost).unwrap();
    for change in [&permissions, &topics] {
        assert_eq!(broker.import_access(change), Err("the virtual host 'shop' is deleted".into()));
    }
    clear_away(&broker).await;
    import(&broker, &json!({ "vhosts": [{ "name": "shop" }] })).await.unwrap();
    broker.delete_user(&user).unwrap();
    for change in [&permissions, &topics] {
        assert_eq!(broker.import_access(change), Err("the user 'ann' is deleted".into()));
    }
    assert!(broker.access.grant(&user, &vhost).0.is_none());
}

/// Clears away the next virtual host that was deleted.
async fn clear_away(broker: &Broker) {
    loop {
        if let Begun::Leaving(vhost) = broker.vhosts.next_begun().await {
            return broker.clear_vhost_away(&vhost).await;
        }
    }
}

#[tokio::test]
async fn who_makes_a_virtual_host_may_do_everything_there_from_its_commit_on() {
    let notebook = Arc::new(Notebook::default());
    let opened = Opened { journal: notebook.clone(), ..Opened::forgetful() };
    let broker = Broker::new(Config::load(Settings::default()).unwrap(), opened);
    let make = |vhost: &str| document(&json!({ "vhosts": [{ "name": vhost }] }));
    let groups = |vhost: &'static str| {
        let is_its = |change: &Change| match change {
            Change::Topology { vhost: of, change: TopologyChange::VhostSet(_) } => *of == name(vhost),
            Change::Access(change) => {
                matches!(&**change, AccessChange::PermissionsSet(spec) if spec.vhost == name(vhost))
            }
            _ => false,
        };
        let groups = notebook.groups.lock();
        let its =
            groups.iter().map(|(changes, atomic)| (changes.iter().filter(|it| is_its(it)).count(), *atomic));
        its.filter(|(count, _)| *count > 0).collect::<Vec<_>>()
    };
    let may_all = |user: &'static str, vhost: &'static str| {
        let (grant, _) = broker.access.grant(&name(user), &name(vhost));
        grant.is_some_and(|grant| grant.permits(Permission::Configure, b"anything"))
    };
    for (vhost, maker, wanted) in [
        ("mine", Some("guest"), vec![(2, true)]),
        ("nobodys", None, vec![(1, true)]),
        ("of-a-stranger", Some("nobody"), vec![(1, true)]),
    ] {
        let maker = maker.map(ShortString::from_static);
        let imported = broker.import_for(&make(vhost), maker.as_ref()).await.unwrap();
        assert_eq!((imported.changed, imported.unchanged), (1, 0), "{vhost}");
        assert_eq!(groups(vhost), wanted, "{vhost}: what one crash keeps or loses");
        assert_eq!(may_all("guest", vhost), vhost == "mine", "{vhost}");
        assert!(!may_all("nobody", vhost), "{vhost}");
    }
    // One that is there is nobody's to take.
    let ann = json!({ "users": [{ "name": "ann", "password_hash": "", "tags": "" }] });
    import(&broker, &ann).await.unwrap();
    let imported = broker.import_for(&make("mine"), Some(&name("ann"))).await.unwrap();
    assert_eq!((imported.changed, imported.unchanged), (0, 1));
    assert!(!may_all("ann", "mine"));
}
