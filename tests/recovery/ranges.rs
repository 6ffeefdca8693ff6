//! A set of numbers that are mostly consecutive, as ranges: what has been settled for good costs a few bytes however
//! long a run lasts.

use std::collections::BTreeMap;

/// Disjoint, never touching ranges: first to last, both within.
#[derive(Debug, Default)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub fn insert(&mut self, n: u64) {
        if self.contains(n) {
            return;
        }
        let (mut first, mut last) = (n, n);
        if let Some((&before, _)) = self.0.range(..n).next_back().filter(|(_, end)| **end + 1 == n) {
            first = before;
        }
        if let Some(end) = self.0.remove(&(n + 1)) {
            last = end;
        }
        self.0.insert(first, last);
    }

    pub fn contains(&self, n: u64) -> bool {
        self.0.range(..=n).next_back().is_some_and(|(_, &last)| last >= n)
    }
}

#[test]
fn ranges_hold_what_a_plain_set_holds_and_join_up() {
    let mut ranges = Ranges::default();
    for n in [5, 7, 6, 1, 2, 9, 5] {
        ranges.insert(n);
    }
    let held: Vec<u64> = (0..12).filter(|n| ranges.contains(*n)).collect();
    assert_eq!(held, [1, 2, 5, 6, 7, 9]);
    assert_eq!(ranges.0.len(), 3);
}
