//! What was said lately, each for its time. Time is an argument.

use std::hash::Hash;

use lru::LruCache;
use tokio::time::Instant;

use crate::auth::bounded::at_most;

/// Answers by their questions: those that were used last, if there are too many.
pub(super) struct Lately<K: Hash + Eq, V>(LruCache<K, (V, Instant)>);

impl<K: Hash + Eq, V: Clone> Lately<K, V> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self(at_most(entries_max))
    }

    /// An answer that still counts, and until when.
    pub(super) fn get(&mut self, key: &K, now: Instant) -> Option<(V, Instant)> {
        match self.0.get(key) {
            Some((value, until)) if now < *until => Some((value.clone(), *until)),
            Some(_) => {
                self.0.pop(key);
                None
            }
            None => None,
        }
    }

    pub(super) fn put(&mut self, key: K, value: V, until: Instant) {
        self.0.put(key, (value, until));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_counts_until_its_time_and_is_not_kept_longer() {
        let (mut lately, start) = (Lately::new(4), Instant::now());
        let later = |ms| start + Duration::from_millis(ms);
        lately.put("a", 1, later(10));
        lately.put("b", 2, start);
        assert_eq!(lately.get(&"a", start), Some((1, later(10))));
        assert_eq!(lately.get(&"a", later(9)), Some((1, later(10))));
        assert_eq!(lately.get(&"b", start), None, "what is to be remembered for no time is not");
        assert_eq!(lately.get(&"a", later(10)), None);
        assert_eq!(lately.0.len(), 0);
        lately.put("a", 3, later(20));
        lately.put("a", 4, later(30));
        assert_eq!(lately.get(&"a", later(20)), Some((4, later(30))));
    }

    #[test]
    fn answers_are_bounded_and_those_that_were_used_last_stay() {
        let (mut lately, now) = (Lately::new(3), Instant::now());
        let until = now + Duration::from_secs(1);
        for key in 0..10 {
            lately.put(key, (), until);
            assert!(lately.get(&0, now).is_some());
        }
        assert_eq!(lately.0.len(), 3);
        assert!(lately.get(&9, now).is_some() && lately.get(&1, now).is_none());
    }
}
