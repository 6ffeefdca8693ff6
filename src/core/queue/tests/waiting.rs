//! Messages that wait for their time: published with a delay, or returned to a queue that lets them wait.

use super::{Client, Comeback, FieldTable, NOW, Publication, Q, View, Wish, build_image};
use crate::core::{
    change::{Attempts, Changes, note_published},
    clock::Millis,
    dead_letter::Reason,
    declared::DELAY_QUEUE,
    effects::Cause,
    entry::Entry,
    message::{Message, Stage},
    placement::QueueId,
    queue::delayed::{Delayed, Due, Stored},
};
use crate::limits::{DELIVERED_AT_ONCE_BYTES_MAX, PAGES_AT_ONCE_MAX, QUEUE_RESIDENT_BYTES_MAX};
use crate::protocol::{FieldValue, Properties};

fn table() -> FieldTable {
    FieldTable::new()
}

impl Q {
    /// Publishes a message that waits so long.
    fn delay(&self, id: u64, milliseconds: Millis) {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[&id.to_be_bytes()], self.shared.spec.durable);
        let mut run = [Publication::new(View::new(layout, &image))];
        let placement = self.shared.hold_until(&mut run[0], NOW + milliseconds);
        let mut placed = placement.map(|placement| (0, placement)).into_iter().collect();
        note_published(&mut run, &mut placed, &mut self.effects.borrow_mut().changes);
    }
}

#[test]
fn the_delay_queue_releases_messages_in_the_order_of_their_times() {
    let queue = Q::named(DELAY_QUEUE, true, false, table());
    for (id, delay) in [(0, 30), (1, 10), (2, 20), (3, 10)] {
        queue.delay(id, delay);
    }
    assert_eq!(queue.calls.take(), [NOW + 30, NOW + 10]);
    queue.pass(9);
    assert_eq!(queue.departed(), []);
    queue.pass(1);
    assert_eq!(queue.departed(), [(1, Cause::Due), (3, Cause::Due)]);
    assert_eq!(queue.calls.take().last(), Some(&(NOW + 20)));
    queue.pass(50);
    assert_eq!(queue.departed(), [(2, Cause::Due), (0, Cause::Due)]);
    queue.to_disk();
    assert!(queue.shelf.messages().is_empty());
    assert_eq!((queue.status().delayed, queue.used_bytes()), (0, 0));
}

#[test]
fn what_waits_on_disk_is_read_when_it_is_due() {
    let queue = Q::named(DELAY_QUEUE, true, false, table());
    (0..20).for_each(|id| queue.delay(id, 100 - id));
    queue.to_disk();
    assert_eq!((queue.status().delayed, queue.message_bytes()), (20, 0));
    queue.pass(100);
    assert!(queue.departed().into_iter().map(|(id, _)| id).eq((0..20).rev()));
}

#[test]
fn what_is_due_on_disk_is_released_in_order_over_several_ticks() {
    let queue = Q::named(DELAY_QUEUE, true, false, table());
    let many = 3 * PAGES_AT_ONCE_MAX as u64;
    // None is on disk behind the one before it: each takes a page.
    (0..many).for_each(|id| queue.delay(id, 1_000 - id));
    queue.to_disk();
    queue.delay(many, 1_000 - many - 1);
    queue.delay(many + 1, 1_000);
    queue.calls.take();
    queue.pass(2_000);
    let mut seen = queue.departed();
    assert_eq!(seen.len(), PAGES_AT_ONCE_MAX + 1);
    for _ in 0..2 {
        assert!(queue.calls.take().iter().any(|at| *at <= NOW + 2_000), "it is to be called at once");
        queue.tick();
        seen.extend(queue.departed());
    }
    let expected = [many].into_iter().chain((1..many).rev()).chain([0, many + 1]);
    assert_eq!(seen, expected.map(|id| (id, Cause::Due)).collect::<Vec<_>>());
    assert_eq!(queue.status().delayed, 0);
}

#[test]
fn a_call_hands_out_so_much_and_the_timetable_calls_for_the_rest() {
    let arguments = table().with("x-delayed-retry-type", "all").with("x-delayed-retry-min", 10);
    let (queue, getter) = (Q::new(false, arguments), Client::new());
    let large = FieldTable::new().with("large", FieldValue::long_string([0; 16 * 1024]));
    let count = 2 * DELIVERED_AT_ONCE_BYTES_MAX / (16 * 1024);
    queue.publish_with(0..count as u64, &Properties { headers: Some(large), ..Properties::default() });
    for _ in 0..count {
        queue.get(&getter, false).unwrap();
    }
    let held = getter.settle(1, 0, true).unwrap();
    queue.shared.requeue(held, Comeback::Failed, &mut queue.effects.borrow_mut());
    let clients: Vec<_> = (0..6).map(|_| Client::new()).collect();
    for client in &clients {
        queue.consume(client, "c", Wish::default());
    }
    queue.calls.take();
    queue.pass(10);
    let handed_out = queue.status().unacked;
    assert!((count / 3..count * 2 / 3).contains(&handed_out), "{handed_out} of {count}");
    assert!(queue.calls.take().contains(&0));
    queue.tick();
    assert!(queue.status().unacked > handed_out);
}

#[test]
fn a_returned_message_waits_longer_each_time_until_the_limit_ends_it() {
    let arguments = table()
        .with("x-delayed-retry-type", "failed")
        .with("x-delayed-retry-min", 10)
        .with("x-delayed-retry-max", 25)
        .with("x-delivery-limit", 3);
    let (queue, client) = (Q::new(false, arguments), Client::new());
    queue.publish(0..1);
    for wait in [10, 20, 25] {
        queue.bounce(&client, Comeback::Failed);
        assert_eq!((queue.ready(), queue.status().delayed, queue.status().unacked), (0, 1, 0));
        queue.pass(wait - 1);
        assert_eq!(queue.ready(), 0, "{wait} ms are not over");
        queue.pass(1);
        assert_eq!((queue.ready(), queue.status().delayed), (1, 0));
    }
    queue.bounce(&client, Comeback::Returned);
    assert_eq!(queue.ready(), 1, "that was no failure");
    queue.bounce(&client, Comeback::Failed);
    assert_eq!((queue.ready(), queue.status().delayed), (0, 0));
    assert_eq!(queue.dropped(Reason::DeliveryLimit), 1);
}

#[test]
fn a_purge_and_a_deletion_take_and_count_what_waits_as_well() {
    let arguments = table().with("x-delayed-retry-type", "failed").with("x-delayed-retry-min", 10);
    for (durable, on_disk) in [(true, false), (true, true), (false, false), (false, true)] {
        for deleted in [false, true] {
            let (queue, client) = (Q::kept(durable, false, arguments.clone()), Client::new());
            queue.publish(0..6);
            if on_disk {
                queue.to_disk();
            }
            queue.bounce(&client, Comeback::Failed);
            queue.get(&client, false).unwrap();
            let first = client.settle(1, 0, true).unwrap();
            queue.bounce(&client, Comeback::Failed);
            queue.shared.requeue(first, Comeback::Returned, &mut queue.effects.borrow_mut());
            if on_disk {
                queue.to_disk();
            }
            assert_eq!((queue.ready(), queue.status().delayed), (4, 2));
            let count =
                if deleted { queue.shared.delete(|_| true).unwrap().message_count() } else { queue.purge() };
            assert_eq!(count, 6, "durable: {durable}, on disk: {on_disk}, deleted: {deleted}");
            assert_eq!((queue.ready(), queue.status().delayed), (0, 0));
            if !deleted {
                queue.to_disk();
                assert_eq!(queue.used_bytes(), 0);
                assert_eq!(queue.shelf.messages().len(), 0, "the journal knows");
                queue.pass(10);
                assert_eq!(queue.ready(), 0, "nothing comes back");
            }
        }
    }
}

#[test]
fn attempts_are_not_forgotten_on_disk() {
    let arguments = table()
        .with("x-delayed-retry-type", "all")
        .with("x-delayed-retry-min", 10)
        .with("x-delivery-limit", 2);
    for durable in [true, false] {
        let (queue, client) = (Q::kept(durable, false, arguments.clone()), Client::new());
        queue.publish(0..1);
        for _ in 0..2 {
            queue.bounce(&client, Comeback::Failed);
            queue.to_disk();
            assert_eq!(queue.message_bytes(), 0, "it is on disk alone");
            queue.pass(10);
            assert_eq!(queue.ready(), 1);
        }
        queue.bounce(&client, Comeback::Failed);
        assert_eq!(queue.dropped(Reason::DeliveryLimit), 1, "durable: {durable}");
    }
}

#[test]
fn a_message_that_comes_again_goes_to_a_consumer_as_redelivered() {
    let arguments = table().with("x-delayed-retry-type", "all").with("x-delayed-retry-min", 10);
    let (queue, mut client) = (Q::new(false, arguments), Client::new());
    queue.consume(&client, "c", Wish { prefetch: 1, ..Wish::default() });
    queue.publish(0..2);
    queue.requeue(&client, 1, false);
    queue.ack(&client, 2, false);
    queue.pass(10);
    let seen: Vec<_> = client.read().into_iter().map(|seen| (seen.id, seen.redelivered)).collect();
    assert_eq!(seen, [(0, false), (1, false), (0, true)]);
}

#[test]
fn a_message_that_waits_expires_when_it_comes_again() {
    let arguments =
        table().with("x-delayed-retry-type", "all").with("x-delayed-retry-min", 50).with("x-message-ttl", 20);
    let (queue, client) = (Q::new(false, arguments), Client::new());
    queue.publish(0..1);
    queue.bounce(&client, Comeback::Failed);
    queue.pass(30);
    assert_eq!(queue.status().delayed, 1);
    queue.pass(20);
    assert_eq!((queue.status().delayed, queue.ready(), queue.dropped(Reason::Expired)), (0, 0, 1));
}

// ---- the set of those that wait ----

fn entry(position: u64, on_disk: bool) -> Entry {
    let (layout, image) = build_image(b"", b"q", &[0, 0], &[b"x"], true);
    let message = Message::uncounted(View::new(layout, &image), NOW);
    if on_disk {
        message.set_stage(Stage::Written);
    }
    Entry { message, position, attempts: Attempts::default(), redelivered: false, journaled: on_disk }
}

#[test]
fn those_that_wait_come_by_time_and_equals_by_place() {
    let mut delayed = Delayed::default();
    for (due, position) in [(5, 1), (3, 4), (5, 0), (3, 2), (9, 3)] {
        delayed.insert(due, entry(position, false));
    }
    let mut popped = Vec::new();
    while let Some(due) = delayed.pop_due(8) {
        let Due::Entry(entry) = due else { panic!("they are in memory") };
        popped.push(entry.position);
    }
    assert_eq!((popped, delayed.len(), delayed.first_due()), (vec![2, 4, 0, 1], 1, Some(9)));
}

#[test]
fn of_those_on_disk_only_the_place_stays() {
    let mut delayed = Delayed::default();
    for position in 0..10 {
        delayed.insert(100 - position, entry(position, position < 5));
    }
    let one = delayed.resident_bytes() / 10;
    delayed.page_out(8 * one, &mut Vec::new());
    assert_eq!(delayed.resident_bytes(), 8 * one, "no more than need be");
    delayed.page_out(0, &mut Vec::new());
    assert_eq!(delayed.resident_bytes(), 5 * one, "the others are not on disk");
    let mut changes = Changes::new();
    assert!(!delayed.page_out_all(QueueId(1), &mut changes, &mut Vec::new()));
    assert_eq!(changes.len(), 5);
    let on_disk = |due: Due| matches!(due, Due::OnDisk(_));
    let popped: Vec<_> = std::iter::from_fn(|| delayed.pop_due(100)).map(on_disk).collect();
    assert_eq!(popped, [[false; 5], [true; 5]].concat());
    assert_eq!((delayed.len(), delayed.resident_bytes()), (0, 0));
}

#[test]
fn beyond_the_budget_messages_leave_memory_as_others_come() {
    let mut delayed = Delayed::default();
    let (layout, image) = build_image(b"", b"q", &[0, 0], &[&vec![0; 1024 * 1024]], true);
    for position in 0..20 {
        let message = Message::uncounted(View::new(layout, &image), NOW);
        message.set_stage(Stage::Written);
        delayed.insert(position, Entry { message, journaled: true, ..entry(position, true) });
    }
    assert!(delayed.resident_bytes() <= QUEUE_RESIDENT_BYTES_MAX);
    let attempts = Attempts::default();
    let first = Stored { position: 0, attempts, redelivered: false };
    assert!(matches!(delayed.pop_due(0), Some(Due::OnDisk(stored)) if stored == first));
}
