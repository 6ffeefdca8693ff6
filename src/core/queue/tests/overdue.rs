//! Messages that clients hold for too long are found, and a client that rests is not looked at again and again.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::core::policy::QueueSettings;

const QUEUES: Millis = 3_000;
const ITS_OWN: Millis = 1_500;

/// A queue with a timeout and two consumers on channel 1, of which `b` asked for a shorter one.
fn stage() -> (Q, Client, [ConsumerId; 2]) {
    let queue = Q::new(false, FieldTable::new().with("x-consumer-timeout", QUEUES as i64));
    let client = Client::new();
    let [a, b] = ["a", "b"].map(|tag| queue.consume(&client, tag, Wish::default()));
    let tag = ShortString::from_static("b");
    client.outbox.lock().window(1).unwrap().add_consumer(tag, (queue.shared.clone(), b), Some(ITS_OWN));
    (queue, client, [a, b])
}

impl Client {
    /// Looks as the broker does once a second; gives how much was looked at.
    fn look(&self, now: Millis, anew: bool) -> usize {
        self.outbox.lock().look_for_overdue(now, None, anew).0
    }

    fn overdue(&self, now: Millis) -> HashSet<Option<ConsumerId>> {
        let overdue = self.outbox.lock().take_overdue(now, None);
        overdue.into_iter().flat_map(|(_, overdue)| overdue).map(|it| it.consumer).collect()
    }
}

#[test]
fn what_is_held_is_looked_at_once_until_something_may_be_overdue() {
    let (queue, client, [a, b]) = stage();
    queue.publish(0..10);
    let now = || queue.shared.now();
    assert_eq!((client.look(now(), false), client.look(now(), false)), (10, 0));
    queue.publish(10..12);
    assert_eq!((client.look(now(), false), client.look(now(), false)), (2, 0));
    queue.clock.advance(ITS_OWN - 1);
    assert_eq!(client.look(now(), false), 0);
    queue.clock.advance(1);
    assert!(client.look(now(), false) >= 12);
    assert_eq!(client.overdue(now()), [Some(b)].into());
    queue.clock.advance(QUEUES);
    client.look(now(), false);
    assert_eq!(client.overdue(now()), [Some(a), Some(b)].into());
}

#[test]
fn a_timeout_that_a_policy_brings_counts_for_what_is_held_already() {
    let (queue, client) = (Q::plain(), Client::new());
    let id = queue.consume(&client, "c", Wish::default());
    queue.publish(0..3);
    queue.clock.advance(10 * QUEUES);
    assert_eq!((client.look(queue.shared.now(), false), client.overdue(queue.shared.now())), (3, [].into()));
    let arguments = FieldTable::new().with("x-consumer-timeout", QUEUES as i64);
    queue.shared.apply(Arc::new(QueueSettings::of(&arguments, None, None)));
    assert_eq!(client.look(queue.shared.now(), true), 3);
    assert_eq!(client.overdue(queue.shared.now()), [Some(id)].into());
}

#[derive(Debug, Clone)]
enum Step {
    Publish,
    Get,
    Ack(prop::sample::Index),
    /// Settled in a transaction, and rolled back by the next one.
    Settle(prop::sample::Index),
    Rollback,
    Renew(prop::sample::Index),
    RenewAll,
    Wait(Millis),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => Just(Step::Publish),
        1 => Just(Step::Get),
        2 => index().prop_map(Step::Ack),
        1 => index().prop_map(Step::Settle),
        1 => Just(Step::Rollback),
        2 => index().prop_map(Step::Renew),
        1 => Just(Step::RenewAll),
        4 => (1..2_000_u64).prop_map(Step::Wait),
    ]
}

/// What the definition says: who holds something for too long.
fn overdue(
    held: &BTreeMap<u64, (Option<ConsumerId>, Millis)>,
    b: ConsumerId,
    now: Millis,
) -> HashSet<Option<ConsumerId>> {
    let is_late = |(holder, since): &&(Option<ConsumerId>, Millis)| {
        let timeout = if *holder == Some(b) { ITS_OWN } else { QUEUES };
        since + timeout <= now
    };
    held.values().filter(is_late).map(|(holder, _)| *holder).collect()
}

/// Who holds a message, and since when.
type Its = (Option<ConsumerId>, Millis);

proptest! {
    #[test]
    fn those_who_hold_something_for_too_long_are_found_and_no_others(steps in prop::collection::vec(step(), 1..80)) {
        let (queue, client, [_, b]) = stage();
        let mut held: BTreeMap<u64, Its> = BTreeMap::new();
        let mut in_transaction: Vec<(Vec<Unacked>, u64, Its)> = Vec::new();
        for (number, step) in (0..).zip(steps) {
            let now = queue.shared.now();
            let tags: Vec<u64> = held.keys().copied().collect();
            let pick = |index: prop::sample::Index| (!tags.is_empty()).then(|| *index.get(&tags));
            match step {
                Step::Publish => queue.publish(number..=number),
                Step::Get => {
                    let _empty = queue.get(&client, false);
                }
                Step::Ack(index) => {
                    if let Some(tag) = pick(index) {
                        held.remove(&tag);
                        queue.ack(&client, tag, false);
                    }
                }
                Step::Settle(index) => {
                    if let Some(tag) = pick(index) {
                        let settled = client.settle(1, tag, false).unwrap();
                        in_transaction.extend(held.remove(&tag).map(|its| (settled, tag, its)));
                    }
                }
                Step::Rollback => {
                    for (settled, tag, its) in in_transaction.drain(..) {
                        client.outbox.lock().window(1).unwrap().restore(settled);
                        held.insert(tag, its);
                    }
                }
                Step::Renew(index) => {
                    if let Some(tag) = pick(index) {
                        client.outbox.lock().window(1).unwrap().renew(tag, now);
                        held.insert(tag, (held[&tag].0, now));
                    }
                }
                Step::RenewAll => {
                    client.outbox.lock().window(1).unwrap().renew(0, now);
                    for (_, since) in held.values_mut().chain(in_transaction.iter_mut().map(|its| &mut its.2)) {
                        *since = now;
                    }
                }
                Step::Wait(ms) => queue.clock.advance(ms),
            }
            for unacked in client.outbox.lock().window(1).unwrap().unacked() {
                held.entry(unacked.tag).or_insert((unacked.consumer, unacked.since));
            }
            let now = queue.shared.now();
            client.look(now, false);
            prop_assert_eq!(client.overdue(now), overdue(&held, b, now));
        }
    }
}
