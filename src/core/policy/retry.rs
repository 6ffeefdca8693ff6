//! When a returned message comes again: RabbitMQ 4.3's delayed retries, with more ways for the wait to grow.
//!
//! Chance is an argument. Settings may hold any numbers: a wait is never longer than [`DELAY_MS_MAX`], and what is
//! no sensible factor or share counts as its default.

use crate::core::numbers;
use crate::limits::DELAY_MS_MAX;
use crate::protocol::TableView;

/// Which returned messages wait (`x-delayed-retry-type`, RabbitMQ 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryWhen {
    /// None.
    #[default]
    Disabled,
    /// All.
    All,
    /// Those that count as failed, towards the delivery limit.
    Failed,
    /// Those that do not.
    Returned,
}

impl RetryWhen {
    const ALL: [Self; 4] = [Self::Disabled, Self::All, Self::Failed, Self::Returned];

    /// The setting's value as clients write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::All => "all",
            Self::Failed => "failed",
            Self::Returned => "returned",
        }
    }

    /// The value that has this name.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name().as_bytes() == name)
    }

    /// Whether a returned message waits that counts as failed, or does not.
    pub fn covers(self, was_failure: bool) -> bool {
        match self {
            Self::Disabled => false,
            Self::All => true,
            Self::Failed => was_failure,
            Self::Returned => !was_failure,
        }
    }
}

/// How the wait grows with each failure (`x-delayed-retry-backoff`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// By the minimum (RabbitMQ 4.3).
    #[default]
    Linear,
    /// By a factor.
    Exponential,
    /// Not at all.
    Fixed,
}

impl Backoff {
    const ALL: [Self; 3] = [Self::Linear, Self::Exponential, Self::Fixed];

    /// The setting's value as clients write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Exponential => "exponential",
            Self::Fixed => "fixed",
        }
    }

    /// The value that has this name.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name().as_bytes() == name)
    }
}

/// How long returned messages wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Which of them do.
    pub when: RetryWhen,
    /// The first wait (`x-delayed-retry-min`); zero: no wait.
    pub min_ms: u64,
    /// The longest wait (`x-delayed-retry-max`). Without it a linear wait stays at the minimum, as in RabbitMQ;
    /// others have no limit but [`DELAY_MS_MAX`].
    pub max_ms: Option<u64>,
    /// How it grows.
    pub backoff: Backoff,
    /// The factor of [`Backoff::Exponential`] (`x-delayed-retry-multiplier`), 1 or more.
    pub multiplier: f64,
    /// The share by which a wait is made longer or shorter at random (`x-delayed-retry-jitter`), 0 to 1.
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            when: RetryWhen::default(),
            min_ms: 0,
            max_ms: None,
            backoff: Backoff::default(),
            multiplier: MULTIPLIER_DEFAULT,
            jitter: 0.0,
        }
    }
}

impl Retry {
    /// How many milliseconds a message waits that was returned just now; `None`: it comes again at once.
    ///
    /// `failed_count` counts its failures, this one included if it `was_failure`. `random` is uniform in 0 to 1 and
    /// spreads the waits evenly over the jitter's range, as far as that lies below the longest wait: waits at the
    /// limit are spread too.
    #[allow(clippy::cast_sign_loss, reason = "a jitter of at most 1 leaves nothing below zero")]
    pub fn delay_ms(&self, failed_count: u32, was_failure: bool, random: f64) -> Option<u64> {
        if !self.when.covers(was_failure) {
            return None;
        }
        let longest = self.longest_ms() as f64;
        let delay = self.unspread_ms(failed_count.max(1)).min(longest);
        let jitter = if is_jitter(self.jitter) { self.jitter } else { 0.0 };
        let random = if is_jitter(random) { random } else { 0.0 };
        let (low, high) = (delay * (1.0 - jitter), (delay * (1.0 + jitter)).min(longest));
        let spread = (low + (high - low) * random) as u64;
        (spread > 0).then_some(spread)
    }

    /// What counts for a message with these headers, which bear the names of the queue's arguments. A value that
    /// cannot be is passed over.
    #[must_use]
    pub fn overridden(&self, headers: &TableView<'_>) -> Self {
        let value = |name: &str| headers.get(name)?.decode().ok();
        let milliseconds = |name| u64::try_from(numbers::integer(&value(name)?)?).ok();
        let number = |name| numbers::float(&value(name)?);
        let when = value("x-delayed-retry-type").and_then(|name| RetryWhen::parse(name.as_str_bytes()?));
        let backoff = value("x-delayed-retry-backoff").and_then(|name| Backoff::parse(name.as_str_bytes()?));
        let multiplier = number("x-delayed-retry-multiplier").filter(|it| is_multiplier(*it));
        let jitter = number("x-delayed-retry-jitter").filter(|it| is_jitter(*it));
        Self {
            when: when.unwrap_or(self.when),
            min_ms: milliseconds("x-delayed-retry-min").unwrap_or(self.min_ms),
            max_ms: milliseconds("x-delayed-retry-max").or(self.max_ms),
            backoff: backoff.unwrap_or(self.backoff),
            multiplier: multiplier.unwrap_or(self.multiplier),
            jitter: jitter.unwrap_or(self.jitter),
        }
    }

    fn longest_ms(&self) -> u64 {
        let default = if self.backoff == Backoff::Linear { self.min_ms } else { DELAY_MS_MAX };
        self.max_ms.unwrap_or(default).min(DELAY_MS_MAX)
    }

    /// The wait before jitter and limit; may be infinite.
    fn unspread_ms(&self, failed_count: u32) -> f64 {
        let min = self.min_ms as f64;
        match self.backoff {
            Backoff::Linear => min * f64::from(failed_count),
            Backoff::Exponential if self.min_ms > 0 => min * self.factor().powf(f64::from(failed_count - 1)),
            Backoff::Exponential | Backoff::Fixed => min,
        }
    }

    fn factor(&self) -> f64 {
        if is_multiplier(self.multiplier) { self.multiplier } else { MULTIPLIER_DEFAULT }
    }
}

/// Whether a number can be the factor of an exponential backoff.
pub fn is_multiplier(number: f64) -> bool {
    number.is_finite() && number >= 1.0
}

/// Whether a number can be a jitter.
pub fn is_jitter(number: f64) -> bool {
    (0.0..=1.0).contains(&number)
}

/// The factor of an exponential backoff for which none was set.
const MULTIPLIER_DEFAULT: f64 = 2.0;

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*};

    use super::*;
    use crate::protocol::{FieldTable, FieldValue, ShortString, arbitrary};

    fn retry(backoff: Backoff, min_ms: u64, max_ms: Option<u64>) -> Retry {
        Retry { when: RetryWhen::All, min_ms, max_ms, backoff, ..Retry::default() }
    }

    /// The waits after the first to the fifth failure.
    fn waits(retry: Retry) -> [u64; 5] {
        [1, 2, 3, 4, 5].map(|count| retry.delay_ms(count, true, 0.5).unwrap())
    }

    fn overridden(retry: Retry, headers: &FieldTable) -> Retry {
        let mut bytes = Vec::new();
        headers.encode(&mut bytes);
        retry.overridden(&TableView::new(&bytes[4..]))
    }

    #[test]
    fn the_type_says_which_returns_wait() {
        let waits =
            [RetryWhen::Disabled, RetryWhen::All, RetryWhen::Failed, RetryWhen::Returned].map(|when| {
                let retry = Retry { when, ..retry(Backoff::Fixed, 10, None) };
                [true, false].map(|was_failure| retry.delay_ms(1, was_failure, 0.0).is_some())
            });
        assert_eq!(waits, [[false, false], [true, true], [true, false], [false, true]]);
    }

    #[test]
    fn a_linear_wait_grows_by_the_minimum_up_to_the_maximum() {
        assert_eq!(waits(retry(Backoff::Linear, 100, Some(350))), [100, 200, 300, 350, 350]);
    }

    #[test]
    fn a_linear_wait_without_a_maximum_stays_at_the_minimum() {
        assert_eq!(waits(retry(Backoff::Linear, 100, None)), [100; 5]);
    }

    #[test]
    fn a_return_that_is_no_failure_waits_as_after_the_first() {
        let retry = retry(Backoff::Linear, 100, Some(1_000));
        assert_eq!(retry.delay_ms(0, false, 0.0), Some(100));
    }

    #[test]
    fn an_exponential_wait_grows_by_the_factor() {
        assert_eq!(waits(retry(Backoff::Exponential, 100, None)), [100, 200, 400, 800, 1_600]);
        let slower = Retry { multiplier: 1.5, ..retry(Backoff::Exponential, 100, Some(300)) };
        assert_eq!(waits(slower), [100, 150, 225, 300, 300]);
    }

    #[test]
    fn an_exponential_wait_without_a_maximum_ends_at_ten_years() {
        let retry = retry(Backoff::Exponential, 1, None);
        assert_eq!(retry.delay_ms(u32::MAX, true, 0.0), Some(DELAY_MS_MAX));
    }

    #[test]
    fn a_fixed_wait_does_not_grow() {
        assert_eq!(waits(retry(Backoff::Fixed, 100, None)), [100; 5]);
        assert_eq!(waits(retry(Backoff::Fixed, 100, Some(50))), [50; 5]);
    }

    #[test]
    fn a_minimum_of_zero_is_no_wait() {
        for backoff in Backoff::ALL {
            assert_eq!(retry(backoff, 0, Some(100)).delay_ms(u32::MAX, true, 1.0), None);
        }
    }

    #[test]
    fn jitter_spreads_a_wait_to_both_sides() {
        let retry = Retry { jitter: 0.5, ..retry(Backoff::Fixed, 100, None) };
        assert_eq!([0.0, 0.5, 1.0].map(|random| retry.delay_ms(1, true, random)), [50, 100, 150].map(Some));
    }

    #[test]
    fn jitter_spreads_waits_at_the_maximum_below_it() {
        let retry = Retry { jitter: 0.5, ..retry(Backoff::Fixed, 100, Some(100)) };
        assert_eq!([0.0, 0.5, 1.0].map(|random| retry.delay_ms(1, true, random)), [50, 75, 100].map(Some));
    }

    #[test]
    fn headers_override_the_queue_for_one_message() {
        let headers = FieldTable::new()
            .with("x-delayed-retry-type", "failed")
            .with("x-delayed-retry-min", "250")
            .with("x-delayed-retry-max", FieldValue::F64(1_000.0))
            .with("x-delayed-retry-backoff", "exponential")
            .with("x-delayed-retry-multiplier", FieldValue::U8(3))
            .with("x-delayed-retry-jitter", FieldValue::Decimal { scale: 1, value: 2 });
        let expected = Retry {
            when: RetryWhen::Failed,
            min_ms: 250,
            max_ms: Some(1_000),
            backoff: Backoff::Exponential,
            multiplier: 3.0,
            jitter: 0.2,
        };
        assert_eq!(overridden(Retry::default(), &headers), expected);
        assert_eq!(overridden(expected, &FieldTable::new()), expected);
    }

    #[test]
    fn headers_that_cannot_be_are_passed_over() {
        let retry = Retry { jitter: 0.1, ..retry(Backoff::Exponential, 100, Some(200)) };
        let headers = FieldTable::new()
            .with("x-delayed-retry-type", "sometimes")
            .with("x-delayed-retry-min", -1)
            .with("x-delayed-retry-max", "much")
            .with("x-delayed-retry-backoff", 5)
            .with("x-delayed-retry-multiplier", FieldValue::F64(0.5))
            .with("x-delayed-retry-jitter", FieldValue::F64(1.5))
            .with("x-delayed-retry", 1);
        assert_eq!(overridden(retry, &headers), retry);
    }

    #[test]
    fn names_are_parsed_back() {
        for when in RetryWhen::ALL {
            assert_eq!(RetryWhen::parse(when.name().as_bytes()), Some(when));
        }
        for backoff in Backoff::ALL {
            assert_eq!(Backoff::parse(backoff.name().as_bytes()), Some(backoff));
        }
        assert_eq!((RetryWhen::parse(b"All"), Backoff::parse(b"")), (None, None));
    }

    fn any_number() -> impl Strategy<Value = f64> {
        prop_oneof![any::<f64>(), 0.0..1.0, 1.0..4.0, Just(f64::NAN), Just(f64::INFINITY), Just(-0.0)]
    }

    fn any_retry() -> impl Strategy<Value = Retry> {
        let when = prop::sample::select(&RetryWhen::ALL[..]);
        let backoff = prop::sample::select(&Backoff::ALL[..]);
        let waits = prop_oneof![any::<u64>(), 0..10_000_u64];
        (when, backoff, waits.clone(), option::of(waits), any_number(), any_number()).prop_map(
            |(when, backoff, min_ms, max_ms, multiplier, jitter)| Retry {
                when,
                min_ms,
                max_ms,
                backoff,
                multiplier,
                jitter,
            },
        )
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_its_limit_whatever_the_numbers(
            retry in any_retry(), count: u32, was_failure: bool, random in any_number(),
        ) {
            let longest = retry.max_ms.unwrap_or(u64::MAX).min(DELAY_MS_MAX);
            if let Some(delay) = retry.delay_ms(count, was_failure, random) {
                prop_assert!((1..=longest).contains(&delay));
                prop_assert!(retry.when.covers(was_failure));
            }
        }

        #[test]
        fn a_linear_wait_is_rabbitmq_s_formula(min in 1..1_000_000_u64, max in 1..10_000_000_u64, count: u32) {
            let expected = (u128::from(min) * u128::from(count.max(1))).min(u128::from(max)) as u64;
            let delay = retry(Backoff::Linear, min, Some(max)).delay_ms(count, true, 0.0);
            prop_assert_eq!(delay, Some(expected));
        }

        #[test]
        fn a_wait_never_shrinks_with_more_failures(retry in any_retry(), count in 0..u32::MAX) {
            prop_assert!(retry.delay_ms(count, true, 0.0) <= retry.delay_ms(count + 1, true, 0.0));
        }

        #[test]
        fn a_wait_stays_within_its_jitter(
            min_ms in 1..1_000_000_u64, jitter in 0.0..=1.0_f64, random in 0.0..=1.0_f64,
        ) {
            let retry = Retry { jitter, ..retry(Backoff::Fixed, min_ms, None) };
            let delay = retry.delay_ms(1, true, random).unwrap_or(0) as f64;
            let min = min_ms as f64;
            prop_assert!(delay + 1.0 >= min * (1.0 - jitter) && delay <= min * (1.0 + jitter) + 1.0);
        }

        #[test]
        fn whatever_the_headers_they_leave_numbers_that_can_be(
            names in proptest::collection::vec(0..6_usize, 8), values in arbitrary::table(), bytes: Vec<u8>,
        ) {
            let settings = ["type", "min", "max", "backoff", "multiplier", "jitter"];
            let name = |at: usize| ShortString::try_from(format!("x-delayed-retry-{}", settings[at])).unwrap();
            let headers = names.iter().zip(values).map(|(at, (_, value))| (name(*at), value)).collect();
            let retry = overridden(Retry::default(), &headers).overridden(&TableView::new(&bytes));
            prop_assert!(is_multiplier(retry.multiplier) && is_jitter(retry.jitter));
        }
    }
}
