//! What RabbitMQ 4.3 writes; where 3.10 can be asked, it was.

mod model;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::core::message::build_image;
use crate::protocol::{FieldTable, FieldValue, Properties, PropertiesView, ShortString, arbitrary};
use model::{count, pair};

const AT_MS: u64 = 1_800_000_000_999;
const AT: FieldValue = FieldValue::Timestamp(1_800_000_000);

/// A message that owns its image.
#[derive(Debug, Clone)]
struct Owned(Layout, Vec<u8>);

impl Owned {
    fn published(exchange: &str, key: &str, properties: &Properties) -> Self {
        let properties = rewrite::encoded(properties);
        let (layout, image) =
            build_image(exchange.as_bytes(), key.as_bytes(), &properties, &[b"bo", b"dy"], true);
        Self(layout, image)
    }

    fn with_headers(headers: FieldTable) -> Self {
        Self::published("orders", "new", &Properties { headers: Some(headers), ..Properties::default() })
    }

    fn plain() -> Self {
        Self::published("orders", "new", &Properties::default())
    }

    fn view(&self) -> View<'_> {
        View::new(self.0, &self.1)
    }

    fn properties(&self) -> Properties {
        Properties::decode(self.view().properties()).unwrap()
    }

    fn headers(&self) -> FieldTable {
        self.properties().headers.unwrap()
    }

    fn entries(&self) -> Vec<FieldTable> {
        let value = self.headers().get(X_DEATH).unwrap().clone();
        value.as_array().unwrap().iter().map(|entry| entry.as_table().unwrap().clone()).collect()
    }

    /// Queue, reason and count of each entry.
    fn summary(&self) -> Vec<(String, Reason, i64)> {
        let row = |entry: &FieldTable| {
            let (queue, reason) = pair(entry).unwrap();
            (String::from_utf8(queue.into()).unwrap(), reason, count(entry).unwrap())
        };
        self.entries().iter().map(row).collect()
    }

    fn header_text(&self, name: &str) -> String {
        String::from_utf8(self.headers().get(name).unwrap().as_str_bytes().unwrap().into()).unwrap()
    }

    fn dies(&self, queue: &str, reason: Reason) -> Self {
        let letter = dead_lettered(&self.view(), &death(queue, reason)).unwrap();
        Self(letter.layout, letter.image)
    }

    /// What a client makes of it that publishes it again as it came.
    fn republished(&self) -> Self {
        Self::published("orders", "new", &self.properties())
    }
}

fn death(queue: &str, reason: Reason) -> Death<'_> {
    Death { queue: queue.as_bytes(), reason, at_ms: AT_MS, exchange: b"dlx", routing_key: None }
}

fn texts(values: &[&str]) -> FieldValue {
    values.iter().map(|text| FieldValue::from(*text)).collect::<Vec<_>>().into()
}

/// A message with these deaths, the most recent first, each of them once.
fn died(pairs: &[(&str, Reason)]) -> Owned {
    pairs.iter().rev().fold(Owned::plain(), |message, (queue, reason)| message.dies(queue, *reason))
}

fn is_cycle(pairs: &[(&str, Reason)], target: &[u8], reason: Reason) -> bool {
    Deaths::of(&died(pairs).view()).is_cycle(target, reason)
}

#[test]
fn a_death_is_written_in_rabbitmq_s_order_and_types() {
    let properties = Properties {
        headers: Some(FieldTable::new().with("a", 1).with("CC", texts(&["copy"]))),
        expiration: Some(ShortString::from_static("060000")),
        delivery_mode: Some(2),
        ..Properties::default()
    };
    let message = Owned::published("orders", "new", &properties).dies("q", Reason::Rejected);
    let entry = FieldTable::new()
        .with("original-expiration", "60000")
        .with("count", 1_i64)
        .with("reason", "rejected")
        .with("queue", "q")
        .with("time", AT)
        .with("exchange", "orders")
        .with("routing-keys", texts(&["new", "copy"]));
    let headers = FieldTable::new()
        .with("a", 1)
        .with("CC", texts(&["copy"]))
        .with("x-first-death-reason", "rejected")
        .with("x-first-death-queue", "q")
        .with("x-first-death-exchange", "orders")
        .with("x-last-death-reason", "rejected")
        .with("x-last-death-queue", "q")
        .with("x-last-death-exchange", "orders")
        .with("x-death", vec![FieldValue::Table(entry)]);
    let expected = Properties { headers: Some(headers), expiration: None, ..properties };
    assert_eq!(message.properties(), expected);
}

#[test]
fn a_dead_letter_goes_to_its_exchange_with_its_own_key_and_body() {
    let message = Owned::plain().dies("q", Reason::MaxLen);
    let view = message.view();
    assert_eq!((view.exchange(), view.routing_key()), (&b"dlx"[..], &b"new"[..]));
    assert_eq!(view.body(), b"body");
    assert!(view.layout.persistent);
    assert!(message.entries()[0].get("original-expiration").is_none());
}

#[test]
fn copies_remain_routing_keys_while_the_key_does() {
    let headers = FieldTable::new().with("CC", vec!["one".into(), FieldValue::I32(5), "two".into()]);
    let message = Owned::with_headers(headers);
    let letter = dead_lettered(&message.view(), &death("q", Reason::Rejected)).unwrap();
    assert_eq!(letter.extra_keys, [Box::from(*b"one"), Box::from(*b"two")]);
}

#[test]
fn a_key_of_the_queue_s_replaces_all_keys_and_removes_cc() {
    let message = Owned::with_headers(FieldTable::new().with("CC", texts(&["copy"])));
    let death = Death { routing_key: Some(b"dead"), ..death("q", Reason::Rejected) };
    let letter = dead_lettered(&message.view(), &death).unwrap();
    assert!(letter.extra_keys.is_empty());
    let message = Owned(letter.layout, letter.image);
    assert_eq!(message.view().routing_key(), b"dead");
    assert_eq!(message.headers().get("CC"), None);
    assert_eq!(message.entries()[0].get("routing-keys"), Some(&texts(&["new", "copy"])));
    let again = message.dies("r", Reason::Expired);
    assert_eq!(again.entries()[0].get("routing-keys"), Some(&texts(&["dead"])));
}

#[test]
fn a_repeated_death_is_counted_and_comes_to_the_front() {
    let message = Owned::plain().dies("a", Reason::Rejected).dies("b", Reason::Expired);
    assert_eq!(message.summary(), [("b".into(), Reason::Expired, 1), ("a".into(), Reason::Rejected, 1)]);
    let message = message.dies("a", Reason::Rejected);
    assert_eq!(message.summary(), [("a".into(), Reason::Rejected, 2), ("b".into(), Reason::Expired, 1)]);
}

#[test]
fn the_same_queue_has_an_entry_for_each_reason() {
    let message = Owned::plain().dies("a", Reason::Rejected).dies("a", Reason::Expired);
    assert_eq!(message.summary(), [("a".into(), Reason::Expired, 1), ("a".into(), Reason::Rejected, 1)]);
}

#[test]
fn time_exchange_keys_and_expiration_stay_those_of_the_first_death_of_a_kind() {
    let expires = Properties { expiration: Some(ShortString::from_static("5")), ..Properties::default() };
    let first = Owned::published("orders", "new", &expires).dies("a", Reason::Rejected);
    let later = Death { at_ms: AT_MS + 60_000, routing_key: Some(b"other"), ..death("a", Reason::Rejected) };
    let letter = dead_lettered(&first.view(), &later).unwrap();
    let mut expected = first.entries()[0].clone();
    expected.insert(ShortString::from_static("count"), 2_i64);
    assert_eq!(Owned(letter.layout, letter.image).entries(), [expected]);
}

#[test]
fn the_first_death_stays_and_the_last_is_overwritten() {
    let message = Owned::plain().dies("a", Reason::Rejected).dies("b", Reason::DeliveryLimit);
    let headers = ["reason", "queue", "exchange"]
        .map(|what| ["first", "last"].map(|which| message.header_text(&format!("x-{which}-death-{what}"))));
    assert_eq!(headers, [["rejected", "delivery_limit"], ["a", "b"], ["orders", "dlx"]]);
}

#[test]
fn deaths_that_a_client_sends_again_are_not_continued() {
    let message = Owned::plain().dies("a", Reason::Rejected).dies("a", Reason::Rejected).republished();
    assert_eq!(message.summary(), [("a".into(), Reason::Rejected, 2)]);
    let message = message.dies("b", Reason::Expired);
    assert_eq!(message.summary(), [("b".into(), Reason::Expired, 1)]);
    assert_eq!(message.header_text("x-first-death-queue"), "b");
}

#[test]
fn death_headers_that_a_client_sent_twice_are_replaced_by_one() {
    let name = || ShortString::from_static(X_DEATH);
    let headers = FieldTable::from_iter([(name(), 1.into()), (name(), 2.into())]);
    let message = Owned::with_headers(headers).dies("q", Reason::Expired);
    assert_eq!(message.headers().iter().filter(|(key, _)| **key == X_DEATH).count(), 1);
    assert_eq!(message.summary(), [("q".into(), Reason::Expired, 1)]);
}

#[test]
fn an_expiration_that_is_no_number_is_kept_as_it_is() {
    for (sent, kept) in [("+5", "5"), ("-0", "0"), ("", ""), ("soon", "soon"), ("007", "7")] {
        assert_eq!(&*plain_number(sent.as_bytes()), kept.as_bytes());
    }
}

#[test]
fn properties_that_rotted_are_replaced() {
    let (layout, image) = build_image(b"e", b"k", &[0x20, 0, 0xFF], &[b"x"], true);
    let message = Owned(layout, image).dies("q", Reason::Expired);
    assert_eq!(message.summary(), [("q".into(), Reason::Expired, 1)]);
}

#[test]
fn a_chain_of_a_thousand_queues_fits_and_one_without_end_is_cut() {
    let mut message = Owned::published("exchange", "routekey", &Properties::default());
    let mut died = 0;
    let error = loop {
        let queue = format!("q{died:07}");
        let death = Death { exchange: b"deadexch", ..death(&queue, Reason::Rejected) };
        match dead_lettered(&message.view(), &death) {
            Ok(letter) => message = Owned(letter.layout, letter.image),
            Err(error) => break error,
        }
        died += 1;
    };
    assert!(died >= 1_000, "{died}");
    assert!((message.view().layout.header_frame_bytes as usize) < LETTER_HEADER_FRAME_BYTES_MAX);
    assert!(error.header_frame_bytes >= LETTER_HEADER_FRAME_BYTES_MAX);
}

#[test]
fn a_queue_that_the_message_has_not_died_in_makes_no_cycle() {
    assert!(!is_cycle(&[], b"a", Reason::Expired));
    assert!(!is_cycle(&[("b", Reason::Expired)], b"a", Reason::Expired));
    assert!(!is_cycle(&[("aa", Reason::Expired), ("ba", Reason::Expired)], b"a", Reason::Expired));
}

#[test]
fn a_cycle_is_one_that_nobody_rejected_in_since() {
    let cycle = |pairs: &[(&str, Reason)]| is_cycle(pairs, b"a", Reason::Expired);
    assert!(cycle(&[("b", Reason::Expired), ("a", Reason::MaxLen)]));
    assert!(cycle(&[("a", Reason::DeliveryLimit)]));
    assert!(!cycle(&[("b", Reason::Rejected), ("a", Reason::MaxLen)]));
    assert!(!cycle(&[("b", Reason::Expired), ("a", Reason::Rejected)]));
}

#[test]
fn only_the_latest_death_in_the_target_counts() {
    let cycle = |pairs: &[(&str, Reason)]| is_cycle(pairs, b"a", Reason::Expired);
    assert!(cycle(&[("a", Reason::Expired), ("b", Reason::Rejected), ("a", Reason::MaxLen)]));
    assert!(!cycle(&[("a", Reason::Rejected), ("a", Reason::Expired)]));
}

#[test]
fn a_message_that_is_rejected_now_is_never_in_a_cycle() {
    assert!(!is_cycle(&[("b", Reason::Expired), ("a", Reason::Expired)], b"a", Reason::Rejected));
}

#[test]
fn many_targets_are_told_apart_as_few_are() {
    let message = died(&[
        ("d", Reason::Expired),
        ("c", Reason::MaxLen),
        ("b", Reason::Rejected),
        ("a", Reason::Expired),
    ]);
    let view = message.view();
    for reason in [Reason::Expired, Reason::Rejected] {
        for names in [&["a", "c"][..], &["a", "b", "c", "d", "e", "f"]] {
            let mut targets = names.to_vec();
            Deaths::of(&view).retain_forward(&mut targets, reason, |name| name.as_bytes());
            let one_by_one = names.iter().copied();
            let expected: Vec<_> =
                one_by_one.filter(|name| !Deaths::of(&view).is_cycle(name.as_bytes(), reason)).collect();
            assert_eq!(targets, expected, "{reason:?}");
        }
    }
}

/// Dies in one queue after another; each time it goes to so many queues, and the first copy dies next.
fn multiplied(mut message: Owned, reason: Reason, times: &[usize]) -> Result<Owned, TooManyCopies> {
    for (n, copies) in times.iter().enumerate() {
        let mut letter = dead_lettered(&message.view(), &death(&format!("q{n}"), reason)).unwrap();
        letter.multiply(*copies)?;
        message = Owned(letter.layout, letter.image);
    }
    Ok(message)
}

#[test]
fn a_message_that_has_multiplied_multiplies_to_a_bound() {
    let expires = |times: &[usize]| multiplied(Owned::plain(), Reason::Expired, times).is_ok();
    for (times, goes) in [
        (&[1; 40][..], true),
        (&[2; 10], true),
        (&[2; 11], false),
        (&[8, 8, 8, 2], true),
        (&[8, 8, 8, 2, 2], false),
        (&[8, 8, 8, 2, 1, 1], true),
        (&[32, 32], true),
        (&[32, 33], false),
        (&[1_000_000, 1], true),
        (&[1_000_000, 2], false),
        (&[0], true),
    ] {
        assert_eq!(expires(times), goes, "{times:?}");
    }
}

#[test]
fn a_rejection_begins_the_count_of_copies_anew() {
    assert!(multiplied(Owned::plain(), Reason::Rejected, &[2; 40]).is_ok());
    let many = multiplied(Owned::plain(), Reason::Expired, &[2; 10]).unwrap();
    let rejected = many.dies("r", Reason::Rejected);
    assert!(multiplied(rejected, Reason::MaxLen, &[2; 10]).is_ok());
}

#[test]
fn large_messages_multiply_less() {
    let (layout, image) = build_image(b"e", b"k", &[0, 0], &[&vec![0; LETTER_COPIES_BYTES_MAX / 3]], false);
    let large = || Owned(layout, image.clone());
    assert!(multiplied(large(), Reason::Expired, &[9, 1]).is_ok());
    assert!(multiplied(large(), Reason::Expired, &[2, 1]).is_ok());
    assert!(multiplied(large(), Reason::Expired, &[2, 2]).is_err());
}

#[test]
fn the_mark_of_copies_is_no_part_of_what_is_delivered() {
    let message = multiplied(Owned::plain(), Reason::Expired, &[4]).unwrap();
    assert_eq!(rewrite::copies_log2(&message.view()), 2);
    let mut delivered = Vec::new();
    message.view().write_content(&mut delivered, 1, 131_072);
    let mut unmarked = message.clone();
    rewrite::set_copies_log2(&unmarked.0, &mut unmarked.1, 0);
    let mut expected = Vec::new();
    unmarked.view().write_content(&mut expected, 1, 131_072);
    assert_eq!(delivered, expected);
    assert_eq!(message.view().exchange_and_key(), unmarked.view().exchange_and_key());
}

#[test]
fn reasons_are_parsed_back() {
    for reason in Reason::ALL {
        assert_eq!(Reason::parse(reason.name().as_bytes()), Some(reason));
    }
    assert_eq!(Reason::parse(b"Rejected"), None);
}

fn any_reason() -> impl Strategy<Value = Reason> {
    prop::sample::select(&Reason::ALL[..])
}

fn any_deaths() -> impl Strategy<Value = Vec<(&'static str, Reason)>> {
    vec((prop::sample::select(&["a", "b", "c", "d"][..]), any_reason()), 1..24)
}

/// An entry that may lack anything, or be nothing like one.
fn odd_entry() -> impl Strategy<Value = FieldValue> {
    let parts = (arbitrary::table(), any::<[bool; 3]>(), any_reason());
    parts.prop_map(|(mut entry, has, reason)| {
        let known: [(&'static str, FieldValue); 3] =
            [(QUEUE, "a".into()), (REASON, reason.name().into()), (COUNT, i64::MAX.into())];
        for (_, (name, value)) in has.into_iter().zip(known).filter(|(has, _)| *has) {
            entry.insert(ShortString::from_static(name), value);
        }
        entry.into()
    })
}

/// Headers in which the names that mean something here have any value at all.
fn odd_headers() -> impl Strategy<Value = FieldTable> {
    let values = vec(arbitrary::table(), 4);
    (arbitrary::table(), values, vec(odd_entry(), 0..4)).prop_map(|(mut headers, values, entries)| {
        for (name, values) in [X_DEATH, CC, "x-first-death-queue", "x-last-death-reason"].iter().zip(values) {
            if let Some((_, value)) = values.into_iter().next() {
                headers.insert(ShortString::from_static(name), value);
            }
        }
        if !entries.is_empty() {
            headers.insert(ShortString::from_static(X_DEATH), entries);
        }
        headers
    })
}

#[test]
fn the_origin_has_the_copies_keys_too() {
    let copies = FieldTable::new().with("CC", vec![FieldValue::from("copy"), FieldValue::from("other")]);
    let message = Owned::with_headers(copies).dies("q", Reason::Rejected).dies("dead", Reason::Expired);
    let origin = origin(&message.view()).unwrap();
    let keys: Vec<_> = origin.routing_keys.iter().map(|key| String::from_utf8_lossy(key)).collect();
    assert_eq!(keys, ["new", "copy", "other"]);
}

#[test]
fn deaths_that_the_broker_did_not_write_are_no_origin_and_no_reason() {
    let dead = Owned::plain().dies("q", Reason::Rejected);
    let sent_again = Owned::with_headers(dead.headers());
    for message in [sent_again, Owned::plain()] {
        assert_eq!((origin(&message.view()), last_reason(&message.view())), (None, None));
    }
}

proptest! {
    #[test]
    fn deaths_are_what_a_list_of_pairs_and_counts_says(sequence in any_deaths()) {
        let mut message = Owned::plain();
        let mut expected: Vec<(String, Reason, i64)> = Vec::new();
        for (queue, reason) in sequence {
            let known = expected.iter().position(|(of, why, _)| of == queue && *why == reason);
            let count = known.map_or(0, |at| expected.remove(at).2) + 1;
            expected.insert(0, (queue.into(), reason, count));
            let letter = dead_lettered(&message.view(), &death(queue, reason)).unwrap();
            let pairs: Vec<_> = expected.iter().map(|(queue, reason, _)| (queue.as_bytes(), *reason)).collect();
            prop_assert_eq!(letter.deaths().iter().collect::<Vec<_>>(), pairs);
            message = Owned(letter.layout, letter.image);
            prop_assert_eq!(&message.summary(), &expected);
            prop_assert_eq!(last_reason(&message.view()), Some(reason));
            let published = Origin { exchange: (*b"orders").into(), routing_keys: vec![(*b"new").into()] };
            prop_assert_eq!(origin(&message.view()), Some(published));
        }
    }

    #[test]
    fn a_death_is_written_as_if_all_was_decoded_and_encoded_again(
        headers in prop::option::of(odd_headers()),
        expiration in prop::option::of(arbitrary::short_string()),
        sequence in any_deaths(),
    ) {
        let properties = Properties { headers, expiration, priority: Some(3), ..Properties::default() };
        let mut message = Owned::published("orders", "new", &properties);
        for (n, (queue, reason)) in sequence.into_iter().enumerate() {
            let routing_key = (n % 3 == 2).then_some(&b"dead"[..]);
            let death = Death { routing_key, at_ms: AT_MS + n as u64 * 1_000, ..death(queue, reason) };
            let expected = model::dead_lettered(&message.view(), &death);
            let letter = dead_lettered(&message.view(), &death).unwrap();
            prop_assert_eq!(letter.view().properties(), rewrite::encoded(&expected));
            let copies = expected.headers.as_ref().map(model::carbon_copies).into_iter().flatten();
            prop_assert!(copies.eq(letter.extra_keys.iter().map(|key| &**key)));
            message = Owned(letter.layout, letter.image);
        }
    }

    #[test]
    fn odd_headers_are_replaced_and_others_kept(headers in odd_headers(), reason in any_reason()) {
        let message = Owned::with_headers(headers.clone());
        let message = message.dies("a", reason);
        prop_assert!(PropertiesView::parse(message.view().properties()).is_ok());
        prop_assert_eq!(message.summary(), [("a".to_owned(), reason, 1)]);
        let after = message.headers();
        for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(b"x-")) {
            prop_assert!(after.iter().any(|(key, kept)| key == name && kept == value));
        }
    }

    #[test]
    fn odd_headers_with_the_broker_s_mark_panic_nobody(headers in odd_headers(), reason in any_reason()) {
        let message = Owned::with_headers(headers);
        let (layout, image) = rewrite::rewritten(
            &message.view(), b"orders", b"new", message.view().properties(), DEAD_LETTERED,
        );
        let message = Owned(layout, image).dies("a", reason);
        prop_assert!(PropertiesView::parse(message.view().properties()).is_ok());
        prop_assert_eq!(Deaths::of(&message.view()).iter().next(), Some((&b"a"[..], reason)));
        let _ = (origin(&message.view()), last_reason(&message.view()));
    }

    #[test]
    fn no_properties_panic(properties in vec(any::<u8>(), 2..64), expiration in arbitrary::long_string()) {
        let (layout, image) = build_image(b"e", b"k", &properties, &[b"x"], false);
        let message = Owned(layout, image).dies("q", Reason::Expired);
        prop_assert_eq!(message.summary(), [("q".to_owned(), Reason::Expired, 1)]);
        let _ = (plain_number(&expiration), origin(&message.view()), last_reason(&message.view()));
    }
}
