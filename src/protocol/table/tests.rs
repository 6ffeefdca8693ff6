use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::limits::TABLE_DEPTH_MAX;
use crate::protocol::{ShortString, arbitrary};

fn encoded(table: &FieldTable) -> Vec<u8> {
    let mut out = Vec::new();
    table.encode(&mut out);
    out
}

fn nested(levels: usize, tag: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for level in 0..levels {
        let mut outer = if tag == b'F' || level + 1 == levels { vec![1, b'n', tag] } else { vec![tag] };
        outer.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        outer.append(&mut bytes);
        bytes = outer;
    }
    bytes
}

#[test]
fn the_first_entries_are_kept_as_far_as_there_is_memory_for_them() {
    let entry = |name: &str, value: &str| (ShortString::try_from(name).unwrap(), FieldValue::from(value));
    let table =
        || FieldTable::from_iter([entry("a", "first"), entry("b", &"x".repeat(1_000)), entry("c", "last")]);
    for (bytes_max, kept) in [(0, 0), (1_000, 1), (1_500, 3), (usize::MAX, 3)] {
        let mut some = table();
        some.keep_first(bytes_max);
        assert_eq!(some.len(), kept, "{bytes_max}");
        assert!(some.iter().eq(table().iter().take(kept)), "{bytes_max}");
        assert!(some.memory_bytes() <= bytes_max, "{bytes_max}");
    }
    // As many as a frame can have.
    let mut many = FieldTable::decode(&[0, b'V'].repeat(4_000)).unwrap();
    many.keep_first(16 * 1024);
    assert!(many.len() > 100 && many.memory_bytes() <= 16 * 1024, "{}", many.len());
}

#[test]
fn every_type_keeps_its_letter_on_the_wire() {
    let values: [(u8, FieldValue); 17] = [
        (b't', true.into()),
        (b'b', FieldValue::I8(-1)),
        (b'B', FieldValue::U8(255)),
        (b's', FieldValue::I16(-1)),
        (b'u', FieldValue::U16(65535)),
        (b'I', (-1).into()),
        (b'i', FieldValue::U32(u32::MAX)),
        (b'l', (-1_i64).into()),
        (b'f', FieldValue::F32(0.5)),
        (b'd', FieldValue::F64(0.25)),
        (b'D', FieldValue::Decimal { scale: 2, value: 314 }),
        (b'S', "text".into()),
        (b'A', vec![FieldValue::Void].into()),
        (b'T', FieldValue::Timestamp(1)),
        (b'F', FieldTable::new().with("a", 1).into()),
        (b'V', FieldValue::Void),
        (b'x', FieldValue::Bytes(Arc::from([0, 1].as_slice()))),
    ];
    for (tag, value) in values {
        let table = FieldTable::new().with("k", value);
        let bytes = encoded(&table);
        assert_eq!((bytes[4], bytes[5], bytes[6]), (1, b'k', tag));
        assert_eq!(FieldTable::decode(&bytes[4..]), Ok(table));
    }
}

#[test]
fn capital_l_is_read_as_a_signed_64_bit_number() {
    let bytes = [&[1, b'k', b'L'], [0xFF; 8].as_slice()].concat();
    assert_eq!(FieldTable::decode(&bytes).unwrap().get("k"), Some(&FieldValue::I64(-1)));
}

#[test]
fn any_octet_but_zero_is_true() {
    let table = FieldTable::decode(&[1, b'k', b't', 7]).unwrap();
    assert_eq!(table.get("k").and_then(FieldValue::as_bool), Some(true));
}

#[test]
fn insert_replaces_in_place_and_remove_keeps_the_order() {
    let mut table = FieldTable::new().with("a", 1).with("b", 2).with("c", 3);
    assert_eq!(table.insert(ShortString::from_static("b"), 9), Some(FieldValue::I32(2)));
    assert_eq!(table.remove("a"), Some(FieldValue::I32(1)));
    assert_eq!(table.remove("a"), None);
    let names: Vec<_> = table.iter().map(|(name, value)| (name.to_string(), value.as_i64())).collect();
    assert_eq!(names, [("b".to_owned(), Some(9)), ("c".to_owned(), Some(3))]);
}

#[test]
fn a_name_sent_twice_is_kept_and_the_first_is_found() {
    let bytes = [1, b'k', b'b', 1, 1, b'k', b'b', 2];
    let mut table = FieldTable::decode(&bytes).unwrap();
    assert_eq!((table.len(), table.get("k")), (2, Some(&FieldValue::I8(1))));
    assert_eq!(encoded(&table)[4..], bytes);
    table.remove("k");
    assert!(table.is_empty());
}

#[test]
fn sixty_four_levels_are_read_and_sixty_five_are_not() {
    for tag in [b'F', b'A'] {
        let allowed = nested(TABLE_DEPTH_MAX - 1, tag);
        assert!(FieldTable::decode(&allowed).is_ok() && FieldTable::validate(&allowed).is_ok());
        let deep = nested(TABLE_DEPTH_MAX, tag);
        assert_eq!(FieldTable::decode(&deep), Err(TableError::TooDeep));
        assert_eq!(FieldTable::validate(&deep), Err(TableError::TooDeep));
    }
}

#[test]
fn ten_thousand_levels_do_not_overflow_the_stack() {
    for tag in [b'F', b'A'] {
        let bytes = nested(10_000, tag);
        assert_eq!(FieldTable::decode(&bytes), Err(TableError::TooDeep));
        assert_eq!(FieldTable::validate(&bytes), Err(TableError::TooDeep));
    }
}

#[test]
fn a_length_of_four_gib_is_refused_before_anything_is_allocated() {
    for tag in *b"SxAF" {
        let bytes = [1, b'k', tag, 0xFF, 0xFF, 0xFF, 0xFF, 0];
        assert_eq!(FieldTable::decode(&bytes), Err(TableError::Truncated));
        assert_eq!(FieldTable::validate(&bytes), Err(TableError::Truncated));
        assert_eq!(TableView::new(&bytes).count(), 0);
    }
}

#[test]
fn an_unknown_tag_is_named_in_the_error() {
    assert_eq!(FieldTable::decode(&[1, b'k', b'?']), Err(TableError::UnknownType { tag: b'?' }));
}

#[test]
fn a_view_finds_names_at_the_top_level_only() {
    let inner = FieldTable::new().with("BCC", "hidden");
    let cc = vec![FieldValue::from("a"), FieldValue::from("b")];
    let table = FieldTable::new().with("inner", inner).with("CC", cc).with("x-delay", 500);
    let bytes = encoded(&table);
    let view = TableView::new(&bytes[4..]);
    assert_eq!(view.get("BCC"), None);
    assert_eq!(view.get("x-delay").unwrap().decode(), Ok(FieldValue::I32(500)));
    let cc = view.get(b"CC").unwrap();
    assert_eq!(cc.tag, b'A');
    let keys: Vec<_> = ArrayView::new(cc.value).map(|entry| (entry.tag, entry.value)).collect();
    assert_eq!(keys, [(b'S', b"a".as_slice()), (b'S', b"b".as_slice())]);
}

#[test]
fn values_are_shown_as_error_texts_show_them() {
    assert_eq!(FieldValue::I64(5).to_string(), "5");
    assert_eq!(FieldValue::from("lazy").to_string(), "lazy");
    assert_eq!(FieldValue::from(vec![FieldValue::I8(1), FieldValue::Void]).to_string(), "[1,undefined]");
    assert_eq!(FieldValue::from(FieldTable::new().with("a", 1)).to_string(), "[{a,signedint,1}]");
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(table in arbitrary::table()) {
        let bytes = encoded(&table);
        prop_assert_eq!(bytes.len(), 4 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize);
        prop_assert_eq!(FieldTable::validate(&bytes[4..]), Ok(()));
        prop_assert_eq!(TableView::new(&bytes[4..]).count(), table.len());
        prop_assert_eq!(FieldTable::decode(&bytes[4..]), Ok(table));
    }

    #[test]
    fn validate_and_decode_agree_on_mutated_bytes(
        table in arbitrary::table(), at in any::<prop::sample::Index>(), octet: u8, cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encoded(&table).split_off(4);
        if !bytes.is_empty() {
            let index = at.index(bytes.len());
            bytes[index] = octet;
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let decoded = FieldTable::decode(&bytes);
        prop_assert_eq!(FieldTable::validate(&bytes), decoded.map(|_| ()));
        for entry in TableView::new(&bytes) {
            let _ = entry.decode();
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        prop_assert_eq!(FieldTable::validate(&bytes), FieldTable::decode(&bytes).map(|_| ()));
    }
}
