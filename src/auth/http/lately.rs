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

    pub(super) fn forget(&mut self, key: &K) {
        self.0.pop(key);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn forget_oldest(&mut self) {
        self.0.pop_lru();
    }
}

/// The same for questions of many askers: so many of each, that none pushes out what the others were told. If all together are too many,
/// whoever has asked nothing for the longest time loses its own.
pub(super) struct LatelyOfEach<O: Hash + Eq, K: Hash + Eq, V> {
    askers: LruCache<O, Lately<K, V>>,
    count: usize,
    count_max: usize,
    of_one_max: usize,
}

impl<O: Hash + Eq + Clone, K: Hash + Eq, V: Clone> LatelyOfEach<O, K, V> {
    pub(super) fn new(count_max: usize, of_one_max: usize) -> Self {
        Self { askers: at_most(count_max), count: 0, count_max, of_one_max }
    }

    /// An answer that still counts, and until when.
    pub(super) fn get(&mut self, asker: &O, key: &K, now: Instant) -> Option<(V, Instant)> {
        let its = self.askers.get_mut(asker)?;
        let before = its.len();
        let found = its.get(key, now);
        let after = its.len();
        self.count -= before - after;
        if after == 0 {
            self.askers.pop(asker);
        }
        found
    }

    pub(super) fn put(&mut self, asker: &O, key: K, value: V, until: Instant) {
        while self.count >= self.count_max && self.forget_one() {}
        let of_one_max = self.of_one_max;
        let its = self.askers.get_or_insert_mut(asker.clone(), || Lately::new(of_one_max));
        let before = its.len();
        its.put(key, value, until);
        self.count += its.len() - before;
    }

    /// False if there is none.
    fn forget_one(&mut self) -> bool {
        let Some((asker, _)) = self.askers.peek_lru() else { return false };
        let asker = asker.clone();
        let Some(its) = self.askers.peek_mut(&asker) else { return false };
        its.forget_oldest();
        self.count -= 1;
        if its.len() == 0 {
            self.askers.pop(&asker);
        }
        true
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
        assert_eq!(lately.len(), 0);
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
        assert_eq!(lately.len(), 3);
        assert!(lately.get(&9, now).is_some() && lately.get(&1, now).is_none());
    }

    #[test]
    fn who_asks_very_much_pushes_out_only_its_own_answers() {
        let (mut lately, now) = (LatelyOfEach::new(10, 4), Instant::now());
        let until = now + Duration::from_secs(1);
        for asker in ["ann", "bob"] {
            lately.put(&asker, 1, asker, until);
        }
        for key in 0..100 {
            lately.put(&"many", key, "many", until);
        }
        assert_eq!(lately.get(&"ann", &1, now), Some(("ann", until)));
        assert_eq!(lately.get(&"bob", &1, now), Some(("bob", until)));
        let kept: Vec<_> = (0..100).filter(|key| lately.get(&"many", key, now).is_some()).collect();
        assert_eq!(kept, [96, 97, 98, 99]);
        assert_eq!(lately.count, 6);
    }

    #[test]
    fn of_too_many_askers_those_lose_their_answers_who_asked_nothing_lately() {
        let (mut lately, now) = (LatelyOfEach::new(10, 4), Instant::now());
        let until = now + Duration::from_secs(1);
        for (asker, key) in [("old", 1), ("old", 2), ("used", 1)] {
            lately.put(&asker, key, (), until);
        }
        for key in 0..4 {
            lately.put(&"new", key, (), until);
            assert!(lately.get(&"used", &1, now).is_some());
        }
        for key in 0..3 {
            lately.put(&"newer", key, (), until);
        }
        assert_eq!(lately.count, 10);
        lately.put(&"newer", 3, (), until);
        assert!(
            lately.get(&"old", &1, now).is_none(),
            "the oldest of whoever asked nothing for the longest time"
        );
        assert!(lately.get(&"old", &2, now).is_some());
        for asker in 0..1_000 {
            lately.put(&["a", "b", "c", "d", "e"][asker % 5], asker, (), until);
            assert!(lately.get(&"used", &1, now).is_some());
            assert_eq!(lately.count, 10);
            assert_eq!(lately.askers.iter().map(|(_, its)| its.len()).sum::<usize>(), 10);
        }
    }

    #[test]
    fn what_is_out_of_time_is_not_counted_any_more() {
        let (mut lately, now) = (LatelyOfEach::new(10, 4), Instant::now());
        lately.put(&"ann", 1, (), now);
        assert_eq!(lately.count, 1);
        assert_eq!(lately.get(&"ann", &1, now), None);
        assert_eq!((lately.count, lately.askers.len()), (0, 0));
        lately.put(&"ann", 1, (), now + Duration::from_secs(1));
        assert!(lately.get(&"ann", &1, now).is_some());
        assert_eq!(lately.count, 1);
    }
}
