use proptest::prelude::*;

use super::*;
use crate::core::dead_letter::last_reason;
use crate::protocol::{
    FieldTable, FieldValue, ShortString, TableError, write_bodies, write_frame, write_header_with,
    write_method,
};

const BODY_BYTES_MAX: u64 = 1_000;
const CLASSIC: Reading = Reading { body_bytes_max: BODY_BYTES_MAX, counts_attempts: false };
const QUORUM: Reading = Reading { counts_attempts: true, ..CLASSIC };
const CHANNEL: u16 = 7;

fn deliver(tag: u64, redelivered: bool) -> basic::Deliver {
    basic::Deliver {
        consumer_tag: ShortString::from_static("c"),
        delivery_tag: tag,
        redelivered,
        exchange: ShortString::from_static("orders"),
        routing_key: ShortString::from_static("new.eu"),
    }
}

fn written(deliver: &basic::Deliver, properties: &Properties, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_method(&mut out, CHANNEL, deliver);
    write_header_with(&mut out, CHANNEL, basic::CLASS_ID, body.len() as u64, |out| properties.encode(out));
    write_bodies(&mut out, CHANNEL, body, 48);
    out
}

fn with_headers(headers: FieldTable) -> Properties {
    Properties { headers: Some(headers), ..Properties::default() }
}

fn one(reading: Reading, bytes: &[u8]) -> MovedIn {
    let mut deliveries = reading.deliveries(bytes).unwrap();
    assert_eq!(deliveries.len(), 1);
    deliveries.remove(0).message.unwrap()
}

fn properties_of(message: &MovedIn) -> Properties {
    Properties::decode(message.view().properties()).unwrap()
}

#[test]
fn a_message_moves_in_as_it_was_delivered() {
    let properties = Properties {
        content_type: Some(ShortString::from_static("text/plain")),
        headers: Some(FieldTable::new().with("CC", vec![FieldValue::from("copy")]).with("x-delay", 5_000)),
        delivery_mode: Some(2),
        priority: Some(7),
        expiration: Some(ShortString::from_static("60000")),
        user_id: Some(ShortString::from_static("somebody else")),
        ..Properties::default()
    };
    let body = [9; 100];
    let message = one(CLASSIC, &written(&deliver(1, false), &properties, &body));
    let view = message.view();
    assert_eq!((view.exchange(), view.routing_key()), (&b"orders"[..], &b"new.eu"[..]));
    assert_eq!((properties_of(&message), view.body()), (properties, body.to_vec()));
    assert!(view.layout.persistent && !message.redelivered && message.attempts == Attempts::default());
    let transient = one(CLASSIC, &written(&deliver(1, false), &Properties::default(), b""));
    assert!(!transient.view().layout.persistent && transient.view().body().is_empty());
}

#[test]
fn deliveries_stand_one_behind_the_other_with_their_tags() {
    let bodies: [&[u8]; 3] = [b"a", b"", &[7; 200]];
    let each = |(tag, body): (u64, &&[u8])| written(&deliver(tag, tag == 11), &Properties::default(), body);
    let bytes: Vec<u8> = (10..).zip(&bodies).flat_map(each).collect();
    let deliveries = CLASSIC.deliveries(&bytes).unwrap();
    let seen = deliveries.iter().map(|it| (it.tag, it.message.as_ref().unwrap()));
    let seen: Vec<_> = seen.map(|(tag, message)| (tag, message.redelivered, message.view().body())).collect();
    let wanted = [(10, false, b"a".to_vec()), (11, true, vec![]), (12, false, vec![7; 200])];
    assert_eq!(seen, wanted);
    assert_eq!(CLASSIC.deliveries(b""), Ok(vec![]));
}

#[test]
fn an_end_in_the_middle_of_a_delivery_is_told() {
    let first = written(&deliver(1, false), &Properties::default(), &[1; 100]);
    let all = [first.clone(), written(&deliver(2, false), &Properties::default(), b"x")].concat();
    for length in 1..all.len() {
        let read = CLASSIC.deliveries(&all[..length]);
        if length == first.len() {
            assert_eq!(read.map(|deliveries| deliveries.len()), Ok(1));
        } else {
            assert_eq!(read, Err(NoDeliveries::Truncated), "{length}");
        }
    }
}

#[test]
fn other_frames_than_those_of_deliveries_are_refused() {
    let (mut publish, mut method, mut header, mut body) = (vec![], vec![], vec![], vec![]);
    write_method(&mut publish, CHANNEL, &basic::Publish::default());
    write_method(&mut method, CHANNEL, &deliver(1, false));
    write_header_with(&mut header, CHANNEL, basic::CLASS_ID, 2, |out| Properties::default().encode(out));
    write_frame(&mut body, FRAME_BODY, CHANNEL, b"ab");
    let mut longer = Vec::new();
    write_frame(&mut longer, FRAME_BODY, CHANNEL, b"abc");
    let mut weight = header.clone();
    weight[10] = 1;
    for (frames, wanted) in [
        (vec![&publish], "basic.deliver is expected"),
        (vec![&header], "basic.deliver is expected"),
        (vec![&method, &method], "a content header is expected"),
        (vec![&method, &body], "a content header is expected"),
        (vec![&method, &header, &header], "the rest of a body is expected"),
        (vec![&method, &header, &longer], "basic.deliver is expected"),
        (vec![&method, &header, &body, &body], "basic.deliver is expected"),
        (vec![&method, &weight], "a content header cannot be read: content header weight is 1, not 0"),
        (vec![&b"GET / HTTP/1.1\r\n".to_vec()], "frame_too_large"),
    ] {
        let bytes: Vec<u8> = frames.into_iter().flatten().copied().collect();
        let told = CLASSIC.deliveries(&bytes).unwrap_err().to_string();
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    let unknown = [FRAME_METHOD, 0, 1, 0, 0, 0, 4, 0, 60, 0, 99, 0xCE];
    let told = CLASSIC.deliveries(&unknown).unwrap_err().to_string();
    assert!(told.contains("unknown method 60.99"), "{told}");
}

#[test]
fn a_message_that_cannot_be_one_here_does_not_keep_the_others_from_moving() {
    let body = [1; BODY_BYTES_MAX as usize + 1];
    let mut bytes = written(&deliver(1, false), &Properties::default(), &body);
    write_method(&mut bytes, CHANNEL, &deliver(2, false));
    let nonsense = [0x20, 0, 0, 0, 0, 3, 1, b'a', b'?'];
    write_header_with(&mut bytes, CHANNEL, basic::CLASS_ID, 0, |out| out.extend_from_slice(&nonsense));
    bytes.extend(written(&deliver(3, false), &Properties::default(), &body[1..]));
    let deliveries = CLASSIC.deliveries(&bytes).unwrap();
    let [large, unreadable, fit] = &deliveries[..] else { panic!("{deliveries:?}") };
    let told = "message size 1001 is larger than configured max size 1000";
    assert_eq!(large.message.as_ref().unwrap_err().to_string(), told);
    let unreadable = unreadable.message.as_ref().unwrap_err();
    assert!(matches!(
        unreadable,
        Unfit::Properties(PropertiesError::Headers(TableError::UnknownType { .. }))
    ));
    assert_eq!((fit.tag, fit.message.as_ref().unwrap().view().body().len()), (3, 1_000));
}

#[test]
fn attempts_of_quorum_queues_are_taken_from_the_headers_that_are_added_to_deliveries() {
    let attempts = |returned, failed| Attempts { returned, failed };
    let other = || FieldTable::new().with("other", "x");
    for (headers, redelivered, wanted) in [
        (other(), false, attempts(0, 0)),
        (other(), true, attempts(1, 0)),
        (other().with("x-delivery-count", 3), true, attempts(3, 3)),
        (other().with("x-delivery-count", 3_i64), false, attempts(3, 3)),
        (other().with("x-delivery-count", 1).with("x-acquired-count", 4), true, attempts(4, 1)),
        (other().with("x-delivery-count", 70_000), true, attempts(u16::MAX, u16::MAX)),
        (other().with("x-delivery-count", -1), false, attempts(0, 0)),
        (other().with("x-delivery-count", "3"), false, attempts(0, 0)),
    ] {
        let properties = with_headers(headers.clone());
        let bytes = written(&deliver(1, redelivered), &properties, b"m");
        let message = one(QUORUM, &bytes);
        assert_eq!((message.attempts, message.redelivered), (wanted, redelivered), "{headers:?}");
        assert_eq!(properties_of(&message), with_headers(other()), "the message itself does not have them");
        let message = one(CLASSIC, &bytes);
        assert_eq!(message.attempts, attempts(redelivered.into(), 0), "{headers:?}");
        assert_eq!(properties_of(&message), properties, "in another queue they are the publisher's");
    }
    let only = with_headers(FieldTable::new().with("x-delivery-count", 1));
    let message = one(QUORUM, &written(&deliver(1, true), &only, b"m"));
    assert_eq!(properties_of(&message), Properties::default());
}

#[test]
fn deaths_are_believed_if_they_can_be_read() {
    let entry = || {
        let keys = vec![FieldValue::from("new.eu")];
        let names =
            FieldTable::new().with("count", 2_i64).with("exchange", "orders").with("routing-keys", keys);
        names.with("queue", "work").with("reason", "expired")
    };
    let list = |entry: FieldTable| FieldValue::from(vec![FieldValue::Table(entry)]);
    let without = |name: &str| {
        let mut entry = entry();
        entry.remove(name);
        list(entry)
    };
    for (value, is_believed) in [
        (list(entry()), true),
        (list(entry().with("more", 1)), true),
        (without("count"), true),
        (without("queue"), false),
        (without("reason"), false),
        (list(entry().with("reason", "boredom")), false),
        (list(FieldTable::new()), false),
        (FieldValue::Array(vec![]), false),
        (FieldValue::Array(vec![FieldValue::from(1)]), false),
        (FieldValue::from("x"), false),
    ] {
        let properties = with_headers(FieldTable::new().with("x-death", value.clone()));
        let message = one(CLASSIC, &written(&deliver(1, false), &properties, b"m"));
        assert_eq!(last_reason(&message.view()).is_some(), is_believed, "{value:?}");
        assert_eq!(properties_of(&message), properties, "it stays as it is");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_sent_panics(at in any::<prop::sample::Index>(), octet: u8, cut in any::<prop::sample::Index>()) {
        let headers = FieldTable::new().with("x-delivery-count", 3).with("x-death", FieldValue::Array(vec![]));
        let mut bytes = written(&deliver(1, true), &with_headers(headers), &[1; 100]);
        let index = at.index(bytes.len());
        bytes[index] = octet;
        bytes.truncate(cut.index(bytes.len() + 1));
        for reading in [CLASSIC, QUORUM] {
            let _read = reading.deliveries(&bytes);
        }
    }
}
