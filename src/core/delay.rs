//! Messages that are delivered later: when one is due, and what it looks like then.
//!
//! `x-delay` means what it means to RabbitMQ's delayed message exchange plugin; `x-deliver-at` is ours. Who keeps
//! the messages meanwhile is not known here.

use crate::core::message::{Layout, View};
use crate::core::{numbers, rewrite};
use crate::limits::DELAY_MS_MAX;
use crate::protocol::{FieldValue, Properties, ShortString, TableView};

/// The header that says how many milliseconds a message waits.
pub const X_DELAY: &str = "x-delay";

/// The header that says until when.
pub const X_DELIVER_AT: &str = "x-deliver-at";

/// A message is due more than [`DELAY_MS_MAX`] ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid {header}: due in {ahead_ms} ms, at most {DELAY_MS_MAX} are allowed")]
pub struct Invalid {
    /// [`X_DELAY`] or [`X_DELIVER_AT`].
    pub header: &'static str,
    /// How far ahead.
    pub ahead_ms: u64,
}

/// When a message with these headers is due, in milliseconds since the epoch; `None`: at once.
///
/// `x-delay` counts milliseconds from now, and may be anything that [`numbers::integer`] reads. `x-deliver-at` is
/// an AMQP timestamp, or such a number of milliseconds since the epoch. The later one counts. What is zero,
/// negative, past or no number does not delay. So it is with the plugin, except that it fails on a text that is no
/// number, and does not delay by more than 49.7 days.
pub fn due_ms(headers: &TableView<'_>, now_ms: u64) -> Result<Option<u64>, Invalid> {
    let by_delay = headers.get(X_DELAY).and_then(|entry| after(&entry.decode().ok()?, now_ms));
    let by_time = headers.get(X_DELIVER_AT).and_then(|entry| moment_ms(&entry.decode().ok()?));
    let Some((due_ms, header)) =
        by_delay.map(|due| (due, X_DELAY)).max(by_time.map(|due| (due, X_DELIVER_AT)))
    else {
        return Ok(None);
    };
    match due_ms.saturating_sub(now_ms) {
        0 => Ok(None),
        1..=DELAY_MS_MAX => Ok(Some(due_ms)),
        ahead_ms => Err(Invalid { header, ahead_ms }),
    }
}

/// A message as it is routed when it is due: it cannot be delayed again. `x-delay` is negative then, as with the
/// plugin, so that consumers see that it waited and how long; `x-deliver-at` is gone.
pub fn released(view: &View<'_>) -> (Layout, Vec<u8>) {
    let properties = match Properties::decode(view.properties()) {
        Ok(properties) => rewrite::encoded(&without_delay(properties)),
        // Such a message cannot have been delayed; it passes as it is.
        Err(_) => view.properties().to_vec(),
    };
    rewrite::rewritten(view, view.exchange(), view.routing_key(), &properties, rewrite::marks(view))
}

fn after(delay: &FieldValue, now_ms: u64) -> Option<u64> {
    let delay_ms = u64::try_from(numbers::integer(delay)?).ok()?;
    Some(now_ms.saturating_add(delay_ms))
}

fn moment_ms(moment: &FieldValue) -> Option<u64> {
    match moment {
        FieldValue::Timestamp(seconds) => Some(seconds.saturating_mul(1_000)),
        moment => u64::try_from(numbers::integer(moment)?).ok(),
    }
}

fn without_delay(mut properties: Properties) -> Properties {
    if let Some(headers) = &mut properties.headers {
        if let Some(waited) = headers.get(X_DELAY).and_then(negated) {
            headers.remove(X_DELAY);
            headers.insert(ShortString::from_static(X_DELAY), waited);
        }
        headers.remove(X_DELIVER_AT);
    }
    properties
}

/// A delay as a negative number, in 32 bits (the plugin's choice) as long as it fits. `None` if it is none.
fn negated(delay: &FieldValue) -> Option<FieldValue> {
    let waited_ms = numbers::integer(delay)?.checked_neg().filter(|waited_ms| *waited_ms < 0)?;
    Some(i32::try_from(waited_ms).map_or(FieldValue::I64(waited_ms), FieldValue::I32))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::core::message::build_image;
    use crate::protocol::{FieldTable, PropertiesView, arbitrary};

    const NOW: u64 = 1_800_000_000_000;

    fn due(headers: &FieldTable) -> Result<Option<u64>, Invalid> {
        let mut bytes = Vec::new();
        headers.encode(&mut bytes);
        due_ms(&TableView::new(&bytes[4..]), NOW)
    }

    fn delayed(delay: impl Into<FieldValue>) -> FieldTable {
        FieldTable::new().with(X_DELAY, delay)
    }

    fn deliver_at(moment: impl Into<FieldValue>) -> FieldTable {
        FieldTable::new().with(X_DELIVER_AT, moment)
    }

    /// The headers of the message that had `headers`, when it is due.
    fn headers_when_released(headers: FieldTable) -> FieldTable {
        let properties = Properties { headers: Some(headers), ..Properties::default() };
        let (layout, image) = build_image(b"later", b"k", &rewrite::encoded(&properties), &[b"body"], false);
        let (layout, image) = released(&View::new(layout, &image));
        let view = View::new(layout, &image);
        assert_eq!(
            (view.exchange(), view.routing_key(), view.body()),
            (&b"later"[..], &b"k"[..], b"body".into())
        );
        Properties::decode(view.properties()).unwrap().headers.unwrap()
    }

    #[test]
    fn a_delay_counts_milliseconds_from_now() {
        for delay in [FieldValue::I32(5_000), FieldValue::I64(5_000), "5000".into(), FieldValue::F64(5_000.5)]
        {
            assert_eq!(due(&delayed(delay)), Ok(Some(NOW + 5_000)));
        }
    }

    #[test]
    fn a_moment_is_a_timestamp_in_seconds_or_a_number_of_milliseconds() {
        let seconds = NOW / 1_000 + 5;
        assert_eq!(due(&deliver_at(FieldValue::Timestamp(seconds))), Ok(Some(NOW + 5_000)));
        assert_eq!(due(&deliver_at(NOW.cast_signed() + 7)), Ok(Some(NOW + 7)));
        assert_eq!(due(&deliver_at(&*(NOW + 7).to_string())), Ok(Some(NOW + 7)));
    }

    #[test]
    fn the_later_of_both_counts() {
        let both = |delay_ms: i64, moment_ms: i64| {
            due(&delayed(delay_ms).with(X_DELIVER_AT, NOW.cast_signed() + moment_ms))
        };
        assert_eq!(both(10, 20), Ok(Some(NOW + 20)));
        assert_eq!(both(20, 10), Ok(Some(NOW + 20)));
        assert_eq!(both(-20, 10), Ok(Some(NOW + 10)));
        assert_eq!(both(20, -10), Ok(Some(NOW + 20)));
    }

    #[test]
    fn what_is_zero_negative_past_or_no_number_does_not_delay() {
        assert_eq!(due(&FieldTable::new()), Ok(None));
        for delay in [0.into(), (-5).into(), "soon".into(), "".into(), FieldValue::Timestamp(5), true.into()]
        {
            assert_eq!(due(&delayed(delay)), Ok(None));
        }
        for moment in
            [0.into(), (-5).into(), (NOW.cast_signed()).into(), FieldValue::Timestamp(NOW / 1_000 - 1)]
        {
            assert_eq!(due(&deliver_at(moment)), Ok(None));
        }
        assert_eq!(due(&deliver_at(FieldValue::Void)), Ok(None));
    }

    #[test]
    fn ten_years_ahead_are_allowed_and_a_millisecond_more_is_not() {
        let longest = DELAY_MS_MAX.cast_signed();
        assert_eq!(due(&delayed(longest)), Ok(Some(NOW + DELAY_MS_MAX)));
        let error = due(&delayed(longest + 1)).unwrap_err();
        assert_eq!(error, Invalid { header: X_DELAY, ahead_ms: DELAY_MS_MAX + 1 });
        assert_eq!(
            error.to_string(),
            "invalid x-delay: due in 315360000001 ms, at most 315360000000 are allowed"
        );
        for moment in [FieldValue::Timestamp(NOW), FieldValue::Timestamp(u64::MAX), i64::MAX.into()] {
            assert_eq!(due(&deliver_at(moment)).unwrap_err().header, X_DELIVER_AT);
        }
        assert!(due(&delayed("99999999999999999999")).is_err());
    }

    #[test]
    fn a_released_message_shows_its_delay_negated_and_no_moment() {
        let headers = delayed(5_000_i64).with("a", 1).with(X_DELIVER_AT, FieldValue::Timestamp(NOW));
        let released = headers_when_released(headers);
        assert_eq!(released, FieldTable::new().with("a", 1).with(X_DELAY, -5_000));
        assert_eq!(headers_when_released(delayed("5000")), delayed(-5_000));
        assert_eq!(headers_when_released(delayed(i64::MAX)), delayed(-i64::MAX));
    }

    #[test]
    fn what_did_not_delay_is_released_as_it_is() {
        for delay in ["soon".into(), (-7).into(), i64::MIN.into(), FieldValue::Void] {
            assert_eq!(headers_when_released(delayed(delay.clone())), delayed(delay));
        }
    }

    #[test]
    fn a_message_without_headers_or_with_rotten_properties_is_released_as_it_is() {
        for properties in [&[0, 0][..], &[0x10, 0, 2], &[0x20, 0, 0xFF]] {
            let (layout, image) = build_image(b"", b"k", properties, &[b"x"], true);
            let view = View::new(layout, &image);
            assert_eq!(released(&view), (layout, image.clone()));
        }
    }

    #[test]
    fn a_released_message_keeps_the_broker_s_marks() {
        let (layout, image) = build_image(b"", b"k", &[0, 0], &[], false);
        let view = View::new(layout, &image);
        let (layout, image) = rewrite::rewritten(&view, b"", b"k", &[0, 0], rewrite::DEAD_LETTERED);
        let (layout, image) = released(&View::new(layout, &image));
        assert_eq!(rewrite::marks(&View::new(layout, &image)), rewrite::DEAD_LETTERED);
    }

    proptest! {
        #[test]
        fn whatever_the_headers_a_released_message_is_not_delayed_again(
            headers in arbitrary::table(), delays in arbitrary::table(), name in 0..2_usize, now: u64,
        ) {
            let mut headers = headers;
            for (_, value) in delays.iter() {
                headers.insert(ShortString::from_static([X_DELAY, X_DELIVER_AT][name]), value.clone());
            }
            if let Ok(Some(due)) = due(&headers) {
                prop_assert!(due > NOW && due - NOW <= DELAY_MS_MAX);
            }
            prop_assert_eq!(due(&headers_when_released(headers)), Ok(None));
            let _ = due_ms(&TableView::new(&[7, b'x']), now);
        }

        #[test]
        fn no_bytes_panic(headers: Vec<u8>, properties in vec(any::<u8>(), 2..64), now: u64) {
            let _ = due_ms(&TableView::new(&headers), now);
            let (layout, image) = build_image(b"e", b"k", &properties, &[b"x"], false);
            let (layout, image) = released(&View::new(layout, &image));
            let _ = PropertiesView::parse(View::new(layout, &image).properties());
        }
    }
}
