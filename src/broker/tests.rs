//! Facts of virtual hosts over a restart, on a store in a folder.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::config::{Settings, StoreConfig};
use crate::core::{
    declared::{ApplyTo, Binding, Destination, PolicyKind, PolicySpec, QueueType, VhostSettings},
    outbox::Outbox,
    topology::{ExchangeDeclaration, QueueDeclaration},
};
use crate::limits::BINDINGS_READ_AT_ONCE_MAX;
use crate::protocol::FieldTable;
use crate::store::Store;

/// What is lost between two runs.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Nothing,
    /// Topology comes from the definitions file and the log.
    State,
    /// Topology comes from the log alone.
    StateAndDefinitions,
}

#[test]
fn policies_and_settings_survive_a_restart_whatever_is_lost_beside_the_log() {
    for loss in [Loss::Nothing, Loss::State, Loss::StateAndDefinitions] {
        let folder = TempDir::new().unwrap();
        with_broker(folder.path(), |broker| {
            let vhost = broker.vhosts.find(b"/").unwrap();
            let declare = || declaration("orders");
            vhost.change(|topology| topology.declare_queue(declare(), ME).unwrap());
            for (kind, spec) in [
                (PolicyKind::User, policy("p", "^orders$", FieldTable::new().with("max-length", 9))),
                (PolicyKind::User, policy("gone", ".*", FieldTable::new().with("expires", 9))),
                (PolicyKind::User, policy("p", "^orders$", FieldTable::new().with("max-length", 5))),
                (PolicyKind::Operator, policy("o", ".*", FieldTable::new().with("message-ttl", 7))),
            ] {
                assert!(vhost.set_policy(kind, spec).unwrap().is_some(), "there is something to wait for");
            }
            let (was_there, commit) = vhost.delete_policy(PolicyKind::User, b"gone");
            assert!(was_there && commit.is_some());
            assert_eq!(vhost.delete_policy(PolicyKind::User, b"gone"), (false, None));
            let settings =
                VhostSettings { default_queue_type: Some(QueueType::Quorum), ..VhostSettings::default() };
            assert!(vhost.begin(settings, Changes::new()).is_some());
        });
        lose(folder.path(), loss);
        with_broker(folder.path(), |broker| {
            let vhost = broker.vhosts.find(b"/").unwrap();
            let settings = vhost.read(|topology| topology.queue(b"orders").unwrap().settings());
            assert_eq!((settings.max_length, settings.message_ttl), (Some(5), Some(7)), "{loss:?}");
            assert_eq!(settings.expires, None, "{loss:?}");
            assert_eq!(vhost.read(|topology| topology.policies(PolicyKind::User).len()), 1, "{loss:?}");
            let later = declaration("later");
            let (later, _) = vhost.change(|topology| topology.declare_queue(later, ME).unwrap());
            assert_eq!(later.spec.queue_type(), QueueType::Quorum, "{loss:?}");
        });
    }
}

#[test]
fn changed_arguments_survive_a_restart_whatever_is_lost_beside_the_log() {
    for loss in [Loss::Nothing, Loss::State, Loss::StateAndDefinitions] {
        let folder = TempDir::new().unwrap();
        let change = |name, value: Option<i64>| (ShortString::from_static(name), value.map(Into::into));
        with_broker(folder.path(), |broker| {
            let vhost = broker.vhosts.find(b"/").unwrap();
            vhost.change(|topology| topology.declare_queue(declaration("orders"), ME).unwrap());
            for changes in [
                [change("x-max-length", Some(9)), change("x-message-ttl", Some(60_000))],
                [change("x-max-length", Some(5)), change("x-message-ttl", None)],
            ] {
                let (_, commit) = vhost.change_arguments(b"orders", &changes).unwrap();
                assert!(commit.is_some(), "there is something to wait for");
            }
        });
        lose(folder.path(), loss);
        with_broker(folder.path(), |broker| {
            let vhost = broker.vhosts.find(b"/").unwrap();
            let queue = vhost.read(|topology| topology.queue(b"orders").unwrap().clone());
            assert_eq!(*queue.arguments(), FieldTable::new().with("x-max-length", 5_i64), "{loss:?}");
            assert_eq!(
                (queue.settings().max_length, queue.settings().message_ttl),
                (Some(5), None),
                "{loss:?}"
            );
            let (later, _) =
                vhost.change(|topology| topology.declare_queue(declaration("later"), ME).unwrap());
            assert_ne!(later.id, queue.id, "{loss:?}");
        });
    }
}

#[test]
fn all_bindings_are_read_in_pieces() {
    let folder = TempDir::new().unwrap();
    with_broker(folder.path(), |broker| {
        let vhost = broker.vhosts.find(b"/").unwrap();
        let short = |text: String| ShortString::try_from(text).unwrap();
        let (source, most) = (ShortString::from_static("amq.direct"), BINDINGS_READ_AT_ONCE_MAX);
        vhost.change(|topology| {
            for number in 0..2 * most {
                let name = short(format!("q{number}"));
                topology.declare_queue(QueueDeclaration { name, ..declaration("q") }, ME).unwrap();
            }
            // Some have none, some one, and one has very many.
            for number in (0..most).map(|number| 2 * number).chain((0..3 * most).map(|_| 1)) {
                let key = short(format!("k{}", topology.count_of_bindings(&source)));
                let destination = Destination::Queue(short(format!("q{number}")));
                let binding =
                    Binding { source: source.clone(), destination, key, arguments: FieldTable::new() };
                topology.bind(binding, ME).map(drop).unwrap();
            }
            let destination = Destination::Exchange(ShortString::from_static("amq.fanout"));
            let key = ShortString::new();
            let binding = Binding { source: source.clone(), destination, key, arguments: FieldTable::new() };
            topology.bind(binding, ME).map(drop).unwrap();
        });
        let sorted = |mut bindings: Vec<Binding>| {
            bindings.sort_by(|one, other| one.key.cmp(&other.key));
            bindings
        };
        let all = vhost.read(|topology| topology.bindings_of(&source));
        assert_eq!(all.len(), 4 * most + 1);
        assert!(sorted(vhost.bindings()) == sorted(all));
    });
}

#[test]
fn a_refused_policy_changes_nothing() {
    let folder = TempDir::new().unwrap();
    with_broker(folder.path(), |broker| {
        let vhost = broker.vhosts.find(b"/").unwrap();
        let unknown = policy("p", ".*", FieldTable::new().with("foo", 1));
        let error = vhost.set_policy(PolicyKind::User, unknown).unwrap_err();
        assert_eq!(error.to_string(), "[{<<\"foo\">>,1}] are not recognised policy settings");
        assert_eq!(vhost.read(|topology| topology.policies(PolicyKind::User).len()), 0);
    });
}

/// A virtual host with something of each kind.
fn furnish(broker: &Broker, name: &'static str) -> Arc<Vhost> {
    let settings = VhostSettings { description: "for sale".into(), ..VhostSettings::default() };
    let (vhost, commit) =
        broker.vhosts.make(&ShortString::from_static(name), settings, Changes::new()).unwrap();
    assert!(commit.is_some());
    let short = ShortString::from_static;
    let exchange = ExchangeDeclaration {
        name: short("x"),
        kind: short("topic"),
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: FieldTable::new().with("x-message-deduplication", true),
    };
    let (source, destination) = (short("x"), Destination::Queue(short("q")));
    let binding = Binding { source, destination, key: short("k"), arguments: FieldTable::new() };
    vhost.change(|topology| {
        topology.declare_exchange(exchange).unwrap();
        for queue in ["q", "r", "s"] {
            topology.declare_queue(declaration(queue), ME).unwrap();
        }
        topology.bind(binding, ME).map(drop).unwrap();
        topology.set_parameter(short("shovel"), short("s"), "{}".into());
    });
    vhost.delay_queue();
    vhost.set_policy(PolicyKind::User, policy("p", ".*", FieldTable::new().with("max-length", 9))).unwrap();
    let (user, vhost_name) = (short("guest"), short(name));
    let [configure, write, read] = [".*"; 3].map(String::from);
    let spec = PermissionsSpec { user, vhost: vhost_name, configure, write, read };
    broker.access.change([AccessChange::PermissionsSet(spec)]).unwrap();
    vhost
}

/// Clears away what has to be, as the task does that looks after virtual hosts.
async fn clear_away(broker: &Broker, count: usize) {
    let mut cleared = 0;
    while cleared < count {
        if let Begun::Leaving(vhost) = broker.vhosts.next_begun().await {
            broker.clear_vhost_away(&vhost).await;
            cleared += 1;
        }
    }
}

#[tokio::test]
async fn a_virtual_host_is_gone_after_a_restart_wherever_its_end_was_cut_short() {
    let shop = ShortString::from_static("shop");
    let guest = ShortString::from_static("guest");
    for loss in [Loss::Nothing, Loss::State] {
        // Deleted and not cleared, half cleared, cleared.
        for how_far in 0..3 {
            let folder = TempDir::new().unwrap();
            let before = Stored::open(folder.path());
            furnish(&before.broker, "shop");
            before.close();
            let during = Stored::open(folder.path());
            let vhost = during.broker.vhosts.find(b"shop").unwrap();
            assert_eq!(vhost.read(|topology| topology.settings().description.clone()), "for sale");
            assert!(during.broker.access.grant(&guest, &shop).0.is_some());
            assert!(during.broker.delete_vhost(&shop).is_some());
            match how_far {
                1 => drop(vhost.change(|topology| topology.empty_some(1))),
                2 => clear_away(&during.broker, 1).await,
                _ => {}
            }
            drop(vhost);
            during.close();
            lose(folder.path(), loss);
            let after = Stored::open(folder.path());
            assert!(after.broker.vhosts.find(b"shop").is_none(), "{loss:?} {how_far}");
            assert!(after.broker.access.grant(&guest, &shop).0.is_none());
            clear_away(&after.broker, usize::from(how_far < 2)).await;
            after.close();
            let later = Stored::open(folder.path());
            assert_eq!(later.broker.vhosts.all().len(), 1, "{loss:?} {how_far}");
            let (vhost, _) =
                later.broker.vhosts.make(&shop, VhostSettings::default(), Changes::new()).unwrap();
            vhost.read(|topology| {
                assert_eq!(topology.queues().count() + topology.parameters().len(), 0);
                assert!(!topology.has_exchange(b"x") && topology.delay_queue().is_none());
                assert_eq!(topology.policies(PolicyKind::User).len(), 0);
            });
            drop(vhost);
            later.close();
        }
    }
}

#[tokio::test]
async fn nothing_is_set_in_a_virtual_host_that_was_deleted_by_who_has_no_connection_there() {
    let shop = ShortString::from_static("shop");
    let folder = TempDir::new().unwrap();
    let before = Stored::open(folder.path());
    let vhost = furnish(&before.broker, "shop");
    before.broker.delete_vhost(&shop).unwrap();
    for is_cleared in [false, true] {
        if is_cleared {
            clear_away(&before.broker, 1).await;
        }
        let spec = policy("late", ".*", FieldTable::new().with("max-length", 9));
        assert_eq!(vhost.set_policy(PolicyKind::User, spec), Ok(None));
        let tracing = |before: &VhostSettings| VhostSettings { tracing: true, ..before.clone() };
        assert!(!vhost.change_settings(tracing));
        let late =
            vhost.change_unless_left(|topology| topology.declare_queue(declaration("late"), ME).is_ok());
        assert_eq!(late, None);
        assert!(vhost.read(|topology| topology.queue(b"late").is_none() && !topology.settings().tracing));
    }
    drop(vhost);
    before.close();
    let after = Stored::open(folder.path());
    assert_eq!(after.broker.vhosts.all().len(), 1, "it has not come back");
    after.close();
}

#[tokio::test]
async fn the_default_user_and_virtual_host_are_made_once() {
    let folder = TempDir::new().unwrap();
    let guest = ShortString::from_static("guest");
    let first = Stored::open(folder.path());
    assert!(first.broker.delete_user(&guest).is_some() && first.broker.delete_user(&guest).is_none());
    assert!(first.broker.delete_vhost(&ShortString::from_static("/")).is_some());
    clear_away(&first.broker, 1).await;
    first.close();
    let second = Stored::open(folder.path());
    assert!(second.broker.access.user(b"guest").is_none() && second.broker.vhosts.all().is_empty());
    second.close();
}

#[tokio::test]
async fn memory_of_a_virtual_host_that_is_cleared_away_is_given_back() {
    let gauge = Gauge::new(usize::MAX);
    let config = Config::load(Settings::default()).unwrap();
    let broker = Broker::with_gauge(config, Opened::forgetful(), gauge);
    let before = gauge.used_bytes();
    drop(furnish(&broker, "shop"));
    assert!(gauge.used_bytes() > before);
    broker.delete_vhost(&ShortString::from_static("shop")).unwrap();
    clear_away(&broker, 1).await;
    // What had begun before.
    while futures_lite::future::poll_once(broker.vhosts.next_begun()).await.is_some() {}
    assert_eq!(gauge.used_bytes(), before);
}

#[test]
fn who_was_let_in_before_a_deletion_and_is_registered_after_it_is_closed_too() {
    let broker = Broker::new(Config::load(Settings::default()).unwrap(), Opened::forgetful());
    let (guest, none) = (ShortString::from_static("guest"), Limits::default());
    let register = |vhost: &'static str, is_own_user, delete: &dyn Fn()| {
        let vhost = ShortString::from_static(vhost);
        let bounds = Bounds { all: u64::MAX, user: &none, vhost: &none };
        let admission = broker.connections.admit(&guest, &vhost, bounds).unwrap();
        delete();
        let (user, client_properties) = (guest.clone(), FieldTable::new());
        let info = ConnectionInfo {
            peer: ([127, 0, 0, 1], 1).into(),
            user,
            vhost,
            client_properties,
            terms: Terms::default(),
        };
        let outbox = Arc::new(parking_lot::Mutex::new(Outbox::new(4_096, false)));
        let attention = Arc::default();
        broker.connected(info, is_own_user, outbox, &attention, admission);
        attention.closing().map(str::to_owned)
    };
    furnish(&broker, "shop");
    assert_eq!(register("shop", true, &|| {}), None);
    let delete_vhost = || drop(broker.delete_vhost(&ShortString::from_static("shop")));
    assert_eq!(register("shop", true, &delete_vhost).as_deref(), Some("vhost 'shop' is down"));
    let delete_user = || assert!(broker.delete_user(&guest).is_some());
    assert_eq!(register("/", true, &delete_user).as_deref(), Some("user 'guest' is deleted"));
    assert_eq!(register("/", false, &|| {}), None, "a token's user is none of the broker's");
}

/// A broker on a folder.
pub(super) struct Stored {
    pub(super) broker: Broker,
    store: Store,
}

impl Stored {
    pub(super) fn open(folder: &Path) -> Self {
        let config = StoreConfig { segment_bytes: 1 << 20, disk_free_limit: 0 };
        let (store, opened) = Store::open(folder, &config).unwrap();
        Self { broker: Broker::new(Config::load(Settings::default()).unwrap(), opened), store }
    }

    pub(super) fn close(self) {
        drop(self.broker);
        self.store.close(crate::limits::STORE_CLOSE_TIMEOUT).unwrap();
    }
}

pub(super) const ME: ConnectionId = ConnectionId(1);

fn with_broker(folder: &Path, run: impl FnOnce(&Broker)) {
    let config = StoreConfig { segment_bytes: 1 << 20, disk_free_limit: 0 };
    let (store, opened) = Store::open(folder, &config).unwrap();
    run(&Broker::new(Config::load(Settings::default()).unwrap(), opened));
    store.close(crate::limits::STORE_CLOSE_TIMEOUT).unwrap();
}

fn lose(folder: &Path, loss: Loss) {
    match loss {
        Loss::Nothing => {}
        Loss::State => fs::remove_dir_all(folder.join("state")).unwrap(),
        Loss::StateAndDefinitions => {
            fs::remove_dir_all(folder.join("state")).unwrap();
            fs::remove_file(folder.join("definitions")).unwrap();
        }
    }
}

pub(super) fn declaration(name: &'static str) -> QueueDeclaration {
    QueueDeclaration {
        name: ShortString::from_static(name),
        server_named: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: FieldTable::new(),
    }
}

fn policy(name: &'static str, pattern: &str, definition: FieldTable) -> PolicySpec {
    let name = ShortString::from_static(name);
    PolicySpec { name, pattern: pattern.into(), apply_to: ApplyTo::Queues, priority: 0, definition }
}
