//! What an operator does with a queue: looks, takes messages out of the middle, cancels and reschedules delayed ones.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{Client, Cursor, FieldTable, NOW, Q, Wish, number};
use crate::core::{
    ConnectionId,
    change::{Attempts, Change},
    declared::DELAY_QUEUE,
    effects::Cause,
    pager::Pager as _,
    policy::QueueSettings,
    queue::{Peek, shared::due_of},
};

fn ids(peek: &Peek) -> Vec<u64> {
    peek.messages.iter().map(|peeked| number(&peeked.entry.message.view().body())).collect()
}

/// A durable queue whose messages but the first few are on disk alone.
fn deep(count: u64) -> Q {
    let queue = Q::kept(true, false, FieldTable::new());
    queue.publish(0..count);
    queue.absorb();
    queue.shelf.write();
    queue.shared.page_out(false, &mut queue.effects.borrow_mut().changes);
    queue
}

impl Q {
    fn absorb(&self) {
        self.shelf.absorb(&mut self.effects.borrow_mut().changes);
    }

    fn ready_ids(&self) -> Vec<u64> {
        let mut all = Vec::new();
        let mut next = Some(Cursor::default());
        while let Some(from) = next {
            let peek = self.shared.peek_ready(from, 100);
            all.extend(ids(&peek));
            next = peek.next;
        }
        all
    }
}

#[test]
fn peeking_reads_what_is_on_disk_and_leaves_it_there() {
    let queue = deep(40);
    queue.absorb();
    let in_memory = queue.message_bytes();
    assert!(in_memory < queue.status().bytes / 2);
    let first = queue.shared.peek_ready(Cursor::default(), 10);
    assert!(ids(&first).into_iter().eq(0..first.messages.len() as u64));
    assert_eq!(queue.ready_ids(), (0..40).collect::<Vec<_>>());
    drop(first);
    assert_eq!((queue.message_bytes(), queue.status().ready), (in_memory, 40));
}

#[test]
fn a_peeked_message_is_delivered_as_if_nobody_had_looked() {
    let (queue, mut client) = (Q::plain(), Client::new());
    queue.publish(0..3);
    assert_eq!(ids(&queue.shared.peek_ready(Cursor::default(), 2)), [0, 1]);
    queue.consume(&client, "c", Wish::default());
    assert!(client.read().iter().all(|seen| !seen.redelivered));
    assert_eq!(queue.status().counters.got, 0);
}

#[test]
fn what_clients_hold_can_be_peeked_in_the_order_of_the_queue() {
    let (queue, one, other) = (Q::plain(), Client::new(), Client::new());
    queue.publish(0..4);
    queue.get(&other, false).unwrap();
    let leaving = queue.consume(&one, "c", Wish { prefetch: 2, ..Wish::default() });
    queue.cancel(&one, "c", leaving);
    let outboxes = || [(ConnectionId(1), one.outbox.clone()), (ConnectionId(2), other.outbox.clone())];
    let peek = queue.shared.peek_unacked(outboxes(), Cursor::default(), 2);
    assert_eq!(ids(&peek), [0, 1]);
    let rest = queue.shared.peek_unacked(outboxes(), peek.next.unwrap(), 2);
    assert_eq!((ids(&rest), rest.next), (vec![2], None));
}

#[test]
fn nobody_is_looked_at_once_all_that_clients_hold_was_seen() {
    let (queue, client) = (Q::plain(), Client::new());
    queue.publish(0..2);
    queue.consume(&client, "c", Wish::default());
    let nobody_else = || std::iter::from_fn(|| panic!("all of them were seen"));
    let outboxes = || [(ConnectionId(1), client.outbox.clone())].into_iter().chain(nobody_else());
    assert_eq!(ids(&queue.shared.peek_unacked(outboxes(), Cursor::default(), 9)), [0, 1]);
    assert_eq!(ids(&queue.shared.peek_unacked(outboxes(), Cursor { due: 0, position: 1 }, 9)), [1]);
}

#[test]
fn what_other_settings_would_do_at_once_is_foreseen_and_done_when_they_count() {
    let of = |arguments: FieldTable| Arc::new(QueueSettings::of(&arguments, None, None));
    let queue = Q::plain();
    queue.publish(0..5);
    queue.clock.advance(1_000);
    for (arguments, wanted) in [
        (FieldTable::new(), (0, 0, false)),
        (FieldTable::new().with("x-max-length", 2), (3, 0, false)),
        (FieldTable::new().with("x-max-length", 5), (0, 0, false)),
        (FieldTable::new().with("x-max-length-bytes", 16), (0, 24, false)),
        (FieldTable::new().with("x-max-length", 2).with("x-overflow", "reject-publish"), (0, 0, false)),
        (FieldTable::new().with("x-expires", 1_000), (0, 0, true)),
        (FieldTable::new().with("x-expires", 1_001), (0, 0, false)),
    ] {
        let seen = queue.shared.foresee(&of(arguments.clone()));
        let seen = (seen.messages_beyond, seen.bytes_beyond, seen.is_deleted);
        assert_eq!(seen, wanted, "{arguments:?}");
    }
    let shorter = FieldTable::new().with("x-max-length", 2);
    queue.shared.change_arguments(shorter.clone());
    assert_eq!(*queue.shared.arguments(), shorter);
    assert!(queue.shared.spec.arguments.is_empty());
    queue.shared.apply(of(shorter));
    queue.shared.tick(&mut queue.effects.borrow_mut());
    assert_eq!(queue.ready_ids(), [3, 4]);
}

#[test]
fn messages_leave_the_middle_of_a_deep_queue_and_the_others_keep_their_order() {
    let (queue, mut client) = (deep(40), Client::new());
    let mut next = Some(Cursor::default());
    while let Some(from) = next {
        let peek = queue.shared.peek_ready(from, 5);
        for peeked in peek.messages.iter().filter(|peeked| peeked.entry.position % 3 != 0) {
            let entry = queue.shared.take_out(&peeked.entry).unwrap();
            entry.settle(queue.shared.id, &mut queue.effects.borrow_mut().changes);
        }
        next = peek.next;
    }
    let left: Vec<u64> = (0..40).filter(|id| id % 3 == 0).collect();
    assert_eq!((queue.ready_ids(), queue.status().rare.redriven), (left.clone(), 26));
    // The journal has not heard of it yet: what is read back still shows them.
    queue.consume(&client, "c", Wish::default());
    assert_eq!(client.read_ids(), left);
    queue.absorb();
    assert_eq!(queue.shelf.messages().len(), left.len());
    queue.ack(&client, 0, true);
    queue.absorb();
    assert_eq!((queue.used_bytes(), queue.status().bytes), (0, 0));
}

#[test]
fn a_message_that_a_consumer_has_taken_meanwhile_is_not_taken_out() {
    let (queue, client) = (deep(40), Client::new());
    let seen = queue.shared.peek_ready(Cursor { due: 0, position: 20 }, 1).messages.remove(0);
    queue.consume(&client, "c", Wish::default());
    assert!(!queue.shared.holds(20) && queue.shared.take_out(&seen.entry).is_none());
}

#[test]
fn a_delayed_message_is_listed_with_its_time_and_can_be_cancelled() {
    let queue = Q::kept(true, false, FieldTable::new());
    for (id, due) in [(1, NOW + 30), (2, NOW + 10), (3, NOW + 20)] {
        queue.hold_until(id, due);
    }
    let peek = queue.shared.peek_delayed(Cursor::default(), 2);
    assert_eq!(ids(&peek), [2, 3]);
    let dues: Vec<_> = peek.messages.iter().map(|peeked| peeked.due - NOW).collect();
    assert_eq!(dues, [10, 20]);
    let rest = queue.shared.peek_delayed(peek.next.unwrap(), 2);
    assert_eq!((ids(&rest), rest.next), (vec![1], None));
    let position = peek.messages[1].entry.position;
    let cancel = |due| queue.shared.cancel_delayed(due, position, &mut queue.effects.borrow_mut());
    assert!(!cancel(NOW + 10), "it waits until another time");
    assert!(cancel(NOW + 20) && !cancel(NOW + 20));
    assert_eq!(ids(&queue.shared.peek_delayed(Cursor::default(), 9)), [2, 1]);
    queue.absorb();
    assert_eq!(queue.shelf.messages().len(), 2);
}

#[test]
fn delayed_messages_on_disk_are_read_to_be_listed_and_not_to_be_cancelled() {
    let queue = Q::kept(true, false, FieldTable::new());
    (0..3).for_each(|id| queue.hold_until(id, NOW + id));
    queue.absorb();
    queue.shelf.write();
    queue.shared.page_out(false, &mut queue.effects.borrow_mut().changes);
    assert_eq!(queue.message_bytes(), 0);
    assert_eq!(ids(&queue.shared.peek_delayed(Cursor::default(), 9)), [0, 1, 2]);
    assert_eq!(queue.message_bytes(), 0);
    assert!(queue.shared.cancel_delayed(NOW + 1, 1, &mut queue.effects.borrow_mut()));
    assert!(matches!(queue.effects.borrow().changes[..], [Change::Settle { message: None, .. }]));
    assert_eq!(ids(&queue.shared.peek_delayed(Cursor::default(), 9)), [0, 2]);
}

#[test]
fn a_rescheduled_message_comes_at_its_new_time_and_the_journal_hears_of_it() {
    let queue = Q::named(DELAY_QUEUE, true, false, FieldTable::new());
    for (id, due) in [(0, NOW + 30), (1, NOW + 10), (2, NOW + 20)] {
        queue.hold_until(id, due);
    }
    queue.absorb();
    let position = queue.shared.peek_delayed(Cursor::default(), 1).messages[0].entry.position;
    let reschedule =
        |from, to| queue.shared.reschedule_delayed((from, position), to, &mut queue.effects.borrow_mut());
    assert!(!reschedule(NOW + 11, NOW + 50), "it waits until another time");
    assert!(reschedule(NOW + 10, NOW + 50) && !reschedule(NOW + 10, NOW + 60));
    assert_eq!(ids(&queue.shared.peek_delayed(Cursor::default(), 9)), [2, 0, 1]);
    queue.absorb();
    let page = queue.shelf.load(queue.shared.id, position, position, 1_000).unwrap();
    assert_eq!((page.messages[0].due, page.messages[0].attempts), (NOW + 50, Attempts::default()));
    queue.pass(40);
    assert_eq!(queue.departed(), [(2, Cause::Due), (0, Cause::Due)]);
    assert!(reschedule(NOW + 50, 1), "what is past is due at once");
    queue.tick();
    assert_eq!(queue.departed(), [(1, Cause::Due)]);
    assert!(!reschedule(1, NOW + 50));
}

#[test]
fn a_queue_that_is_restored_knows_what_was_rescheduled() {
    let queue = Q::named(DELAY_QUEUE, true, false, FieldTable::new());
    (0..3).for_each(|id| queue.hold_until(id, NOW + 10 + id));
    assert!(queue.shared.reschedule_delayed((NOW + 10, 0), NOW + 50, &mut queue.effects.borrow_mut()));
    queue.absorb();
    let page = queue.shelf.load(queue.shared.id, 0, 9, 1_000).unwrap();
    let dues: Vec<_> = page.messages.iter().map(|loaded| due_of(&loaded.message, loaded.due)).collect();
    assert_eq!(dues, [NOW + 50, 1, 1], "the others say in no header when they are due");
}

proptest! {
    #[test]
    fn what_waits_is_released_in_the_order_of_the_times_that_hold(
        operations in vec((0..6_u8, any::<Index>(), 1..40_u64), 1..60),
    ) {
        let queue = Q::named(DELAY_QUEUE, true, false, FieldTable::new());
        let (mut model, mut now) = (BTreeMap::new(), NOW);
        for (id, (what, at, time)) in operations.into_iter().enumerate() {
            let id = id as u64;
            let chosen = (!model.is_empty()).then(|| *model.keys().nth(at.index(model.len())).unwrap());
            match (what, chosen) {
                (2, Some((due, position))) => {
                    prop_assert!(queue.shared.cancel_delayed(due, position, &mut queue.effects.borrow_mut()));
                    model.remove(&(due, position));
                }
                (3, Some(from)) => {
                    let to = now + time - 20;
                    prop_assert!(queue.shared.reschedule_delayed(from, to, &mut queue.effects.borrow_mut()));
                    let id = model.remove(&from).unwrap();
                    model.insert((to, from.1), id);
                }
                (4, _) => queue.to_disk(),
                (5, _) => {
                    now += time;
                    queue.pass(time);
                    let mut due = Vec::new();
                    while let Some(first) = model.first_entry().filter(|first| first.key().0 <= now) {
                        due.push((first.remove(), Cause::Due));
                    }
                    prop_assert_eq!(queue.departed(), due);
                }
                _ => {
                    let position = queue.shared.next_counter();
                    queue.hold_until(id, now + time);
                    model.insert((now + time, position), id);
                }
            }
            prop_assert_eq!(ids(&queue.shared.peek_delayed(Cursor::default(), 99)), model.values().copied().collect::<Vec<_>>());
        }
    }
}

impl Q {
    fn hold_until(&self, id: u64, due: u64) {
        use super::{Publication, View, build_image, note_published};
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[&id.to_be_bytes()], self.shared.spec.durable);
        let mut run = [Publication::new(View::new(layout, &image))];
        let placement = self.shared.hold_until(&mut run[0], due);
        let mut placed: Vec<_> = placement.into_iter().map(|placement| (0, placement)).collect();
        note_published(&mut run, &mut placed, &mut self.effects.borrow_mut().changes);
    }
}
