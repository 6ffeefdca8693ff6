//! What must be on the disk after a crash, and what may be.
//!
//! Each change has the commit that it is part of. When the power has gone it is known which commits were complete: their
//! changes must be there, others may be. Groups are there as a whole or not at all. What is found becomes what is
//! known, and the story goes on from there.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    core::{
        access::{AccessChange, PermissionsSpec, TopicPermissionsSpec, UserSpec},
        change::TopologyChange,
        commit::{Commit, Done},
        declared::{Binding, Destination},
        message::{Message, Stage},
        pager::{Loaded, RestoredQueue},
        placement::{QueueId, counter_of},
    },
    protocol::ShortString,
    store::{Restored, checkpoint::Entity, format::Returned},
};

/// A placement.
pub(super) type Key = (QueueId, u64);

/// A message in a queue.
pub(super) struct Entry {
    pub(super) message: Message,
    pub(super) image: Vec<u8>,
    /// Survives a restart.
    pub(super) durable: bool,
    /// `None` until it is appended.
    pub(super) published: Option<Commit>,
    pub(super) settled: Option<Commit>,
    /// How it came back, and the commits that say so.
    pub(super) returned: Vec<(Returned, Commit)>,
    pub(super) redelivered: bool,
    /// Its record was on the disk when it was settled, or when this run of the broker began.
    pub(super) on_disk: bool,
}

impl Entry {
    pub(super) fn new(message: Message, durable: bool) -> Self {
        Self {
            image: message.view().image().to_vec(),
            message,
            durable,
            published: None,
            settled: None,
            returned: Vec::new(),
            redelivered: false,
            on_disk: false,
        }
    }

    pub(super) fn last_return(&self) -> Returned {
        self.returned.last().map(|(returned, _)| *returned).unwrap_or_default()
    }

    fn was_written(&self) -> bool {
        self.on_disk || (self.settled.is_none() && self.message.stage() == Stage::Written)
    }
}

pub(super) struct Queue {
    pub(super) name: ShortString,
    /// The next counter.
    pub(super) next_position: u64,
    pub(super) declared: Commit,
    pub(super) deleted: Option<Commit>,
}

/// Publishes and settlements that are all or nothing.
pub(super) struct Group {
    pub(super) commit: Commit,
    pub(super) publishes: Vec<Key>,
    pub(super) settles: Vec<Key>,
}

/// What the disk may hold.
#[derive(Default)]
pub(super) struct Model {
    pub(super) entries: BTreeMap<Key, Entry>,
    pub(super) queues: BTreeMap<QueueId, Queue>,
    pub(super) groups: Vec<Group>,
    pub(super) entities: BTreeMap<String, Entity>,
    pub(super) changes: Vec<(Entity, Commit)>,
    /// The commit of the first user that was set.
    pub(super) first_user: Option<Commit>,
    pub(super) last_queue: u64,
}

/// How the run before ended.
#[derive(Debug)]
pub(super) struct End {
    /// The commits that were complete.
    pub(super) done: Done,
    /// It was stopped in order.
    pub(super) clean: bool,
    /// The key-value store is not the one that it had.
    pub(super) state_lost: bool,
}

impl Model {
    /// Messages that are in a queue as far as the broker knows.
    pub(super) fn live(&self) -> Vec<Key> {
        let is_live = |(key, entry): &(&Key, &Entry)| entry.settled.is_none() && self.is_alive(key.0);
        self.entries.iter().filter(is_live).map(|(key, _)| *key).collect()
    }

    pub(super) fn is_alive(&self, queue: QueueId) -> bool {
        self.queues.get(&queue).is_some_and(|queue| queue.deleted.is_none())
    }

    /// Durable queues and one that is not.
    pub(super) fn alive(&self) -> Vec<QueueId> {
        self.queues.iter().filter(|(_, queue)| queue.deleted.is_none()).map(|(id, _)| *id).collect()
    }

    /// What is declared and set as far as the broker knows.
    pub(super) fn entities_now(&self) -> BTreeMap<String, Entity> {
        let mut now = self.entities.clone();
        self.changes.iter().for_each(|(change, _)| apply(&mut now, change));
        now
    }

    /// What a reader of the queue must see when everything is written.
    pub(super) fn check_page(&self, queue: QueueId, (first, last): (u64, u64), page: &[Loaded]) {
        let there = self.entries.range((queue, first)..=(queue, last));
        let there: Vec<_> =
            there.filter(|(_, entry)| entry.settled.is_none() && entry.published.is_some()).collect();
        let found: Vec<u64> = page.iter().map(|loaded| loaded.position).collect();
        let expected: Vec<u64> = there.iter().map(|(key, _)| key.1).collect();
        assert_eq!(found, expected, "{queue:?} from {first} to {last}");
        for ((_, entry), loaded) in there.iter().zip(page) {
            assert_eq!(loaded.message.view().image(), entry.image, "{queue:?} {}", loaded.position);
            assert_eq!(returned(loaded), entry.last_return(), "{queue:?} {}", loaded.position);
            assert_eq!(loaded.message.published_at(), entry.message.published_at());
            assert_eq!(loaded.redelivered, entry.redelivered, "{queue:?} {}", loaded.position);
        }
    }

    /// Checks what was found after a restart, and goes on from there.
    pub(super) fn recovered(
        &mut self,
        end: &End,
        restored: &Restored,
        load: impl Fn(QueueId) -> Vec<Loaded>,
    ) {
        let declared = self.check_entities(end, restored);
        self.check_users(end, restored);
        let undeclared: Vec<_> = restored.contents.keys().filter(|id| !declared.contains_key(id)).collect();
        assert!(undeclared.is_empty(), "messages of queues that are not declared: {undeclared:?}");
        assert!(restored.last_queue >= self.last_durable_queue(end), "ids of queues are used again");
        let mut found: BTreeMap<Key, Loaded> = BTreeMap::new();
        for id in declared.keys() {
            let content = restored.contents.get(id).expect("a declared queue has positions");
            self.check_positions(content);
            let loaded = load(*id);
            assert!(loaded.is_sorted_by(|one, other| one.position < other.position));
            let count: usize = content.ranges.iter().map(|range| range.count as usize).sum();
            assert_eq!(count, loaded.len(), "{id:?} has other messages than were promised");
            found.extend(loaded.into_iter().map(|loaded| ((*id, loaded.position), loaded)));
        }
        for id in self.queues.keys().filter(|id| !id.is_durable()) {
            assert!(load(*id).is_empty(), "a transient queue's messages came again");
        }
        self.check_messages(end, &declared, &found);
        self.check_groups(end, &declared, &found);
        self.adopt(restored, declared, found);
    }

    fn last_durable_queue(&self, end: &End) -> u64 {
        let done =
            self.queues.iter().filter(|(id, queue)| id.is_durable() && end.done.contains(queue.declared));
        done.map(|(id, _)| id.0).max().unwrap_or(0)
    }

    fn check_entities(&self, end: &End, restored: &Restored) -> BTreeMap<QueueId, ShortString> {
        let found = entities_of(restored);
        let mut declared = BTreeMap::new();
        for entity in found.values() {
            if let Entity::Topology { change: TopologyChange::QueueDeclared { id, name, .. }, .. } = entity {
                declared.insert(*id, name.clone());
            }
        }
        let mut allowed: BTreeMap<String, Vec<Option<Entity>>> = BTreeMap::new();
        for (key, change) in &self.entities {
            allowed.insert(key.clone(), vec![Some(change.clone())]);
        }
        for (change, commit) in &self.changes {
            let states = allowed.entry(key_of(change)).or_insert_with(|| vec![None]);
            if end.done.contains(*commit) {
                states.clear();
            }
            states.push(is_made(change).then(|| change.clone()));
        }
        for key in found.keys().chain(allowed.keys()) {
            let states = allowed.get(key).unwrap_or_else(|| panic!("{key} was never made"));
            let found = found.get(key).cloned();
            assert!(states.contains(&found), "{key} is {found:?}, and should be {states:?}");
        }
        declared
    }

    /// Who was there once is not forgotten with those that are there.
    fn check_users(&self, end: &End, restored: &Restored) {
        let must = self.first_user.is_some_and(|commit| end.done.contains(commit));
        assert!(!must || restored.had_users, "there were users");
        // Where nothing was declared, there is no definitions file to say so when derived state is lost.
        let may = self.first_user.is_some() || end.state_lost;
        assert!(may || !restored.had_users, "there were no users");
        assert_eq!(restored.needs_defaults(), !restored.had_users);
    }

    fn check_positions(&self, content: &RestoredQueue) {
        for ((_, position), entry) in self.entries.range((content.id, 0)..=(content.id, u64::MAX)) {
            let used = entry.durable && entry.was_written();
            let counter = counter_of(*position);
            assert!(!used || counter < content.next_position, "position {position} is used again");
        }
    }

    fn check_messages(
        &self,
        end: &End,
        declared: &BTreeMap<QueueId, ShortString>,
        found: &BTreeMap<Key, Loaded>,
    ) {
        let is_done = |commit: &Option<Commit>| commit.is_some_and(|commit| end.done.contains(commit));
        for key in found.keys() {
            assert!(self.entries.contains_key(key), "{key:?} was never published");
        }
        for (key, entry) in self.entries.iter().filter(|(key, _)| declared.contains_key(&key.0)) {
            let Some(loaded) = found.get(key) else {
                let must = entry.durable && is_done(&entry.published) && entry.settled.is_none();
                assert!(!must, "{key:?} is lost");
                continue;
            };
            assert!(entry.published.is_some(), "{key:?} was not published");
            assert!(entry.durable, "{key:?} is transient and came again");
            let may = !is_done(&entry.settled) || end.state_lost;
            assert!(may, "{key:?} was settled and came again");
            assert_eq!(loaded.message.view().image(), entry.image, "{key:?} is another one");
            assert_eq!(loaded.message.published_at(), entry.message.published_at(), "{key:?}");
            // What came before its publish is written after it.
            let done = entry.returned.iter().rposition(|(_, commit)| end.done.contains(*commit));
            let done = done.filter(|_| is_done(&entry.published) && !end.state_lost);
            let known = entry.returned[done.unwrap_or(0)..].iter().map(|(returned, _)| *returned);
            let mut known = known.chain(done.is_none().then(Returned::default));
            let found = returned(loaded);
            assert!(known.any(|known| known == found), "{key:?} came back {found:?}, not the last way");
            let redelivered = entry.redelivered || !end.clean || entry.settled.is_some();
            assert!(!redelivered || loaded.redelivered, "{key:?} does not say redelivered");
            assert!(redelivered || end.state_lost || !loaded.redelivered, "{key:?} says redelivered");
        }
    }

    fn check_groups(
        &self,
        end: &End,
        declared: &BTreeMap<QueueId, ShortString>,
        found: &BTreeMap<Key, Loaded>,
    ) {
        for group in &self.groups {
            let mut evidence = BTreeSet::new();
            for key in group.publishes.iter().filter(|key| declared.contains_key(&key.0)) {
                let entry = &self.entries[key];
                if entry.durable && entry.settled.is_none() {
                    evidence.insert(found.contains_key(key));
                }
            }
            for key in group.settles.iter().filter(|key| declared.contains_key(&key.0)) {
                if !end.state_lost && self.entries[key].durable {
                    evidence.insert(!found.contains_key(key));
                }
            }
            let which = (group.commit, &group.publishes, &group.settles);
            assert!(evidence.len() < 2, "a group is there in part: {which:?}");
            assert!(
                !end.done.contains(group.commit) || !evidence.contains(&false),
                "a group is lost: {which:?}"
            );
        }
    }

    fn adopt(
        &mut self,
        restored: &Restored,
        declared: BTreeMap<QueueId, ShortString>,
        mut found: BTreeMap<Key, Loaded>,
    ) {
        self.groups.clear();
        self.changes.clear();
        self.entities = entities_of(restored);
        self.first_user = restored.had_users.then_some(Commit(0));
        self.queues = declared
            .into_iter()
            .map(|(id, name)| {
                let next_position = restored.contents[&id].next_position;
                (id, Queue { name, next_position, declared: Commit(0), deleted: None })
            })
            .collect();
        self.last_queue = restored.last_queue;
        let queues = &self.queues;
        self.entries
            .retain(|key, entry| entry.durable && entry.published.is_some() && queues.contains_key(&key.0));
        for (key, entry) in &mut self.entries {
            entry.published = Some(Commit(0));
            entry.settled = Some(Commit(0));
            if let Some(loaded) = found.remove(key) {
                entry.settled = None;
                // What was known before may hold again if the state is lost.
                entry.returned.push((returned(&loaded), Commit(0)));
                entry.redelivered = loaded.redelivered;
                entry.on_disk = true;
                entry.message = loaded.message;
            }
        }
    }
}

/// How a message came back.
fn returned(loaded: &Loaded) -> Returned {
    Returned { attempts: loaded.attempts, due: loaded.due }
}

/// What was found, by what it is about.
fn entities_of(restored: &Restored) -> BTreeMap<String, Entity> {
    let topology = restored.topology.iter().flat_map(|(vhost, changes)| {
        assert_eq!(vhost, &ShortString::from_static("/"));
        changes.iter().map(|change| Entity::Topology { vhost: vhost.clone(), change: change.clone() })
    });
    let access = restored.access.iter().cloned().map(Entity::Access);
    let mut found = BTreeMap::new();
    for entity in topology.chain(access) {
        assert!(found.insert(key_of(&entity), entity).is_none());
    }
    found
}

fn apply(entities: &mut BTreeMap<String, Entity>, change: &Entity) {
    if is_made(change) {
        entities.insert(key_of(change), change.clone());
    } else {
        entities.remove(&key_of(change));
    }
}

fn is_made(change: &Entity) -> bool {
    match change {
        Entity::Topology { change, .. } => is_declared(change),
        Entity::Access(change) => is_set(change),
        Entity::UsersSetUp => true,
    }
}

fn is_set(change: &AccessChange) -> bool {
    use AccessChange::{GlobalParameterSet, PermissionsSet, TopicPermissionsSet, UserSet};
    matches!(change, UserSet(_) | PermissionsSet(_) | TopicPermissionsSet(_) | GlobalParameterSet { .. })
}

fn is_declared(change: &TopologyChange) -> bool {
    use TopologyChange::{
        Bound, ExchangeDeclared, ParameterSet, PolicySet, QueueDeclared, VhostDeleted, VhostSet,
    };
    matches!(
        change,
        ExchangeDeclared(_)
            | QueueDeclared { .. }
            | Bound(_)
            | PolicySet { .. }
            | VhostSet(_)
            | VhostDeleted
            | ParameterSet { .. }
    )
}

/// What a change is about.
fn key_of(change: &Entity) -> String {
    match change {
        Entity::Topology { change, .. } => key_of_topology(change),
        Entity::Access(change) => key_of_access(change),
        Entity::UsersSetUp => "users were set up".into(),
    }
}

fn key_of_access(change: &AccessChange) -> String {
    use AccessChange as Change;
    match change {
        Change::UserSet(UserSpec { name, .. }) | Change::UserDeleted(name) => format!("user {name}"),
        Change::PermissionsSet(PermissionsSpec { user, vhost, .. })
        | Change::PermissionsDeleted { user, vhost } => format!("permissions {user} {vhost}"),
        Change::TopicPermissionsSet(TopicPermissionsSpec { user, vhost, exchange, .. })
        | Change::TopicPermissionsDeleted { user, vhost, exchange } => {
            format!("topic permissions {user} {vhost} {exchange}")
        }
        Change::GlobalParameterSet { name, .. } | Change::GlobalParameterDeleted(name) => {
            format!("global parameter {name}")
        }
    }
}

fn key_of_topology(change: &TopologyChange) -> String {
    use TopologyChange as Change;
    let text = |name: &ShortString| String::from_utf8_lossy(name.as_bytes()).into_owned();
    match change {
        Change::ExchangeDeclared(spec) => format!("exchange {}", text(&spec.name)),
        Change::ExchangeDeleted(name) => format!("exchange {}", text(name)),
        Change::QueueDeclared { name, .. } | Change::QueueDeleted { name, .. } => {
            format!("queue {}", text(name))
        }
        Change::PolicySet { kind, spec } => format!("policy {kind:?} {}", text(&spec.name)),
        Change::PolicyDeleted { kind, name } => format!("policy {kind:?} {}", text(name)),
        Change::VhostSet(_) | Change::VhostDeleted | Change::VhostCleared => "settings".into(),
        Change::ParameterSet { component, name, .. } | Change::ParameterDeleted { component, name } => {
            format!("parameter {} {}", text(component), text(name))
        }
        Change::Bound(binding) | Change::Unbound(binding) => {
            let Binding { source, destination, key, .. } = binding;
            let (Destination::Queue(to) | Destination::Exchange(to)) = destination;
            format!("binding {} {} {}", text(source), text(to), text(key))
        }
    }
}
