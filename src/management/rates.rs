//! How fast somebody may ask: each address before anything else is looked at, each user when it has proven who it is.
//!
//! Time is an argument. Whoever asks may do so as often at once as in a second.

use std::{hash::Hash, net::IpAddr, num::NonZeroUsize};

use lru::LruCache;
use parking_lot::Mutex;

use super::failure::{Answered, Failure};
use crate::auth::Origin;
use crate::config::HttpRates;
use crate::core::{access::Bucket, clock::Millis};
use crate::limits::HTTP_RATED_MAX;
use crate::protocol::ShortString;

/// What was asked lately, by address and by user.
pub struct Rates {
    addresses: Mutex<LruCache<Origin, Bucket>>,
    users: Mutex<LruCache<ShortString, Bucket>>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { addresses: Mutex::new(at_most()), users: Mutex::new(at_most()) }
    }
}

impl Rates {
    /// Counts a request from an address, or from its network in IPv6. 429 if it is one too many.
    pub fn count_address(&self, address: IpAddr, rates: HttpRates, now: Millis) -> Answered<()> {
        count(&self.addresses, address.into(), rates.per_address, now)
    }

    /// Counts a request of a user. 429 if it is one too many.
    pub fn count_user(&self, user: &ShortString, rates: HttpRates, now: Millis) -> Answered<()> {
        count(&self.users, user.clone(), rates.per_user, now)
    }
}

/// An empty table. One that is left out of a full one has asked less lately than all the others, so that little is lost.
fn at_most<K: Hash + Eq>() -> LruCache<K, Bucket> {
    LruCache::sparse(NonZeroUsize::new(HTTP_RATED_MAX).unwrap_or(NonZeroUsize::MIN))
}

fn count<K: Hash + Eq>(
    table: &Mutex<LruCache<K, Bucket>>,
    who: K,
    per_second: u32,
    now: Millis,
) -> Answered<()> {
    if per_second == 0 {
        return Ok(());
    }
    let mut table = table.lock();
    let bucket = table.get_or_insert_mut(who, Bucket::default);
    bucket
        .take_what_came(1, per_second.into(), now)
        .map_err(|wait_ms| Failure::TooMany { wait_seconds: wait_ms.div_ceil(1_000) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = 1_000_000;

    fn rates(per_address: u32, per_user: u32) -> HttpRates {
        HttpRates { per_address, per_user }
    }

    fn from(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn an_address_may_ask_so_often_in_a_second_and_no_more() {
        let (counted, rates) = (Rates::default(), rates(3, 0));
        let ask = |address, now| counted.count_address(from(address), rates, now).is_ok();
        assert_eq!([0; 4].map(|_| ask("192.0.2.1", START)), [true, true, true, false]);
        assert!(ask("192.0.2.2", START), "another one");
        assert!(!ask("192.0.2.1", START + 333), "a third of a second is not over");
        assert_eq!([0; 2].map(|_| ask("192.0.2.1", START + 334)), [true, false]);
        assert_eq!([0; 4].map(|_| ask("192.0.2.1", START + 60_000)), [true, true, true, false]);
    }

    #[test]
    fn who_asks_too_often_hears_after_how_many_seconds_there_is_room() {
        let counted = Rates::default();
        let ask = |now| counted.count_address(from("::1"), rates(1, 0), now);
        assert_eq!(ask(START), Ok(()));
        assert_eq!(ask(START + 10), Err(Failure::TooMany { wait_seconds: 1 }));
        assert_eq!(ask(START + 1_000), Ok(()), "what was refused does not count");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_address_is_that_of_ipv4() {
        let counted = Rates::default();
        let ask = |address| counted.count_address(from(address), rates(1, 0), START).is_ok();
        assert!(ask("2001:db8::1") && !ask("2001:db8::2") && ask("2001:db8:0:1::1"));
        assert!(ask("192.0.2.1") && !ask("::ffff:192.0.2.1"));
    }

    #[test]
    fn addresses_and_users_are_counted_apart_and_zero_is_without_limit() {
        let counted = Rates::default();
        let user = ShortString::from_static("ann");
        for (rates, address_is_free, user_is_free) in
            [(rates(0, 0), true, true), (rates(1, 0), false, true), (rates(0, 1), true, false)]
        {
            let ask = || {
                let address = counted.count_address(from("127.0.0.1"), rates, START).is_ok();
                (address, counted.count_user(&user, rates, START).is_ok())
            };
            ask();
            assert_eq!(ask(), (address_is_free, user_is_free), "{rates:?}");
        }
    }

    #[test]
    fn what_is_counted_is_bounded_and_who_asked_last_stays() {
        let counted = Rates::default();
        for n in 0..=HTTP_RATED_MAX as u32 {
            let address = IpAddr::V4((0x0A00_0000 + n).into());
            assert!(counted.count_address(address, rates(1, 1), START).is_ok());
            let user = ShortString::try_from(n.to_string()).unwrap();
            assert!(counted.count_user(&user, rates(1, 1), START).is_ok());
        }
        assert_eq!(counted.addresses.lock().len(), HTTP_RATED_MAX);
        assert_eq!(counted.users.lock().len(), HTTP_RATED_MAX);
        assert!(counted.count_address(from("10.0.0.0"), rates(1, 1), START).is_ok(), "it was forgotten");
        assert!(counted.count_address(from("10.0.16.0"), rates(1, 1), START).is_err(), "it was the last one");
    }
}
