//! Queues as clients see them: deliveries are read back from the bytes in each client's outbox.

mod client;
mod held;
mod lines;
mod memory;
mod model;
mod moved_in;
mod observed;
mod operator;
mod overdue;
mod queue;
mod readers;
mod shelf;
#[cfg(feature = "opentelemetry")]
mod spans;
mod timed;
mod waiting;

use std::sync::Arc;

use client::{Client, Received, What, number};
use queue::{Calls, Q, Wish, taken_all};

use super::{ConsumeError, Cursor, Enqueued, GetError, Origin};
use crate::core::{
    change::note_published,
    clock::Millis,
    message::{Publication, View, build_image},
    source::{Comeback, ConsumerId, Unacked},
};
use crate::protocol::{FieldTable, Properties, ShortString};

/// When tests begin.
const NOW: Millis = 1_000_000;

// ---- prefetch ----

#[test]
fn prefetch_window_reopens_after_multiple_ack() {
    let (queue, mut client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish { prefetch: 3, ..Wish::default() });
    queue.publish(0..7);
    assert_eq!(client.read_ids(), [0, 1, 2]);
    queue.ack(&client, 2, true);
    assert_eq!(client.read_ids(), [3, 4]);
    queue.ack(&client, 0, true);
    assert_eq!(client.read_ids(), [5, 6]);
}

#[test]
fn a_channels_prefetch_counts_all_of_its_consumers_and_no_gets() {
    let (queue, mut client) = (Q::plain(), Client::new());
    client.outbox.lock().window(1).unwrap().limit_prefetch(2);
    queue.publish(0..1);
    queue.get(&client, false).unwrap();
    queue.consume(&client, "a", Wish::default());
    queue.consume(&client, "b", Wish::default());
    queue.publish(1..6);
    assert_eq!(client.read_ids(), [0, 1, 2]);
    queue.ack(&client, 1, false);
    assert!(client.read().is_empty(), "the message from basic.get had no part in the channel's limit");
    queue.ack(&client, 2, false);
    assert_eq!(client.read_ids(), [3]);
}

#[test]
fn a_consumer_without_acknowledgements_has_no_prefetch() {
    let (queue, mut client) = (Q::plain(), Client::new());
    client.outbox.lock().window(1).unwrap().limit_prefetch(1);
    queue.consume(&client, "c", Wish { prefetch: 1, no_ack: true, ..Wish::default() });
    queue.publish(0..5);
    assert_eq!(client.read_ids(), [0, 1, 2, 3, 4]);
    assert_eq!((queue.status().unacked, queue.used_bytes()), (0, 0));
}

// ---- who is next ----

#[test]
fn round_robin_is_strict_among_equal_priorities_and_higher_ones_go_first() {
    let (queue, mut client) = (Q::plain(), Client::new());
    for tag in ["a", "b", "c"] {
        queue.consume(&client, tag, Wish::default());
    }
    queue.consume(&client, "high", Wish { priority: 1, prefetch: 2, ..Wish::default() });
    queue.publish(0..9);
    assert_eq!(client.read_consumers(), ["high", "high", "a", "b", "c", "a", "b", "c", "a"]);
}

#[test]
fn single_active_consumer_succession_is_by_priority_then_age() {
    let (queue, mut client) = (Q::single_active(), Client::new());
    let first = queue.consume(&client, "first", Wish::default());
    queue.consume(&client, "second", Wish::default());
    let high = queue.consume(&client, "high", Wish { priority: 9, ..Wish::default() });
    queue.consume(&client, "high too", Wish { priority: 9, ..Wish::default() });
    queue.publish(0..2);
    queue.cancel(&client, "first", first);
    queue.publish(2..3);
    queue.cancel(&client, "high", high);
    queue.publish(3..4);
    assert_eq!(client.read_consumers(), ["first", "first", "high", "high too"]);
}

#[test]
fn a_single_active_consumers_successor_gets_returned_messages_in_their_order() {
    let (queue, mut client, mut next) = (Q::single_active(), Client::new(), Client::new());
    queue.consume(&client, "active", Wish { prefetch: 2, ..Wish::default() });
    queue.consume(&next, "next", Wish::default());
    queue.publish(0..4);
    assert_eq!(client.read_ids(), [0, 1]);
    queue.close_channel(&client, 1);
    assert_eq!(next.read_ids(), [0, 1, 2, 3]);
}

#[test]
fn a_queue_with_a_single_active_consumer_refuses_get() {
    let (queue, client) = (Q::single_active(), Client::new());
    queue.publish(0..1);
    assert_eq!(queue.get(&client, true), Err(GetError::SingleActiveConsumer));
}

#[test]
fn an_exclusive_consumer_refuses_others_and_wants_to_be_alone() {
    let (queue, client) = (Q::plain(), Client::new());
    let exclusive = || Wish { exclusive: true, ..Wish::default() };
    let first = queue.consume(&client, "a", exclusive());
    assert_eq!(queue.try_consume(&client, "b", Wish::default()), Err(ConsumeError::InExclusiveUse));
    queue.cancel(&client, "a", first);
    queue.consume(&client, "c", Wish::default());
    assert_eq!(queue.try_consume(&client, "d", exclusive()), Err(ConsumeError::InExclusiveUse));
}

// ---- back and forth ----

#[test]
fn a_requeued_message_returns_to_its_original_position_and_says_so() {
    let (queue, mut client) = (Q::plain(), Client::new());
    queue.publish(0..4);
    for _ in 0..3 {
        queue.get(&client, false).unwrap();
    }
    queue.requeue(&client, 2, false);
    queue.requeue(&client, 1, false);
    client.read();
    queue.consume(&client, "c", Wish::default());
    let seen: Vec<_> = client.read().into_iter().map(|seen| (seen.id, seen.redelivered)).collect();
    assert_eq!(seen, [(0, true), (1, true), (3, false)]);
}

#[test]
fn a_cancelled_consumers_unacked_messages_stay_with_the_channel() {
    let (queue, mut client) = (Q::plain(), Client::new());
    let id = queue.consume(&client, "c", Wish::default());
    queue.publish(0..3);
    queue.cancel(&client, "c", id);
    queue.publish(3..4);
    assert_eq!(client.read_ids(), [0, 1, 2]);
    assert_eq!((queue.status().ready, queue.status().unacked), (1, 3));
    queue.ack(&client, 3, true);
    assert_eq!(queue.status().unacked, 0);
}

#[test]
fn a_starved_consumer_is_fed_after_the_writer_has_drained() {
    let (queue, mut slow, mut quick) = (Q::plain(), Client::new(), Client::new());
    queue.consume(&slow, "slow", Wish::default());
    slow.clog();
    queue.publish(0..2);
    assert_eq!(queue.status().ready, 2, "nothing is delivered into a full outbox");
    queue.consume(&quick, "quick", Wish { prefetch: 1, ..Wish::default() });
    assert_eq!(quick.read_ids(), [0], "others do not wait for it");
    assert!(slow.read().is_empty(), "this was what filled the outbox");
    assert_eq!(slow.read_ids(), [1]);
}

#[test]
fn consumers_that_come_and_go_while_they_cannot_be_served_are_not_remembered() {
    let (queue, client) = (Q::plain(), Client::new());
    client.outbox.lock().window(1).unwrap().limit_prefetch(1);
    queue.consume(&client, "holds one", Wish::default());
    queue.publish(0..2);
    let references = Arc::strong_count(&queue.shared);
    for _ in 0..1_000 {
        let id = queue.consume(&client, "c", Wish::default());
        queue.cancel(&client, "c", id);
    }
    let more = Arc::strong_count(&queue.shared) - references;
    assert!(more < 50, "{more} references to consumers that are gone");
}

#[test]
fn consumers_that_come_and_go_while_the_client_does_not_read_are_not_remembered() {
    let (queue, client) = (Q::plain(), Client::new());
    client.clog();
    queue.publish(0..2);
    let references = Arc::strong_count(&queue.shared);
    for _ in 0..1_000 {
        let id = queue.consume(&client, "c", Wish::default());
        queue.cancel(&client, "c", id);
    }
    let more = Arc::strong_count(&queue.shared) - references;
    assert!(more < 50, "{more} references to consumers that are gone");
}

// ---- the end of a queue ----

#[test]
fn delete_tells_consumers_that_understand_basic_cancel_and_no_others() {
    for understands in [true, false] {
        let (queue, mut client) = (Q::plain(), Client::understanding_cancel(understands));
        queue.consume(&client, "c", Wish::default());
        queue.publish(0..1);
        let deleted = queue.shared.delete(|status| status.consumers == 1).unwrap();
        assert!(client.read().iter().all(|seen| seen.what != What::Cancelled), "an answer comes first");
        drop(deleted);
        let seen = client.read();
        assert_eq!(seen.iter().filter(|seen| seen.what == What::Cancelled).count(), usize::from(understands));
        assert!(client.outbox.lock().window(1).unwrap().consumers().len() == 0);
    }
}

#[test]
fn a_tag_that_was_used_again_is_not_cancelled_for_the_consumer_that_had_it() {
    let (gone, stays, mut client) = (Q::plain(), Q::plain(), Client::new());
    let id = gone.consume(&client, "c", Wish::default());
    let deleted = gone.shared.delete(|_| true).unwrap();
    gone.cancel(&client, "c", id);
    stays.consume(&client, "c", Wish::default());
    drop(deleted);
    assert!(client.read().is_empty());
    stays.publish(7..8);
    assert_eq!(client.read_ids(), [7]);
}

#[test]
fn consumers_that_are_turned_away_and_leave_are_fed_no_more_whichever_way_they_leave() {
    let (queue, other, mut client) = (Q::plain(), Q::plain(), Client::new());
    client.outbox.lock().window(1).unwrap().limit_prefetch(1);
    let first = queue.consume(&client, "a", Wish::default());
    queue.publish(0..1);
    queue.consume(&client, "b", Wish::default());
    other.consume(&client, "c", Wish::default());
    queue.publish(1..2);
    queue.publish(2..3);
    other.publish(3..4);
    assert_eq!(client.read_ids(), [0], "all three wait for the channel");
    queue.cancel(&client, "a", first);
    drop(queue.shared.delete(|_| true));
    assert_eq!(client.read().iter().map(|seen| seen.what.clone()).collect::<Vec<_>>(), [What::Cancelled]);
    queue.ack(&client, 1, false);
    assert_eq!(client.read_consumers(), ["c"]);
}

#[test]
fn messages_of_a_deleted_queue_can_be_settled_and_do_not_come_back() {
    let (queue, client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish { prefetch: 2, ..Wish::default() });
    queue.publish(0..5);
    let deleted = queue.shared.delete(|_| true).unwrap();
    assert_eq!(deleted.message_count(), 3);
    drop(deleted);
    queue.requeue(&client, 1, false);
    queue.ack(&client, 2, false);
    assert_eq!((queue.status().ready, queue.status().unacked, queue.used_bytes()), (0, 0, 0));
    assert_eq!(queue.try_consume(&client, "d", Wish::default()), Err(ConsumeError::Gone));
    assert!(queue.shared.delete(|_| true).is_none(), "it can be deleted once");
}

#[test]
fn auto_delete_is_due_only_after_the_last_of_some_consumers() {
    let (queue, client) = (Q::new(true, FieldTable::new()), Client::new());
    queue.publish(0..1);
    assert!(!queue.shared.is_deleted());
    let (a, b) = (queue.consume(&client, "a", Wish::default()), queue.consume(&client, "b", Wish::default()));
    assert!(!queue.cancel(&client, "a", a));
    assert!(queue.cancel(&client, "b", b));
    assert!(!queue.cancel(&client, "b", b), "a consumer leaves once");
    let plain = Q::plain();
    let only = plain.consume(&client, "c", Wish::default());
    assert!(!plain.cancel(&client, "c", only));
}

#[test]
fn purge_takes_what_is_ready_and_leaves_what_is_held() {
    let (queue, mut client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish { prefetch: 1, ..Wish::default() });
    queue.publish(0..4);
    assert_eq!(queue.purge(), 3);
    assert_eq!((queue.status().ready, queue.status().unacked), (0, 1));
    queue.requeue(&client, 1, false);
    assert_eq!(client.read_ids(), [0, 0]);
}

// ---- delivery tags ----

#[test]
fn an_unknown_delivery_tag_is_named_in_the_error() {
    let (queue, client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish::default());
    queue.publish(0..3);
    queue.ack(&client, 2, false);
    for (tag, multiple) in [(2, false), (0, false), (4, false), (4, true), (u64::MAX, true)] {
        let error = client.settle(1, tag, multiple).err().unwrap();
        assert_eq!(error.reply_text(), format!("PRECONDITION_FAILED - unknown delivery tag {tag}"));
    }
    queue.ack(&client, 3, true);
    let error = client.settle(1, 3, true).err().unwrap();
    assert_eq!(error.reply_text(), "PRECONDITION_FAILED - unknown delivery tag 3");
}

#[test]
fn tag_zero_with_multiple_is_fine_when_nothing_is_outstanding() {
    let client = Client::new();
    assert!(client.settle(1, 0, true).unwrap().is_empty());
}

#[test]
fn out_of_order_acks_do_not_make_the_window_grow() {
    let (queue, mut client) = (Q::plain(), Client::new());
    queue.consume(&client, "c", Wish::default());
    queue.publish(0..1);
    for tag in 2..20_000 {
        queue.publish(tag..=tag);
        queue.ack(&client, tag, false);
        client.read();
    }
    let held: Vec<_> = client.held(1);
    assert_eq!(held, [(1, 0)], "the first message is still there");
    // The upper bound counts the places of those that were settled out of turn, too.
    let places = client.outbox.lock().window(1).unwrap().unacked().size_hint().1.unwrap();
    assert!(places <= 2 + 16, "{places} places for one message");
}
