use super::*;
use crate::core::{dead_letter::Death, message::build_image};

const NOW: Millis = 1_000_000;

fn message(exchange: &[u8], key: &[u8], headers: FieldTable) -> Message {
    let properties = Properties { headers: Some(headers), ..Properties::default() };
    let (layout, image) = build_image(exchange, key, &rewrite::encoded(&properties), &[b"body"], true);
    Message::uncounted(View::new(layout, &image), NOW)
}

fn dead(message: &Message, reason: Reason, exchange: &[u8], routing_key: Option<&[u8]>) -> Message {
    let death = Death { queue: b"work", reason, at_ms: NOW, exchange, routing_key };
    let dead = dead_letter::dead_lettered(&message.view(), &death).unwrap();
    Message::uncounted(View::new(dead.layout, &dead.image), NOW)
}

fn copies() -> FieldTable {
    FieldTable::new().with("CC", vec![FieldValue::from("copy")]).with("a", 1)
}

fn name(name: &'static str) -> ShortString {
    ShortString::from_static(name)
}

/// Exchange, routing keys and headers of a message that was sent to `target`.
fn sent(message: &Message, target: &Target) -> (String, Vec<String>, FieldTable) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let redriven = redriven(&message.view(), target);
    let view = View::new(redriven.layout, &redriven.image);
    assert_eq!(view.body(), message.view().body());
    assert_eq!(rewrite::marks(&view), rewrite::marks(&message.view()));
    let keys = std::iter::once(view.routing_key()).chain(redriven.extra_keys.iter().map(|key| &**key));
    (text(view.exchange()), keys.map(text).collect(), headers(&view).unwrap())
}

#[test]
fn a_dead_message_goes_back_with_all_keys_that_it_came_with_and_keeps_its_history() {
    let dead = dead(&message(b"orders", b"new", copies()), Reason::Expired, b"dlx", Some(b"dead"));
    let (exchange, keys, headers) = sent(&dead, &Target::Origin);
    assert_eq!((&*exchange, keys), ("orders", vec!["new".into(), "copy".into()]));
    assert!(headers.get("x-death").is_some() && headers.get("x-first-death-queue").is_some());
    assert!(redriven(&dead.view(), &Target::Origin).goes_back);
}

#[test]
fn a_message_that_never_died_goes_to_its_own_exchange_and_keys() {
    let message = message(b"orders", b"new", copies());
    let (exchange, keys, _) = sent(&message, &Target::Origin);
    assert_eq!((&*exchange, keys), ("orders", vec!["new".into(), "copy".into()]));
    assert!(!redriven(&message.view(), &Target::Origin).goes_back);
}

#[test]
fn an_exchange_gets_a_message_under_its_own_keys_or_under_one_that_is_given() {
    let message = message(b"orders", b"new", copies());
    let (exchange, keys, headers) = sent(&message, &Target::Exchange { name: name("x"), key: None });
    assert_eq!((&*exchange, keys, headers), ("x", vec!["new".into(), "copy".into()], copies()));
    let given = Target::Exchange { name: name("x"), key: Some(name("k")) };
    let (exchange, keys, headers) = sent(&message, &given);
    assert_eq!((&*exchange, keys, headers), ("x", vec!["k".into()], FieldTable::new().with("a", 1)));
}

#[test]
fn a_queue_gets_a_message_by_way_of_the_default_exchange() {
    let (exchange, keys, _) =
        sent(&message(b"orders", b"new", FieldTable::new()), &Target::Queue(name("park")));
    assert_eq!((&*exchange, keys), ("", vec!["park".into()]));
}

#[test]
fn rotten_properties_go_as_they_are() {
    let (layout, image) = build_image(b"e", b"k", &[0x20, 0, 0xFF], &[b"x"], true);
    let view = View::new(layout, &image);
    for target in [Target::Origin, Target::Exchange { name: name("e"), key: Some(name("k")) }] {
        assert_eq!(redriven(&view, &target).image, image);
    }
}

#[test]
fn all_parts_of_a_filter_must_hold() {
    let dead = dead(&message(b"orders", b"eu.new", copies()), Reason::Expired, b"dlx", None);
    let header = |name: &'static str, value: i64| vec![(ShortString::from_static(name), value.into())];
    let all = Filter {
        headers: header("a", 1),
        routing_key: Some(name("eu.*")),
        older_than_ms: Some(10),
        reason: Some(Reason::Expired),
    };
    let matches = |filter: &Filter, now| filter.matcher().matches(&dead, now);
    assert!(matches(&Filter::default(), 0) && matches(&all, NOW + 10));
    assert!(!matches(&all, NOW + 9), "it is too young");
    for other in [
        Filter { headers: header("a", 2), ..all.clone() },
        Filter { headers: header("b", 1), ..all.clone() },
        Filter { routing_key: Some(name("us.#")), ..all.clone() },
        Filter { reason: Some(Reason::Rejected), ..all.clone() },
    ] {
        assert!(!matches(&other, NOW + 10), "{other:?}");
    }
}

#[test]
fn a_message_of_unknown_age_is_old_and_one_that_never_died_has_no_reason() {
    let (layout, image) = build_image(b"", b"k", &[0, 0], &[], true);
    let ancient = Message::uncounted(View::new(layout, &image), 0);
    let filter = Filter { older_than_ms: Some(NOW), ..Filter::default() };
    assert!(filter.matcher().matches(&ancient, NOW));
    let filter = Filter { reason: Some(Reason::Expired), ..Filter::default() };
    assert!(!filter.matcher().matches(&ancient, NOW));
}

#[test]
fn no_bytes_panic() {
    use proptest::{collection::vec, prelude::*};
    proptest!(|(properties in vec(any::<u8>(), 2..64), pattern in vec(any::<u8>(), 0..32))| {
        let (layout, image) = build_image(b"e", b"k", &properties, &[b"x"], false);
        let message = Message::uncounted(View::new(layout, &image), NOW);
        let pattern = ShortString::try_from(pattern).unwrap();
        let headers = vec![(name("a"), FieldValue::from(1))];
        let reason = Some(Reason::Expired);
        let filter = Filter { headers, routing_key: Some(pattern), older_than_ms: None, reason };
        filter.matcher().matches(&message, NOW);
        redriven(&message.view(), &Target::Origin);
        redriven(&message.view(), &Target::Queue(name("q")));
    });
}
