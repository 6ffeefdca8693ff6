//! Failed logins are counted, by address, by user, and by both. The more there were of an address lately, the longer its next
//! failed login waits for its answer. Nobody else waits: whoever tries passwords from one address locks no user out at another.
//!
//! Time is an argument.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    net::IpAddr,
    time::Duration,
};

use lru::LruCache;
use tokio::time::Instant;

use crate::auth::bounded::at_most;
use crate::limits::{
    LOGIN_DELAY_MAX, LOGIN_DELAY_MIN, LOGIN_FAILURES_COUNTED_MAX, LOGIN_FAILURES_FREE,
    LOGIN_FAILURES_HALF_LIFE,
};

/// From where a client comes: an address, or the network of 64 bits that is one customer's in IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// Counts of failed logins. What is counted is bounded: of what has not failed for longest nothing is known any more.
pub(super) struct Failures {
    /// Names have any length: a user is its hash.
    users: RandomState,
    by_origin: Counts<Origin>,
    by_user: Counts<u64>,
    by_both: Counts<(Origin, u64)>,
}

/// Failures of the last time, the newest one with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// From the client's address.
    pub of_address: u32,
    /// Of the user, from anywhere.
    pub of_user: u32,
}

impl Failures {
    /// None so far.
    pub(super) fn new() -> Self {
        Self {
            users: RandomState::new(),
            by_origin: Counts::new(),
            by_user: Counts::new(),
            by_both: Counts::new(),
        }
    }

    /// A login has failed.
    pub(super) fn add(&mut self, origin: Origin, user: &[u8], now: Instant) -> Figures {
        let user = self.users.hash_one(user);
        self.by_both.add((origin, user), now);
        Figures { of_address: self.by_origin.add(origin, now), of_user: self.by_user.add(user, now) }
    }

    /// A login has succeeded: what this user failed at this address was its own mistake.
    pub(super) fn forgive(&mut self, origin: Origin, user: &[u8], now: Instant) {
        let user = self.users.hash_one(user);
        let own = self.by_both.take(&(origin, user), now);
        if own > 0 {
            self.by_origin.subtract(origin, own, now);
            self.by_user.subtract(user, own, now);
        }
    }
}

impl Figures {
    /// How long the answer waits.
    pub(super) fn delay(self) -> Duration {
        let Some(doublings) = self.of_address.checked_sub(LOGIN_FAILURES_FREE + 1) else {
            return Duration::ZERO;
        };
        LOGIN_DELAY_MIN.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LOGIN_DELAY_MAX)
    }
}

/// Counts that are halved as time goes by.
struct Counts<K: Hash + Eq>(LruCache<K, Count>);

#[derive(Clone, Copy)]
struct Count {
    failures: u32,
    /// Since when they are so many.
    since: Instant,
}

impl<K: Hash + Eq> Counts<K> {
    fn new() -> Self {
        Self(at_most(LOGIN_FAILURES_COUNTED_MAX))
    }

    fn add(&mut self, key: K, now: Instant) -> u32 {
        let failures = self.0.get(&key).map_or(0, |count| count.at(now)).saturating_add(1);
        self.0.put(key, Count { failures, since: now });
        failures
    }

    fn take(&mut self, key: &K, now: Instant) -> u32 {
        self.0.pop(key).map_or(0, |count| count.at(now))
    }

    fn subtract(&mut self, key: K, failures: u32, now: Instant) {
        let left = self.of(&key, now).saturating_sub(failures);
        if left > 0 {
            self.0.put(key, Count { failures: left, since: now });
        } else {
            self.0.pop(&key);
        }
    }

    fn of(&self, key: &K, now: Instant) -> u32 {
        self.0.peek(key).map_or(0, |count| count.at(now))
    }
}

impl Count {
    fn at(self, now: Instant) -> u32 {
        let half_lives =
            now.saturating_duration_since(self.since).as_nanos() / LOGIN_FAILURES_HALF_LIFE.as_nanos();
        u32::try_from(half_lives).ok().and_then(|halvings| self.failures.checked_shr(halvings)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> Origin {
        address.parse::<IpAddr>().unwrap().into()
    }

    fn add(failures: &mut Failures, address: &str, user: &str, now: Instant) -> Figures {
        failures.add(origin(address), user.as_bytes(), now)
    }

    #[test]
    fn the_first_failures_are_answered_at_once_and_the_others_later_and_later() {
        let delays: Vec<_> =
            (0..12).map(|of_address| Figures { of_address, of_user: 0 }.delay().as_millis()).collect();
        assert_eq!(delays, [0, 0, 0, 0, 50, 100, 200, 400, 800, 1_600, 3_000, 3_000]);
        for of_address in [100, u32::MAX] {
            assert_eq!(Figures { of_address, of_user: 0 }.delay(), LOGIN_DELAY_MAX);
        }
        assert_eq!(
            Figures { of_address: 1, of_user: u32::MAX }.delay(),
            Duration::ZERO,
            "nobody is locked out"
        );
    }

    #[test]
    fn an_address_and_a_user_are_counted_each() {
        let (mut failures, now) = (Failures::new(), Instant::now());
        let figures = |of_address, of_user| Figures { of_address, of_user };
        assert_eq!(add(&mut failures, "192.0.2.1", "a", now), figures(1, 1));
        assert_eq!(add(&mut failures, "192.0.2.1", "b", now), figures(2, 1));
        assert_eq!(add(&mut failures, "192.0.2.2", "a", now), figures(1, 2));
        assert_eq!(add(&mut failures, "::ffff:192.0.2.1", "a", now), figures(3, 3));
        assert_eq!(add(&mut failures, "2001:db8::1", "c", now), figures(1, 1));
        assert_eq!(add(&mut failures, "2001:db8::ffff:0:0:1", "c", now), figures(2, 2), "one network");
        assert_eq!(add(&mut failures, "2001:db8:0:1::1", "c", now), figures(1, 3), "another one");
    }

    #[test]
    fn a_success_forgives_the_user_at_that_address_and_nobody_else() {
        let (mut failures, now) = (Failures::new(), Instant::now());
        for (address, user) in
            [("192.0.2.1", "a"), ("192.0.2.1", "a"), ("192.0.2.1", "b"), ("192.0.2.2", "a")]
        {
            add(&mut failures, address, user, now);
        }
        failures.forgive(origin("192.0.2.1"), b"a", now);
        failures.forgive(origin("192.0.2.1"), b"a", now);
        failures.forgive(origin("192.0.2.3"), b"a", now);
        let next = add(&mut failures, "192.0.2.1", "c", now);
        assert_eq!(next.of_address, 2, "b's failure and the new one");
        assert_eq!(
            add(&mut failures, "192.0.2.3", "a", now).of_user,
            2,
            "that at the other address and the new one"
        );
    }

    #[test]
    fn failures_are_forgotten_by_halves() {
        let (mut failures, start) = (Failures::new(), Instant::now());
        for _ in 0..8 {
            add(&mut failures, "192.0.2.1", "a", start);
        }
        let half_life = LOGIN_FAILURES_HALF_LIFE;
        assert_eq!(add(&mut failures, "192.0.2.1", "a", start + half_life / 2).of_address, 9);
        assert_eq!(add(&mut failures, "192.0.2.1", "a", start + half_life * 3 / 2).of_address, 5);
        assert_eq!(add(&mut failures, "192.0.2.1", "a", start + half_life * 100).of_address, 1);
        assert_eq!(add(&mut failures, "192.0.2.1", "a", start).of_address, 2, "a clock that goes back");
    }

    #[test]
    fn counts_are_bounded_and_those_that_failed_last_stay() {
        let (mut failures, now) = (Failures::new(), Instant::now());
        for n in 0..=LOGIN_FAILURES_COUNTED_MAX as u32 {
            let address = IpAddr::V4((0x0A00_0000 + n).into());
            failures.add(address.into(), &n.to_be_bytes(), now);
            if n > 0 {
                add(&mut failures, "192.0.2.1", "a", now);
            }
        }
        assert_eq!(failures.by_origin.0.len(), LOGIN_FAILURES_COUNTED_MAX);
        assert_eq!(failures.by_user.0.len(), LOGIN_FAILURES_COUNTED_MAX);
        assert_eq!(failures.by_both.0.len(), LOGIN_FAILURES_COUNTED_MAX);
        assert_eq!(add(&mut failures, "10.0.0.0", "a", now).of_address, 1, "it was forgotten");
        let most = LOGIN_FAILURES_COUNTED_MAX as u32;
        assert_eq!(add(&mut failures, "192.0.2.1", "b", now).of_address, most + 1);
    }
}
