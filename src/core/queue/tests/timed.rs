//! What a queue does when time passes: the clock is the test's, and the timetable notes what it is asked for.

use super::{
    Calls, Client, Comeback, FieldTable, GetError, NOW, Properties, Q, ShortString, What, Wish, number,
};
use crate::core::{clock::Millis, dead_letter::Reason, effects::Cause, policy::QueueSettings, queue::Tick};
use crate::limits::DROPPED_AT_ONCE_MAX;

fn table() -> FieldTable {
    FieldTable::new()
}

fn expiring(milliseconds: &'static str) -> Properties {
    Properties { expiration: Some(ShortString::from_static(milliseconds)), ..Properties::default() }
}

fn prioritised(priority: u8) -> Properties {
    Properties { priority: Some(priority), ..Properties::default() }
}

impl Calls {
    /// What was asked for since the last look.
    pub(super) fn take(&self) -> Vec<Millis> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Q {
    /// So much time passes, then the timetable calls.
    pub(super) fn pass(&self, milliseconds: Millis) -> Tick {
        self.clock.advance(milliseconds);
        self.tick()
    }

    pub(super) fn tick(&self) -> Tick {
        self.shared.tick(&mut self.effects.borrow_mut())
    }

    pub(super) fn ready(&self) -> usize {
        self.status().ready
    }

    pub(super) fn dropped(&self, why: Reason) -> u64 {
        self.status().rare.dropped[why as usize]
    }

    /// The messages that have departed, in order; the journal is told that they are gone.
    pub(super) fn departed(&self) -> Vec<(u64, Cause)> {
        let mut effects = self.effects.borrow_mut();
        let departures = std::mem::take(&mut effects.departures);
        let mut seen = Vec::new();
        for departure in departures {
            seen.push((number(&departure.entry.message.view().body()), departure.cause));
            assert_eq!(departure.queue, self.shared.id);
            departure.entry.settle(departure.queue, &mut effects.changes);
        }
        seen
    }

    /// Everything that the journal was told is on disk, and as much as can be is there alone.
    pub(super) fn to_disk(&self) {
        for _ in 0..3 {
            let mut effects = self.effects.borrow_mut();
            self.shelf.absorb(&mut effects.changes);
            self.shelf.write();
            self.shared.page_out(false, &mut effects.changes);
        }
        self.shelf.absorb(&mut self.effects.borrow_mut().changes);
        self.shelf.write();
    }

    /// Gets a message and gives it back.
    pub(super) fn bounce(&self, client: &Client, why: Comeback) {
        self.get(client, false).unwrap();
        let returned = client.settle(1, 0, true).unwrap();
        self.shared.requeue(returned, why, &mut self.effects.borrow_mut());
    }

    pub(super) fn drain(&self, client: &mut Client) -> Vec<u64> {
        while self.get(client, true).is_ok() {}
        client.read_ids()
    }
}

// ---- messages expire ----

#[test]
fn a_message_expires_when_its_time_has_come_and_not_before() {
    let queue = Q::new(false, table().with("x-message-ttl", 100));
    queue.publish(0..3);
    queue.pass(99);
    assert_eq!(queue.ready(), 3);
    queue.pass(1);
    assert_eq!((queue.ready(), queue.dropped(Reason::Expired), queue.used_bytes()), (0, 3, 0));
}

#[test]
fn the_earlier_of_both_times_counts() {
    let mut client = Client::new();
    let queue = Q::new(false, table().with("x-message-ttl", 100));
    queue.publish_with(0..1, &expiring("50"));
    queue.publish_with(1..2, &expiring("500"));
    queue.pass(50);
    assert_eq!(queue.ready(), 1);
    queue.pass(50);
    assert!(queue.drain(&mut client).is_empty());
}

#[test]
fn what_has_expired_behind_the_head_goes_when_the_head_has_gone() {
    let (queue, mut client) = (Q::plain(), Client::new());
    queue.publish(0..1);
    queue.publish_with(1..4, &expiring("10"));
    queue.publish(4..5);
    queue.pass(20);
    assert_eq!(queue.ready(), 5);
    queue.get(&client, true).unwrap();
    queue.get(&client, true).unwrap();
    assert_eq!(client.read_ids(), [0, 4]);
    assert_eq!(queue.dropped(Reason::Expired), 3);
}

#[test]
fn a_consumer_never_gets_what_has_expired() {
    let (queue, mut client) = (Q::new(false, table().with("x-message-ttl", 10)), Client::new());
    queue.consume(&client, "c", Wish { prefetch: 1, ..Wish::default() });
    queue.publish(0..3);
    queue.clock.advance(10);
    queue.ack(&client, 1, false);
    queue.publish(3..4);
    assert_eq!(client.read_ids(), [0, 3]);
}

#[test]
fn a_message_that_was_delivered_at_once_expires_when_it_comes_back_too_late() {
    let (queue, mut client) = (Q::plain(), Client::new());
    let id = queue.consume(&client, "c", Wish::default());
    queue.publish_with(0..2, &expiring("10"));
    queue.cancel(&client, "c", id);
    queue.requeue(&client, 2, false);
    assert_eq!(queue.calls.take(), [NOW + 10], "its time counts again");
    queue.clock.advance(10);
    queue.requeue(&client, 1, false);
    client.read();
    assert!(queue.drain(&mut client).is_empty());
}

#[test]
fn get_passes_any_number_of_expired_messages() {
    let (queue, client) = (Q::plain(), Client::new());
    let many = 2 * DROPPED_AT_ONCE_MAX as u64 + 1;
    queue.publish_with(0..many, &expiring("10"));
    queue.publish(many..=many);
    queue.clock.advance(10);
    assert_eq!(queue.get(&client, true), Ok(()));
    assert_eq!(queue.get(&client, true), Err(GetError::Empty));
}

#[test]
fn get_gives_up_behind_very_many_that_have_expired_and_finds_the_next_one_later() {
    let (queue, client) = (Q::plain(), Client::new());
    let many = 17 * DROPPED_AT_ONCE_MAX as u64;
    queue.publish_with(0..many, &expiring("10"));
    queue.publish(many..=many);
    queue.clock.advance(10);
    assert_eq!(queue.get(&client, true), Err(GetError::Empty));
    assert_eq!(queue.get(&client, true), Ok(()));
}

#[test]
fn a_queue_far_above_a_new_limit_comes_down_over_several_ticks() {
    for durable in [false, true] {
        let queue = Q::kept(durable, false, table());
        let many = 5 * DROPPED_AT_ONCE_MAX;
        queue.publish(0..many as u64);
        if durable {
            queue.to_disk();
        }
        let settings = QueueSettings { max_length: Some(10), ..QueueSettings::default() };
        queue.shared.apply(settings.into());
        let (mut ticks, mut before) = (0, many);
        while !queue.calls.take().is_empty() {
            queue.tick();
            let dropped = before - queue.ready();
            assert!(dropped <= DROPPED_AT_ONCE_MAX, "{dropped} in one call");
            (ticks, before) = (ticks + 1, queue.ready());
        }
        assert!(ticks >= 5 && queue.ready() == 10, "{ticks} ticks, {} left", queue.ready());
        assert_eq!(queue.dropped(Reason::MaxLen), many as u64 - 10);
    }
}

#[test]
fn a_tick_drops_so_many_and_asks_to_be_called_again_at_once() {
    let queue = Q::new(false, table().with("x-message-ttl", 10));
    queue.publish(0..3 * DROPPED_AT_ONCE_MAX as u64);
    queue.calls.take();
    queue.pass(10);
    assert!(queue.ready() > 0);
    for _ in 0..3 {
        assert!(queue.calls.take().iter().all(|at| *at <= NOW + 10));
        queue.tick();
    }
    assert_eq!(queue.ready(), 0);
}

#[test]
fn messages_on_disk_expire_too() {
    let (queue, mut client) = (Q::kept(true, false, table().with("x-message-ttl", 100)), Client::new());
    queue.publish(0..40);
    queue.clock.advance(50);
    queue.publish(40..60);
    queue.to_disk();
    queue.calls.take();
    queue.pass(50);
    assert_eq!(queue.ready(), 20);
    assert_eq!(queue.calls.take().last(), Some(&(NOW + 150)));
    queue.get(&client, true).unwrap();
    assert_eq!(client.read_ids(), [40]);
    queue.pass(50);
    assert_eq!((queue.ready(), queue.dropped(Reason::Expired)), (0, 59));
    queue.to_disk();
    assert!(queue.shelf.messages().is_empty(), "and the journal knows");
}

#[test]
fn expired_messages_depart_for_the_dead_letter_exchange_if_there_is_one() {
    let queue = Q::new(false, table().with("x-message-ttl", 10).with("x-dead-letter-exchange", "dlx"));
    queue.publish(0..2);
    queue.pass(10);
    let dead = Cause::Dead(Reason::Expired);
    assert_eq!(queue.departed(), [(0, dead), (1, dead)]);
}

#[test]
fn higher_priorities_keep_expired_ones_waiting() {
    let (queue, mut client) = (Q::new(false, table().with("x-max-priority", 9)), Client::new());
    queue.publish_with(0..1, &Properties { priority: Some(1), ..expiring("10") });
    queue.publish_with(1..2, &prioritised(5));
    queue.publish(2..3);
    queue.pass(20);
    assert_eq!(queue.ready(), 3);
    assert_eq!(queue.drain(&mut client), [1, 2]);
}

// ---- length ----

#[test]
fn a_full_queue_drops_its_head_even_if_that_is_on_disk() {
    let (queue, mut client) = (Q::kept(true, false, table().with("x-max-length", 20)), Client::new());
    queue.publish(0..20);
    queue.to_disk();
    for _ in 0..4 {
        queue.get(&client, true).unwrap();
    }
    assert_eq!(client.read_ids(), [0, 1, 2, 3]);
    queue.publish(20..30);
    assert_eq!((queue.ready(), queue.dropped(Reason::MaxLen)), (20, 6));
    assert!(queue.drain(&mut client).into_iter().eq(10..30));
    queue.to_disk();
    assert!(queue.shelf.messages().is_empty());
}

#[test]
fn a_lower_limit_counts_from_the_next_tick_on() {
    let queue = Q::kept(true, false, table());
    queue.publish(0..50);
    queue.to_disk();
    queue.calls.take();
    let settings = QueueSettings { max_length: Some(7), ..QueueSettings::default() };
    queue.shared.apply(settings.into());
    assert_eq!(queue.calls.take(), [0]);
    queue.tick();
    assert_eq!((queue.ready(), queue.dropped(Reason::MaxLen)), (7, 43));
}

#[test]
fn a_message_that_comes_back_to_a_full_queue_is_the_head_and_dropped() {
    let (queue, mut client) = (Q::new(false, table().with("x-max-length", 2)), Client::new());
    queue.publish(0..2);
    queue.get(&client, false).unwrap();
    queue.publish(2..3);
    queue.requeue(&client, 1, false);
    client.read();
    assert_eq!(queue.drain(&mut client), [1, 2]);
}

#[test]
fn the_highest_priority_is_dropped_first() {
    let (queue, mut client) =
        (Q::new(false, table().with("x-max-priority", 3).with("x-max-length", 2)), Client::new());
    for (id, priority) in [(0, 0), (1, 3), (2, 1), (3, 200)] {
        queue.publish_with(id..=id, &prioritised(priority));
    }
    assert_eq!(queue.drain(&mut client), [2, 0]);
}

#[test]
fn messages_of_a_deleted_queue_are_not_dead() {
    let (queue, client) = (Q::new(false, table().with("x-dead-letter-exchange", "dlx")), Client::new());
    queue.publish(0..1);
    queue.get(&client, false).unwrap();
    let _deleted = queue.shared.delete(|_| true);
    let held = client.settle(1, 1, false).unwrap();
    queue.shared.reject(held, &mut queue.effects.borrow_mut());
    assert_eq!(queue.departed(), []);
    assert_eq!(queue.status().unacked, 0);
}

// ---- the queue expires ----

#[test]
fn a_queue_that_nobody_uses_is_to_be_deleted() {
    let queue = Q::new(false, table().with("x-expires", 100));
    queue.shared.touch();
    assert_eq!(queue.calls.take(), [NOW + 100]);
    queue.publish(0..1);
    assert_eq!(queue.pass(99), Tick::Done);
    assert_eq!(queue.calls.take(), [NOW + 100]);
    assert_eq!(queue.pass(1), Tick::Unused);
}

#[test]
fn using_a_queue_makes_it_live_longer() {
    let (queue, mut client) = (Q::new(false, table().with("x-expires", 100)), Client::new());
    queue.clock.advance(60);
    queue.shared.touch();
    assert_eq!(queue.pass(60), Tick::Done);
    assert_eq!(queue.get(&client, true), Err(GetError::Empty));
    assert_eq!(queue.pass(60), Tick::Done);
    let id = queue.consume(&client, "c", Wish::default());
    assert_eq!(queue.pass(1_000), Tick::Done, "it has a consumer");
    queue.calls.take();
    queue.cancel(&client, "c", id);
    assert_eq!(queue.calls.take(), [NOW + 1_280]);
    assert_eq!(queue.pass(99), Tick::Done);
    assert_eq!(queue.pass(1), Tick::Unused);
    assert!(client.read().iter().all(|seen| seen.what != What::Cancelled));
}

// ---- what the timetable is asked for ----

#[test]
fn a_queue_without_times_asks_for_nothing() {
    let (queue, client) = (Q::plain(), Client::new());
    queue.publish(0..10);
    queue.bounce(&client, Comeback::Failed);
    queue.consume(&client, "c", Wish::default());
    queue.tick();
    assert!(queue.calls.take().is_empty());
}

#[test]
fn the_timetable_is_asked_once_for_the_head_and_again_after_it_called() {
    let queue = Q::new(false, table().with("x-message-ttl", 100));
    queue.publish(0..3);
    queue.clock.advance(10);
    queue.publish(3..6);
    assert_eq!(queue.calls.take(), [NOW + 100]);
    queue.pass(90);
    assert_eq!((queue.ready(), queue.calls.take()), (3, vec![NOW + 110]));
    queue.pass(10);
    assert_eq!((queue.ready(), queue.calls.take()), (0, vec![]));
}

#[test]
fn something_that_is_due_earlier_is_asked_for_at_once() {
    let queue = Q::new(false, table().with("x-max-priority", 9).with("x-expires", 1_000));
    queue.publish_with(0..1, &expiring("500"));
    queue.publish_with(1..2, &Properties { priority: Some(5), ..expiring("20") });
    queue.publish_with(2..3, &Properties { priority: Some(1), ..expiring("10") });
    assert_eq!(queue.calls.take(), [NOW + 500, NOW + 20], "the last one is not the head");
}

#[test]
fn a_deleted_queue_asks_for_nothing() {
    let (queue, client) = (Q::new(false, table().with("x-message-ttl", 100)), Client::new());
    queue.publish(0..2);
    queue.get(&client, false).unwrap();
    queue.calls.take();
    let _deleted = queue.shared.delete(|_| true);
    queue.requeue(&client, 1, false);
    assert_eq!((queue.pass(1_000), queue.calls.take()), (Tick::Done, vec![]));
}
