//! Values of headers and of binding arguments: when they are equal, and how RabbitMQ writes them in errors.
//!
//! RabbitMQ (since 3.13) throws the type of a header away when it decodes a message and compares what is left
//! exactly, as Erlang's `=:=` does. So does this module:
//!
//! * integers of any width are equal by value, since clients choose the width by themselves: 5 is 5;
//! * an integer never equals a float, and the two widths of float are equal if widening makes the same bits
//!   (0.0 and -0.0 differ, as they do since Erlang 27);
//! * text and bytes are equal octet by octet, to each other too;
//! * inside arrays and tables the type counts as well, and so does the order of a table's entries.
//!
//! One thing differs on purpose: RabbitMQ multiplies a message's timestamps by 1,000 and a binding's not, so that
//! they never meet. Here a timestamp is the integer of its seconds on both sides (as before 3.13).
//!
//! Invariant: equal values have equal hashes. That a binding's void means "any value" is the matcher's business.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::discriminant;

use crate::protocol::FieldValue;

/// Whether a header's value is the one that a binding asks for.
pub fn equal(one: &FieldValue, other: &FieldValue) -> bool {
    match (one, other) {
        (FieldValue::Array(one), FieldValue::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| nested_equal(one, other))
        }
        (FieldValue::Table(one), FieldValue::Table(other)) => {
            let same = |((name, one), (other_name, other))| name == other_name && nested_equal(one, other);
            one.len() == other.len() && one.iter().zip(other.iter()).all(same)
        }
        _ => scalar(one).is_some_and(|one| scalar(other) == Some(one)),
    }
}

/// A hash that agrees with [`equal`].
pub(super) fn hash(value: &FieldValue, state: &mut impl Hasher) {
    match value {
        FieldValue::Array(values) => {
            state.write_usize(values.len());
            for value in values {
                nested_hash(value, state);
            }
        }
        FieldValue::Table(table) => {
            state.write_usize(table.len());
            for (name, value) in table.iter() {
                name.hash(state);
                nested_hash(value, state);
            }
        }
        value => scalar(value).hash(state),
    }
}

fn nested_equal(one: &FieldValue, other: &FieldValue) -> bool {
    discriminant(one) == discriminant(other) && equal(one, other)
}

fn nested_hash(value: &FieldValue, state: &mut impl Hasher) {
    discriminant(value).hash(state);
    hash(value, state);
}

/// What is compared of a value that holds no others.
#[derive(PartialEq, Eq, Hash)]
enum Scalar<'a> {
    Void,
    Bool(bool),
    Integer(i128),
    /// The bits of the value as a 64-bit float.
    Float(u64),
    Decimal {
        scale: u8,
        value: u32,
    },
    Octets(&'a [u8]),
}

fn scalar(value: &FieldValue) -> Option<Scalar<'_>> {
    Some(match value {
        FieldValue::Void => Scalar::Void,
        FieldValue::Bool(value) => Scalar::Bool(*value),
        FieldValue::F32(value) => Scalar::Float(f64::from(*value).to_bits()),
        FieldValue::F64(value) => Scalar::Float(value.to_bits()),
        FieldValue::Decimal { scale, value } => Scalar::Decimal { scale: *scale, value: *value },
        FieldValue::LongString(octets) | FieldValue::Bytes(octets) => Scalar::Octets(octets),
        FieldValue::Timestamp(seconds) => Scalar::Integer(i128::from(*seconds)),
        FieldValue::Array(_) | FieldValue::Table(_) => return None,
        integer => Scalar::Integer(i128::from(integer.as_i64()?)),
    })
}

/// A value as Erlang's `~tp` writes it, which is how it stands in RabbitMQ's error texts.
pub(super) struct ErlangTerm<'a>(pub(super) &'a FieldValue);

impl fmt::Display for ErlangTerm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FieldValue::LongString(octets) | FieldValue::Bytes(octets) => binary(octets, f),
            FieldValue::F32(value) => write!(f, "{value:?}"),
            FieldValue::F64(value) => write!(f, "{value:?}"),
            FieldValue::Array(values) => {
                let terms = values.iter().map(|value| (None, value));
                list(terms, f)
            }
            FieldValue::Table(table) => {
                let terms = table.iter().map(|(name, value)| (Some(name.as_bytes()), value));
                list(terms, f)
            }
            plain => plain.fmt(f),
        }
    }
}

fn list<'a>(
    terms: impl Iterator<Item = (Option<&'a [u8]>, &'a FieldValue)>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_str("[")?;
    for (at, (name, value)) in terms.enumerate() {
        f.write_str(if at == 0 { "{" } else { ",{" })?;
        if let Some(name) = name {
            binary(name, f)?;
            f.write_str(",")?;
        }
        write!(f, "{},{}}}", value.type_name(), ErlangTerm(value))?;
    }
    f.write_str("]")
}

/// `<<"text">>`, or `<<1,2,3>>` for what is not text.
fn binary(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = str::from_utf8(octets).ok();
    if let Some(text) = text.filter(|text| !text.is_empty() && !text.chars().any(char::is_control)) {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        let encoding = if text.is_ascii() { "" } else { "/utf8" };
        write!(f, "<<\"{escaped}\"{encoding}>>")
    } else {
        let octets: Vec<String> = octets.iter().map(u8::to_string).collect();
        write!(f, "<<{}>>", octets.join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;
    use std::sync::Arc;

    use foldhash::fast::FixedState;

    use super::*;
    use crate::protocol::FieldTable;

    fn hash_of(value: &FieldValue) -> u64 {
        let mut state = FixedState::default().build_hasher();
        hash(value, &mut state);
        state.finish()
    }

    fn assert_equal(one: &FieldValue, other: &FieldValue) {
        assert!(equal(one, other) && equal(other, one), "{one:?} and {other:?}");
        assert_eq!(hash_of(one), hash_of(other), "{one:?} and {other:?}");
    }

    #[test]
    fn integers_of_any_width_are_equal_by_value() {
        let fives = [
            FieldValue::I8(5),
            FieldValue::U8(5),
            FieldValue::I16(5),
            FieldValue::U16(5),
            FieldValue::I32(5),
            FieldValue::U32(5),
            FieldValue::I64(5),
            FieldValue::Timestamp(5),
        ];
        for one in &fives {
            for other in &fives {
                assert_equal(one, other);
            }
            assert!(!equal(one, &FieldValue::I64(6)));
        }
        assert!(!equal(&FieldValue::I64(-1), &FieldValue::Timestamp(u64::MAX)));
    }

    #[test]
    fn an_integer_is_no_float_no_bool_and_no_text() {
        for other in [
            FieldValue::F64(1.0),
            FieldValue::Bool(true),
            FieldValue::long_string("1"),
            FieldValue::Void,
            FieldValue::Decimal { scale: 0, value: 1 },
        ] {
            assert!(!equal(&FieldValue::I32(1), &other), "{other:?}");
        }
    }

    #[test]
    fn floats_of_both_widths_are_equal_if_widening_makes_them_so() {
        assert_equal(&FieldValue::F32(0.5), &FieldValue::F64(0.5));
        assert!(!equal(&FieldValue::F32(0.1), &FieldValue::F64(0.1)));
        assert!(!equal(&FieldValue::F64(0.0), &FieldValue::F64(-0.0)));
        assert_equal(&FieldValue::F64(f64::NAN), &FieldValue::F64(f64::NAN));
    }

    #[test]
    fn text_and_bytes_are_equal_octet_by_octet() {
        assert_equal(&FieldValue::long_string("a"), &FieldValue::Bytes(Arc::from(b"a".as_slice())));
        assert!(!equal(&FieldValue::long_string("a"), &FieldValue::long_string("A")));
    }

    #[test]
    fn inside_arrays_and_tables_the_type_and_the_order_count() {
        let array = |value| FieldValue::Array(vec![value]);
        assert_equal(&array(FieldValue::I32(1)), &array(FieldValue::I32(1)));
        assert!(!equal(&array(FieldValue::I32(1)), &array(FieldValue::I64(1))));
        assert!(!equal(&array(FieldValue::I32(1)), &FieldValue::Array(vec![])));
        let table = FieldValue::Table(FieldTable::new().with("a", 1).with("b", 2));
        assert_equal(&table, &table.clone());
        assert!(!equal(&table, &FieldValue::Table(FieldTable::new().with("b", 2).with("a", 1))));
        assert!(!equal(&FieldValue::Table(FieldTable::new()), &FieldValue::Array(vec![])));
    }

    #[test]
    fn values_are_written_as_erlang_terms() {
        let written = |value: &FieldValue| ErlangTerm(value).to_string();
        assert_eq!(written(&FieldValue::long_string("foo")), r#"<<"foo">>"#);
        assert_eq!(written(&FieldValue::long_string(r#"a"\"#)), r#"<<"a\"\\">>"#);
        assert_eq!(written(&FieldValue::long_string("é")), r#"<<"é"/utf8>>"#);
        assert_eq!(written(&FieldValue::long_string(b"\xFF\x01")), "<<255,1>>");
        assert_eq!(written(&FieldValue::long_string("")), "<<>>");
        assert_eq!(written(&FieldValue::I8(-3)), "-3");
        assert_eq!(written(&FieldValue::F32(1.0)), "1.0");
        assert_eq!(written(&FieldValue::Bool(true)), "true");
        assert_eq!(written(&FieldValue::Void), "undefined");
        let array = FieldValue::Array(vec![FieldValue::I32(1), FieldValue::from("b")]);
        assert_eq!(written(&array), r#"[{signedint,1},{longstr,<<"b">>}]"#);
        let table = FieldValue::Table(FieldTable::new().with("a", true));
        assert_eq!(written(&table), r#"[{<<"a">>,bool,true}]"#);
    }
}
