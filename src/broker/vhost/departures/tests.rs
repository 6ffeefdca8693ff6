//! Departures of a virtual host whose journal can be read.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::broker::{Lost, host::Host};
use crate::core::{
    change::{Change, Changes},
    queue::SharedQueue,
};
use crate::limits::LETTER_COPIES_LOG2_MAX;
use crate::protocol::{FieldTable, FieldValue, ShortString};

fn dying_to(queue: &'static str) -> FieldTable {
    FieldTable::new().with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", queue)
}

impl Host {
    /// The task's turns, until nothing stands in line; gives how many there were.
    pub(in crate::broker) fn take_all_turns(&self) -> usize {
        let mut turns = 0;
        while !self.vhost.departures.state.lock().waiting.is_empty() {
            self.vhost.take_turn();
            turns += 1;
        }
        turns
    }

    fn waiting(&self) -> usize {
        self.vhost.departures.state.lock().waiting.len()
    }

    /// Somebody rejects so many messages of a queue at once.
    fn reject(&self, queue: &str, count: usize) {
        let mut effects = Effects::default();
        self.find(queue).reject(self.get(queue, count), &mut effects);
        self.vhost.append(&mut effects, false);
    }

    fn dropped(&self) -> u64 {
        Lost::ALL.into_iter().map(|why| self.vhost.drops.of(why)).sum()
    }
}

/// How many messages entered and left in a group of the journal.
fn moves(group: &Changes) -> (usize, usize) {
    let entered = group.iter().filter(|change| matches!(change, Change::Publish { .. })).count();
    let left = group.iter().filter(|change| matches!(change, Change::Settle { .. })).count();
    (entered, left)
}

#[test]
fn what_departs_while_nobody_waits_is_one_group_with_the_caller_s_own_changes() {
    let host = Host::new();
    host.queue("dead", FieldTable::new());
    host.queue("full", dying_to("dead").with("x-max-length", 0));
    host.notebook.groups.lock().clear();
    host.publish("", "full", 7..8);
    let groups = host.notebook.groups.lock();
    let [(group, true)] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!((moves(group), host.waiting()), ((2, 1), 0));
    assert_eq!(host.ids("dead"), [7]);
}

#[test]
fn what_is_beyond_the_caller_s_turn_waits_for_the_task_and_keeps_its_order() {
    let host = Host::new().with_work();
    host.publish("orders", "new", 0..200);
    host.notebook.groups.lock().clear();
    host.reject("work", 200);
    assert_eq!(host.notebook.groups.lock().len(), 1);
    assert_eq!(
        (host.ids("dead").len(), host.waiting()),
        (DEPARTURES_INLINE_MAX / 2, 200 - DEPARTURES_INLINE_MAX / 2)
    );
    // Somebody is the next one, and does not overtake them.
    host.publish("orders", "new", 200..210);
    host.reject("work", 10);
    assert_eq!(host.ids("dead").len(), DEPARTURES_INLINE_MAX / 2);
    let turns = host.take_all_turns();
    assert!(turns >= 178 * 2 / DEPARTURES_AT_ONCE_MAX, "{turns}");
    assert_eq!(host.ids("dead"), (0..210).collect::<Vec<_>>());
}

#[test]
fn what_others_carry_out_comes_after_the_caller_s_own_changes() {
    let host = Host::new();
    host.queue("dead", FieldTable::new());
    host.queue("full", dying_to("dead").with("x-max-length", 0));
    host.notebook.groups.lock().clear();
    // Somebody else is at work.
    host.vhost.departures.state.lock().is_turn = true;
    host.publish("", "full", 0..1);
    host.vhost.departures.state.lock().is_turn = false;
    host.take_all_turns();
    let groups = host.notebook.groups.lock();
    let groups: Vec<_> = groups.iter().map(|(group, atomic)| (moves(group), *atomic)).collect();
    assert_eq!((groups, host.ids("dead")), (vec![((1, 0), false), ((1, 1), true)], vec![0]));
}

#[test]
fn every_group_moves_as_many_messages_in_as_out_and_not_too_many() {
    let host = Host::new().with_work();
    host.publish("orders", "new", 0..200);
    host.notebook.groups.lock().clear();
    host.reject("work", 200);
    host.take_all_turns();
    for (group, atomic) in host.notebook.groups.lock().iter() {
        let (entered, left) = moves(group);
        assert!(entered == left && entered <= DEPARTURES_AT_ONCE_MAX && *atomic, "{entered} {left} {atomic}");
    }
}

#[test]
fn a_chain_is_longer_than_a_turn() {
    let host = Host::new();
    let names: Vec<&'static str> = (0..500).map(|n| &*format!("q{n}").leak()).collect();
    for pair in names.windows(2) {
        host.queue(pair[0], dying_to(pair[1]).with("x-max-length", 0));
    }
    let last = host.queue(names[499], FieldTable::new());
    host.publish("", "q0", 0..3);
    assert_eq!((last.status().ready, host.waiting()), (0, 3));
    let turns = host.take_all_turns();
    assert!(turns >= 3 * 499 * 2 / DEPARTURES_AT_ONCE_MAX, "{turns}");
    assert_eq!((host.ids("q499"), host.dropped()), (vec![0, 1, 2], 0));
}

#[test]
fn the_rules_that_count_are_those_of_the_moment_at_which_a_message_left() {
    let host = Host::new().with_work();
    host.queue("elsewhere", FieldTable::new());
    host.publish("orders", "new", 0..100);
    host.reject("work", 100);
    let mut settings = (*host.find("work").settings()).clone();
    settings.dead_letter_routing_key = Some(ShortString::from_static("elsewhere"));
    host.find("work").apply(Arc::new(settings));
    host.take_all_turns();
    assert_eq!((host.ids("dead").len(), host.ids("elsewhere").len()), (100, 0));
}

#[test]
fn what_left_a_queue_goes_on_when_that_is_deleted() {
    let host = Host::new().with_work();
    host.publish("orders", "new", 0..100);
    host.reject("work", 100);
    let work = host.find("work");
    drop(host.vhost.change(|topology| topology.expire_queue(&work, |_| true)));
    assert!(work.is_deleted() && host.waiting() > 0);
    host.take_all_turns();
    assert_eq!(host.ids("dead"), (0..100).collect::<Vec<_>>());
}

#[test]
fn what_stands_in_line_takes_memory_and_holds_up_those_who_bring_more() {
    struct Woken(AtomicUsize);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let host = Host::new().with_work();
    for _ in 0..=DEPARTURES_WAITING_MAX / 100 + 1 {
        host.publish("orders", "new", 0..100);
    }
    let count = host.find("work").status().ready;
    host.reject("work", count);
    assert!(host.waiting() > DEPARTURES_WAITING_MAX);
    let after = host.gauge.used_bytes();
    assert!(after > count * 64, "{after}");
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    assert!(host.vhost.departures.poll_room(&mut context).is_pending());
    assert!(host.vhost.departures.poll_room(&mut context).is_pending());
    host.take_all_turns();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(host.vhost.departures.poll_room(&mut context).is_ready());
    assert_eq!(host.ids("dead").len(), count);
}

/// Full queues, each of which dead-letters to all of them and to one that keeps everything.
fn fan_of(host: &Host, names: &[&'static str]) -> Arc<SharedQueue> {
    host.exchange("fan", "fanout");
    for name in names {
        let arguments = FieldTable::new().with("x-dead-letter-exchange", "fan").with("x-max-length", 0);
        host.queue(name, arguments);
        host.bind("fan", name, "");
    }
    let all = host.queue("all", FieldTable::new());
    host.bind("fan", "all", "");
    all
}

const NINE: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

#[test]
fn a_message_goes_every_way_once_while_there_are_few() {
    // RabbitMQ 3.10: 5, 16 and 65.
    for (queues, letters) in [(3, 5), (4, 16), (5, 65)] {
        let host = Host::new();
        let all = fan_of(&host, &NINE[..queues]);
        host.publish("", "a", 0..1);
        host.take_all_turns();
        assert_eq!((all.status().ready, host.vhost.drops.of(Lost::TooManyCopies)), (letters, 0));
    }
}

#[test]
fn a_message_that_multiplies_is_cut_where_it_would_have_too_many_copies() {
    let host = Host::new();
    let all = fan_of(&host, &NINE);
    host.publish("", "a", 0..1);
    host.take_all_turns();
    let copies_max = 1 << LETTER_COPIES_LOG2_MAX;
    let (arrived, dropped) = (all.status().ready, host.vhost.drops.of(Lost::TooManyCopies));
    assert!((1..=2 * copies_max).contains(&arrived) && dropped > 0, "{arrived} {dropped}");
}

#[test]
fn a_wide_exchange_is_not_too_many_copies_the_first_time() {
    let host = Host::new();
    host.exchange("fan", "fanout");
    let names: Vec<&'static str> = (0..1_500).map(|n| &*format!("q{n}").leak()).collect();
    for name in &names {
        host.queue(name, dying_to("after").with("x-max-length", 0));
        host.bind("fan", name, "");
    }
    let after = host.queue("after", FieldTable::new());
    host.queue("work", FieldTable::new().with("x-dead-letter-exchange", "fan").with("x-max-length", 0));
    host.publish("", "work", 0..1);
    host.take_all_turns();
    assert_eq!((after.status().ready, host.dropped()), (1_500, 0));
}

const QUEUES: [&str; 6] = ["q0", "q1", "q2", "q3", "q4", "q5"];

/// What somebody does to the queues.
#[derive(Debug, Clone)]
enum Step {
    Publish(usize),
    Reject(usize, usize),
    Turn,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..QUEUES.len()).prop_map(Step::Publish),
        3 => (0..QUEUES.len(), 1..60_usize).prop_map(|(queue, count)| Step::Reject(queue, count)),
        2 => Just(Step::Turn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_message_is_in_one_place_or_counted_whatever_graph_it_goes_through(
        targets in vec((prop::option::of(0..QUEUES.len()), prop::option::of(0..3_i32)), QUEUES.len()),
        steps in vec(step(), 1..60),
    ) {
        let host = Host::new();
        for (name, (target, max_length)) in QUEUES.iter().zip(targets) {
            let arguments = target.map_or_else(FieldTable::new, |target| dying_to(QUEUES[target]));
            host.queue(name, match max_length {
                Some(max) => arguments.with("x-max-length", FieldValue::I32(max)),
                None => arguments,
            });
        }
        let mut published = 0;
        for step in steps {
            match step {
                Step::Publish(queue) => {
                    for _ in 0..20.min(250 - published) {
                        host.publish("", QUEUES[queue], published..=published);
                        published += 1;
                    }
                }
                Step::Reject(queue, count) => host.reject(QUEUES[queue], count.min(host.find(QUEUES[queue]).status().ready)),
                Step::Turn => host.vhost.take_turn(),
            }
        }
        host.take_all_turns();
        let mut places: BTreeMap<u8, usize> = BTreeMap::new();
        let mut dropped = host.dropped();
        for name in QUEUES {
            host.ids(name).into_iter().for_each(|id| *places.entry(id).or_default() += 1);
            dropped += host.find(name).status().rare.dropped.iter().sum::<u64>();
        }
        prop_assert!(places.values().all(|count| *count == 1), "{places:?}");
        prop_assert_eq!(places.len() as u64 + dropped, u64::from(published));
        // So for the journal: what has entered and not left is what is there.
        let groups = host.notebook.groups.lock();
        let (entered, left) = groups.iter().map(|(group, _)| moves(group)).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        prop_assert_eq!(entered - left, places.len());
    }
}
