//! Facts of checkpoints: crashes at any point, and damage at any key.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::core::{
    access::{
        AccessChange, HashAlgorithm, Limits, PasswordHash, PermissionsSpec, TopicPermissionsSpec, UserSpec,
    },
    change::Attempts,
    declared::{
        ApplyTo, Binding, Destination, ExchangeSpec, PolicyKind, PolicySpec, QueueType, VhostSettings,
    },
    pager::RestoredQueue,
    placement::Placement,
    routing::ExchangeKind,
};
use crate::protocol::{FieldTable, ShortString};
use crate::store::{
    SegmentId,
    format::Returned,
    index::{
        Live, QueueState,
        tests::model::{Operation, apply, durable_state, operation, queue_id},
    },
    kv::memory::MemoryKv,
    tests::{
        access::user,
        topology::{exchange, settings},
    },
};

/// Changes of few things, so that they meet.
fn meeting_change() -> impl Strategy<Value = TopologyChange> {
    let name = || prop::sample::select(vec!["a", "b"]).prop_map(ShortString::from_static);
    let meeting_binding = move || {
        (name(), name(), 0..2).prop_map(|(source, destination, argument)| Binding {
            source,
            destination: Destination::Queue(destination),
            key: ShortString::new(),
            arguments: FieldTable::new().with("x", argument),
        })
    };
    prop_oneof![
        name().prop_map(|name| TopologyChange::ExchangeDeclared(exchange(name))),
        name().prop_map(TopologyChange::ExchangeDeleted),
        meeting_binding().prop_map(TopologyChange::Bound),
        meeting_binding().prop_map(TopologyChange::Unbound),
        (name(), 0..2_i64).prop_map(|(name, priority)| meeting_policy(name, priority)),
        name().prop_map(|name| TopologyChange::PolicyDeleted { kind: PolicyKind::User, name }),
        settings().prop_map(TopologyChange::VhostSet),
        Just(TopologyChange::VhostDeleted),
        Just(TopologyChange::VhostCleared),
        (name(), any::<String>()).prop_map(|(name, value)| TopologyChange::ParameterSet {
            component: name.clone(),
            name,
            value
        }),
        name().prop_map(|name| TopologyChange::ParameterDeleted { component: name.clone(), name }),
    ]
}

fn meeting_access() -> impl Strategy<Value = AccessChange> {
    let name = || prop::sample::select(vec!["a", "b"]).prop_map(ShortString::from_static);
    prop_oneof![
        (name(), user()).prop_map(|(name, user)| AccessChange::UserSet(UserSpec { name, ..user })),
        name().prop_map(AccessChange::UserDeleted),
        (name(), name(), any::<String>()).prop_map(|(user, vhost, read)| {
            let (configure, write) = (String::new(), read.clone());
            AccessChange::PermissionsSet(PermissionsSpec { user, vhost, configure, write, read })
        }),
        (name(), name()).prop_map(|(user, vhost)| AccessChange::PermissionsDeleted { user, vhost }),
        (name(), any::<[String; 2]>()).prop_map(|(name, [write, read])| {
            let (user, vhost, exchange) = (name.clone(), name.clone(), name);
            AccessChange::TopicPermissionsSet(TopicPermissionsSpec { user, vhost, exchange, write, read })
        }),
        name().prop_map(|name| {
            let (user, vhost, exchange) = (name.clone(), name.clone(), name);
            AccessChange::TopicPermissionsDeleted { user, vhost, exchange }
        }),
        (name(), any::<String>()).prop_map(|(name, value)| AccessChange::GlobalParameterSet { name, value }),
        name().prop_map(AccessChange::GlobalParameterDeleted),
    ]
}

fn meeting_policy(name: ShortString, priority: i64) -> TopologyChange {
    let definition = FieldTable::new().with("max-length", 1);
    let spec = PolicySpec { name, pattern: ".*".into(), apply_to: ApplyTo::Queues, priority, definition };
    TopologyChange::PolicySet { kind: PolicyKind::User, spec }
}

#[derive(Debug, Clone)]
enum Step {
    Index(Operation),
    Topology(TopologyChange),
    Access(AccessChange),
    Checkpoint,
    Flush,
    Crash { kept: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => operation().prop_map(Step::Index),
        6 => meeting_change().prop_map(Step::Topology),
        6 => meeting_access().prop_map(Step::Access),
        4 => Just(Step::Checkpoint),
        2 => Just(Step::Flush),
        2 => (0..3_usize).prop_map(|kept| Step::Crash { kept }),
    ]
}

type State = (Vec<(QueueState, RestoredQueue, Vec<Live>)>, Vec<Entity>, u64);

/// A broker's durable state, and what it was at each stamp.
#[derive(Default)]
struct World {
    index: Index,
    entities: Entities,
    pending: Vec<Entity>,
    kv: MemoryKv,
    stamp: u32,
    flushed: u32,
    states: BTreeMap<u32, State>,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Index(operation) => self.index_step(&operation),
            Step::Topology(change) => self.change(change),
            Step::Access(change) => self.entity(Entity::Access(change)),
            Step::Checkpoint => self.checkpoint(),
            Step::Flush => {
                self.kv.flush().unwrap();
                self.flushed = self.stamp;
            }
            Step::Crash { kept } => self.crash(kept),
        }
    }

    fn change(&mut self, change: TopologyChange) {
        self.entity(Entity::Topology { vhost: ShortString::from_static("/"), change });
    }

    fn entity(&mut self, change: Entity) {
        self.entities.apply(change.clone());
        self.pending.push(change);
    }

    /// Queues come and go together with their declarations.
    fn index_step(&mut self, operation: &Operation) {
        let name = |number: u64| ShortString::try_from(format!("queue {number}")).unwrap();
        match *operation {
            Operation::AddQueue(number) => self.change(TopologyChange::QueueDeclared {
                id: queue_id(number),
                name: name(number),
                auto_delete: false,
                arguments: FieldTable::new(),
            }),
            Operation::RemoveQueue(number) => {
                self.change(TopologyChange::QueueDeleted { id: queue_id(number), name: name(number) });
            }
            _ => {}
        }
        apply(&mut self.index, operation);
    }

    fn checkpoint(&mut self) {
        self.stamp += 1;
        let changes = self.index.take_changes();
        let pending = std::mem::take(&mut self.pending);
        self.kv.apply(batch(position(self.stamp), &changes, &pending)).unwrap();
        self.states.insert(self.stamp, self.state());
    }

    fn state(&self) -> State {
        (durable_state(&self.index), self.entities.clone().into_vec(), self.index.last_queue())
    }

    /// What is found then is what was there at the last stamp that was flushed, or at one of the `kept` behind it.
    fn crash(&mut self, kept: usize) {
        self.kv.crash(kept);
        let expected = self.stamp.min(self.flushed + kept as u32);
        let loaded = load(&self.kv).unwrap();
        assert_eq!(loaded.is_some(), expected > 0);
        let loaded = loaded.unwrap_or_else(|| Loaded {
            stamp: position(0),
            index: Index::new(),
            entities: Vec::new(),
        });
        assert_eq!(loaded.stamp, position(expected));
        self.index = loaded.index;
        self.entities = loaded.entities.into_iter().collect();
        self.pending.clear();
        assert_eq!(self.state(), self.states.get(&expected).cloned().unwrap_or_default());
        (self.stamp, self.flushed) = (expected, expected);
    }
}

fn position(stamp: u32) -> LogPosition {
    LogPosition { segment: SegmentId(9), offset: stamp }
}

/// A store with one of everything.
fn example() -> MemoryKv {
    let mut world = World::default();
    world.index_step(&Operation::AddQueue(0));
    (0..600).for_each(|position| world.index.place(at(position), SegmentId(1), 10, false));
    world.index.returned(at(3), Returned { attempts: Attempts { returned: 2, failed: 1 }, due: 7 });
    let arguments = FieldTable::new().with("x-match", "all");
    let name = ShortString::from_static;
    let headers = ExchangeSpec { kind: ExchangeKind::Headers, ..exchange(name("e")) };
    world.change(TopologyChange::ExchangeDeclared(headers));
    let destination = Destination::Queue(name("queue 0"));
    world.change(TopologyChange::Bound(Binding { source: name("e"), destination, key: name(""), arguments }));
    world.change(meeting_policy(name("p"), 1));
    world.change(TopologyChange::VhostSet(VhostSettings {
        default_queue_type: Some(QueueType::Quorum),
        ..VhostSettings::default()
    }));
    let user = AccessChange::UserSet(UserSpec {
        name: name("u"),
        password: PasswordHash { algorithm: HashAlgorithm::Md5, bytes: Box::default() },
        tags: Vec::new(),
        limits: Limits::default(),
    });
    world.entity(Entity::Access(user));
    let (component, value) = (name("c"), "1".to_owned());
    world.change(TopologyChange::ParameterSet { component, name: name("p"), value });
    world.checkpoint();
    world.kv.flush().unwrap();
    world.kv
}

fn at(position: u64) -> Placement {
    Placement { queue: queue_id(0), position }
}

fn damage_of(kv: &MemoryKv) -> Damage {
    match load(kv) {
        Err(LoadError::Damaged { damage, .. }) => damage,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_store_holds_nothing() {
    assert!(load(&MemoryKv::default()).unwrap().is_none());
}

#[test]
fn use_of_segments_follows_from_the_blocks() {
    let loaded = load(&example()).unwrap().unwrap();
    let used = loaded.index.segments()[&SegmentId(1)];
    assert_eq!((used.live, used.bytes), (600, 6000));
    assert_eq!((loaded.stamp, loaded.index.last_queue(), loaded.entities.len()), (position(1), 1, 8));
}

#[test]
fn a_store_without_its_stamp_is_damaged() {
    let mut kv = example();
    kv.image().remove(&Key::Meta.to_bytes());
    assert_eq!(damage_of(&kv), Damage::NoStamp);
}

#[test]
fn an_error_names_the_key() {
    let mut kv = example();
    let key = Key::Block { queue: queue_id(0), number: 1 };
    kv.image().insert(key.to_bytes(), vec![1, 2]);
    let text = load(&kv).unwrap_err().to_string();
    assert_eq!(text, "the key-value store is damaged at block 1 of queue 1: the value is wrong");
}

#[test]
fn every_value_that_is_cut_lengthened_or_missing_is_noticed() {
    let whole = example();
    let keys: Vec<Vec<u8>> = whole.clone().image().keys().cloned().collect();
    assert_eq!(keys.len(), 12);
    for key in keys {
        let value = whole.clone().image()[&key].clone();
        for wrong in [&value[..value.len() - 1], &[&value[..], &[0]].concat(), &[]] {
            let mut kv = whole.clone();
            kv.image().insert(key.clone(), wrong.to_vec());
            assert_eq!(damage_of(&kv), Damage::Value, "{}", KeyName::from(&key[..]));
        }
    }
}

#[test]
fn a_value_under_another_key_is_noticed() {
    let whole = example();
    let of_names = |key: &&Vec<u8>| key[0] > KeyKind::Block as u8 && key.len() > 1;
    for key in whole.clone().image().keys().filter(of_names) {
        let mut kv = whole.clone();
        let value = kv.image().remove(key).unwrap();
        let mut wrong = key.clone();
        *wrong.last_mut().unwrap() ^= 1;
        kv.image().insert(wrong, value);
        assert_eq!(damage_of(&kv), Damage::Key);
    }
    let mut kv = whole.clone();
    kv.image().insert(vec![KeyKind::Block as u8, 1], Vec::new());
    assert_eq!(damage_of(&kv), Damage::Key);
}

#[test]
fn half_a_queue_is_noticed() {
    let (vhost, name) = (&ShortString::from_static("/"), &ShortString::from_static("queue 0"));
    let mut kv = example();
    kv.image().remove(&Key::QueueDeclared { vhost, name }.to_bytes());
    assert_eq!(damage_of(&kv), Damage::HalfQueue);

    let mut kv = example();
    kv.image().retain(|key, _| !matches!(key[0], 2 | 3));
    assert_eq!(damage_of(&kv), Damage::HalfQueue);

    let mut kv = example();
    kv.image().retain(|key, _| key[0] != 2);
    assert_eq!(damage_of(&kv), Damage::Inconsistent(Inconsistent::Queue));
}

#[test]
fn transient_queues_are_in_no_checkpoint() {
    let mut world = World::default();
    world.index_step(&Operation::AddQueue(3));
    world.index_step(&Operation::RemoveQueue(3));
    world.checkpoint();
    assert_eq!(world.kv.image().len(), 1);
    assert_eq!(world.entities, Entities::default());
}

proptest! {
    #[test]
    fn after_a_crash_the_store_is_as_a_checkpoint_left_it(steps in vec(step(), 1..60)) {
        let mut world = World::default();
        (0..2).for_each(|queue| world.index_step(&Operation::AddQueue(queue)));
        for step in steps {
            world.step(step);
        }
        world.step(Step::Crash { kept: 0 });
    }
}
