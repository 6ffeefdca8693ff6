//! Messages that move in from a queue of another broker.

use super::{Client, Cursor, FieldTable, Properties, Q, ShortString, Wish, number};
use crate::core::{
    change::{Attempts, Change},
    dead_letter::Reason,
    moved_in::{MovedIn, Reading},
};
use crate::limits::MESSAGE_SIZE_BYTES_MAX_DEFAULT;
use crate::protocol::{basic, write_bodies, write_header_with, write_method};

/// A message whose body is its number.
fn message(id: u64, redelivered: bool, properties: &Properties) -> MovedIn {
    let mut bytes = Vec::new();
    write_method(&mut bytes, 1, &basic::Deliver { redelivered, ..basic::Deliver::default() });
    write_header_with(&mut bytes, 1, basic::CLASS_ID, 8, |out| properties.encode(out));
    write_bodies(&mut bytes, 1, &id.to_be_bytes(), 4_096);
    let reading = Reading { body_bytes_max: MESSAGE_SIZE_BYTES_MAX_DEFAULT, counts_attempts: true };
    reading.deliveries(&bytes).unwrap().remove(0).message.unwrap()
}

fn messages(ids: impl IntoIterator<Item = u64>) -> Vec<MovedIn> {
    let persistent = Properties { delivery_mode: Some(2), ..Properties::default() };
    ids.into_iter().map(|id| message(id, false, &persistent)).collect()
}

impl Q {
    fn move_in(&self, messages: &[MovedIn]) -> Option<usize> {
        self.shared.move_in(messages, &mut self.effects.borrow_mut())
    }

    /// What the journal has been told.
    fn absorbed(&self) {
        self.shelf.absorb(&mut self.effects.borrow_mut().changes);
    }

    fn ids_ready(&self) -> Vec<u64> {
        let peek = self.shared.peek_ready(Cursor::default(), 100);
        peek.messages.iter().map(|peeked| number(&peeked.entry.message.view().body())).collect()
    }
}

#[test]
fn messages_that_move_in_stand_behind_those_that_are_here_in_their_order() {
    let queue = Q::kept(true, false, FieldTable::new());
    queue.publish(0..2);
    assert_eq!(queue.move_in(&messages(10..13)), Some(3));
    queue.publish(2..3);
    assert_eq!(queue.ids_ready(), [0, 1, 10, 11, 12, 2]);
    assert_eq!(queue.status().counters.published, 6);
    queue.absorbed();
    assert_eq!(queue.shelf.messages().len(), 6);
}

#[test]
fn waiting_consumers_get_them_at_once() {
    let (queue, mut client) = (Q::kept(true, false, FieldTable::new()), Client::new());
    queue.consume(&client, "c", Wish { prefetch: 2, ..Wish::default() });
    queue.move_in(&messages(0..3));
    assert_eq!(client.read_ids(), [0, 1]);
    queue.ack(&client, 0, true);
    assert_eq!(client.read_ids(), [2]);
    queue.ack(&client, 0, true);
    queue.absorbed();
    assert!(queue.shelf.messages().is_empty());
}

#[test]
fn what_came_back_before_has_its_attempts_and_says_so_also_when_it_was_on_disk_alone() {
    let queue = Q::kept(true, false, FieldTable::new().with("x-queue-type", "quorum"));
    let returned = |id, failed: i32| {
        let headers = Some(FieldTable::new().with("x-delivery-count", failed));
        message(id, failed > 0, &Properties { headers, delivery_mode: Some(2), ..Properties::default() })
    };
    queue.move_in(&[returned(0, 0), returned(1, 2), returned(2, 1)]);
    queue.absorbed();
    queue.shelf.write();
    queue.shared.page_out(true, &mut queue.effects.borrow_mut().changes);
    assert_eq!(queue.message_bytes(), 0);
    let seen = queue.shared.peek_ready(Cursor::default(), 9).messages;
    let seen: Vec<_> =
        seen.into_iter().map(|peeked| (peeked.entry.attempts, peeked.entry.redelivered)).collect();
    let attempts = |times| Attempts { returned: times, failed: times };
    assert_eq!(seen, [(attempts(0), false), (attempts(2), true), (attempts(1), true)]);
}

#[test]
fn the_delivery_limit_counts_what_failed_elsewhere() {
    let arguments = FieldTable::new().with("x-queue-type", "quorum").with("x-delivery-limit", 2);
    let (queue, mut client) = (Q::kept(true, false, arguments), Client::new());
    let headers = Some(FieldTable::new().with("x-delivery-count", 2));
    queue.move_in(&[message(1, true, &Properties { headers, ..Properties::default() })]);
    queue.get(&client, false).unwrap();
    assert!(client.read()[0].redelivered);
    queue.requeue(&client, 1, false);
    assert_eq!((queue.ready(), queue.dropped(Reason::DeliveryLimit)), (0, 1));
}

#[test]
fn a_full_queue_refuses_the_rest_whatever_it_does_with_what_is_published() {
    for overflow in ["drop-head", "reject-publish", "reject-publish-dlx"] {
        for (limit, max) in [("x-max-length", 5), ("x-max-length-bytes", 5 * 8)] {
            let arguments = FieldTable::new().with("x-overflow", overflow).with(limit, max);
            let queue = Q::kept(true, false, arguments.with("x-dead-letter-exchange", "dlx"));
            queue.publish(0..2);
            assert_eq!(queue.move_in(&messages(2..9)), Some(3), "{overflow} {limit}");
            assert_eq!(queue.ids_ready(), [0, 1, 2, 3, 4], "{overflow} {limit}");
            assert_eq!(queue.move_in(&messages(5..6)), Some(0));
            assert!(queue.departed().is_empty() && queue.status().rare.refused == 0);
        }
    }
}

#[test]
fn the_time_until_a_message_expires_begins_anew() {
    let queue = Q::kept(true, false, FieldTable::new());
    let expiration = Some(ShortString::from_static("10"));
    queue.move_in(&[message(1, false, &Properties { expiration, ..Properties::default() })]);
    queue.pass(9);
    assert_eq!((queue.ready(), queue.dropped(Reason::Expired)), (1, 0));
    queue.pass(1);
    assert_eq!((queue.ready(), queue.dropped(Reason::Expired)), (0, 1));
}

#[test]
fn each_goes_into_the_line_of_its_priority() {
    let queue = Q::kept(true, false, FieldTable::new().with("x-max-priority", 3));
    let prioritised = |(id, priority)| message(id, false, &Properties { priority, ..Properties::default() });
    let all = [(0, None), (1, Some(3)), (2, Some(1)), (3, Some(9)), (4, Some(1))].map(prioritised);
    queue.move_in(&all);
    assert_eq!(queue.ids_ready(), [1, 3, 2, 4, 0]);
}

#[test]
fn the_journal_hears_of_persistent_ones_in_durable_queues() {
    for (durable, delivery_mode, known) in [(true, 2, 1), (true, 1, 0), (false, 2, 0), (false, 1, 0)] {
        let queue = Q::kept(durable, false, FieldTable::new());
        let mode = Properties { delivery_mode: Some(delivery_mode), ..Properties::default() };
        queue.move_in(&[message(1, false, &mode)]);
        let changes = &queue.effects.borrow().changes;
        assert_eq!(changes.len(), known, "{durable} {delivery_mode}");
        assert!(changes.iter().all(|change| matches!(change, Change::Publish { transient: false, .. })));
    }
}

#[test]
fn a_deleted_queue_takes_nothing() {
    let queue = Q::kept(true, false, FieldTable::new());
    assert!(queue.shared.delete(|_| true).is_some());
    assert_eq!(queue.move_in(&messages(0..1)), None);
    assert!(queue.effects.borrow().is_empty());
}
