//! Redrives of a virtual host whose journal can be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use super::*;
use crate::broker::host::{Host, NOW, Notebook, name};
use crate::core::{
    change::{Change, Changes},
    dead_letter::Reason,
    message::{Publication, build_image},
    placement::Placement,
    redrive::Filter,
};
use crate::protocol::{FieldTable, FieldValue};

impl Host {
    async fn redrive(&self, queue: &'static str, order: &Redrive) -> Progress {
        let (progress, _) = watch::channel(Progress::default());
        self.vhost.redrive(&name(queue), order, &CancellationToken::new(), &progress).await.unwrap()
    }
}

fn order(to: Target) -> Redrive {
    Redrive { to, filter: Filter::default(), limit: None, per_second: None, copy: false }
}

fn to_queue(queue: &'static str) -> Redrive {
    order(Target::Queue(name(queue)))
}

fn only_even() -> Filter {
    Filter { headers: vec![(name("even"), FieldValue::from(true))], ..Filter::default() }
}

#[tokio::test]
async fn dead_messages_go_back_to_work_as_they_were_published() {
    let host = Host::new().with_work();
    host.fail("new.eu", 0..3);
    assert_eq!((host.ids("work"), host.ids("dead")), (vec![], vec![0, 1, 2]));
    let done = host.redrive("dead", &order(Target::Origin)).await;
    assert_eq!((host.ids("work"), host.ids("dead")), (vec![0, 1, 2], vec![]));
    let ended = Some(Ended::AtEnd);
    assert_eq!(done, Progress { looked_at: 3, sent: 3, ended, ..Progress::default() });
    let peek = host.find("work").peek_ready(Cursor::default(), 1);
    let entry = &peek.messages[0].entry;
    let view = entry.message.view();
    assert_eq!((view.exchange(), view.routing_key()), (&b"orders"[..], &b"new.eu"[..]));
    assert!(!entry.redelivered && entry.attempts.returned == 0);
    assert!(crate::core::dead_letter::origin(&view).is_some(), "it keeps its history");
    assert_eq!(host.find("dead").status().rare.redriven, 3);
}

#[tokio::test]
async fn what_is_not_meant_stays_in_place_and_in_order() {
    let host = Host::new().with_work();
    host.fail("new.eu", 0..9);
    host.fail("new.us", 9..12);
    let filter = Filter { reason: Some(Reason::Rejected), ..only_even() };
    let done = host.redrive("dead", &Redrive { filter, ..order(Target::Origin) }).await;
    assert_eq!((done.looked_at, done.sent, done.unmatched, done.left()), (12, 6, 6, 6));
    assert_eq!(host.ids("dead"), [1, 3, 5, 7, 9, 11]);
    assert_eq!(host.ids("work"), [0, 2, 4, 6, 8, 10]);
}

#[tokio::test]
async fn a_limit_ends_it_after_so_many_messages() {
    let host = Host::new().with_work();
    host.fail("new", 0..9);
    let order = Redrive { limit: Some(3), filter: only_even(), ..order(Target::Origin) };
    let done = host.redrive("dead", &order).await;
    assert_eq!((done.sent, done.ended), (3, Some(Ended::AtLimit)));
    assert_eq!(host.ids("dead"), [1, 3, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_copy_leaves_everything_where_it_is() {
    let host = Host::new().with_work();
    host.queue("park", FieldTable::new());
    host.fail("new", 0..4);
    let done = host.redrive("dead", &Redrive { copy: true, ..to_queue("park") }).await;
    assert_eq!(done.sent, 4);
    assert_eq!((host.ids("park"), host.ids("dead")), (vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
}

#[tokio::test]
async fn no_message_is_visited_twice_even_if_it_comes_back_to_its_queue() {
    let host = Host::new();
    let arguments = FieldTable::new().with("x-max-priority", 3);
    host.queue("q", arguments);
    host.publish("", "q", 0..200);
    for copy in [false, true] {
        let done = host.redrive("q", &Redrive { copy, ..to_queue("q") }).await;
        assert_eq!((done.looked_at, done.sent), (200, 200));
    }
    assert!(host.ids("q").into_iter().eq((0..200).chain(0..200)));
}

#[tokio::test]
async fn what_nobody_can_take_stays() {
    let host = Host::new().with_work();
    host.fail("new", 0..2);
    host.exchange("empty", "direct");
    let nowhere = order(Target::Exchange { name: name("empty"), key: None });
    let done = host.redrive("dead", &nowhere).await;
    assert_eq!((done.sent, done.unroutable, host.ids("dead")), (0, 2, vec![0, 1]));
}

#[tokio::test]
async fn without_a_death_a_message_stays_if_it_is_here_because_it_was_published_here() {
    let host = Host::new().with_work();
    host.bind("orders", "dead", "#");
    host.publish("orders", "new", 0..2);
    let done = host.redrive("dead", &order(Target::Origin)).await;
    assert_eq!((done.unroutable, host.ids("work").len()), (2, 2));
    // With one it goes back, but not to where it comes from.
    host.redrive("dead", &to_queue("work")).await;
    host.fail("new", []);
    let done = host.redrive("dead", &order(Target::Origin)).await;
    assert_eq!((done.sent, host.ids("dead")), (4, vec![]));
}

#[tokio::test]
async fn what_clients_hold_is_left_alone() {
    let host = Host::new().with_work();
    host.fail("new", 0..4);
    let held = host.get("dead", 2);
    assert_eq!(host.redrive("dead", &order(Target::Origin)).await.sent, 2);
    let mut effects = Effects::default();
    host.find("dead").requeue(held, crate::core::source::Comeback::Failed, &mut effects);
    assert_eq!((host.ids("dead"), host.ids("work")), (vec![0, 1], vec![2, 3]));
}

#[tokio::test]
async fn a_missing_end_is_an_error_and_nothing_moves() {
    let host = Host::new().with_work();
    host.fail("new", 0..1);
    let missing = || name("missing");
    let exchange = Target::Exchange { name: missing(), key: None };
    for (queue, to, error) in [
        ("missing", Target::Origin, RedriveError::NoQueue(missing())),
        ("dead", Target::Queue(missing()), RedriveError::NoTargetQueue(missing())),
        ("dead", exchange, RedriveError::NoTargetExchange(missing())),
    ] {
        let (progress, _) = watch::channel(Progress::default());
        let stop = CancellationToken::new();
        assert_eq!(host.vhost.redrive(&name(queue), &order(to), &stop, &progress).await, Err(error));
    }
    assert_eq!(host.ids("dead"), [0]);
}

/// Where the journal has each message that is left, by what it was given up to some group.
fn places(groups: &[(Changes, bool)]) -> BTreeMap<u8, BTreeSet<Placement>> {
    let mut places: BTreeMap<Placement, u8> = BTreeMap::new();
    for change in groups.iter().flat_map(|(changes, _)| changes) {
        match change {
            Change::Publish { message, placements, .. } => {
                places.extend(placements.iter().map(|place| (*place, message.view().body()[0])));
            }
            Change::Settle { placement, .. } => assert!(places.remove(placement).is_some()),
            _ => {}
        }
    }
    let mut by_id: BTreeMap<u8, BTreeSet<Placement>> = BTreeMap::new();
    for (place, id) in places {
        by_id.entry(id).or_default().insert(place);
    }
    by_id
}

#[tokio::test]
async fn a_crash_after_any_group_of_the_journal_leaves_each_message_in_one_place() {
    let host = Host::new().with_work();
    host.fail("new", 0..100);
    let before = host.notebook.groups.lock().len();
    let rate = NonZeroU32::new(300);
    tokio::time::pause();
    host.redrive("dead", &Redrive { per_second: rate, filter: only_even(), ..order(Target::Origin) }).await;
    let groups = host.notebook.groups.lock();
    assert!(groups.len() > before + 1, "there are several steps");
    for count in before..=groups.len() {
        let places = places(&groups[..count]);
        assert!(places.len() == 100 && places.values().all(|places| places.len() == 1), "{count}");
    }
    assert!(groups[before..].iter().all(|(_, atomic)| *atomic));
}

#[tokio::test(start_paused = true)]
async fn it_keeps_to_a_rate_and_tells_how_far_it_is() {
    let host = Host::new().with_work();
    host.fail("new", 0..21);
    let (progress, mut watched) = watch::channel(Progress::default());
    let (order, stop) =
        (Redrive { per_second: NonZeroU32::new(10), ..order(Target::Origin) }, CancellationToken::new());
    let began = Instant::now();
    let queue = name("dead");
    let redrive = host.vhost.redrive(&queue, &order, &stop, &progress);
    let watch = async {
        let mut seen = Vec::new();
        while watched.borrow_and_update().ended.is_none() {
            seen.push(watched.borrow().sent);
            watched.changed().await.unwrap();
        }
        seen
    };
    let (done, seen) = tokio::join!(redrive, watch);
    assert_eq!(done.unwrap().sent, 21);
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert!(seen.is_sorted() && seen.contains(&1) && seen.contains(&20), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn it_can_be_stopped_and_what_it_has_not_done_is_where_it_was() {
    let host = Host::new().with_work();
    host.fail("new", 0..20);
    let (progress, mut watched) = watch::channel(Progress::default());
    let (order, stop) =
        (Redrive { per_second: NonZeroU32::new(10), ..order(Target::Origin) }, CancellationToken::new());
    let queue = name("dead");
    let redrive = host.vhost.redrive(&queue, &order, &stop, &progress);
    let watch = async {
        watched.wait_for(|progress| progress.sent == 5).await.unwrap();
        host.publish("", "dead", 100..101);
        stop.cancel();
    };
    let (done, ()) = tokio::join!(redrive, watch);
    assert_eq!((done.unwrap().ended, watched.borrow().ended), (Some(Ended::Stopped), Some(Ended::Stopped)));
    assert!(host.ids("work").into_iter().eq(0..5));
    assert!(host.ids("dead").into_iter().eq((5..20).chain([100])));
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_beginning_is_not_looked_at() {
    let host = Host::new().with_work();
    host.fail("new", 0..3);
    let (progress, mut watched) = watch::channel(Progress::default());
    let (order, stop) =
        (Redrive { per_second: NonZeroU32::new(1), ..to_queue("work") }, CancellationToken::new());
    let queue = name("dead");
    let redrive = host.vhost.redrive(&queue, &order, &stop, &progress);
    let publish = async {
        watched.wait_for(|progress| progress.sent == 1).await.unwrap();
        host.publish("", "dead", 9..10);
        // A client is faster with one of them.
        let mut effects = Effects::default();
        host.find("dead").settle(host.get("dead", 1), &mut effects);
    };
    let (done, ()) = tokio::join!(redrive, publish);
    let done = done.unwrap();
    assert_eq!((done.looked_at, done.sent, done.missed), (3, 2, 1));
    assert_eq!((host.ids("dead"), host.ids("work")), (vec![9], vec![0, 2]));
}

#[tokio::test]
async fn a_step_waits_until_the_one_before_is_safe() {
    let host = Host::with(Notebook { is_slow: true, ..Notebook::default() }).with_work();
    host.fail("new", (0..=255).chain(0..44));
    let (progress, mut watched) = watch::channel(Progress::default());
    let (order, stop) = (order(Target::Origin), CancellationToken::new());
    let queue = name("dead");
    let redrive = host.vhost.redrive(&queue, &order, &stop, &progress);
    let keep = async {
        for (before, after) in [(0, REDRIVE_AT_ONCE_MAX), (REDRIVE_AT_ONCE_MAX, 300)] {
            while host.notebook.waiting.lock().is_empty() {
                tokio::task::yield_now().await;
            }
            assert_eq!(host.find("work").status().ready, after);
            assert_eq!(watched.borrow_and_update().sent, before as u64, "nothing is told before it is safe");
            host.notebook.complete();
            watched.changed().await.unwrap();
        }
    };
    let (done, ()) = tokio::join!(redrive, keep);
    assert_eq!(done.unwrap().sent, 300);
}

#[tokio::test]
async fn a_delayed_message_can_be_listed_rescheduled_and_cancelled() {
    let host = Host::new();
    let waiting = host.vhost.delay_queue();
    let mut effects = Effects::default();
    for id in 0..3 {
        let (layout, image) = build_image(b"", b"q", &[0, 0], &[&[id]], true);
        let mut run = [Publication::new(View::new(layout, &image))];
        let placement = waiting.hold_until(&mut run[0], NOW + 10 - u64::from(id));
        let mut placed: Vec<_> = placement.into_iter().map(|placement| (0, placement)).collect();
        crate::core::change::note_published(&mut run, &mut placed, &mut effects.changes);
    }
    host.vhost.append(&mut effects, false);
    let listed = waiting.peek_delayed(Cursor::default(), 10).messages;
    let ids: Vec<u8> = listed.iter().map(|peeked| peeked.entry.message.view().body()[0]).collect();
    assert_eq!(ids, [2, 1, 0]);
    let at = Cursor { due: listed[1].due, position: listed[1].entry.position };
    assert!(host.vhost.cancel_delayed(&waiting, at).is_some());
    assert!(host.vhost.cancel_delayed(&waiting, at).is_none());
    assert_eq!(waiting.status().delayed, 2);
    assert!(places(&host.notebook.groups.lock()).keys().eq(&[0, 2]), "the journal has heard of it");
    let at = Cursor { due: listed[0].due, position: listed[0].entry.position };
    let (later, _) = host.vhost.reschedule_delayed(&waiting, at, NOW + 99).unwrap();
    assert_eq!(later, Cursor { due: NOW + 99, ..at });
    assert!(host.vhost.reschedule_delayed(&waiting, at, NOW + 98).is_none());
    assert!(host.vhost.cancel_delayed(&waiting, later).is_some());
}
