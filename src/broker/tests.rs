//! Facts of virtual hosts over a restart, on a store in a folder.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::config::{Settings, StoreConfig};
use crate::core::{
    declared::{ApplyTo, PolicyKind, PolicySpec, QueueType, VhostSettings},
    topology::QueueDeclaration,
};
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
            assert!(vhost.set_settings(settings).is_some());
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

const ME: ConnectionId = ConnectionId(1);

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

fn declaration(name: &'static str) -> QueueDeclaration {
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
