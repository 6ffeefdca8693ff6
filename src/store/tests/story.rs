//! Things that happen to a broker's store, drawn at random, to the store and to the model of it.

use std::{collections::BTreeSet, io};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    machine::{Keep, Machine, Running},
    model::{End, Entry, Group, Key, Model, Queue},
    topology::exchange,
};
use crate::{
    core::{
        access::{
            AccessChange, HashAlgorithm, Limit, Limits, PasswordHash, PermissionsSpec, TopicPermissionsSpec,
            UserSpec,
        },
        change::{Change, Changes, TopologyChange},
        commit::{Commit, Done},
        declared::{Binding, Destination, VhostSettings},
        message::{Message, Stage, View, build_image},
        placement::{Placement, Placements, QueueId, position_of},
    },
    protocol::{FieldTable, ShortString},
    store::{checkpoint::Entity, format::Returned},
};

/// Segments that are enough for all that a story can have held back.
const SEGMENTS_HELD_BACK_MAX: usize = 8;

/// A store, its model, and chance.
pub(super) struct Story {
    pub(super) machine: Machine,
    run: Running,
    pub(super) model: Model,
    chance: StdRng,
    /// Publishes that their session has not appended yet, though their queues have the messages.
    delayed: Vec<(Change, Vec<Key>)>,
    bodies: u64,
    has_lost_state: bool,
    /// Writes and syncs may find no room, wherever they are.
    pub(super) runs_out: bool,
}

impl Story {
    /// On a new machine, with segments of 2 to 64 KiB.
    pub(super) fn begin(seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let machine = Machine::new(1 << chance.random_range(11..=16));
        let (run, _, report) = machine.start().unwrap();
        assert!(report.clean && !report.state_lost);
        let mut story = Self {
            machine,
            run,
            model: Model::default(),
            chance,
            delayed: Vec::new(),
            bodies: 0,
            has_lost_state: false,
            runs_out: false,
        };
        story.declare_transient();
        story
    }

    /// Does something, unless the power has gone meanwhile: then it is false.
    pub(super) fn go_on(&mut self) -> bool {
        match self.chance.random_range(0..100) {
            0..22 => self.publish(),
            22..26 => self.publish_delayed(),
            26..29 => self.append_delayed(),
            29..43 => self.settle(),
            43..46 => self.purge(),
            46..50 => self.come_back(),
            50..55 => self.transaction(),
            55..60 => self.change_topology(),
            60..63 => self.change_access(),
            63..66 => self.fill_or_empty_the_disk(),
            66..68 if self.runs_out => self.run_out(),
            66..75 => return self.write(),
            75..84 => return self.write_some(),
            84..90 => self.check_pages(),
            _ => {
                let what = *Keep::ALL.choose(&mut self.chance).unwrap();
                self.keep(what);
            }
        }
        !self.machine.disk.is_dark()
    }

    /// What a broker may do, all of it, in an order that is always the same.
    pub(super) fn do_everything(&mut self) {
        let steps: [fn(&mut Self); 11] = [
            Self::publish,
            Self::publish_delayed,
            Self::settle,
            Self::come_back,
            Self::transaction,
            Self::change_topology,
            Self::change_access,
            Self::purge,
            Self::append_delayed,
            |story| _ = story.write(),
            |story| Keep::ALL.into_iter().for_each(|what| story.keep(what)),
        ];
        for _ in 0..10 {
            for step in steps {
                step(self);
                if self.machine.disk.is_dark() {
                    return;
                }
            }
        }
    }

    /// The power goes off: this run ends, and what is left is recovered and checked. It may go off again while that
    /// happens.
    pub(super) fn lose_power(&mut self, seed: u64) {
        self.lose_power_and_state(seed, false);
    }

    /// The same, and the key-value store is lost too.
    pub(super) fn lose_power_and_state(&mut self, seed: u64, state_lost: bool) {
        self.machine = self.machine.power_cut(seed);
        self.come_up(false, state_lost);
    }

    /// The process is killed.
    pub(super) fn be_killed(&mut self) {
        self.machine = self.machine.kill();
        self.come_up(false, false);
    }

    /// The broker is stopped, and the power goes off then.
    pub(super) fn stop(mut self, seed: u64) -> Self {
        self.machine.disk.heal();
        while !self.delayed.is_empty() {
            self.append_delayed();
        }
        self.write();
        self.write();
        // What was held back may be more than a segment: the keeper makes the next ones.
        for _ in 0..SEGMENTS_HELD_BACK_MAX {
            if self.run.parts.writer.is_held_up() {
                self.keep(Keep::Provide);
                self.write();
            }
        }
        assert!(!self.run.parts.writer.is_held_up(), "there is room for everything");
        let done = self.done();
        assert!(self.model.changes.iter().all(|(_, commit)| done.contains(*commit)));
        let Self { machine, run, model, chance, delayed, bodies, has_lost_state, runs_out } = self;
        run.close().unwrap();
        let stays_on = seed.is_multiple_of(2);
        let machine = if stays_on { machine.kill() } else { machine.power_cut(seed) };
        let (run, restored, report) = machine.start().unwrap();
        // A power cut may bring a spare segment back that was removed, and a disk without any room may keep one that could not be
        // made: that looks like one of a broker that ran.
        assert!(report.clean || !stays_on || runs_out, "{report:?}");
        assert!(!report.state_lost && report.damaged == 0, "{report:?}");
        let mut story = Self { machine, run, model, chance, delayed, bodies, has_lost_state, runs_out };
        let end = End { done, clean: report.clean, state_lost: false };
        let run = &story.run;
        story.model.recovered(&end, &restored, |queue| run.load(queue, 4_096));
        story.declare_transient();
        story
    }

    fn come_up(&mut self, clean: bool, lose_state: bool) {
        self.delayed.clear();
        let done = self.done();
        if lose_state {
            self.machine.lose_state();
        }
        let mut seed = self.chance.random();
        if self.chance.random_ratio(1, 3) {
            self.machine.disk.crash_at(self.chance.random_range(1..12));
        }
        let (run, restored, report) = loop {
            match self.machine.start() {
                Ok(started) if !self.machine.disk.is_dark() => break started,
                Ok(_) | Err(_) => {
                    assert!(self.machine.disk.is_dark(), "{:?}", self.machine.start().err());
                    self.machine = self.machine.power_cut(seed);
                    seed = seed.wrapping_add(1);
                }
            }
        };
        self.machine.disk.heal();
        self.run = run;
        self.has_lost_state |= lose_state;
        assert!(
            self.has_lost_state || self.runs_out || !report.state_lost,
            "derived state is lost for no reason"
        );
        let end = End { done, clean, state_lost: report.state_lost };
        let run = &self.run;
        self.model.recovered(&end, &restored, |queue| run.load(queue, 4_096));
        self.declare_transient();
    }

    /// The commits of which everybody was told.
    fn done(&self) -> Done {
        self.run.parts.pending.done()
    }

    // ---- messages ----

    fn declare_transient(&mut self) {
        let queue = Queue {
            name: ShortString::from_static("transient"),
            next_position: 0,
            declared: Commit(0),
            deleted: None,
        };
        self.model.queues.insert(QueueId::transient(1), queue);
    }

    fn message(&mut self, persistent: bool) -> Message {
        let longest = self.machine.segment_bytes as usize * 3;
        let size = match self.chance.random_range(0..20) {
            0 => self.chance.random_range(0..longest),
            1..4 => self.chance.random_range(0..4_000),
            _ => self.chance.random_range(0..200),
        };
        self.bodies += 1;
        let mut body = vec![0; size];
        self.chance.fill(&mut body[..]);
        let key = self.bodies.to_string();
        let (layout, image) = build_image(b"x", key.as_bytes(), &[0, 0], &[&body], persistent);
        Message::uncounted(View::new(layout, &image), self.chance.random())
    }

    /// A message that queues have; nothing is appended yet.
    fn enter(&mut self) -> Option<(Change, Vec<Key>)> {
        let alive = self.model.alive();
        let (durable, transient): (Vec<_>, Vec<_>) = alive.into_iter().partition(|id| id.is_durable());
        let spill = durable.is_empty() || self.chance.random_ratio(1, 8);
        let queues: Vec<QueueId> = if spill {
            let all: Vec<_> = durable.iter().chain(&transient).copied().collect();
            all.choose(&mut self.chance).copied().into_iter().collect()
        } else {
            let count = *[1, 1, 1, 2, 3, 4].choose(&mut self.chance).unwrap();
            durable.choose_multiple(&mut self.chance, count).copied().collect()
        };
        let message = self.message(!spill);
        let mut keys = Vec::new();
        for queue in queues {
            let known = self.model.queues.get_mut(&queue)?;
            let line = *[0, 0, 1, 255].choose(&mut self.chance).unwrap();
            let key = (queue, position_of(line, known.next_position));
            known.next_position += 1;
            self.model.entries.insert(key, Entry::new(message.clone(), !spill));
            keys.push(key);
        }
        let placements: Placements = keys.iter().map(|key| placement(*key)).collect();
        Some((Change::Publish { message, placements, transient: spill }, keys))
    }

    fn publish(&mut self) {
        for _ in 0..self.chance.random_range(1..6) {
            let Some((publish, keys)) = self.enter() else { return };
            let commit = self.run.append_one(publish);
            self.published(&keys, commit);
        }
    }

    fn publish_delayed(&mut self) {
        let entered = self.enter();
        self.delayed.extend(entered);
    }

    fn append_delayed(&mut self) {
        if let Some((publish, keys)) = self.delayed.pop() {
            let commit = self.run.append_one(publish);
            self.published(&keys, commit);
        }
    }

    fn published(&mut self, keys: &[Key], commit: Commit) {
        for key in keys {
            if let Some(entry) = self.model.entries.get_mut(key) {
                entry.published = Some(commit);
            }
        }
    }

    fn settle(&mut self) {
        let live = self.model.live();
        if live.is_empty() {
            return;
        }
        let count = self.chance.random_range(1..=live.len().min(24));
        let in_order = self.chance.random();
        let chosen: Vec<Key> = if in_order {
            let from = self.chance.random_range(0..=live.len() - count);
            live[from..from + count].to_vec()
        } else {
            live.choose_multiple(&mut self.chance, count).copied().collect()
        };
        let changes = chosen.iter().map(|key| self.settlement(*key)).collect();
        let commit = self.run.append(changes, false);
        self.settled(&chosen, commit);
    }

    fn settlement(&self, key: Key) -> Change {
        Change::Settle { placement: placement(key), message: Some(self.model.entries[&key].message.clone()) }
    }

    fn settled(&mut self, keys: &[Key], commit: Commit) {
        for key in keys {
            let entry = self.model.entries.get_mut(key).unwrap();
            entry.on_disk |= entry.message.stage() == Stage::Written;
            entry.settled = Some(commit);
        }
    }

    /// Empties a queue: neighbours on disk with one settlement.
    fn purge(&mut self) {
        let Some(queue) = self.model.alive().choose(&mut self.chance).copied() else { return };
        let live: Vec<Key> = self.model.live().into_iter().filter(|key| key.0 == queue).collect();
        let mut changes = Vec::new();
        let on_disk = |key: &Key| self.model.entries[key].message.stage() == Stage::Written;
        // A range settles whatever is in it: what has left the queue in a transaction must not be.
        let next = |key: &Key| self.model.entries.range((key.0, key.1 + 1)..).next().map(|(key, _)| *key);
        let are_neighbours = |one: &Key, other: &Key| next(one) == Some(*other);
        for run in live.chunk_by(|one, other| on_disk(one) && on_disk(other) && are_neighbours(one, other)) {
            if on_disk(&run[0]) {
                changes.push(Change::SettleRange { queue, first: run[0].1, last: run[run.len() - 1].1 });
            } else {
                changes.push(self.settlement(run[0]));
            }
        }
        let commit = self.run.append(changes, false);
        self.settled(&live, commit);
    }

    fn come_back(&mut self) {
        let live = self.model.live();
        let chosen: Vec<Key> = live.choose_multiple(&mut self.chance, 3).copied().collect();
        for key in chosen {
            let entry = &self.model.entries[&key];
            let (attempts, due) = if self.chance.random_ratio(1, 3) {
                (entry.last_return().attempts, self.chance.random_range(1..=u64::MAX)) // it is rescheduled
            } else {
                let attempts = entry.last_return().attempts.after_return(self.chance.random());
                (attempts, if self.chance.random() { self.chance.random() } else { 0 })
            };
            let message = Some(entry.message.clone()).filter(|message| message.stage() != Stage::Written);
            let placement = placement(key);
            let commit = self.run.append_one(Change::Return { placement, attempts, due, message });
            let returned = (Returned { attempts, due }, commit);
            self.model.entries.get_mut(&key).unwrap().returned.push(returned);
        }
    }

    fn transaction(&mut self) {
        let live = self.model.live();
        let mut changes: Changes = Vec::new();
        let mut publishes = Vec::new();
        for _ in 0..self.chance.random_range(1..4) {
            let Some((publish, keys)) = self.enter() else { return };
            changes.push(publish);
            publishes.extend(keys);
        }
        let count = self.chance.random_range(0..4);
        let settles: Vec<Key> = live.choose_multiple(&mut self.chance, count).copied().collect();
        // What is not written yet may be left out of the log, and tells nothing of the group then.
        let is_written = |key: &Key| self.model.entries[key].message.stage() == Stage::Written;
        let telling = settles.iter().filter(|key| is_written(key)).copied().collect();
        changes.extend(settles.iter().map(|key| self.settlement(*key)).collect::<Vec<_>>());
        let commit = self.run.append(changes, true);
        self.published(&publishes, commit);
        self.settled(&settles, commit);
        self.model.groups.push(Group { commit, publishes, settles: telling });
    }

    // ---- topology ----

    fn change_topology(&mut self) {
        let now = self.model.entities_now();
        let names: Vec<ShortString> = (0..5).map(|at| name('q', at)).collect();
        let name_of = |id: &QueueId| self.model.queues[id].name.clone();
        let alive: Vec<_> = self.model.alive().into_iter().filter(|id| id.is_durable()).collect();
        let taken: BTreeSet<ShortString> = alive.iter().map(name_of).collect();
        let free: Vec<_> = names.iter().filter(|name| !taken.contains(*name)).cloned().collect();
        let exchanges: Vec<ShortString> = now.values().filter_map(exchange_name).collect();
        match self.chance.random_range(0..13) {
            0..4 if !free.is_empty() => self.declare_queue(free[0].clone()),
            4 => {
                let at = self.chance.random_range(0..3);
                self.change(TopologyChange::ExchangeDeclared(exchange(name('x', at))));
            }
            5..8 if !alive.is_empty() && !exchanges.is_empty() => {
                let queue = name_of(alive.choose(&mut self.chance).unwrap());
                let source = exchanges.choose(&mut self.chance).unwrap().clone();
                let key = name('k', self.chance.random_range(0..3));
                let destination = Destination::Queue(queue);
                self.change(TopologyChange::Bound(Binding {
                    source,
                    destination,
                    key,
                    arguments: FieldTable::new(),
                }));
            }
            12 if !alive.is_empty() => {
                let id = *alive.choose(&mut self.chance).unwrap();
                self.change_arguments(id);
            }
            8 if alive.len() > 1 => {
                let id = *alive.choose(&mut self.chance).unwrap();
                self.delete_queue(id);
            }
            9 => {
                let bound: Vec<_> = now.values().filter_map(binding).collect();
                if let Some(binding) = bound.choose(&mut self.chance) {
                    self.change(TopologyChange::Unbound(binding.clone()));
                }
            }
            10 | 11 => self.change_vhost(),
            _ => {}
        }
    }

    /// Its settings and parameters, and that it is deleted and cleared away: its queues are another matter.
    fn change_vhost(&mut self) {
        let at = self.chance.random_range(0..2);
        let (component, name) = (name('c', 0), name('p', at));
        let value = self.chance.random_range(0..1_000).to_string();
        let change = match self.chance.random_range(0..6) {
            0 | 1 => TopologyChange::VhostSet(VhostSettings {
                description: value,
                tags: vec![name],
                tracing: at > 0,
                limits: [(Limit::MaxQueues, u64::from(at))].into_iter().collect(),
                ..VhostSettings::default()
            }),
            2 => TopologyChange::VhostDeleted,
            3 => TopologyChange::VhostCleared,
            4 => TopologyChange::ParameterSet { component, name, value },
            _ => TopologyChange::ParameterDeleted { component, name },
        };
        self.change(change);
    }

    fn change_access(&mut self) {
        let (user, vhost) = (name('u', self.chance.random_range(0..2)), ShortString::from_static("/"));
        let (exchange, text) = (name('x', 0), self.chance.random_range(0..1_000).to_string());
        let (configure, write, read) = (text.clone(), String::new(), text.clone());
        let change = match self.chance.random_range(0..8) {
            0 => AccessChange::UserSet(UserSpec {
                name: user,
                password: PasswordHash { algorithm: HashAlgorithm::Sha256, bytes: text.into_bytes().into() },
                tags: vec![exchange],
                limits: Limits::default(),
            }),
            1 => AccessChange::UserDeleted(user),
            2 => AccessChange::PermissionsSet(PermissionsSpec { user, vhost, configure, write, read }),
            3 => AccessChange::PermissionsDeleted { user, vhost },
            4 => {
                AccessChange::TopicPermissionsSet(TopicPermissionsSpec { user, vhost, exchange, write, read })
            }
            5 => AccessChange::TopicPermissionsDeleted { user, vhost, exchange },
            6 => AccessChange::GlobalParameterSet { name: user, value: text },
            _ => AccessChange::GlobalParameterDeleted(user),
        };
        let commit = self.run.append_one(change.clone().into());
        if matches!(change, AccessChange::UserSet(_)) {
            self.model.first_user.get_or_insert(commit);
        }
        self.model.changes.push((Entity::Access(change), commit));
    }

    fn declare_queue(&mut self, name: ShortString) {
        self.model.last_queue += 1;
        let id = QueueId(self.model.last_queue);
        let arguments = FieldTable::new();
        let declared = self.change(TopologyChange::QueueDeclared {
            id,
            name: name.clone(),
            auto_delete: false,
            arguments,
        });
        self.model.queues.insert(id, Queue { name, next_position: 0, declared, deleted: None });
    }

    /// A queue is declared again, with its number: its arguments have changed while it stood.
    fn change_arguments(&mut self, id: QueueId) {
        let name = self.model.queues[&id].name.clone();
        let length: i64 = self.chance.random_range(0..1_000);
        let arguments = FieldTable::new().with("x-max-length", length);
        self.change(TopologyChange::QueueDeclared { id, name, auto_delete: false, arguments });
    }

    fn delete_queue(&mut self, id: QueueId) {
        let name = self.model.queues[&id].name.clone();
        let leads_there = |binding: &Binding| binding.destination == Destination::Queue(name.clone());
        let now = self.model.entities_now();
        for binding in now.values().filter_map(binding).filter(leads_there) {
            self.change(TopologyChange::Unbound(binding));
        }
        let deleted = self.change(TopologyChange::QueueDeleted { id, name });
        self.model.queues.get_mut(&id).unwrap().deleted = Some(deleted);
    }

    fn change(&mut self, change: TopologyChange) -> Commit {
        let vhost = ShortString::from_static("/");
        let commit = self.run.append_one(Change::Topology { vhost: vhost.clone(), change: change.clone() });
        self.model.changes.push((Entity::Topology { vhost, change }, commit));
        commit
    }

    // ---- the store at work ----

    fn fill_or_empty_the_disk(&mut self) {
        if self.chance.random_ratio(1, 4) {
            self.machine.disk.set_capacity(0);
        } else {
            self.machine.disk.set_capacity(u64::MAX);
        }
    }

    fn run_out(&mut self) {
        let kind =
            *[io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].choose(&mut self.chance).unwrap();
        let at = self.chance.random_range(1..8);
        match self.chance.random_range(0..6) {
            0 => self.machine.disk.fail_from(at, kind),
            1 => self.machine.disk.leave(self.chance.random_range(0..10_000)),
            2 => self.machine.disk.reserve_nothing(),
            3 => self.machine.disk.heal(),
            _ => self.machine.disk.fail_at(at, kind),
        }
    }

    /// False when the power has gone.
    fn write(&mut self) -> bool {
        let written = self.run.write();
        assert!(written.is_ok() || self.machine.disk.is_dark(), "{written:?}");
        written.is_ok()
    }

    /// Of what is written aside no more than a slice.
    fn write_some(&mut self) -> bool {
        let written = self.run.write_some();
        assert!(written.is_ok() || self.machine.disk.is_dark(), "{written:?}");
        written.is_ok()
    }

    fn keep(&mut self, what: Keep) {
        self.run.keep(what);
        let failed = self.run.parts.failure.reason();
        assert!(failed.is_none() || self.machine.disk.is_dark(), "{failed:?}");
    }

    fn check_pages(&mut self) {
        if !self.write() || self.run.parts.writer.is_held_up() {
            return;
        }
        for queue in self.model.alive() {
            let end = self.model.queues[&queue].next_position;
            let line = *[0, 1, 255].choose(&mut self.chance).unwrap();
            let first = position_of(line, self.chance.random_range(0..=end));
            let last = *[position_of(line, end), u64::MAX].choose(&mut self.chance).unwrap();
            let last = self.chance.random_range(first..=last);
            let bytes_max = self.chance.random_range(0..10_000);
            self.model.check_page(
                queue,
                (first, last),
                &self.run.load_between(queue, first, last, bytes_max),
            );
        }
    }
}

fn placement((queue, position): Key) -> Placement {
    Placement { queue, position }
}

fn name(letter: char, number: u32) -> ShortString {
    ShortString::try_from(format!("{letter}{number}").as_bytes()).unwrap()
}

fn exchange_name(entity: &Entity) -> Option<ShortString> {
    match entity {
        Entity::Topology { change: TopologyChange::ExchangeDeclared(spec), .. } => Some(spec.name.clone()),
        _ => None,
    }
}

fn binding(entity: &Entity) -> Option<Binding> {
    match entity {
        Entity::Topology { change: TopologyChange::Bound(binding), .. } => Some(binding.clone()),
        _ => None,
    }
}
