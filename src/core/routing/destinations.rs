//! A counted set: what each key, pattern or rule leads to.
//!
//! Invariant: an item stands in it once, with the number of times it was added and not removed. Adding, removing
//! and stepping through are constant time for each item at any size; a set of one, by far the most common, has no
//! memory of its own on the heap.

use std::hash::Hash;

use foldhash::fast::RandomState;
use griddle::HashMap;
use smallvec::SmallVec;

/// Items with a count each, in no order that means anything.
#[derive(Debug)]
pub(super) struct Destinations<T> {
    entries: SmallVec<[Entry<T>; 1]>,
    /// Where in `entries` an item stands; only while there are too many to look through.
    #[allow(clippy::box_collection)]
    // 40 bytes less in each of a hundred thousand sets that have no index
    positions: Option<Box<HashMap<T, usize, RandomState>>>,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    count: u32,
}

impl<T: Clone + Eq + Hash> Destinations<T> {
    /// Adds an item once.
    pub(super) fn add(&mut self, item: T) {
        if let Some(position) = self.position(&item) {
            self.entries[position].count += 1;
            return;
        }
        if let Some(positions) = &mut self.positions {
            positions.insert(item.clone(), self.entries.len());
        }
        self.entries.push(Entry { item, count: 1 });
        if self.positions.is_none() && self.entries.len() > SCANNED_ENTRIES_MAX {
            self.positions = Some(Box::new(self.indexed()));
        }
    }

    /// Removes an item once; false if it is not here.
    pub(super) fn remove(&mut self, item: &T) -> bool {
        let Some(position) = self.position(item) else { return false };
        self.entries[position].count -= 1;
        if self.entries[position].count == 0 {
            self.take_out(position);
        }
        true
    }

    /// Each item once, whatever its count.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.item)
    }

    /// How many different items there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn position(&self, item: &T) -> Option<usize> {
        match &self.positions {
            Some(positions) => positions.get(item).copied(),
            None => self.entries.iter().position(|entry| entry.item == *item),
        }
    }

    fn take_out(&mut self, position: usize) {
        let removed = self.entries.swap_remove(position);
        if let Some(positions) = &mut self.positions {
            positions.remove(&removed.item);
            if let Some(moved) = self.entries.get(position) {
                positions.insert(moved.item.clone(), position);
            }
            super::shrink(positions);
        }
        if self.entries.len() <= SCANNED_ENTRIES_MAX / 2 {
            self.positions = None;
        }
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to_fit();
        }
    }

    fn indexed(&self) -> HashMap<T, usize, RandomState> {
        self.entries.iter().enumerate().map(|(position, entry)| (entry.item.clone(), position)).collect()
    }
}

impl<T> Default for Destinations<T> {
    fn default() -> Self {
        Self { entries: SmallVec::new(), positions: None }
    }
}

/// Up to so many entries are looked through one by one; it takes half of them to return to that.
const SCANNED_ENTRIES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(set: &Destinations<u32>) -> Vec<u32> {
        let mut items: Vec<u32> = set.iter().copied().collect();
        items.sort_unstable();
        items
    }

    #[test]
    fn an_item_added_twice_is_listed_once_and_removed_twice() {
        let mut set = Destinations::default();
        set.add(5_u32);
        set.add(5);
        assert_eq!(sorted(&set), [5]);
        assert!(set.remove(&5));
        assert_eq!(sorted(&set), [5]);
        assert!(set.remove(&5));
        assert!(set.is_empty());
        assert!(!set.remove(&5));
    }

    #[test]
    fn it_holds_the_same_items_as_it_grows_and_shrinks_across_every_threshold() {
        let mut set = Destinations::default();
        for item in 0..100_u32 {
            set.add(item);
            assert_eq!(sorted(&set), (0..=item).collect::<Vec<_>>());
        }
        assert!(set.positions.is_some());
        for item in 0..100_u32 {
            assert!(set.remove(&item));
            assert_eq!(sorted(&set), (item + 1..100).collect::<Vec<_>>());
            assert!(!set.remove(&item));
        }
        assert!(set.positions.is_none());
        assert!(!set.entries.spilled());
    }

    #[test]
    fn a_set_of_one_small_handle_has_nothing_on_the_heap() {
        let mut set = Destinations::default();
        set.add(1_u32);
        assert!(!set.entries.spilled());
        assert!(set.positions.is_none());
        assert!(size_of::<Destinations<usize>>() <= 32);
    }
}
