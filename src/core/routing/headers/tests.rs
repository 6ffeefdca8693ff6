use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn routed(headers: &Headers<u32>, message: &FieldTable) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    headers.route(Some(message), &mut |destination| {
        found.insert(*destination);
    });
    found
}

fn matches(arguments: &FieldTable, message: &FieldTable) -> bool {
    let mut headers = Headers::default();
    headers.bind(arguments, 1);
    !routed(&headers, message).is_empty()
}

fn table() -> FieldTable {
    FieldTable::new()
}

fn with_match(word: &str) -> FieldTable {
    table().with("x-match", word)
}

fn is_pristine(headers: &Headers<u32>) -> bool {
    headers.rules.is_empty()
        && headers.index.is_empty()
        && headers.by_condition.is_empty()
        && headers.unconditional.is_empty()
}

#[test]
fn without_x_match_all_pairs_must_match() {
    for arguments in [table(), with_match("all")] {
        let arguments = arguments.with("format", "pdf").with("pages", 3);
        assert!(matches(&arguments, &table().with("pages", 3).with("format", "pdf").with("more", 1)));
        assert!(!matches(&arguments, &table().with("format", "pdf")));
        assert!(!matches(&arguments, &table().with("format", "pdf").with("pages", 4)));
        assert!(!matches(&arguments, &table()));
    }
}

#[test]
fn with_any_one_pair_is_enough() {
    let arguments = with_match("any").with("format", "pdf").with("pages", 3);
    assert!(matches(&arguments, &table().with("format", "pdf")));
    assert!(matches(&arguments, &table().with("format", "txt").with("pages", 3)));
    assert!(!matches(&arguments, &table().with("format", "txt")));
}

#[test]
fn without_pairs_all_matches_everything_and_any_nothing() {
    for message in [table(), table().with("a", 1)] {
        for word in ["all", "all-with-x"] {
            assert!(matches(&with_match(word), &message));
        }
        for word in ["any", "any-with-x"] {
            assert!(!matches(&with_match(word), &message));
        }
        assert!(matches(&table(), &message));
        assert!(matches(&table().with("x-other", 1), &message));
        assert!(!matches(&with_match("any").with("x-other", 1), &message));
    }
}

#[test]
fn names_that_begin_with_x_count_only_in_the_with_x_kinds() {
    let message = table().with("a", 1).with("x-b", 2);
    assert!(matches(&with_match("all").with("a", 1).with("x-b", 9), &message));
    assert!(!matches(&with_match("all-with-x").with("a", 1).with("x-b", 9), &message));
    assert!(matches(&with_match("all-with-x").with("a", 1).with("x-b", 2), &message));
    assert!(!matches(&with_match("any").with("a", 9).with("x-b", 2), &message));
    assert!(matches(&with_match("any-with-x").with("a", 9).with("x-b", 2), &message));
}

#[test]
fn x_match_itself_is_never_a_pair() {
    assert!(matches(&with_match("all-with-x"), &table()));
    assert!(!matches(&with_match("any-with-x"), &with_match("any-with-x")));
}

#[test]
fn a_void_argument_asks_only_that_the_header_is_there() {
    let arguments = table().with("a", FieldValue::Void);
    assert!(matches(&arguments, &table().with("a", 1)));
    assert!(matches(&arguments, &table().with("a", FieldValue::Void)));
    assert!(matches(&arguments, &table().with("a", table())));
    assert!(!matches(&arguments, &table().with("b", 1)));
    assert!(!matches(&table().with("a", 1), &table().with("a", FieldValue::Void)));
}

#[test]
fn values_match_by_value_whatever_the_width() {
    assert!(matches(&table().with("a", 5_i64), &table().with("a", FieldValue::U8(5))));
    assert!(!matches(&table().with("a", 5), &table().with("a", "5")));
    assert!(!matches(&table().with("a", 5), &table().with("a", FieldValue::F64(5.0))));
    assert!(!matches(&table().with("a", "b"), &table().with("a", "B")));
    assert!(!matches(&table().with("a", "b"), &table().with("A", "b")));
}

#[test]
fn a_message_without_headers_has_an_empty_table() {
    let mut headers = Headers::default();
    headers.bind(&table(), 1_u32);
    headers.bind(&table().with("a", 1), 2);
    headers.bind(&with_match("any").with("a", 1), 3);
    let mut found = Vec::new();
    headers.route(None, &mut |destination| found.push(*destination));
    assert_eq!(found, [1]);
}

#[test]
fn of_a_header_sent_twice_the_last_value_counts() {
    let name = ShortString::from_static("a");
    let message = FieldTable::from_iter([(name.clone(), FieldValue::I32(1)), (name, FieldValue::I32(2))]);
    assert!(matches(&table().with("a", 2), &message));
    assert!(!matches(&table().with("a", 1), &message));
}

#[test]
fn a_destination_of_an_any_rule_is_found_once_for_all_pairs_that_match() {
    let mut headers = Headers::default();
    let arguments = with_match("any").with("a", 1).with("b", FieldValue::Void).with("c", 3);
    headers.bind(&arguments, 1_u32);
    let mut found = Vec::new();
    let message = table().with("a", 1).with("b", 2).with("c", 3);
    headers.route(Some(&message), &mut |destination| found.push(*destination));
    assert_eq!(found, [1]);
}

#[test]
fn the_order_of_arguments_makes_no_difference_to_unbinding() {
    let mut headers = Headers::default();
    headers.bind(&table().with("a", 1).with("b", 2), 1_u32);
    assert!(headers.unbind(&table().with("b", 2).with("a", 1), &1));
    assert!(is_pristine(&headers));
}

#[test]
fn bindings_that_ask_for_the_same_are_unbound_one_by_one() {
    let mut headers = Headers::default();
    headers.bind(&table().with("a", 1), 1_u32);
    headers.bind(&with_match("all").with("a", 1_i64), 1);
    assert!(!headers.unbind(&with_match("any").with("a", 1), &1));
    assert!(headers.unbind(&table().with("a", 1), &1));
    assert_eq!(routed(&headers, &table().with("a", 1)), BTreeSet::from([1]));
    assert!(headers.unbind(&with_match("all").with("a", 1_i64), &1));
    assert!(is_pristine(&headers));
}

#[test]
fn a_float_that_is_no_number_can_be_unbound() {
    let mut headers = Headers::default();
    let arguments = table().with("a", FieldValue::F64(f64::NAN));
    headers.bind(&arguments, 1_u32);
    assert!(headers.unbind(&arguments, &1));
}

#[test]
fn x_match_must_be_one_of_four_words_or_absent() {
    for word in ["all", "any", "all-with-x", "any-with-x"] {
        assert_eq!(validate_arguments(&with_match(word)), Ok(()));
    }
    assert_eq!(validate_arguments(&table().with("other", 1)), Ok(()));
    let text = |arguments: FieldTable| validate_arguments(&arguments).unwrap_err().to_string();
    assert_eq!(
        text(with_match("foo")),
        r#"Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x"#
    );
    assert_eq!(
        text(table().with("x-match", 1)),
        "Invalid x-match field type signedint (value 1); expected longstr"
    );
    assert_eq!(
        text(table().with("x-match", FieldValue::Bytes(b"all".as_slice().into()))),
        r#"Invalid x-match field type binary (value <<"all">>); expected longstr"#
    );
}

#[test]
fn a_hundred_thousand_bindings_that_differ_in_one_value_are_not_scanned() {
    for word in ["all", "any"] {
        let mut headers = Headers::default();
        let arguments = |n: i32| match word {
            "all" => table().with("format", "pdf").with("page", n).with("size", FieldValue::Void),
            _ => with_match("any").with("page", n).with("copy", n),
        };
        for n in 0..100_000_i32 {
            headers.bind(&arguments(n), n.cast_unsigned() % 10_000);
        }
        let message = table().with("format", "pdf").with("page", 77_777).with("size", 1);
        let mut found = Vec::new();
        let compared = headers.look(Some(&message), &mut |destination| found.push(*destination));
        assert!(compared <= 3, "{compared} rules compared");
        assert_eq!(found, [7_777]);
        for n in 0..100_000_i32 {
            assert!(headers.unbind(&arguments(n), &(n.cast_unsigned() % 10_000)));
        }
        assert!(is_pristine(&headers));
    }
}

#[test]
fn many_destinations_of_one_condition_are_compared_once() {
    let mut headers = Headers::default();
    for destination in 0..10_000_u32 {
        headers.bind(&table().with("a", 1), destination);
    }
    let mut calls = 0;
    assert_eq!(headers.look(Some(&table().with("a", 1)), &mut |_| calls += 1), 1);
    assert_eq!(calls, 10_000);
    for destination in 0..10_000_u32 {
        assert!(headers.unbind(&table().with("a", 1), &destination));
    }
    assert!(is_pristine(&headers));
}

/// The definition, straight from the arguments.
fn naive(arguments: &FieldTable, message: &FieldTable) -> bool {
    let word = arguments.get("x-match").and_then(FieldValue::as_str_bytes).unwrap_or(b"all");
    let with_x = word.ends_with(b"-with-x");
    let mut pairs = arguments
        .iter()
        .filter(|(name, _)| name.as_bytes() != b"x-match" && (with_x || !name.as_bytes().starts_with(b"x-")));
    let satisfied = |(name, value): (&ShortString, &FieldValue)| match message.get(name) {
        Some(header) => *value == FieldValue::Void || header_value::equal(value, header),
        None => false,
    };
    if word.starts_with(b"any") { pairs.any(satisfied) } else { pairs.all(satisfied) }
}

fn value() -> impl Strategy<Value = FieldValue> {
    prop::sample::select(vec![
        FieldValue::Void,
        FieldValue::I32(1),
        FieldValue::I64(1),
        FieldValue::I32(2),
        FieldValue::Bool(true),
        FieldValue::F32(1.0),
        FieldValue::from("1"),
        FieldValue::Timestamp(2),
        FieldValue::Array(vec![FieldValue::I32(1)]),
    ])
}

/// Few names, so that arguments and headers meet.
fn pairs(names: &'static [&'static str]) -> impl Strategy<Value = FieldTable> {
    prop::collection::btree_map(prop::sample::select(names), value(), 0..5)
        .prop_map(|pairs| pairs.into_iter().fold(table(), |table, (name, value)| table.with(name, value)))
}

fn arguments() -> impl Strategy<Value = FieldTable> {
    let words = ["", "all", "any", "all-with-x", "any-with-x"].as_slice();
    (prop::sample::select(words), pairs(&["a", "b", "c", "x-a", "x-b"]))
        .prop_map(|(word, pairs)| if word.is_empty() { pairs } else { pairs.with("x-match", word) })
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_definition(
        changes in prop::collection::vec(
            (arguments(), 0..6_u32, any::<Option<prop::sample::Index>>()),
            1..40,
        ),
        messages in prop::collection::vec(pairs(&["a", "b", "c", "x-a", "x-b", "x-match"]), 1..10),
    ) {
        let mut headers = Headers::default();
        let mut bindings: Vec<(FieldTable, u32)> = Vec::new();
        for (arguments, destination, removed) in changes {
            headers.bind(&arguments, destination);
            bindings.push((arguments, destination));
            if let Some(index) = removed {
                let (arguments, destination) = bindings.swap_remove(index.index(bindings.len()));
                prop_assert!(headers.unbind(&arguments, &destination));
            }
            prop_assert_eq!(headers.is_empty(), bindings.is_empty());
            for message in &messages {
                let expected: BTreeSet<u32> = bindings
                    .iter()
                    .filter(|(arguments, _)| naive(arguments, message))
                    .map(|(_, destination)| *destination)
                    .collect();
                prop_assert_eq!(routed(&headers, message), expected, "headers {:?}", message);
            }
        }
        for (arguments, destination) in bindings {
            prop_assert!(headers.unbind(&arguments, &destination));
        }
        prop_assert!(is_pristine(&headers));
    }
}
