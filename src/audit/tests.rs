//! What is done to a broker is told once, in the form of the table in SECURITY.md.

use futures_lite::future::block_on;

use super::captured;
use crate::{
    broker::Broker,
    config::{Config, Settings},
    core::{
        access::{
            AccessChange, HashAlgorithm, Limit, Limits, PasswordHash, PermissionsSpec, TopicPermissionsSpec,
            UserSpec,
        },
        declared::{QueueType, VhostSettings},
    },
    protocol::ShortString,
    store::Opened,
};

/// Does something on this thread; gives the audit of it.
fn audit(work: impl FnOnce()) -> Vec<String> {
    let subscriber = |written: captured::Written| {
        let log = tracing_subscriber::fmt().with_ansi(false).without_time();
        log.with_writer(move || written.clone()).finish()
    };
    captured::lines(subscriber, work)
        .iter()
        .filter_map(|line| line.trim_start().split_once(" leveret::audit: "))
        .map(|(level, record)| {
            assert_eq!(level, "INFO");
            record.trim_end().to_owned()
        })
        .collect()
}

fn broker() -> Broker {
    Broker::new(Config::load(Settings::default()).unwrap(), Opened::forgetful())
}

fn short(text: &'static str) -> ShortString {
    ShortString::from_static(text)
}

fn ann(tags: &[&'static str], limits: Limits) -> AccessChange {
    let password = PasswordHash { algorithm: HashAlgorithm::Md5, bytes: b"geheim".as_slice().into() };
    let tags = tags.iter().map(|tag| short(tag)).collect();
    AccessChange::UserSet(UserSpec { name: short("ann"), password, tags, limits })
}

fn permissions(configure: &str) -> AccessChange {
    let (user, vhost, configure) = (short("ann"), short("/"), configure.into());
    let (write, read) = ("^a".into(), String::new());
    AccessChange::PermissionsSet(PermissionsSpec { user, vhost, configure, write, read })
}

fn topic_permissions() -> AccessChange {
    let (user, vhost, exchange) = (short("ann"), short("/"), short("amq.topic"));
    let (write, read) = ("^{username}".into(), ".*".into());
    AccessChange::TopicPermissionsSet(TopicPermissionsSpec { user, vhost, exchange, write, read })
}

const PERMISSIONS_SET: &str =
    "permissions set event=permissions-set user=ann vhost=/ configure=.* write=^a read=";
const TOPIC_PERMISSIONS_SET: &str = "topic permissions set event=topic-permissions-set user=ann vhost=/ exchange=amq.topic write=^{username} read=.*";
const PERMISSIONS_DELETED: &str = "permissions deleted event=permissions-deleted user=ann vhost=/";
const TOPIC_PERMISSIONS_DELETED: &str =
    "topic permissions deleted event=topic-permissions-deleted user=ann vhost=/ exchange=amq.topic";

#[test]
fn a_new_broker_tells_of_its_default_user_and_virtual_host() {
    let told = audit(|| drop(broker()));
    assert_eq!(
        told,
        [
            "virtual host made event=vhost-made vhost=/ description= tags= tracing=false limits=",
            "user set event=user-set user=guest tags=administrator limits=",
            "permissions set event=permissions-set user=guest vhost=/ configure=.* write=.* read=.*",
        ]
    );
}

#[test]
fn each_change_of_users_and_permissions_is_told_without_passwords() {
    let broker = broker();
    let limits = Limits::from_iter([(Limit::MaxConnections, 3), (Limit::MaxChannels, 5)]);
    let set = "user set event=user-set user=ann tags=monitoring,own limits=max-connections=3,max-channels=5";
    let name = || short("ann");
    for (change, told) in [
        (ann(&["monitoring", "own"], limits), vec![set]),
        (permissions(".*"), vec![PERMISSIONS_SET]),
        (topic_permissions(), vec![TOPIC_PERMISSIONS_SET]),
        (
            AccessChange::TopicPermissionsDeleted {
                user: name(),
                vhost: short("/"),
                exchange: short("amq.topic"),
            },
            vec![TOPIC_PERMISSIONS_DELETED],
        ),
        (AccessChange::PermissionsDeleted { user: name(), vhost: short("/") }, vec![PERMISSIONS_DELETED]),
        (AccessChange::UserDeleted(name()), vec!["user deleted event=user-deleted user=ann"]),
        (AccessChange::GlobalParameterSet { name: name(), value: "\"geheim\"".into() }, vec![]),
        (AccessChange::GlobalParameterDeleted(name()), vec![]),
    ] {
        let shown = format!("{change:?}");
        assert_eq!(
            audit(|| {
                broker.access.change([change]).unwrap();
            }),
            told,
            "{shown}"
        );
    }
}

#[test]
fn what_cannot_be_changed_is_not_told_and_what_came_before_it_is() {
    let broker = broker();
    let changes = [ann(&[], Limits::default()), permissions("("), topic_permissions()];
    let told = audit(|| assert!(broker.access.change(changes).is_err()));
    assert_eq!(told, ["user set event=user-set user=ann tags= limits="]);
}

#[test]
fn what_a_user_was_permitted_goes_with_it_and_is_told() {
    let broker = broker();
    let changes = [ann(&[], Limits::default()), permissions(".*"), topic_permissions()];
    broker.access.change(changes).unwrap();
    let told = audit(|| assert!(broker.delete_user(&short("ann")).is_some()));
    assert_eq!(
        told,
        [PERMISSIONS_DELETED, TOPIC_PERMISSIONS_DELETED, "user deleted event=user-deleted user=ann"]
    );
    assert!(audit(|| assert!(broker.delete_user(&short("ann")).is_none())).is_empty());
}

#[test]
fn virtual_hosts_are_told_when_they_come_change_and_go() {
    let broker = broker();
    let settings = || VhostSettings {
        description: "orders".into(),
        tags: vec![short("a"), short("b")],
        default_queue_type: Some(QueueType::Quorum),
        tracing: false,
        limits: Limits::from_iter([(Limit::MaxQueues, 7)]),
    };
    let told = audit(|| drop(block_on(broker.vhosts.open(&short("shop"), settings())).unwrap()));
    let rest = "vhost=shop description=orders tags=a,b default_queue_type=quorum";
    let made = format!("virtual host made event=vhost-made {rest} tracing=false limits=max-queues=7");
    assert_eq!(told, [made]);
    let vhost = broker.vhosts.find(b"shop").unwrap();
    let told = audit(|| {
        assert!(vhost.change_settings(|before| VhostSettings { tracing: true, ..before.clone() }));
        assert!(!vhost.change_settings(|before| before.clone()), "nothing is other than before");
    });
    let changed = format!("virtual host changed event=vhost-changed {rest} tracing=true limits=max-queues=7");
    assert_eq!(told, [changed]);
    let permissions = PermissionsSpec {
        user: short("guest"),
        vhost: short("shop"),
        configure: String::new(),
        write: String::new(),
        read: String::new(),
    };
    broker.access.change([AccessChange::PermissionsSet(permissions)]).unwrap();
    let told = audit(|| assert!(broker.delete_vhost(&short("shop")).is_some()));
    assert_eq!(
        told,
        [
            "virtual host deleted event=vhost-deleted vhost=shop",
            "permissions deleted event=permissions-deleted user=guest vhost=shop",
        ]
    );
    assert!(audit(|| assert!(broker.delete_vhost(&short("shop")).is_none())).is_empty());
}

#[test]
fn a_login_on_the_console_is_told_with_where_it_came_from() {
    let told = audit(|| super::console_login(&short("ann"), "127.0.0.1:5000".parse().unwrap()));
    assert_eq!(told, ["session of the console opened event=console-login user=ann peer=127.0.0.1:5000"]);
}
