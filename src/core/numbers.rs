//! Numbers that clients write into headers, in whichever type their library chose for them.

use std::num::IntErrorKind;

use crate::protocol::FieldValue;

/// The whole number in a header: of any integer type, or a float or decimal without what follows the point, or
/// digits in a long string, with or without a sign. What 64 bits cannot hold becomes the end of their range.
/// `None`: it is no number.
pub fn integer(value: &FieldValue) -> Option<i64> {
    match value {
        FieldValue::LongString(text) => integer_in_text(text),
        value => value.as_i64().or_else(|| fraction(value).map(|number| number as i64)),
    }
}

/// The number in a header, as [`integer`] but with what follows the point. Never infinite, never NaN.
pub fn float(value: &FieldValue) -> Option<f64> {
    match value {
        FieldValue::LongString(text) => {
            std::str::from_utf8(text).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
        }
        value => number(value),
    }
}

/// The same of the types of numbers alone: no text.
pub fn number(value: &FieldValue) -> Option<f64> {
    value.as_i64().map(|number| number as f64).or_else(|| fraction(value))
}

fn integer_in_text(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().map_or_else(
        |error: std::num::ParseIntError| match error.kind() {
            IntErrorKind::PosOverflow => Some(i64::MAX),
            IntErrorKind::NegOverflow => Some(i64::MIN),
            _ => None,
        },
        Some,
    )
}

/// The types that know a point.
fn fraction(value: &FieldValue) -> Option<f64> {
    let number = match *value {
        FieldValue::F32(number) => f64::from(number),
        FieldValue::F64(number) => number,
        FieldValue::Decimal { scale, value } => f64::from(value) / 10_f64.powi(i32::from(scale)),
        _ => return None,
    };
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::arbitrary;

    #[test]
    fn whole_numbers_are_read_from_every_type_of_number() {
        for value in [
            FieldValue::I8(5),
            FieldValue::U8(5),
            FieldValue::I16(5),
            FieldValue::U16(5),
            FieldValue::I32(5),
            FieldValue::U32(5),
            FieldValue::I64(5),
            FieldValue::F32(5.9),
            FieldValue::F64(5.9),
            FieldValue::Decimal { scale: 2, value: 599 },
            "5".into(),
            "+05".into(),
        ] {
            assert_eq!(integer(&value), Some(5), "{value:?}");
        }
        assert_eq!(integer(&"-5".into()), Some(-5));
    }

    #[test]
    fn what_does_not_fit_is_the_end_of_the_range() {
        assert_eq!(integer(&"99999999999999999999".into()), Some(i64::MAX));
        assert_eq!(integer(&"-99999999999999999999".into()), Some(i64::MIN));
        assert_eq!(integer(&FieldValue::F64(1e300)), Some(i64::MAX));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for value in [
            FieldValue::F64(f64::NAN),
            FieldValue::F64(f64::INFINITY),
            FieldValue::Timestamp(5),
            FieldValue::Bool(true),
            FieldValue::Void,
            FieldValue::Array(vec![5.into()]),
            "".into(),
            "5s".into(),
            " 5".into(),
            FieldValue::long_string(b"\xFF"),
        ] {
            assert_eq!(integer(&value), None, "{value:?}");
            assert_eq!(float(&value), None, "{value:?}");
        }
        assert_eq!(float(&"inf".into()), None);
    }

    #[test]
    fn fractions_are_read_from_floats_decimals_and_text() {
        for value in [
            FieldValue::F32(0.25),
            FieldValue::F64(0.25),
            FieldValue::Decimal { scale: 2, value: 25 },
            "0.25".into(),
        ] {
            assert_eq!(float(&value), Some(0.25));
        }
        assert_eq!(float(&2.into()), Some(2.0));
    }

    proptest! {
        #[test]
        fn no_header_panics(headers in arbitrary::table()) {
            for (_, value) in headers.iter() {
                let _ = integer(value);
                prop_assert!(float(value).is_none_or(f64::is_finite));
            }
        }
    }
}
