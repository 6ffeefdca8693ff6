//! Strategies for property tests: arbitrary short strings, long strings, tables.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{FieldTable, FieldValue, ShortString};

/// Any short string, the longest included.
pub(crate) fn short_string() -> impl Strategy<Value = ShortString> {
    prop_oneof![9 => vec(any::<u8>(), 0..24), 1 => vec(any::<u8>(), 250..=255)]
        .prop_map(|bytes| ShortString::try_from(bytes).unwrap())
}

/// Some bytes.
pub(crate) fn long_string() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

/// Any table, three levels deep at most. Floats are never NaN, which does not equal itself.
pub(crate) fn table() -> impl Strategy<Value = FieldTable> {
    vec((short_string(), value()), 0..8).prop_map(FieldTable::from_iter)
}

/// Any value, three levels deep at most.
pub(crate) fn value() -> impl Strategy<Value = FieldValue> {
    scalar().prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(FieldValue::Array),
            vec((short_string(), inner), 0..6)
                .prop_map(|entries| FieldValue::Table(entries.into_iter().collect())),
        ]
    })
}

fn scalar() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i8>().prop_map(FieldValue::I8),
        any::<u8>().prop_map(FieldValue::U8),
        any::<i16>().prop_map(FieldValue::I16),
        any::<u16>().prop_map(FieldValue::U16),
        any::<i32>().prop_map(FieldValue::I32),
        any::<u32>().prop_map(FieldValue::U32),
        any::<i64>().prop_map(FieldValue::I64),
        (-1.0e9..1.0e9_f32).prop_map(FieldValue::F32),
        (-1.0e9..1.0e9_f64).prop_map(FieldValue::F64),
        (any::<u8>(), any::<u32>()).prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        any::<u64>().prop_map(FieldValue::Timestamp),
        Just(FieldValue::Void),
        long_string().prop_map(FieldValue::long_string),
        long_string().prop_map(|bytes| FieldValue::Bytes(Arc::from(bytes))),
    ]
}
