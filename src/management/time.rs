//! Times as people and programs read them.

use time::{
    OffsetDateTime, format_description::well_known::Iso8601, format_description::well_known::iso8601,
};

use crate::core::clock::Millis;

/// To the millisecond, with the offset.
const FORM: iso8601::EncodedConfig = iso8601::Config::DEFAULT
    .set_time_precision(iso8601::TimePrecision::Second { decimal_digits: std::num::NonZeroU8::new(3) })
    .encode();

/// A time in UTC as ISO 8601 writes it, to the millisecond.
pub fn iso(at: Millis) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000);
    at.ok().and_then(|at| at.format(&Iso8601::<FORM>).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_to_the_millisecond() {
        assert_eq!(iso(951_868_799_999), "2000-02-29T23:59:59.999Z");
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
    }
}
