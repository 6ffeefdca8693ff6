//! Recent keys against a model, rules by their arguments, and entries over a restart.

use std::{collections::VecDeque, sync::Arc};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::core::{
    change::{Attempts, Change, Changes},
    commit::Commit,
    memory::{Gauge, Kind},
    message::{Message, build_image},
    pager::Loaded,
    rewrite,
};
use crate::limits::{DEDUPLICATION_ENTRY_BYTES, MEMORY_DEDUPLICATION_PERCENT};
use crate::protocol::Properties;

const NOW: Millis = 1_000_000;

fn on() -> FieldTable {
    FieldTable::new().with(X_MESSAGE_DEDUPLICATION, true)
}

fn identify(rule: &Rule, headers: FieldTable) -> Option<Identity> {
    let properties = Properties { headers: Some(headers), ..Properties::default() };
    let (layout, image) = build_image(b"", b"q", &rewrite::encoded(&properties), &[b"body"], true);
    rule.identify(&View::new(layout, &image), NOW)
}

fn key(value: impl Into<FieldValue>) -> Option<Key> {
    Key::of(&value.into())
}

// ---- rules ----

#[test]
fn only_the_argument_true_turns_it_on() {
    assert!(Rule::of(&on()).is_some());
    let named = FieldTable::new().with(X_CACHE_SIZE, 5).with(X_DEDUPLICATION_HEADER, "id");
    for off in [FieldTable::new(), named, FieldTable::new().with(X_MESSAGE_DEDUPLICATION, false)] {
        assert_eq!(Rule::of(&off), None);
    }
}

#[test]
fn an_argument_whose_value_makes_no_sense_is_named() {
    for (name, value, wrong) in [
        (X_MESSAGE_DEDUPLICATION, "yes".into(), "{unacceptable_type,longstr}"),
        (X_DEDUPLICATION_HEADER, 5.into(), "{unacceptable_type,signedint}"),
        (X_CACHE_SIZE, true.into(), "{unacceptable_type,bool}"),
        (X_CACHE_SIZE, 0.into(), "{value_zero,0}"),
        (X_CACHE_SIZE, (-1).into(), "{value_negative,-1}"),
        (X_CACHE_SIZE, 10_000_001.into(), "{value_out_of_range,10000001}"),
        (X_CACHE_TTL, (-1).into(), "{value_negative,-1}"),
    ] {
        let value: FieldValue = value;
        assert_eq!(complaint(&on().with(name, value)), Some((name, wrong.into())));
    }
    let good = on().with(X_CACHE_SIZE, "5").with(X_CACHE_TTL, 0).with(X_DEDUPLICATION_HEADER, "id");
    assert_eq!(complaint(&good), None);
}

#[test]
fn size_and_ttl_are_bounded_and_what_makes_no_sense_counts_as_none() {
    let rule = |size: FieldValue, ttl: FieldValue| {
        let rule = Rule::of(&on().with(X_CACHE_SIZE, size).with(X_CACHE_TTL, ttl)).unwrap();
        (rule.size, rule.ttl)
    };
    assert_eq!(rule(7.into(), 0.into()), (7, Some(0)));
    assert_eq!(rule("7".into(), "50".into()), (7, Some(50)));
    assert_eq!(rule(0.into(), (-1).into()), (DEDUPLICATION_ENTRIES_DEFAULT, None));
    assert_eq!(rule(i64::MAX.into(), i64::MAX.into()), (DEDUPLICATION_ENTRIES_MAX, Some(i64::MAX as u64)));
    assert_eq!(rule(true.into(), "soon".into()), (DEDUPLICATION_ENTRIES_DEFAULT, None));
}

#[test]
fn a_message_is_told_apart_by_the_named_header() {
    let rule = Rule::of(&on().with(X_DEDUPLICATION_HEADER, "id")).unwrap();
    let identity =
        identify(&rule, FieldTable::new().with("id", "a").with(X_DEDUPLICATION_HEADER, "b")).unwrap();
    assert_eq!((Some(identity.key), identity.until), (key("a"), Millis::MAX));
    assert_eq!(identify(&rule, FieldTable::new().with(X_DEDUPLICATION_HEADER, "b")), None);
    let rule = Rule::of(&on()).unwrap();
    let identity = identify(&rule, FieldTable::new().with(X_DEDUPLICATION_HEADER, "b")).unwrap();
    assert_eq!(Some(identity.key), key("b"));
}

#[test]
fn a_message_s_own_ttl_counts_more_than_the_owner_s() {
    let until = |rule: &Rule, own: Option<FieldValue>| {
        let headers = FieldTable::new().with(X_DEDUPLICATION_HEADER, "a");
        let headers = own.into_iter().fold(headers, |headers, own| headers.with(X_CACHE_TTL, own));
        identify(rule, headers).unwrap().until
    };
    let rule = Rule::of(&on().with(X_CACHE_TTL, 100)).unwrap();
    assert_eq!(until(&rule, None), NOW + 100);
    assert_eq!(until(&rule, Some(5.into())), NOW + 5);
    assert_eq!(until(&rule, Some((-5).into())), NOW + 100);
    let rule = Rule::of(&on()).unwrap();
    assert_eq!((until(&rule, None), until(&rule, Some(5.into()))), (Millis::MAX, NOW + 5));
    assert_eq!(until(&rule, Some(i64::MAX.into())), NOW + i64::MAX as u64);
}

#[test]
fn integers_are_the_same_whatever_their_width_and_other_types_are_not() {
    assert_eq!(key(7_i32), key(7_i64));
    let different =
        [key(7), key("7"), key(true), key(FieldValue::Timestamp(7)), key(FieldValue::F64(7.0)), key("")];
    for (at, one) in different.iter().enumerate() {
        assert!(one.is_some() && !different[..at].contains(one), "{at}");
    }
    assert_eq!(key(FieldValue::Void), None);
}

// ---- recent keys ----

/// Recent keys as a list: oldest first.
#[derive(Default)]
struct Model(VecDeque<(u128, Millis, usize)>);

impl Model {
    fn find(&self, key: u128, now: Millis) -> Option<usize> {
        self.0.iter().find(|(its, until, _)| *its == key && *until > now).map(|(.., note)| *note)
    }

    fn remember(&mut self, size: usize, key: u128, until: Millis, note: usize, now: Millis) -> Vec<usize> {
        let mut forgotten: Vec<usize> =
            self.0.iter().filter(|(its, ..)| *its == key).map(|(.., note)| *note).collect();
        self.0.retain(|(its, ..)| *its != key);
        while self.0.front().is_some_and(|(_, until, _)| self.0.len() >= size || *until <= now) {
            forgotten.extend(self.0.pop_front().map(|(.., note)| note));
        }
        self.0.push_back((key, until, note));
        forgotten
    }
}

proptest! {
    #[test]
    fn recent_keys_are_a_list_that_forgets_its_oldest(
        size in 1..6_usize,
        steps in vec((0..8_u128, proptest::option::of(0..20_u64), 0..6_u64, any::<bool>()), 0..200),
    ) {
        let (mut keys, mut model) = (RecentKeys::new(size), Model::default());
        let mut now = NOW;
        for (note, (key, ttl, pause, anyway)) in steps.into_iter().enumerate() {
            now += pause;
            let found = keys.find(Key(key), now).copied();
            prop_assert_eq!(found, model.find(key, now));
            if found.is_none() || anyway {
                let until = ttl.map_or(Millis::MAX, |ttl| now + ttl);
                let forgotten = keys.remember(Identity { key: Key(key), until }, note, now);
                prop_assert_eq!(forgotten.to_vec(), model.remember(size, key, until, note, now));
            }
            prop_assert_eq!(keys.len(), model.0.len());
            prop_assert!(keys.len() <= size);
        }
        let oldest_first: Vec<_> = std::iter::from_fn(|| keys.forget_oldest()).collect();
        let wanted: Vec<_> = model.0.into_iter().map(|(.., note)| note).collect();
        prop_assert_eq!(oldest_first, wanted);
    }
}

// ---- what a virtual host has seen ----

/// What a virtual host has seen, and the entries that its journal has.
struct Host {
    seen: Seen,
    gauge: &'static Gauge,
    entries: Vec<(u64, Message)>,
    now: Millis,
}

const HIDDEN: QueueId = QueueId(9);

impl Host {
    fn new(deduplicators: &[&Arc<Deduplicator>]) -> Self {
        Self::limited(usize::MAX, deduplicators)
    }

    fn limited(limit_bytes: usize, deduplicators: &[&Arc<Deduplicator>]) -> Self {
        let gauge = Gauge::new(limit_bytes);
        let mut host = Self { seen: Seen::new(gauge), gauge, entries: Vec::new(), now: NOW };
        host.seen.keep_in(HIDDEN, 0);
        for deduplicator in deduplicators {
            host.open(deduplicator);
        }
        host
    }

    fn open(&mut self, deduplicator: &Arc<Deduplicator>) {
        let mut changes = Changes::new();
        self.seen.open(deduplicator, &mut changes);
        self.journal(changes);
    }

    fn journal(&mut self, changes: Changes) {
        for change in changes {
            match change {
                Change::Publish { message, placements, .. } => {
                    assert!(placements.iter().all(|placement| placement.queue == HIDDEN));
                    self.entries
                        .extend(placements.iter().map(|placement| (placement.position, message.clone())));
                }
                Change::Settle { placement, .. } => {
                    let before = self.entries.len();
                    self.entries.retain(|(position, _)| *position != placement.position);
                    assert_eq!(self.entries.len() + 1, before, "settled once, after it was published");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// True if it was taken.
    fn publish(&mut self, deduplicator: &Arc<Deduplicator>, value: &str, persistent: bool) -> bool {
        let identity =
            identify(&deduplicator.rule, FieldTable::new().with(X_DEDUPLICATION_HEADER, value)).unwrap();
        if self.seen.find(&deduplicator.owner, identity.key, self.now).is_some() {
            return false;
        }
        let mut changes = Changes::new();
        self.seen.remember(deduplicator, identity, persistent, self.now, &mut changes);
        self.seen.committed(Commit(3));
        self.journal(changes);
        true
    }

    fn restarted(self, deduplicators: &[&Arc<Deduplicator>]) -> Self {
        let mut host = Self { now: self.now, ..Self::new(deduplicators) };
        host.seen.keep_in(HIDDEN, self.entries.last().map_or(0, |(position, _)| position + 1));
        host.entries = self.entries.clone();
        for (position, message) in self.entries {
            let mut changes = Changes::new();
            let attempts = Attempts::default();
            let loaded = Loaded { position, attempts, due: 0, redelivered: true, message };
            host.seen.restore(&loaded, host.now, &mut changes);
            host.journal(changes);
        }
        host
    }

    fn close(&mut self, owner: &Owner) {
        self.seen.close(owner);
        while self.clear_away(usize::MAX) {}
    }

    fn clear_away(&mut self, values_max: usize) -> bool {
        let mut changes = Changes::new();
        let more = self.seen.clear_away(values_max, &mut changes);
        self.journal(changes);
        more
    }
}

fn queue(id: u64, arguments: &FieldTable) -> Arc<Deduplicator> {
    queue_that_keeps(Keeps::Persistent, id, arguments)
}

fn queue_that_keeps(keeps: Keeps, id: u64, arguments: &FieldTable) -> Arc<Deduplicator> {
    let name = ShortString::from_static("q");
    Arc::new(Deduplicator::of(Owner::Queue(QueueId(id)), &name, arguments, keeps).unwrap())
}

fn exchange(name: &'static str, durable: bool) -> Arc<Deduplicator> {
    Arc::new(Deduplicator::of_exchange(&ShortString::from_static(name), &on(), durable).unwrap())
}

#[test]
fn what_durable_owners_saw_of_persistent_messages_outlives_a_restart() {
    let (one, two, three, four) =
        (queue(1, &on()), queue(2, &on()), exchange("e", true), exchange("t", false));
    let quorum = queue_that_keeps(Keeps::All, 3, &on());
    let deduplicators = [&one, &two, &three, &four, &quorum];
    let mut host = Host::new(&deduplicators);
    for deduplicator in deduplicators {
        assert!(
            host.publish(deduplicator, "persistent", true) && host.publish(deduplicator, "transient", false)
        );
        assert!(
            !host.publish(deduplicator, "persistent", true) && !host.publish(deduplicator, "transient", true)
        );
    }
    let mut host = host.restarted(&deduplicators);
    for deduplicator in &deduplicators[..3] {
        assert!(!host.publish(deduplicator, "persistent", true), "{:?}", deduplicator.owner);
        assert!(host.publish(deduplicator, "transient", true), "{:?}", deduplicator.owner);
    }
    assert!(host.publish(&four, "persistent", true));
    assert!(!host.publish(&quorum, "persistent", true) && !host.publish(&quorum, "transient", false));
}

#[test]
fn the_first_one_s_commit_is_known_until_a_restart_makes_it_safe() {
    let one = queue(1, &on());
    let mut host = Host::new(&[&one]);
    assert!(host.publish(&one, "a", true));
    let a = key("a").unwrap();
    assert_eq!(host.seen.find(&one.owner, a, NOW), Some(Commit(3)));
    assert_eq!(host.restarted(&[&one]).seen.find(&one.owner, a, NOW), Some(Commit::default()));
}

#[test]
fn entries_go_with_what_is_forgotten() {
    let small = queue(1, &on().with(X_CACHE_SIZE, 2).with(X_CACHE_TTL, 10));
    let mut host = Host::new(&[&small]);
    for value in ["a", "b", "c"] {
        assert!(host.publish(&small, value, true));
    }
    assert_eq!(host.entries.len(), 2);
    assert!(host.publish(&small, "a", true), "the oldest was forgotten");
    host.now += 10;
    let mut host = host.restarted(&[&small]);
    assert_eq!(host.entries.len(), 0, "all of them are over");
    assert!(host.publish(&small, "a", true));
}

#[test]
fn an_owner_that_is_gone_leaves_nothing_behind() {
    let (one, two) = (queue(1, &on()), exchange("e", true));
    let mut host = Host::new(&[&one, &two]);
    for deduplicator in [&one, &two] {
        assert!(host.publish(deduplicator, "a", true) && host.publish(deduplicator, "b", false));
    }
    host.close(&one.owner);
    assert_eq!(host.entries.len(), 1);
    assert!(host.publish(&one, "a", true) && host.publish(&one, "a", true), "nothing is remembered for it");
    host.close(&two.owner);
    assert_eq!((host.entries.len(), host.gauge.used_bytes()), (0, 0));
    host.open(&two);
    assert!(host.publish(&two, "a", true), "one of the same name begins anew");
}

#[test]
fn entries_of_owners_that_are_not_there_and_rotten_ones_are_settled_at_the_start() {
    let (one, two) = (queue(1, &on()), exchange("e", true));
    let mut host = Host::new(&[&one, &two]);
    assert!(host.publish(&one, "a", true) && host.publish(&two, "a", true));
    let (layout, image) = build_image(b"", b"", &[0, 0], &[b"no entry"], true);
    host.entries.push((7, Message::uncounted(View::new(layout, &image), NOW)));
    let mut host = host.restarted(&[&two]);
    assert_eq!(host.entries.len(), 1);
    assert!(!host.publish(&two, "a", true));
}

// ---- memory ----

/// A limit whose share for deduplication is so many values.
fn limit_of(values: usize) -> usize {
    (values * DEDUPLICATION_ENTRY_BYTES).div_ceil(MEMORY_DEDUPLICATION_PERCENT) * 100
}

#[test]
fn an_owner_forgets_its_oldest_where_the_memory_for_all_is_used_up() {
    let large = queue(1, &on().with(X_CACHE_SIZE, 10_000_000));
    let mut host = Host::limited(limit_of(100), &[&large]);
    for value in 0..1_000 {
        assert!(host.publish(&large, &format!("{value}"), true));
    }
    let share = host.gauge.share_bytes(Kind::Deduplication);
    let used = host.gauge.used_bytes();
    assert!((share / 4 * 3 - DEDUPLICATION_ENTRY_BYTES..=share).contains(&used), "{used} of {share}");
    let kept = used / DEDUPLICATION_ENTRY_BYTES;
    assert_eq!((host.entries.len(), large.forgotten_early()), (kept, 1_000 - kept as u64));
    assert!(!host.publish(&large, &format!("{}", 1_000 - kept), true), "the oldest that it still knows");
    let cut = host.seen.take_cut();
    assert_eq!((cut.len(), cut[0].remembered), (1, kept), "the log hears of it once");
    assert!(Arc::ptr_eq(&cut[0].deduplicator, &large));
    assert!(host.publish(&large, "0", true) && host.seen.take_cut().is_empty());
    let mut host = host.restarted(&[&large]);
    assert_eq!(host.entries.len(), kept);
    host.close(&large.owner);
    assert_eq!((host.entries.len(), host.gauge.used_bytes()), (0, 0));
}

#[test]
fn an_owner_that_comes_late_has_a_part_of_the_memory_and_one_value_at_least() {
    let large = queue(1, &on().with(X_CACHE_SIZE, 10_000_000));
    let mut host = Host::limited(limit_of(100), &[&large]);
    for value in 0..200 {
        assert!(host.publish(&large, &format!("{value}"), false));
    }
    for id in 2..40 {
        let late = queue(id, &on().with(X_CACHE_SIZE, 10_000_000));
        host.open(&late);
        for value in ["a", "b", "c"] {
            assert!(host.publish(&late, value, false) && !host.publish(&late, value, false));
        }
        assert_eq!(host.publish(&late, "a", false), late.forgotten_early() > 0);
        assert_eq!(late.forgotten_early() > 0, id > 8, "{id}");
    }
}

#[test]
fn values_that_were_seen_by_what_is_gone_are_forgotten_in_pieces() {
    let (one, two, again) = (exchange("e", true), queue(1, &on()), exchange("e", true));
    let mut host = Host::new(&[&one, &two]);
    for value in 0..100 {
        assert!(
            host.publish(&one, &format!("{value}"), true) && host.publish(&two, &format!("{value}"), true)
        );
    }
    for deduplicator in [&one, &two] {
        host.seen.close(&deduplicator.owner);
        assert_eq!(
            host.seen.find(&deduplicator.owner, key("7").unwrap(), NOW),
            None,
            "nobody finds it any more"
        );
    }
    let name = ShortString::from_static("e");
    assert!(host.clear_away(10) && host.seen.is_clearing(&name));
    assert_eq!((host.entries.len(), host.gauge.used_bytes()), (190, 190 * DEDUPLICATION_ENTRY_BYTES));
    host.open(&again);
    assert!(!host.seen.is_clearing(&name), "a namesake finds nothing of it");
    assert!(host.publish(&again, "7", true));
    while host.clear_away(10) {}
    assert_eq!((host.entries.len(), host.gauge.used_bytes()), (1, DEDUPLICATION_ENTRY_BYTES));
}
