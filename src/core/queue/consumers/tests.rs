//! The registry against a model that looks through all consumers for each answer.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::core::outbox::Outbox;

fn spec(outbox: &SharedOutbox, priority: i32, prefetch: u32, no_ack: bool) -> ConsumerSpec {
    ConsumerSpec {
        tag: ShortString::from_static("c"),
        channel: 1,
        outbox: outbox.clone(),
        no_ack,
        exclusive: false,
        priority,
        prefetch,
        arguments: FieldTable::new(),
        held: None,
    }
}

fn outbox() -> SharedOutbox {
    Arc::new(Mutex::new(Outbox::new(4_096, true)))
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Add { priority: i32, prefetch: u32, no_ack: bool },
    Remove(prop::sample::Index),
    Pop,
    Deliver,
    Starve(StarvedBy),
    Feed(prop::sample::Index),
    Settle(prop::sample::Index, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let starved_by = prop::sample::select(vec![StarvedBy::Outbox(1), StarvedBy::Channel(1), StarvedBy::Gone]);
    prop_oneof![
        4 => (-2..3_i32, 0..3_u32, any::<bool>())
            .prop_map(|(priority, prefetch, no_ack)| Step::Add { priority, prefetch, no_ack }),
        2 => index().prop_map(Step::Remove),
        1 => Just(Step::Pop),
        6 => Just(Step::Deliver),
        2 => starved_by.prop_map(Step::Starve),
        2 => index().prop_map(Step::Feed),
        4 => (index(), 1..3_u32).prop_map(|(at, count)| Step::Settle(at, count)),
    ]
}

/// One consumer as the model knows it.
struct Known {
    priority: i32,
    prefetch: u32,
    no_ack: bool,
    unacked: u32,
    state: State,
}

impl Known {
    fn has_credit(&self) -> bool {
        self.no_ack || self.prefetch == 0 || self.unacked < self.prefetch
    }
}

#[derive(Default)]
struct Model {
    /// By number of arrival.
    known: BTreeMap<usize, Known>,
    /// Those that can take a message, next first.
    line: VecDeque<usize>,
    single_active: bool,
    active: Option<usize>,
}

impl Model {
    fn add(&mut self, number: usize, known: Known) {
        let waits = self.single_active && self.active.is_some();
        self.known.insert(number, known);
        if !waits {
            self.active = self.single_active.then_some(number);
            self.enter(number);
        }
    }

    fn enter(&mut self, number: usize) {
        let known = self.known.get_mut(&number).unwrap();
        known.state = if known.has_credit() { State::Waiting } else { State::OutOfCredit };
        if known.state == State::Waiting {
            self.line.push_back(number);
        }
    }

    fn successor(&self) -> Option<usize> {
        let by_rank = |(number, known): &(&usize, &Known)| (std::cmp::Reverse(known.priority), **number);
        self.known.iter().min_by_key(by_rank).map(|(number, _)| *number)
    }

    fn remove(&mut self, number: usize) {
        self.known.remove(&number);
        self.line.retain(|other| *other != number);
        if self.active == Some(number) {
            self.active = self.successor();
            if let Some(next) = self.active {
                self.enter(next);
            }
        }
    }

    fn next(&self) -> Option<usize> {
        let top = self.line.iter().map(|number| self.known[number].priority).max()?;
        self.line.iter().copied().find(|number| self.known[number].priority == top)
    }

    fn delivered(&mut self, number: usize) {
        let known = self.known.get_mut(&number).unwrap();
        known.unacked += u32::from(!known.no_ack);
        self.line.retain(|other| *other != number);
        self.enter(number);
    }

    fn starved(&mut self, number: usize, why: StarvedBy) {
        self.known.get_mut(&number).unwrap().state = State::Starved(why);
        self.line.retain(|other| *other != number);
    }

    fn fed(&mut self, number: usize) {
        if matches!(self.known[&number].state, State::Starved(_)) {
            self.enter(number);
        }
    }

    fn settled(&mut self, number: usize, count: u32) {
        let known = self.known.get_mut(&number).unwrap();
        known.unacked = known.unacked.saturating_sub(count);
        if known.state == State::OutOfCredit {
            self.enter(number);
        }
    }

    fn held_back_by_outboxes(&self) -> bool {
        let waits = |known: &Known| matches!(known.state, State::Starved(StarvedBy::Outbox(_)));
        self.line.is_empty() && self.known.values().any(waits)
    }
}

/// The registry and the model side by side.
struct Both {
    registry: Consumers,
    model: Model,
    ids: BTreeMap<usize, ConsumerId>,
    outbox: SharedOutbox,
    last: usize,
}

impl Both {
    fn new(single_active: bool) -> Self {
        Self {
            registry: Consumers::new(single_active),
            model: Model { single_active, ..Model::default() },
            ids: BTreeMap::new(),
            outbox: outbox(),
            last: 0,
        }
    }

    fn pick(&self, index: prop::sample::Index) -> Option<(usize, ConsumerId)> {
        let numbers: Vec<_> = self.ids.iter().collect();
        (!numbers.is_empty()).then(|| index.get(&numbers)).map(|(number, id)| (**number, **id))
    }

    fn remove(&mut self, number: usize, id: ConsumerId) {
        self.model.remove(number);
        self.ids.remove(&number);
        assert!(self.registry.remove(id).is_none_or(|consumer| consumer.id() == id));
        assert!(self.registry.remove(id).is_none() && self.registry.find(id).is_none());
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Add { priority, prefetch, no_ack } => {
                self.last += 1;
                let known = Known { priority, prefetch, no_ack, unacked: 0, state: State::Inactive };
                self.model.add(self.last, known);
                let id = self.registry.add(spec(&self.outbox, priority, prefetch, no_ack));
                self.ids.insert(self.last, id);
            }
            Step::Remove(index) => {
                if let Some((number, id)) = self.pick(index) {
                    self.remove(number, id);
                }
            }
            Step::Pop => {
                let popped = self.registry.pop().map(|consumer| consumer.id());
                let number = self.model.successor();
                assert_eq!(popped, number.map(|number| self.ids[&number]));
                if let (Some(number), Some(id)) = (number, popped) {
                    self.remove(number, id);
                }
            }
            Step::Deliver => {
                if let Some(number) = self.model.next() {
                    self.model.delivered(number);
                    self.registry.delivered(self.ids[&number]);
                }
            }
            Step::Starve(why) => {
                if let Some(number) = self.model.next() {
                    self.model.starved(number, why);
                    self.registry.starved(self.ids[&number], why);
                }
            }
            Step::Feed(index) => {
                if let Some((number, id)) = self.pick(index) {
                    self.model.fed(number);
                    self.registry.fed(id);
                }
            }
            Step::Settle(index, count) => {
                if let Some((number, id)) = self.pick(index) {
                    self.model.settled(number, count);
                    self.registry.settled(id, count);
                }
            }
        }
    }

    fn check(&self) {
        let next = self.registry.next().map(|(id, _)| id);
        assert_eq!(next, self.model.next().map(|number| self.ids[&number]));
        assert_eq!(self.registry.len(), self.model.known.len());
        assert_eq!(self.registry.is_empty(), self.model.known.is_empty());
        assert_eq!(self.registry.held_back_by_outboxes(), self.model.held_back_by_outboxes());
    }
}

proptest! {
    #[test]
    fn the_registry_serves_and_succeeds_as_the_rules_say(
        single_active in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut both = Both::new(single_active);
        for step in steps {
            both.step(step);
            both.check();
        }
        while both.registry.next().is_some() {
            both.step(Step::Starve(StarvedBy::Gone)); // the whole rotation, in order
            both.check();
        }
    }
}

#[test]
fn a_handle_is_never_used_again_although_its_memory_is_given_back() {
    let (mut registry, outbox) = (Consumers::new(false), outbox());
    let first: Vec<_> = (0..1_000).map(|_| registry.add(spec(&outbox, 0, 0, true))).collect();
    for id in &first {
        assert!(registry.remove(*id).is_some());
    }
    assert_eq!((registry.len(), registry.slots.capacity(), registry.free.capacity()), (0, 0, 0));
    let again: Vec<_> = (0..1_000).map(|_| registry.add(spec(&outbox, 0, 0, true))).collect();
    assert!(first.iter().all(|id| !again.contains(id) && registry.find(*id).is_none()));
}

#[test]
fn many_consumers_come_and_go_in_any_order() {
    for priorities in [1, 100_000] {
        let (mut registry, outbox) = (Consumers::new(true), outbox());
        let mut ids: VecDeque<_> =
            (0..100_000).map(|n| registry.add(spec(&outbox, n % priorities, 1, false))).collect();
        // Newest, oldest, newest: from both ends of each line. The active one leaves half-way.
        while let Some(id) = ids.pop_back() {
            registry.remove(id).unwrap();
            ids.pop_front().and_then(|id| registry.remove(id)).unwrap();
        }
        assert!(registry.is_empty());
    }
}
